#include "consensus/quorum.h"

namespace even::consensus {

bool contains(const Members& members, MemberId member) {
  return std::binary_search(members.begin(), members.end(), member);
}

void insert(Members& members, MemberId member) {
  const auto place = std::lower_bound(members.begin(), members.end(), member);
  if (place == members.end() || *place != member) members.insert(place, member);
}

void erase(Members& members, MemberId member) {
  const auto place = std::lower_bound(members.begin(), members.end(), member);
  if (place != members.end() && *place == member) members.erase(place);
}

VoteResult both(VoteResult one, VoteResult other) {
  if (one == other) return one;
  if (one == VoteResult::kLost || other == VoteResult::kLost) return VoteResult::kLost;
  return VoteResult::kPending;
}

}  // namespace even::consensus
