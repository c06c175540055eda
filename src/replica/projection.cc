#include "replica/projection.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/mutant.h"
#include "cluster/placement.h"
#include "replica/slices.h"
#include "store/partition_rows.h"

namespace even {
namespace {

constexpr std::size_t kMaxBacklog = 16 << 20;
constexpr std::int64_t kRetryUs = 1'000'000;
constexpr std::size_t kEvictSlice = 256;
// The most that clients wait at a tick, so that passes can keep up.
constexpr std::int64_t kMostPauseUs = 20'000;

void answer(std::vector<Projection::Stored>& waiting, const Result<>& outcome) {
  for (Projection::Stored& done : std::exchange(waiting, {})) done(outcome);
}

}  // namespace

Projection::Projection(ShardCore& core, RowStore& store) : core_(core), store_(store) {
  for (Partition* partition : core_.all_partitions()) {
    partition->rows = std::make_unique<PartitionRows>(partition->id, store_);
  }
  core_.store = &store_;
  core_.give_rows = [this](Partition& partition) {
    partition.rows = std::make_unique<PartitionRows>(partition.id, store_);
    attach(partition);
  };
  core_.attach_rows = [this](Partition& partition, const PartitionState::Summary& summary) {
    attach(partition, summary);
  };
  core_.stage_rows = [this](const std::function<void(RowBatch&)>& fill,
                            std::function<void(const Result<>&)> done) {
    return stage_rows(fill, std::move(done));
  };
}

void Projection::attach(Partition& partition) {
  const auto summary = partition.rows->summary();
  if (!summary) return partition.close(summary.error().message);
  attach(partition, summary->value_or(PartitionState::Summary{}));
}

void Projection::attach(Partition& partition, const PartitionState::Summary& summary) {
  partition.state.attach(*partition.rows, summary);
  const auto expiries =
      partition.rows->expiries([&](const Changes::Expiry& entry, const StoredExpiry& of) {
        partition.state.restore_expiry(entry, of);
      });
  if (!expiries) partition.close(expiries.error().message);
}

Result<std::optional<LogPosition>> Projection::recover() {
  for (Partition* partition : core_.all_partitions()) attach(*partition);
  const auto position = read_position(core_.options.shard, store_);
  if (!position) {
    core_.warn("the store's position cannot be read: " + position.error().message);
    return std::nullopt;
  }
  set_position(*position);
  return *position;
}

// What the log has of a closed partition is not in its state, and must stay until it is.
bool Projection::holds_position() const {
  if (keeps_log_ && keeps_log_()) return true;
  return std::ranges::any_of(core_.all_partitions(),
                             [](const Partition* partition) { return partition->rows->closed(); });
}

bool Projection::all_stored() const {
  if (stage_ != Stage::kIdle) return false;
  // A pass may have taken what came into the log behind its position. Then nothing has changed
  // since, and yet a start would ask for the log from that position on.
  if (store_all_ && !EVEN_MUTANT(kPositionBehind) && position_ < core_.log.barrier() &&
      !holds_position())
    return false;
  if (hints_.changed && hints_.changed()) return false;
  if (also_stores_ && also_stores_()) return false;
  return std::ranges::none_of(core_.all_partitions(), [](const Partition* partition) {
    return partition->state.changed();
  });
}

Result<> Projection::undamaged() const {
  for (Partition* partition : core_.all_partitions()) {
    if (!partition->damaged()) continue;
    return fail(
        fmt::format("partition {} is damaged: {}", partition->id, *partition->rows->damage()));
  }
  return {};
}

bool Projection::due() const {
  return requested_ || store_all_ || !asked_.empty() ||
         core_.log.end() - begun_ >= core_.options.pass_bytes;
}

void Projection::tick() {
  if (stage_ == Stage::kIdle) {
    const bool whole = due();
    if (!whole && !topics_due()) return;
    if (!asked_.empty()) {
      if (const auto intact = undamaged(); !intact) return answer(asked_, intact);
    }
    if (whole && all_stored()) return answer(asked_, {});
    if (core_.clock.monotonic_us() < retry_us_) return;
    if (whole) requested_ = false;
    begin(whole);
  }
  if (stage_ == Stage::kTaking) take();
  if (stage_ == Stage::kTopics) take_topics();
  if (stage_ == Stage::kSyncing) {
    if (core_.log.error()) return finish(fail(*core_.log.error()));
    if (core_.log.durable() >= barrier_ || EVEN_MUTANT(kStoreBeforeLog)) {
      commit();
    } else {
      core_.log.sync();
    }
  }
}

// None while a pass is behind by no more than the next one is to take; then more and more. When the
// store takes nothing at all, passes fail and begin anew, and nobody waits for them.
std::int64_t Projection::pause_us() const {
  if (!pass_under_way()) return 0;
  const auto allowed = static_cast<double>(core_.options.pass_bytes);
  const auto written = static_cast<double>(core_.log.end() - begun_);
  return static_cast<std::int64_t>(kMostPauseUs * std::clamp(written / allowed - 1, 0.0, 1.0));
}

void Projection::begin(bool whole) {
  stage_ = Stage::kTaking;
  staged_last_ = false;
  whole_ = whole;
  next_ = 0;
  group_rows_.clear();
  if (!whole) return;
  served_ = std::exchange(asked_, {});
  begun_ = core_.log.end();
}

// By turns with passes, where these are due one after the other.
bool Projection::stage_rows(const std::function<void(RowBatch&)>& fill,
                            std::function<void(const Result<>&)> done) {
  if (stage_ != Stage::kIdle || store_all_ || store_.backlog() > kMaxBacklog) return false;
  const bool wanted = due() || topics_due();
  if (staged_last_ && wanted && core_.clock.monotonic_us() >= retry_us_ && !all_stored()) {
    return false;
  }
  staged_last_ = true;
  stage_ = Stage::kStaging;
  RowBatch rows;
  fill(rows);
  store_.write(std::move(rows));
  store_.commit([this, done = std::move(done)](const Result<>& outcome) {
    stage_ = Stage::kIdle;
    done(outcome);
  });
  return true;
}

// Rows of one partition are one state, that at one moment.
void Projection::take() {
  const std::int64_t started_us = core_.clock.monotonic_us();
  // New ones may have come to be since the last slice.
  const auto partitions = core_.all_partitions();
  auto at = std::ranges::lower_bound(partitions, next_, {}, &Partition::id);
  for (; at != partitions.end(); ++at) {
    Partition& partition = **at;
    next_ = partition.id;
    if (store_.backlog() > kMaxBacklog) return;
    if (!whole_ && !topic_passes_.take(partition.id)) continue;
    // As of the same moment.
    if (core_.is_strong(partition.id)) {
      if (auto row = on_take_(partition.id)) {
        group_rows_.emplace_back(partition.id, std::move(*row));
      }
    }
    if (partition.state.changed()) {
      RowBatch rows;
      partition.taken = partition.rows->write_changes(partition.state, rows);
      store_.write(std::move(rows));
    }
    ++next_;
    if (core_.clock.monotonic_us() - started_us > kSliceUs && at + 1 != partitions.end()) return;
  }
  take_rest();
}

void Projection::take_rest() {
  RowBatch rows;
  if (whole_) {
    // Not when the pass began: what could be read then may have turned out not to be since.
    next_position_ = holds_position() ? position_ : begun_;
    write_position(core_.options.shard, next_position_, rows);
    if (hints_.take) hints_.take(rows);
  }
  if (take_checkpoints_) take_checkpoints_(rows);
  for (const auto& [id, row] : group_rows_) write_group(id, row, rows);
  store_.write(std::move(rows));
  stage_ = Stage::kTopics;
}

void Projection::take_topics() {
  const std::int64_t started_us = core_.clock.monotonic_us();
  while (take_topics_) {
    if (store_.backlog() > kMaxBacklog) return;
    RowBatch rows;
    const bool more = take_topics_(rows, whole_);
    if (!rows.empty()) store_.write(std::move(rows));
    if (!more) break;
    if (core_.clock.monotonic_us() - started_us > kSliceUs) return;
  }
  // With what has become of groups meanwhile, whose rows are as of different moments.
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
  if (on_finished_) on_finished_(outcome.has_value());
  for (Partition* partition : core_.all_partitions()) {
    if (!partition->taken) continue;
    if (outcome) {
      partition->state.stored(*partition->taken);
      partition->rows->stored();
    } else {
      partition->state.not_stored(*partition->taken);
    }
    partition->taken.reset();
  }
  if (!outcome) {
    ++stats_.failed_passes;
    retry_us_ = core_.clock.monotonic_us() + kRetryUs;
    requested_ = requested_ || whole_;
    core_.warn("the store could not be brought up to date: " + outcome.error().message);
  } else {
    ++stats_.passes;
    if (whole_) position_ = next_position_;
    if (on_stored_) on_stored_();
  }
  answer(served_, outcome);
  if (EVEN_MUTANT(kStoredByEarlierPass)) answer(asked_, outcome);
}

bool Projection::fetch(std::span<const Need> needs, std::function<void()> done) {
  std::vector<Fetch> fetches;
  for (const Need& need : needs) {
    Partition* partition = core_.find(core_.partition_of(need.key));
    if (partition == nullptr || partition->rows->closed() || !partition->replayed) continue;
    const PartitionState& state = partition->state;
    const std::uint64_t hash = hash64(need.key);
    const bool is_cold = state.is_cold(hash);
    const Object* object = is_cold ? nullptr : state.in_memory().find(need.key, hash);
    Fetch fetch{partition, {}, hash, {}};
    if (is_cold || (object != nullptr && object->cold() > 0)) {
      for (std::size_t i = 0; i < need.elements.size(); i += need.step) {
        const std::uint64_t element = hash64(need.elements[i]);
        if (is_cold || object->is_cold(need.kind, element)) {
          fetch.elements.push_back({hash, need.kind, element});
        }
      }
    }
    if (!is_cold && fetch.elements.empty()) continue;
    fetch.key = need.key;
    fetches.push_back(std::move(fetch));
  }
  if (fetches.empty()) return false;
  fetch_objects(std::move(fetches), std::move(done));
  return true;
}

// Then the elements, of which only the objects tell whether they have rows of their own.
void Projection::fetch_objects(std::vector<Fetch> fetches, std::function<void()> done) {
  std::vector<std::string> rows;
  std::vector<std::pair<std::size_t, std::uint64_t>> wanted;  // place in `fetches`, epoch
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    const auto& [partition, key, hash, elements] = fetches[i];
    if (!partition->state.is_cold(hash)) continue;
    wanted.emplace_back(i, partition->state.epoch());
    rows.push_back(partition->rows->object_row(hash));
  }
  if (rows.empty()) return fetch_elements(fetches, std::move(done));
  store_.fetch(std::move(rows), [this, fetches = std::move(fetches), wanted = std::move(wanted),
                                 done = std::move(done)](const RowStore::Fetched& values) mutable {
    for (std::size_t i = 0; values && i < wanted.size(); ++i) {
      const Fetch& fetch = fetches[wanted[i].first];
      const PartitionState& state = fetch.partition->state;
      if (state.epoch() != wanted[i].second || !state.is_cold(fetch.hash)) continue;
      fetch.partition->rows->admit(state, fetch.hash, (*values)[i]);
    }
    fetch_elements(fetches, std::move(done));
  });
}

void Projection::fetch_elements(const std::vector<Fetch>& fetches, std::function<void()> done) {
  struct Wanted {
    Partition* partition;
    std::string key;
    Changes::Element element;
    std::uint64_t epoch;
  };
  std::vector<std::string> rows;
  std::vector<Wanted> wanted;
  for (const auto& [partition, key, hash, elements] : fetches) {
    for (const Changes::Element& element : elements) {
      if (!partition->state.is_cold(key, element)) continue;
      rows.push_back(partition->rows->element_row(key, element));
      wanted.push_back({partition, key, element, partition->state.epoch()});
    }
  }
  if (rows.empty()) return done();
  store_.fetch(std::move(rows), [wanted = std::move(wanted),
                                 done = std::move(done)](const RowStore::Fetched& values) {
    for (std::size_t i = 0; values && i < wanted.size(); ++i) {
      const auto& [partition, key, element, epoch] = wanted[i];
      const PartitionState& state = partition->state;
      if (state.epoch() != epoch || !state.is_cold(key, element)) continue;
      partition->rows->admit_elements(state, key, element, (*values)[i]);
    }
    done();
  });
}

void Projection::evict(bool may_let_go) {
  any_cold_ = std::ranges::any_of(core_.all_partitions(), [](const Partition* partition) {
    return partition->state.any_cold();
  });
  const auto& pressure = core_.options.memory_pressure;
  const auto partitions = core_.all_partitions();
  if (!may_let_go || !pressure || partitions.empty()) return;
  const std::int64_t started_us = core_.clock.monotonic_us();
  for (double now = pressure(); now > 1; now = pressure()) {
    const std::int64_t slice_us = now > kHighPressure ? kLongSliceUs : kSliceUs;
    if (core_.clock.monotonic_us() - started_us > slice_us) return;
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
      if (!pass_under_way() || !whole_) request_pass();
      return;
    }
  }
}

}  // namespace even
