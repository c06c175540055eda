// Decides whether a history is linearizable (Herlihy and Wing, Linearizability: A Correctness
// Condition for Concurrent Objects, TOPLAS 12(3), 1990): every operation seems to take effect at
// one moment between its invocation and its completion. A history is linearizable exactly if it is
// so for each key (their theorem 1), so keys are decided one by one.
//
//  - Registers into which no value is written twice: unique_register.h, log-linear.
//  - Sets that are never read as a whole: each element by itself.
//  - Strings and counters that only grow: what growing.h finds first, then search.h.
//  - Everything else: search.h, bounded. Sets that are read as a whole are looked at element by
//    element first, which finds most violations at once.
#pragma once

#include <optional>

#include "verify/search.h"

namespace even::verify {

struct CheckOptions {
  Limits limits;
  // Called now and then with how many operations are decided, of how many; may be empty.
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

struct CheckResult {
  Verdict verdict = Verdict::kHolds;
  // kViolated: operations on one key that have no order, for which all others do not matter.
  std::optional<Problem> violation;
  std::size_t undecided_keys = 0;  // kUndecided
  std::string first_undecided;     // one of them
};

CheckResult check_linearizable(const History& history, const CheckOptions& options);

// One key. `witness`, if any, is set for kViolated to a part of the operations that has no order
// either, as far as that is known without further effort.
Verdict decide(const Problem& problem, const Limits& limits, Problem* witness = nullptr);

}  // namespace even::verify
