// Configurations of a group, and what is proposed to change them (Ongaro's thesis, chapter 4).
//
// A simple change adds or removes at most one voter. Any other one goes by way of a joint
// configuration, in which the majorities of the new and of the old voters both have to agree, and
// which a second entry leaves. Learners receive the log and count in no majority.
//
// Values without behaviour of their own; membership.h applies changes to them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consensus/quorum.h"

namespace even::consensus {

struct Configuration {
  Members voters;    // of a joint configuration: the incoming ones
  Members outgoing;  // the voters that a joint configuration leaves behind; else empty
  Members learners;
  // Outgoing voters that will be learners once the joint configuration is left. Until then they
  // vote: a member is a voter or a learner, not both.
  Members learners_next;
  // The leader leaves the joint configuration by itself as soon as it is applied.
  bool leave_automatically = false;

  bool joint() const { return !outgoing.empty(); }
  bool votes(MemberId member) const {
    return contains(voters, member) || contains(outgoing, member);
  }
  bool has(MemberId member) const { return votes(member) || contains(learners, member); }
  bool operator==(const Configuration&) const = default;
};

enum class ChangeKind : std::uint8_t {
  kAddVoter,    // or promotes a learner
  kAddLearner,  // or demotes a voter
  kRemove,
  kUpdate,  // changes nothing; what it says stands in the context
};

struct Change {
  ChangeKind kind = ChangeKind::kAddVoter;
  MemberId member = kNoMember;  // a change of no member is passed over

  bool operator==(const Change&) const = default;
};

enum class Transition : std::uint8_t {
  kAutomatic,      // simple where one change is proposed, else joint and left automatically
  kJoint,          // joint, left automatically
  kJointExplicit,  // joint until another change, an empty one, leaves it
};

// What an entry of kind kConfiguration holds.
struct ConfigurationChange {
  Transition transition = Transition::kAutomatic;
  std::vector<Change> changes;  // none, with kAutomatic: leave the joint configuration
  std::string context;          // for whoever applies the entry; the core does not look at it

  bool leaves_joint() const { return transition == Transition::kAutomatic && changes.empty(); }
  bool enters_joint() const { return transition != Transition::kAutomatic || changes.size() > 1; }
  bool operator==(const ConfigurationChange&) const = default;
};

// As the data of an entry: transition (1 byte), number of changes (2), of each its kind (1) and
// member (8), then the context; numbers little-endian. Leaving a joint configuration without a
// context is no bytes at all, so that no limit on sizes can keep a group in one.
std::string encode(const ConfigurationChange& change);
// None if the bytes are not such a change.
std::optional<ConfigurationChange> decode_change(std::string_view bytes);

inline constexpr std::size_t kMaxChanges = 64;

}  // namespace even::consensus
