#include "replica/partition.h"

#include "base/mutant.h"

namespace even {

Partition::Delivery Partition::delivery(const Record& record) const {
  const VersionVector& seen = state.vector();
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
