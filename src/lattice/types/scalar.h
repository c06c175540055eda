// The lattice behind a Redis string and behind one field of a Redis hash: a last-writer-wins
// register plus counters.
//
// Every write of a value replaces what its writer had seen; concurrent writes are all kept (so that
// a later delete removes exactly what it saw) and the one with the highest (hybrid logical time,
// dot) is what a reader gets. Increments do not rewrite the value: they are counter entries that
// are added to it, so concurrent increments add up, also to a concurrent SET of a number.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "lattice/delta.h"
#include "lattice/dot_store.h"
#include "lattice/hlc.h"
#include "lattice/types/counter.h"

namespace even {

struct Sibling {
  Dot dot;
  Hlc time;
  std::string value;

  Sibling& operator=(const SiblingView& view);
};

// The form that can be changed. In memory a scalar rests in a ScalarCell or in a PackedElements,
// which have shorter forms for the common ones.
struct Scalar {
  bool empty() const { return siblings.empty() && integers.empty() && reals.empty(); }
  void drop_residue();
  Footprint footprint() const;

  DotStore<Sibling> siblings;
  Counter<std::int64_t> integers;
  Counter<Real> reals;
};

// A scalar as a reader sees it, wherever it rests; by default one that is not there. Views what it
// was made from.
class ScalarView {
 public:
  ScalarView() = default;
  ScalarView(const SiblingView& value) : form_(value) {}
  ScalarView(const CounterEntry<std::int64_t>& tally) : form_(tally) {}
  ScalarView(const Scalar& scalar) : form_(&scalar) {}

  bool empty() const { return full() != nullptr ? full()->empty() : form_.index() == 0; }
  // True when there is a value for a reader.
  bool live() const { return sibling_count() > 0 || has_live_counters(); }
  bool has_residue() const { return integers().has_residue() || reals().has_residue(); }
  bool has_counters() const { return !integers().empty() || !reals().empty(); }
  bool has_live_counters() const { return integers().live() || reals().live(); }

  std::size_t sibling_count() const;
  template <typename Visit>
  void for_each_sibling(Visit visit) const {
    if (const auto* value = std::get_if<SiblingView>(&form_)) visit(*value);
    if (const Scalar* scalar = full()) {
      for (const Sibling& s : scalar->siblings) visit(SiblingView{s.dot, s.time, s.value, 0});
    }
  }
  // No longer than this view.
  CounterView<std::int64_t> integers() const;
  CounterView<Real> reals() const;

  // The only thing there is, when that is one entry of integers; else null.
  const CounterEntry<std::int64_t>* tally() const {
    return std::get_if<CounterEntry<std::int64_t>>(&form_);
  }

  // The same when that is one value.
  const SiblingView* only_value() const { return std::get_if<SiblingView>(&form_); }

  // The register's winner, if there is one.
  std::optional<SiblingView> winner() const;
  // What a reader sees: the winner with the live increments added; or, of several values that are
  // all HyperLogLogs, their union. `scratch` holds the text when it must be computed. Where the
  // winner is not a number the increments stay hidden until the value is written or deleted.
  // Undefined unless live().
  std::string_view value(std::string& scratch) const;
  // The same as a number, in full precision; nothing when it is not one.
  std::optional<Real> number() const;

  // A copy that can be changed.
  Scalar copy() const;

 private:
  const Scalar* full() const {
    const auto* scalar = std::get_if<const Scalar*>(&form_);
    return scalar == nullptr ? nullptr : *scalar;
  }

  // One value and no counters; one entry of integers and no value; anything.
  std::variant<std::monostate, SiblingView, CounterEntry<std::int64_t>, const Scalar*> form_;
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
