#include "lattice/types/scalar_cell.h"

#include <limits>
#include <new>
#include <string>

#include "lattice/compact_dot.h"

namespace even {

struct ScalarCell::Value {
  std::uint64_t dot;
  Hlc time;
  char* bytes() { return reinterpret_cast<char*>(this + 1); }
};

struct ScalarCell::Tally {
  std::uint64_t dot;
  std::int64_t sum;
  std::uint64_t removed_seq;
  std::int64_t removed_sum;
};

namespace {

// What an allocator gives out for `bytes`: values that take as much can take each other's place.
constexpr std::size_t rounded(std::size_t bytes) { return (bytes + 15) & ~std::size_t{15}; }

}  // namespace

ScalarView ScalarCell::view() const {
  if (pointer_.null()) return {};
  switch (pointer_.tag()) {
    case kValue: {
      auto* value = pointer_.get<Value>();
      return SiblingView{
          CompactDot::from_bits(value->dot).dot(), value->time, {value->bytes(), size_}, 0};
    }
    case kTally: {
      const auto* tally = pointer_.get<Tally>();
      const Dot dot = CompactDot::from_bits(tally->dot).dot();
      return CounterEntry<std::int64_t>{dot.replica, dot.seq, tally->sum, tally->removed_seq,
                                        tally->removed_sum};
    }
    case kFull:
      return *pointer_.get<Scalar>();
  }
  return {};
}

bool ScalarCell::live() const {
  if (pointer_.null()) return false;
  switch (pointer_.tag()) {
    case kValue:
      return true;
    case kTally: {
      const auto* tally = pointer_.get<Tally>();
      return CompactDot::from_bits(tally->dot).seq() > tally->removed_seq;
    }
    default:
      return view().live();
  }
}

Footprint ScalarCell::footprint() const {
  if (pointer_.null()) return {};
  Footprint all{block_bytes(pointer_.get<void>()), 0};
  switch (pointer_.tag()) {
    case kValue:
      all.metadata = sizeof(Value);
      break;
    case kTally:
      all.metadata = sizeof(Tally) - sizeof(Tally::sum);
      break;
    case kFull:
      all += pointer_.get<Scalar>()->footprint();
      break;
  }
  return all;
}

std::string_view ScalarCell::form() const {
  return pointer_.tag() == kValue ? "value" : pointer_.tag() == kTally ? "counter" : "general";
}

void ScalarCell::clear() {
  if (pointer_.null()) return;
  switch (pointer_.tag()) {
    case kValue:
      ::operator delete(pointer_.get<Value>());
      break;
    case kTally:
      delete pointer_.get<Tally>();
      break;
    case kFull:
      delete pointer_.get<Scalar>();
      break;
  }
  pointer_ = {};
}

bool ScalarCell::assign_value(const SiblingView& value) {
  const auto dot = CompactDot::make(value.dot);
  if (!dot || value.value.size() > std::numeric_limits<std::uint32_t>::max()) return false;
  const std::size_t bytes = sizeof(Value) + value.value.size();
  Value* block;
  if (!pointer_.null() && pointer_.tag() == kValue &&
      rounded(sizeof(Value) + size_) == rounded(bytes)) {
    block = pointer_.get<Value>();
    std::char_traits<char>::move(block->bytes(), value.value.data(), value.value.size());
  } else {
    block = static_cast<Value*>(::operator new(rounded(bytes)));
    value.value.copy(block->bytes(), value.value.size());
    clear();
    pointer_ = {block, kValue};
  }
  block->dot = dot->bits();
  block->time = value.time;
  size_ = static_cast<std::uint32_t>(value.value.size());
  return true;
}

bool ScalarCell::assign_tally(const CounterEntry<std::int64_t>& entry) {
  const auto dot = CompactDot::make({entry.replica, entry.seq});
  if (!dot) return false;
  if (pointer_.null() || pointer_.tag() != kTally) {
    clear();
    pointer_ = {new Tally, kTally};
  }
  *pointer_.get<Tally>() = {dot->bits(), entry.sum, entry.removed_seq, entry.removed_sum};
  return true;
}

void ScalarCell::assign(const SiblingView& value) {
  if (assign_value(value)) return;
  Scalar full;
  full.siblings.emplace_back() = value;
  clear();
  pointer_ = {new Scalar(std::move(full)), kFull};
}

void ScalarCell::assign(const CounterEntry<std::int64_t>& tally) {
  if (!assign_tally(tally)) assign(ScalarView(tally).copy());
}

void ScalarCell::assign(Scalar&& scalar) {
  if (scalar.empty()) return clear();
  if (scalar.siblings.size() == 1 && scalar.integers.empty() && scalar.reals.empty()) {
    const Sibling& only = scalar.siblings[0];
    if (assign_value({only.dot, only.time, only.value, 0})) return;
  }
  if (scalar.siblings.empty() && scalar.integers.entries().size() == 1 && scalar.reals.empty()) {
    if (assign_tally(scalar.integers.entries()[0])) return;
  }
  Scalar* full = new Scalar(std::move(scalar));
  clear();
  pointer_ = {full, kFull};
}

}  // namespace even
