#include "rdb/stream_value.h"

#include <absl/container/flat_hash_map.h>

#include <optional>

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
        entry.fields.push_back(same ? elements[names + i] : elements[at++]);
        entry.fields.push_back(elements[at++]);
      }
      if (!number()) return false;  // how many elements it has, to go backwards by
      if ((*flags & kDeleted) != 0) continue;
      if (entry.fields.empty()) return false;
      if (!out.entries.empty() && entry.id <= out.entries.back().id) return false;
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
    if (!count(4, groups)) return false;
    for (; groups > 0; --groups) {
      if (!budget_.take_element()) return false;
      StreamValue::Group& group = out.groups.emplace_back();
      if (!read_string(in_, budget_, group.name) || !id(group.last_delivered)) return false;
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
      places.emplace(std::pair(group.pending[i].id.ms, group.pending[i].id.seq), i);
    }
    std::uint64_t consumers = 0;
    if (!count(10, consumers)) return false;
    for (; consumers > 0; --consumers) {
      if (!budget_.take_element()) return false;
      std::string& name = group.consumers.emplace_back();
      if (!read_string(in_, budget_, name)) return false;
      in_.get<std::int64_t>();                           // when it was seen last
      if (type == kListpacks3) in_.get<std::int64_t>();  // and when it did something
      std::uint64_t pending = 0;
      if (!count(16, pending)) return false;
      for (; pending > 0; --pending) {
        StreamId id;
        if (!raw_id(id)) return false;
        const auto place = places.find({id.ms, id.seq});
        if (place == places.end()) return false;
        group.pending[place->second].consumer = name;
      }
    }
    return true;
  }

  ByteReader in_;
  Budget& budget_;
};

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

}  // namespace even::rdb
