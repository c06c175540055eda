// Decides registers into which no value is written twice, in log-linear time: Gibbons and Korach,
// Testing Shared Memories, SIAM Journal on Computing 26(4), 1997, section 4 ("read-mapping"), with
// compare-and-set and open operations added.
//
// Whoever read a value tells which operation wrote it. All operations on one value are together in
// any order that explains the history, and a compare-and-set puts the values that it names one
// behind the other without anything between them: they form a chain. So an order exists exactly if
//  - each chain can be ordered within itself: who wrote a value before who read it, before who
//    replaced it; and
//  - the chains can be put one behind the other: there are no two of which each has an operation
//    that ended before one of the other began. (Longer cycles always contain such a pair: let A be
//    the chain with the latest invocation; each chain of the cycle ends an operation before another
//    chain's latest invocation, which is no later than A's, so it precedes A; and A precedes its
//    successor.)
// A chain between whose first end and last beginning lies a stretch of time holds the register for
// all of it; two such chains must not overlap, and no other chain may lie within one entirely.
//
// An open operation counts as soon as somebody saw its value, and never ends. Compare-and-sets that
// found another value are no part of a chain: that the register held the value for all of their
// time, whatever the order, is found here; otherwise search.h has to find an order that suits all
// of them, for which it is given the order that was found without them.
#pragma once

#include <cstdint>
#include <vector>

#include "verify/specification.h"

namespace even::verify {

struct UniqueRegister {
  enum class Answer : std::uint8_t {
    kNotUnique,    // nothing was decided
    kHolds,        // there is an order
    kViolated,     // there is none, for the sake of `witness` alone
    kHoldsWithout  // there is one for all but those that found another value; it gave the ranks
  };
  Answer answer = Answer::kNotUnique;
  // Operations, some of them `only_writes`, that have no order; by their invocations.
  std::vector<Operation> witness;
  std::vector<std::uint32_t> ranks;  // see search()
};

// Of a problem of Model::kRegister.
UniqueRegister decide_unique_register(const Problem& problem);

}  // namespace even::verify
