#include "replica/feed.h"

#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/database.h"
#include "engine/cmd_scan.h"
#include "engine/command.h"
#include "engine/json.h"
#include "topic/event.h"

namespace even {
namespace {

const Object* visible_object(const PartitionState& state, std::string_view key,
                             std::int64_t now_ms) {
  const Object* object = state.find(key, hash64(key));
  return object != nullptr && object->live() && !object->expired(now_ms) ? object : nullptr;
}

std::size_t elements_of(const Object& object) {
  switch (object.type()) {
    case ObjectType::kSet:
      return object.set().size();
    case ObjectType::kHash:
      return object.hash().live();
    case ObjectType::kSortedSet:
      return object.sorted_set().live();
    case ObjectType::kList:
      return object.list().live();
    case ObjectType::kStream:
      return object.stream().live();
    default:
      return 1;
  }
}

// What a reader gets to see of the key, in RESP3; empty: it is too long. It is read by the commands
// that readers use, so that it is what they see.
std::string read_value(Keyspace& keyspace, std::string_view key, const Object& object,
                       std::int64_t now_ms) {
  if (elements_of(object) > kMostFeedElements) return {};
  std::vector<std::string_view> words;
  switch (object.type()) {
    case ObjectType::kSet:
      words = {"smembers", key};
      break;
    case ObjectType::kHash:
      words = {"hgetall", key};
      break;
    case ObjectType::kSortedSet:
      words = {"zrange", key, "0", "-1", "withscores"};
      break;
    case ObjectType::kList:
      words = {"lrange", key, "0", "-1"};
      break;
    case ObjectType::kStream:
      words = {"xrange", key, "-", "+"};
      break;
    default: {
      std::string scratch;
      if (object.string().value(scratch).size() > kMostFeedValueBytes) return {};
      words = {"get", key};
    }
  }
  std::string out;
  Reply reply(out, true);
  reply.leave_out_beyond(kMostFeedValueBytes);
  reply.leave_out_from(kMostFeedValueBytes + 64);
  Random random(0);
  Context context(keyspace, reply, random, now_ms);
  find_command(words[0])->handler(context, words);
  if (reply.left_out() || out.size() > kMostFeedValueBytes + 64) out.clear();
  return out;
}

// {"key": ..., "type": ..., "value": ...}
std::string after_of(Keyspace& keyspace, std::string_view stored, const Object& object,
                     std::int64_t now_ms) {
  const std::string value = read_value(keyspace, stored, object, now_ms);
  const std::string_view head = user_key(stored).substr(0, kMostFeedKeyBytes);
  const JsonText text = is_utf8(head) && reply_is_utf8(value) ? JsonText::kUtf8 : JsonText::kBase64;
  std::string out = "{\"key\":";
  put_json_text(out, head, text);
  out += fmt::format(",\"type\":\"{}\",\"encoding\":\"{}\",\"value\":", type_name(object.type()),
                     text == JsonText::kUtf8 ? "utf8" : "base64");
  value.empty() ? void(out += "null") : put_json_reply(out, value, text);
  out += value.empty() ? ",\"omitted\":true" : ",\"omitted\":false";
  const auto at_ms = object.expires_at_ms();
  out += at_ms ? fmt::format(",\"expires_at_ms\":{}}}", *at_ms) : ",\"expires_at_ms\":null}";
  return out;
}

std::string event_of(Keyspace& keyspace, std::string_view stored, const Object* object, char op,
                     const FeedTarget& target, const FeedSource& source) {
  std::string value = "{\"before\":null,\"after\":";
  value += object == nullptr ? "null" : after_of(keyspace, stored, *object, source.now_ms);
  // The version is that of the format: members of a group must write alike, whatever theirs are.
  value += ",\"source\":{\"version\":\"1\",\"connector\":\"even\",\"name\":";
  put_json_text(value, source.cluster);
  value += fmt::format(
      ",\"ts_ms\":{},\"snapshot\":\"{}\",\"db\":\"{}\",\"table\":\"{}\",\"database\":{},"
      "\"partition\":{},"
      "\"origin\":\"{}\",\"seq\":\"{}\",\"hlc\":\"{}\",\"cause\":",
      source.time.wall_ms(), op == 'r' ? "true" : "false", target.keyspace, target.keyspace,
      database_of(stored), source.partition,
      source.of_group ? "group" : source.dot.replica.to_string(), source.dot.seq,
      source.time.value);
  put_json_text(value, source.cause);
  const std::size_t key_bytes = user_key(stored).size();
  const std::size_t most_key_bytes = kMostFeedKeyBytes + stored.size() - key_bytes;
  if (key_bytes > kMostFeedKeyBytes) value += fmt::format(",\"key_bytes\":{}", key_bytes);
  value += fmt::format("}},\"op\":\"{}\",\"ts_ms\":{}}}", op, source.now_ms);
  // By its stored name: a key of another database is another key.
  return topic::Event{
      .topic = target.topic, .key = stored.substr(0, most_key_bytes), .value = value, .headers = {}}
      .encode();
}

}  // namespace

FeedChanges::FeedChanges(const PartitionState& state, const Record& record, std::int64_t now_ms,
                         const FeedOf& feed_of) {
  const auto note = [&](std::string_view key) {
    if (const auto target = feed_of(key)) {
      changes_.push_back({std::string(key), std::string(target->topic),
                          std::string(target->keyspace),
                          visible_object(state, key, now_ms) != nullptr});
    }
  };
  if (!record.delta.full) {
    for (const KeyDelta& key : record.delta.keys) note(key.key);
    return;
  }
  // All keys may go, mentioned or not.
  absl::flat_hash_set<std::string> names;
  for (const KeyDelta& key : record.delta.keys) names.emplace(key.key);
  state.for_each([&](std::string_view key, const Object& object) {
    if (object.live() && !object.expired(now_ms) && feed_of(key)) names.emplace(key);
  });
  std::vector<std::string_view> sorted(names.begin(), names.end());
  std::ranges::sort(sorted);  // as every member of a group does
  for (const std::string_view name : sorted) note(name);
}

std::vector<std::string> FeedChanges::events(Keyspace& keyspace, const FeedSource& source) const {
  std::vector<std::string> events;
  for (const Change& change : changes_) {
    const Object* object =
        visible_object(keyspace.state(source.partition), change.key, source.now_ms);
    if (object == nullptr && !change.was) continue;
    const char op = object == nullptr ? 'd' : change.was ? 'u' : 'c';
    events.push_back(
        event_of(keyspace, change.key, object, op, {change.topic, change.keyspace}, source));
  }
  return events;
}

FeedStep snapshot_step(Keyspace& keyspace, std::uint64_t first, const FeedLimits& limits,
                       const FeedOf& feed_of, const FeedSource& source) {
  const PartitionState& state = keyspace.state(source.partition);
  struct Found {
    std::uint64_t hash;
    std::string key;
  };
  std::vector<Found> found;
  FeedStep step;
  std::size_t looks = 0;
  std::uint64_t last = first;
  // Between two hashes only: several keys may have one.
  state.scan(first, [&](std::uint64_t hash, std::string_view key, const Object& object) {
    if (looks > 0 && hash != last && (looks >= limits.looks || found.size() >= limits.keys)) {
      step.next = hash;
      return false;
    }
    ++looks;
    last = hash;
    if (object.live() && !object.expired(source.now_ms) && feed_of && feed_of(key)) {
      found.push_back({hash, std::string(key)});
    }
    return true;
  });
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0 && found[i].hash != found[i - 1].hash && bytes >= limits.bytes) {
      step.next = found[i].hash;
      break;
    }
    const Object* object = visible_object(state, found[i].key, source.now_ms);
    if (object == nullptr) continue;
    step.events.push_back(
        event_of(keyspace, found[i].key, object, 'r', *feed_of(found[i].key), source));
    bytes += step.events.back().size();
  }
  return step;
}

}  // namespace even
