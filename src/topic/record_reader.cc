#include "topic/record_reader.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "topic/record_batch.h"
#include "topic/record_bytes.h"

namespace even::topic {
namespace {

// Bytes of a batch before and with its length, which is that of what follows.
constexpr std::size_t kBatchLengthAt = 8;
constexpr std::size_t kBatchPrefix = 12;
constexpr std::string_view kCompressions[] = {"no compression", "gzip", "snappy", "lz4", "zstd"};
constexpr int kCompressionBits = 7;

bool read_record(RecordBytes in, const BatchHead& head, RecordView& out) {
  in.bytes(1);  // attributes, of which there are none
  out.time_ms = head.base_timestamp + in.varint();
  out.offset = head.base_offset + in.varint();
  out.key = in.optional_bytes();
  out.value = in.optional_bytes();
  out.headers.clear();
  for (std::int64_t left = in.varint(); left > 0 && in.ok(); --left) {
    const std::string_view name = in.bytes(in.varint());
    out.headers.emplace_back(name, in.optional_bytes());
  }
  return in.ok();
}

}  // namespace

Result<> for_each_record(std::string_view bytes,
                         const std::function<bool(const RecordView&)>& visit) {
  while (!bytes.empty()) {
    if (bytes.size() < kBatchHeadBytes) return fail("a batch of records is cut off");
    const auto length = get_big_endian<std::uint32_t>(bytes.data() + kBatchLengthAt);
    const std::string_view batch = bytes.substr(0, kBatchPrefix + std::size_t{length});
    const auto head = read_head(batch);
    if (!head) return fail("what is there is no batch of records");
    bytes.remove_prefix(batch.size());
    if (head->control()) continue;
    if (head->compressed()) {
      const auto kind = static_cast<std::size_t>(head->attributes & kCompressionBits);
      return fail(fmt::format(
          "records from offset {} on are compressed ({}), which is read by "
          "clients of Kafka's protocol only",
          head->base_offset, kind < std::size(kCompressions) ? kCompressions[kind] : "unknown"));
    }
    RecordBytes in(batch.substr(kBatchHeadBytes));
    RecordView record;
    for (std::int32_t i = 0; i < head->records; ++i) {
      const std::string_view encoded = in.bytes(in.varint());
      if (!in.ok() || !read_record(RecordBytes(encoded), *head, record)) {
        return fail(fmt::format("a record behind offset {} is malformed", head->base_offset));
      }
      if (!visit(record)) return {};
    }
  }
  return {};
}

}  // namespace even::topic
