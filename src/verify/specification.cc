#include "verify/specification.h"

#include <tuple>

namespace even::verify {
namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
// OOPSLA 2014).
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27;
  x *= 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

Hash128 hash_of(std::uint64_t number, std::uint64_t kind) {
  const std::uint64_t seed = mix(number + 0x9e3779b97f4a7c15 * (kind + 1));
  return {mix(seed ^ 0xd1b54a32d192ed03), mix(seed + 0x8cb92ba72f3d8dd7 + kind)};
}

ByKey::ByKey(const History& history) : history_(history), begins_(history.keys.size() + 1) {
  for (const Operation& operation : history.operations) ++begins_[operation.key + 1];
  for (std::size_t key = 1; key < begins_.size(); ++key) begins_[key] += begins_[key - 1];
  std::vector<std::size_t> next(begins_.begin(), begins_.end() - 1);
  operations_.resize(history.operations.size());
  for (std::uint32_t i = 0; i < history.operations.size(); ++i) {
    operations_[next[history.operations[i].key]++] = i;
  }
}

Problem ByKey::problem(std::size_t key) const {
  Problem problem{.history = &history_,
                  .operations = {},
                  .initial = history_.model == Model::kCounter ? 0 : kNull,
                  .reason = {}};
  problem.operations.reserve(begins_[key + 1] - begins_[key]);
  for (std::size_t i = begins_[key]; i < begins_[key + 1]; ++i) {
    problem.operations.push_back(history_.operations[operations_[i]]);
  }
  return problem;
}

Specification::Specification(const Problem& problem) : problem_(problem) {
  absl::flat_hash_map<std::tuple<Function, Outcome, bool, bool, std::int64_t, std::int64_t>,
                      std::uint32_t>
      known;
  classes_.reserve(problem.operations.size());
  for (const Operation& operation : problem.operations) {
    // An open operation has the effect of one that is ok.
    const Outcome outcome =
        operation.outcome == Outcome::kMismatch ? Outcome::kMismatch : Outcome::kOk;
    const auto [entry, is_new] =
        known.try_emplace(std::tuple(operation.function, outcome, operation.has_b,
                                     operation.any_result, operation.a, operation.b),
                          class_count_);
    if (is_new) ++class_count_;
    classes_.push_back(entry->second);
  }
}

std::unique_ptr<Specification> make_specification(const Problem& problem) {
  switch (problem.model()) {
    case Model::kRegister:
      return make_register(problem);
    case Model::kAppend:
      return make_append(problem);
    case Model::kCounter:
      return make_counter(problem);
    case Model::kSet:
      return make_set(problem);
  }
  return nullptr;
}

}  // namespace even::verify
