// EVEN.SIBLINGS and EVEN.RESOLVE: see docs/siblings.md.
#include "engine/cmd_siblings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/command.h"
#include "engine/string_value.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::size_t kMostDots = 1'000;

bool read_hex(std::string_view text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc() && end == text.data() + text.size() && out != 0;
}

// Whether the key is a string, or absent. If not, replies why.
bool find_string(Context& context, std::string_view key, const Object*& object) {
  if (!context.find(key, ObjectType::kString, object)) return false;
  if (object == nullptr || object->bounded() == nullptr) return true;
  context.reply.error("ERR a bounded counter has one number, and no siblings");
  return false;
}

void siblings_command(Context& context, Args args) {
  const Object* object;
  if (!find_string(context, args[1], object)) return;
  std::vector<SiblingView> all;
  if (object != nullptr) {
    object->string().for_each_sibling([&all](const SiblingView& view) { all.push_back(view); });
  }
  // The one that GET shows comes first.
  std::ranges::sort(all, [](const SiblingView& a, const SiblingView& b) {
    return std::pair(a.time, a.dot) > std::pair(b.time, b.dot);
  });
  std::vector<Dot> dots;
  for (const SiblingView& view : all) dots.push_back(view.dot);
  context.reply.array(2);
  context.reply.bulk(encode_sibling_context(dots));
  if (object != nullptr && all.size() < 2) {
    // With what has been added to it.
    context.reply.array(1);
    std::string scratch;
    return context.reply.bulk(object->string().value(scratch));
  }
  context.reply.array(all.size());
  for (const SiblingView& view : all) context.reply.bulk(view.value);
}

void resolve_command(Context& context, Args args) {
  std::vector<Dot> dots;
  if (!decode_sibling_context(args[2], dots)) {
    return context.reply.error("ERR that is no context of EVEN.SIBLINGS");
  }
  const Object* object;
  if (!find_string(context, args[1], object)) return;
  const Keyspace& keyspace = context.keyspace();
  const VersionVector& seen = keyspace.state(keyspace.partition_of(args[1])).vector();
  for (const Dot& dot : dots) {
    if (seen.covers(dot)) continue;
    return context.reply.error(
        fmt::format("UNAVAILABLE nothing was done: this node has not got the value {} yet, which "
                    "the context has seen at another: try again",
                    dot.to_string()));
  }
  context.write(args[1]).resolve(
      [&dots](const Dot& dot) { return std::ranges::find(dots, dot) != dots.end(); }, args[3],
      true);
  context.reply.ok();
}

constexpr Command kSiblingCommands[] = {
    {.name = "even.resolve",
     .group = "string",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = resolve_command,
     .docs = {.since = "0.1.0",
              .summary = "Put a value in the place of those that EVEN.SIBLINGS has shown",
              .complexity = "O(N) where N is the number of siblings",
              .arguments = "key context value",
              .key_spec = "RW access update"}},
    {.name = "even.siblings",
     .group = "string",
     .arity = 2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = siblings_command,
     .docs = {.since = "0.1.0",
              .summary = "All values of a string that were written at the same time, and a context "
                         "for EVEN.RESOLVE",
              .complexity = "O(N) where N is the number of siblings",
              .arguments = "key",
              .key_spec = "RO access"}},
};

}  // namespace

std::string encode_sibling_context(std::span<const Dot> dots) {
  std::string out = "-";
  for (const Dot& dot : dots) {
    out += fmt::format("{}{:x}.{:x}", out.size() > 1 ? "-" : "", dot.replica.value, dot.seq);
  }
  return out;
}

bool decode_sibling_context(std::string_view text, std::vector<Dot>& dots) {
  if (!text.starts_with('-')) return false;
  text.remove_prefix(1);
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find('-'));
    const std::size_t dot = one.find('.');
    Dot& out = dots.emplace_back();
    if (dot == std::string_view::npos || !read_hex(one.substr(0, dot), out.replica.value) ||
        !read_hex(one.substr(dot + 1), out.seq) || dots.size() > kMostDots) {
      return false;
    }
    text.remove_prefix(std::min(text.size(), one.size() + 1));
  }
  return true;
}

std::span<const Command> sibling_commands() { return kSiblingCommands; }

}  // namespace even
