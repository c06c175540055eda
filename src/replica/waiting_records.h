// Records of one partition that came before something they depend on. Each waits for one record at
// a time, of those that it lacks, and is looked at again when that has been joined and not before.
// What it lacks is known beside its bytes, which need not be decoded again for that: to take in any
// number of them costs in proportion to their size.
//
// A record that lacks nothing any more is ready until it is taken.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lattice/version_vector.h"

namespace even {

class WaitingRecords {
 public:
  bool empty() const { return records_.empty(); }
  std::size_t size() const { return records_.size(); }
  std::uint64_t bytes() const { return bytes_; }
  bool contains(const Dot& dot) const { return records_.contains(dot); }

  // What a record lacks: entries of vectors, of which each is to be covered.
  using Lacking = std::vector<VersionVector::Entry>;
  // Keeps a copy of a record that is not there yet and lacks something.
  void add(const Dot& dot, std::string_view bytes, Lacking lacking);
  // `replica`'s records up to `seq` have been joined to what has seen `seen`.
  void joined(ReplicaId replica, std::uint64_t seq, const VersionVector& seen) {
    wake({replica, 0}, {replica, seq}, seen);
  }
  // What every record that waits lacks may have been joined.
  void joined(const VersionVector& seen);
  // How often a record was looked at that lacked as much as before, since this was asked last.
  std::uint64_t take_looked_in_vain() { return std::exchange(looked_in_vain_, 0); }

  bool any_ready() const { return !ready_.empty(); }
  // One that is ready, and its bytes. There is one.
  std::pair<Dot, std::string> take_ready();

  // Forgets those that runs of the same line made before this one.
  void drop_before(ReplicaId replica);
  void clear() { *this = {}; }

 private:
  struct Record {
    std::string bytes;
    Lacking lacking;
  };

  // Looks again at what waits for one of these, the last included.
  void wake(const Dot& first, const Dot& last, const VersionVector& seen);

  absl::btree_map<Dot, Record> records_;
  absl::btree_map<Dot, std::vector<Dot>> lacking_;  // what is lacking, and by whom
  std::deque<Dot> ready_;
  std::uint64_t bytes_ = 0;
  std::uint64_t looked_in_vain_ = 0;
};

}  // namespace even
