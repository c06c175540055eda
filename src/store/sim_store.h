// The rows of a simulated node: what RocksDatabase is, in memory and on simulated time. It outlives
// the node's crashes; each run of the node takes handles of its own, which must not outlive the
// SimStore. The same seed and calls give the same outcomes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "env/random.h"
#include "env/sim_scheduler.h"
#include "store/row_store.h"

namespace even::sim {

struct StoreFaults {
  std::int64_t commit_us = 3000;  // typical duration of a commit
  double slow_commit = 0.01;      // chance that it takes a hundred times as long
  double behind = 0;  // chance after each part of a pass that no more is taken for a while
  std::int64_t behind_us = 1'000'000;  // typical duration of that
  double failing_commit = 0;           // chance that it fails, with nothing changed before a crash
  std::int64_t fetch_us = 200;         // typical duration of a fetch
  bool full = false;                   // commits fail
  double failing_read = 0;             // chance that a row, or all of a scan, cannot be read
};

class SimStore {
 public:
  SimStore(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}

  StoreFaults faults;
  // How the process goes on with what it has begun here, at once unless it is stopped: it is the
  // process itself that commits and reads.
  std::function<void(std::function<void()> step)> go_on = [](const auto& step) { step(); };

  std::unique_ptr<RowStore> shard_store();

  using Rows = std::map<std::string, std::string, std::less<>>;

  // The machine loses power. A pass that is being committed is taken in whole or not at all; if
  // none is, one that failed since the last success may be. What handles taken before have been
  // asked is never answered.
  void crash();
  // All is lost.
  void wipe();
  // All is lost, and these rows are put in its place.
  void restore(Rows rows);
  // Up to so many rows, neighbours, cannot be read any more until something is written in their
  // place. Returns how many.
  std::size_t damage(std::size_t rows);
  void damage_all();

  const Rows& rows() const { return *rows_; }

 private:
  friend class SimShardStore;
  using Pass = std::vector<RowBatch>;

  std::int64_t about(std::int64_t us);
  // Removing a range takes reading it.
  bool can_apply(const Pass& pass) const;
  void apply(const Pass& pass);
  // To be changed: a copy, where a scan is reading them.
  Rows& changed_rows();
  // Settles what becomes of a pass whose outcome nobody will be told.
  void settle(std::shared_ptr<Pass> pass);

  Scheduler& scheduler_;
  Random& random_;
  Result<> readable(const std::string& row) const;

  std::shared_ptr<Rows> rows_ = std::make_shared<Rows>();  // also of scans under way
  std::set<std::string> damaged_;                          // of rows_
  std::vector<std::shared_ptr<Pass>> committing_;
  std::vector<std::shared_ptr<Pass>> failed_;  // since the last that succeeded
  std::uint64_t crashes_ = 0;
};

}  // namespace even::sim
