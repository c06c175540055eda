// The node's backups of itself, while it serves. First every shard brings the store up to date, so
// that it holds whatever was acknowledged before; then the store is copied, at a moment of its own:
// it is whole at any, since passes get into it whole (store/backup.h).
//
// Any thread. One backup at a time, on a thread of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/result.h"
#include "store/backup.h"

namespace even {

struct NodeContext;

class BackupRunner {
 public:
  enum class Stage : std::uint8_t { kIdle, kStoring, kCopying };
  struct Outcome {
    std::uint64_t run = 0;
    std::string directory;
    std::optional<std::string> error;
    BackupEntry backup;        // without error
    std::uint64_t copied = 0;  // bytes
    std::int64_t ended_s = 0;  // Unix time
    double seconds = 0;
  };
  struct Status {
    Stage stage = Stage::kIdle;
    std::uint64_t run = 0;  // counts backups since the node started, the one under way included
    std::string directory;  // of the one under way
    std::uint64_t copied = 0;
    std::uint64_t expected = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    std::int64_t succeeded_s = 0;  // Unix time of the last success; 0: none yet
    std::optional<Outcome> last;
  };

  // The reference must outlive this.
  explicit BackupRunner(NodeContext& node) : node_(node) {}
  ~BackupRunner() { stop(); }

  // Begins a backup into `directory`, an absolute path, which keeps the newest `keep` there (0:
  // all). Returns its number. The error is that one is under way, or that the path will not do.
  Result<std::uint64_t> start(std::string directory, std::uint32_t keep);
  // Ends the one under way, soon and without a backup. False: there is none.
  bool cancel();
  // Cancels, waits for the end, and starts no more. Before the shards or the store go away.
  void stop();

  Status status() const;

 private:
  using Clock = std::chrono::steady_clock;
  void run(std::uint64_t run, BackupRequest request);
  Result<> store_all(std::uint64_t run);
  void stored(std::uint64_t run, const Result<>& outcome);

  NodeContext& node_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Status status_;  // but for the bytes
  std::size_t unstored_ = 0;
  Result<> stored_;
  bool stopping_ = false;
  BackupProgress progress_;
  std::thread thread_;
};

}  // namespace even
