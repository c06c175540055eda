#include "replica/hint_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "replica/hint_format.h"

namespace even {
namespace {

// A base that no record follows goes after so long.
constexpr std::int64_t kEmptyUs = 30'000'000;

// Up to where records of the maker are kept, without a gap behind this number.
std::uint64_t kept_to(const HintStore::Held& held, ReplicaId maker, std::uint64_t behind) {
  const auto found = held.kept.find(maker);
  if (found == held.kept.end()) return behind;
  for (const HintStore::Span& span : found->second) {
    if (span.first > behind && span.first - behind > 1) break;
    behind = std::max(behind, span.last);
  }
  return behind;
}

bool is_kept(const HintStore::Held& held, const Dot& dot) {
  return kept_to(held, dot.replica, dot.seq - 1) >= dot.seq;
}

void note_kept(HintStore::Held& held, const Dot& dot) {
  auto& spans = held.kept[dot.replica];
  auto at = std::ranges::lower_bound(spans, dot.seq, {}, &HintStore::Span::first);
  if (at != spans.begin() && std::prev(at)->last + 1 == dot.seq) {
    (--at)->last = dot.seq;
  } else {
    at = spans.insert(at, {dot.seq, dot.seq});
  }
  const auto next = std::next(at);
  if (next == spans.end() || next->first != at->last + 1) return;
  at->last = next->last;
  spans.erase(next);
}

}  // namespace

void HintStore::restore(RowStore& store) {
  const ShardOptions& options = core_.options;
  const auto own = [&options](PartitionId partition) {
    return shard_of_partition(partition, options.shards) == options.shard;
  };
  const auto read = read_hints(store, [&](PartitionId partition, std::uint64_t number,
                                          std::int64_t kept_ms, std::string_view record) {
    if (!own(partition)) return;
    Held& held = held_[partition];
    if (held.hints.empty()) held.first = held.row_first = number;
    if (number != held.next()) return;
    held.row_end = number + 1;
    add(held, kept_ms, record, *decode_record_head(record));
  });
  if (!read) core_.warn("hints for other nodes are lost with the store: " + read.error().message);
  if (EVEN_MUTANT(kHintLost)) held_.clear();
}

Result<> HintStore::replay(std::string_view entry) {
  const auto decoded = decode_hint_log_entry(entry);
  if (!decoded) return std::unexpected(decoded.error());
  if (EVEN_MUTANT(kHintLost)) return {};
  Held& held = held_[decoded->partition];
  held.dirty = true;
  switch (decoded->kind) {
    case HintLogEntry::Kind::kBase:  // of an earlier version
      break;
    case HintLogEntry::Kind::kRecord: {
      const auto head = decode_record_head(decoded->record);
      if (!is_kept(held, head->dot)) add(held, decoded->kept_ms, decoded->record, *head);
      break;
    }
    case HintLogEntry::Kind::kForget:
      clear(held);
      break;
  }
  return {};
}

const VersionVector& HintStore::records(PartitionId partition) const {
  static const VersionVector no_records;
  const auto found = held_.find(partition);
  return found == held_.end() ? no_records : found->second.records;
}

VersionVector HintStore::line(PartitionId partition, NodeNumber giver) const {
  const auto found = held_.find(partition);
  if (found == held_.end()) return {};
  const Held& held = found->second;
  const auto base = held.bases.find(giver);
  if (base == held.bases.end()) return {};
  VersionVector line = base->second;
  for (const auto& [maker, spans] : held.kept) {
    const std::uint64_t begin = line[maker];
    const std::uint64_t end = kept_to(held, maker, begin);
    if (end > begin) line.add({maker, end});
  }
  return line;
}

bool HintStore::keeps(PartitionId partition, const Dot& dot) const {
  const auto found = held_.find(partition);
  return found != held_.end() && is_kept(found->second, dot);
}

bool HintStore::keeps_for(NodeNumber giver, PartitionId partition,
                          const VersionVector& wanted) const {
  if (wanted.empty()) return true;
  const auto found = held_.find(partition);
  if (found == held_.end()) return false;
  const Held& held = found->second;
  const auto base = held.bases.find(giver);
  // What the wanted folds all owners have.
  return base != held.bases.end() &&
         std::ranges::all_of(wanted.entries(), [&](const VersionVector::Entry& entry) {
           return kept_to(held, entry.replica, base->second[entry.replica]) >= entry.seq;
         });
}

void HintStore::begin(PartitionId partition, NodeNumber giver, const VersionVector& base) {
  Held& held = held_[partition];
  held.begun_us = core_.clock.monotonic_us();
  held.bases[giver] = base;
}

void HintStore::forget_bases(NodeNumber giver) {
  for (auto& [partition, held] : held_) held.bases.erase(giver);
}

HintStore::Kept HintStore::keep(NodeNumber giver, std::string_view record, const RecordHead& head) {
  const auto found = held_.find(head.partition);
  if (found == held_.end()) return Kept::kEarly;
  Held& held = found->second;
  const auto base = held.bases.find(giver);
  if (base == held.bases.end()) return Kept::kEarly;
  if (base->second.covers(head.dot) || is_kept(held, head.dot)) return Kept::kSeen;
  const Dot before{head.dot.replica, head.dot.seq - 1};
  if (!base->second.covers(before) && !is_kept(held, before)) return Kept::kEarly;
  if (stats_.bytes + record.size() > core_.options.hint_max_bytes) {
    if (++stats_.refused == 1) {
      core_.warn(fmt::format(
          "hints for other nodes are refused, as there are {} bytes of them: what these lack they "
          "will get from the nodes that wrote it (hints.max_bytes)",
          stats_.bytes));
    }
    return Kept::kFull;
  }
  std::string entry;
  const std::int64_t now_ms = core_.clock.wall_ms();
  encode_hint_record(now_ms, record, entry);
  core_.log.append(entry);
  add(held, now_ms, record, head);
  held.dirty = true;
  ++stats_.kept;
  return Kept::kKept;
}

void HintStore::add(Held& held, std::int64_t kept_ms, std::string_view record,
                    const RecordHead& head) {
  note_kept(held, head.dot);
  held.records.add(head.dot);
  held.hints.push_back({head.dot, kept_ms, std::string(record)});
  ++stats_.records;
  stats_.bytes += record.size();
}

void HintStore::clear(Held& held) {
  while (!held.hints.empty()) drop_front(held);
  held.kept.clear();
  held.records.clear();
  held.bases.clear();
  held.dirty = true;
}

void HintStore::drop_front(Held& held) {
  --stats_.records;
  stats_.bytes -= held.hints.front().record.size();
  held.hints.pop_front();
  ++held.first;
  held.dirty = true;
}

void HintStore::forget(PartitionId partition) {
  const auto found = held_.find(partition);
  if (found == held_.end()) return;
  stats_.handed_over += found->second.hints.size();
  if (!found->second.hints.empty()) {
    std::string entry;
    encode_hint_forget(partition, entry);
    core_.log.append(entry);
  }
  const VersionVector everywhere = std::move(found->second.records);
  auto bases = std::move(found->second.bases);
  clear(found->second);
  for (auto& [giver, base] : bases) base.merge(everywhere);
  found->second.bases = std::move(bases);
}

void HintStore::tick() {
  if (held_.empty() || core_.log.error()) return;
  const std::int64_t now_ms = core_.clock.wall_ms();
  const std::int64_t oldest_ms = now_ms - core_.options.hint_max_age_ms;
  std::uint64_t dropped = 0;
  for (auto at = held_.begin(); at != held_.end();) {
    Held& held = at->second;
    // All of the partition: what is behind the oldest cannot be joined without it, and must not
    // count as kept. Who has written it gives it anew as far as its log goes.
    if (!held.hints.empty() && held.hints.front().kept_ms < oldest_ms) {
      dropped += held.hints.size();
      std::string entry;
      encode_hint_forget(at->first, entry);
      core_.log.append(entry);
      clear(held);
    }
    const bool gone = held.hints.empty() && !held.dirty && !held.taken &&
                      core_.clock.monotonic_us() - held.begun_us > kEmptyUs;
    at = gone ? held_.erase(at) : std::next(at);
  }
  if (dropped == 0) return;
  stats_.expired += dropped;
  core_.warn(fmt::format(
      "{} hints for other nodes were dropped, as they are older than hints.max_age_s: what these "
      "lack they will get from the nodes that wrote it",
      dropped));
}

void HintStore::take(RowBatch& rows) {
  for (auto& [partition, held] : held_) {
    if (!held.dirty) continue;
    held.dirty = false;
    held.taken = true;
    held.taken_first = held.first;
    held.taken_end = held.next();
    const bool any_rows = held.row_end > held.row_first;
    if (held.hints.empty()) {
      if (any_rows) rows.remove_range(hint_row(partition, 0), hint_rows_end(partition));
      continue;
    }
    if (any_rows && held.row_first < held.first) {
      rows.remove_range(hint_row(partition, 1), hint_row(partition, held.first));
    }
    const std::uint64_t from = any_rows ? std::max(held.row_end, held.first) : held.first;
    for (std::uint64_t number = from; number < held.next(); ++number) {
      const Hint& hint = held.hints[number - held.first];
      rows.put(hint_row(partition, number), hint_record_value(hint.kept_ms, hint.record));
    }
  }
}

void HintStore::end_pass(bool stored) {
  for (auto& [partition, held] : held_) {
    if (!std::exchange(held.taken, false)) continue;
    if (stored) {
      held.row_first = held.taken_first;
      held.row_end = held.taken_end;
    } else {
      held.dirty = true;
    }
  }
}

bool HintStore::changed() const {
  return std::ranges::any_of(held_, [](const auto& each) { return each.second.dirty; });
}

}  // namespace even
