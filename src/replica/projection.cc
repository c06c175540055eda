#include "replica/projection.h"

#include <algorithm>

#include "base/mutant.h"
#include "store/partition_rows.h"

namespace even {
namespace {

constexpr std::int64_t kSliceUs = 2'000;
constexpr std::size_t kMaxBacklog = 16 << 20;
constexpr std::int64_t kRetryUs = 1'000'000;
constexpr std::size_t kEvictSlice = 256;

}  // namespace

Projection::Projection(ShardCore& core, RowStore& store) : core_(core), store_(store) {
  for (const auto& partition : core_.partitions()) {
    partition->rows = std::make_unique<PartitionRows>(partition->id, store_);
  }
}

Result<LogPosition> Projection::recover() {
  const auto position = read_position(core_.options.shard, store_);
  if (!position) return position;
  for (const auto& partition : core_.partitions()) {
    const auto summary = partition->rows->summary();
    if (!summary) return std::unexpected(summary.error());
    partition->state.attach(*partition->rows, summary->value_or(PartitionState::Summary{}));
    const auto expiries =
        partition->rows->expiries([&](const Changes::Expiry& entry, bool live) {
          partition->state.restore_expiry(entry, live);
        });
    if (!expiries) return std::unexpected(expiries.error());
  }
  position_ = next_position_ = *position;
  return position;
}

bool Projection::all_stored() const {
  return stage_ == Stage::kIdle &&
         std::ranges::none_of(core_.partitions(),
                              [](const auto& partition) { return partition->state.changed(); });
}

void Projection::tick() {
  if (stage_ == Stage::kIdle) {
    const bool due = core_.log.end() - next_position_ >= core_.options.pass_bytes;
    if ((!due && !requested_) || core_.clock.monotonic_us() < retry_us_) return;
    requested_ = false;
    begin();
  }
  if (stage_ == Stage::kTaking) take();
  if (stage_ == Stage::kSyncing) {
    if (core_.log.error()) return finish(fail(*core_.log.error()));
    if (core_.log.durable() >= barrier_ || EVEN_MUTANT(kStoreBeforeLog)) {
      commit();
    } else {
      core_.log.sync();
    }
  }
}

void Projection::begin() {
  stage_ = Stage::kTaking;
  next_ = 0;
  next_position_ = core_.log.end();
}

// Rows of one partition are one state, that at one moment.
void Projection::take() {
  const std::int64_t started_us = core_.clock.monotonic_us();
  const auto& partitions = core_.partitions();
  while (next_ < partitions.size()) {
    Partition& partition = *partitions[next_];
    if (partition.state.changed()) {
      if (store_.backlog() > kMaxBacklog) return;
      RowBatch rows;
      partition.taken = partition.rows->write_changes(partition.state, rows);
      store_.write(std::move(rows));
    }
    ++next_;
    if (core_.clock.monotonic_us() - started_us > kSliceUs && next_ < partitions.size()) return;
  }
  RowBatch rows;
  write_position(core_.options.shard, next_position_, rows);
  store_.write(std::move(rows));
  barrier_ = core_.log.barrier();
  stage_ = Stage::kSyncing;
}

void Projection::commit() {
  stage_ = Stage::kCommitting;
  store_.commit([this](const Result<>& outcome) { finish(outcome); });
}

void Projection::finish(const Result<>& outcome) {
  if (stage_ == Stage::kSyncing) store_.abandon();
  stage_ = Stage::kIdle;
  for (const auto& partition : core_.partitions()) {
    if (!partition->taken) continue;
    if (outcome) {
      partition->state.stored(*partition->taken);
    } else {
      partition->state.not_stored(*partition->taken);
    }
    partition->taken.reset();
  }
  if (!outcome) {
    ++stats_.failed_passes;
    retry_us_ = core_.clock.monotonic_us() + kRetryUs;
    requested_ = true;
    core_.warn("the store could not be brought up to date: " + outcome.error().message);
    return;
  }
  ++stats_.passes;
  position_ = next_position_;
  if (on_stored_) on_stored_();
}

void Projection::evict() {
  const auto& over_limit = core_.options.memory_over_limit;
  const auto& partitions = core_.partitions();
  if (!over_limit || partitions.empty()) return;
  const std::int64_t started_us = core_.clock.monotonic_us();
  while (over_limit() && core_.clock.monotonic_us() - started_us <= kSliceUs) {
    Partition& partition = *partitions[hand_partition_];
    if (!partition.taken) {
      const std::size_t evicted = partition.state.evict(hand_, kEvictSlice);
      stats_.evicted += evicted;
      round_ += evicted;
      if (hand_ != 0) continue;
    }
    hand_ = 0;
    hand_partition_ = (hand_partition_ + 1) % partitions.size();
    if (hand_partition_ != 0) continue;
    // Once around. What has changed has to be stored before it can go.
    if (std::exchange(round_, 0) == 0) {
      if (!pass_under_way()) request_pass();
      return;
    }
  }
}

}  // namespace even
