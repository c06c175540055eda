// Records of one partition that came before something they depend on. Each waits for one record at
// a time, the first of its dependencies that is lacking, and is looked at again when that has been
// joined and not before: to take in any number of them costs in proportion to that number.
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

  // Keeps a copy of a record that is not there yet, until `lacking` has been joined.
  void add(const Dot& dot, std::string_view bytes, const Dot& lacking);
  // `replica`'s records up to `seq` have been joined. Calls look(dot, bytes) for each that has
  // waited for one of them; it says what else that record lacks, nothing if it is ready.
  template <typename Look>
  void joined(ReplicaId replica, std::uint64_t seq, Look look) {
    wake({replica, 0}, {replica, seq}, look);
  }
  // What every record that waits lacks may have been joined.
  template <typename Look>
  void joined(const VersionVector& seen, Look look) {
    for (const VersionVector::Entry& entry : seen.entries()) {
      // What is folded has been seen, whatever its number.
      if (entry.folds) joined_before(entry.replica, look);
      joined(entry.replica, entry.seq, look);
    }
  }

  bool any_ready() const { return !ready_.empty(); }
  // One that is ready, and its bytes. There is one.
  std::pair<Dot, std::string> take_ready();

  // Forgets those that runs of the same line made before this one.
  void drop_before(ReplicaId replica);
  void clear() { *this = {}; }

 private:
  template <typename Look>
  void joined_before(ReplicaId replica, Look look) {
    wake({replica.first_of_line(), 0}, {replica, 0}, look);
  }
  // Looks again at what waits for one of these, the last included.
  template <typename Look>
  void wake(const Dot& first, const Dot& last, Look look) {
    std::vector<Dot> woken;
    auto at = lacking_.lower_bound(first);
    while (at != lacking_.end() && at->first <= last) {
      woken.insert(woken.end(), at->second.begin(), at->second.end());
      at = lacking_.erase(at);
    }
    for (const Dot& dot : woken) {
      const std::optional<Dot> lacking = look(dot, records_.at(dot));
      if (lacking) {
        lacking_[*lacking].push_back(dot);
      } else {
        ready_.push_back(dot);
      }
    }
  }

  absl::btree_map<Dot, std::string> records_;
  absl::btree_map<Dot, std::vector<Dot>> lacking_;  // what is lacking, and by whom
  std::deque<Dot> ready_;
  std::uint64_t bytes_ = 0;
};

}  // namespace even
