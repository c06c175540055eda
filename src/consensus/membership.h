// The members of a group as its replicas see them: the configuration, and of each member in it what
// the leader knows. Changes give a new Membership or say why not; the old one stays as it is.
#pragma once

#include <expected>
#include <span>
#include <string_view>

#include "consensus/configuration.h"
#include "consensus/progress.h"

namespace even::consensus {

enum class ChangeRefusal : std::uint8_t {
  kAlreadyJoint,
  kNoVotersToJoin,  // a group without voters cannot enter a joint configuration
  kNotJoint,
  kSimpleInJoint,
  kTooManyVoters,  // more than one voter changes, and not by way of a joint configuration
  kRemovesAllVoters,
};

std::string_view to_string(ChangeRefusal refusal);

struct Membership {
  Configuration configuration;
  ProgressTable progress;

  // Of a leader whose log ends at `last`: members that come begin to be probed there.
  using Changed = std::expected<Membership, ChangeRefusal>;
  Changed simple(std::span<const Change> changes, Index last) const;
  Changed enter_joint(std::span<const Change> changes, bool leave_automatically, Index last) const;
  Changed leave_joint() const;
  // Whichever of the three the change asks for.
  Changed change(const ConfigurationChange& change, Index last) const;

  Index committed() const;
  VoteResult active() const;  // won: a quorum has been heard of since the flags were cleared
  Index confirmed_round() const;
};

// Whether a configuration from a disk or a peer can be one: the sets are in order, a member has one
// part in them, learners-to-be are among the outgoing voters.
bool valid(const Configuration& configuration);

// With fresh progress of every member, to be probed from `last` + 1.
Membership restore(Configuration configuration, Index last);

}  // namespace even::consensus
