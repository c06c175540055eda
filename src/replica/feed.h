// Changes of keys as events of a topic, in the envelope of Debezium: see docs/feeds.md. How the
// events get into an outbox, and when all keys of a keyspace are told, is in feeds.h.
//
// Pure logic: compares what a record is about before and after it is joined.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/keyspace.h"
#include "lattice/delta.h"

namespace even {

// Where changes of a key are told.
struct FeedTarget {
  std::string_view topic;
  std::string_view keyspace;
};
// None: they are not.
using FeedOf = std::function<std::optional<FeedTarget>(std::string_view key)>;

// What an event says of its change, beside what it is.
struct FeedSource {
  std::string_view cluster;
  PartitionId partition = 0;
  Dot dot;
  Hlc time;
  std::string_view cause;  // a command's name, in lower case; "expired", "evicted", "snapshot"
  std::int64_t now_ms = 0;
  bool of_group = false;  // the dot counts what a strong partition has written
};

// What is longer, or has more elements, is left out of an event, which says so.
inline constexpr std::size_t kMostFeedValueBytes = 64 << 10;
inline constexpr std::size_t kMostFeedElements = 1024;
// Of a longer key an event has so much; its changes stay in order.
inline constexpr std::size_t kMostFeedKeyBytes = 32 << 10;

class FeedChanges {
 public:
  // Before the join. What the record is about must be in memory (PartitionState::prepare).
  FeedChanges(const PartitionState& state, const Record& record, std::int64_t now_ms,
              const FeedOf& feed_of);
  bool empty() const { return changes_.empty(); }
  // After it: encoded events (topic::Event), one for each key that a reader sees now, or has seen
  // before. `keyspace` has the partition. May throw Unreadable.
  std::vector<std::string> events(Keyspace& keyspace, const FeedSource& source) const;

 private:
  struct Change {
    std::string key;
    std::string topic;
    std::string keyspace;
    bool was = false;  // a reader saw it
  };
  absl::InlinedVector<Change, 2> changes_;
};

// The time for FeedChanges of keys that are purged, which readers have not seen for a while.
inline constexpr std::int64_t kBeforeAnyExpiry = INT64_MIN;

// Some keys that are there, as they are now: those from the hash `first` on, in order of hashes.
struct FeedLimits {
  std::size_t keys = 0;
  std::size_t looks = 0;  // keys of others included
  std::size_t bytes = 0;  // the last event may go beyond
};
struct FeedStep {
  std::vector<std::string> events;
  std::optional<std::uint64_t> next;  // where to go on; none: these were the last
};
// Reads only. May throw Unreadable.
FeedStep snapshot_step(Keyspace& keyspace, std::uint64_t first, const FeedLimits& limits,
                       const FeedOf& feed_of, const FeedSource& source);

}  // namespace even
