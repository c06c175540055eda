// For tests of what keeps rows: both implementations of RowStore behind one face.
#pragma once

#include <spdlog/spdlog.h>
#include <stdlib.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "env/random.h"
#include "store/rocks_database.h"
#include "store/sim_store.h"

namespace even::test {

using Rows = std::map<std::string, std::string>;

// Keeps expected errors of RocksDB out of the test's output.
struct Quiet {
  Quiet() { spdlog::set_level(spdlog::level::off); }
  ~Quiet() { spdlog::set_level(spdlog::level::info); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};

// Removed with all that is in it, unless it was there before.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "even_store_XXXXXX").string();
    EVEN_CHECK(::mkdtemp(path_.data()) != nullptr, "a temporary directory");
  }
  explicit TemporaryDirectory(std::string existing) : path_(std::move(existing)), stays_(true) {}
  ~TemporaryDirectory() {
    if (!stays_) std::filesystem::remove_all(path_);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool stays_ = false;
};

// All bits of it.
inline void flip_byte(const std::filesystem::path& path, std::uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(~file.get());
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
  file.close();
  EVEN_CHECK(file.good(), "a byte is flipped");
}

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
  explicit RocksWorld(RocksOptions options = {}) : options(options) { open(); }
  explicit RocksWorld(std::string existing) : directory(std::move(existing)) { open(); }

  void open() {
    auto opened = RocksDatabase::open(directory.path(), options);
    EVEN_CHECK(opened, opened.error().message);
    database = std::move(*opened);
    store = database->shard_store(0, mailbox.post());
  }
  void close() {
    store.reset();
    database.reset();
  }
  void reopen() {
    close();
    open();
  }
  template <typename Condition>
  void run_until(Condition condition) {
    while (!condition()) mailbox.wait_and_run_one();
  }

  TemporaryDirectory directory;
  RocksOptions options;
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

inline std::string random_bytes(Random& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

inline std::string row_name(std::uint64_t number) {
  std::string name = std::to_string(number);
  return std::string(8 - name.size(), '0') + name;
}

// The pass of this number: a function of it alone. It is applied to the model as well.
inline RowBatch numbered_pass(std::uint64_t number, Rows& model) {
  Random random(number);
  RowBatch batch;
  if (random.chance(0.3)) {
    const std::string first = row_name(random.below(300));
    const std::string end = row_name(random.below(300));
    batch.remove_range(first, end);
    if (first < end) model.erase(model.lower_bound(first), model.lower_bound(end));
  }
  for (std::uint64_t i = random.below(20); i < 300; i += 1 + random.below(20)) {
    if (random.chance(0.3)) {
      batch.remove(row_name(i));
      model.erase(row_name(i));
    } else {
      model[row_name(i)] = random_bytes(random, random.below(3'000));
      batch.put(row_name(i), model[row_name(i)]);
    }
  }
  model["number"] = std::to_string(number);
  batch.put("number", model["number"]);
  return batch;
}

inline std::vector<std::filesystem::path> files_of_rows(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".sst") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace even::test
