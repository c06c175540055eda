// Writes the history of many clients, one event a line, in the order in which the calls are made:
// who writes the line of an invocation before the request is sent, and that of the completion after
// the reply has come, has the order of real time in the file. Counts as well. Safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <mutex>
#include <string>

#include "base/result.h"
#include "cli/workload.h"

namespace even::cli {

class HistoryWriter {
 public:
  using Clock = std::chrono::steady_clock;

  struct Counts {
    std::uint64_t ok = 0;
    std::uint64_t fail = 0;
    std::uint64_t info = 0;
    std::uint64_t all() const { return ok + fail + info; }
  };
  struct Summary {
    std::map<std::string, Counts> by_function;
    std::map<std::string, std::uint64_t> errors;  // by their first words
    Clock::duration longest_gap{};                // without an ok
    Clock::duration gap_begin{};                  // since the beginning
  };

  // Replaces the file. ok() tells whether it could be written so far.
  explicit HistoryWriter(const std::string& path);

  std::int64_t new_process();
  void invoke(std::int64_t process, const PlannedOperation& operation);
  void complete(std::int64_t process, const PlannedOperation& operation,
                const CompletedOperation& completed);

  bool ok() const;
  Counts total() const;
  Clock::duration elapsed() const { return Clock::now() - begin_; }
  std::int64_t elapsed_ns() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed()).count();
  }
  // Writes out what is left; no more events after that.
  Summary finish();

 private:
  void note_gap(Clock::duration now);

  mutable std::mutex mutex_;
  const Clock::time_point begin_ = Clock::now();
  std::ofstream out_;
  std::int64_t processes_ = 0;
  Clock::duration last_ok_{};
  Counts total_;
  Summary summary_;
};

}  // namespace even::cli
