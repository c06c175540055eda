// The lattice behind a Redis string and behind one field of a Redis hash: a last-writer-wins
// register plus counters.
//
// Every write of a value replaces what its writer had seen; concurrent writes are all kept (so that
// a later delete removes exactly what it saw) and the one with the highest (hybrid logical time,
// dot) is what a reader gets. Increments do not rewrite the value: they are counter entries that
// are added to it, so concurrent increments add up, also to a concurrent SET of a number.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lattice/counter.h"
#include "lattice/dot_store.h"
#include "lattice/hlc.h"

namespace even {

struct SiblingView;

struct Sibling {
  Dot dot;
  Hlc time;
  std::string value;

  Sibling& operator=(const SiblingView& view);
};

class Scalar {
 public:
  struct Counters {
    Counter<std::int64_t> integers;
    Counter<Real> reals;
    bool empty() const { return integers.empty() && reals.empty(); }
  };

  // True when there is a value for a reader.
  bool live() const {
    return !siblings.empty() || (counters && (counters->integers.live() || counters->reals.live()));
  }
  bool empty() const { return siblings.empty() && counters == nullptr; }
  bool has_residue() const {
    return counters && (counters->integers.has_residue() || counters->reals.has_residue());
  }
  bool has_live_counters() const {
    return counters && (counters->integers.live() || counters->reals.live());
  }
  // The register's winner, or null.
  const Sibling* winner() const;
  // What a reader sees: the winner with the live increments added. `scratch` holds the text when it
  // must be computed. Where the winner is not a number the increments stay hidden until the value
  // is written or deleted. Undefined unless live().
  std::string_view value(std::string& scratch) const;
  // The same as a number, in full precision; nothing when it is not one.
  std::optional<Real> number() const;

  Counters& mutable_counters() {
    if (!counters) counters = std::make_unique<Counters>();
    return *counters;
  }
  void drop_residue();

  DotStore<Sibling> siblings;
  std::unique_ptr<Counters> counters;  // null while no increment was ever made
};

// Redis's rules for numbers in text. An integer is canonical decimal (no spaces, plus sign or
// leading zeros) within 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text);
// A number, maybe an infinite one, in any form that strtold accepts, with nothing around it.
std::optional<long double> parse_long_double(std::string_view text);
// The same when it is finite.
std::optional<Real> parse_real(std::string_view text);
// Fixed notation with up to 17 decimals and no trailing zeros.
std::string format_real(Real value);

}  // namespace even
