// Backups of a store: a directory with one or more of them, each whole by itself, which share the
// files that they have in common. RocksDB's BackupEngine makes and reads them; see
// docs/formats/backup.md for what is in the directory.
//
// Any thread; all calls block. Errors name the directory or the file.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/backup_label.h"

namespace rocksdb {
class DB;
class Env;
}  // namespace rocksdb

namespace even {

// Of the store that this version writes and reads. See docs/formats/store.md.
inline constexpr int kStoreFormat = 9;

using BackupId = std::uint32_t;  // counts from 1 within a directory; an older one is smaller

struct BackupEntry {
  BackupId id = 0;
  std::uint64_t bytes = 0;  // of all its files, those that it shares with others included
  std::uint64_t files = 0;
  BackupLabel label;
};

struct BackupRequest {
  std::string directory;   // created when it does not exist; else empty, or one of backups
  std::string note;        // for the label
  std::uint32_t keep = 0;  // older ones than so many are removed afterwards; 0: none
  std::uint64_t bytes_per_second = 0;  // to write at most; 0: no limit
};

// Of a backup under way; shared with whoever wants to know, or to stop it.
struct BackupProgress {
  std::atomic<std::uint64_t> copied = 0;    // bytes
  std::atomic<std::uint64_t> expected = 0;  // an estimate of what they will be; 0: not known yet
  std::atomic<bool> stop = false;
};

// Told bytes done and bytes in all, now and then.
using CopyProgress = std::function<void(std::uint64_t done, std::uint64_t all)>;

// For RocksDatabase::back_up(). `machine`: the file system that holds request.directory. What is
// copied is compared with the checksums that the store has of it. A process that dies leaves the
// backups that were there before, and what the next call removes.
Result<BackupEntry> create_backup(rocksdb::DB& db, rocksdb::Env* machine,
                                  const BackupRequest& request, BackupProgress& progress);

struct BackupList {
  std::vector<BackupEntry> whole;  // ascending
  std::vector<BackupId> damaged;   // as far as that can be told without reading all of them
};
Result<BackupList> list_backups(const std::string& directory);

// The backup of that number, or the newest if `id` is 0. The error is that there is none, or that
// it is damaged.
Result<BackupEntry> find_backup(const std::string& directory, BackupId id);

// Compares all files of one backup with their checksums. The error names the first that is damaged.
Result<> verify_backup(const std::string& directory, BackupId id, const CopyProgress& progress);

// Makes a store in `store`, a directory that does not exist, of a backup, whose checksums are
// compared. After an error there may be a part of it.
Result<> restore_backup(const std::string& directory, const BackupEntry& backup,
                        const std::string& store, const CopyProgress& progress);

}  // namespace even
