#include "store/rocks_database.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/transaction_log.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.h"
#include "store/format_file.h"
#include "store/rocks_hooks.h"
#include "store/topic_rows.h"

namespace even {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPassDirectory = "passes";
constexpr std::string_view kCannotRead = "cannot read from the store";

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }
rocksdb::Slice slice(std::string_view view) { return {view.data(), view.size()}; }

std::unexpected<Error> rocks_error(std::string_view what, const rocksdb::Status& status) {
  return fail(fmt::format("{}: {}", what, status.ToString()));
}

// RocksDB reports what goes wrong by Status, but what it calls may throw: memory, threads.
template <typename Call>
auto guarded(std::string_view what, Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& error) {
    return fail(fmt::format("{}: {}", what, error.what()));
  }
}

rocksdb::Options make_options(const RocksOptions& options) {
  rocksdb::Options rocks;
  if (options.env != nullptr) rocks.env = options.env;
  rocks.create_if_missing = true;
  // A damaged or missing file is an error for who reads its rows, not for all others.
  rocks.paranoid_checks = false;
  rocks.max_open_files = options.max_open_files;
  rocks.max_background_jobs = 2;
  rocks.bytes_per_sync = 1 << 20;
  // Deleting files is left to RocksDB's threads, also when a scan is the last one to need them.
  rocks.avoid_unnecessary_blocking_io = true;
  // MANIFEST grows with each pass and is read when the database is opened.
  rocks.max_manifest_file_size = 16 << 20;
  rocks.manifest_preallocation_size = 4 << 10;
  rocks.info_log = make_error_log();
  rocks.stats_dump_period_sec = 0;
  rocks.stats_persist_period_sec = 0;
  rocks.max_bgerror_resume_count = 0;  // see rocks_hooks.h
  rocks.statistics = rocksdb::CreateDBStatistics();
  rocks.statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  rocks.file_checksum_gen_factory = make_file_checksums();

  rocks.compression = rocksdb::kLZ4Compression;
  rocks.level_compaction_dynamic_level_bytes = true;

  rocksdb::BlockBasedTableOptions table;
  // One list of what has been used, for forget_blocks() of rocks_hooks.cc.
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, /*num_shard_bits=*/0,
                                           /*strict_capacity_limit=*/false,
                                           /*high_pri_pool_ratio=*/0.0);
  table.checksum = rocksdb::kXXH3;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;
  // Indexes and filters in pieces of a block's size, which come and go in the cache like blocks of
  // rows: whole ones may be larger than the cache. Only the index of the pieces stays.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.cache_index_and_filter_blocks = true;
  rocks.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return rocks;
}

// Whether we can read what is in `directory`; a new one is marked if `create`.
Result<> check_format(rocksdb::Env* env, const std::string& directory, bool create) {
  const std::string path = directory + "/FORMAT";
  const auto format = read_format_file(env, path);
  if (!format) {
    return fail(fmt::format("cannot open store {}: {}", directory, format.error().message));
  }
  if (!*format) {
    if (env->FileExists(directory + "/CURRENT").ok()) {
      return fail(fmt::format("store {} is damaged: the file FORMAT is missing", directory));
    }
    if (!create) return fail(fmt::format("there is no store in {}", directory));
    if (const Result<> written = write_format_file(env, path, kStoreFormat); !written) {
      return fail(fmt::format("cannot open store {}: {}", directory, written.error().message));
    }
  }
  if (const int found = format->value_or(kStoreFormat); found != kStoreFormat) {
    return fail(
        fmt::format("store {} was written by {} version of Even: its format is {}, this version "
                    "reads {}",
                    directory, found > kStoreFormat ? "a newer" : "an older", found, kStoreFormat));
  }
  return {};
}

std::unexpected<Error> open_error(const std::string& directory, const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (status.IsIOError() && text.find("/LOCK: ") != std::string::npos) {
    return fail(fmt::format("store {} is in use by another process: stop that one first ({})",
                            directory, text));
  }
  if (status.IsNotSupported() || text.find("newer version of RocksDB") != std::string::npos) {
    return fail(
        fmt::format("store {} was written by a newer version of RocksDB ({})", directory, text));
  }
  if (status.IsCorruption()) return fail(fmt::format("store {} is damaged: {}", directory, text));
  return fail(fmt::format("cannot open store {}: {}", directory, text));
}

// RocksDB begins a write-ahead log whenever it is opened and removes old ones when it writes out a
// memtable, which it never does here: so they are left, empty.
void remove_old_logs(rocksdb::DB& db, const std::string& directory) {
  std::unique_ptr<rocksdb::LogFile> current;
  if (!db.GetCurrentWalFile(&current).ok()) return;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().extension() != ".log") continue;
    if ("/" + entry.path().filename().native() == current->PathName()) continue;
    if (entry.file_size(ignored) == 0) fs::remove(entry.path(), ignored);
  }
}

// Reads a file and compares it with the checksum that MANIFEST has of it.
Result<> verify(const rocksdb::LiveFileMetaData& file, const rocksdb::Options& options,
                const std::function<void(std::size_t)>& read) {
  const std::string path = file.db_path + file.name;
  std::unique_ptr<rocksdb::SequentialFile> content;
  rocksdb::Status status = options.env->NewSequentialFile(path, &content, {});
  if (!status.ok()) return rocks_error("cannot read", status);
  const auto checksum = options.file_checksum_gen_factory->CreateFileChecksumGenerator({});
  if (file.file_checksum_func_name != checksum->Name()) {
    return fail(fmt::format("{} cannot be verified: MANIFEST has no checksum of it of the kind {}",
                            path, checksum->Name()));
  }
  std::string buffer(1 << 20, '\0');
  rocksdb::Slice bytes;
  do {
    status = content->Read(buffer.size(), &bytes, buffer.data());
    if (!status.ok()) return rocks_error("cannot read", status);
    checksum->Update(bytes.data(), bytes.size());
    read(bytes.size());
  } while (!bytes.empty());
  checksum->Finalize();
  if (checksum->GetChecksum() != file.file_checksum) {
    return fail(fmt::format("{} is damaged: its content does not match its checksum", path));
  }
  return {};
}

// Does jobs one after the other on its own thread, which begins with the first. Those that have not
// begun when it is destroyed are dropped.
class Worker {
 public:
  ~Worker() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  void add(std::function<void()> job) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

class RocksDatabase::Core {
 public:
  Core(std::string directory, const RocksOptions& options)
      : directory(std::move(directory)),
        background(std::make_shared<BackgroundWork>()),
        options(make_options(options)),
        machine(this->options.env),
        env(make_env(machine, background)) {
    this->options.env = env.get();
    const auto* table = this->options.table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
    this->options.listeners.push_back(make_listener(background, table->block_cache));
  }
  ~Core() { EVEN_CHECK(handles == 0, "a store outlives its database"); }

  // A name that no pass of this process has had: RocksDB may fail to remove the name of a file that
  // it has taken in, and whoever opened that name anew would truncate it.
  std::string new_pass_path(ShardId shard) {
    return fmt::format("{}/{}/{}-{}.sst", directory, kPassDirectory, shard,
                       next_pass_.fetch_add(1));
  }

  // See RowStore::scan().
  Result<> scan(std::string_view first, std::string_view end,
                const std::function<bool(std::string_view, std::string_view)>& visit) const {
    const rocksdb::Slice upper = slice(end);
    rocksdb::ReadOptions read;
    read.iterate_upper_bound = &upper;
    read.fill_cache = false;
    // There are none. With the wish to honour them, RocksDB 7.8 forgets an error at the beginning
    // of a file of level 1 or below, and leaves out the rest of the level in silence (corrected in
    // 8.7, facebook/rocksdb#11782).
    read.ignore_range_deletions = true;
    const std::unique_ptr<rocksdb::Iterator> rows(db->NewIterator(read));
    for (rows->Seek(slice(first)); rows->Valid(); rows->Next()) {
      if (!visit(view(rows->key()), view(rows->value()))) return {};
    }
    if (!rows->status().ok()) return rocks_error(kCannotRead, rows->status());
    return {};
  }

  // Takes in the finished files of a pass, the later ones over the earlier.
  Result<> ingest(const std::vector<rocksdb::ExternalSstFileInfo>& files,
                  const std::atomic<bool>& stop) {
    if (Result<> room = wait_for_compaction(stop); !room) return room;
    const std::uint64_t manifest_failures = background->manifest_failures();
    rocksdb::IngestExternalFileArg pass;
    pass.column_family = db->DefaultColumnFamily();
    for (const rocksdb::ExternalSstFileInfo& file : files) {
      pass.external_files.push_back(file.file_path);
      pass.files_checksums.push_back(file.file_checksum);
      pass.files_checksum_func_names.push_back(file.file_checksum_func_name);
    }
    pass.options.move_files = true;
    pass.options.snapshot_consistency = false;
    pass.options.allow_blocking_flush = false;
    pass.options.write_global_seqno = false;
    pass.options.verify_file_checksum = false;  // it has just been computed
    const rocksdb::Status status = db->IngestExternalFiles({pass});
    if (!status.ok()) {
      // RocksDB may leave a second name of a file of the pass behind. To enable deletions makes it
      // look for files that nothing needs.
      db->DisableFileDeletions().PermitUncheckedError();
      db->EnableFileDeletions(/*force=*/false).PermitUncheckedError();
      return rocks_error("cannot take a pass into the store", status);
    }
    for (const rocksdb::ExternalSstFileInfo& file : files) written_by_passes += file.file_size;
    // If MANIFEST could not be written before, it has been now.
    for (std::uint64_t n = background->settle(manifest_failures); n > 0; --n) {
      db->EnableFileDeletions(/*force=*/false).PermitUncheckedError();
    }
    return {};
  }

  std::uint64_t property(const std::string& name) const {
    std::uint64_t value = 0;
    db->GetIntProperty(name, &value);
    return value;
  }

  const std::string directory;
  const std::shared_ptr<BackgroundWork> background;
  rocksdb::Options options;
  rocksdb::Env* const machine;  // the file system without `background`'s part in it
  const std::unique_ptr<rocksdb::Env> env;
  std::unique_ptr<rocksdb::DB> db;
  std::atomic<std::uint64_t> written_by_passes = 0;
  std::atomic<int> handles = 0;

 private:
  // RocksDB keeps writers from getting ahead of compaction, but not the files that it takes in.
  Result<> wait_for_compaction(const std::atomic<bool>& stop) const {
    const std::uint64_t errors = background->errors();
    while (property(rocksdb::DB::Properties::kIsWriteStopped) != 0) {
      if (stop) return fail("the store is being closed");
      if (background->errors() > errors) {
        return fail("compaction cannot keep up: " + background->last_error());
      }
      background->wait(errors, stop);
    }
    return {};
  }

  std::atomic<std::uint64_t> next_pass_ = 0;
};

class RocksDatabase::ShardStore final : public RowStore {
 public:
  ShardStore(Core& core, ShardId shard, Post post)
      : core_(core), shard_(shard), post_(std::move(post)) {
    ++core_.handles;
  }

  ~ShardStore() override {
    stopping_ = true;
    core_.background->wake();
    writer_.reset();
    reader_.reset();
    merger_.reset();
    discard();
    --core_.handles;
  }

  Result<std::optional<std::string>> get(std::string_view row) override {
    return guarded(kCannotRead, [&]() -> Result<std::optional<std::string>> {
      rocksdb::PinnableSlice value;
      const rocksdb::Status status =
          core_.db->Get({}, core_.db->DefaultColumnFamily(), slice(row), &value);
      return outcome_of(status, value);
    });
  }

  Result<> scan(std::string_view first, std::string_view end,
                const std::function<bool(std::string_view, std::string_view)>& visit) override {
    return guarded(kCannotRead, [&] { return core_.scan(first, end, visit); });
  }

  void fetch(std::vector<std::string> rows, std::function<void(Fetched)> done) override {
    if (!reader_) reader_ = std::make_unique<Worker>();
    reader_->add([this, rows = std::move(rows), done = std::move(done)]() mutable {
      answer(std::move(done), guarded(kCannotRead, [&] { return read(rows); }));
    });
  }

  void fetch_range(std::string first, std::string end, std::size_t max_bytes,
                   std::function<void(FetchedRange)> done) override {
    if (!reader_) reader_ = std::make_unique<Worker>();
    reader_->add([this, first = std::move(first), end = std::move(end), max_bytes,
                  done = std::move(done)]() mutable {
      answer(std::move(done), guarded(kCannotRead, [&]() -> FetchedRange {
               std::vector<Row> rows;
               std::size_t bytes = 0;
               const Result<> scanned =
                   core_.scan(first, end, [&](std::string_view row, std::string_view value) {
                     bytes += row.size() + value.size();
                     if (bytes > max_bytes && !rows.empty()) return false;
                     rows.push_back({std::string(row), std::string(value)});
                     return bytes < max_bytes;
                   });
               if (!scanned) return std::unexpected(scanned.error());
               return rows;
             }));
    });
  }

  void write(RowBatch changes) override {
    EVEN_CHECK(!committing_, "a pass is changed after its commit");
    const std::size_t bytes = changes.bytes();
    backlog_ += bytes;
    on_writer([this, bytes, changes = std::move(changes), pass = pass_.load()]() mutable {
      if (pass == pass_ && outcome_) {
        outcome_ = guarded("cannot write a pass", [&] { return append(changes); });
      }
      changes = {};
      backlog_ -= bytes;
    });
  }

  void commit(std::function<void(Result<>)> done) override {
    EVEN_CHECK(!committing_, "one pass at a time");
    committing_ = true;
    on_writer([this, done = std::move(done)]() mutable {
      Result<> outcome = guarded("cannot write a pass", [this] { return finish(); });
      discard();
      answer(
          [this, done = std::move(done)](Result<> outcome) {
            committing_ = false;
            done(std::move(outcome));
          },
          std::move(outcome));
    });
  }

  void abandon() override {
    EVEN_CHECK(!committing_, "a pass is abandoned after its commit");
    if (!writer_) return;
    ++pass_;  // what waits for the writer is passed over
    on_writer([this] { discard(); });
  }

  // What lies over others moves down, over what it replaces. A failure is one of compaction, which
  // others report; what was to be merged takes room until the next time.
  void merge(std::string first, std::string end) override {
    if (!merger_) merger_ = std::make_unique<Worker>();
    merger_->add([this, first = std::move(first), end = std::move(end)] {
      const rocksdb::Slice begin = slice(first);
      const rocksdb::Slice limit = slice(end);
      rocksdb::CompactRangeOptions options;
      options.exclusive_manual_compaction = false;
      options.canceled = &stopping_;
      core_.db->CompactRange(options, core_.db->DefaultColumnFamily(), &begin, &limit)
          .PermitUncheckedError();
    });
  }

  std::size_t backlog() const override { return backlog_; }

 private:
  void on_writer(std::function<void()> job) {
    if (!writer_) writer_ = std::make_unique<Worker>();
    writer_->add(std::move(job));
  }

  // Has done(outcome) called on the shard's thread, unless the store is gone by then.
  template <typename Done, typename Outcome>
  void answer(Done done, Outcome outcome) {
    post_([alive = std::weak_ptr<void>(alive_), done = std::move(done),
           outcome = std::move(outcome)]() mutable {
      if (!alive.expired()) done(std::move(outcome));
    });
  }

  static Result<std::optional<std::string>> outcome_of(const rocksdb::Status& status,
                                                       const rocksdb::PinnableSlice& value) {
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return rocks_error(kCannotRead, status);
    return std::string(view(value));
  }

  // On the reader's thread.
  Fetched read(const std::vector<std::string>& rows) {
    std::vector<rocksdb::Slice> keys(rows.begin(), rows.end());
    std::vector<rocksdb::PinnableSlice> values(rows.size());
    std::vector<rocksdb::Status> statuses(rows.size());
    core_.db->MultiGet({}, core_.db->DefaultColumnFamily(), keys.size(), keys.data(), values.data(),
                       statuses.data());
    std::vector<std::optional<std::string>> found;
    found.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      Result<std::optional<std::string>> value = outcome_of(statuses[i], values[i]);
      if (!value) return std::unexpected(value.error());
      found.push_back(std::move(*value));
    }
    return found;
  }

  // The rest on the writer's thread.

  // A file of the pass; there is none until something is to be written to it.
  struct PassFile {
    std::string path;
    std::unique_ptr<rocksdb::SstFileWriter> writer;
    std::optional<rocksdb::ExternalSstFileInfo> written;  // once it has ended
  };

  template <typename Change>
  Result<> change(PassFile& file, Change change) {
    rocksdb::Status status;
    if (!file.writer) {
      file.path = core_.new_pass_path(shard_);
      file.writer = std::make_unique<rocksdb::SstFileWriter>(
          rocksdb::EnvOptions(core_.options), core_.options, core_.db->DefaultColumnFamily(),
          /*invalidate_page_cache=*/false);
      status = file.writer->Open(file.path);
    }
    if (status.ok()) status = change(*file.writer);
    if (!status.ok()) return rocks_error(fmt::format("cannot write {}", file.path), status);
    return {};
  }

  Result<> append(const RowBatch& changes) {
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const auto [kind, row, value] = changes[i];
      if (kind == RowBatch::Kind::kRemoveRange || kind == RowBatch::Kind::kForget) {
        ranges_.push_back({std::string(row), std::string(value), kind == RowBatch::Kind::kForget});
        continue;
      }
      const auto into = file_of(row, kind == RowBatch::Kind::kReplace);
      if (!into) return std::unexpected(into.error());
      const Result<> changed = change(**into, [&](rocksdb::SstFileWriter& file) {
        return kind == RowBatch::Kind::kRemove ? file.Delete(slice(row))
                                               : file.Put(slice(row), slice(value));
      });
      if (!changed) return changed;
    }
    return {};
  }

  // Topics have files of their own, one for each group of rows, which follow each other: so no row
  // of another pass comes between those of a file, and RocksDB takes it in at the last level. Rows
  // that take the place of others have one, too: it lies over those of earlier passes. One of them
  // is open at a time, however many topics there are.
  Result<PassFile*> file_of(std::string_view row, bool replaces) {
    const std::string_view group = topic_row_group(row);
    if (group.empty()) return &rows_;
    if (topics_.empty() || topics_.back().group != group || topics_.back().replaces != replaces) {
      if (!topics_.empty()) {
        if (Result<> ended = end_file(topics_.back().file); !ended) {
          return std::unexpected(ended.error());
        }
      }
      topics_.push_back({std::string(group), replaces, {}});
    }
    return &topics_.back().file;
  }

  Result<> end_file(PassFile& file) {
    if (!file.writer) return {};
    const rocksdb::Status status = file.writer->Finish(&file.written.emplace());
    file.writer.reset();
    if (!status.ok()) return rocks_error(fmt::format("cannot write {}", file.path), status);
    return {};
  }

  // Removes the rows of the ranges, in a file that comes before that of the rows that the pass
  // puts. One by one: RocksDB has removals of whole ranges, but see Core::scan().
  Result<> remove_ranges() {
    std::ranges::sort(ranges_, {}, &Range::first);
    std::string_view upto;
    for (const auto& [first, end, forgotten] : ranges_) {
      if (forgotten && !topic_row_group(first).empty()) continue;  // their files go
      Result<> removed;
      const Result<> scanned =
          core_.scan(std::max<std::string_view>(first, upto), end, [&](std::string_view row, auto) {
            removed = change(removed_,
                             [&](rocksdb::SstFileWriter& file) { return file.Delete(slice(row)); });
            return removed && !stopping_;
          });
      if (!removed) return removed;
      if (!scanned && !forgotten) return scanned;
      upto = std::max<std::string_view>(upto, end);
    }
    return {};
  }

  Result<> finish() {
    if (!outcome_) return outcome_;
    if (Result<> removed = remove_ranges(); !removed) return removed;
    std::vector<rocksdb::ExternalSstFileInfo> files;
    for (PassFile* file : all_files()) {
      if (Result<> ended = end_file(*file); !ended) return ended;
      if (file->written) files.push_back(*file->written);
    }
    if (files.empty()) return {};
    if (stopping_) return fail("the store is being closed");
    if (Result<> taken = core_.ingest(files, stopping_); !taken) return taken;
    drop_forgotten_files();
    return {};
  }

  // Files with nothing but forgotten rows go unread: they may be damaged, and compaction then fails
  // on them.
  void drop_forgotten_files() {
    for (const auto& [first, end, forgotten] : ranges_) {
      if (!forgotten) continue;
      const rocksdb::Slice begin = slice(first);
      const rocksdb::Slice limit = slice(end);
      rocksdb::DeleteFilesInRange(core_.db.get(), core_.db->DefaultColumnFamily(), &begin, &limit,
                                  /*include_end=*/false)
          .PermitUncheckedError();
    }
  }

  // Makes ready for the next pass. RocksDB has removed the names of files that it has taken in.
  void discard() {
    for (PassFile* file : all_files()) {
      if (!file->writer && !file->written) continue;
      file->writer.reset();
      file->written.reset();
      std::error_code ignored;
      fs::remove(file->path, ignored);
    }
    topics_.clear();
    ranges_.clear();
    outcome_ = {};
  }

  // The later ones are taken in over the earlier.
  std::vector<PassFile*> all_files() {
    std::vector<PassFile*> files = {&removed_, &rows_};
    for (TopicFile& topic : topics_) files.push_back(&topic.file);
    return files;
  }

  Core& core_;
  const ShardId shard_;
  const Post post_;
  const std::shared_ptr<void> alive_ = std::make_shared<char>();
  bool committing_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::size_t> backlog_ = 0;
  std::atomic<std::uint64_t> pass_ = 0;

  // Of the pass; on the writer's thread.
  PassFile rows_;
  PassFile removed_;
  struct TopicFile {
    std::string group;  // of its rows
    bool replaces;
    PassFile file;
  };
  std::vector<TopicFile> topics_;
  struct Range {
    std::string first;
    std::string end;
    bool forgotten;  // goes as far as it can be read
  };
  std::vector<Range> ranges_;
  Result<> outcome_;

  std::unique_ptr<Worker> writer_;
  std::unique_ptr<Worker> reader_;
  std::unique_ptr<Worker> merger_;
};

Result<std::unique_ptr<RocksDatabase>> RocksDatabase::open(const std::string& directory,
                                                           RocksOptions options) {
  using Opened = Result<std::unique_ptr<RocksDatabase>>;
  return guarded(fmt::format("cannot open store {}", directory), [&]() -> Opened {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return fail(fmt::format("cannot create {}: {}", directory, error.message()));
    auto core = std::make_unique<Core>(directory, options);
    const Result<> known = check_format(core->options.env, directory, /*create=*/true);
    if (!known) return std::unexpected(known.error());
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(core->options, directory, &db);
    if (!status.ok()) return open_error(directory, status);
    core->db.reset(db);
    remove_old_logs(*db, directory);
    // Files of passes that the process before this one did not finish.
    const fs::path passes = fs::path(directory) / kPassDirectory;
    fs::remove_all(passes, error);
    if (!error) fs::create_directory(passes, error);
    if (error) return fail(fmt::format("cannot empty {}: {}", passes.native(), error.message()));
    return std::unique_ptr<RocksDatabase>(new RocksDatabase(std::move(core)));
  });
}

RocksDatabase::RocksDatabase(std::unique_ptr<Core> core) : core_(std::move(core)) {}
RocksDatabase::~RocksDatabase() = default;

std::unique_ptr<RowStore> RocksDatabase::shard_store(ShardId shard, Post post) {
  return std::make_unique<ShardStore>(*core_, shard, std::move(post));
}

RocksStats RocksDatabase::stats() const {
  const rocksdb::Statistics& statistics = *core_->options.statistics;
  std::string level0;
  core_->db->GetProperty(rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &level0);
  return {
      .live = core_->property(rocksdb::DB::Properties::kLiveSstFilesSize),
      .pending_compaction =
          core_->property(rocksdb::DB::Properties::kEstimatePendingCompactionBytes),
      .level0_files = std::stoull(level0),
      .block_cache = core_->property(rocksdb::DB::Properties::kBlockCacheUsage),
      .written_by_passes = core_->written_by_passes,
      .written_by_compaction = statistics.getTickerCount(rocksdb::COMPACT_WRITE_BYTES),
      .read_by_compaction = statistics.getTickerCount(rocksdb::COMPACT_READ_BYTES),
      .background_errors = core_->background->errors(),
  };
}

Result<BackupEntry> RocksDatabase::back_up(const BackupRequest& request, BackupProgress& progress) {
  // Then MANIFEST is written anew with the next pass, and may until then be longer than what holds.
  if (!core_->background->settled()) {
    return fail("the store's MANIFEST could not be written before: " +
                core_->background->last_error());
  }
  return guarded("cannot make a backup",
                 [&] { return create_backup(*core_->db, core_->machine, request, progress); });
}

Result<StoreReport> inspect_store(
    const std::string& directory,
    const std::function<void(std::uint64_t read, std::uint64_t all)>& progress) {
  return guarded(fmt::format("cannot open store {}", directory), [&]() -> Result<StoreReport> {
    const rocksdb::Options options = make_options({});
    const Result<> known = check_format(options.env, directory, /*create=*/false);
    if (!known) return std::unexpected(known.error());
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, directory, &opened);
    if (!status.ok()) return open_error(directory, status);
    const std::unique_ptr<rocksdb::DB> db(opened);
    std::vector<rocksdb::LiveFileMetaData> files;
    db->GetLiveFilesMetaData(&files);
    std::uint64_t all = 0;
    for (const auto& file : files) all += file.size;
    StoreReport report;
    for (const auto& file : files) {
      ++report.files;
      const Result<> intact = verify(file, options, [&](std::size_t bytes) {
        report.bytes += bytes;
        progress(report.bytes, all);
      });
      if (!intact) report.damaged.push_back(intact.error().message);
    }
    return report;
  });
}

}  // namespace even

#ifdef __SANITIZE_THREAD__
// Debian's RocksDB is not instrumented: ThreadSanitizer sees it free memory and close files, but
// not the atomic counts of references that come before, and reports a race.
extern "C" const char* __tsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "race:librocksdb.so";
}
#endif
