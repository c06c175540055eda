// One partition as a replica holds it: the state, and the records that wait until what they depend
// on has come. Delivery is causal and happens once: a record is joined only when the state has seen
// everything its origin had seen, and never when the state has seen the record itself.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "lattice/partition_state.h"
#include "replica/open_record.h"
#include "replica/waiting_records.h"
#include "store/partition_rows.h"

namespace even {

struct Partition {
  PartitionId id = 0;
  std::vector<NodeNumber> replicas;     // in order of preference; this node is one of them
  std::unique_ptr<PartitionRows> rows;  // what of `state` is stored
  PartitionState state;
  // What the pass under way has taken from `state`.
  std::optional<Changes> taken;

  // Whether `state` has all that the log held of it when the node was started; see recovery.h.
  bool replayed = true;

  // The log holds every record that `state` has seen and this vector does not cover.
  VersionVector floor;

  // Whether, since the node was started, it has had all that a complete replica had seen, or all
  // others: then nothing that every replica once had is missing here. See docs/causality.md.
  bool complete = false;

  WaitingRecords waiting;  // that came too early
  bool in_ready = false;   // in ShardCore's list of those where some are ready
  // When it last became non-empty or something was joined. What waits in vain, because its origin
  // lost what comes before it, is dropped.
  std::int64_t waiting_since_us = 0;

  OpenRecord open;  // of this turn
  // How long that may be held back, by what is in it so far; see docs/delay.md.
  static constexpr std::int64_t kNoDelay = std::numeric_limits<std::int64_t>::max();
  std::int64_t open_delay_ms = kNoDelay;

  // Earlier runs of this node have rights of bounded counters, which this run has once they are
  // folded: see rights.h.
  bool rights_wait = false;

  bool report_due = false;
  // Of reports at one time: what all replicas had seen, and what any of them had; see
  // Replication::collect_residue().
  struct ResidueCut {
    VersionVector by_all;
    VersionVector by_any;
  };
  std::optional<ResidueCut> residue_cut;

  // Since when it is known to hold what no record has put there, until that has been put right; see
  // docs/repair.md, "What differs".
  std::optional<std::int64_t> suspect_since_us;

  // Whether what is stored of it cannot be read in part, or not at all; see docs/repair.md. It then
  // takes no records of peers until its state has been made anew.
  bool damaged() const { return rows->damage().has_value(); }
  // Of a damaged one: what it had seen at least before it was closed, and what a peer is asked for.
  VersionVector seen_before;
  bool damage_reported = false;
  std::int64_t asked_us = 0;  // when a peer was last asked for its state
  NodeNumber asked = 0;       // and which

  // Gives up what is in memory and in the store: all of it is unreadable from now on.
  void close(const std::string& damage);
  // What a state that takes the place of this one must have seen.
  const VersionVector& must_cover() const { return rows->closed() ? seen_before : state.vector(); }

  // What a state that has seen so much lacks of what the record depends on, if there is anything:
  // then the record may not be joined to it. The record is not among what has been seen.
  static std::optional<Dot> lacking(const VersionVector& seen, const Record& record);
  std::optional<Dot> lacking(const Record& record) const { return lacking(state.vector(), record); }
  // All of it.
  WaitingRecords::Lacking all_lacking(const Record& record) const;
};

}  // namespace even
