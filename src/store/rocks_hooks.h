// What RocksDB calls while it works: reports about its work in the background, its log, its
// checksums of files, its file system. For rocks_database.cc.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace rocksdb {
class Cache;
class Env;
class EventListener;
class FileChecksumGenFactory;
class Logger;
}  // namespace rocksdb

namespace even {

// How RocksDB's work in the background goes. Any thread may call.
//
// After an error there, RocksDB lets nothing in until it is told to resume, since its memtable and
// log might not agree with its files. Ours are empty, a compaction that fails leaves its input in
// place, and a MANIFEST that could not be written is written anew with the next change. So RocksDB
// is told that all is well: it tries again after a second, and passes have errors of their own.
// (Resuming is not even possible: in RocksDB 7.8 DB::Resume() forgets to reset
// ErrorHandler::is_db_stopped_, and the next file taken in gets number 0.)
class BackgroundWork {
 public:
  // RocksDB reports an error, of which MANIFEST may be the cause.
  void failed(std::string error, bool manifest);
  std::uint64_t errors() const;
  std::string last_error() const;

  // Waits a moment, or less if there are more than so many errors or `stop` is set; wake() after
  // setting it.
  void wait(std::uint64_t errors, const std::atomic<bool>& stop);
  void wake();

  // How often MANIFEST could not be written. Each time RocksDB stops to delete files, as the old
  // MANIFEST may name them, until EnableFileDeletions() is called as often.
  std::uint64_t manifest_failures() const;
  // MANIFEST has been written anew after so many failures. How many were not known to be settled.
  std::uint64_t settle(std::uint64_t manifest_failures);
  bool settled() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string error_;
  std::uint64_t errors_ = 0;
  std::uint64_t manifest_failures_ = 0;
  std::uint64_t settled_ = 0;
};

// Reports to `background`, and keeps `blocks`, one list of them in the order of their use, from
// filling with those of files that are gone: RocksDB 7.8 leaves them there until room is needed, so
// that the memory of a node that only writes would grow up to the cache's capacity.
std::shared_ptr<rocksdb::EventListener> make_listener(std::shared_ptr<BackgroundWork> background,
                                                      std::shared_ptr<rocksdb::Cache> blocks);

// The file system of `base`, which must outlive it, but for files that RocksDB 7.8 should not
// delete:
// - files of rows while failures of MANIFEST are not settled: that of a pass which failed because
//   MANIFEST could not be synced, although MANIFEST may name it;
// - the MANIFEST that CURRENT names, when CURRENT could not be made to name a new one.
// A process that died then would leave a store with a hole, or none that can be opened.
std::unique_ptr<rocksdb::Env> make_env(rocksdb::Env* base,
                                       std::shared_ptr<const BackgroundWork> background);

// Hands RocksDB's errors to our log. There must not be a log file of its own: Debian's build has
// its assertions on, and one of them fails at the second line that finds the disk full.
std::shared_ptr<rocksdb::Logger> make_error_log();

// Checksums of whole files, computed as they are written and kept in MANIFEST, for inspect_store():
// RocksDB does not verify every block of a filter. (Its own kind, a CRC, is slow in Debian's
// build.)
std::shared_ptr<rocksdb::FileChecksumGenFactory> make_file_checksums();

}  // namespace even
