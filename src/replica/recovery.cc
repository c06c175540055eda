#include "replica/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/mutant.h"
#include "replica/group_format.h"
#include "replica/hint_format.h"

namespace even {
namespace {

constexpr std::size_t kChunkBytes = 32 << 10;

// A partition that lacks what a record changes must not be shown without that change.
template <typename Work>
void closing_unreadable(Partition& partition, Work work) {
  try {
    work();
  } catch (const Unreadable& error) {
    partition.close(error.what());
  }
}

}  // namespace

Recovery::Recovery(ShardCore& core) : core_(core), in_log_(core.options.partition_count) {
  core_.replay_now = [this](Partition& partition) { replay(partition); };
  core_.replay_nothing = [this](Partition& partition) { forget_records(in_log(partition)); };
}

Result<> Recovery::scan(const std::optional<LogPosition>& from,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  bool first = true;
  const auto scanned = core_.log.recover(
      [&](LogPosition frame, std::string_view record) -> Result<> {
        if (std::exchange(first, false) && from && frame > *from) {
          return fail(fmt::format(
              "the log begins at position {} but is needed from {} on. `even log repair DIR` "
              "says what can be done",
              frame, *from));
        }
        return note(from.value_or(0), frame, record);
      },
      progress, from.value_or(0));
  if (!scanned) return scanned;
  if (from && core_.log.end() < *from) {
    return fail(
        fmt::format("the log ends at position {}, before what the store holds ({}): files "
                    "of the log are missing. `even log repair DIR` makes it go on from there",
                    core_.log.end(), *from));
  }
  total_ = bytes_;
  for (Partition* partition : core_.all_partitions()) {
    if (in_log(*partition).records.empty()) {
      end(*partition);
    } else {
      partition->replayed = false;
      left_.push_back(partition);
    }
  }
  return {};
}

Result<> Recovery::note(LogPosition from, LogPosition frame, std::string_view record) {
  if (is_hint_log_entry(record)) return frame < from ? Result<>() : on_hint_(record);
  if (is_group_log_entry(record)) return frame < from ? Result<>() : on_group_entry_(record);
  const auto head = decode_record_head(record);
  if (!head) return fail("a record has no head");
  Partition* partition = core_.find(head->partition);
  if (partition == nullptr) return {};  // moved to other nodes since
  // What was stored since has it, or has been put in its place.
  if (core_.is_strong(partition->id) && frame < from) return {};
  InLog& in_log = this->in_log(*partition);
  if (head->dot.seq == 0) {
    in_log.first.clear();
    in_log.last.clear();
    in_log.folded.clear();
  } else {
    if (in_log.first[head->dot.replica] == 0) in_log.first.add(head->dot);
    in_log.last.add(head->dot);
    if (head->folds) {
      auto folding = decoder_.decode(record);
      if (!folding) return std::unexpected(folding.error());
      in_log.folded[head->dot.replica] = std::move(folding->context);
    }
    core_.index.note(core_.log.end(), frame, partition->id, head->dot);
    if (partition->state.vector().covers(head->dot)) return {};
  }
  if (partition->rows->closed()) return {};
  keep(in_log, record);
  if (bytes_ < core_.options.replay_bytes) return {};
  for (Partition* each : core_.all_partitions()) {
    replay_records(*each, this->in_log(*each).records);
    forget_records(this->in_log(*each));
  }
  return {};
}

void Recovery::keep(InLog& in_log, std::string_view record) {
  auto& chunks = in_log.chunks;
  if (chunks.empty() || chunks.back().capacity() - chunks.back().size() < record.size())
    chunks.emplace_back().reserve(std::max(kChunkBytes, record.size()));
  chunks.back() += record;
  in_log.records.push_back(
      std::string_view(chunks.back()).substr(chunks.back().size() - record.size()));
  bytes_ += record.size();
}

void Recovery::forget_records(InLog& in_log) {
  for (const std::string_view record : in_log.records) bytes_ -= record.size();
  in_log.chunks = {};
  in_log.records = {};
}

void Recovery::step() {
  const std::int64_t started_us = core_.clock.monotonic_us();
  do {
    if (!done()) replay_batch(next());
    // Not at once where a command has something replayed: what waits for it may be a command.
    answer();
  } while (!done() && core_.clock.monotonic_us() - started_us < core_.options.replay_slice_us);
}

// Of those who wait, whoever needs least comes first.
Partition& Recovery::next() const {
  std::size_t fewest = SIZE_MAX;
  Partition* next = left_.front();
  for (const Waiting& each : waiting_) {
    if (each.partitions.size() >= fewest) continue;
    const auto found = std::ranges::find_if(
        each.partitions, [this](PartitionId id) { return !core_.at(id).replayed; });
    if (found == each.partitions.end()) continue;
    fewest = each.partitions.size();
    next = &core_.at(*found);
  }
  return *next;
}

void Recovery::finish() {
  while (!done()) replay(*left_.front());
}

bool Recovery::await(std::span<const PartitionId> partitions, std::function<void()> done) {
  Waiting waiting{{}, std::move(done)};
  for (const PartitionId id : partitions) {
    const Partition* partition = core_.find(id);
    if (partition != nullptr && !partition->replayed) waiting.partitions.push_back(id);
  }
  if (waiting.partitions.empty()) return false;
  waiting_.push_back(std::move(waiting));
  return true;
}

void Recovery::replay(Partition& partition) {
  while (!partition.replayed) replay_batch(partition);
}

// What the batch changes is read from the store at once, in the order in which that has it.
void Recovery::replay_batch(Partition& partition) {
  InLog& in_log = this->in_log(partition);
  const std::size_t first = in_log.next;
  std::uint64_t bytes = 0;
  while (in_log.next < in_log.records.size() && bytes < core_.options.replay_batch_bytes)
    bytes += in_log.records[in_log.next++].size();
  replay_records(partition, std::span(in_log.records).subspan(first, in_log.next - first));
  if (in_log.next < in_log.records.size() && !EVEN_MUTANT(kReplayedAfterFirstBatch)) return;
  forget_records(in_log);
  std::erase(left_, &partition);
  end(partition);
}

void Recovery::replay_records(Partition& partition, std::span<const std::string_view> records) {
  closing_unreadable(partition, [&] {
    const PartitionState& state = partition.state;
    std::vector<std::uint64_t> keys;
    std::vector<Changes::Element> elements;
    for (const std::string_view bytes : records) {
      if (!state.any_cold()) break;
      const auto record = decoder_.decode(bytes);
      if (!record || record->origin.value == 0) continue;
      for (const KeyDelta& key : record->delta.keys) {
        const std::uint64_t hash = hash64(key.key);
        if (state.is_cold(hash)) keys.push_back(hash);
        for (const LeafDelta& leaf : key.leaves) {
          if (!is_element(leaf.kind)) continue;
          elements.push_back({hash, leaf.kind, leaf.field_hash()});
        }
      }
    }
    state.warm(std::move(keys));
    state.warm_elements(std::move(elements));
  });
  for (const std::string_view record : records) {
    closing_unreadable(partition, [&] {
      const auto replayed = core_.replay(record);
      if (!replayed) partition.close(replayed.error().message);
    });
  }
}

void Recovery::end(Partition& partition) {
  const InLog& log = in_log(partition);
  for (const VersionVector::Entry& seen : partition.state.vector().entries()) {
    if (EVEN_MUTANT(kFloorNotRecovered)) continue;
    const std::uint64_t first = log.first[seen.replica];
    const bool whole = first != 0 && log.last[seen.replica] == seen.seq;
    const auto folded = log.folded.find(seen.replica);
    if (!whole || (seen.folds && folded == log.folded.end())) {
      partition.floor.add(seen);
      if (seen.folds) partition.floor.fold(seen.replica);
      continue;
    }
    if (seen.folds) {
      // Who has all that was folded, and needs no more than to be told, can be told by the log.
      for (const VersionVector::Entry& end : folded->second.entries()) {
        if (!end.replica.precedes(seen.replica)) continue;
        partition.floor.add(end);
        if (end.folds) partition.floor.fold(end.replica);
      }
    }
    partition.floor.add({seen.replica, first - 1});
  }
  partition.replayed = true;
}

void Recovery::answer() {
  if (waiting_.empty()) return;
  std::vector<std::function<void()>> ready;
  std::erase_if(waiting_, [&](Waiting& each) {
    std::erase_if(each.partitions, [this](PartitionId id) { return core_.at(id).replayed; });
    if (each.partitions.empty()) ready.push_back(std::move(each.done));
    return each.partitions.empty();
  });
  for (const auto& done : ready) done();
}

}  // namespace even
