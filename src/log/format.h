// Frames and segments, the units of the log on disk. docs/formats/log.md describes them in prose,
// with a worked example.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "log/log.h"

namespace even {

inline constexpr std::uint32_t kLogVersion = 7;
inline constexpr std::size_t kSegmentHeaderBytes = 40;
inline constexpr std::size_t kFrameHeaderBytes = 32;
inline constexpr std::size_t kMaxFrameBody = std::size_t{3} << 30;

struct SegmentHeader {
  ShardId shard = 0;
  LogPosition base = 0;
};
std::string encode_segment_header(const SegmentHeader& header);
// Errors say what is wrong: no log, a newer version, damage.
Result<SegmentHeader> decode_segment_header(std::string_view bytes);
std::string segment_name(ShardId shard, LogPosition base);
// Nothing when the name is not a segment's.
std::optional<SegmentHeader> parse_segment_name(std::string_view name);

struct FrameHeader {
  std::uint32_t body_bytes = 0;
  LogPosition position = 0;  // of this frame's first byte
  LogPosition durable = 0;   // everything before this was durable when the frame was written
};
// A frame is made in place: room for its header (kFrameHeaderBytes), then for each record
// begin_entry(), the record's bytes appended, and end_entry() with what begin_entry() returned,
// which returns the record; in the end seal_frame() fills the header in.
std::size_t begin_entry(std::string& frame);
std::string_view end_entry(std::string& frame, std::size_t begin);
void seal_frame(std::string& frame, LogPosition position, LogPosition durable);
// Reads the frame at the start of `bytes`, which must be at `position`. On success `body` views
// `bytes`. Nothing when there is no intact frame.
std::optional<FrameHeader> decode_frame(std::string_view bytes, LogPosition position,
                                        std::string_view& body);
// How long the frame is, header included, whose first bytes these are; not checked. Nothing when
// they are no header.
std::optional<std::uint64_t> frame_bytes(std::string_view bytes);
// Calls visit(record) for each entry; false when the body is malformed.
bool for_each_entry(std::string_view body, const std::function<void(std::string_view)>& visit);

}  // namespace even
