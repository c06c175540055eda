// Decides whether the operations on one object can be put into one order that respects real time
// and in which each returns what it returned: the search of Wing and Gong (Testing and Verifying
// Concurrent Objects, JPDC 17, 1993), with Lowe's memory of what was tried (Testing for
// Linearizability, CCPE 29(4), 2017). It is for every kind of object, and takes exponential time at
// worst, so it is bounded and may answer that it did not find out.
//
// Three rules keep it small, none of which changes the answer:
//  - An operation that is allowed now and harmless (specification.h) takes effect at once.
//  - Of operations that have the same effect, the one that ended first goes first: in any order
//    they could change places. Hence open ones, which have no end, go last.
//  - No blind operation follows an open one directly: the open one had better not taken effect.
//
// What was tried is remembered as 128 bits of hash, so that a wrong answer is possible, but less
// likely than one of the computer itself.
#pragma once

#include <chrono>
#include <functional>
#include <set>
#include <span>
#include <string>

#include "verify/specification.h"

namespace even::verify {

enum class Verdict : std::uint8_t { kHolds, kViolated, kUndecided };

struct Limits {
  std::size_t memory_bytes = std::size_t{1} << 30;  // of what is remembered
  std::uint64_t most_steps = UINT64_MAX;
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  // Called now and then with how many operations have their place at most so far, of how many; may
  // be empty.
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

// `ranks`, of all operations or empty, is the order in which those that are possible are tried,
// smallest first; else it is that of their ends. Operations of the same effect must have ranks in
// the order of their ends.
Verdict search(const Problem& problem, const Limits& limits,
               std::span<const std::uint32_t> ranks = {});

// The problem has one read with `any_result`: what could it have returned? Empty if there is no
// such order at all, or if the limits were met.
std::set<std::string> possible_results(const Problem& problem, const Limits& limits);

}  // namespace even::verify
