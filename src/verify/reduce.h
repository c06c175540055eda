// Makes the counter-example of a violation small enough for people, within a given time: what is
// left has no order either, and follows from the whole history, so that looking at it is enough.
//
// What may be left out is what cannot be missed: if the whole has an order, so has the rest.
//  - What ended after some moment never ended, and what began after it never began: an order of the
//    whole has an order of that at its beginning.
//  - Whatever only looks: reads, contains, a compare-and-set that found another value.
//  - A write whose value nobody who is left can have seen: nobody saw such a value at all, or
//    between the write's end and the beginning of whoever did lies something that is left and
//    proves that the value was gone, another write or the sight of another value; or whoever did
//    ended before the write began. Those who saw *another* value than some must not see the write
//    either, in the same sense: without it they might find what they did not find.
//  - Of a string that is only appended to, all up to one read: what it returned is what the string
//    is at first, and what it holds did happen before. Likewise of a counter that only grows and
//    whose additions returned the sum.
#pragma once

#include <chrono>

#include "verify/specification.h"

namespace even::verify {

// `violation` has no order. Stops early at the deadline.
Problem reduce(Problem violation, std::chrono::steady_clock::time_point deadline);

}  // namespace even::verify
