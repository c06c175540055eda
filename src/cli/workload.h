// What the clients of `even record` do: which commands, and what the replies mean for the history.
// docs/verify.md describes the operations of each model.
//
// Every value is written once, and every key is used by this run alone, so that it begins empty and
// what was read tells which write it is from.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "verify/history.h"

namespace even::cli {

// How the server compares and sets, if it can.
enum class CasCommand : std::uint8_t { kNone, kIfeq, kScript };

struct PlannedOperation {
  std::string f;
  std::string key;
  nlohmann::json value;            // of the invocation
  std::vector<std::string> words;  // the command
  bool only_reads = false;
};

struct CompletedOperation {
  std::string_view type;  // "ok", "fail" or "info"
  nlohmann::json value;
  std::string error;  // why not ok; empty for a compare-and-set that found another value
};

struct WorkloadOptions {
  verify::Model model = verify::Model::kRegister;
  CasCommand cas = CasCommand::kNone;
  std::string prefix;         // of all keys
  std::uint64_t keys = 1;     // in use at a time
  std::uint64_t per_key = 0;  // operations until a fresh key takes the place; 0: no end
};

// Safe from any thread.
class Workload {
 public:
  explicit Workload(WorkloadOptions options);

  // What a client that is at `mind` does next.
  struct Mind {
    std::mt19937_64 random;
    // Per key in use (by its number modulo the count): the key and the value that was read last.
    std::vector<std::pair<std::string, std::string>> last_read;
    // What it did last was a read at this place: the value may be there yet.
    std::optional<std::uint64_t> just_read;
  };
  PlannedOperation next(Mind& mind);

  // What the bytes of a reply mean. Also notes in `mind` what was read.
  CompletedOperation complete(const PlannedOperation& operation, std::string_view reply,
                              Mind& mind) const;

 private:
  const WorkloadOptions options_;
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> value_{0};
};

// The command for a compare-and-set.
std::vector<std::string> cas_words(CasCommand command, const std::string& key,
                                   const std::string& old, const std::string& value);

// True if an error reply says that nothing was done and nothing will be.
bool is_certainly_not_done(std::string_view error);

}  // namespace even::cli
