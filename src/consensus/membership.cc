#include "consensus/membership.h"

#include "base/check.h"
#include "base/mutant.h"

namespace even::consensus {
namespace {

void add_member(Membership& membership, MemberId member, Index last) {
  Progress& progress = membership.progress.add(member);
  progress.next = std::max<Index>(last, 1);
  // It counts as heard of until the next look: else a leader might step down for having added a
  // voter that had no time to answer.
  progress.recently_active = true;
}

void remove_member(Membership& membership, MemberId member) {
  Configuration& configuration = membership.configuration;
  erase(configuration.voters, member);
  erase(configuration.learners, member);
  erase(configuration.learners_next, member);
  if (!contains(configuration.outgoing, member)) membership.progress.remove(member);
}

void make_voter(Membership& membership, MemberId member, Index last) {
  Configuration& configuration = membership.configuration;
  erase(configuration.learners, member);
  erase(configuration.learners_next, member);
  insert(configuration.voters, member);
  if (membership.progress.find(member) == nullptr) add_member(membership, member, last);
}

void make_learner(Membership& membership, MemberId member, Index last) {
  Configuration& configuration = membership.configuration;
  if (contains(configuration.learners, member)) return;
  erase(configuration.voters, member);
  // One that still votes in the outgoing configuration is a learner only after it.
  insert(contains(configuration.outgoing, member) ? configuration.learners_next
                                                  : configuration.learners,
         member);
  if (membership.progress.find(member) == nullptr) add_member(membership, member, last);
}

std::size_t difference(const Members& one, const Members& other) {
  std::size_t count = 0;
  for (const MemberId member : one) count += contains(other, member) ? 0 : 1;
  for (const MemberId member : other) count += contains(one, member) ? 0 : 1;
  return count;
}

std::expected<void, ChangeRefusal> apply(Membership& membership, std::span<const Change> changes,
                                         Index last) {
  for (const Change& change : changes) {
    if (change.member == kNoMember) continue;
    switch (change.kind) {
      case ChangeKind::kAddVoter:
        make_voter(membership, change.member, last);
        break;
      case ChangeKind::kAddLearner:
        make_learner(membership, change.member, last);
        break;
      case ChangeKind::kRemove:
        remove_member(membership, change.member);
        break;
      case ChangeKind::kUpdate:
        break;
    }
  }
  if (membership.configuration.voters.empty()) {
    return std::unexpected(ChangeRefusal::kRemovesAllVoters);
  }
  return {};
}

Membership checked(Membership membership) {
  EVEN_CHECK(valid(membership.configuration), "a change leads to a valid configuration");
  for (const auto& [member, progress] : membership.progress) {
    EVEN_CHECK(membership.configuration.has(member), "progress is of members");
    EVEN_CHECK(progress.match < progress.next, "match < next");
  }
  return membership;
}

bool ascending(const Members& members) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i] == kNoMember || (i > 0 && members[i - 1] >= members[i])) return false;
  }
  return true;
}

}  // namespace

std::string_view to_string(ChangeRefusal refusal) {
  switch (refusal) {
    case ChangeRefusal::kAlreadyJoint:
      return "the configuration is a joint one, which has to be left first";
    case ChangeRefusal::kNoVotersToJoin:
      return "the group has no voters";
    case ChangeRefusal::kNotJoint:
      return "the configuration is not a joint one, there is nothing to leave";
    case ChangeRefusal::kSimpleInJoint:
      return "in a joint configuration no simple change is possible";
    case ChangeRefusal::kTooManyVoters:
      return "more than one voter changes, which takes a joint configuration";
    case ChangeRefusal::kRemovesAllVoters:
      return "no voter would be left";
  }
  return "";
}

Membership::Changed Membership::simple(std::span<const Change> changes, Index last) const {
  if (configuration.joint()) return std::unexpected(ChangeRefusal::kSimpleInJoint);
  Membership changed = *this;
  if (const auto applied = apply(changed, changes, last); !applied) {
    return std::unexpected(applied.error());
  }
  if (difference(configuration.voters, changed.configuration.voters) > 1) {
    return std::unexpected(ChangeRefusal::kTooManyVoters);
  }
  return checked(std::move(changed));
}

Membership::Changed Membership::enter_joint(std::span<const Change> changes,
                                            bool leave_automatically, Index last) const {
  if (configuration.joint()) return std::unexpected(ChangeRefusal::kAlreadyJoint);
  if (configuration.voters.empty()) return std::unexpected(ChangeRefusal::kNoVotersToJoin);
  Membership changed = *this;
  changed.configuration.outgoing = configuration.voters;
  changed.configuration.leave_automatically = leave_automatically;
  if (const auto applied = apply(changed, changes, last); !applied) {
    return std::unexpected(applied.error());
  }
  return checked(std::move(changed));
}

Membership::Changed Membership::leave_joint() const {
  if (!configuration.joint()) return std::unexpected(ChangeRefusal::kNotJoint);
  Membership changed = *this;
  Configuration& left = changed.configuration;
  const Members outgoing = std::exchange(left.outgoing, {});
  for (const MemberId member : std::exchange(left.learners_next, {})) insert(left.learners, member);
  left.leave_automatically = false;
  for (const MemberId member : outgoing) {
    if (!left.has(member)) changed.progress.remove(member);
  }
  return checked(std::move(changed));
}

Membership::Changed Membership::change(const ConfigurationChange& change, Index last) const {
  if (change.leaves_joint()) return leave_joint();
  if (change.enters_joint()) {
    return enter_joint(change.changes, change.transition != Transition::kJointExplicit, last);
  }
  return simple(change.changes, last);
}

Index Membership::committed() const {
  const auto match = [this](MemberId member) {
    const Progress* of = progress.find(member);
    return of == nullptr ? Index{0} : of->match;
  };
  if (EVEN_MUTANT(kLearnerCounts)) {
    Members all = configuration.voters;
    for (const MemberId learner : configuration.learners) insert(all, learner);
    return joint_index(all, configuration.outgoing, match);
  }
  if (EVEN_MUTANT(kJointTakesOneMajority)) return majority_index(configuration.voters, match);
  return joint_index(configuration.voters, configuration.outgoing, match);
}

VoteResult Membership::active() const {
  return joint_vote(configuration.voters, configuration.outgoing,
                    [this](MemberId member) -> std::optional<bool> {
                      const Progress* of = progress.find(member);
                      return of != nullptr && of->recently_active;
                    });
}

Index Membership::confirmed_round() const {
  return joint_index(configuration.voters, configuration.outgoing, [this](MemberId member) {
    const Progress* of = progress.find(member);
    return of == nullptr ? Index{0} : of->read_round;
  });
}

bool valid(const Configuration& configuration) {
  const auto& [voters, outgoing, learners, learners_next, leave_automatically] = configuration;
  if (!ascending(voters) || !ascending(outgoing) || !ascending(learners) ||
      !ascending(learners_next)) {
    return false;
  }
  for (const MemberId member : learners) {
    if (configuration.votes(member)) return false;
  }
  for (const MemberId member : learners_next) {
    if (!contains(outgoing, member) || contains(voters, member)) return false;
  }
  return configuration.joint() ? !voters.empty() : learners_next.empty() && !leave_automatically;
}

Membership restore(Configuration configuration, Index last) {
  EVEN_CHECK(valid(configuration), "whoever restores a configuration has looked at it");
  Membership membership;
  const auto add = [&](const Members& members) {
    for (const MemberId member : members) {
      if (membership.progress.find(member) != nullptr) continue;
      Progress& progress = membership.progress.add(member);
      progress.next = last + 1;
      progress.recently_active = true;
    }
  };
  add(configuration.voters);
  add(configuration.outgoing);
  add(configuration.learners);
  membership.configuration = std::move(configuration);
  return membership;
}

}  // namespace even::consensus
