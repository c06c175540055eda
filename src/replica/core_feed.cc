// Change feeds of eventual keyspaces: docs/feeds.md.
#include <fmt/format.h>

#include "base/mutant.h"
#include "engine/outbox.h"
#include "replica/core.h"
#include "replica/partition_keyspace.h"

namespace even {

std::optional<FeedTarget> ShardCore::feed_of(std::string_view key) const {
  if (is_reserved(key)) return std::nullopt;
  const cluster::Keyspace* keyspace = keyspaces->of_key(key);
  if (keyspace == nullptr || keyspace->strong || keyspace->feed.empty()) return std::nullopt;
  return FeedTarget{keyspace->feed, keyspace->name};
}

std::size_t ShardCore::fed_keys(std::size_t limit) const {
  std::size_t keys = 0;
  for (const auto& partition : partitions_) {
    if (keys > limit) break;
    if (is_strong(partition->id) || !partition->replayed) continue;
    partition->state.scan(0, [&](std::uint64_t, std::string_view key, const Object& object) {
      if (object.live() && feed_of(key)) ++keys;
      return keys <= limit;
    });
  }
  return keys;
}

std::unique_ptr<FeedChanges> ShardCore::changes_of(const Partition& partition, const Record& record,
                                                   std::int64_t now_ms) const {
  if (!keyspaces->any_eventual_feeds()) return nullptr;
  auto changes = std::make_unique<FeedChanges>(
      partition.state, record, now_ms, [this](std::string_view key) { return feed_of(key); });
  if (changes->empty()) return nullptr;
  const std::string_view outbox = outbox_keys.of(partition.id);
  (void)partition.state.find(outbox, hash64(outbox));
  return changes;
}

void ShardCore::tell(Partition& partition, const FeedChanges& changes, const Dot& dot, Hlc time,
                     std::string_view cause, std::int64_t now_ms) {
  PartitionKeyspace keyspace(partition, self);
  const FeedSource source{.cluster = options.cluster_id,
                          .partition = partition.id,
                          .dot = dot,
                          .time = time,
                          .cause = cause,
                          .now_ms = now_ms};
  try {
    std::vector<std::string> events = changes.events(keyspace, source);
#ifdef EVEN_MUTANTS
    if (EVEN_MUTANT(kFeedLater))
      return told_later_.emplace_back(&partition, std::move(events)), void();
#endif
    add_events(partition, events, now_ms);
    stats.feed_changes += events.size();
  } catch (const Unreadable& error) {
    // The change is made, and there is no way back.
    ++stats.feed_lost;
    warn(fmt::format("a change of partition {} is not in its change feed: {}", partition.id,
                     error.what()));
  }
}

#ifdef EVEN_MUTANTS
void ShardCore::tell_later() {
  // Late enough for a crash to come between.
  constexpr std::int64_t kEveryUs = 1'000'000;
  constexpr std::int64_t kWithinUs = 20'000;
  if (clock.monotonic_us() % kEveryUs > kWithinUs) return;
  for (const auto& [partition, events] : std::exchange(told_later_, {})) {
    add_events(*partition, events, turn_ms());
    close(*partition);
  }
}
#endif

void ShardCore::add_events(Partition& partition, const std::vector<std::string>& events,
                           std::int64_t now_ms) {
  PartitionKeyspace keyspace(
      partition, self, [&](const WriteIntent& intent) { return begin(partition, now_ms, intent); });
  for (const std::string& event : events) {
    const std::string_view words[] = {kOutboxCommand.name, outbox_keys.of(partition.id), event};
    const NamedElements named = named_elements(kOutboxCommand, words);
    std::string unused;
    Reply reply(unused, false);
    Context context(keyspace, reply, random, now_ms, named.words, named.step, nullptr, named.fresh);
    kOutboxCommand.handler(context, Args(words));
    for (auto& write : context.writes()) {
      partition.state.prepare(write.record.delta, write.record.context);
      const Dot dot = commit(partition, write.record);
      if (options.committed) options.committed(partition.id, dot);
    }
  }
}

}  // namespace even
