#include "replica/feeds.h"

#include <algorithm>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/mutant.h"
#include "engine/outbox.h"
#include "replica/partition_keyspace.h"

namespace even {
namespace {

// What an eventual partition remembers, by the life of the feed:
//   'f' epoch node   that this node tells its changes, and since when (Hlc)
//   's' epoch        the hash from which on keys are to be told; kDone: all have been
constexpr char kFollows = 'f';
constexpr char kCursor = 's';
constexpr std::string_view kDone = "done";

// Before a partition whose snapshot has to wait is looked at again.
constexpr std::int64_t kWaitUs = 100'000;
constexpr std::int64_t kProposalUs = 2'000'000;  // until an entry counts as lost
// A snapshot leaves room in the outbox for what is written.
constexpr std::size_t kMostSnapshotEvents = kMostWaitingEvents / 4;
constexpr std::int64_t kSliceUs =
    1'000;  // of a tick, for snapshots; but one step at least of the first feed
// Of one step.
constexpr FeedLimits kLimits{.keys = 50, .looks = 500, .bytes = 256 << 10};

std::string follow_field(std::uint64_t epoch, NodeNumber node) {
  std::string field(1, kFollows);
  put_big_endian(field, epoch);
  put_big_endian(field, node);
  return field;
}
std::string cursor_field(std::uint64_t epoch) {
  std::string field(1, kCursor);
  put_big_endian(field, epoch);
  return field;
}

std::optional<std::string> field_of(const Object* object, std::string_view field) {
  if (object == nullptr) return std::nullopt;
  const ScalarView scalar = object->hash().find(field);
  std::string scratch;
  return scalar.live() ? std::optional(std::string(scalar.value(scratch))) : std::nullopt;
}

}  // namespace

Feeds::Feeds(ShardCore& core, Groups& groups, const Relay& relay, const Replication& replication)
    : core_(core),
      groups_(groups),
      relay_(relay),
      replication_(replication),
      keys_(kFeedKey, core.options.partition_count) {}

void Feeds::tick() {
  const cluster::KeyspaceTable& table = *core_.keyspaces;
  if (table_ != table.version()) {
    table_ = table.version();
    feeds_ = std::ranges::any_of(table.keyspaces(), [](const cluster::Keyspace& keyspace) {
      return keyspace.feed_epoch != 0;
    });
    absl::erase_if(lives_, [&](const auto& each) {
      return std::ranges::find(table.keyspaces(), each.first.first,
                               &cluster::Keyspace::feed_epoch) == table.keyspaces().end();
    });
  }
#ifdef EVEN_MUTANTS
  core_.tell_later();
#endif
  core_.stats.feed_snapshots = 0;
  if (!feeds_ || core_.log.error()) return;
  std::optional<Unreadable> unreadable;
  const auto unless_unreadable = [&unreadable](auto work) {
    try {
      work();
    } catch (const Unreadable& error) {
      unreadable = error;
    }
  };
  const std::int64_t now_us = core_.clock.monotonic_us();
  for (const cluster::Keyspace& keyspace : table.keyspaces()) {
    if (keyspace.strong || keyspace.feed.empty() || !keyspace.feed_snapshot) continue;
    // Beginning where the last tick has stopped: each takes what time there is.
    const std::size_t partitions = core_.partitions().size();
    const std::size_t begin = next_;
    for (std::size_t i = 0; i < partitions; ++i) {
      const auto& partition = core_.partitions()[(begin + i) % partitions];
      Life& life = lives_[{keyspace.feed_epoch, partition->id}];
      if (life.done) continue;
      ++core_.stats.feed_snapshots;
      if (core_.clock.monotonic_us() - now_us >= kSliceUs) continue;
      next_ = (begin + i + 1) % partitions;
      if (now_us < life.again_us || !partition->replayed || partition->damaged()) continue;
      life.again_us = now_us + kWaitUs;  // unless there is something to do
      unless_unreadable([&] { look(*partition, keyspace, life); });
    }
  }
  for (Partition* partition : core_.all_partitions()) {
    if (!core_.is_strong(partition->id)) continue;
    Group* group = groups_.find(partition->id);
    if (group == nullptr || !group->leads() || group->halted() || group->topic() != nullptr) {
      proposed_us_.erase(partition->id);
      continue;
    }
    unless_unreadable([&] { look(*group); });
  }
  if (unreadable) throw *unreadable;
}

// --- Eventual partitions

const Object* Feeds::find(const Partition& partition) const {
  const std::string_view key = keys_.of(partition.id);
  return partition.state.find(key, hash64(key));
}

std::size_t Feeds::waiting(const Partition& partition) const {
  const std::string_view key =
      core_.is_strong(partition.id) ? kOutboxKey : core_.outbox_keys.of(partition.id);
  const Object* outbox = partition.state.find(key, hash64(key));
  return outbox == nullptr ? 0 : outbox->hash().live();
}

void Feeds::look(Partition& partition, const cluster::Keyspace& keyspace, Life& life) {
  const std::uint64_t epoch = keyspace.feed_epoch;
  const std::string own = follow_field(epoch, core_.self.node());
  if (!field_of(find(partition), own)) {
    // What an earlier run has made and lost in a crash, others may still give it: that was not
    // told.
    if (!replication_.earlier_runs_are_over(partition)) return;
    follow(partition, epoch);
  }
  const auto cursor = field_of(find(partition), cursor_field(epoch));
  if (cursor == kDone) {
    life.done = true;
    return;
  }
  if (!relay_.is_preferred(partition)) return;
  const auto since = followed_since(partition, epoch);
  if (!since || waiting(partition) >= kMostSnapshotEvents) return;
  const bool known = cursor && cursor->size() == sizeof(std::uint64_t);
  step(partition, keyspace, known ? get_big_endian<std::uint64_t>(cursor->data()) : 0, *since);
  life.again_us = 0;
}

void Feeds::follow(Partition& partition, std::uint64_t epoch) {
  const auto is_over = [this](std::string_view field) {
    if (field.size() < 1 + sizeof(std::uint64_t)) return false;
    const auto of = get_big_endian<std::uint64_t>(field.data() + 1);
    const auto& keyspaces = core_.keyspaces->keyspaces();
    const bool is_later = std::ranges::all_of(
        keyspaces, [of](const cluster::Keyspace& keyspace) { return of > keyspace.feed_epoch; });
    return !is_later &&
           std::ranges::find(keyspaces, of, &cluster::Keyspace::feed_epoch) == keyspaces.end();
  };
  std::vector<std::string> over;
  if (const Object* object = find(partition)) {
    object->hash().for_each([&](std::string_view field, const ScalarView& scalar) {
      if (scalar.live() && is_over(field)) over.emplace_back(field);
    });
  }
  const std::int64_t now_ms = core_.turn_ms();
  PartitionKeyspace view(partition, core_.self, [&](const WriteIntent& intent) {
    return core_.begin(partition, now_ms, intent);
  });
  std::string unused;
  Reply reply(unused, false);
  Context context(view, reply, core_.random, now_ms);
  KeyWriter& writer = context.write(keys_.of(partition.id));
  for (const std::string& field : over) writer.remove_field(field);
  const std::string field = follow_field(epoch, core_.self.node());
  std::string since;
  put_big_endian(since, writer.time().value);
  writer.set_field(field, since);
  for (auto& write : context.writes()) {
    partition.state.prepare(write.record.delta, write.record.context);
    core_.commit(partition, write.record);
  }
  core_.close(partition, RecordOrigin::kRelay);
}

std::optional<Hlc> Feeds::followed_since(const Partition& partition, std::uint64_t epoch) const {
  const Object* object = find(partition);
  std::optional<Hlc> first;
  for (const NodeNumber node : partition.replicas) {
    const auto since = field_of(object, follow_field(epoch, node));
    if (since && since->size() == sizeof(std::uint64_t)) {
      const Hlc time{get_big_endian<std::uint64_t>(since->data())};
      first = std::min(first.value_or(time), time);
    } else if (!EVEN_MUTANT(kFeedSnapshotEarly)) {
      return std::nullopt;
    }
  }
  return first;
}

void Feeds::step(Partition& partition, const cluster::Keyspace& keyspace, std::uint64_t first,
                 Hlc since) {
  const std::int64_t now_ms = core_.turn_ms();
  PartitionKeyspace view(partition, core_.self, [&](const WriteIntent& intent) {
    return core_.begin(partition, now_ms, intent);
  });
  const FeedSource source{
      .cluster = core_.options.cluster_id,
      .partition = partition.id,
      .dot = {core_.self, partition.state.vector()[core_.self] + 1},
      .time = since,
      .cause = "snapshot",
      .now_ms = now_ms,
  };
  const auto feed_of = [&](std::string_view key) -> std::optional<FeedTarget> {
    auto target = core_.feed_of(key);
    return target && target->keyspace == keyspace.name ? target : std::nullopt;
  };
  const FeedStep step = snapshot_step(view, first, kLimits, feed_of, source);
  core_.add_events(partition, step.events, now_ms);
  core_.stats.feed_changes += step.events.size();
  std::string cursor(kDone);
  if (step.next) {
    cursor.clear();
    put_big_endian(cursor, *step.next);
  }
  const std::string field = cursor_field(keyspace.feed_epoch);
  std::string unused;
  Reply reply(unused, false);
  Context context(view, reply, core_.random, now_ms);
  context.write(keys_.of(partition.id)).set_field(field, cursor);
  for (auto& write : context.writes()) {
    partition.state.prepare(write.record.delta, write.record.context);
    core_.commit(partition, write.record);
  }
  core_.close(partition, RecordOrigin::kRelay);
}

// --- Strong partitions, which this node leads

void Feeds::look(Group& group) {
  const cluster::Keyspace* keyspace = core_.keyspaces->of_partition(group.id());
  if (keyspace == nullptr || keyspace->feed_epoch == 0) return;
  const std::int64_t now_us = core_.clock.monotonic_us();
  const auto proposed = proposed_us_.find(group.id());
  const bool under_way = proposed != proposed_us_.end() && now_us < proposed->second + kProposalUs;
  const bool follows = group.feed_epoch() >= keyspace->feed_epoch;
  if (!follows) {
    ++core_.stats.feed_snapshots;
    if (under_way) return;
    return propose(group, {std::string(kFeedCommandName), std::to_string(keyspace->feed_epoch),
                           keyspace->feed, keyspace->name, keyspace->feed_snapshot ? "1" : "0"});
  }
  if (!keyspace->feed_snapshot || group.feed_epoch() != keyspace->feed_epoch) return;
  const Group::Feed feed = group.feed();
  if (!feed.cursor) return;
  ++core_.stats.feed_snapshots;
  if (under_way || waiting(group.partition()) >= kMostSnapshotEvents) return;
  propose(group, {std::string(kFeedStepCommandName), std::to_string(keyspace->feed_epoch),
                  std::to_string(*feed.cursor)});
}

void Feeds::propose(Group& group, std::vector<std::string> words) {
  struct Words {
    std::vector<std::string> all;
    std::vector<std::string_view> views;
  };
  auto kept = std::make_shared<Words>();
  kept->all = std::move(words);
  kept->views.assign(kept->all.begin(), kept->all.end());
  StrongRequest request;
  request.group = group.id();
  request.commands.emplace_back(kept->views);
  proposed_us_[group.id()] = core_.clock.monotonic_us();
  group.execute(std::move(request),
                [kept, weak = std::weak_ptr(self_), id = group.id()](const StrongOutcome&) {
                  if (const auto self = weak.lock()) (*self)->proposed_us_.erase(id);
                });
  groups_.touch(group);
}

}  // namespace even
