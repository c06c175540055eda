// What consistency costs and gives, as one thread's clients meet it: requests by level, how long
// they took, which were refused and who could not be reached then; and what of that came in the
// last minute. See docs/consistency.md, "What it costs and gives".
//
// One per shard thread; all calls on that thread. A request at ONE that its thread executes at once
// costs nothing here: those are what a turn has executed and nothing else is noted of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "client/command_stats.h"
#include "cluster/level.h"

namespace even {

// A level as it is counted: numbers of replicas and of milliseconds are not told apart.
struct LevelOfRequest {
  cluster::Level::Kind kind = cluster::Level::Kind::kOne;
  bool strong = false;  // of a strong keyspace
  bool writes = false;

  auto operator<=>(const LevelOfRequest&) const = default;
};
inline constexpr std::size_t kKindsOfLevels =
    static_cast<std::size_t>(cluster::Level::Kind::kLinearizable) + 1;
// "one", "number", "quorum", ...: as metrics name it.
std::string_view name_of_kind(cluster::Level::Kind kind);

struct LevelCounters {
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;  // replied one of the errors that refusal_code() knows
  LatencyHistogram latency;   // of those that were not
};

// Requests that were refused for the same reason.
struct Refusals {
  std::uint64_t count = 0;
  // How many of them while this replica of the key could not be reached from here.
  std::map<NodeNumber, std::uint64_t> unreachable;
  // How many while all of them could.
  std::uint64_t linked = 0;
};
struct RefusalReason {
  std::string keyspace;  // "default" among them; "..." for those beyond what is kept apart
  LevelOfRequest level;
  std::string code;  // "UNAVAILABLE"

  auto operator<=>(const RefusalReason&) const = default;
};

// How long records of a peer took to be joined here: see PeerStatus.
struct ArrivalCounters {
  std::vector<std::uint64_t> buckets;
  std::uint64_t below_zero = 0;
};

// A plain value that may cross threads. All of it only grows.
struct ConsistencyCounters {
  using Levels = std::array<LevelCounters, 4 * kKindsOfLevels>;
  Levels levels{};
  std::map<RefusalReason, Refusals> refusals;
  std::map<NodeNumber, ArrivalCounters> arrivals;
  std::uint64_t records_joined = 0;  // of other nodes
  std::uint64_t conflicts = 0;
  std::uint64_t type_conflicts = 0;
  std::uint64_t keys_repaired = 0;
  std::uint64_t hints_kept = 0;
  std::uint64_t hints_handed_over = 0;

  static std::size_t place(const LevelOfRequest& level) {
    return static_cast<std::size_t>(level.kind) * 4 + (level.strong ? 2 : 0) +
           (level.writes ? 1 : 0);
  }
  static LevelOfRequest level_at(std::size_t place) {
    return {static_cast<cluster::Level::Kind>(place / 4), (place & 2) != 0, (place & 1) != 0};
  }
  LevelCounters& at(const LevelOfRequest& level) { return levels[place(level)]; }
  const LevelCounters& at(const LevelOfRequest& level) const { return levels[place(level)]; }

  void merge(const ConsistencyCounters& other);
  // What was in it earlier.
  void take_off(const ConsistencyCounters& earlier);
};

// The code of an error by which a level is not had, or not known to be had; empty: `reply` is none.
std::string_view refusal_code(std::string_view reply);

class LevelMeter {
 public:
  // A request that is answered in a later turn, or by somebody else.
  struct Call {
    LevelOfRequest level;
    std::string keyspace;
    PartitionId partition = 0;  // of its first key
    std::int64_t began_us = 0;
  };

  // A request about keys was executed in this turn at another level than ONE.
  void executed(const LevelOfRequest& level);
  // One of this turn is not to count as executed at once at ONE: it is noted when it is answered,
  // or not at all.
  void set_aside(bool writes) { ++set_aside_[writes ? 1 : 0]; }
  // One has been answered, so much later. Returns whether it was refused, of which the caller
  // tells with note_refusal().
  bool answered(const LevelOfRequest& level, std::int64_t took_us, std::string_view reply);
  // `unreachable`: replicas of its first key.
  void note_refusal(const Call& call, std::string_view code,
                    const std::vector<NodeNumber>& unreachable);
  // The turn is over that has executed so many commands about keys, so long after its first.
  void end_turn(std::int64_t us, std::uint64_t reads, std::uint64_t writes);

  // What clients have met; what replication knows is the caller's to fill in.
  const ConsistencyCounters& counters() const { return counters_; }

  // Every so often, for recent(), with all of it.
  static constexpr std::int64_t kSampleUs = 5'000'000;
  void sample(ConsistencyCounters now, std::int64_t now_us);
  // What was counted in the last minute, or since the start, and how long that is.
  std::pair<ConsistencyCounters, double> recent(ConsistencyCounters now, std::int64_t now_us) const;

 private:
  static constexpr std::size_t kSamples = 13;  // a minute
  static constexpr std::size_t kMostReasons = 256;
  struct Sample {
    std::int64_t at_us = 0;
    ConsistencyCounters counters;
  };

  ConsistencyCounters counters_;
  std::array<std::uint64_t, 2> set_aside_{};                    // reads, writes
  std::vector<std::pair<std::size_t, std::uint64_t>> in_turn_;  // places of levels, requests
  std::vector<Sample> samples_;                                 // a ring
  std::size_t taken_ = 0;
};

}  // namespace even
