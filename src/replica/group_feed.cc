// The change feed of a strong partition: docs/feeds.md. What is here follows from the entries
// alone.
#include <charconv>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "engine/outbox.h"
#include "replica/group.h"
#include "replica/partition_keyspace.h"

namespace even {
namespace {

constexpr std::string_view kTopicField = "topic";
constexpr std::string_view kKeyspaceField = "keyspace";
constexpr std::string_view kCursorField = "cursor";
// Of one step of a snapshot: keys that are told, and that are looked at.
constexpr std::size_t kFeedStepKeys = 100;
constexpr std::size_t kFeedStepLooks = 1'000;
constexpr std::size_t kFeedStepBytes = 1 << 20;

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

}  // namespace

Group::Feed Group::feed() const {
  Feed feed;
  if (feed_epoch() == 0) return feed;
  const Object* object = partition_.state.find(kFeedKey, hash64(kFeedKey));
  if (object == nullptr) return feed;
  const auto text = [object](std::string_view field) {
    std::string scratch;
    const ScalarView scalar = object->hash().find(field);
    return scalar.live() ? std::string(scalar.value(scratch)) : std::string();
  };
  feed.topic = text(kTopicField);
  feed.keyspace = text(kKeyspaceField);
  feed.cursor = number_in(text(kCursorField));
  return feed;
}

FeedOf Group::feed_of() const {
  if (topic_ || feed_epoch() == 0) return nullptr;
  Feed feed = this->feed();
  if (feed.topic.empty()) return nullptr;
  return [feed = std::move(feed)](std::string_view key) -> std::optional<FeedTarget> {
    if (is_reserved(key) || key.starts_with(kOncePrefix)) return std::nullopt;
    return FeedTarget{feed.topic, feed.keyspace};
  };
}

void Group::tell(const FeedChanges& changes, const Dot& dot, std::string_view cause,
                 std::int64_t now_ms) {
  PartitionKeyspace keyspace(partition_, kGroupOrigin);
  const FeedSource source{.cluster = core_.options.cluster_id,
                          .partition = id(),
                          .dot = dot,
                          .time = Hlc::at(now_ms),
                          .cause = cause,
                          .now_ms = now_ms,
                          .of_group = true};
  try {
    const std::vector<std::string> events = changes.events(keyspace, source);
    add_events(events, now_ms);
    core_.stats.feed_changes += leads() ? events.size() : 0;
  } catch (const Unreadable& error) {
    // Half of the entry must not be stored: this member has to be given a state.
    partition_.close(error.what());
    throw;
  }
}

void Group::add_events(const std::vector<std::string>& events, std::int64_t now_ms) {
  PartitionKeyspace keyspace(partition_, kGroupOrigin, [&](const WriteIntent&) {
    return Record::begin(id(), kGroupOrigin, Hlc::at(now_ms), partition_.state.vector());
  });
  for (const std::string& event : events) {
    const std::string_view words[] = {kStrongOutboxCommand.name, kOutboxKey, event};
    std::string unused;
    Reply reply(unused, false);
    Random random(0);
    Context context(keyspace, reply, random, now_ms);
    kStrongOutboxCommand.handler(context, Args(words));
    commit(context, {});
  }
}

void Group::write_feed(std::span<const std::pair<std::string_view, std::string>> fields,
                       std::int64_t now_ms) {
  PartitionKeyspace keyspace(partition_, kGroupOrigin, [&](const WriteIntent&) {
    return Record::begin(id(), kGroupOrigin, Hlc::at(now_ms), partition_.state.vector());
  });
  std::string unused;
  Reply reply(unused, false);
  Random random(0);
  Context context(keyspace, reply, random, now_ms);
  KeyWriter& writer = context.write(kFeedKey);
  for (const auto& [field, value] : fields) writer.set_field(field, value);
  commit(context, {});
}

void Group::set_feed(Args words, std::int64_t now_ms) {
  const auto epoch = words.size() == 5 ? number_in(words[1]) : std::nullopt;
  if (!epoch || *epoch <= feed_epoch() || topic_) return;
  const std::pair<std::string_view, std::string> fields[] = {
      {kTopicField, std::string(words[2])},
      {kKeyspaceField, std::string(words[3])},
      {kCursorField, words[4] == "1" ? "0" : ""}};
  write_feed(fields, now_ms);
  partition_.state.cover(Dot{kGroupFeed, *epoch});
}

void Group::step_feed(Args words, std::int64_t now_ms) {
  const auto epoch = words.size() == 3 ? number_in(words[1]) : std::nullopt;
  if (!epoch || *epoch != feed_epoch()) return;
  const Feed feed = this->feed();
  // Another step may have come before this one.
  if (feed.topic.empty() || !feed.cursor || number_in(words[2]) != feed.cursor) return;
  PartitionKeyspace keyspace(partition_, kGroupOrigin);
  const FeedSource source{.cluster = core_.options.cluster_id,
                          .partition = id(),
                          .dot = {kGroupOrigin, partition_.state.vector()[kGroupOrigin]},
                          .time = Hlc::at(now_ms),
                          .cause = "snapshot",
                          .now_ms = now_ms,
                          .of_group = true};
  const FeedStep step = snapshot_step(
      keyspace, *feed.cursor, {kFeedStepKeys, kFeedStepLooks, kFeedStepBytes}, feed_of(), source);
  add_events(step.events, now_ms);
  const std::pair<std::string_view, std::string> fields[] = {
      {kCursorField, step.next ? std::to_string(*step.next) : std::string()}};
  write_feed(fields, now_ms);
  core_.stats.feed_changes += leads() ? step.events.size() : 0;
}

}  // namespace even
