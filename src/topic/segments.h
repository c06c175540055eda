// Where the log of a topic's partition can be cut: entries as of which the group's state is kept,
// oldest first. Part of that state, so that all members have the same. See docs/topics.md,
// "Retention".
//
// A value, on any thread. Decoding is safe for any input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace even::topic {

struct Segment {
  std::uint64_t index = 0;      // of the entry that ends it
  std::uint64_t term = 0;       // of that entry
  std::int64_t end = 0;         // offset that the next record got
  std::uint64_t bytes = 0;      // of all batches that the partition has ever taken, up to here
  std::int64_t instant_ms = 0;  // of the entry: what is below was appended before, or then

  bool operator==(const Segment&) const = default;
};

// How much of a partition is to stay; none: all.
struct Retention {
  std::optional<std::int64_t> ms;
  std::optional<std::int64_t> bytes;

  bool operator==(const Retention&) const = default;
};

class Segments {
 public:
  const std::vector<Segment>& all() const { return all_; }

  // Indices and ends ascend. Of more than kMostSegments every other one goes, but for the first and
  // the last.
  void add(const Segment& segment);
  // The start is there now: those that nobody can begin behind any more go.
  void start_at(std::int64_t start);
  // The last one whose end is not beyond the start. Null: the log begins at its beginning.
  const Segment* below(std::int64_t start) const;
  // That with this index; null: there is none.
  const Segment* at(std::uint64_t index) const;

  // Where the start may move to by now, which is `start` if it may not. `bytes`: of all batches
  // ever taken.
  std::int64_t expired(const Retention& retention, std::int64_t start, std::uint64_t bytes,
                       std::int64_t now_ms) const;
  // Whether a partition with this end should get another one. `last_state`: bytes of the state that
  // is kept as of the last one.
  bool due(const Retention& retention, std::int64_t end, std::uint64_t bytes, std::int64_t now_ms,
           std::uint64_t last_state) const;

  std::string encode() const;
  static std::optional<Segments> decode(std::string_view bytes);
  bool operator==(const Segments&) const = default;

 private:
  std::vector<Segment> all_;
};

inline constexpr std::size_t kMostSegments = 64;
// A segment of a partition that is kept by size, or by age, is one of so many.
inline constexpr std::int64_t kSegmentsOfRetention = 16;
inline constexpr std::uint64_t kLeastSegmentBytes = 4 << 10;
inline constexpr std::int64_t kLeastSegmentMs = 100;
// Where nothing says how much is to stay.
inline constexpr std::uint64_t kUsualSegmentBytes = 64 << 20;
// A segment has so many times what the state as of its end has.
inline constexpr std::uint64_t kSegmentOfState = 8;

}  // namespace even::topic
