#include "replica/partition.h"

#include "base/mutant.h"

namespace even {

void Partition::close(const std::string& damage) {
  rows->close(damage);
  seen_before = state.vector();
  state.forget();
  // As if it held something that is in the store only: so everybody comes upon the damage.
  state.attach(*rows, {.vector = {}, .digest = 0, .objects = 1, .live_keys = 0});
}

Partition::Delivery Partition::delivery(const VersionVector& seen, const Record& record) {
  const Dot dot = record.dot();
  if (seen.covers(dot)) return EVEN_MUTANT(kApplyTwice) ? Delivery::kReady : Delivery::kSeen;
  if (seen[dot.replica] + 1 != dot.seq) return Delivery::kEarly;
  if (EVEN_MUTANT(kSkipDependencyCheck)) return Delivery::kReady;
  for (const Dot& needed : record.context.entries()) {
    if (needed.replica != dot.replica && !seen.covers(needed)) return Delivery::kEarly;
  }
  return Delivery::kReady;
}

}  // namespace even
