#include "replica/held_records.h"

#include <algorithm>

namespace even {

std::optional<std::int64_t> LazyRecords::delay_ms(PartitionId partition, std::uint64_t seq) const {
  const auto found = of_.find(partition);
  if (found == of_.end()) return std::nullopt;
  const auto& records = found->second.records;
  const auto record =
      std::ranges::lower_bound(records, seq, {}, &std::pair<std::uint64_t, std::int64_t>::first);
  if (record == records.end() || record->first != seq) return std::nullopt;
  return record->second;
}

void HeldRecords::add(PartitionId partition, std::uint64_t seq, std::string_view record,
                      std::int64_t now_us, std::int64_t delay_ms) {
  Held& held = of_[partition];
  if (held.count == 0) held.first = seq;
  const std::size_t before = held.records.size();
  append_record(held.records, record);
  bytes_ += held.records.size() - before;
  ++held.count;
  const std::int64_t due_us = now_us + delay_ms * 1'000;
  if (due_us >= held.due_us) return;
  held.due_us = due_us;
  held.slack_us = delay_ms * 1'000 / 10;
}

std::int64_t HeldRecords::due_us() const {
  std::int64_t due_us = kNever;
  for (const auto& [partition, held] : of_) due_us = std::min(due_us, held.due_us);
  return due_us;
}

void HeldRecords::add_due(std::int64_t now_us, absl::btree_set<PartitionId>& out) const {
  for (const auto& [partition, held] : of_) {
    if (held.due_us - held.slack_us <= now_us) out.insert(partition);
  }
}

void HeldRecords::add_all(absl::btree_set<PartitionId>& out) const {
  for (const auto& [partition, held] : of_) out.insert(partition);
}

std::size_t HeldRecords::move_to(RecordsBuilder& batch, PartitionId partition) {
  const auto found = of_.find(partition);
  if (found == of_.end()) return 0;
  const std::size_t bytes = found->second.records.size();
  batch.add_all(found->second.records, found->second.count);
  drop(partition);
  return bytes;
}

void HeldRecords::drop(PartitionId partition) {
  const auto found = of_.find(partition);
  if (found == of_.end()) return;
  bytes_ -= found->second.records.size();
  of_.erase(found);
}

void HeldRecords::clear() {
  of_.clear();
  bytes_ = 0;
}

}  // namespace even
