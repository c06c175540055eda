// Decides whether a run was right, from outside of the code that is tested. It knows every record
// that was made and every reply that was given, and derives the state that the records stand for
// from the definitions in docs/consistency.md, by comparing every record with every other; no
// lattice, no join, no incremental anything.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "lattice/codec.h"
#include "lattice/partition_state.h"
#include "replica/shard.h"

namespace even::sim {

// A record that was made.
struct Made {
  std::string bytes;
  Record record;  // views bytes
  RecordOrigin origin;
  // What its maker's clock showed, and the latest that it had ever shown.
  std::int64_t now_ms;
  std::int64_t latest_ms;
};

class Oracle {
 public:
  // `policy`, `expiry_wait_ms`: of all nodes. `near_clocks`: they differ by no more than the hybrid
  // clock follows.
  Oracle(CachePolicy policy, std::int64_t expiry_wait_ms, bool near_clocks)
      : policy_(policy), expiry_wait_ms_(expiry_wait_ms), near_clocks_(near_clocks) {}

  // This node's keys are made to differ: what it purges is by an expiry that nobody gave.
  void falsified(NodeNumber node) { falsified_ = node; }
  bool is_falsified(NodeNumber node) const { return falsified_ == node; }
  // Somebody has held something else of it for a while.
  void falsified(std::string_view key) { falsified_keys_.emplace(key); }
  bool was_falsified(std::string_view key) const { return falsified_keys_.contains(key); }

  // A record was made. `now_ms`, `latest_ms`: the least that its maker can have taken for the time,
  // and the latest that its clock has ever shown. An error when its dot was used before.
  Result<> made(std::string_view bytes, RecordOrigin origin, std::int64_t now_ms,
                std::int64_t latest_ms);
  // A record increments a number: how much it adds, at which leaf.
  void increments(PartitionId partition, const Dot& dot, LeafKind kind, std::string_view key,
                  std::string_view field, double by);
  // The replies to these records' commands have left; they may not be lost.
  void acknowledged(PartitionId partition, const Dot& dot) {
    acknowledged_.insert({partition, dot});
  }
  // All groups of this stream have been read to its end; nothing is appended any more.
  void drained(std::string_view key) { drained_.emplace(key); }
  // What this node run made or acknowledged may be lost: its disk was wiped, or it crashed under a
  // lazy fsync.
  void forgive(ReplicaId replica) { forgiven_.insert(replica); }
  bool is_forgiven(ReplicaId replica) const { return forgiven_.contains(replica); }
  bool any_forgiven() const { return !forgiven_.empty(); }

  // A record of runs of this node that must not be lost and that the vector of a partition there
  // does not cover, if there is one.
  std::optional<Dot> lost(PartitionId partition, NodeNumber node,
                          const VersionVector& vector) const;

  // At the end: `state` is what every replica of the partition holds. Checks that no acknowledged
  // record is missing, that the state is what the records in it stand for, that a volatile cache
  // policy has only deleted keys which had an expiry, and that nothing was purged which somebody
  // had prolonged in time.
  Result<> check(PartitionId partition, const PartitionState& state) const;

  // Whether the state has seen the record. One beyond the end of a run that has been folded is
  // void, although the vector covers it.
  bool seen_by(const PartitionState& state, PartitionId partition, const Dot& dot) const;
  // All records that mention the key, those that have been lost as well.
  std::vector<const Made*> ever_made(PartitionId partition, std::string_view key) const;

  std::size_t records() const { return records_.size(); }

 private:
  using Id = std::pair<PartitionId, Dot>;
  using IncrementId = std::tuple<Id, LeafKind, std::string, std::string>;  // kind, key, field

  Result<> check_field_purges(PartitionId partition, const std::vector<const Made*>& seen,
                              const std::string& key) const;
  Result<> check_purges(PartitionId partition, const std::vector<const Made*>& seen,
                        const std::string& key) const;

  const CachePolicy policy_;
  const std::int64_t expiry_wait_ms_;
  const bool near_clocks_;
  std::map<PartitionId, std::vector<const Record*>> foldings_;
  std::map<Id, std::unique_ptr<Made>> records_;
  std::map<IncrementId, double> increments_;
  std::set<Id> acknowledged_;
  std::set<ReplicaId> forgiven_;
  NodeNumber falsified_ = 0;  // 0: none
  std::set<std::string, std::less<>> falsified_keys_;
  std::set<std::string, std::less<>> drained_;
  RecordDecoder decoder_;
};

}  // namespace even::sim
