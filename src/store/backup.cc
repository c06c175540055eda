#include "store/backup.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/file_system.h>
#include <rocksdb/utilities/backup_engine.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "store/format_file.h"
#include "store/rocks_hooks.h"

namespace even {
namespace {

namespace fs = std::filesystem;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

std::unexpected<Error> backup_error(std::string_view what, const std::string& directory,
                                    const rocksdb::Status& status) {
  return fail(fmt::format("{} {}: {}", what, directory, status.ToString()));
}

std::optional<BackupEntry> decode_entry(const rocksdb::BackupInfo& info) {
  auto label = decode_backup_label(info.app_metadata);
  if (!label) return std::nullopt;
  return BackupEntry{.id = info.backup_id,
                     .bytes = info.size,
                     .files = info.number_files,
                     .label = std::move(*label)};
}

// --- The file system beneath BackupEngine.

// The number of a file of rows, which its name begins with, also in a backup and while it is being
// made there; 0 for other files.
std::uint64_t table_number(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  if (name.find(".sst") == std::string_view::npos) return 0;
  if (name.starts_with('.')) name.remove_prefix(1);
  std::uint64_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

// Calls read() or written() with the bytes of each piece that passes through the file system.
// Compares files of rows with the checksums that are known of them by number: BackupEngine has
// checksums of its own, but computes them from what it reads.
struct Watch {
  std::function<void(std::size_t)> read = [](std::size_t) {};
  std::function<bool(std::size_t)> written = [](std::size_t) { return true; };  // false: give up
  std::map<std::uint64_t, std::string> checksums;
};

class WatchedReader final : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  WatchedReader(std::unique_ptr<rocksdb::FSSequentialFile> file, const Watch& watch)
      : FSSequentialFileOwnerWrapper(std::move(file)), watch_(watch) {}
  IOStatus Read(std::size_t size, const IOOptions& options, Slice* bytes, char* scratch,
                IODebugContext* context) override {
    IOStatus status = target()->Read(size, options, bytes, scratch, context);
    if (status.ok()) watch_.read(bytes->size());
    return status;
  }

 private:
  const Watch& watch_;
};

class WatchedWriter final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WatchedWriter(std::unique_ptr<rocksdb::FSWritableFile> file, std::string path, const Watch& watch)
      : FSWritableFileOwnerWrapper(std::move(file)),
        path_(std::move(path)),
        watch_(watch),
        checksum_(make_file_checksums()->CreateFileChecksumGenerator({})) {}
  IOStatus Append(const Slice& bytes, const IOOptions& options, IODebugContext* context) override {
    return after(target()->Append(bytes, options, context), bytes);
  }
  IOStatus Append(const Slice& bytes, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& verification,
                  IODebugContext* context) override {
    return after(target()->Append(bytes, options, verification, context), bytes);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* context) override {
    IOStatus closed = target()->Close(options, context);
    const auto known = watch_.checksums.find(table_number(path_));
    if (!closed.ok() || known == watch_.checksums.end()) return closed;
    checksum_->Finalize();
    if (checksum_->GetChecksum() == known->second) return closed;
    return IOStatus::Corruption(
        fmt::format("the store's file {:06}.sst does not match its checksum", known->first));
  }

 private:
  IOStatus after(IOStatus appended, const Slice& bytes) {
    if (!appended.ok()) return appended;
    checksum_->Update(bytes.data(), bytes.size());
    if (!watch_.written(bytes.size())) return IOStatus::Aborted("it was told to stop");
    return appended;
  }

  const std::string path_;
  const Watch& watch_;
  const std::unique_ptr<rocksdb::FileChecksumGenerator> checksum_;
};

class WatchedFiles final : public rocksdb::FileSystemWrapper {
 public:
  WatchedFiles(const std::shared_ptr<rocksdb::FileSystem>& target, Watch watch)
      : FileSystemWrapper(target), watch_(std::move(watch)) {}
  const char* Name() const override { return "EvenWatchedFiles"; }

  IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext* context) override {
    IOStatus status = target()->NewSequentialFile(path, options, file, context);
    if (status.ok()) *file = std::make_unique<WatchedReader>(std::move(*file), watch_);
    return status;
  }
  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* context) override {
    IOStatus status = target()->NewWritableFile(path, options, file, context);
    if (status.ok()) *file = std::make_unique<WatchedWriter>(std::move(*file), path, watch_);
    return status;
  }

 private:
  const Watch watch_;
};

std::unique_ptr<rocksdb::Env> watch_files(rocksdb::Env* target, Watch watch) {
  return rocksdb::NewCompositeEnv(
      std::make_shared<WatchedFiles>(target->GetFileSystem(), std::move(watch)));
}

// --- The directory.

std::string format_path(const std::string& directory) { return directory + "/BACKUPS"; }

Result<> check_backup_format(const std::string& directory, int format) {
  if (format <= kBackupFormat) return {};
  return fail(
      fmt::format("{} was written by a newer version of Even: the format of its backups is "
                  "{}, this version reads up to {}",
                  directory, format, kBackupFormat));
}

// A directory that is being written to, by one process at a time: two would remove each other's
// files.
class Claim {
 public:
  explicit Claim(rocksdb::Env* machine) : machine_(machine) {}
  ~Claim() {
    if (lock_ != nullptr) machine_->UnlockFile(lock_).PermitUncheckedError();
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  Result<> take(const std::string& directory) {
    rocksdb::Status status = machine_->CreateDirIfMissing(directory);
    if (!status.ok()) return backup_error("cannot create", directory, status);
    const auto format = read_format_file(machine_, format_path(directory));
    if (!format) return std::unexpected(format.error());
    if (!*format) {
      // BackupEngine removes what it does not know.
      if (const auto empty = check_empty(directory); !empty) return empty;
    }
    status = machine_->LockFile(directory + "/" + std::string(kLock), &lock_);
    if (!status.ok()) return backup_error("another process makes a backup in", directory, status);
    const Result<> marked =
        *format ? check_backup_format(directory, **format)
                : write_format_file(machine_, format_path(directory), kBackupFormat);
    if (!marked) return marked;
    // Again, if the mark was there: whoever made it may have failed before this.
    for (const std::string& path : {directory, fs::path(directory).parent_path().string()}) {
      std::unique_ptr<rocksdb::Directory> entries;
      status = machine_->NewDirectory(path, &entries);
      if (status.ok()) status = entries->Fsync();
      if (!status.ok()) return backup_error("cannot sync", path, status);
    }
    return {};
  }

 private:
  static constexpr std::string_view kLock = "LOCK";

  Result<> check_empty(const std::string& directory) {
    std::vector<std::string> names;
    const rocksdb::Status status = machine_->GetChildren(directory, &names);
    if (!status.ok()) return backup_error("cannot read", directory, status);
    for (const std::string& name : names) {
      if (name == "." || name == ".." || name == kLock || name == "lost+found") continue;
      return fail(
          fmt::format("{} holds other things than backups, such as '{}': name an empty "
                      "directory or one that does not exist",
                      directory, name));
    }
    return {};
  }

  rocksdb::Env* const machine_;
  rocksdb::FileLock* lock_ = nullptr;
};

// What BackupEngine will copy: files of rows that are not in the directory yet.
std::uint64_t bytes_to_copy(rocksdb::Env* machine, const std::string& directory,
                            const std::vector<rocksdb::LiveFileMetaData>& live) {
  std::vector<std::string> names;
  machine->GetChildren(directory + "/shared_checksum", &names).PermitUncheckedError();
  // NUMBER_sSESSION_SIZE.sst; another session with both numbers the same is improbable enough for
  // an estimate.
  std::set<std::pair<std::uint64_t, std::uint64_t>> there;
  for (const std::string& name : names) {
    std::uint64_t size = 0;
    const char* const digits = name.data() + name.rfind('_') + 1;
    std::from_chars(digits, name.data() + name.size(), size);
    there.emplace(table_number(name), size);
  }
  std::uint64_t bytes = 0;
  for (const rocksdb::LiveFileMetaData& file : live) {
    if (!there.contains({table_number(file.name), file.size})) bytes += file.size;
  }
  return bytes;
}

struct BackupReader {
  std::unique_ptr<rocksdb::Env> backup_files;
  std::unique_ptr<rocksdb::Env> store_files;
  std::unique_ptr<rocksdb::BackupEngineReadOnly> engine;
};

Result<BackupReader> open_to_read(const std::string& directory, Watch backup_files = {},
                                  Watch store_files = {}) {
  rocksdb::Env* const machine = rocksdb::Env::Default();
  const auto format = read_format_file(machine, format_path(directory));
  if (!format) return std::unexpected(format.error());
  if (!*format) return fail(fmt::format("there are no backups in {}", directory));
  if (const auto known = check_backup_format(directory, **format); !known) {
    return std::unexpected(known.error());
  }
  BackupReader reader{watch_files(machine, std::move(backup_files)),
                      watch_files(machine, std::move(store_files)),
                      {}};
  rocksdb::BackupEngineReadOnly* opened = nullptr;
  const IOStatus status = rocksdb::BackupEngineReadOnly::Open(
      rocksdb::BackupEngineOptions(directory, reader.backup_files.get()), reader.store_files.get(),
      &opened);
  reader.engine.reset(opened);
  if (!status.ok()) return backup_error("cannot read the backups in", directory, status);
  return reader;
}

BackupList list(const rocksdb::BackupEngineReadOnlyBase& engine) {
  BackupList found;
  engine.GetCorruptedBackups(&found.damaged);
  std::vector<rocksdb::BackupInfo> infos;
  engine.GetBackupInfo(&infos);
  for (const rocksdb::BackupInfo& info : infos) {
    if (auto entry = decode_entry(info)) {
      found.whole.push_back(std::move(*entry));
    } else {
      found.damaged.push_back(info.backup_id);
    }
  }
  std::ranges::sort(found.whole, {}, &BackupEntry::id);
  std::ranges::sort(found.damaged);
  return found;
}

}  // namespace

Result<BackupEntry> create_backup(rocksdb::DB& db, rocksdb::Env* machine,
                                  const BackupRequest& request, BackupProgress& progress) {
  const std::string& directory = request.directory;
  Claim claim(machine);
  if (const auto taken = claim.take(directory); !taken) return std::unexpected(taken.error());
  std::vector<rocksdb::LiveFileMetaData> live;
  db.GetLiveFilesMetaData(&live);
  Watch watch;
  watch.written = [&progress](std::size_t bytes) {
    progress.copied += bytes;
    return !progress.stop;
  };
  // A file that comes into being from here on was written a moment before it is copied.
  for (const auto& file : live) watch.checksums[table_number(file.name)] = file.file_checksum;
  const auto files = watch_files(machine, std::move(watch));

  rocksdb::BackupEngineOptions options(directory, files.get());
  options.backup_log_files = false;  // they are empty
  options.backup_rate_limit = request.bytes_per_second;
  rocksdb::BackupEngine* opened = nullptr;
  rocksdb::Status status = rocksdb::BackupEngine::Open(options, db.GetEnv(), &opened);
  const std::unique_ptr<rocksdb::BackupEngine> engine(opened);
  // What a process left that died meanwhile.
  if (status.ok()) status = engine->GarbageCollect();
  if (!status.ok()) return backup_error("cannot make a backup in", directory, status);
  progress.expected = bytes_to_copy(machine, directory, live);

  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  rocksdb::CreateBackupOptions creation;
  creation.flush_before_backup = false;  // there is nothing in the memtable
  creation.decrease_background_thread_cpu_priority = true;
  creation.background_thread_cpu_priority = rocksdb::CpuPriority::kLow;
  BackupId id = 0;
  const std::string label = encode_backup_label(
      {.store_format = kStoreFormat, .taken_s = now.count(), .note = request.note});
  status = engine->CreateNewBackupWithMetadata(creation, &db, label, &id);
  if (!status.ok()) return backup_error("cannot make a backup in", directory, status);
  rocksdb::BackupInfo info;
  status = engine->GetBackupInfo(id, &info);
  if (status.ok() && request.keep > 0) status = engine->PurgeOldBackups(request.keep);
  if (!status.ok())
    return backup_error("the backup is made, but not all is well in", directory, status);
  return *decode_entry(info);
}

Result<BackupList> list_backups(const std::string& directory) {
  const auto reader = open_to_read(directory);
  if (!reader) return std::unexpected(reader.error());
  return list(*reader->engine);
}

Result<BackupEntry> find_backup(const std::string& directory, BackupId id) {
  const auto found = list_backups(directory);
  if (!found) return std::unexpected(found.error());
  const auto& [whole, damaged] = *found;
  if (whole.empty() && damaged.empty()) {
    return fail(fmt::format("there are no backups in {}", directory));
  }
  if (id == 0) {
    id = std::max(whole.empty() ? 0 : whole.back().id, damaged.empty() ? 0 : damaged.back());
  }
  if (std::ranges::binary_search(damaged, id)) {
    return fail(fmt::format("backup {} in {} is damaged: a file is missing or is not what it was",
                            id, directory));
  }
  const auto entry = std::ranges::lower_bound(whole, id, {}, &BackupEntry::id);
  if (entry == whole.end() || entry->id != id) {
    return fail(fmt::format("there is no backup {} in {}", id, directory));
  }
  return *entry;
}

Result<> verify_backup(const std::string& directory, BackupId id, const CopyProgress& progress) {
  const auto entry = find_backup(directory, id);
  if (!entry) return std::unexpected(entry.error());
  std::uint64_t done = 0;
  Watch watch;
  watch.read = [&](std::size_t bytes) { progress(done += bytes, entry->bytes); };
  const auto reader = open_to_read(directory, std::move(watch));
  if (!reader) return std::unexpected(reader.error());
  done = 0;
  const IOStatus status = reader->engine->VerifyBackup(entry->id, /*verify_with_checksum=*/true);
  if (status.ok()) return {};
  return fail(
      fmt::format("backup {} in {} is damaged: {}", entry->id, directory, status.ToString()));
}

Result<> restore_backup(const std::string& directory, const BackupEntry& backup,
                        const std::string& store, const CopyProgress& progress) {
  if (const int format = backup.label.store_format; format != kStoreFormat) {
    return fail(
        fmt::format("backup {} in {} is of {} version of Even: the format of its store is {}, this "
                    "version reads {}",
                    backup.id, directory, format > kStoreFormat ? "a newer" : "an older", format,
                    kStoreFormat));
  }
  std::uint64_t done = 0;
  Watch watch;
  watch.written = [&](std::size_t bytes) {
    progress(done += bytes, backup.bytes);
    return true;
  };
  const auto reader = open_to_read(directory, {}, std::move(watch));
  if (!reader) return std::unexpected(reader.error());
  rocksdb::Status status = rocksdb::Env::Default()->CreateDir(store);
  if (status.ok())
    status =
        reader->engine->RestoreDBFromBackup(rocksdb::RestoreOptions(), backup.id, store, store);
  if (!status.ok()) {
    return fail(
        fmt::format("cannot restore backup {} of {}: {}{}", backup.id, directory, status.ToString(),
                    status.IsCorruption() ? "; `even backup --verify` names the file" : ""));
  }
  return write_format_file(rocksdb::Env::Default(), store + "/FORMAT", backup.label.store_format);
}

}  // namespace even
