#include "replica/partition.h"

#include "base/mutant.h"

namespace even {

void Partition::close(const std::string& damage) {
  rows->close(damage);
  taken.reset();  // what a pass has taken is no longer of this state
  seen_before = state.vector();
  state.forget();
  // As if it held something that is in the store only: so everybody comes upon the damage.
  state.attach(*rows, {.vector = {}, .digest = 0, .objects = 1, .live_keys = 0});
}

std::optional<Dot> Partition::lacking(const VersionVector& seen, const Record& record) {
  const Dot dot = record.dot();
  const Dot before{dot.replica, dot.seq - 1};
  if (before.seq > 0 && !seen.covers(before)) return before;
  if (EVEN_MUTANT(kSkipDependencyCheck)) return std::nullopt;
  for (const VersionVector::Entry& needed : record.context.entries()) {
    if (needed.replica == dot.replica) continue;
    if (!seen.covers_entry(needed)) return needed.dot();
  }
  return std::nullopt;
}

WaitingRecords::Lacking Partition::all_lacking(const Record& record) const {
  WaitingRecords::Lacking lacking;
  const Dot dot = record.dot();
  for (const VersionVector::Entry& needed : record.context.entries()) {
    VersionVector::Entry entry = needed;
    if (entry.replica == dot.replica) entry = {dot.replica, dot.seq - 1};
    if (entry.seq > 0 && !state.vector().covers_entry(entry)) lacking.push_back(entry);
  }
  return lacking;
}

}  // namespace even
