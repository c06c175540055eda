// The commands that took long, the latest of them: SLOWLOG, as in Redis 7.
//
// What is measured is the execution of a command on a shard, or of a command of the connection on
// its thread: no wait for the log, for another thread or for another node. A command that several
// nodes share the work of is in the slow log of each with its part. Passwords are not kept.
//
// One for all threads of a node, behind a lock: slow commands are rare, or the operator has asked
// for all of them.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace even {

// Who sent a command. For one that another node has forwarded, `address` is the name of that node.
struct ClientLabel {
  std::string_view address;
  std::string_view name;
  std::uint64_t id = 0;  // of a client of this node
};

inline constexpr std::string_view kRedacted = "(redacted)";
// Whether args[i] may be a password, or a rule about one. Rather too often than not: HELLO and
// CONFIG SET are not parsed.
bool is_secret(const Command& command, Args args, std::size_t i);

class SlowLog {
 public:
  static constexpr std::size_t kMostArguments = 32;
  static constexpr std::size_t kMostArgumentBytes = 128;

  struct Entry {
    std::uint64_t id = 0;   // counts from 0, also over reset()
    std::int64_t at_s = 0;  // Unix time
    std::int64_t us = 0;
    std::vector<std::string> args;  // cut to the limits above
    std::string address;
    std::string name;
  };

  // Keeps no more than `max_len` entries.
  void add(const Command& command, Args args, const ClientLabel& client, std::int64_t us,
           std::uint64_t max_len);
  // Up to `count`, the latest first.
  std::vector<Entry> latest(std::size_t count) const;
  std::size_t size() const;
  void reset();

 private:
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // the latest first
  std::uint64_t next_id_ = 0;
};

}  // namespace even
