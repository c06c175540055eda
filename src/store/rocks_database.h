// The rows of a node on its disk: one RocksDB database in a directory of its own, which the shards
// share. RocksDB's write-ahead log and memtable stay empty; a pass of a shard becomes one sorted
// file, which RocksDB takes in whole. See docs/formats/store.md for what is in the directory.
//
// Ownership and threads: the handles that shard_store() returns must not outlive the database, and
// each belongs to one thread. Everything else may be called on any thread. RocksDB adds up to two
// threads for compaction. Errors name the directory or the file, and say what RocksDB or the
// operating system said.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/backup.h"
#include "store/row_store.h"

namespace rocksdb {
class Env;
}

namespace even {

struct RocksOptions {
  // Blocks of rows, indexes and filters in memory, for all shards together.
  std::uint64_t block_cache_bytes = 32 << 20;
  int max_open_files = 256;
  // The file system, which must outlive the database; the machine's if none is given.
  rocksdb::Env* env = nullptr;
};

// Bytes, but for the counts. "Written" and "read" count since the database was opened.
struct RocksStats {
  std::uint64_t live = 0;                // files that hold rows
  std::uint64_t pending_compaction = 0;  // estimate of what is to be rewritten
  std::uint64_t level0_files = 0;        // each of them is looked at by a read
  std::uint64_t block_cache = 0;
  std::uint64_t written_by_passes = 0;
  std::uint64_t written_by_compaction = 0;
  std::uint64_t read_by_compaction = 0;
  std::uint64_t background_errors = 0;  // compactions that failed
};

class RocksDatabase {
 public:
  using Task = std::function<void()>;
  // Runs a task on the shard's thread, later; called from the handle's helper threads.
  using Post = std::function<void(Task)>;

  // Opens the database in `directory`, which is created (with its parents) when it does not exist.
  // Reads little: damage in the rows is found when they are read.
  static Result<std::unique_ptr<RocksDatabase>> open(const std::string& directory,
                                                     RocksOptions options = {});
  ~RocksDatabase();

  // One handle for a shard at a time. A handle has a thread that writes passes and one that
  // fetches, each from when it is first needed. The rest runs in the caller's thread.
  std::unique_ptr<RowStore> shard_store(ShardId shard, Post post);

  RocksStats stats() const;

  // Makes a backup of what the passes have put in that succeeded before; others may go on
  // meanwhile. Blocks, on any thread; one at a time.
  Result<BackupEntry> back_up(const BackupRequest& request, BackupProgress& progress);

 private:
  class Core;
  class ShardStore;
  explicit RocksDatabase(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
};

struct StoreReport {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> damaged;  // a sentence for each file that is not as it was written
};

// Reads every file of the database in `directory` and compares it with its checksum. Changes
// nothing. The database should not be open elsewhere: files that go meanwhile are reported. Calls
// progress(bytes read, bytes in all) now and then. The error is that the database cannot be opened.
Result<StoreReport> inspect_store(
    const std::string& directory,
    const std::function<void(std::uint64_t read, std::uint64_t all)>& progress);

}  // namespace even
