#include "store/topic_rows.h"

#include "base/bytes.h"

namespace even {
namespace {

// Behind the rows of groups, as no partition has the number 0xffff.
constexpr std::string_view kTopics = "\xff\xff\xff\xff\xff\xff";
// Behind those of hints.
constexpr std::string_view kCheckpoints = "\xff\xff\xff\x02";
enum Kind : char { kOffsets = 0, kEntries = 1 };
constexpr std::size_t kGroupBytes = kTopics.size() + 1 + sizeof(PartitionId);

std::string begin(Kind kind, std::uint32_t partition) {
  std::string row(kTopics);
  row.push_back(kind);
  put_big_endian(row, static_cast<PartitionId>(partition));
  return row;
}

std::string begin_checkpoints(std::uint32_t partition) {
  std::string row(kCheckpoints);
  put_big_endian(row, static_cast<PartitionId>(partition));
  return row;
}

std::string row_of(Kind kind, PartitionId partition, std::uint64_t number) {
  std::string row = begin(kind, partition);
  put_big_endian(row, number);
  return row;
}

}  // namespace

std::string topic_offset_row(PartitionId partition, std::uint64_t last_offset) {
  return row_of(kOffsets, partition, last_offset);
}
std::string topic_offset_end(PartitionId partition) {
  return begin(kOffsets, std::uint32_t{partition} + 1);
}
std::string topic_entry_row(PartitionId partition, std::uint64_t index) {
  return row_of(kEntries, partition, index);
}

std::string checkpoint_row(PartitionId partition, std::uint64_t index) {
  std::string row = begin_checkpoints(partition);
  put_big_endian(row, index);
  return row;
}

// No entry has the index 0.
std::string clean_point_row(PartitionId partition) { return checkpoint_row(partition, 0); }

std::uint64_t topic_row_number(std::string_view row) {
  if (row.size() != kGroupBytes + sizeof(std::uint64_t)) return 0;
  return get_big_endian<std::uint64_t>(row.data() + kGroupBytes);
}

std::string_view topic_row_group(std::string_view row) {
  return row.starts_with(kTopics) ? row.substr(0, kGroupBytes) : std::string_view();
}

void forget_topic(PartitionId partition, RowBatch& out) {
  out.forget(begin_checkpoints(partition), begin_checkpoints(std::uint32_t{partition} + 1));
  out.forget(begin(kOffsets, partition), topic_offset_end(partition));
  out.forget(begin(kEntries, partition), begin(kEntries, std::uint32_t{partition} + 1));
}

void forget_below(PartitionId partition, std::uint64_t index, std::int64_t offset, RowBatch& out) {
  out.forget(begin(kOffsets, partition),
             topic_offset_row(partition, static_cast<std::uint64_t>(offset)));
  out.forget(begin(kEntries, partition), topic_entry_row(partition, index + 1));
}

void remove_topic(PartitionId partition, RowBatch& out) {
  out.remove_range(begin_checkpoints(partition), begin_checkpoints(std::uint32_t{partition} + 1));
  out.remove_range(begin(kOffsets, partition), topic_offset_end(partition));
}

}  // namespace even
