// Where in the log the records of each partition are, coarsely: for every block of the log, how far
// it reaches in each partition. Finds where to start reading for a peer that lacks something, and
// tells when a segment holds nothing that anybody still needs. In memory only; recovery builds it
// anew.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <deque>

#include "lattice/version_vector.h"
#include "log/log.h"

namespace even {

class LogIndex {
 public:
  using Reach = absl::flat_hash_map<PartitionId, VersionVector>;

  // A block spans about `block_bytes` and never more than one segment.
  explicit LogIndex(std::uint64_t block_bytes) : block_bytes_(block_bytes) {}

  // A record at `frame`, in the segment that starts at `segment`. Positions never fall.
  void note(LogPosition segment, LogPosition frame, PartitionId partition, const Dot& dot) {
    if (blocks_.empty() || blocks_.back().segment != segment ||
        frame - blocks_.back().begin >= block_bytes_) {
      // A frame is never split: blocks begin with a frame.
      if (blocks_.empty() || blocks_.back().begin != frame) blocks_.push_back({segment, frame, {}});
    }
    blocks_.back().reach[partition].add(dot);
  }

  // The first block for which lacks(reach) is true, or `otherwise`.
  template <typename Lacks>
  LogPosition find(Lacks lacks, LogPosition otherwise) const {
    for (const Block& block : blocks_) {
      if (lacks(block.reach)) return block.begin;
    }
    return otherwise;
  }

  // Calls visit(reach) for the blocks of the segment while it returns true; says whether it did for
  // all.
  template <typename Visit>
  bool all_of_segment(LogPosition segment, Visit visit) const {
    for (const Block& block : blocks_) {
      if (block.segment == segment && !visit(block.reach)) return false;
    }
    return true;
  }

  void remove_segment(LogPosition segment) {
    while (!blocks_.empty() && blocks_.front().segment <= segment) blocks_.pop_front();
  }

 private:
  struct Block {
    LogPosition segment;
    LogPosition begin;
    Reach reach;
  };
  const std::uint64_t block_bytes_;
  std::deque<Block> blocks_;
};

}  // namespace even
