// Quorums: what a majority of voters has acknowledged, and how a majority has voted. In a joint
// configuration (Ongaro's thesis, section 4.3) each of two sets of voters has to agree, so the
// lower of two acknowledged indices and the worse of two votes count.
//
// Pure functions of their arguments; an empty set stands for "no second configuration" and agrees
// with everything.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace even::consensus {

// A member of a group: one run of one node's disk, never given to another. 0 is no member.
using MemberId = std::uint64_t;
inline constexpr MemberId kNoMember = 0;

// A position in a group's log. Entries are numbered from 1; 0 is before the first one.
using Index = std::uint64_t;

// Members in ascending order, each once.
using Members = std::vector<MemberId>;

bool contains(const Members& members, MemberId member);
void insert(Members& members, MemberId member);
void erase(Members& members, MemberId member);

enum class VoteResult : std::uint8_t { kPending, kWon, kLost };

// Of each voter the highest index that it has acknowledged: `acknowledged(member)` gives an Index,
// 0 if it has acknowledged none.
// Result: the highest index that a majority has acknowledged; the highest there is for no voters.
template <typename Acknowledged>
Index majority_index(const Members& voters, Acknowledged&& acknowledged) {
  if (voters.empty()) return std::numeric_limits<Index>::max();
  // Nearly all groups have up to seven voters: no allocation for those.
  Index few[7] = {};
  std::vector<Index> many;
  Index* indices = few;
  if (voters.size() > std::size(few)) {
    many.resize(voters.size());
    indices = many.data();
  }
  for (std::size_t i = 0; i < voters.size(); ++i) indices[i] = acknowledged(voters[i]);
  const std::size_t below = voters.size() - (voters.size() / 2 + 1);
  std::nth_element(indices, indices + below, indices + voters.size());
  return indices[below];
}

// `vote(member)` gives an optional<bool>: none while the member has not answered.
template <typename Vote>
VoteResult majority_vote(const Members& voters, Vote&& vote) {
  std::size_t granted = 0;
  std::size_t missing = 0;
  for (const MemberId member : voters) {
    const std::optional<bool> answer = vote(member);
    if (!answer) {
      ++missing;
    } else if (*answer) {
      ++granted;
    }
  }
  const std::size_t needed = voters.empty() ? 0 : voters.size() / 2 + 1;
  if (granted >= needed) return VoteResult::kWon;
  return granted + missing >= needed ? VoteResult::kPending : VoteResult::kLost;
}

template <typename Acknowledged>
Index joint_index(const Members& voters, const Members& outgoing, Acknowledged&& acknowledged) {
  return std::min(majority_index(voters, acknowledged), majority_index(outgoing, acknowledged));
}

// Of the results of two sets of voters that both have to agree.
VoteResult both(VoteResult one, VoteResult other);

template <typename Vote>
VoteResult joint_vote(const Members& voters, const Members& outgoing, Vote&& vote) {
  return both(majority_vote(voters, vote), majority_vote(outgoing, vote));
}

}  // namespace even::consensus
