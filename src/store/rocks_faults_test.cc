// The store in RocksDB over a file system that fails, stops or loses power at any chosen moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <sys/stat.h>

#include <fstream>
#include <mutex>
#include <set>
#include <sstream>

#include "store/test_store.h"

namespace even::test {
namespace {

namespace fs = std::filesystem;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The machine's file system, which counts what passes change in it and fails on request. Knows what
// of it has been synced.
class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  FaultyFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FaultyFileSystem"; }

  // The n-th change from now on fails, counted from 1; if `forever`, all after it do as well.
  void fail_at(std::uint64_t n, bool forever) {
    std::lock_guard lock(mutex_);
    countdown_ = n;
    forever_ = forever;
    failed_.clear();
  }
  // The next change that is described so fails.
  void fail_next(std::string description) {
    std::lock_guard lock(mutex_);
    countdown_ = 0;
    forever_ = false;
    failed_.clear();
    next_ = std::move(description);
  }
  void heal() {
    std::lock_guard lock(mutex_);
    countdown_ = 0;
    next_.clear();
  }
  // What failed first since fail_at(), as in "append MANIFEST-000005"; empty if nothing has.
  std::string failed() const {
    std::lock_guard lock(mutex_);
    return failed_;
  }

  // The machine loses what was not synced: the ends of files, new names, new meanings of names.
  // Nothing may be open.
  void lose_power() {
    std::lock_guard lock(mutex_);
    // Files first: what is made anew below may get the inode of one that is removed there.
    for (const auto& [inode, bytes] : synced_bytes_) {
      for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
        if (entry.is_regular_file() && inode_of(entry.path()) == inode &&
            entry.file_size() > bytes) {
          fs::resize_file(entry.path(), bytes);
        }
      }
    }
    synced_bytes_.clear();
    for (const auto& [path, before] : unsynced_names_) {
      fs::remove(path);
      if (before) std::ofstream(path) << *before;
    }
    unsynced_names_.clear();
  }
  void watch(std::string directory) { directory_ = std::move(directory); }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* context) override {
    if (IOStatus status = change("create", path); !status.ok()) return status;
    note_name(path);
    IOStatus status = target()->NewWritableFile(path, options, file, context);
    if (status.ok()) {
      synced(path, 0);
      *file = std::make_unique<File>(*this, path, std::move(*file));
    }
    return status;
  }
  IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                              IODebugContext* context) override {
    if (IOStatus status = change("open", path); !status.ok()) return status;
    IOStatus status = target()->ReopenWritableFile(path, options, file, context);
    if (status.ok()) *file = std::make_unique<File>(*this, path, std::move(*file));
    return status;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* context) override {
    if (IOStatus status = change("rename to", to); !status.ok()) return status;
    note_name(to);
    {
      std::lock_guard lock(mutex_);
      unsynced_names_.erase(from);
    }
    return target()->RenameFile(from, to, options, context);
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* context) override {
    if (IOStatus status = change("link", to); !status.ok()) return status;
    note_name(to);
    return target()->LinkFile(from, to, options, context);
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* context) override {
    {
      std::lock_guard lock(mutex_);
      if (stopped()) return IOStatus::IOError("stopped (injected)");
      unsynced_names_.erase(path);
      // Its inode may be that of another file next.
      std::error_code none;
      if (fs::hard_link_count(path, none) == 1) synced_bytes_.erase(inode_of(path));
    }
    return target()->DeleteFile(path, options, context);
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext* context) override {
    IOStatus status = target()->NewDirectory(path, options, directory, context);
    if (status.ok()) *directory = std::make_unique<Directory>(*this, path, std::move(*directory));
    return status;
  }

 private:
  class File final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(FaultyFileSystem& system, std::string path, std::unique_ptr<FSWritableFile> target)
        : FSWritableFileOwnerWrapper(std::move(target)), system_(system), path_(std::move(path)) {}
    IOStatus Append(const rocksdb::Slice& bytes, const IOOptions& options,
                    IODebugContext* context) override {
      if (IOStatus status = system_.change("append", path_); !status.ok()) {
        // Part of it.
        FSWritableFileOwnerWrapper::Append({bytes.data(), bytes.size() / 2}, options, context)
            .PermitUncheckedError();
        return status;
      }
      return FSWritableFileOwnerWrapper::Append(bytes, options, context);
    }
    IOStatus Append(const rocksdb::Slice& bytes, const IOOptions& options,
                    const rocksdb::DataVerificationInfo&, IODebugContext* context) override {
      return Append(bytes, options, context);
    }
    IOStatus Sync(const IOOptions& options, IODebugContext* context) override {
      if (IOStatus status = system_.change("sync", path_); !status.ok()) return status;
      system_.synced(path_, fs::file_size(path_));
      return FSWritableFileOwnerWrapper::Sync(options, context);
    }
    IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
      return Sync(options, context);
    }

   private:
    FaultyFileSystem& system_;
    const std::string path_;
  };

  class Directory final : public rocksdb::FSDirectoryWrapper {
   public:
    Directory(FaultyFileSystem& system, std::string path, std::unique_ptr<FSDirectory> target)
        : FSDirectoryWrapper(std::move(target)), system_(system), path_(std::move(path)) {}
    IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
      if (IOStatus status = system_.change("sync directory", path_); !status.ok()) return status;
      system_.synced_names(path_);
      return FSDirectoryWrapper::Fsync(options, context);
    }
    IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* context,
                                 const rocksdb::DirFsyncOptions&) override {
      return Fsync(options, context);
    }

   private:
    FaultyFileSystem& system_;
    const std::string path_;
  };

  static std::uint64_t inode_of(const fs::path& path) {
    struct stat status = {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
  }

  // Compaction goes on beside the passes at its own speed, so that what it does is not counted.
  static bool in_compaction() {
    char name[16] = {};
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    return std::string_view(name).starts_with("rocksdb:");
  }

  bool stopped() const { return countdown_ == 1 && forever_ && !failed_.empty(); }

  IOStatus change(const char* what, const std::string& path) {
    std::lock_guard lock(mutex_);
    const std::string description = what + (" " + fs::path(path).filename().native());
    if (stopped()) return IOStatus::IOError("stopped (injected)", path);
    if (in_compaction()) return IOStatus::OK();
    const bool meant = !next_.empty() && description.starts_with(next_);
    if (!meant && countdown_ == 0) return IOStatus::OK();
    if (!meant && countdown_ > 1) {
      --countdown_;
      return IOStatus::OK();
    }
    if (failed_.empty()) failed_ = description;
    if (!forever_) countdown_ = 0;
    next_.clear();
    disk_full_ = !disk_full_;
    if (disk_full_) return IOStatus::NoSpace("injected", path);
    return IOStatus::IOError("injected", path);
  }

  // Before `path` gets another meaning: what it meant, as far as that has been synced.
  void note_name(const std::string& path) {
    std::optional<std::string> before;
    if (fs::exists(path)) {
      std::ostringstream content;
      content << std::ifstream(path).rdbuf();
      before = content.str();
    }
    std::lock_guard lock(mutex_);
    unsynced_names_.emplace(path, std::move(before));
  }
  void synced_names(const std::string& directory) {
    const fs::path path = (fs::path(directory) / "").parent_path();  // without a slash at its end
    std::lock_guard lock(mutex_);
    std::erase_if(unsynced_names_,
                  [&](const auto& name) { return fs::path(name.first).parent_path() == path; });
  }
  void synced(const std::string& path, std::uint64_t bytes) {
    std::lock_guard lock(mutex_);
    synced_bytes_[inode_of(path)] = bytes;
  }

  mutable std::mutex mutex_;
  std::uint64_t countdown_ = 0;
  bool forever_ = false;
  std::string next_;
  std::string failed_;
  bool disk_full_ = false;  // of the two kinds of error, the one that was last
  std::string directory_;
  std::map<std::string, std::optional<std::string>> unsynced_names_;
  std::map<std::uint64_t, std::uint64_t> synced_bytes_;  // by inode
};

class RocksFaults : public testing::Test {
 protected:
  RocksFaults() : world_(RocksOptions{.env = env_.get()}) {
    faults_->watch(world_.directory.path());
  }

  // Makes the next pass, the n-th change of the disk failing.
  Result<> pass(std::uint64_t fails_at, bool forever, Rows& after) {
    faults_->fail_at(fails_at, forever);
    world_.store->write(numbered_pass(++number_, after));
    return commit(world_);
  }

  // Makes passes, of which each fails at another moment, and calls check(outcome, the rows if it
  // had succeeded, what failed) after each.
  template <typename Check>
  void fail_everywhere(Check check) {
    const auto attempt = [&] {
      Rows after = model_;
      world_.store->write(numbered_pass(++number_, after));
      const Result<> outcome = commit(world_);
      const std::string operation = faults_->failed();
      faults_->heal();
      check(outcome, after, operation);
      return !operation.empty() && !HasFatalFailure();
    };
    // Passes differ in what they change, so that one round would not hit everything.
    for (int round = 0; round < 6; ++round) {
      std::uint64_t n = 0;
      do {
        faults_->fail_at(++n, /*forever=*/false);
      } while (attempt());
    }
    for (const char* operation : {"create MANIFEST", "append MANIFEST", "sync MANIFEST", "create 0",
                                  "append 0", "sync 0", "rename to CURRENT", "sync directory"}) {
      // Again if compaction was faster than the pass to begin a new MANIFEST.
      do {
        spoil_manifest();
        faults_->fail_next(operation);
      } while (!attempt() && !HasFatalFailure());
    }
  }

  // After this, MANIFEST has to be begun anew.
  void spoil_manifest() {
    Rows ignored;
    faults_->fail_next("append MANIFEST");
    world_.store->write(numbered_pass(++number_, ignored));
    EXPECT_FALSE(commit(world_));
    faults_->heal();
  }

  std::uint64_t bytes_of_rows() const {
    std::uint64_t bytes = 0;
    for (const fs::path& file : files_of_rows(world_.directory.path())) {
      std::error_code gone;
      const std::uintmax_t size = fs::file_size(file, gone);
      if (!gone) bytes += size;
    }
    return bytes;
  }

  const Quiet quiet_;
  const std::shared_ptr<FaultyFileSystem> faults_ = std::make_shared<FaultyFileSystem>();
  const std::unique_ptr<rocksdb::Env> env_ = rocksdb::NewCompositeEnv(faults_);
  RocksWorld world_;
  std::uint64_t number_ = 0;
  Rows model_;
};

TEST_F(RocksFaults, APassThatFailsAtAnyMomentChangesNothingAndTheNextWorks) {
  std::set<std::string> failed;
  fail_everywhere([&](const Result<>& outcome, const Rows& after, const std::string& operation) {
    if (outcome) {
      model_ = after;
    } else {
      EXPECT_THAT(outcome.error().message, HasSubstr("injected"));
      failed.insert(operation);
    }
    ASSERT_TRUE(scan(*world_.store) == model_) << operation;
    const Result<> next = pass(0, false, model_);
    ASSERT_TRUE(next) << operation << ": " << next.error().message;
    ASSERT_TRUE(scan(*world_.store) == model_) << operation;
  });
  // Nothing is left of what failed, and of what compaction has made needless meanwhile.
  for (int i = 0; i < 100 && bytes_of_rows() > world_.database->stats().live; ++i) {
    ASSERT_TRUE(pass(0, false, model_));
  }
  EXPECT_EQ(bytes_of_rows(), world_.database->stats().live);
  world_.reopen();
  ASSERT_TRUE(scan(*world_.store) == model_);
  for (const char* operation :
       {"create ", "append ", "sync ", "link ", "sync directory ", "append MANIFEST",
        "sync MANIFEST", "create MANIFEST", "rename to CURRENT"}) {
    EXPECT_THAT(failed, Contains(StartsWith(operation)));
  }
}

TEST_F(RocksFaults, ARestartAfterAFailedPassFindsItWholeOrNotAtAll) {
  fail_everywhere([&](const Result<>& outcome, const Rows& after, const std::string& operation) {
    world_.reopen();
    const Result<Rows> rows = scan(*world_.store);
    ASSERT_TRUE(rows) << operation << ": " << rows.error().message;
    if (outcome || *rows == after) model_ = after;
    ASSERT_TRUE(*rows == model_) << operation;
    ASSERT_TRUE(pass(0, false, model_)) << operation;
  });
}

TEST_F(RocksFaults, AProcessThatStopsAtAnyMomentLeavesAPassWholeOrNotAtAll) {
  for (const bool power_is_lost : {false, true}) {
    int finished = 0;
    for (std::uint64_t n = 1; finished < 3; ++n) {
      Rows after = model_;
      const Result<> outcome = pass(n, /*forever=*/true, after);
      const std::string operation = faults_->failed();
      world_.close();
      faults_->heal();
      if (power_is_lost) faults_->lose_power();
      world_.open();
      const Result<Rows> rows = scan(*world_.store);
      ASSERT_TRUE(rows) << operation << ": " << rows.error().message;
      if (outcome || *rows == after) model_ = after;
      ASSERT_TRUE(*rows == model_) << operation << (power_is_lost ? ", and power is lost" : "");
      if (operation.empty()) ++finished, n = 0;
    }
  }
}

TEST_F(RocksFaults, ABackupThatFailsOrStopsAtAnyMomentLeavesTheOlderOnesAndNoHalfOne) {
  const std::string backups = world_.directory.path() + "/backups";
  const auto ignore = [](std::uint64_t, std::uint64_t) {};
  const BackupRequest request{.directory = backups, .note = "", .keep = 2};
  BackupProgress progress;
  std::map<BackupId, Rows> made;
  for (const bool forever : {false, true}) {
    std::string operation;
    std::uint64_t n = 0;
    do {
      ASSERT_TRUE(pass(0, false, model_));
      faults_->fail_at(++n, forever);
      const auto outcome = world_.database->back_up(request, progress);
      operation = faults_->failed();
      faults_->heal();
      if (forever) {
        world_.close();
        faults_->lose_power();
        world_.open();
      }
      if (outcome) made[outcome->id] = model_;
      const auto found = list_backups(backups);
      ASSERT_TRUE(found || made.empty()) << operation << ": " << found.error().message;
      if (!found) continue;
      EXPECT_THAT(found->damaged, testing::IsEmpty()) << operation;
      // What failed after it was whole may be there.
      const bool newer = !found->whole.empty() && !made.contains(found->whole.back().id);
      if (newer) made[found->whole.back().id] = model_;
      if (!made.empty()) {
        ASSERT_FALSE(found->whole.empty()) << operation;
        ASSERT_EQ(found->whole.back().id, made.rbegin()->first) << operation;
      }
      for (const BackupEntry& entry : found->whole) {
        const Result<> sound = verify_backup(backups, entry.id, ignore);
        ASSERT_TRUE(sound) << operation << ": " << sound.error().message;
      }
      if (found->whole.empty()) continue;
      const TemporaryDirectory place;
      const std::string store = place.path() + "/store";
      const Result<> restored = restore_backup(backups, found->whole.back(), store, ignore);
      ASSERT_TRUE(restored) << operation << ": " << restored.error().message;
      RocksWorld world(store);
      ASSERT_TRUE(scan(*world.store) == made.rbegin()->second) << operation;
    } while (!operation.empty());
    EXPECT_GT(n, 10u);
  }
}

}  // namespace
}  // namespace even::test
