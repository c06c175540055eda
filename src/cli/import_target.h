// Where an import writes to: a few connections to a node, each of which takes the commands on some
// of the keys, in order. A command that is refused for now is sent again; any other refusal ends
// the import.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "cli/import_source.h"
#include "cli/resp_pipe.h"

namespace even::cli {

class ImportTarget {
 public:
  ImportTarget(ServerAddress address, int connections)
      : address_(std::move(address)), connections_(connections) {}
  ~ImportTarget();

  // A refusal that will pass: the command has done nothing.
  static bool passes(std::string_view reply);
  Result<> connect();
  // Sends it by and by, to be executed in that database. `key` decides over which connection.
  // False: the import has failed, and error() says why.
  bool execute(std::uint64_t database, std::string_view key,
               std::span<const std::string_view> words);
  // The same of a transaction: encoded commands, so many. It may select others; then the last one
  // that it selects is 0. Of one that may not be repeated, broken() says whether some was refused
  // while the rest was done.
  enum class Repeat : std::uint8_t { kMay, kMayNot };
  bool execute_together(std::uint64_t database, std::string_view key, std::string_view commands,
                        std::size_t count, Repeat repeat);
  // Waits until all of that has been answered.
  Result<> finish();
  std::string error() const;
  bool broken() const;

 private:
  static constexpr std::size_t kBatchBytes = 128 << 10;
  static constexpr std::size_t kMostBatches = 4;  // that wait for a connection

  struct Batch {
    std::string bytes;
    struct Unit {
      std::size_t end = 0;  // of its bytes
      std::size_t replies = 1;
      bool transaction = false;
      Repeat repeat = Repeat::kMay;
    };
    std::vector<Unit> units;  // that are sent again as a whole
  };
  struct Lane {
    RespPipe pipe;
    Batch gathered;        // of the thread that calls execute()
    bool selects = false;  // some of it was not for database 0: each unit says for which it is
    std::deque<Batch> waiting;
    bool busy = false;
    std::thread thread;
  };

  bool add(std::uint64_t database, std::string_view key, Batch::Unit unit, auto append);
  void run(Lane& lane);
  // Of one unit: what refuses it, if anything does, and whether that will pass.
  struct Refusal {
    std::string reply;
    bool passes = false;
    bool rest_done = false;  // of the transaction that it was in
  };
  static Result<std::optional<Refusal>> read_unit(Lane& lane, const Batch::Unit& unit);
  Result<> send(Lane& lane, const Batch& batch);
  void hand_over(Lane& lane);

  const ServerAddress address_;
  const int connections_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string error_;
  bool broken_ = false;
  bool ending_ = false;
};

}  // namespace even::cli
