// A way out for a log that is damaged where a start would not cut it. What the store holds already
// the log can do without; of the rest, what comes after the damage is of no use, since the records
// before it are missing.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "env/disk.h"
#include "log/log.h"

namespace even {

struct LogRepair {
  std::string damage;  // a sentence; empty: there is none, and nothing is to be done
  // The frames that stay. Empty: the log goes on at `begin`.
  LogPosition begin = 0;
  LogPosition end = 0;
  // Whether something may be lost that was durable: what cannot be read, and what comes after it.
  // False only if it is certain that nothing is.
  bool loses = false;
  std::uint64_t readable_records_lost = 0;
};

// What a repair of the shard's log would do. `needed`: the store's position for it. Reads all.
Result<LogRepair> plan_log_repair(Disk& disk, ShardId shard, LogPosition needed);

// Does it. Files that change or go are kept beside, under their names with `.damaged` behind.
// Nothing may have changed since the plan was made; the node must not be running.
Result<> repair_log(Disk& disk, ShardId shard, const LogRepair& plan);

}  // namespace even
