#include "engine/glob.h"

#include <utility>

#include "engine/text.h"

namespace even {
namespace {

// Matches one byte against the element of the pattern that starts at `at`, which is not a star, and
// moves `at` past the element. A class without its closing bracket ends with the pattern; a
// backslash at the very end stands for itself.
bool match_element(std::string_view pattern, std::size_t& at, char byte, bool ignore_case) {
  const auto fold = [ignore_case](char c) {
    return static_cast<unsigned char>(ignore_case ? to_lower(c) : c);
  };
  const unsigned char wanted = fold(byte);
  const char first = pattern[at++];
  if (first == '?') return true;
  if (first == '\\' && at < pattern.size()) return fold(pattern[at++]) == wanted;
  if (first != '[') return fold(first) == wanted;

  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      found |= pattern[++at] == byte;
    } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      unsigned char low = fold(pattern[at]);
      unsigned char high = fold(pattern[at + 2]);
      if (low > high) std::swap(low, high);
      found |= low <= wanted && wanted <= high;
      at += 2;
    } else {
      found |= fold(pattern[at]) == wanted;
    }
  }
  if (at < pattern.size()) ++at;  // the closing bracket
  return found != negated;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case) {
  // Redis lets stars match nothing behind other text, but nothing at all only by an empty pattern.
  if (text.empty()) return pattern.empty();
  // Where to resume when what follows the last star fails: only the last one ever needs to give.
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t star = kNone;
  std::size_t star_text = 0;
  std::size_t p = 0;
  std::size_t t = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_text = t;
      continue;
    }
    std::size_t next = p;
    if (p < pattern.size() && match_element(pattern, next, text[t], ignore_case)) {
      p = next;
      ++t;
      continue;
    }
    if (star == kNone) return false;
    p = star;
    t = ++star_text;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace even
