// Contradictions between two operations on an object that only grows: a counter to which nothing
// negative is added, a string that is only appended to. They are found in log-linear time (and one
// search through the longest string for each append), need no search among orders, and are what a
// person understands best:
//  - something small was seen, or found, after something larger had been seen;
//  - two strings were read of which neither is the beginning of the other;
//  - an addition went past a value that was seen;
//  - what was appended before a read began is missing from what it returned.
// That there are none proves nothing.
#pragma once

#include <optional>

#include "verify/specification.h"

namespace even::verify {

// Two operations and why they cannot both be, in Problem::reason.
std::optional<Problem> find_contradiction(const Problem& problem);

}  // namespace even::verify
