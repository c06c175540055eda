#include "node/backup_runner.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/version.h"
#include "node/node_context.h"
#include "node/shard_thread.h"
#include "replica/identity.h"

namespace even {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCancelled = "it was cancelled";

// A relative path would be taken from where evend was started, which is not where its user is; what
// lies within the data may be removed when the node starts.
Result<> check_directory(const std::string& directory, const std::string& data) {
  if (!fs::path(directory).is_absolute()) {
    return fail(
        fmt::format("'{}' is not an absolute path: the directory is on the machine of "
                    "the node, whose working directory you may not know",
                    directory));
  }
  std::error_code error;
  const fs::path target = fs::weakly_canonical(directory, error);
  if (error) return fail(fmt::format("cannot look at {}: {}", directory, error.message()));
  const fs::path own = fs::weakly_canonical(fs::absolute(data), error);
  if (std::ranges::mismatch(own, target).in1 == own.end()) {
    return fail(fmt::format("{} is within the data directory of the node ({}): name another one",
                            directory, own.string()));
  }
  return {};
}

}  // namespace

Result<std::uint64_t> BackupRunner::start(std::string directory, std::uint32_t keep) {
  if (const auto good = check_directory(directory, node_.config.node.data); !good) {
    return std::unexpected(good.error());
  }
  std::lock_guard lock(mutex_);
  if (stopping_) return fail("the node stops");
  if (status_.stage != Stage::kIdle) {
    return fail(
        fmt::format("a backup into {} is under way: wait until it has ended, or end it "
                    "with EVEN.BACKUP CANCEL",
                    status_.directory));
  }
  if (thread_.joinable()) thread_.join();  // it has done its work
  status_.stage = Stage::kStoring;
  status_.directory = directory;
  progress_.copied = progress_.expected = 0;
  progress_.stop = false;
  const std::uint64_t run = ++status_.run;
  BackupRequest request{.directory = std::move(directory),
                        .note = encode_identity(node_.config.identity(node_.shards)) +
                                fmt::format("version {}\n", version()),
                        .keep = keep,
                        .bytes_per_second = node_.config.store.backup_rate};
  spdlog::info("backup into {}: begun", request.directory);
  thread_ = std::thread(
      [this, run, request = std::move(request)]() mutable { this->run(run, std::move(request)); });
  return run;
}

bool BackupRunner::cancel() {
  std::lock_guard lock(mutex_);
  if (status_.stage == Stage::kIdle) return false;
  progress_.stop = true;
  changed_.notify_all();
  return true;
}

void BackupRunner::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  cancel();
  if (thread_.joinable()) thread_.join();
}

BackupRunner::Status BackupRunner::status() const {
  std::lock_guard lock(mutex_);
  Status status = status_;
  if (status.stage != Stage::kIdle) {
    status.copied = progress_.copied;
    status.expected = progress_.expected;
  }
  return status;
}

// From here on, on its own thread.

void BackupRunner::run(std::uint64_t run, BackupRequest request) {
  const auto began = Clock::now();
  Outcome outcome{.run = run, .directory = request.directory};
  const Result<> stored = store_all(run);
  Result<BackupEntry> made = stored ? node_.store->back_up(request, progress_)
                                    : Result<BackupEntry>(std::unexpected(stored.error()));
  if (made) {
    outcome.backup = std::move(*made);
  } else {
    outcome.error = progress_.stop ? std::string(kCancelled) : made.error().message;
  }
  outcome.copied = progress_.copied;
  outcome.seconds = std::chrono::duration<double>(Clock::now() - began).count();
  outcome.ended_s = std::chrono::duration_cast<std::chrono::seconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  if (outcome.error) {
    spdlog::warn("backup into {}: {}", outcome.directory, *outcome.error);
  } else {
    spdlog::info("backup into {}: number {}, {} bytes, {} of them copied, in {:.1f} s",
                 outcome.directory, outcome.backup.id, outcome.backup.bytes, outcome.copied,
                 outcome.seconds);
  }
  std::lock_guard lock(mutex_);
  if (outcome.error) {
    ++status_.failed;
  } else {
    ++status_.succeeded;
    status_.succeeded_s = outcome.ended_s;
  }
  status_.stage = Stage::kIdle;
  status_.directory.clear();
  status_.last = std::move(outcome);
}

// Waits until the store has all that any shard had executed when it was asked.
Result<> BackupRunner::store_all(std::uint64_t run) {
  {
    std::lock_guard lock(mutex_);
    unstored_ = node_.threads.size();
    stored_ = {};
  }
  for (const auto& thread : node_.threads) {
    thread->post([this, run, &thread = *thread] {
      thread.lease().when_free([this, run, &thread] {
        thread.shard().store_now([this, run](const Result<>& outcome) { stored(run, outcome); });
      });
    });
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return unstored_ == 0 || progress_.stop; });
  if (progress_.stop) return fail(std::string(kCancelled));
  status_.stage = Stage::kCopying;
  return stored_;
}

// On the thread of a shard; late, when the run has been cancelled.
void BackupRunner::stored(std::uint64_t run, const Result<>& outcome) {
  std::lock_guard lock(mutex_);
  if (run != status_.run || unstored_ == 0) return;
  --unstored_;
  if (!outcome && stored_) {
    stored_ = fail("the store cannot be brought up to date: " + outcome.error().message);
  }
  changed_.notify_all();
}

}  // namespace even
