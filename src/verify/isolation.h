// Decides whether a history of transactions has a property that is weaker than linearizability, by
// the axioms of Biswas and Enea (On the Complexity of Checking Transactional Consistency, OOPSLA
// 2019): there is one order of all transactions that respects the order of each session, who read
// from whom, and what the level says of versions. Of these levels that order need not be searched:
// what it must respect is a set of pairs, and there is such an order exactly if they form no cycle.
//
//   read-committed  after a transaction has read from T, it reads no version of a key that T has
//                   written that comes before T's
//   read-atomic     it reads no version before that of any transaction that it has read from at
//                   all, or that precedes it in its session
//   causal          nor of any that comes before it through any number of such steps
//   session         of each key by itself: read your writes, monotonic reads, monotonic writes,
//                   writes follow reads (Terry et al., PDIS 1994)
//
// Time: linear in accesses times sessions for causal (Møldrup and Pavlogiannis, AWDIT, PLDI 2025,
// has the idea: of each session only the last writer counts that comes before), near linear for the
// others.
//
//   sequential      each transaction seems to be executed alone, in one order that respects the
//                   sessions' (Lamport, 1979; of transactions: serializable in session order).
//                   That is NP-complete: a search, bounded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "verify/search.h"
#include "verify/transactions.h"

namespace even::verify {

enum class Property : std::uint8_t {
  kReadCommitted,
  kReadAtomic,
  kCausal,
  kSession,
  kSequential,
};

struct IsolationResult {
  Verdict verdict = Verdict::kHolds;
  // kViolated: which transactions, and why they have no order; lines, for people.
  std::string explanation;
};

IsolationResult check_isolation(const TransactionHistory& history, Property property,
                                const Limits& limits);

// Of a history of registers: whether reads that began after all writes of their key had ended, and
// that no read of their process follows, have returned the same. What was still open at the end
// makes its key undecided.
IsolationResult check_convergence(const History& history);

}  // namespace even::verify
