// Lazy replication: which records of this run may be held back, and those that are held back for
// one peer. See docs/delay.md.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "replica/peer_message.h"

namespace even {

// Records of this run that are lazy and that peers have not been given the chance to be sent yet:
// what the turn has made, and what the log has not taken from turns before.
class LazyRecords {
 public:
  // In the order of sequence numbers.
  void note(PartitionId partition, std::uint64_t seq, std::int64_t delay_ms) {
    Made& made = of_[partition];
    if (!made.prompt) made.records.emplace_back(seq, delay_ms);
  }
  // Of these records of a partition, one is not lazy. So none is: they may be of one transaction,
  // which travels in one message.
  void note_prompt(PartitionId partition) {
    Made& made = of_[partition];
    made.prompt = true;
    made.records.clear();
  }
  // How long it may be held back; none: it may not be.
  std::optional<std::int64_t> delay_ms(PartitionId partition, std::uint64_t seq) const;
  // The first of a partition.
  std::optional<std::uint64_t> first(PartitionId partition) const {
    const auto found = of_.find(partition);
    if (found == of_.end() || found->second.records.empty()) return std::nullopt;
    return found->second.records.front().first;
  }
  void clear() { of_.clear(); }
  bool empty() const { return of_.empty(); }
  void add_all(absl::btree_set<PartitionId>& out) const {
    for (const auto& [partition, made] : of_) out.insert(partition);
  }

 private:
  struct Made {
    bool prompt = false;
    std::vector<std::pair<std::uint64_t, std::int64_t>> records;  // number and delay
  };
  absl::flat_hash_map<PartitionId, Made> of_;
};

// Invariant: of each partition, what is held for the peer is the end of what the log has had for it
// of this run. So whatever is sent of a partition is preceded by all that is held of it.
class HeldRecords {
 public:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  void add(PartitionId partition, std::uint64_t seq, std::string_view record, std::int64_t now_us,
           std::int64_t delay_ms);
  bool holds(PartitionId partition) const { return of_.contains(partition); }
  // The first that is held of it.
  std::optional<std::uint64_t> first(PartitionId partition) const {
    const auto found = of_.find(partition);
    return found == of_.end() ? std::nullopt : std::optional(found->second.first);
  }
  bool empty() const { return of_.empty(); }
  std::uint64_t bytes() const { return bytes_; }
  // When the first of them is due; monotonic.
  std::int64_t due_us() const;
  // Adds the partitions that are due, or will be within a tenth of their delay.
  void add_due(std::int64_t now_us, absl::btree_set<PartitionId>& out) const;
  void add_all(absl::btree_set<PartitionId>& out) const;
  // Moves what is held of a partition behind what is in the batch. Returns how many bytes.
  std::size_t move_to(RecordsBuilder& batch, PartitionId partition);
  void drop(PartitionId partition);
  void clear();

 private:
  struct Held {
    std::uint64_t first = 0;
    std::string records;  // as in a message
    std::size_t count = 0;
    std::int64_t due_us = kNever;
    std::int64_t slack_us = 0;
  };

  absl::btree_map<PartitionId, Held> of_;
  std::uint64_t bytes_ = 0;
};

}  // namespace even
