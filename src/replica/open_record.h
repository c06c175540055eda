// A record that is being made: the commands of one turn on one partition go into one record, as
// long as no two of them write the same. What they do is joined at once; the record is encoded
// piece by piece, and is a record like any other when it is closed. It then costs one head, one
// context, one entry in the log and one join at each replica, however many commands are in it.
//
// Invariant: a record mentions each leaf once, and a key of which it writes all (KeyDelta::full)
// once. So its parts could be joined in any order, and a peer that joins them together gets what
// the maker got by joining them one by one. Until it is closed its dot is not in the partition's
// vector, since nothing else may see a part of it.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/keyspace.h"
#include "lattice/codec.h"

namespace even {

class OpenRecord {
 public:
  bool empty() const { return builder_.empty(); }
  // Large enough to be closed.
  bool full() const { return full_ || builder_.bytes() > kMaxBytes; }
  Hlc time() const { return time_; }
  // About so many has it encoded.
  std::size_t bytes() const { return builder_.bytes(); }

  // Whether a command with this intent can be added, as far as that is known before it is executed.
  // May say no without need.
  bool accepts(const WriteIntent& intent) const;
  // Adds the delta of a record that was begun while this one was as it is now. False, and nothing
  // is added, when it writes what is written already; may say so without need.
  bool add(const Record& record);
  // Appends the record's bytes to `out`; what is seen of the partition is `seen`. Empty afterwards.
  Dot close(const VersionVector& seen, std::string& out);

 private:
  static constexpr std::size_t kMaxBytes = 64 << 10;
  static constexpr std::size_t kListed = 8;
  using Filter = std::bitset<1 << 14>;

  bool touched(std::uint64_t hash) const;
  void touch(std::uint64_t hash);

  RecordBuilder builder_;
  PartitionId partition_ = 0;
  ReplicaId origin_;
  Hlc time_;
  bool full_ = false;
  // Hashes of what is written: a few in a list, more than that in a filter.
  std::uint64_t listed_[kListed];
  std::size_t count_ = 0;  // kListed + 1: all are in the filter
  std::unique_ptr<Filter> filter_;
  std::vector<std::uint64_t> added_;  // scratch
};

}  // namespace even
