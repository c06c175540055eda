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

std::vector<Problem> split_by_key(const History& history) {
  std::vector<Problem> problems(history.keys.size());
  std::vector<std::size_t> sizes(history.keys.size());
  for (const Operation& operation : history.operations) ++sizes[operation.key];
  const std::int64_t initial = history.model == Model::kCounter ? 0 : kNull;
  for (std::size_t key = 0; key < problems.size(); ++key) {
    problems[key].history = &history;
    problems[key].initial = initial;
    problems[key].operations.reserve(sizes[key]);
  }
  for (const Operation& operation : history.operations) {
    problems[operation.key].operations.push_back(operation);
  }
  std::erase_if(problems, [](const Problem& problem) { return problem.operations.empty(); });
  return problems;
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
