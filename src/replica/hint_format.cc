#include "replica/hint_format.h"

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "lattice/codec.h"

namespace even {
namespace {

// The mark of what is no record, then a kind that groups do not have.
constexpr std::string_view kHintMark = "\xff\xff\xf0";
// No shard has such a number, so it is no position; groups' rows have one byte 0xff more.
constexpr std::string_view kHintRows = "\xff\xff\xff\x01";
constexpr std::size_t kHintRowBytes =
    kHintRows.size() + sizeof(PartitionId) + sizeof(std::uint64_t);

void begin_hint(HintLogEntry::Kind kind, std::string& out) {
  out += kHintMark;
  out.push_back(static_cast<char>(kind));
}

bool get_hint_record(ByteReader& in, std::int64_t& kept_ms, std::string_view& record) {
  kept_ms = in.get<std::int64_t>();
  record = in.bytes(in.left());
  const auto head = decode_record_head(record);
  return in.ok() && head && head->dot.seq > 0;
}

}  // namespace

bool is_hint_log_entry(std::string_view bytes) { return bytes.starts_with(kHintMark); }

void encode_hint_record(std::int64_t kept_ms, std::string_view record, std::string& out) {
  begin_hint(HintLogEntry::Kind::kRecord, out);
  out += hint_record_value(kept_ms, record);
}

void encode_hint_forget(PartitionId partition, std::string& out) {
  begin_hint(HintLogEntry::Kind::kForget, out);
  put_little_endian(out, partition);
}

Result<HintLogEntry> decode_hint_log_entry(std::string_view bytes) {
  if (!is_hint_log_entry(bytes)) return fail("not a hint");
  ByteReader in(bytes.substr(kHintMark.size()));
  HintLogEntry entry;
  entry.kind = static_cast<HintLogEntry::Kind>(in.get<std::uint8_t>());
  switch (entry.kind) {
    case HintLogEntry::Kind::kBase:
      entry.partition = in.get<PartitionId>();
      in.bytes(in.left());
      break;
    case HintLogEntry::Kind::kRecord:
      if (!get_hint_record(in, entry.kept_ms, entry.record)) {
        return fail("malformed hint: its record has no head");
      }
      entry.partition = decode_record_head(entry.record)->partition;
      break;
    case HintLogEntry::Kind::kForget:
      entry.partition = in.get<PartitionId>();
      break;
    default:
      return fail("a hint of an unknown kind");
  }
  if (!in.ok() || !in.at_end()) return fail("malformed hint: its length is wrong");
  return entry;
}

std::string hint_row(PartitionId partition, std::uint64_t number) {
  std::string row(kHintRows);
  put_big_endian(row, partition);
  put_big_endian(row, number);
  return row;
}

std::string hint_rows_end(PartitionId partition) { return hint_row(partition, UINT64_MAX); }

std::string hint_record_value(std::int64_t kept_ms, std::string_view record) {
  std::string value;
  put_little_endian(value, kept_ms);
  value += record;
  return value;
}

Result<> read_hints(RowStore& store, const HintRowVisit& visit) {
  Result<> outcome;
  const std::string end = "\xff\xff\xff\x02";  // checkpoints of topics begin there
  const auto read = [&](std::string_view row, std::string_view value) {
    if (row.size() != kHintRowBytes) return false;
    const auto partition = get_big_endian<PartitionId>(row.data() + kHintRows.size());
    const auto number =
        get_big_endian<std::uint64_t>(row.data() + kHintRows.size() + sizeof(PartitionId));
    if (number == 0) return true;  // of an earlier version, which wrote a vector there
    ByteReader in(value);
    std::int64_t kept_ms = 0;
    std::string_view record;
    if (!get_hint_record(in, kept_ms, record)) return false;
    visit(partition, number, kept_ms, record);
    return true;
  };
  const auto scanned =
      store.scan(kHintRows, end, [&](std::string_view row, std::string_view value) {
        if (read(row, value)) return true;
        outcome = fail("the store holds a malformed hint");
        return false;
      });
  return scanned ? outcome : scanned;
}

}  // namespace even
