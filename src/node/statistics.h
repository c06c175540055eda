// The counters of a node that INFO shows and CONFIG RESETSTAT has begin at 0 again: the sum over
// its threads. The threads' own counters are never set back, since they are the threads', and since
// /metrics shows them; a reset takes note of where they were.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>

#include "node/report.h"

namespace even {

struct NodeContext;

struct Statistics {
  struct Calls {
    std::uint64_t calls = 0;
    std::uint64_t rejected = 0;
    std::uint64_t failed = 0;
    double us = 0;  // of execution
    LatencyHistogram latency;
  };

  std::uint64_t connections = 0;
  std::uint64_t rejected_connections = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint64_t keys_expired = 0;
  std::uint64_t fields_expired = 0;
  std::uint64_t keys_evicted = 0;
  std::uint64_t keyspace_hits = 0;
  std::uint64_t keyspace_misses = 0;
  std::map<std::string, Calls> commands;
  std::map<std::string, std::uint64_t> errors;  // replied, by their code

  static Statistics of(const NodeContext& node, std::span<const ThreadReport> reports);

  std::uint64_t calls() const;
  std::uint64_t error_replies() const;
  // What has been counted since the counters were as in `earlier`.
  Statistics since(const Statistics& earlier) const;
};

// Any thread.
class StatisticsReset {
 public:
  void reset(Statistics now) {
    std::lock_guard lock(mutex_);
    base_ = std::move(now);
  }
  Statistics since_reset(const Statistics& now) const {
    std::lock_guard lock(mutex_);
    return now.since(base_);
  }

 private:
  mutable std::mutex mutex_;
  Statistics base_;
};

}  // namespace even
