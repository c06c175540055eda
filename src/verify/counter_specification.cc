// A counter: read; add, which may tell the sum. Sums wrap around, as they would in two's
// complement.
#include <absl/container/btree_map.h>

#include "verify/specification.h"

namespace even::verify {
namespace {

std::int64_t plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

class Counter final : public Specification {
 public:
  explicit Counter(const Problem& problem) : Specification(problem), state_(problem.initial) {
    for (const Operation& operation : problem.operations) {
      grows_ &= operation.function != Function::kAdd || operation.a >= 0;
    }
    for (std::uint32_t i = 0; i < problem.operations.size(); ++i) count(i, 1);
  }

  bool allows(std::uint32_t operation) const override {
    const Operation& it = at(operation);
    if (it.any_result) return true;
    if (it.function == Function::kRead) return state_ == it.a;
    const std::int64_t sum = plus(state_, it.a);
    if (it.has_b && sum != it.b) return false;
    // A counter that only grows does not come back to what has to be seen yet.
    if (!grows_ || demand_.empty() || it.a == 0) return true;
    auto least = demand_.begin();
    if (it.has_b && least->first == state_ && least->second == 1) ++least;
    return least == demand_.end() || least->first >= sum;
  }

  bool harmless(std::uint32_t operation) const override {
    const Operation& it = at(operation);
    return !it.any_result && (it.function == Function::kRead || it.a == 0);
  }

  std::uint64_t apply(std::uint32_t operation) override {
    const Operation& it = at(operation);
    count(operation, -1);
    const std::int64_t before = state_;
    if (it.function == Function::kAdd) state_ = plus(state_, it.a);
    return static_cast<std::uint64_t>(before);
  }

  void undo(std::uint32_t operation, std::uint64_t token) override {
    count(operation, 1);
    state_ = static_cast<std::int64_t>(token);
  }

  Hash128 state() const override { return hash_of(static_cast<std::uint64_t>(state_), 2); }
  std::string state_text() const override { return std::to_string(state_); }
  bool blind(std::uint32_t) const override { return false; }

 private:
  // What the operation has to find, if that is known.
  void count(std::uint32_t operation, int by) {
    const Operation& it = at(operation);
    if (!grows_ || it.any_result || (it.function == Function::kAdd && !it.has_b)) return;
    const std::int64_t finds = it.function == Function::kRead ? it.a : plus(it.b, -it.a);
    const auto entry = demand_.try_emplace(finds, 0).first;
    entry->second += by;
    if (entry->second == 0) demand_.erase(entry);
  }

  std::int64_t state_;
  bool grows_ = true;
  absl::btree_map<std::int64_t, int> demand_;
};

}  // namespace

std::unique_ptr<Specification> make_counter(const Problem& problem) {
  return std::make_unique<Counter>(problem);
}

}  // namespace even::verify
