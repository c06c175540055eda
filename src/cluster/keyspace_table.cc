#include "cluster/keyspace_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/messagepack.h"
#include "cluster/placement.h"
#include "cluster/topic_ranges.h"

namespace even::cluster {
namespace {

using messagepack::is_array;
using messagepack::pack_binary;
using messagepack::Packer;
using messagepack::read;

constexpr std::uint64_t kFormat = 3;
constexpr std::uint64_t kUnlimitedTopicFormat = 4;  // the same fields, of a topic that keeps all
constexpr std::uint64_t kTopicFormat = 5;           // behind these, how much it keeps
constexpr std::uint64_t kFeedFormat = 6;            // of a keyspace; behind these, its feed
constexpr std::uint64_t kCleanupFormat = 7;         // of a topic; behind these, its cleanup
constexpr std::uint64_t kDelayFormat = 8;           // of a keyspace; behind its feed, its delay
constexpr std::uint32_t kFields = 13;
constexpr std::uint32_t kTopicFields = kFields + 2;
constexpr std::uint32_t kFeedFields = kFields + 3;
constexpr std::uint32_t kDelayFields = kFeedFields + 1;
constexpr std::uint32_t kCleanupFields = kTopicFields + 6;
constexpr std::uint32_t kMillion = 1'000'000;

// 0: none; else one more than it is.
void pack_limit(Packer& packer, std::optional<std::int64_t> limit) {
  packer.pack(limit ? static_cast<std::uint64_t>(*limit) + 1 : std::uint64_t{0});
}

bool read_limit(const msgpack::object& object, std::optional<std::int64_t>& out) {
  std::uint64_t limit = 0;
  if (!read(object, limit) || limit > std::uint64_t{INT64_MAX} + 1) return false;
  if (limit > 0) out = static_cast<std::int64_t>(limit - 1);
  return true;
}

void pack_level(Packer& packer, Level level) {
  packer.pack_array(2);
  packer.pack(static_cast<std::uint8_t>(level.kind));
  packer.pack(level.number);
}

bool read_level(const msgpack::object& object, Level& out) {
  return is_array(object, 2) &&
         messagepack::read_enum(object.via.array.ptr[0], Level::Kind::kLinearizable, out.kind) &&
         read(object.via.array.ptr[1], out.number);
}

bool read_lines(const msgpack::object& object,
                std::vector<std::pair<NodeNumber, std::uint16_t>>& out) {
  if (object.type != msgpack::type::ARRAY) return false;
  for (std::uint32_t i = 0; i < object.via.array.size; ++i) {
    const msgpack::object& each = object.via.array.ptr[i];
    auto& [node, line] = out.emplace_back();
    if (!is_array(each, 2) || !read(each.via.array.ptr[0], node) ||
        !read(each.via.array.ptr[1], line)) {
      return false;
    }
  }
  return true;
}

bool is_word(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// From 0 on.
std::optional<std::int64_t> number_from(std::string_view text) {
  std::int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

bool read_cleanup(const msgpack::object* field, Cleanup& out) {
  return read(field[0], out.deletes) && read(field[1], out.compacts) &&
         read(field[2], out.delete_retention_ms) && read(field[3], out.min_dirty_millionths) &&
         read(field[4], out.min_lag_ms) && read_limit(field[5], out.max_lag_ms) &&
         (out.deletes || out.compacts) && out.delete_retention_ms >= 0 &&
         out.min_dirty_millionths <= kMillion && out.min_lag_ms >= 0;
}

std::uint32_t fields_of(std::uint64_t format) {
  switch (format) {
    case kTopicFormat:
      return kTopicFields;
    case kFeedFormat:
      return kFeedFields;
    case kCleanupFormat:
      return kCleanupFields;
    case kDelayFormat:
      return kDelayFields;
    default:
      return kFields;
  }
}

bool read_keyspace(const msgpack::object& object, Keyspace& out) {
  if (object.type != msgpack::type::ARRAY || object.via.array.size < kFields) return false;
  const msgpack::object* field = object.via.array.ptr;
  std::uint64_t format = 0;
  if (!read(field[0], format) || format < kFormat || format > kDelayFormat) return false;
  if (!is_array(object, fields_of(format))) return false;
  const bool has_feed = format == kFeedFormat || format == kDelayFormat;
  out.topic = format != kFormat && !has_feed;
  if (has_feed && (!read(field[13], out.feed) || !read(field[14], out.feed_epoch) ||
                   !read(field[15], out.feed_snapshot))) {
    return false;
  }
  if (format == kDelayFormat && (!read(field[16], out.delay_ms) || out.delay_ms <= 0)) return false;
  if (format == kCleanupFormat && !read_cleanup(field + kTopicFields, out.cleanup)) return false;
  if ((format == kTopicFormat || format == kCleanupFormat) &&
      (!read_limit(field[13], out.retention_ms) || !read_limit(field[14], out.retention_bytes))) {
    return false;
  }
  return read(field[1], out.name) && read(field[2], out.prefix) && read(field[3], out.strong) &&
         read(field[4], out.replicas) && read(field[5], out.partitions) &&
         read(field[6], out.first) && read_level(field[7], out.read) &&
         read_level(field[8], out.write) && read(field[9], out.deadline_ms) &&
         read_lines(field[10], out.lines) && read(field[11], out.sloppy) &&
         read(field[12], out.siblings) && out.partitions <= kSlots &&
         (!out.strong || out.partitions > 0) &&
         (!out.topic || (out.strong && out.prefix.empty())) &&
         out.partitions <= UINT16_MAX - out.first;
}

}  // namespace

// Without zeros that say nothing.
std::string ratio_text(std::uint32_t millionths) {
  return fmt::format("{}", millionths / double{kMillion});
}

std::string policy_text(const Cleanup& cleanup) {
  return !cleanup.compacts ? "delete" : cleanup.deletes ? "compact,delete" : "compact";
}

bool read_policy(std::string_view text, Cleanup& cleanup) {
  bool deletes = false;
  bool compacts = false;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    bool& policy = is_word(word, "delete") ? deletes : compacts;
    if (policy || (!is_word(word, "delete") && !is_word(word, "compact"))) return false;
    policy = true;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  cleanup.deletes = deletes;
  cleanup.compacts = compacts;
  return true;
}

std::optional<std::string> set_cleanup(Cleanup& cleanup, std::string_view option,
                                       std::string_view value) {
  constexpr std::string_view kMilliseconds = "is a number of milliseconds from 0 on";
  const auto time = number_from(value);
  if (is_word(option, "cleanup")) {
    if (read_policy(value, cleanup)) return "";
    return "is DELETE, COMPACT or COMPACT,DELETE";
  }
  if (is_word(option, "dirty")) {
    double ratio = -1;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), ratio);
    if (error != std::errc() || stop != value.data() + value.size() ||
        !(ratio >= 0 && ratio <= 1)) {
      return "is a ratio from 0 to 1";
    }
    cleanup.min_dirty_millionths = static_cast<std::uint32_t>(std::lround(ratio * kMillion));
    return "";
  }
  if (is_word(option, "maxlag") && value == "-1") {
    cleanup.max_lag_ms.reset();
    return "";
  }
  const bool tombstones = is_word(option, "tombstones");
  const bool min_lag = is_word(option, "minlag");
  if (!tombstones && !min_lag && !is_word(option, "maxlag")) return std::nullopt;
  if (!time) return std::string(kMilliseconds);
  if (tombstones) {
    cleanup.delete_retention_ms = *time;
  } else if (min_lag) {
    cleanup.min_lag_ms = *time;
  } else {
    cleanup.max_lag_ms = *time == INT64_MAX ? std::nullopt : time;
  }
  return "";
}

std::vector<std::string> cleanup_words(const Cleanup& cleanup) {
  return {"CLEANUP",    policy_text(cleanup),
          "TOMBSTONES", std::to_string(cleanup.delete_retention_ms),
          "DIRTY",      ratio_text(cleanup.min_dirty_millionths),
          "MINLAG",     std::to_string(cleanup.min_lag_ms),
          "MAXLAG",     std::to_string(cleanup.max_lag_ms.value_or(-1))};
}

std::string encode(const Keyspace& keyspace) {
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  const bool cleaned = keyspace.topic && keyspace.cleanup != Cleanup();
  const bool limited =
      cleaned || (keyspace.topic && (keyspace.retention_ms || keyspace.retention_bytes));
  const bool fed = !keyspace.topic && (keyspace.feed_epoch != 0 || !keyspace.feed.empty());
  const bool delayed = !keyspace.topic && keyspace.delay_ms > 0;
  const std::uint64_t format = cleaned          ? kCleanupFormat
                               : limited        ? kTopicFormat
                               : keyspace.topic ? kUnlimitedTopicFormat
                               : delayed        ? kDelayFormat
                               : fed            ? kFeedFormat
                                                : kFormat;
  packer.pack_array(fields_of(format));
  packer.pack(format);
  pack_binary(packer, keyspace.name);
  pack_binary(packer, keyspace.prefix);
  packer.pack(keyspace.strong);
  packer.pack(keyspace.replicas);
  packer.pack(keyspace.partitions);
  packer.pack(keyspace.first);
  pack_level(packer, keyspace.read);
  pack_level(packer, keyspace.write);
  packer.pack(keyspace.deadline_ms);
  packer.pack_array(static_cast<std::uint32_t>(keyspace.lines.size()));
  for (const auto& [node, line] : keyspace.lines) {
    packer.pack_array(2);
    packer.pack(node);
    packer.pack(line);
  }
  packer.pack(keyspace.sloppy);
  packer.pack(keyspace.siblings);
  if (limited) {
    pack_limit(packer, keyspace.retention_ms);
    pack_limit(packer, keyspace.retention_bytes);
  }
  if (cleaned) {
    packer.pack(keyspace.cleanup.deletes);
    packer.pack(keyspace.cleanup.compacts);
    packer.pack(keyspace.cleanup.delete_retention_ms);
    packer.pack(keyspace.cleanup.min_dirty_millionths);
    packer.pack(keyspace.cleanup.min_lag_ms);
    pack_limit(packer, keyspace.cleanup.max_lag_ms);
  }
  if (fed || delayed) {
    pack_binary(packer, keyspace.feed);
    packer.pack(keyspace.feed_epoch);
    packer.pack(keyspace.feed_snapshot);
  }
  if (delayed) packer.pack(keyspace.delay_ms);
  return messagepack::bytes_of(buffer);
}

Result<Keyspace> decode_keyspace(std::string_view bytes) {
  Keyspace keyspace;
  Result<> decoded = messagepack::unpack(
      bytes, 4, "a keyspace",
      [&](const msgpack::object& object) { return read_keyspace(object, keyspace); });
  if (!decoded) return std::unexpected(std::move(decoded).error());
  return keyspace;
}

KeyspaceTable::KeyspaceTable(std::uint64_t version, std::vector<Keyspace> keyspaces,
                             std::uint32_t next, std::string session_key, Definitions users,
                             Definitions libraries, DatabaseMap databases, Definitions quotas)
    : version_(version),
      next_(next),
      session_key_(std::move(session_key)),
      users_(std::move(users)),
      libraries_(std::move(libraries)),
      databases_(databases),
      quotas_(std::move(quotas)) {
  std::ranges::sort(users_);
  std::ranges::sort(libraries_);
  std::ranges::sort(quotas_);
  for (Keyspace& keyspace : keyspaces) {
    (keyspace.topic ? topics_ : keyspaces_).push_back(std::move(keyspace));
  }
  std::ranges::sort(keyspaces_, {}, &Keyspace::name);
  std::ranges::sort(topics_, {}, &Keyspace::name);
  by_prefix_.resize(keyspaces_.size());
  std::iota(by_prefix_.begin(), by_prefix_.end(), std::size_t{0});
  std::ranges::stable_sort(by_prefix_, std::ranges::greater(),
                           [this](std::size_t i) { return keyspaces_[i].prefix.size(); });
  any_strong_ = std::ranges::any_of(keyspaces_, &Keyspace::strong);
  any_siblings_ = std::ranges::any_of(keyspaces_, &Keyspace::siblings);
  any_eventual_feeds_ = std::ranges::any_of(keyspaces_, [](const Keyspace& keyspace) {
    return !keyspace.strong && !keyspace.feed.empty();
  });
  any_delayed_ = std::ranges::any_of(keyspaces_, [](const Keyspace& keyspace) {
    return !keyspace.strong && keyspace.delay_ms > 0;
  });
  const auto asks_for_more = [](Level level) {
    return level.kind != Level::Kind::kDefault && level.kind != Level::Kind::kOne;
  };
  any_levels_ = std::ranges::any_of(keyspaces_, [&](const Keyspace& keyspace) {
    return !keyspace.strong && (asks_for_more(keyspace.read) || asks_for_more(keyspace.write));
  });
}

const Keyspace* KeyspaceTable::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(keyspaces_, name, {}, &Keyspace::name);
  return found == keyspaces_.end() || found->name != name ? nullptr : &*found;
}

const Keyspace* KeyspaceTable::find_topic(std::string_view name) const {
  const auto found = std::ranges::lower_bound(topics_, name, {}, &Keyspace::name);
  const bool is_topic = found != topics_.end() && found->name == name && !is_added_range(*found);
  return is_topic ? &*found : nullptr;
}

const Keyspace* KeyspaceTable::of_key(std::string_view key) const {
  key = user_key(key);
  for (const std::size_t i : by_prefix_) {
    if (key.starts_with(keyspaces_[i].prefix)) return &keyspaces_[i];
  }
  return nullptr;
}

const Keyspace* KeyspaceTable::of_partition(PartitionId partition) const {
  for (const std::vector<Keyspace>* all : {&keyspaces_, &topics_}) {
    for (const Keyspace& keyspace : *all) {
      if (partition >= keyspace.first && partition - keyspace.first < keyspace.partitions) {
        return &keyspace;
      }
    }
  }
  return nullptr;
}

PartitionId KeyspaceTable::key_partition_of_default(std::string_view key, PartitionId partitions) {
  return key_partition(key, partitions);
}

PartitionId KeyspaceTable::partition_among(std::string_view key,
                                           PartitionId default_partitions) const {
  const Keyspace* keyspace = of_key(key);
  if (keyspace == nullptr || !keyspace->strong) return key_partition(key, default_partitions);
  return static_cast<PartitionId>(keyspace->first + key_partition(key, keyspace->partitions));
}

std::vector<NodeNumber> replicas_of(const ClusterMap& map, const Keyspace& keyspace,
                                    PartitionId partition) {
  std::vector<NodeNumber> nodes = rank_nodes(map, partition);
  if (nodes.size() > keyspace.replicas) nodes.resize(keyspace.replicas);
  return nodes;
}

bool valid_topic_name(std::string_view name) {
  constexpr std::size_t kLongest = 249;
  const auto allowed = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kLongest && name != "." && name != ".." &&
         std::ranges::all_of(name, allowed);
}

}  // namespace even::cluster
