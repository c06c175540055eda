// Deliberate bugs, to show that the simulator would find them: see docs/simulator.md. In every ordinary
// build EVEN_MUTANT(x) is the constant false; `./dev sim --mutants` builds the core a second time with
// EVEN_MUTANTS defined and enables one bug at a time.
#pragma once

#include <cstdint>

namespace even {

enum class Mutant : std::uint8_t {
  kNone,
  kSkipDependencyCheck,     // a record is joined although something it depends on has not come
  kReuseReplicaId,          // a restarted node goes on under its old id
  kApplyTwice,              // a record that was seen before is joined again, as a new one
  kTieBrokenByArrival,      // of two concurrent values the one that arrives last is kept
  kJoinIgnoresVector,       // what this side has removed comes back when the other side still has it
  kReplyBeforeDurable,      // fsync = always, but the reply leaves before the sync has ended
  kDeleteForgetsCounters,   // a delete does not say up to which point it removes a counter
  kCollectTooEarly,         // residue is dropped before every replica has seen the removal
  kPurgeForgetsExpiry,      // purging an expired key also drops its expiry
  kDigestMissesMember,      // removing a set member leaves the digest as it was
  kSnapshotKeepsAbsentKeys, // joining a snapshot leaves keys that the snapshot no longer has
  kRecoverySkipsFrame,      // recovery drops the log's last intact frame
  kTrimForgetsFloor,        // a segment is removed without noting what can no longer be sent from the log
  kDeleteWinsOverConcurrent,// a delete also removes concurrent updates
  kCount
};

#ifdef EVEN_MUTANTS
extern Mutant g_mutant;
#define EVEN_MUTANT(name) (::even::g_mutant == ::even::Mutant::name)
#else
#define EVEN_MUTANT(name) false
#endif

}  // namespace even
