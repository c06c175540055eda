// Finds what differs between replicas that have seen the same, and puts it right: docs/repair.md,
// "What differs".
//
// Invariant: a replica changes only what it holds itself, and only to what more replicas hold that
// speak of the same updates of the key.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lattice/codec.h"
#include "replica/check_status.h"
#include "replica/core.h"
#include "replica/peer_message.h"

namespace even {

class Check {
 public:
  // The references outlive this.
  Check(ShardCore& core, Transport& transport);
  ~Check();

  // Audits all partitions as fast as service allows. Returns the number of this pass.
  std::uint64_t start();
  // Another replica has another digest under the same vector.
  void differs(PartitionId partition);
  CheckStatus status() const;
  // For tests: changes a key without anybody's knowledge, as a broken disk would: to this string,
  // or to nothing. False: that is what it held.
  static bool falsify(Partition& partition, std::string_view key,
                      std::optional<std::string_view> value);

  // --- Links, turns and time, as of the shard.
  void link_up(NodeNumber node);
  void link_down(NodeNumber node);
  Result<> receive(NodeNumber node, const CompareAsk& ask);
  Result<> receive(NodeNumber node, const CompareAnswer& answer);
  void end_turn();
  bool has_more() const { return has_more_; }
  void tick();

 private:
  class Audit;
  struct Comparison;
  // A partition that is to be audited and compared.
  struct Due {
    std::int64_t not_before_us = 0;
    bool compare = true;
    std::uint64_t undecided = 0;  // when it was compared last
  };

  void work();
  void begin_round(std::int64_t now_us);
  bool is_behind(std::int64_t now_us) const;
  void begin_audit(PartitionId id, bool compare, bool due);
  void end_audit();
  void want(PartitionId id, std::int64_t not_before_us, bool compare, std::uint64_t undecided = 0);

  void begin_comparison(Partition& partition);
  void ask(CompareAsk::What what, std::vector<std::uint64_t> hashes, NodeNumber only = 0);
  void advance();
  void take_list();
  void take_digests();
  void take_states();
  void ask_digests();
  void fetch_next();
  void next_stretch();
  void settle(std::uint64_t hash, std::span<const KeyDelta> keys, std::uint64_t digest);
  void end_comparison();

  ShardCore& core_;
  Transport& transport_;
  absl::btree_set<NodeNumber> links_;
  std::unique_ptr<Audit> audit_;
  std::unique_ptr<Comparison> comparison_;  // not both
  absl::btree_map<PartitionId, Due> due_;
  // The round under way: what comes next of the partitions.
  std::size_t next_ = 0;
  bool round_ = false;
  bool forced_ = false;
  std::int64_t round_began_us_ = 0;
  bool has_more_ = false;
  std::uint64_t question_;  // begins at random: an answer to an earlier run is none to this one
  RecordDecoder decoder_;
  CheckStatus status_;
};

}  // namespace even
