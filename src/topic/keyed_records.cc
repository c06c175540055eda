#include "topic/keyed_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "topic/compression.h"
#include "topic/crc32c.h"
#include "topic/record_bytes.h"

namespace even::topic {
namespace {

// A batch has at most 1 MiB; what becomes more of it than so much is no batch of ours.
// A batch of a compacted topic with more than that is refused: a few bytes may stand for very many.
constexpr std::size_t kMostDecompressed = 16 << 20;
constexpr std::int32_t kMostRecords = 1 << 18;
// Places in a batch: what its length counts, its checksum, what that is of, how many records.
constexpr std::size_t kLengthPlace = 8;
constexpr std::size_t kBehindLength = 12;
constexpr std::size_t kChecksumPlace = 17;
constexpr std::size_t kCheckedFrom = 21;
constexpr std::size_t kAttributesLow = 22;
constexpr std::size_t kCountPlace = 57;

template <typename T>
void put_at(std::string& out, std::size_t at, T value) {
  value = std::byteswap(value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

// The batch's head, these records, as they are to be stored, and what follows from that.
std::string assemble(std::string_view batch, std::int32_t count, std::string_view records) {
  std::string out(batch.substr(0, kBatchHeadBytes));
  out += records;
  put_at(out, kLengthPlace, static_cast<std::uint32_t>(out.size() - kBehindLength));
  put_at(out, kCountPlace, count);
  put_at(out, kChecksumPlace, crc32c(std::string_view(out).substr(kCheckedFrom)));
  return out;
}

}  // namespace

Result<KeyedRecords> KeyedRecords::read(std::string_view batch) {
  const auto head = read_head(batch);
  if (!head || head->control()) return fail("what is there is no batch of records");
  if (head->records > kMostRecords) {
    return fail(fmt::format("{} records in a batch: at most {} can be told apart by key",
                            head->records, kMostRecords));
  }
  KeyedRecords out;
  out.batch_ = batch;
  out.head_ = *head;
  std::string_view records = batch.substr(kBatchHeadBytes);
  if (head->compressed() && head->records > 0) {
    auto whole = decompress(static_cast<Compression>(head->attributes & kCompressionMask), records,
                            kMostDecompressed);
    if (!whole) return std::unexpected(whole.error());
    out.decompressed_.assign(whole->begin(), whole->end());
    records = {out.decompressed_.data(), out.decompressed_.size()};
  }
  RecordBytes in(records);
  for (std::int32_t i = 0; i < head->records; ++i) {
    const char* begin = in.rest().data();
    RecordBytes record(in.bytes(in.varint()));
    record.bytes(1);  // attributes, of which there are none
    record.varint();  // time
    const std::int64_t delta = record.varint();
    Record each;
    each.key = record.optional_bytes();
    const auto value = record.optional_bytes();
    if (!in.ok() || !record.ok() || delta < 0 || delta > head->last_offset_delta) {
      return fail(fmt::format("record {} of a batch is malformed", i));
    }
    each.bytes = {begin, static_cast<std::size_t>(in.rest().data() - begin)};
    each.delta = static_cast<std::int32_t>(delta);
    each.deletes = each.key && !value;
    out.records_.push_back(each);
  }
  if (!in.rest().empty()) return fail("a batch has more than its records");
  return out;
}

Result<std::string> KeyedRecords::with(const std::vector<Record>& kept) const {
  if (kept.empty()) return without_records(batch_);
  std::string records;
  for (const Record& record : kept) records += record.bytes;
  if (head_.compressed()) {
    auto packed = compress(static_cast<Compression>(head_.attributes & kCompressionMask), records);
    if (!packed) return packed;
    records = std::move(*packed);
  }
  return assemble(batch_, static_cast<std::int32_t>(kept.size()), records);
}

// Nothing is compressed, as in a batch that Kafka empties.
std::string without_records(std::string_view batch) {
  std::string head(batch.substr(0, kBatchHeadBytes));
  head[kAttributesLow] = static_cast<char>(head[kAttributesLow] & ~kCompressionMask);
  return assemble(head, 0, {});
}

bool all_have_keys(std::string_view batch) {
  const auto records = KeyedRecords::read(batch);
  return records && std::ranges::all_of(records->all(), [](const KeyedRecords::Record& record) {
           return record.key.has_value();
         });
}

}  // namespace even::topic
