// For tests of what keeps rows: both implementations of RowStore behind one face.
#pragma once

#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "store/rocks_database.h"
#include "store/sim_store.h"

namespace even::test {

using Rows = std::map<std::string, std::string>;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "even_store_XXXXXX").string();
    EVEN_CHECK(::mkdtemp(path_.data()) != nullptr, "a temporary directory");
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Stands for a shard's thread: collects what helper threads post until the test runs it.
class Mailbox {
 public:
  RocksDatabase::Post post() {
    return [this](RocksDatabase::Task task) {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
      arrived_.notify_one();
    };
  }
  void wait_and_run_one() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !tasks_.empty(); });
    RocksDatabase::Task task = std::move(tasks_.front());
    tasks_.erase(tasks_.begin());
    lock.unlock();
    task();
  }
  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return tasks_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<RocksDatabase::Task> tasks_;
};

struct RocksWorld {
  RocksWorld() { open(); }

  void open() {
    auto opened = RocksDatabase::open(directory.path());
    EVEN_CHECK(opened, opened.error().message);
    database = std::move(*opened);
    store = database->shard_store(0, mailbox.post());
  }
  void reopen() {
    store.reset();
    database.reset();
    open();
  }
  template <typename Condition>
  void run_until(Condition condition) {
    while (!condition()) mailbox.wait_and_run_one();
  }

  TemporaryDirectory directory;
  Mailbox mailbox;
  std::unique_ptr<RocksDatabase> database;
  std::unique_ptr<RowStore> store;
};

struct SimWorld {
  explicit SimWorld(std::uint64_t seed = 1) : random(seed), store(all.shard_store()) {}

  void reopen() {
    store.reset();
    store = all.shard_store();
  }
  template <typename Condition>
  void run_until(Condition condition) {
    while (!condition()) {
      const bool stepped = scheduler.step(scheduler.now_us() + 1'000'000);
      EVEN_CHECK(stepped, "something is under way");
    }
  }

  sim::Scheduler scheduler;
  Random random;
  sim::SimStore all{scheduler, random};
  std::unique_ptr<RowStore> store;
};

template <typename World>
Result<> commit(World& world) {
  std::optional<Result<>> outcome;
  world.store->commit([&outcome](Result<> done) { outcome = std::move(done); });
  world.run_until([&outcome] { return outcome.has_value(); });
  return *outcome;
}

template <typename World>
RowStore::Fetched fetch(World& world, std::vector<std::string> rows) {
  std::optional<RowStore::Fetched> outcome;
  world.store->fetch(std::move(rows),
                     [&outcome](RowStore::Fetched values) { outcome = std::move(values); });
  world.run_until([&outcome] { return outcome.has_value(); });
  return *outcome;
}

// Makes a pass that puts these rows.
template <typename World>
Result<> put(World& world, const Rows& rows) {
  RowBatch batch;
  for (const auto& [row, value] : rows) batch.put(row, value);
  world.store->write(std::move(batch));
  return commit(world);
}

inline std::optional<std::string> get(RowStore& store, std::string_view row) {
  Result<std::optional<std::string>> value = store.get(row);
  EVEN_CHECK(value, value.error().message);
  return *value;
}

// Everything from `first` on and before `end`.
inline Result<Rows> scan(RowStore& store, std::string_view first = "",
                         std::string_view end = "\xff\xff\xff\xff") {
  Rows rows;
  const Result<> outcome =
      store.scan(first, end, [&rows](std::string_view row, std::string_view value) {
        const bool added = rows.emplace(row, value).second;
        EVEN_CHECK(added && rows.rbegin()->first == row, "a scan ascends");
        return true;
      });
  if (!outcome) return std::unexpected(outcome.error());
  return rows;
}

}  // namespace even::test
