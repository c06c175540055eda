#include "log/format.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/hash.h"

namespace even {
namespace {

constexpr char kSegmentMagic[8] = {'E', 'V', 'E', 'N', 'L', 'O', 'G', '\n'};
constexpr std::uint32_t kFrameMagic = 0x52464576;  // "vEFR" on disk

template <typename T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}
template <typename T>
T get(const char* bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i));
  }
  return value;
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  std::string out(kSegmentMagic, sizeof kSegmentMagic);
  put<std::uint32_t>(out, kLogVersion);
  put<std::uint32_t>(out, header.shard);
  put<std::uint64_t>(out, header.base);
  put<std::uint64_t>(out, 0);  // reserved
  put<std::uint64_t>(out, hash64(out));
  return out;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes || std::memcmp(bytes.data(), kSegmentMagic, sizeof kSegmentMagic) != 0) {
    return fail("this is not a log segment (its header is missing)");
  }
  const std::uint32_t version = get<std::uint32_t>(bytes.data() + 8);
  if (version != kLogVersion) {
    return fail(fmt::format("log format version {} is unknown to this program, which knows version {}: use the version of Even that wrote it, or a later one",
                            version, kLogVersion));
  }
  if (get<std::uint64_t>(bytes.data() + 32) != hash64(bytes.substr(0, 32))) {
    return fail("the segment's header is damaged (its checksum does not match)");
  }
  return SegmentHeader{static_cast<ShardId>(get<std::uint32_t>(bytes.data() + 12)),
                       get<std::uint64_t>(bytes.data() + 16)};
}

std::string segment_name(ShardId shard, LogPosition base) {
  return fmt::format("log-{:04}-{:016x}.seg", shard, base);
}

std::optional<SegmentHeader> parse_segment_name(std::string_view name) {
  SegmentHeader header;
  if (name.size() != 29 || !name.starts_with("log-") || !name.ends_with(".seg")) return std::nullopt;
  const char* at = name.data();
  if (std::from_chars(at + 4, at + 8, header.shard).ptr != at + 8 ||
      std::from_chars(at + 9, at + 25, header.base, 16).ptr != at + 25) {
    return std::nullopt;
  }
  return header;
}

void append_entry(std::string& body, std::string_view record) {
  put<std::uint32_t>(body, static_cast<std::uint32_t>(record.size()));
  body.append(record);
}

std::string encode_frame(LogPosition position, LogPosition durable, std::string_view body) {
  std::string out;
  out.reserve(kFrameHeaderBytes + body.size());
  put<std::uint32_t>(out, kFrameMagic);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(body.size()));
  put<std::uint64_t>(out, position);
  put<std::uint64_t>(out, durable);
  put<std::uint64_t>(out, hash64(body, hash64(out)));
  out.append(body);
  return out;
}

std::optional<FrameHeader> decode_frame(std::string_view bytes, LogPosition position, std::string_view& body) {
  if (bytes.size() < kFrameHeaderBytes || get<std::uint32_t>(bytes.data()) != kFrameMagic) return std::nullopt;
  FrameHeader header;
  header.body_bytes = get<std::uint32_t>(bytes.data() + 4);
  header.position = get<std::uint64_t>(bytes.data() + 8);
  header.durable = get<std::uint64_t>(bytes.data() + 16);
  if (header.position != position || header.body_bytes > bytes.size() - kFrameHeaderBytes) return std::nullopt;
  const std::string_view content = bytes.substr(kFrameHeaderBytes, header.body_bytes);
  if (get<std::uint64_t>(bytes.data() + 24) != hash64(content, hash64(bytes.substr(0, 24)))) return std::nullopt;
  body = content;
  return header;
}

bool for_each_entry(std::string_view body, const std::function<void(std::string_view)>& visit) {
  while (!body.empty()) {
    if (body.size() < 4) return false;
    const std::uint32_t size = get<std::uint32_t>(body.data());
    if (size > body.size() - 4) return false;
    visit(body.substr(4, size));
    body.remove_prefix(4 + size);
  }
  return true;
}

}  // namespace even
