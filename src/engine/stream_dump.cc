#include "engine/stream_dump.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "engine/stream.h"

namespace even {
namespace {

rdb::StreamId file_id(StreamId id) { return {id.ms, id.seq}; }
StreamId state_id(rdb::StreamId id) { return {id.ms, id.seq}; }

rdb::StreamValue::Group dumped_group(const Stream& stream, std::string_view name) {
  const StreamGroup group(stream, name);
  rdb::StreamValue::Group out;
  out.name = name;
  StreamId delivered = group.last_delivered();
  // What has arrived late under a lower id is still to be delivered: rather something twice.
  stream.entries_behind([&group](ReplicaId writer) { return group.delivered_of(writer); },
                        [&delivered](const StreamEntry& entry) {
                          delivered = std::min(delivered, *previous_id(entry.id));
                          return false;
                        });
  out.last_delivered = file_id(delivered);
  out.entries_read = static_cast<std::int64_t>(stream.added() - group.lag());
  for (const StreamGroup::Consumer& consumer : group.consumers()) {
    out.consumers.push_back({std::string(consumer.name), consumer.seen_ms});
  }
  group.pending({}, [&out](const PendingEntry& entry) {
    const rdb::StreamId id = file_id(entry.id);
    // What two nodes have written under one id, and is deleted by now.
    if (!out.pending.empty() && out.pending.back().id == id) return;
    const std::string consumer(entry.consumer);
    out.pending.push_back({id, entry.delivered_ms, entry.deliveries, consumer});
    // One that was deleted at a node while another gave it something.
    const auto same = [&consumer](const auto& other) { return other.name == consumer; };
    if (std::ranges::none_of(out.consumers, same)) {
      out.consumers.push_back({consumer, entry.delivered_ms});
    }
  });
  return out;
}

std::string number_text(std::uint64_t number) {
  std::string out;
  put_big_endian(out, number);
  return out;
}

}  // namespace

std::expected<rdb::StreamValue, StreamId> dumped_stream(const Object& object) {
  const Stream stream(object.stream());
  rdb::StreamValue out;
  std::optional<StreamId> twice;
  stream.all_entries(false, [&](const StreamEntry& entry) {
    const rdb::StreamId id = file_id(entry.id);
    if (!out.entries.empty() && out.entries.back().id == id) twice = entry.id;
    const std::vector<std::string_view> words = content_words(entry.content);
    out.entries.push_back({id, {words.begin(), words.end()}});
    return !twice;
  });
  if (twice) return std::unexpected(*twice);
  out.last = file_id(stream.last_id());
  out.max_deleted = file_id(stream.max_deleted());
  out.added = stream.added();
  for (const std::string_view group : stream.groups()) {
    out.groups.push_back(dumped_group(stream, group));
  }
  return out;
}

void write_restored_stream(Context& context, std::string_view key, const rdb::StreamValue& value) {
  KeyWriter& writer = context.write(key);
  const ReplicaId maker = context.shared(key) ? writer.dot().replica : ReplicaId();
  const std::uint64_t life = hash_mix(writer.dot().replica.value, writer.dot().seq);
  const auto set = [&](std::string name, std::string text) {
    writer.set_stream_field(context.keep(std::move(name)), context.keep(std::move(text)));
  };
  for (const rdb::StreamValue::Entry& entry : value.entries) {
    const std::vector<std::string_view> words(entry.fields.begin(), entry.fields.end());
    std::string content;
    append_content(words, content);
    set(stream_entry(maker, state_id(entry.id)), std::move(content));
  }
  // Without entries this is what keeps the key.
  if (value.entries.empty() || value.last != value.entries.back().id) {
    set(stream_mark(kStreamLast, state_id(value.last)), {});
  }
  if (value.max_deleted != rdb::StreamId()) {
    set(stream_mark(kStreamDeleted, state_id(value.max_deleted)), {});
  }
  if (value.added > value.entries.size()) {
    set(std::string(1, kStreamAdded), number_text(value.added));
  }
  // Times that cannot be are taken for the earliest one.
  const auto time = [](std::int64_t ms) {
    return number_text(static_cast<std::uint64_t>(std::max<std::int64_t>(ms, -1)));
  };
  for (const rdb::StreamValue::Group& group : value.groups) {
    set(group_base(group.name, life), id_bytes(state_id(group.last_delivered)));
    for (const rdb::StreamValue::Consumer& consumer : group.consumers) {
      set(group_consumer(group.name, life, consumer.name), time(consumer.seen_ms));
    }
    for (const rdb::StreamValue::Pending& pending : group.pending) {
      if (pending.consumer.empty()) continue;  // nobody could acknowledge it
      set(group_pending(group.name, state_id(pending.id), maker, life),
          time(pending.delivered_ms) + number_text(pending.deliveries) + pending.consumer);
    }
  }
}

}  // namespace even
