#include "sim/hosted_shard.h"

#include <algorithm>
#include <string_view>

namespace even::sim {
namespace {

constexpr std::int64_t kTickUs = 5'000;
constexpr std::int64_t kListingStepUs = 1'000;
constexpr int kStepsWhileSettling = 50;

std::vector<std::string_view> sorted_lines(std::string_view reply) {
  std::vector<std::string_view> lines;
  for (std::size_t end; !reply.empty(); reply.remove_prefix(end + 1)) {
    end = std::min(reply.find('\n'), reply.size() - 1);
    lines.push_back(reply.substr(0, end));
  }
  std::ranges::sort(lines);
  return lines;
}

}  // namespace

HostedShard::HostedShard(Run& run, const Callbacks& callbacks, Process& process,
                         ShardOptions options, Random& random, Clock& clock, Disk& disk,
                         SimStore& rows)
    : run_(run),
      callbacks_(callbacks),
      process_(process),
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
  // Batches may be single records.
  for (int i = 0; i < kStepsWhileSettling && run_.settling; ++i) (void)shard_.replay_some();
  need_turn();
  callbacks_.ticked(*this);
  after(kTickUs, Own::kTick, [this] { tick(); });
}

void HostedShard::need_turn() {
  if (turn_scheduled_) return;
  turn_scheduled_ = true;
  const auto turn_us = static_cast<std::uint64_t>(run_.options.turn_us);
  after(1 + static_cast<std::int64_t>(random_.below(turn_us)), Own::kTurn, [this] {
    turn_scheduled_ = false;
    shard_.end_turn();
    release();
    callbacks_.turned(*this);
  });
}

void HostedShard::hold(LogPosition barrier, std::shared_ptr<WaitingReply> reply) {
  ++reply->shards;
  held_.push_back({barrier, std::move(reply)});
}

void HostedShard::follow(std::shared_ptr<Listing> listing, std::string expected) {
  if (listing->step()) {
    return after(run_.around(kListingStepUs), Own::kListing,
                 [this, listing, expected = std::move(expected)] { follow(listing, expected); });
  }
  const std::string reply = listing->take_reply();
  // A snapshot may take the place of what was listed.
  const bool replaced = shard_.stats().snapshots_joined > 0;
  const bool unreadable = (run_.options.damage_every_us > 0 || replaced) &&
                          (reply.starts_with("-IOERR") || expected.starts_with("-IOERR"));
  if (!unreadable && sorted_lines(reply) != sorted_lines(expected)) {
    violated(fmt::format("a listing in steps replied {} instead of {}", reply, expected));
  }
  ++run_.outcome.listings;
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
