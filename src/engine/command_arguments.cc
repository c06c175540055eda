#include "engine/command_arguments.h"

#include <algorithm>

#include "base/check.h"
#include "engine/text.h"

namespace even {
namespace {

// Tokens that are no words, and what Redis calls them.
struct Sign {
  std::string_view token;
  std::string_view name;
};
constexpr Sign kSigns[] = {
    {"=", "equal"}, {"~", "approximately"}, {"*", "auto_id"}, {"$", "new_id"}};

constexpr std::string_view kTypes[] = {"string",  "integer",   "double",    "key",
                                       "pattern", "unix-time", "pure-token"};

class Parser {
 public:
  explicit Parser(std::string_view text) : all_(text), rest_(text) {}

  std::vector<Argument> arguments() {
    std::vector<Argument> out;
    if (!rest_.empty()) out = sequence(' ');
    require(rest_.empty());
    return out;
  }

 private:
  void require(bool condition) const { EVEN_CHECK(condition, all_); }

  bool take(std::string_view what) {
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }

  static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
  bool at_token() const { return !rest_.empty() && is_upper(rest_.front()); }

  // Up to a character with a meaning.
  std::string_view word() {
    const std::size_t end =
        std::min({rest_.find_first_of(" |()[]"), rest_.find("..."), rest_.size()});
    const std::string_view out = rest_.substr(0, end);
    require(!out.empty());
    rest_.remove_prefix(end);
    return out;
  }

  std::vector<Argument> sequence(char separator) {
    std::vector<Argument> out;
    do {
      out.push_back(argument());
    } while (take(std::string_view(&separator, 1)));
    return out;
  }

  Argument argument() {
    const bool optional = take("[");
    Argument out = plain();
    out.optional = optional;
    if (optional) require(take("]"));
    return out;
  }

  Argument plain() {
    Argument out;
    for (const Sign& sign : kSigns) {
      if (!take(sign.token)) continue;
      out.token = sign.token;
      out.type = "pure-token";
      out.name = sign.name;
      return out;
    }
    if (at_token()) {
      out.token = word();
      if (rest_.size() < 2 || rest_[0] != ' ' || rest_[1] == '[' || is_upper(rest_[1])) {
        out.type = "pure-token";
        for (char c : out.token) out.name += to_lower(c);
        return out;
      }
      take(" ");
    }
    value(out);
    out.multiple_token = take("....");
    out.multiple = out.multiple_token || take("...");
    return out;
  }

  void value(Argument& out) {
    const std::string_view text = word();
    if (take("(")) {
      out.name = text;
      out.arguments.push_back(argument());
      const char separator = rest_.starts_with('|') ? '|' : ' ';
      out.type = separator == '|' ? "oneof" : "block";
      if (take(std::string_view(&separator, 1))) {
        for (Argument& more : sequence(separator)) out.arguments.push_back(std::move(more));
      }
      require(take(")"));
      return;
    }
    if (const std::size_t equals = text.find('='); equals != std::string_view::npos) {
      out.name = text.substr(0, equals);
      out.token = text.substr(equals + 1);
      out.type = "pure-token";
      return;
    }
    const std::size_t colon = text.rfind(':');
    out.name = text.substr(0, colon);
    out.type = colon != std::string_view::npos ? text.substr(colon + 1)
               : text == "key"                 ? "key"
                                               : "string";
    require(std::ranges::find(kTypes, out.type) != std::end(kTypes));
  }

  const std::string_view all_;
  std::string_view rest_;
};

// Without the brackets of one that may be left out.
std::string without_brackets(const Argument& argument) {
  if (argument.type == "pure-token") return std::string(argument.token);
  std::string value;
  if (argument.type == "oneof") {
    for (const Argument& choice : argument.arguments) {
      value += (value.empty() ? "" : "|") + without_brackets(choice);
    }
    // The brackets of one that may be left out hold the choices together as well.
    if (!argument.optional || argument.multiple) value = "(" + value + ")";
  } else if (argument.type == "block") {
    value = written(argument.arguments);
  } else {
    value = "<" + argument.name + ">";
  }
  if (!argument.token.empty()) value = std::string(argument.token) + " " + value;
  return argument.multiple ? value + " [" + value + " ...]" : value;
}

std::string with_brackets(const Argument& argument) {
  const std::string out = without_brackets(argument);
  return argument.optional ? "[" + out + "]" : out;
}

}  // namespace

std::string written(std::span<const Argument> arguments) {
  std::string out;
  for (const Argument& argument : arguments) {
    if (!out.empty()) out += ' ';
    out += with_brackets(argument);
  }
  return out;
}

std::vector<Argument> parse_arguments(std::string_view text) { return Parser(text).arguments(); }

}  // namespace even
