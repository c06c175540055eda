#include "topic/segments.h"

#include <algorithm>

#include "base/byte_reader.h"
#include "base/bytes.h"

namespace even::topic {

void Segments::add(const Segment& segment) {
  all_.push_back(segment);
  if (all_.size() <= kMostSegments) return;
  std::vector<Segment> fewer;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    if (i % 2 == 0 || i + 1 == all_.size()) fewer.push_back(all_[i]);
  }
  all_ = std::move(fewer);
}

void Segments::start_at(std::int64_t start) {
  while (all_.size() > 1 && all_[1].end <= start) all_.erase(all_.begin());
}

const Segment* Segments::below(std::int64_t start) const {
  const auto above = std::ranges::upper_bound(all_, start, {}, &Segment::end);
  return above == all_.begin() ? nullptr : &*std::prev(above);
}

const Segment* Segments::at(std::uint64_t index) const {
  const auto found = std::ranges::lower_bound(all_, index, {}, &Segment::index);
  return found == all_.end() || found->index != index ? nullptr : &*found;
}

std::int64_t Segments::expired(const Retention& retention, std::int64_t start, std::uint64_t bytes,
                               std::int64_t now_ms) const {
  for (const Segment& segment : all_) {
    if (segment.end <= start) continue;
    const bool enough_behind =
        retention.bytes && bytes - segment.bytes >= static_cast<std::uint64_t>(*retention.bytes);
    const bool old = retention.ms && now_ms - segment.instant_ms >= *retention.ms;
    if (!enough_behind && !old) break;
    start = segment.end;
  }
  return start;
}

bool Segments::due(const Retention& retention, std::int64_t end, std::uint64_t bytes,
                   std::int64_t now_ms, std::uint64_t last_state) const {
  const Segment last = all_.empty() ? Segment{} : all_.back();
  if (end <= last.end) return false;
  const std::uint64_t grown = bytes - last.bytes;
  std::uint64_t enough = kUsualSegmentBytes;
  if (retention.bytes) {
    enough = std::max(static_cast<std::uint64_t>(*retention.bytes / kSegmentsOfRetention),
                      kLeastSegmentBytes);
  }
  if (grown >= std::max(enough, kSegmentOfState * last_state)) return true;
  if (!retention.ms) return false;
  // What was appended last has to be below some segment's end to go at all.
  return now_ms - last.instant_ms >=
         std::max(*retention.ms / kSegmentsOfRetention, kLeastSegmentMs);
}

std::string Segments::encode() const {
  std::string out;
  for (const Segment& segment : all_) {
    put_little_endian(out, segment.index);
    put_little_endian(out, segment.term);
    put_little_endian(out, segment.end);
    put_little_endian(out, segment.bytes);
    put_little_endian(out, segment.instant_ms);
  }
  return out;
}

std::optional<Segments> Segments::decode(std::string_view bytes) {
  ByteReader in(bytes);
  Segments read;
  while (in.ok() && !in.at_end()) {
    Segment segment;
    segment.index = in.get<std::uint64_t>();
    segment.term = in.get<std::uint64_t>();
    segment.end = in.get<std::int64_t>();
    segment.bytes = in.get<std::uint64_t>();
    segment.instant_ms = in.get<std::int64_t>();
    const bool first = read.all_.empty();
    if (!first && (segment.index <= read.all_.back().index || segment.end < read.all_.back().end)) {
      return std::nullopt;
    }
    read.all_.push_back(segment);
  }
  if (!in.ok() || read.all_.size() > kMostSegments + 1) return std::nullopt;
  return read;
}

}  // namespace even::topic
