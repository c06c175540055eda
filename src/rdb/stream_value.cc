#include "rdb/stream_value.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <optional>
#include <span>

#include "base/bytes.h"
#include "rdb/length.h"
#include "rdb/packed.h"

namespace even::rdb {
namespace {

constexpr std::uint8_t kListpacks = 15;
constexpr std::uint8_t kListpacks2 = 19;  // Redis 7.0
constexpr std::uint8_t kListpacks3 = 21;  // 7.2
// Flags of an entry in a listpack.
constexpr std::int64_t kDeleted = 1;
constexpr std::int64_t kSameFields = 2;
// What Redis puts into one listpack at most, by its default configuration.
constexpr std::size_t kMostInNode = 100;
constexpr std::size_t kMostNodeBytes = 4096;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t out = 0;
  for (const char byte : bytes) out = out << 8 | static_cast<unsigned char>(byte);
  return out;
}

StreamId id_of(std::string_view bytes) {
  return {big_endian(bytes.substr(0, 8)), big_endian(bytes.substr(8))};
}

class StreamReader {
 public:
  StreamReader(std::string_view bytes, Budget& budget) : in_(bytes), budget_(budget) {}

  Result<StreamValue> read(std::uint8_t type) {
    StreamValue out;
    if (!is_stream_type(type) || !read_entries(out) || !read_head(type, out) ||
        !read_groups(type, out) || !in_.ok()) {
      return fail(budget_.exceeded() ? "a stream that there may be no memory for"
                                     : "a stream that is none, or ends too early");
    }
    return out;
  }
  std::size_t left() const { return in_.left(); }

 private:
  bool count(std::size_t least_bytes, std::uint64_t& number) {
    return read_length(in_, number) && number <= in_.left() / least_bytes;
  }
  bool id(StreamId& out) { return read_length(in_, out.ms) && read_length(in_, out.seq); }
  bool raw_id(StreamId& out) {
    const std::string_view bytes = in_.bytes(16);
    if (!in_.ok()) return false;
    out = id_of(bytes);
    return true;
  }

  bool read_entries(StreamValue& out) {
    std::uint64_t nodes = 0;
    if (!count(2, nodes)) return false;
    for (; nodes > 0; --nodes) {
      std::string key;
      std::string packed;
      if (!read_string(in_, budget_, key) || key.size() != 16) return false;
      if (!read_string(in_, budget_, packed)) return false;
      const auto elements = read_listpack(packed, budget_);
      if (!elements || !read_node(id_of(key), *elements, out)) return false;
    }
    return true;
  }

  // The first entry's fields, and then the entries, each as what differs from it.
  bool read_node(StreamId first, const std::vector<std::string>& elements, StreamValue& out) {
    std::size_t at = 0;
    const auto number = [&]() -> std::optional<std::int64_t> {
      std::int64_t value = 0;
      if (at == elements.size() || !parse_canonical(elements[at], value)) return std::nullopt;
      ++at;
      return value;
    };
    const auto live = number();
    const auto deleted = number();
    const auto fields = number();
    const auto most = static_cast<std::int64_t>(elements.size());
    const auto fits = [most](std::optional<std::int64_t> count) {
      return count && *count >= 0 && *count <= most;
    };
    if (!fits(live) || !fits(deleted) || !fits(fields)) return false;
    const auto master = static_cast<std::size_t>(*fields);
    if (master > elements.size() - at) return false;
    const std::size_t names = at;
    at += master;
    if (number() != 0) return false;
    for (std::int64_t left = *live + *deleted; left > 0; --left) {
      const auto flags = number();
      const auto ms = number();
      const auto seq = number();
      if (!flags || !ms || !seq) return false;
      StreamValue::Entry entry;
      entry.id = {first.ms + static_cast<std::uint64_t>(*ms),
                  first.seq + static_cast<std::uint64_t>(*seq)};
      const bool same = (*flags & kSameFields) != 0;
      const auto own = same ? std::optional(*fields) : number();
      if (!own || *own < 0) return false;
      const auto pairs = static_cast<std::size_t>(*own);
      if (pairs * (same ? 1 : 2) > elements.size() - at) return false;
      for (std::size_t i = 0; i < pairs; ++i) {
        if (!budget_.take_element()) return false;
        // Each entry has its own copy of the names that are there once.
        if (same && !budget_.take(elements[names + i].size())) return false;
        entry.fields.push_back(same ? elements[names + i] : elements[at++]);
        entry.fields.push_back(elements[at++]);
      }
      if (!number()) return false;  // how many elements it has, to go backwards by
      if ((*flags & kDeleted) != 0) continue;
      if (entry.fields.empty()) return false;
      if (entry.id <= (out.entries.empty() ? StreamId() : out.entries.back().id)) return false;
      out.entries.push_back(std::move(entry));
    }
    return true;
  }

  bool read_head(std::uint8_t type, StreamValue& out) {
    std::uint64_t live = 0;
    if (!read_length(in_, live) || live != out.entries.size() || !id(out.last)) return false;
    if (!out.entries.empty() && out.entries.back().id > out.last) return false;
    out.added = live;
    if (type == kListpacks) return true;
    StreamId first;
    return id(first) && id(out.max_deleted) && read_length(in_, out.added);
  }

  bool read_groups(std::uint8_t type, StreamValue& out) {
    std::uint64_t groups = 0;
    absl::flat_hash_set<std::string> names;
    if (!count(4, groups)) return false;
    for (; groups > 0; --groups) {
      if (!budget_.take_element()) return false;
      StreamValue::Group& group = out.groups.emplace_back();
      if (!read_string(in_, budget_, group.name) || !id(group.last_delivered)) return false;
      if (!names.insert(group.name).second) return false;
      std::uint64_t read = 0;
      if (type != kListpacks) {
        if (!read_length(in_, read)) return false;
        group.entries_read = static_cast<std::int64_t>(read);
      }
      if (!read_pending(group) || !read_consumers(type, group)) return false;
    }
    return true;
  }

  bool read_pending(StreamValue::Group& group) {
    std::uint64_t pending = 0;
    if (!count(25, pending)) return false;
    for (; pending > 0; --pending) {
      if (!budget_.take_element()) return false;
      StreamValue::Pending& each = group.pending.emplace_back();
      if (!raw_id(each.id)) return false;
      each.delivered_ms = in_.get<std::int64_t>();
      if (!read_length(in_, each.deliveries)) return false;
    }
    return true;
  }

  bool read_consumers(std::uint8_t type, StreamValue::Group& group) {
    absl::flat_hash_map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> places;
    for (std::size_t i = 0; i < group.pending.size(); ++i) {
      const StreamId id = group.pending[i].id;
      if (!places.emplace(std::pair(id.ms, id.seq), i).second) return false;
    }
    std::vector<bool> given(group.pending.size());
    absl::flat_hash_set<std::string> names;
    std::uint64_t consumers = 0;
    if (!count(10, consumers)) return false;
    for (; consumers > 0; --consumers) {
      if (!budget_.take_element()) return false;
      auto& [name, seen_ms] = group.consumers.emplace_back();
      if (!read_string(in_, budget_, name) || !names.insert(name).second) return false;
      seen_ms = in_.get<std::int64_t>();
      if (type == kListpacks3) in_.get<std::int64_t>();  // when it did something
      std::uint64_t pending = 0;
      if (!count(16, pending)) return false;
      for (; pending > 0; --pending) {
        StreamId id;
        if (!raw_id(id)) return false;
        const auto place = places.find({id.ms, id.seq});
        if (place == places.end() || given[place->second]) return false;
        given[place->second] = true;
        if (!budget_.take(name.size())) return false;
        group.pending[place->second].consumer = name;
      }
    }
    return true;
  }

  ByteReader in_;
  Budget& budget_;
};

// Of entries, those that come into one listpack with the first.
std::span<const StreamValue::Entry> node_of(std::span<const StreamValue::Entry> entries) {
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (const StreamValue::Entry& entry : entries.first(std::min(entries.size(), kMostInNode))) {
    for (const std::string& word : entry.fields) bytes += word.size();
    if (count > 0 && bytes >= kMostNodeBytes) break;
    ++count;
  }
  return entries.first(count);
}

bool same_names(const StreamValue::Entry& entry, const StreamValue::Entry& other) {
  if (entry.fields.size() != other.fields.size()) return false;
  for (std::size_t i = 0; i < entry.fields.size(); i += 2) {
    if (entry.fields[i] != other.fields[i]) return false;
  }
  return true;
}

void put_raw_id(std::string& out, StreamId id) {
  put_big_endian(out, id.ms);
  put_big_endian(out, id.seq);
}

void put_id(std::string& out, StreamId id) {
  put_length(out, id.ms);
  put_length(out, id.seq);
}

void put_node(std::string& out, std::span<const StreamValue::Entry> entries) {
  const StreamValue::Entry& master = entries.front();
  const std::size_t fields = master.fields.size() / 2;
  ListpackWriter packed;
  const auto number = [&packed](std::uint64_t value) {
    packed.add(std::to_string(static_cast<std::int64_t>(value)));
  };
  number(entries.size());
  number(0);  // deleted ones
  number(fields);
  for (std::size_t i = 0; i < fields; ++i) packed.add(master.fields[2 * i]);
  number(0);
  for (const StreamValue::Entry& entry : entries) {
    const bool same = same_names(entry, master);
    const std::size_t own = entry.fields.size() / 2;
    number(same ? kSameFields : 0);
    number(entry.id.ms - master.id.ms);
    number(entry.id.seq - master.id.seq);
    if (!same) number(own);
    for (std::size_t i = same ? 1 : 0; i < entry.fields.size(); i += same ? 2 : 1) {
      packed.add(entry.fields[i]);
    }
    number(same ? own + 3 : 2 * own + 4);  // how many elements it has
  }
  std::string id;
  put_raw_id(id, master.id);
  put_string(out, id);
  put_string(out, packed.finish());
}

void put_group(std::string& out, const StreamValue::Group& group) {
  put_string(out, group.name);
  put_id(out, group.last_delivered);
  put_length(out, static_cast<std::uint64_t>(group.entries_read));
  put_length(out, group.pending.size());
  absl::flat_hash_map<std::string_view, std::vector<StreamId>> by_consumer;
  for (const StreamValue::Pending& pending : group.pending) {
    put_raw_id(out, pending.id);
    put_little_endian(out, pending.delivered_ms);
    put_length(out, pending.deliveries);
    by_consumer[pending.consumer].push_back(pending.id);
  }
  put_length(out, group.consumers.size());
  for (const StreamValue::Consumer& consumer : group.consumers) {
    put_string(out, consumer.name);
    put_little_endian(out, consumer.seen_ms);
    const std::vector<StreamId>& ids = by_consumer[consumer.name];
    put_length(out, ids.size());
    for (const StreamId id : ids) put_raw_id(out, id);
  }
}

}  // namespace

bool is_stream_type(std::uint8_t type) {
  return type == kListpacks || type == kListpacks2 || type == kListpacks3;
}

Result<StreamValue> read_stream(std::uint8_t type, std::string_view& content, Budget& budget) {
  StreamReader reader(content, budget);
  Result<StreamValue> value = reader.read(type);
  if (value) content.remove_prefix(content.size() - reader.left());
  return value;
}

std::string write_stream(const StreamValue& value) {
  std::string nodes;
  std::size_t count = 0;
  for (std::span<const StreamValue::Entry> left = value.entries; !left.empty(); ++count) {
    const auto node = node_of(left);
    put_node(nodes, node);
    left = left.subspan(node.size());
  }
  std::string out(1, static_cast<char>(kListpacks2));
  put_length(out, count);
  out += nodes;
  put_length(out, value.entries.size());
  put_id(out, value.last);
  put_id(out, value.entries.empty() ? StreamId() : value.entries.front().id);
  put_id(out, value.max_deleted);
  put_length(out, value.added);
  put_length(out, value.groups.size());
  for (const StreamValue::Group& group : value.groups) put_group(out, group);
  return out;
}

}  // namespace even::rdb
