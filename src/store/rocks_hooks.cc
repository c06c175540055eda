#include "store/rocks_hooks.h"

#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/file_system.h>
#include <rocksdb/listener.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

namespace even {
namespace {

// What RocksDB itself brings into the cache when it takes in a file: its index, its filter, and the
// first and the last block of its rows.
std::uint64_t blocks_of_opening(const rocksdb::TableProperties& file) {
  const std::uint64_t rows = file.raw_key_size + file.raw_value_size;
  return file.index_size + file.filter_size +
         2 * rows / std::max<std::uint64_t>(file.num_data_blocks, 1);
}

class Listener final : public rocksdb::EventListener {
 public:
  Listener(std::shared_ptr<BackgroundWork> background, std::shared_ptr<rocksdb::Cache> blocks)
      : background_(std::move(background)),
        blocks_(std::move(blocks)),
        block_capacity_(blocks_->GetCapacity()) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    background_->failed(error->ToString(),
                        reason == rocksdb::BackgroundErrorReason::kManifestWrite);
    *error = rocksdb::Status::OK();
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }

  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) override {
    if (!job.status.ok()) return;
    std::size_t gone = 0;
    for (const auto& [path, properties] : job.table_properties) {
      const bool stays = std::ranges::find(job.output_files, path) != job.output_files.end();
      if (stays || properties == nullptr) continue;
      gone += blocks_of_opening(*properties);
    }
    forget_blocks(gone);
  }

 private:
  // Of files that are gone. Nothing can be removed from the cache by file; but nobody has used
  // these since, so that they are among what has not been used for longest. In a cache that is
  // nearly full they have to give way anyhow.
  void forget_blocks(std::size_t bytes) {
    std::lock_guard lock(blocks_mutex_);
    const std::size_t used = blocks_->GetUsage();
    if (used > block_capacity_ / 8 * 7) return;
    blocks_->SetCapacity(used - std::min(used, bytes));
    blocks_->SetCapacity(block_capacity_);
  }

  const std::shared_ptr<BackgroundWork> background_;
  const std::shared_ptr<rocksdb::Cache> blocks_;
  const std::size_t block_capacity_;
  std::mutex blocks_mutex_;
};

class Files final : public rocksdb::FileSystemWrapper {
 public:
  Files(const std::shared_ptr<rocksdb::FileSystem>& target,
        std::shared_ptr<const BackgroundWork> background)
      : FileSystemWrapper(target), background_(std::move(background)) {}
  const char* Name() const override { return "EvenFiles"; }

  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override {
    // RocksDB comes back to them later, in EnableFileDeletions().
    if (path.ends_with(".sst") && !background_->settled()) return rocksdb::IOStatus::OK();
    if (is_current_manifest(path)) return rocksdb::IOStatus::OK();
    return target()->DeleteFile(path, options, context);
  }

 private:
  bool is_current_manifest(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.find("MANIFEST-", slash) != slash + 1) return false;
    std::string current;
    const auto read =
        rocksdb::ReadFileToString(target(), path.substr(0, slash) + "/CURRENT", &current);
    return !read.ok() || current == path.substr(slash + 1) + "\n";
  }

  const std::shared_ptr<const BackgroundWork> background_;
};

class ErrorLog final : public rocksdb::Logger {
 public:
  ErrorLog() : Logger(rocksdb::InfoLogLevel::ERROR_LEVEL) {}
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list values) override {
    if (level < GetInfoLogLevel()) return;  // a heading
    char text[1024];
    std::vsnprintf(text, sizeof text, format, values);
    // One line: more follow for a MANIFEST that cannot be written, with rows in them.
    spdlog::warn("RocksDB: {}", std::string_view(text, std::strcspn(text, "\n")));
  }
  void Logv(const char*, va_list) override {}  // is not called
};

class FileChecksum final : public rocksdb::FileChecksumGenerator {
 public:
  FileChecksum() : state_(XXH3_createState(), XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void Update(const char* data, std::size_t size) override {
    XXH3_64bits_update(state_.get(), data, size);
  }
  void Finalize() override { checksum_ = fmt::format("{:016x}", XXH3_64bits_digest(state_.get())); }
  std::string GetChecksum() const override { return checksum_; }
  const char* Name() const override { return kName; }

  static constexpr char kName[] = "xxh3-64";

 private:
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
  std::string checksum_;
};

class FileChecksums final : public rocksdb::FileChecksumGenFactory {
 public:
  std::unique_ptr<rocksdb::FileChecksumGenerator> CreateFileChecksumGenerator(
      const rocksdb::FileChecksumGenContext&) override {
    return std::make_unique<FileChecksum>();
  }
  const char* Name() const override { return FileChecksum::kName; }
};

}  // namespace

void BackgroundWork::failed(std::string error, bool manifest) {
  {
    std::lock_guard lock(mutex_);
    error_ = std::move(error);
    ++errors_;
    if (manifest) ++manifest_failures_;
  }
  changed_.notify_all();
}

std::uint64_t BackgroundWork::errors() const {
  std::lock_guard lock(mutex_);
  return errors_;
}

std::string BackgroundWork::last_error() const {
  std::lock_guard lock(mutex_);
  return error_;
}

void BackgroundWork::wait(std::uint64_t errors, const std::atomic<bool>& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(20), [&] { return errors_ > errors || stop; });
}

void BackgroundWork::wake() {
  {
    std::lock_guard lock(mutex_);
  }
  changed_.notify_all();
}

std::uint64_t BackgroundWork::manifest_failures() const {
  std::lock_guard lock(mutex_);
  return manifest_failures_;
}

std::uint64_t BackgroundWork::settle(std::uint64_t manifest_failures) {
  std::lock_guard lock(mutex_);
  if (manifest_failures <= settled_) return 0;
  return manifest_failures - std::exchange(settled_, manifest_failures);
}

bool BackgroundWork::settled() const {
  std::lock_guard lock(mutex_);
  return settled_ == manifest_failures_;
}

std::shared_ptr<rocksdb::EventListener> make_listener(std::shared_ptr<BackgroundWork> background,
                                                      std::shared_ptr<rocksdb::Cache> blocks) {
  return std::make_shared<Listener>(std::move(background), std::move(blocks));
}

std::unique_ptr<rocksdb::Env> make_env(rocksdb::Env* base,
                                       std::shared_ptr<const BackgroundWork> background) {
  return rocksdb::NewCompositeEnv(
      std::make_shared<Files>(base->GetFileSystem(), std::move(background)));
}

std::shared_ptr<rocksdb::Logger> make_error_log() { return std::make_shared<ErrorLog>(); }

std::shared_ptr<rocksdb::FileChecksumGenFactory> make_file_checksums() {
  return std::make_shared<FileChecksums>();
}

}  // namespace even
