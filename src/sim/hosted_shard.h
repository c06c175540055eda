// One shard of a simulated node: its turns and ticks, and the replies that wait for its log.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replica/shard.h"
#include "sim/process.h"
#include "sim/run.h"
#include "store/sim_store.h"

namespace even::sim {

// A reply that waits for the logs of all shards in which its command was executed.
struct WaitingReply {
  int client;
  std::string text;
  std::vector<std::pair<PartitionId, Dot>> made;
  std::size_t shards = 0;            // that it still waits for
  std::optional<std::string> error;  // one of them cannot tell what becomes of it
};

class HostedShard final : public Transport {
 public:
  struct Callbacks {
    std::function<void(ShardId shard, NodeNumber to, std::string message)> send;
    std::function<void(HostedShard&)> ticked;
    std::function<void(HostedShard&)> turned;
    std::function<void(const WaitingReply&)> replied;
  };

  // What is referred to must outlive this.
  HostedShard(Run& run, const Callbacks& callbacks, Process& process, ShardOptions options,
              Random& random, Clock& clock, Disk& disk, SimStore& rows);

  Shard& shard() { return shard_; }
  const Shard& shard() const { return shard_; }
  RowStore& store() { return *store_; }

  Result<> recover() { return shard_.recover(); }
  // From now on it ticks. It has recovered.
  void begin();
  void need_turn();
  // The reply leaves when the log has got this far, if no other shard keeps it.
  void hold(LogPosition barrier, std::shared_ptr<WaitingReply> reply);
  std::size_t held() const { return held_.size(); }
  // Takes the steps of a listing that has just begun, among other events. `expected` is the reply
  // of the same command executed at once; the order of elements may differ.
  void follow(std::shared_ptr<Listing> listing, std::string expected);
  // Partitions that were repaired since this was asked last.
  std::uint64_t newly_repaired();

 private:
  struct Held {
    LogPosition barrier;
    std::shared_ptr<WaitingReply> reply;
  };

  void send(NodeNumber peer, std::string message) override {
    callbacks_.send(id_, peer, std::move(message));
  }
  void tick();
  void release();
  // What a shard comes to by itself, each in a place of its own.
  enum class Own : std::uint8_t { kTick, kTurn, kListing, kCount };
  // An event that does not happen if this is gone by then.
  template <typename Event>
  void after(std::int64_t us, Own own, Event event) {
    const Process::Place place{Process::Place::Kind::kTimer,
                               std::uint64_t{id_} * static_cast<std::uint64_t>(Own::kCount) +
                                   static_cast<std::uint64_t>(own)};
    run_.scheduler.after(
        us, [&process = process_, place, alive = std::weak_ptr(alive_), event = std::move(event)] {
          process.execute(place, [alive, event] {
            if (!alive.expired()) event();
          });
        });
  }

  Run& run_;
  const Callbacks& callbacks_;
  Process& process_;
  Random& random_;
  const ShardId id_;
  const std::unique_ptr<RowStore> store_;
  Shard shard_;
  bool turn_scheduled_ = false;
  std::uint64_t repaired_ = 0;
  std::deque<Held> held_;
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace even::sim
