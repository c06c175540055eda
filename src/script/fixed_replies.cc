#include "script/fixed_replies.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <vector>

namespace even {
namespace {

constexpr std::string_view kUnordered = "nondeterministic_output_order";

bool is_unordered(const Command& command) {
  return command.docs.tips == kUnordered && (command.group == "set" || command.group == "hash");
}

// An element of a reply: what it is sorted by, and all of its bytes, a field's with its value.
struct Element {
  std::string_view word;
  std::string_view bytes;
};

std::size_t take_number(std::string_view& rest) {
  const std::size_t end = rest.find('\r');
  std::size_t number = 0;
  std::from_chars(rest.data() + 1, rest.data() + end, number);
  rest.remove_prefix(end + 2);
  return number;
}

}  // namespace

bool differs_between_members(const Command& command) {
  if (command.group == "server" || command.name.starts_with("even.")) return true;
  if (!command.docs.tips.contains("nondeterministic_output") || is_unordered(command)) return false;
  // What is drawn and stamped while something is written follows from the entry, and so does what
  // is told of times.
  const bool by_entry = may_write(command) || command.group == "stream" || command.name == "ttl" ||
                        command.name == "pttl";
  return !by_entry;
}

void put_in_order(const Command& command, std::string& reply) {
  if (!is_unordered(command) || reply.empty()) return;
  const char type = reply.front();
  if (type != '*' && type != '~' && type != '%') return;
  std::string_view rest = reply;
  std::size_t words = take_number(rest);
  if (type == '%') words *= 2;
  const std::string_view head = std::string_view(reply).substr(0, reply.size() - rest.size());
  const std::size_t step = command.name == "hgetall" ? 2 : 1;
  std::vector<Element> elements;
  elements.reserve(words / step);
  for (std::size_t i = 0; i < words; ++i) {
    const std::string_view from = rest;
    const std::size_t size = take_number(rest);
    const std::string_view word = rest.substr(0, size);
    rest.remove_prefix(size + 2);
    const std::size_t length = from.size() - rest.size();
    if (i % step == 0) {
      elements.push_back({word, from.substr(0, length)});
    } else {
      Element& last = elements.back();
      last.bytes = {last.bytes.data(), last.bytes.size() + length};
    }
  }
  std::ranges::stable_sort(elements, {}, &Element::word);
  std::string out(head);
  out.reserve(reply.size());
  for (const Element& element : elements) out.append(element.bytes);
  reply = std::move(out);
}

}  // namespace even
