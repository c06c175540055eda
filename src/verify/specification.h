// What one object does when operations take effect one after another: the sequential specification
// that a history is compared with. An object of this kind has one state, which the search of
// search.h moves forward and back.
//
// It may also know that some way of going on leads nowhere, and then forbids it: what has to be
// seen yet and can no more be written. That spares the search most of its errors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "verify/history.h"

namespace even::verify {

// Operations on one key, by their invocations, and what the key holds before any of them: a value,
// or the number of a counter. `history` outlives it and has the values.
struct Problem {
  const History* history = nullptr;
  std::vector<Operation> operations;
  std::int64_t initial = kNull;
  // Of a violation that needs no search: why it is one, in words. The operations are then as few as
  // can be, and what else there is on the key is taken as given.
  std::string reason;

  Model model() const { return history->model; }
};

// Finds the operations of each key in a history, which outlives it and does not change.
class ByKey {
 public:
  explicit ByKey(const History& history);
  std::size_t keys() const { return begins_.size() - 1; }
  // `key` is a row of History::keys; keys have operations, or none.
  Problem problem(std::size_t key) const;

 private:
  const History& history_;
  std::vector<std::uint32_t> operations_;  // rows, those of a key one behind the other
  std::vector<std::size_t> begins_;        // of each key
};

// Identifies a state or a set of operations; that two differ and have the same is as likely as 2 to
// the power of -128.
struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  Hash128& operator^=(const Hash128& other) {
    low ^= other.low;
    high ^= other.high;
    return *this;
  }
  bool operator==(const Hash128&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Hash128& hash) {
    return H::combine(std::move(h), hash.low);
  }
};

// Of a number; `kind` keeps numbers of different meanings apart.
Hash128 hash_of(std::uint64_t number, std::uint64_t kind);

class Specification {
 public:
  virtual ~Specification() = default;

  // Operations are named by their rows in Problem::operations.

  // It can take effect now with the result that it had, and does not make the rest impossible.
  virtual bool allows(std::uint32_t operation) const = 0;
  // If it is allowed now, having it take effect now closes no way that was open: it never changes
  // a state, or nothing that follows could mind.
  virtual bool harmless(std::uint32_t operation) const = 0;
  // It takes effect; the result undoes that, latest first.
  virtual std::uint64_t apply(std::uint32_t operation) = 0;
  virtual void undo(std::uint32_t operation, std::uint64_t token) = 0;
  virtual Hash128 state() const = 0;
  virtual std::string state_text() const = 0;

  // The state that it leaves does not depend on the one that it finds.
  virtual bool blind(std::uint32_t operation) const = 0;
  // Operations of one class do the same in every state and return the same.
  std::uint32_t effect_class(std::uint32_t operation) const { return classes_[operation]; }
  std::uint32_t classes() const { return class_count_; }

 protected:
  explicit Specification(const Problem& problem);
  const Operation& at(std::uint32_t operation) const { return problem_.operations[operation]; }
  const Problem& problem() const { return problem_; }

 private:
  const Problem& problem_;
  std::vector<std::uint32_t> classes_;
  std::uint32_t class_count_ = 0;
};

// `problem` must outlive it.
std::unique_ptr<Specification> make_specification(const Problem& problem);

// One for each model, in files of their own.
std::unique_ptr<Specification> make_register(const Problem& problem);
std::unique_ptr<Specification> make_append(const Problem& problem);
std::unique_ptr<Specification> make_counter(const Problem& problem);
std::unique_ptr<Specification> make_set(const Problem& problem);

}  // namespace even::verify
