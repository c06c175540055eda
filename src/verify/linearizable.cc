#include "verify/linearizable.h"

#include <algorithm>
#include <numeric>

#include "verify/growing.h"
#include "verify/unique_register.h"

namespace even::verify {
namespace {

// So many steps are few enough to be spent on each key before any gets more.
constexpr std::uint64_t kFirstSteps = 2'000'000;

Verdict decide_register(const Problem& problem, const Limits& limits, Problem* witness) {
  UniqueRegister unique = decide_unique_register(problem);
  switch (unique.answer) {
    case UniqueRegister::Answer::kHolds:
      return Verdict::kHolds;
    case UniqueRegister::Answer::kViolated:
      if (witness != nullptr)
        *witness = {problem.history, std::move(unique.witness), problem.initial, {}};
      return Verdict::kViolated;
    case UniqueRegister::Answer::kNotUnique:
    case UniqueRegister::Answer::kHoldsWithout:
      break;
  }
  const Verdict verdict = search(problem, limits, unique.ranks);
  if (verdict == Verdict::kViolated && witness != nullptr) *witness = problem;
  return verdict;
}

// What the operations say of each element, as operations on that alone.
std::vector<Problem> split_by_element(const Problem& problem) {
  const auto& sets = problem.history->sets;
  absl::flat_hash_map<std::int64_t, std::size_t> rows;
  std::vector<Problem> elements;
  for (const Operation& operation : problem.operations) {
    if (operation.function == Function::kRead || rows.contains(operation.a)) continue;
    rows.emplace(operation.a, elements.size());
    elements.push_back({problem.history, {}, problem.initial, {}});
  }
  for (const Operation& operation : problem.operations) {
    if (operation.function != Function::kRead) {
      elements[rows.at(operation.a)].operations.push_back(operation);
      continue;
    }
    const auto& present = sets[static_cast<std::size_t>(operation.a)];
    Operation contains = operation;
    contains.function = Function::kContains;
    contains.has_b = true;
    for (const auto& [element, row] : rows) {
      contains.a = element;
      contains.b = std::ranges::binary_search(present, element);
      elements[row].operations.push_back(contains);
    }
    for (const std::int64_t element : present) {
      if (rows.contains(element)) continue;
      // Nobody added it: that alone is a violation.
      contains.a = element;
      contains.b = 1;
      elements.push_back({problem.history, {contains}, problem.initial, {}});
    }
  }
  return elements;
}

Verdict decide_set(const Problem& problem, const Limits& limits, Problem* witness) {
  const auto reads = std::ranges::count(problem.operations, Function::kRead, &Operation::function);
  // A limit on what the parts of all reads take: it is elements times reads.
  constexpr std::size_t kMostParts = 50'000'000;
  bool all_hold = true;
  if (reads == 0 || problem.operations.size() * static_cast<std::size_t>(reads) < kMostParts) {
    for (Problem& element : split_by_element(problem)) {
      const Verdict verdict = search(element, limits);
      if (verdict == Verdict::kViolated) {
        if (witness != nullptr) *witness = std::move(element);
        return verdict;
      }
      all_hold &= verdict == Verdict::kHolds;
    }
    if (reads == 0) return all_hold ? Verdict::kHolds : Verdict::kUndecided;
  }
  const Verdict verdict = search(problem, limits);
  if (verdict == Verdict::kViolated && witness != nullptr) *witness = problem;
  return verdict;
}

}  // namespace

Verdict decide(const Problem& problem, const Limits& limits, Problem* witness) {
  switch (problem.model()) {
    case Model::kRegister:
      return decide_register(problem, limits, witness);
    case Model::kSet:
      return decide_set(problem, limits, witness);
    case Model::kAppend:
    case Model::kCounter:
      if (auto contradiction = find_contradiction(problem)) {
        if (witness != nullptr) *witness = std::move(*contradiction);
        return Verdict::kViolated;
      }
      break;
  }
  const Verdict verdict = search(problem, limits);
  if (verdict == Verdict::kViolated && witness != nullptr) *witness = problem;
  return verdict;
}

CheckResult check_linearizable(const History& history, const CheckOptions& options) {
  const ByKey by_key(history);
  std::vector<std::size_t> keys(by_key.keys());
  std::iota(keys.begin(), keys.end(), std::size_t{0});
  CheckResult result;
  std::uint64_t decided = 0;
  // Decides what it can with `limits`; the rest stays. True if a violation was found.
  const auto pass = [&](Limits limits) {
    std::vector<std::size_t> rest;
    limits.progress = [&](std::uint64_t done, std::uint64_t) {
      if (options.progress) options.progress(decided + done, history.operations.size());
    };
    for (const std::size_t key : keys) {
      limits.progress(0, 0);
      const Problem problem = by_key.problem(key);
      Problem witness;
      switch (decide(problem, limits, &witness)) {
        case Verdict::kViolated:
          result.verdict = Verdict::kViolated;
          result.violation = std::move(witness);
          return true;
        case Verdict::kUndecided:
          rest.push_back(key);
          break;
        case Verdict::kHolds:
          decided += problem.operations.size();
          break;
      }
    }
    keys = std::move(rest);
    return false;
  };
  Limits first = options.limits;
  first.most_steps = std::min(first.most_steps, kFirstSteps);
  if (pass(first)) return result;
  if (!keys.empty() && first.most_steps < options.limits.most_steps && pass(options.limits)) {
    return result;
  }
  if (!keys.empty()) {
    result.verdict = Verdict::kUndecided;
    result.undecided_keys = keys.size();
    result.first_undecided = history.keys[keys.front()];
  }
  return result;
}

}  // namespace even::verify
