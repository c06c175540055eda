// The dot kernel shared by all causal data types (Almeida, Shoker, Baquero, "Delta State Replicated
// Data Types", 2018): a small set of entries, each named by the dot of the record that wrote it.
// Two sides are joined with the help of what each has seen: an entry that the other side has seen
// and no longer holds was removed there.
#pragma once

#include <absl/container/inlined_vector.h>

#include <algorithm>

#include "base/mutant.h"
#include "lattice/version_vector.h"

namespace even {

// Entry is any type with a member `Dot dot`. Sorted by dot. Nearly always holds one entry.
template <typename Entry>
using DotStore = absl::InlinedVector<Entry, 1>;

template <typename Entries>
bool contains_dot(const Entries& entries, const Dot& dot) {
  return std::any_of(entries.begin(), entries.end(),
                     [&dot](const auto& entry) { return entry.dot == dot; });
}

// Joins `theirs` into `mine`. `my_context` is what this side had seen before the join,
// `their_context` what the other side had.
template <typename Entry, typename Theirs>
void join_dots(DotStore<Entry>& mine, const VersionVector& my_context, const Theirs& theirs,
               const VersionVector& their_context) {
  if (mine.size() == 1 && theirs.size() == 1 && their_context.covers(mine[0].dot) &&
      !my_context.covers(theirs[0].dot) && mine[0].dot != theirs[0].dot) {
    mine[0] = theirs[0];  // the common overwrite; keeps the memory of the old value
    return;
  }
  mine.erase(std::remove_if(mine.begin(), mine.end(),
                            [&](const Entry& entry) {
                              const bool seen =
                                  their_context.covers(entry.dot) ||
                                  (EVEN_MUTANT(kDeleteWinsOverConcurrent) && theirs.empty());
                              return seen && !contains_dot(theirs, entry.dot);
                            }),
             mine.end());
  for (const auto& entry : theirs) {
    const bool removed_here = my_context.covers(entry.dot) && !EVEN_MUTANT(kJoinIgnoresVector);
    if (removed_here || contains_dot(mine, entry.dot)) continue;
    auto at = std::lower_bound(mine.begin(), mine.end(), entry.dot,
                               [](const Entry& a, const Dot& dot) { return a.dot < dot; });
    Entry copy;
    copy = entry;
    mine.insert(at, std::move(copy));
  }
}

}  // namespace even
