// Keys by the instant at which they expire, with the sum of the instants.
#pragma once

#include <absl/container/btree_set.h>
#include <absl/numeric/int128.h>

#include <cstdint>
#include <utility>

namespace even {

class ExpiryIndex {
 public:
  using Entry = std::pair<std::int64_t, std::uint64_t>;  // Unix time in ms, hash of the key

  // Whether it is new, or was there.
  bool insert(const Entry& entry) {
    const bool fresh = entries_.insert(entry).second;
    if (fresh) sum_ms_ += entry.first;
    return fresh;
  }
  bool erase(const Entry& entry) {
    const bool found = entries_.erase(entry) > 0;
    if (found) sum_ms_ -= entry.first;
    return found;
  }
  bool contains(const Entry& entry) const { return entries_.contains(entry); }
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  // Of those that are not empty.
  Entry first() const { return *entries_.begin(); }
  Entry last() const { return *entries_.rbegin(); }
  // The first that is not before `at_ms`.
  auto from(std::int64_t at_ms) const { return entries_.lower_bound({at_ms, 0}); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  // The sum of what is left of all, seen from `now_ms`.
  double sum_of_ttls_ms(std::int64_t now_ms) const {
    return static_cast<double>(sum_ms_ - absl::int128(now_ms) * entries_.size());
  }

 private:
  absl::btree_set<Entry> entries_;
  absl::int128 sum_ms_ = 0;
};

}  // namespace even
