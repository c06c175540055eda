// What came out of one run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace even::sim {

struct Outcome {
  std::optional<std::string> violation;  // what was wrong, and when
  std::uint64_t trace_hash = 0;
  std::uint64_t operations = 0;
  std::uint64_t records = 0;
  std::uint64_t crashes = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t resumed = 0;  // snapshots that went on from the middle, so often
  std::uint64_t conflicts = 0;
  std::uint64_t repairs = 0;          // of damaged partitions
  std::uint64_t keys_repaired = 0;    // that were not as other replicas have them
  std::uint64_t evicted = 0;          // keys that a cache policy deleted
  std::uint64_t reshardings = 0;      // begun
  std::uint64_t folds = 0;            // records that fold runs
  std::uint64_t ends_exceeded = 0;    // partitions that had more than what was folded elsewhere
  std::uint64_t listings = 0;         // that were made in steps
  std::uint64_t while_replaying = 0;  // commands that were executed while a log was replayed
  std::uint64_t strong_replies = 0;   // to requests to strong partitions
  std::uint64_t strong_checked = 0;   // operations on strong partitions, in their histories
  std::uint64_t undecided_keys = 0;   // of those histories
  std::uint64_t leaders = 0;          // of groups, that there were
  std::uint64_t quorum_writes = 0;    // answered by as many as they needed
  std::uint64_t quorum_reads = 0;
  std::uint64_t sloppy_writes = 0;     // of these, with others standing in for owners if need be
  std::uint64_t hints_counted = 0;     // how often another stood in
  std::uint64_t records_produced = 0;  // batches that a topic has acknowledged
  std::uint64_t compactions = 0;       // rounds over partitions of topics
  std::uint64_t transactions = 0;      // of topics, that were ended
  std::uint64_t assignments = 0;       // to members of a consumer group
  std::uint64_t fed_changes = 0;       // of a keyspace with a change feed, or before it had one
  std::uint64_t events_emitted = 0;    // in eventual partitions
  std::uint64_t session_requests = 0;  // executed
  std::uint64_t causal_requests = 0;   // the same
  std::uint64_t bounded_reads = 0;
  double simulated_seconds = 0;
};

}  // namespace even::sim
