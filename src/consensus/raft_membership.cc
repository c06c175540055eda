// Changes of membership: thesis chapter 4. A configuration takes effect when its entry is applied.
// See docs/consensus.md for why that is safe.
#include "base/check.h"
#include "base/mutant.h"
#include "consensus/raft.h"

namespace even::consensus {

std::expected<Proposed, Refusal> Raft::propose_configuration(const ConfigurationChange& change) {
  if (role_ != Role::kLeader) return std::unexpected(not_leader());
  if (pending_change_ > log_.applied() && !EVEN_MUTANT(kTwoConfigurationChanges)) {
    return std::unexpected(Refusal::kChangePending);
  }
  if (change.changes.size() > kMaxChanges || !membership_.change(change, log_.last())) {
    return std::unexpected(Refusal::kInvalidChange);
  }
  const auto proposed = propose(EntryKind::kConfiguration, encode(change));
  if (proposed) pending_change_ = proposed->index;
  return proposed;
}

void Raft::apply_changes(Index applied) {
  std::size_t done = 0;
  for (; done < changes_to_apply_.size() && changes_to_apply_[done].first <= applied; ++done) {
    // A change that does not fit the configuration fits it nowhere, and changes nothing anywhere.
    Membership::Changed changed = membership_.change(changes_to_apply_[done].second, log_.last());
    if (changed) adopt(std::move(*changed));
  }
  changes_to_apply_.erase(changes_to_apply_.begin(),
                          changes_to_apply_.begin() + static_cast<std::ptrdiff_t>(done));
}

void Raft::adopt(Membership membership) {
  membership_ = std::move(membership);
  if (role_ != Role::kLeader) return;
  const Configuration& configuration = membership_.configuration;
  if (!configuration.votes(options_.self)) {
    // The others have what they need to go on without us.
    become_follower(term_, kNoMember);
    return;
  }
  if (!configuration.votes(transferee_)) transferee_ = kNoMember;
  advance_commit();          // a smaller quorum may already agree
  release_reads();           // likewise
  replicate_wanted_ = true;  // to those who are new
}

void Raft::leave_joint_if_due() {
  if (role_ != Role::kLeader || !membership_.configuration.leave_automatically ||
      transferee_ != kNoMember || pending_change_ > log_.applied()) {
    return;
  }
  append_own(EntryKind::kConfiguration, encode(ConfigurationChange{}));
  pending_change_ = log_.last();
}

}  // namespace even::consensus
