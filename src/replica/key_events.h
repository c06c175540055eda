// Keyspace events: what has happened to keys, under the names that Redis gives to it
// (https://redis.io/docs/latest/develop/use/keyspace-notifications/). Of a client's command they
// are Redis's. A change that comes from another replica does not say which command made it; it is
// named after what it does. docs/pubsub.md has both.
//
// Pure logic: compares what a delta is about before and after it is joined.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lattice/partition_state.h"

namespace even {

// Which events are wanted, and as what: the letters of notify-keyspace-events.
enum KeyEventFlag : std::uint32_t {
  kEventsByKey = 1u << 0,      // K: on __keyspace@<db>__:<key>
  kEventsByName = 1u << 1,     // E: on __keyevent@<db>__:<event>
  kGenericEvents = 1u << 2,    // g
  kStringEvents = 1u << 3,     // $
  kListEvents = 1u << 4,       // l
  kSetEvents = 1u << 5,        // s
  kHashEvents = 1u << 6,       // h
  kSortedSetEvents = 1u << 7,  // z
  kExpiredEvents = 1u << 8,    // x
  kEvictedEvents = 1u << 9,    // e
  kStreamEvents = 1u << 10,    // t
  kModuleEvents = 1u << 11,    // d
  kMissEvents = 1u << 12,      // m
  kNewKeyEvents = 1u << 13,    // n
};
// Nothing: some letter is none of them.
std::optional<std::uint32_t> parse_key_events(std::string_view letters);
std::string key_events_text(std::uint32_t flags);
// In both directions, and in Redis's order, as its error lists them.
inline constexpr std::string_view kKeyEventLetters = "Ag$lshzxeKEtmdn";

struct KeyEvent {
  KeyEventFlag kind;  // one of the kinds
  std::string_view name;
  std::string_view key;
};
using KeyEventSink = std::function<void(const KeyEvent&)>;

// The events of what is joined to one partition: made before the join, asked after it. What the
// delta is about must be in memory (PartitionState::prepare).
class KeyEvents {
 public:
  // What has taken keys away, if no command and no replica has.
  enum class Cause : std::uint8_t { kChange, kExpiry, kEviction };

  KeyEvents(const PartitionState& state, const Record& record, std::int64_t now_ms);
  // `command`: its name, in lower case, or nothing.
  void report(std::string_view command, Cause cause, const KeyEventSink& sink) const;
  // Whether keys may have gone that no event tells of: by FLUSHALL or FLUSHDB.
  bool are_silent(std::string_view command) const { return flushes_ || command == "flushdb"; }

 private:
  struct Change {
    std::string key;
    std::uint64_t hash;
    bool was = false;      // a reader saw it
    bool expired = false;  // none did any more
    bool full = false;     // what was there goes
    std::uint32_t done = 0;
  };
  bool visible(const Change& change) const;

  const PartitionState& state_;
  const std::int64_t now_ms_;
  bool flushes_ = false;
  std::vector<Change> changes_;
};

}  // namespace even
