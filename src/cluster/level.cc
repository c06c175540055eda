#include "cluster/level.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace even::cluster {
namespace {

using Kind = Level::Kind;

constexpr std::pair<std::string_view, Level> kNames[] = {
    {"DEFAULT", {Kind::kDefault}},       {"ONE", {Kind::kOne}},
    {"TWO", {Kind::kReplicas, 2}},       {"THREE", {Kind::kReplicas, 3}},
    {"QUORUM", {Kind::kQuorum}},         {"ALL", {Kind::kAll}},
    {"SESSION", {Kind::kSession}},       {"CAUSAL", {Kind::kCausal}},
    {"SEQUENTIAL", {Kind::kSequential}}, {"LINEARIZABLE", {Kind::kLinearizable}},
};

bool equals(std::string_view word, std::string_view upper) {
  return std::ranges::equal(word, upper, [](char a, char b) {
    return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 'a' + 'A') : a) == b;
  });
}

bool read_number(std::string_view word, std::uint32_t& out) {
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, out);
  return error == std::errc() && stop == end;
}

}  // namespace

Result<LeadingLevel> leading_level(std::span<const std::string_view> words) {
  if (words.empty()) return fail("a level is missing");
  for (const auto& [name, level] : kNames) {
    if (equals(words[0], name)) return LeadingLevel{level, 1};
  }
  std::uint32_t number = 0;
  if (equals(words[0], "BOUNDED")) {
    if (words.size() < 2 || !read_number(words[1], number)) {
      return fail("BOUNDED needs milliseconds: BOUNDED 500");
    }
    return LeadingLevel{{Kind::kBounded, number}, 2};
  }
  if (read_number(words[0], number) && number > 0) {
    return LeadingLevel{number == 1 ? Level{Kind::kOne} : Level{Kind::kReplicas, number}, 1};
  }
  return fail(
      fmt::format("'{}' is no level: ONE, TWO, THREE, a number, QUORUM, ALL, SESSION, CAUSAL, "
                  "BOUNDED ms, SEQUENTIAL, LINEARIZABLE or DEFAULT",
                  words[0].substr(0, 64)));
}

std::string to_string(Level level) {
  if (level.kind == Kind::kBounded) return fmt::format("BOUNDED {}", level.number);
  for (const auto& [name, known] : kNames) {
    if (known == level) return std::string(name);
  }
  return std::to_string(level.number);
}

}  // namespace even::cluster
