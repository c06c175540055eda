#include "log/format.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace even {
namespace {

constexpr char kSegmentMagic[8] = {'E', 'V', 'E', 'N', 'L', 'O', 'G', '\n'};
constexpr std::uint32_t kFrameMagic = 0x52464576;  // "vEFR" on disk

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  std::string out(kSegmentMagic, sizeof kSegmentMagic);
  put_little_endian<std::uint32_t>(out, kLogVersion);
  put_little_endian<std::uint32_t>(out, header.shard);
  put_little_endian<std::uint64_t>(out, header.base);
  put_little_endian<std::uint64_t>(out, 0);  // reserved
  put_little_endian<std::uint64_t>(out, hash64(out));
  return out;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes ||
      std::memcmp(bytes.data(), kSegmentMagic, sizeof kSegmentMagic) != 0) {
    return fail("this is not a log segment (its header is missing)");
  }
  const std::uint32_t version = get_little_endian<std::uint32_t>(bytes.data() + 8);
  if (version != kLogVersion) {
    return fail(
        fmt::format("log format version {} is unknown to this program, which knows version {}: use "
                    "the version of Even that wrote it, or a later one",
                    version, kLogVersion));
  }
  if (get_little_endian<std::uint64_t>(bytes.data() + 32) != hash64(bytes.substr(0, 32))) {
    return fail("the segment's header is damaged (its checksum does not match)");
  }
  return SegmentHeader{static_cast<ShardId>(get_little_endian<std::uint32_t>(bytes.data() + 12)),
                       get_little_endian<std::uint64_t>(bytes.data() + 16)};
}

std::string segment_name(ShardId shard, LogPosition base) {
  return fmt::format("log-{:04}-{:016x}.seg", shard, base);
}

std::optional<SegmentHeader> parse_segment_name(std::string_view name) {
  SegmentHeader header;
  if (name.size() != 29 || !name.starts_with("log-") || !name.ends_with(".seg"))
    return std::nullopt;
  const char* at = name.data();
  if (std::from_chars(at + 4, at + 8, header.shard).ptr != at + 8 ||
      std::from_chars(at + 9, at + 25, header.base, 16).ptr != at + 25) {
    return std::nullopt;
  }
  return header;
}

std::size_t begin_entry(std::string& frame) {
  frame.append(sizeof(std::uint32_t), '\0');
  return frame.size();
}

std::string_view end_entry(std::string& frame, std::size_t begin) {
  const auto size = static_cast<std::uint32_t>(frame.size() - begin);
  std::memcpy(frame.data() + begin - sizeof size, &size, sizeof size);
  return std::string_view(frame).substr(begin);
}

void seal_frame(std::string& frame, LogPosition position, LogPosition durable) {
  const std::string_view body = std::string_view(frame).substr(kFrameHeaderBytes);
  EVEN_CHECK(body.size() <= UINT32_MAX, "a frame longer than its length can say");
  std::string header;
  put_little_endian<std::uint32_t>(header, kFrameMagic);
  put_little_endian<std::uint32_t>(header, static_cast<std::uint32_t>(body.size()));
  put_little_endian<std::uint64_t>(header, position);
  put_little_endian<std::uint64_t>(header, durable);
  put_little_endian<std::uint64_t>(header, hash64(body, hash64(header)));
  std::memcpy(frame.data(), header.data(), kFrameHeaderBytes);
}

std::optional<FrameHeader> decode_frame(std::string_view bytes, LogPosition position,
                                        std::string_view& body) {
  if (bytes.size() < kFrameHeaderBytes ||
      get_little_endian<std::uint32_t>(bytes.data()) != kFrameMagic)
    return std::nullopt;
  FrameHeader header;
  header.body_bytes = get_little_endian<std::uint32_t>(bytes.data() + 4);
  header.position = get_little_endian<std::uint64_t>(bytes.data() + 8);
  header.durable = get_little_endian<std::uint64_t>(bytes.data() + 16);
  if (header.position != position || header.durable > position ||
      header.body_bytes > bytes.size() - kFrameHeaderBytes)
    return std::nullopt;
  const std::string_view content = bytes.substr(kFrameHeaderBytes, header.body_bytes);
  if (get_little_endian<std::uint64_t>(bytes.data() + 24) !=
      hash64(content, hash64(bytes.substr(0, 24))))
    return std::nullopt;
  body = content;
  return header;
}

std::optional<std::uint64_t> frame_bytes(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderBytes ||
      get_little_endian<std::uint32_t>(bytes.data()) != kFrameMagic)
    return std::nullopt;
  return kFrameHeaderBytes + get_little_endian<std::uint32_t>(bytes.data() + 4);
}

bool for_each_entry(std::string_view body, const std::function<void(std::string_view)>& visit) {
  while (!body.empty()) {
    if (body.size() < 4) return false;
    const std::uint32_t size = get_little_endian<std::uint32_t>(body.data());
    if (size > body.size() - 4) return false;
    visit(body.substr(4, size));
    body.remove_prefix(4 + size);
  }
  return true;
}

}  // namespace even
