// Deletes keys while memory is over its limit, as the node's cache policy says. A deletion is a
// record like any other, joined everywhere: it removes what this node has seen of the key, and what
// is written elsewhere meanwhile survives it.
//
// The hand of a clock goes round over the keys in memory and deletes those whose count of uses is
// 0; the count of others is lowered by one. What a use adds is the difference between the policies:
//   LRU     as much as the hand takes away in one round, and so does the first write;
//   LFU     a few rounds at first, then more by the logarithm of how often, so that a round halves
//           that number;
//   random  nothing; and the hand is put anywhere each time.
// Replicas of a partition should not each delete keys of their own choice. So keys begin with a
// count that is higher by this node's rank among them: it deletes what has been unused for that
// many rounds more, which the replicas before it would have done had they been under pressure as
// well. With volatile-ttl, a rank is kRankDelayMs of life left.
#pragma once

#include <cstdint>
#include <vector>

#include "replica/core.h"

namespace even {

class KeyEviction {
 public:
  // `core` must outlive this.
  explicit KeyEviction(ShardCore& core);

  // Deletes what has to go, for a limited time. Within a turn, all records closed.
  void tick();
  // Deletes nothing any more. What is stored when a node stops takes memory for a moment, for which
  // no key should go, and a deletion would be one more thing to store.
  void stop() { stopped_ = true; }

  // So many keys are gone, and still in memory until that has been stored, that it should be.
  bool wants_pass() const { return wants_pass_; }
  // Whether objects may be let go to the store for what memory is over its limit after tick().
  bool leaves_the_rest() const { return leaves_the_rest_; }

 private:
  using Keys = decltype(Delta::keys);

  void adopt(CachePolicy policy);
  // Deletes what may go until memory is within its limit or time is up. Returns false if something
  // else has to be done about memory: nothing was found, or much is left.
  bool relieve();
  bool much_is_gone() const;
  // Whether it is for this shard to delete, and not for those that have more.
  bool has_its_share() const;
  // Go on to the next batch. Return whether there was any key in memory that could go.
  bool turn_hand();
  bool delete_next_to_expire();
  // Deletes keys of a partition that are in the store only.
  void delete_cold(Partition& partition, std::size_t count);
  void remove(Partition& partition, Keys keys);

  ShardCore& core_;
  std::vector<unsigned> ranks_;  // of this node, by index of partition
  CachePolicy policy_ = CachePolicy::kNoEviction;
  bool stopped_ = false;
  bool wants_pass_ = false;
  bool leaves_the_rest_ = true;
  std::size_t hand_partition_ = 0;
  std::uint64_t hand_ = 0;
};

}  // namespace even
