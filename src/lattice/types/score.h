// Scores: what the members of a sorted set have for a value. A member is a scalar (see scalar.h)
// whose values are scores: what ZADD writes is a register, what ZINCRBY adds are counter entries.
//
// A score rests as the bytes of its IEEE double from the highest, without those at the end that are
// zero: 1 takes two bytes, 1000 three, none more than eight. There is one form for each number, and
// none for NaN. Commands write no negative zero.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lattice/types/scalar.h"

namespace even {

class ScoreBytes {
 public:
  // `score` is a number.
  explicit ScoreBytes(double score);
  std::string_view view() const { return {bytes_, size_}; }

 private:
  char bytes_[sizeof(double)];
  std::uint8_t size_;
};

// The score in `bytes`, which is_score() has found to be one.
double score_in(std::string_view bytes);
bool is_score(std::string_view bytes);

// An instant that rests as a score: Unix time in milliseconds. What is none, or beyond 2^53, is
// taken for the nearest that is.
std::int64_t instant_in(std::string_view bytes);
// The winner's of one that is live; see docs/field-expiry.md.
std::int64_t instant_of(const ScalarView& expiry);

// As Redis writes it: like printf's "%.17g". `buffer` holds it.
using ScoreBuffer = std::array<char, 32>;
std::string_view write_score(double score, ScoreBuffer& buffer);
std::string score_text(double score);
// Of a text that is a number and nothing else, by Redis's rules for scores: as strtod reads it,
// without space before it, and not NaN.
std::optional<double> parse_score(std::string_view text);

// What a reader sees of a member that is live: the register's winner with the live increments
// added. Increments of an infinite score are hidden until it is written or deleted.
double score_of(const ScalarView& member);
// The same before it is rounded to a double; nothing when it is infinite. 0 where there is no
// value.
std::optional<Real> exact_score_of(const ScalarView& member);

}  // namespace even
