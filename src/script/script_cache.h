// The scripts that a node knows, by the SHA-1 of their text: those that SCRIPT LOAD brought stay
// until SCRIPT FLUSH, of those that EVAL brought the latest stay. And which threads are executing
// one that takes long, so that others can end it.
//
// Shared by the node's threads; all of it may be used from any thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace even {

inline constexpr std::string_view kBusyReply =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";

// 40 hexadecimal digits in lower case.
std::string sha1_hex(std::string_view bytes);

struct Script {
  explicit Script(std::string source) : text(std::move(source)), sha(sha1_hex(text)) {}

  const std::string text;
  const std::string sha;

  // Executions in which it has touched no key but those it was given; it is taken for a script that
  // never does after kTrusted of them. One that does needs all shards of a node.
  static constexpr std::uint32_t kTrusted = 64;
  bool stays_within() const {
    return executions_within.load(std::memory_order_relaxed) >= kTrusted &&
           !leaves.load(std::memory_order_relaxed);
  }
  void note_execution(bool left) const;

  mutable std::atomic<std::uint32_t> executions_within{0};
  mutable std::atomic<bool> leaves{false};
};
using ScriptPointer = std::shared_ptr<const Script>;

class ScriptCache {
 public:
  explicit ScriptCache(ShardId shards = 1);

  // Null: it is not known. `sha` in any case.
  ScriptPointer find(std::string_view sha) const;
  // `kept`: until it is flushed.
  void add(const ScriptPointer& script, bool kept);
  void flush();
  // Changes with each flush.
  std::uint64_t generation() const { return generation_.load(std::memory_order_relaxed); }
  std::size_t size() const;
  std::size_t bytes() const;

  // What a thread is executing: written by that thread, but for `kill`.
  struct Execution {
    std::atomic<std::int64_t> began_us{0};  // monotonic; 0: nothing that takes long
    std::atomic<bool> wrote{false};
    std::atomic<bool> strong{false};          // of a group: its end is not this node's to decide
    std::atomic<std::int64_t> kill_begun{0};  // to be ended: the one that began then
  };
  Execution& execution(ShardId shard) { return executions_[shard]; }

  // Whether a shard's script has been executing for longer than the limit.
  bool is_busy(ShardId shard, std::int64_t now_us) const {
    const std::int64_t began = executions_[shard].began_us.load(std::memory_order_relaxed);
    return began != 0 && now_us - began >= 1000 * busy_ms.load(std::memory_order_relaxed);
  }
  bool any_busy(std::int64_t now_us) const {
    for (ShardId shard = 0; shard < shards_; ++shard) {
      if (is_busy(shard, now_us)) return true;
    }
    return false;
  }
  // Ends those that execute. The reply's text: "OK", or an error.
  std::string kill();

  std::atomic<std::int64_t> busy_ms{5000};

 private:
  // Of those that EVAL brought.
  static constexpr std::size_t kMostPassing = 500;

  mutable std::mutex mutex_;
  struct Known {
    ScriptPointer script;
    bool kept = false;
  };
  absl::flat_hash_map<std::string, Known> known_;
  std::deque<std::string> passing_;  // in the order in which they came
  std::size_t bytes_ = 0;
  std::atomic<std::uint64_t> generation_{1};
  const ShardId shards_;
  const std::unique_ptr<Execution[]> executions_;
};

}  // namespace even
