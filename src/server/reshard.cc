#include "server/reshard.h"

#include <spdlog/spdlog.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <random>

#include "env/posix_clock.h"
#include "env/posix_disk.h"
#include "log/format.h"
#include "server/shard_options.h"
#include "store/partition_rows.h"

namespace even::server {
namespace {

namespace asio = boost::asio;

class Nobody final : public Transport {
 public:
  void send(NodeNumber, std::string) override {}
};

// Has one shard of the old number store all that its log holds, and remove it.
Result<> store_log(const NodeContext& node, ShardId id, ShardId shards) {
  asio::io_context io;
  const auto post = [&io](std::function<void()> task) { asio::post(io, std::move(task)); };
  auto disk = PosixDisk::open(node.config.node.data, post);
  if (!disk) return std::unexpected(disk.error());
  const auto store = node.store->shard_store(id, post);
  PosixClock clock;
  Random random(std::random_device{}());
  Nobody nobody;
  ShardOptions options = shard_options(node, id, shards);
  options.partition_count = node.placement.partitions();
  options.cache_policy = nullptr;  // nothing is to be deleted
  Shard shard(std::move(options), clock, random, **disk, *store, nobody);
  if (const auto recovered = shard.recover(); !recovered) return recovered;
  shard.store_changes();
  while (!shard.all_stored()) {
    if (const auto error = shard.write_error()) return fail(*error);
    io.restart();
    io.run_for(std::chrono::milliseconds(2));
    shard.tick();
    shard.end_turn();
  }
  if (const auto removed = shard.remove_log(); !removed) return removed;
  return shard.close();
}

}  // namespace

Result<> reshard(const NodeContext& node, Disk& disk, Identity found) {
  spdlog::info("changing the number of shards from {} to {}", found.shards, node.shards);
  for (ShardId id = 0; id < found.shards; ++id) {
    if (const auto stored = store_log(node, id, found.shards); !stored) return stored;
    spdlog::info("the log of shard {} is in the store ({} of {})", id, id + 1, found.shards);
  }
  found.shards = node.shards;
  return write_identity(disk, found);
}

Result<> forget_positions(RocksDatabase& store, ShardId first) {
  asio::io_context io;
  const auto handle =
      store.shard_store(0, [&io](std::function<void()> task) { asio::post(io, std::move(task)); });
  RowBatch rows;
  if (const auto found = remove_positions(first, *handle, rows); !found) return found;
  if (rows.empty()) return {};
  std::optional<Result<>> outcome;
  handle->write(std::move(rows));
  handle->commit([&outcome](Result<> done) { outcome = std::move(done); });
  while (!outcome) {
    io.restart();
    io.run_for(std::chrono::milliseconds(2));
  }
  return *outcome;
}

Result<> remove_old_shards(const NodeContext& node, Disk& disk) {
  const auto names = disk.list();
  if (!names) return std::unexpected(names.error());
  bool removed_any = false;
  for (const std::string& name : *names) {
    const auto segment = parse_segment_name(name);
    if (!segment || segment->shard < node.shards) continue;
    if (const auto removed = disk.remove(name); !removed) return removed;
    removed_any = true;
  }
  if (const auto forgotten = forget_positions(*node.store, node.shards); !forgotten) {
    // They do no harm unless there are as many shards again; such a start would say so.
    spdlog::warn("positions of former shards may be left in the store: {}",
                 forgotten.error().message);
  }
  return removed_any ? disk.sync_directory() : Result<>();
}

}  // namespace even::server
