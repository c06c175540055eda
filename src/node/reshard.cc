#include "node/reshard.h"

#include <spdlog/spdlog.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <random>

#include "env/posix_clock.h"
#include "env/posix_disk.h"
#include "node/shard_options.h"
#include "replica/resharding.h"
#include "store/partition_rows.h"

namespace even {
namespace {

namespace asio = boost::asio;

// Where calls of the disk and the store complete, while this thread waits for them.
class Completions {
 public:
  std::function<void(std::function<void()>)> poster() {
    return [this](std::function<void()> task) { asio::post(io_, std::move(task)); };
  }
  // Until something has completed, or for a moment.
  void wait() { io_.run_one_for(std::chrono::milliseconds(2)); }

 private:
  asio::io_context io_;
  const asio::executor_work_guard<asio::io_context::executor_type> open_{io_.get_executor()};
};

}  // namespace

Result<> settle_shards(const NodeContext& node, const Identity& found) {
  Completions completions;
  auto disk = PosixDisk::open(node.config.node.data, completions.poster());
  if (!disk) return std::unexpected(disk.error());
  PosixClock clock;
  Random random(std::random_device{}());
  Resharding resharding(
      {.disk = **disk,
       .clock = clock,
       .random = random,
       .store = [&](ShardId id) { return node.store->shard_store(id, completions.poster()); },
       .options = [&](ShardId id, ShardId shards) { return shard_options(node, id, shards); },
       .inform = [](const std::string& text) { spdlog::info("{}", text); },
       .warn = [](const std::string& text) { spdlog::warn("{}", text); }},
      found, node.shards);
  for (;;) {
    const auto done = resharding.step();
    if (!done) return std::unexpected(done.error());
    if (*done) return {};
    completions.wait();
  }
}

Result<> forget_positions(RocksDatabase& store) {
  Completions completions;
  const auto handle = store.shard_store(0, completions.poster());
  std::optional<Result<>> outcome;
  even::forget_positions(0, *handle, [&outcome](Result<> done) { outcome = std::move(done); });
  while (!outcome) completions.wait();
  return *outcome;
}

}  // namespace even
