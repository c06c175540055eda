// What a shard knows of one peer, and how far it has served it. A peer is a consumer of the log
// with a position in it: steady push, catching up after a pause and filling gaps are the same
// reading on from there. See docs/architecture.md, "Replication".
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/mutant.h"
#include "lattice/version_vector.h"
#include "log/log.h"
#include "replica/held_records.h"
#include "replica/shard.h"
#include "replica/snapshot_transfer.h"

namespace even {

struct Peer {
  // One partition that the peer holds too.
  struct Shared {
    VersionVector acked;  // the vector it last reported
    bool heard = false;   // it has reported one to this process
    VersionVector sent;   // `acked` and what was sent to it in this session
    // Send records of any origin, not only this node's: it has not got them from their makers.
    bool relay = false;
    bool damaged = false;            // takes nothing but its state; see docs/repair.md
    std::int64_t state_sent_us = 0;  // when a damaged one was last given that
    // Everything that the peer had seen when its clock said so, this node has seen too.
    std::int64_t heard_ms = 0;
    // What it has said since of which that is not known yet. It is waited for before a later report
    // is looked at: of those that come, each may be a little ahead.
    struct Told {
      std::int64_t clock_ms;
      VersionVector vector;
    };
    std::optional<Told> told;

    // `seen`: by this node.
    void hear(const VersionVector& seen) {
      if (!told || !(seen.covers(told->vector) || EVEN_MUTANT(kPurgeHeardUnseen))) return;
      heard_ms = told->clock_ms;
      told.reset();
    }
  };

  struct InFlight {
    std::uint64_t number;
    std::uint64_t bytes;
    std::int64_t sent_us;
  };

  // What the peer should report to have once everything sent up to a moment has been acknowledged.
  // When it does not, there is a gap: a message was lost, or the records of another node never came
  // from there.
  struct Check {
    std::vector<std::pair<PartitionId, VersionVector>> expected;
    std::uint64_t number;   // last message sent by then
    LogPosition position;   // end of the log then
    std::int64_t since_us;  // of the check, or since it was last seen to come nearer to that
    std::uint64_t lacking;  // records, as of then
  };

  // Its runs, as far as this one knows them.
  struct Runs {
    std::optional<ReplicaId> linked;    // the last with which there was a link
    std::optional<ReplicaId> reported;  // whose report `acked` is; none before it has come
    std::vector<ReplicaId> lines;       // first of lines, other than that of `linked`, before it
    absl::btree_map<NodeNumber, ReplicaId> of_others;  // that it last said of others

    void link(ReplicaId run) {
      std::erase(lines, run.first_of_line());
      if (linked && !linked->same_line(run)) lines.push_back(linked->first_of_line());
      linked = run;
      if (reported != run) reported.reset();
    }
    // Whether it is the run that `acked` is of, or one before it.
    bool is_past(ReplicaId run) const {
      return reported && (run == *reported || run.precedes(*reported) ||
                          std::ranges::find(lines, run.first_of_line()) != lines.end());
    }
  };

  NodeNumber node = 0;
  Runs runs;
  absl::btree_map<PartitionId, Shared>
      shared;  // ordered, as everything that a run must repeat exactly

  // These go on in the next session.
  std::optional<OutgoingSnapshot> outgoing;
  LogPosition durable_first = 0;  // how far the log must be durable before that is sent
  IncomingSnapshot incoming;

  // Of the session; reset when a link comes up.
  bool up = false;
  bool reported = false;  // its complete report has come
  bool inflates = false;  // it takes compressed records
  LogPosition cursor = 0;
  // Records behind the cursor that are sent later; they count as sent.
  HeldRecords held;
  std::int64_t log_retry_us = 0;  // when reading it is tried again; 0: it can be read
  std::uint64_t next_number = 1;
  std::deque<InFlight> in_flight;
  std::uint64_t bytes_in_flight = 0;
  std::int64_t acked_us = 0;  // when something was last acknowledged
  int timeouts = 0;           // since then
  std::uint64_t received_number = 0;
  std::optional<Check> check;
  // Partitions whose states it is to be given. A set, since every turn looks whether there are any.
  absl::btree_set<PartitionId> snapshots_wanted;
  bool ack_due = false;
  std::optional<SnapshotProgress> progress_due;

  // For metrics: records of this node acknowledged by it, and how long its records took to get
  // here.
  std::vector<std::uint64_t> delay_histogram;
  double delay_sum_seconds = 0;
  std::uint64_t delays_below_zero = 0;

  // A message that counts has come.
  void has_come(std::uint64_t number_of_it) {
    received_number = std::max(received_number, number_of_it);
    ack_due = true;
  }
  // Whether messages up to this one have arrived, as far as this side knows, or will not.
  bool arrived(std::uint64_t number) const {
    return in_flight.empty() || in_flight.front().number > number;
  }
  void want_snapshot(PartitionId partition, bool wanted) {
    if (wanted) {
      snapshots_wanted.insert(partition);
    } else {
      snapshots_wanted.erase(partition);
    }
  }
  bool is_sent(PartitionId partition) const {
    return outgoing && outgoing->partition() == partition;
  }

  void begin_session(bool takes_compressed) {
    up = true;
    reported = false;
    inflates = takes_compressed;
    held.clear();
    next_number = 1;
    in_flight.clear();
    bytes_in_flight = 0;
    acked_us = 0;
    timeouts = 0;
    received_number = 0;
    ack_due = false;
    progress_due.reset();
    check.reset();
    snapshots_wanted.clear();
    if (outgoing) outgoing->begin_session();
    incoming.begin_session();
    for (auto& [id, partition] : shared) {
      partition.relay = false;
      partition.damaged = false;
      partition.state_sent_us = 0;
    }
  }
};

}  // namespace even
