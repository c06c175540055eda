#include "sim/hosted_shard.h"

namespace even::sim {
namespace {

constexpr std::int64_t kTickUs = 5'000;

}  // namespace

HostedShard::HostedShard(Run& run, const Callbacks& callbacks, ShardOptions options, Random& random,
                         Clock& clock, Disk& disk, SimStore& rows)
    : run_(run),
      callbacks_(callbacks),
      random_(random),
      id_(options.shard),
      store_(rows.shard_store()),
      shard_(std::move(options), clock, random, disk, *store_, *this) {}

void HostedShard::begin() {
  shard_.on_released([this] {
    release();
    need_turn();
  });
  tick();
}

void HostedShard::tick() {
  shard_.tick();
  need_turn();
  callbacks_.ticked(*this);
  after(kTickUs, [this] { tick(); });
}

void HostedShard::need_turn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  const auto turn_us = static_cast<std::uint64_t>(run_.options.turn_us);
  after(1 + static_cast<std::int64_t>(random_.below(turn_us)), [this] {
    turn_scheduled_ = false;
    shard_.end_turn();
    release();
  });
}

void HostedShard::hold(LogPosition barrier, std::shared_ptr<WaitingReply> reply) {
  ++reply->shards;
  held_.push_back({barrier, std::move(reply)});
}

void HostedShard::release() {
  const std::optional<std::string> error = shard_.release_error();
  while (!held_.empty() && (held_.front().barrier <= shard_.released() || error)) {
    const Held held = std::move(held_.front());
    held_.pop_front();
    if (held.barrier > shard_.released()) held.reply->error = error;
    if (--held.reply->shards == 0) callbacks_.replied(*held.reply);
  }
}

std::uint64_t HostedShard::newly_repaired() {
  const std::uint64_t all = shard_.stats().repaired;
  return all - std::exchange(repaired_, all);
}

}  // namespace even::sim
