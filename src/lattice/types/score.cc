#include "lattice/types/score.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

#include "base/mutant.h"

namespace even {

ScoreBytes::ScoreBytes(double score) : size_(0) {
  const auto bits = std::bit_cast<std::uint64_t>(score);
  for (std::uint8_t i = 0; i < sizeof bits; ++i) {
    bytes_[i] = static_cast<char>(bits >> (56 - 8 * i));
    if (bytes_[i] != 0) size_ = static_cast<std::uint8_t>(i + 1);
  }
}

double score_in(std::string_view bytes) {
  std::uint64_t bits = 0;
  int shift = 56;
  for (const char byte : bytes) {
    bits |= std::uint64_t{static_cast<unsigned char>(byte)} << shift;
    shift -= 8;
  }
  return std::bit_cast<double>(bits);
}

bool is_score(std::string_view bytes) {
  if (bytes.size() > sizeof(double) || (!bytes.empty() && bytes.back() == 0)) return false;
  return !std::isnan(score_in(bytes));
}

namespace {
std::int64_t nearest_instant(double score) {
  constexpr double kLast = 9007199254740992;  // 2^53
  return static_cast<std::int64_t>(std::clamp(score, 0.0, kLast));
}
}  // namespace

std::int64_t instant_in(std::string_view bytes) { return nearest_instant(score_in(bytes)); }

std::int64_t instant_of(const ScalarView& expiry) { return nearest_instant(score_of(expiry)); }

std::string_view write_score(double score, ScoreBuffer& buffer) {
  if (std::isinf(score)) return score > 0 ? "inf" : "-inf";
  // Below this an integer has no exponent, and is written much faster.
  constexpr double kPlain = 1e15;
  char* end = nullptr;
  if (score > -kPlain && score < kPlain && score == std::trunc(score) &&
      !(score == 0 && std::signbit(score))) {
    end = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                        static_cast<std::int64_t>(score))
              .ptr;
  } else {
    end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), score,
                        std::chars_format::general, 17)
              .ptr;
  }
  return {buffer.data(), end};
}

std::string score_text(double score) {
  ScoreBuffer buffer;
  return std::string(write_score(score, buffer));
}

std::optional<double> parse_score(std::string_view text) {
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) != 0) return std::nullopt;
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && read == end && std::isfinite(value)) return value;
  // Hexadecimal, a plus sign, infinity, and what is too large or too small.
  const std::string copy(text);
  char* stop = nullptr;
  errno = 0;
  value = std::strtod(copy.c_str(), &stop);
  if (stop != copy.c_str() + copy.size() || std::isnan(value)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return std::nullopt;
  return value;
}

namespace {

std::optional<SiblingView> register_of(const ScalarView& member) {
  if (!EVEN_MUTANT(kScoreOfOlder)) return member.winner();
  std::optional<SiblingView> oldest;
  member.for_each_sibling([&oldest](const SiblingView& sibling) {
    if (!oldest || sibling.time < oldest->time) oldest = sibling;
  });
  return oldest;
}

}  // namespace

std::optional<Real> exact_score_of(const ScalarView& member) {
  Real total = 0;
  if (const std::optional<SiblingView> base = register_of(member)) {
    const double score = score_in(base->value);
    if (!std::isfinite(score)) return std::nullopt;
    total = static_cast<Real>(score);
  }
  if (EVEN_MUTANT(kScoreWithoutIncrements)) return total;
  total = wrapping_add(total, static_cast<Real>(member.integers().value()));
  return wrapping_add(total, member.reals().value());
}

double score_of(const ScalarView& member) {
  if (const auto* tally = member.tally()) return static_cast<double>(tally->value());
  if (member.has_live_counters()) {
    if (const std::optional<Real> exact = exact_score_of(member)) {
      return static_cast<double>(*exact);
    }
  }
  const std::optional<SiblingView> base = register_of(member);
  return base ? score_in(base->value) : 0;
}

}  // namespace even
