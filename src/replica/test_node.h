// A node with one shard, its store and nobody else, for tests of what is written, what leaves
// memory and what comes back.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "replica/driven_shard.h"
#include "store/sim_store.h"

namespace even::test {

class Silence final : public Transport {
 public:
  void send(NodeNumber, std::string) override {}
};

// Counts what is written, and fails to read on demand.
class Watched final : public RowStore {
 public:
  explicit Watched(std::unique_ptr<RowStore> store) : store_(std::move(store)) {}

  Result<std::optional<std::string>> get(std::string_view row) override {
    ++gets;
    if (unreadable) return fail("000007.sst is damaged");
    return store_->get(row);
  }
  Result<> scan(std::string_view first, std::string_view end,
                const std::function<bool(std::string_view, std::string_view)>& visit) override {
    if (unreadable) return fail("000007.sst is damaged");
    ++scans;
    return store_->scan(first, end, [&](std::string_view row, std::string_view value) {
      ++scanned;
      return visit(row, value);
    });
  }
  void fetch_range(std::string first, std::string end, std::size_t max_bytes,
                   std::function<void(FetchedRange)> done) override {
    store_->fetch_range(std::move(first), std::move(end), max_bytes, std::move(done));
  }
  void fetch(std::vector<std::string> rows, std::function<void(Fetched)> done) override {
    if (!hold_fetched) return store_->fetch(std::move(rows), std::move(done));
    std::vector<std::optional<std::string>> values;
    for (const std::string& row : rows) values.push_back(*store_->get(row));
    deliver = [values = std::move(values), done = std::move(done)] { done(values); };
  }
  void write(RowBatch changes) override {
    for (std::size_t i = 0; i < changes.size(); ++i) {
      ++written[static_cast<int>(changes[i].kind)];
      bytes_written += changes[i].row.size() + changes[i].value.size();
    }
    store_->write(std::move(changes));
  }
  void commit(std::function<void(Result<>)> done) override { store_->commit(std::move(done)); }
  void merge(std::string first, std::string end) override {
    store_->merge(std::move(first), std::move(end));
  }
  void abandon() override { store_->abandon(); }
  std::size_t backlog() const override { return store_->backlog(); }

  bool unreadable = false;
  bool hold_fetched = false;  // what is fetched is read at once and comes with deliver()
  std::function<void()> deliver;
  int gets = 0;
  int scans = 0;
  int scanned = 0;      // rows
  int written[5] = {};  // by RowBatch::Kind
  std::size_t bytes_written = 0;

 private:
  std::unique_ptr<RowStore> store_;
};

struct OwnWorld {
  World own_world;
};

struct Node : private OwnWorld, DrivenShard {
  explicit Node(std::uint64_t bytes_of_log = 128 << 20)
      : DrivenShard(own_world), pass_bytes(bytes_of_log) {
    start();
  }

  ~Node() { shard.reset(); }

  ShardOptions options() {
    ShardOptions options;
    options.replica = ReplicaId::make(1, ++runs);
    options.partition_count = 2;
    options.partitions = {{0, {1}}, {1, {1}}};
    options.pass_bytes = pass_bytes;
    options.listing_step = listing_step;
    options.listed_bytes = listed_bytes;
    options.memory_pressure = [this] { return slices > 0 && slices-- > 0 ? 2 : pressure; };
    return options;
  }
  void start() {
    store = std::make_unique<Watched>(rows.shard_store());
    shard = std::make_unique<Shard>(options(), world.clock, world.random, world.disk, *store, out);
    const auto recovered = shard->recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    shard->replay_all();
  }
  // Power goes, after what was written has been made durable.
  void restart() {
    ASSERT_TRUE(shard->close());
    shard.reset();
    store.reset();
    world.disk.crash();
    rows.crash();
    start();
  }
  std::size_t cold() const { return shard->state(0)->cold() + shard->state(1)->cold(); }

  sim::SimStore rows{world.scheduler, world.random};
  Silence out;
  std::uint32_t runs = 0;
  int slices = 0;  // so often memory is over its limit nevertheless
  std::uint64_t pass_bytes;
  std::size_t listing_step = 2048;
  std::size_t listed_bytes = 1 << 20;
  std::unique_ptr<Watched> store;
};

inline std::vector<std::string> many(std::string command, std::string key, int first, int count,
                                     bool with_values = false) {
  std::vector<std::string> words{std::move(command), std::move(key)};
  for (int i = first; i < first + count; ++i) {
    words.push_back(fmt::format("e{}", i));
    if (with_values) words.push_back(fmt::format("v{}", i));
  }
  return words;
}

}  // namespace even::test
