// Counts and latencies of one thread's commands.
//
// The latency of a command is the time from the first command of its turn to the end of the turn,
// when its reply is handed to the operating system: what a client sees without the network. Two
// clock readings serve all commands of a turn. A wait for the disk (log.fsync = "always"), for
// another thread or for another node is not in it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <vector>

#include "engine/command.h"

namespace even::server {

struct LatencyHistogram {
  // Upper bounds of the buckets in microseconds; one more bucket takes the rest.
  static constexpr std::array<std::int64_t, 14> kBoundsUs = {
      50,     100,    250,    500,     1'000,   2'500,   5'000,
      10'000, 25'000, 50'000, 100'000, 250'000, 500'000, 1'000'000};

  std::array<std::uint64_t, kBoundsUs.size() + 1> buckets{};
  double sum_seconds = 0;

  void add(std::int64_t us, std::uint64_t count) {
    std::size_t i = 0;
    while (i < kBoundsUs.size() && us > kBoundsUs[i]) ++i;
    buckets[i] += count;
    sum_seconds += static_cast<double>(us) * 1e-6 * static_cast<double>(count);
  }
  void merge(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
    sum_seconds += other.sum_seconds;
  }
};

class CommandStats {
 public:
  struct Entry {
    std::uint64_t calls = 0;
    LatencyHistogram latency;
    std::uint64_t in_turn = 0;
  };
  using Entries = absl::flat_hash_map<const Command*, Entry>;

  bool turn_is_empty() const { return touched_.empty(); }

  // A command was executed in this turn.
  void count(const Command* command) {
    if (command != last_command_) {
      last_command_ = command;
      last_ = &find(command);
    }
    if (last_->in_turn++ == 0) touched_.push_back(last_);
  }

  // The turn is over, so many microseconds after its first command.
  void end_turn(std::int64_t us) {
    for (Entry* entry : touched_) {
      entry->calls += entry->in_turn;
      entry->latency.add(us, entry->in_turn);
      entry->in_turn = 0;
    }
    touched_.clear();
  }

  const Entries& entries() const { return entries_; }

 private:
  Entry& find(const Command* command) {
    // So that pointers into it stay valid; subcommands may have rows of their own.
    if (entries_.empty()) entries_.reserve(2 * all_commands().size());
    return entries_[command];
  }

  Entries entries_;
  std::vector<Entry*> touched_;
  const Command* last_command_ = nullptr;
  Entry* last_ = nullptr;
};

}  // namespace even::server
