// The conditions of one run, drawn from its seed.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "env/random.h"
#include "log/log.h"
#include "replica/cache_policy.h"

namespace even::sim {

inline constexpr ShardId kMostShards = 3;

struct RunOptions {
  std::uint64_t seed = 1;
  int nodes = 3;
  int replicas = 3;
  std::uint16_t partitions = 4;
  FsyncPolicy fsync = FsyncPolicy::kAlways;
  std::uint64_t segment_bytes = 8 << 10;
  std::uint64_t tail_bytes = 4 << 10;
  std::uint64_t pass_bytes = 32 << 10;
  std::uint64_t replay_bytes = 1 << 20;
  std::uint64_t replay_batch_bytes = 1 << 10;
  std::uint64_t retain_bytes = 1 << 20;
  std::uint64_t window_bytes = 16 << 10;
  std::uint64_t piece_bytes = 2 << 10;  // of a snapshot
  std::int64_t quick_sync_us = 0;
  std::int64_t sync_us = 300;  // that a sync takes, about
  std::uint64_t zero_bytes = 4 << 10;
  std::uint64_t background_bytes = 1 << 20;
  ShardId shards = 1;  // of each node, at first
  int clients = 6;
  int pipeline = 1;           // requests that a client sends at once
  std::int64_t turn_us = 30;  // how long a shard's turn lasts at most
  std::int64_t duration_us = 4'000'000;

  // Network. A harsh one loses, repeats and reorders messages within a session; a plain one behaves
  // as TCP does.
  bool harsh = false;
  double loss = 0;
  double duplication = 0;
  std::int64_t delay_us = 500;

  // Faults, as mean intervals between two of a kind in the whole cluster; 0 for never.
  std::int64_t partition_every_us = 0;
  std::int64_t cut_us = 500'000;  // how long one lasts, on the average
  std::int64_t crash_every_us = 0;
  std::int64_t restart_every_us = 0;  // crashes after which the node is soon up again
  std::int64_t clock_jump_every_us = 0;
  std::int64_t pause_every_us = 0;  // a process is stopped for a while
  std::int64_t pause_us = 0;        // for how long, on the average
  std::int64_t disk_full_every_us = 0;
  double wipe = 0;  // chance that a crash takes the disk with it
  // A disk is lost with what only one other replica has of a partition besides.
  std::int64_t lose_unheard_every_us = 0;
  std::int64_t backup_every_us = 0;
  double kill = 0;     // chance that a crash is of the process alone, not of the machine
  double restore = 0;  // chance that a crash takes the disk with it, and a backup is restored
  std::int64_t reshard_every_us = 0;
  double crash_in_resharding = 0;  // chance, at each of its steps
  double crash_in_replay = 0;      // chance, at each tick while a log is replayed
  double failing_sync = 0;
  double failing_commit = 0;  // of the store
  double store_behind = 0;    // see StoreFaults::behind
  // Of the store of one node, the victim, whose replicas then are neither wiped nor crash: what
  // they have seen is what it is repaired from. Damage as a mean interval; the chance that a row
  // cannot be read this time.
  std::int64_t damage_every_us = 0;
  double failing_read = 0;
  // The mean interval at which keys of the victim are made to differ unknown to anybody. Then
  // nobody reads there who would notice. Who falls behind what its log keeps asks it for its state.
  std::int64_t falsify_every_us = 0;
  // Then disks of others are lost, and once the victim's, before anything is false: what it has
  // been given as a state it can pass on as one only. 0: never.
  std::int64_t lose_beside_every_us = 0;
  std::int64_t check_interval_ms = 0;
  std::size_t check_keys = 256;  // at one turn, and in one list
  double evict = 0;              // chance that memory is over its limit when it is looked at
  CachePolicy policy = CachePolicy::kNoEviction;
  std::int64_t skew_ms = 0;            // clocks differ by up to this much
  double type_confusion = 0;           // chance that a command is aimed at a key of another type
  double expiry = 0.05;                // share of commands that set an expiry
  int keys = 12;                       // per type
  std::size_t listing_step = 2048;     // elements that a command lists at once
  double large = 0;                    // share of commands on collections that name many elements
  std::int64_t expiry_wait_ms = 1000;  // how long an expired key waits for word of its replicas
  double siblings = 0;                 // share of commands in a keyspace that keeps siblings
  double bounded = 0;                  // share of commands on bounded counters
  // A node spends what it has of one, loses that it did, and does so again, alone.
  std::int64_t spend_again_every_us = 0;
  double sessions = 0;  // share of commands on keys that are refreshed

  // Strong partitions, beside the others.
  int groups = 0;
  bool keyspaces = false;  // they are of keyspaces, which the metadata group holds
  int group_replicas = 3;
  std::uint64_t group_log_bytes = 64 << 20;  // for followers that are behind
  int strong_clients = 0;                    // each with one request at a time
  std::int64_t strong_think_us = 5'000;
  std::int64_t strong_patience_us = 300'000;  // until most requests are given up
  double crash_when_answered = 0;             // chance, of the node that has executed a write
  double strong_patient = 0;                  // share of those that wait for seconds
  std::int64_t depose_every_us = 0;           // a leader is cut off until there is another

  bool closings = false;   // a keyspace is dropped again and again that has to be empty
  bool consumers = false;  // members of a consumer group, which is coordinated where a group is led

  // Batches and events for a topic, which there is with keyspaces; 0: none.
  std::int64_t topic_every_us = 0;
  // How much of it stays; -1: all. And whether records are deleted beyond that.
  std::int64_t topic_retention_ms = -1;
  std::int64_t topic_retention_bytes = -1;
  bool topic_deletes = false;
  // Beside it, one that is compacted by key: how long tombstones stay, from when on it is, the
  // youngest that it is, and how large a table of keys a node has for it.
  bool compacts = false;
  std::int64_t tombstones_ms = 1'000;
  std::uint32_t dirty_millionths = 0;
  std::int64_t min_lag_ms = 0;
  std::size_t clean_map_bytes = 1 << 10;

  // Questions of quorums; 0: none.
  std::int64_t quorum_every_us = 0;
  // Writes that are to go on while owners are away; 0: none.
  std::int64_t hint_every_us = 0;
  std::uint64_t hint_max_bytes = 64 << 20;
  double crash_when_kept = 0;  // chance, of the node that keeps one, or has given it
  // A write is made while all other owners are away, and its maker is when they are back.
  std::int64_t stand_in_every_us = 0;
  // Requests of sessions, and bounded reads; 0: none.
  std::int64_t session_every_us = 0;
  // Requests at CAUSAL; 0: none.
  std::int64_t causal_every_us = 0;

  // How long records are held back at first; 0: never. How often that changes, and of how many
  // types of keys records are not held back. The share of nodes that know nothing of compressed
  // records.
  std::int64_t delay_ms = 0;
  std::int64_t delay_change_every_us = 0;
  int prompt_types = 0;
  double earlier_nodes = 0;

  bool undisturbed = false;  // see undisturbed.h

  bool loses_disks() const {
    return wipe > 0 || restore > 0 || lose_beside_every_us > 0 || lose_unheard_every_us > 0;
  }
  // Whether records of the topic go.
  bool trims() const {
    return topic_retention_ms >= 0 || topic_retention_bytes >= 0 || topic_deletes;
  }
  static RunOptions draw(std::uint64_t seed);
  std::string describe() const;
};

}  // namespace even::sim
