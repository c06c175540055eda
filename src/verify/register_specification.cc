// A register: read, write, compare-and-set.
#include "verify/specification.h"

namespace even::verify {
namespace {

class Register final : public Specification {
 public:
  explicit Register(const Problem& problem) : Specification(problem) {
    state_ = row(problem.initial);
    a_.reserve(problem.operations.size());
    b_.reserve(problem.operations.size());
    for (const Operation& operation : problem.operations) {
      const bool is_cas = operation.function == Function::kCas;
      any_result_ |= operation.any_result;
      a_.push_back(row(operation.a));
      b_.push_back(is_cas ? row(operation.b) : 0);
    }
    for (std::uint32_t i = 0; i < problem.operations.size(); ++i) count(i, 1);
  }

  bool allows(std::uint32_t operation) const override {
    const Operation& it = at(operation);
    if (it.any_result) return true;
    const std::uint32_t a = a_[operation];
    if (it.function == Function::kRead) return state_ == a;
    const bool is_cas = it.function == Function::kCas;
    if (is_cas && it.outcome == Outcome::kMismatch) return state_ != b_[operation];
    if (is_cas && state_ != b_[operation]) return false;
    if (it.open() && (a == state_ || !useful(a))) return false;
    if (a == state_) return true;
    // What has to be seen of the state that this leaves must come yet, or have a writer left.
    const Value& left = values_[state_];
    const bool is_seen_by_this = is_cas && !it.open();
    return left.demand == (is_seen_by_this ? 1U : 0U) || left.writers > 0;
  }

  bool harmless(std::uint32_t operation) const override {
    const Operation& it = at(operation);
    return !it.any_result && (it.function == Function::kRead || it.outcome == Outcome::kMismatch ||
                              (it.function == Function::kCas && a_[operation] == b_[operation]));
  }

  std::uint64_t apply(std::uint32_t operation) override {
    const std::uint64_t token = state_;
    count(operation, -1);
    if (writes(operation)) state_ = a_[operation];
    return token;
  }

  void undo(std::uint32_t operation, std::uint64_t token) override {
    count(operation, 1);
    state_ = static_cast<std::uint32_t>(token);
  }

  Hash128 state() const override { return hash_of(state_, 1); }
  std::string state_text() const override {
    return value_text(*problem().history, values_[state_].value);
  }
  bool blind(std::uint32_t operation) const override {
    return at(operation).function == Function::kWrite;
  }

 private:
  // What operations that have not taken effect yet have to do with a value.
  struct Value {
    std::int64_t value = 0;
    std::uint32_t demand = 0;      // they certainly saw it
    std::uint32_t writers = 0;     // they write it, or may
    std::uint32_t open_cas = 0;    // they replace it, or may
    std::uint32_t mismatches = 0;  // they certainly saw another one
  };

  bool writes(std::uint32_t operation) const {
    const Operation& it = at(operation);
    return !it.any_result && it.function != Function::kRead && it.outcome != Outcome::kMismatch;
  }

  // There is no reason to let an open operation write what nobody looks at, except to get rid of
  // what the register holds.
  bool useful(std::uint32_t value) const {
    return any_result_ || values_[value].demand > 0 || values_[value].open_cas > 0 ||
           values_[state_].mismatches > 0;
  }

  void count(std::uint32_t operation, int by) {
    const Operation& it = at(operation);
    if (it.any_result) return;
    const auto add = [by](std::uint32_t& number) { number += static_cast<std::uint32_t>(by); };
    if (writes(operation)) add(values_[a_[operation]].writers);
    if (it.function == Function::kRead) add(values_[a_[operation]].demand);
    if (it.function == Function::kCas) {
      Value& old = values_[b_[operation]];
      add(it.outcome == Outcome::kMismatch ? old.mismatches
          : it.open()                      ? old.open_cas
                                           : old.demand);
    }
  }

  std::uint32_t row(std::int64_t value) {
    const auto [entry, is_new] =
        rows_.try_emplace(value, static_cast<std::uint32_t>(values_.size()));
    if (is_new) values_.push_back({.value = value});
    return entry->second;
  }

  absl::flat_hash_map<std::int64_t, std::uint32_t> rows_;
  std::vector<Value> values_;
  std::vector<std::uint32_t> a_;  // rows of the operations' values
  std::vector<std::uint32_t> b_;
  std::uint32_t state_;
  bool any_result_ = false;  // some read has that
};

}  // namespace

std::unique_ptr<Specification> make_register(const Problem& problem) {
  return std::make_unique<Register>(problem);
}

}  // namespace even::verify
