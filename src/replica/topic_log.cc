#include "replica/topic_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/mutant.h"
#include "store/topic_rows.h"
#include "topic/record_batch.h"

namespace even {
namespace {

using consensus::Entry;
using consensus::EntryKind;
using consensus::Index;
using consensus::Term;

constexpr std::size_t kSliceBytes = 1 << 20;  // that a pass takes at a time
constexpr Term kFirstTerm = 1;                // of where a group begins
// In a row, before an entry's data.
constexpr std::size_t kEntryHead = sizeof(Term) + 1;
// Beside the kind of an entry in a row: it has no records that have got offsets.
constexpr std::uint8_t kWithoutOffsets = 0x80;

struct OffsetRow {
  std::int64_t last = 0;
  Index index = 0;
  std::int64_t base = 0;
  std::int64_t latest = 0;
};

std::optional<OffsetRow> decode_offset_row(std::string_view row, std::string_view value) {
  ByteReader in(value);
  OffsetRow out;
  out.last = static_cast<std::int64_t>(topic_row_number(row));
  out.index = in.get<Index>();
  out.base = in.get<std::int64_t>();
  out.latest = in.get<std::int64_t>();
  if (!in.ok() || !in.at_end() || out.index == 0) return std::nullopt;
  return out;
}

std::unexpected<Error> malformed(PartitionId partition) {
  return fail(fmt::format("the store holds what it should not of topic partition {}", partition));
}

// The batch in an entry, if it is one.
std::optional<std::string_view> batch_of(const Entry& entry) {
  if (entry.kind != EntryKind::kNormal) return std::nullopt;
  const auto proposal = decode_proposal(entry.data.view());
  if (!proposal || !holds_batch(proposal->kind)) return std::nullopt;
  return proposal->batch;
}

EntryKind kind_of(std::string_view row_value) {
  return static_cast<EntryKind>(static_cast<std::uint8_t>(row_value[sizeof(Term)]) &
                                ~kWithoutOffsets);
}

bool has_offsets(std::string_view row_value) {
  return (static_cast<std::uint8_t>(row_value[sizeof(Term)]) & kWithoutOffsets) == 0;
}

void append_batch(const Entry& entry, std::string_view batch, std::int64_t base, std::string& out) {
  const std::size_t at = out.size();
  out += batch;
  topic::set_place(out, at, base, static_cast<std::int32_t>(entry.term));
}

}  // namespace

void TopicLog::start(Index applied) {
  stored_ = applied;
  anew_ = applied < GroupLog::kFirstStored;
  upto_ = 0;
  batches_.clear();
}

// --- The log that the group reads

Entry TopicLog::entry_of(std::string_view row, std::string_view value) const {
  Entry entry;
  entry.index = topic_row_number(row);
  if (value.size() < kEntryHead) return entry;
  entry.term = get_little_endian<Term>(value.data());
  entry.kind = kind_of(value);
  entry.data = std::string(value.substr(kEntryHead));
  // What changed the members in a former life changes nothing in this one.
  if (entry.kind == EntryKind::kConfiguration && entry.index <= origin_.index) {
    entry.kind = EntryKind::kEmpty;
    entry.data = {};
  }
  return entry;
}

std::optional<Term> TopicLog::term(Index index) const {
  if (index < GroupLog::kFirstStored) return kFirstTerm;
  const auto value = store_.get(topic_entry_row(partition_, index));
  if (!value || !*value || (*value)->size() < kEntryHead) return std::nullopt;
  return get_little_endian<Term>((*value)->data());
}

bool TopicLog::entries(Index from, Index to, std::size_t max_bytes,
                       std::vector<Entry>& entries) const {
  std::size_t bytes = 0;
  Index next = from;
  const auto scanned =
      store_.scan(topic_entry_row(partition_, from), topic_entry_row(partition_, to),
                  [&](std::string_view row, std::string_view value) {
                    Entry entry = entry_of(row, value);
                    if (entry.index != next || entry.term == 0) return false;
                    bytes += entry.bytes();
                    if (bytes > max_bytes && next > from) return false;
                    ++next;
                    entries.push_back(std::move(entry));
                    return true;
                  });
  return scanned && next > from;
}

void TopicLog::trimmed(Index before) {
  while (!batches_.empty() && batches_.front().index <= before) batches_.pop_front();
}

// --- Passes

void TopicLog::begin_pass(Index applied) {
  upto_ = applied;
  next_offset_row_ = next_entry_row_ = std::max(stored_ + 1, GroupLog::kFirstStored);
}

bool TopicLog::take_offsets(RowBatch& out) {
  if (upto_ == 0) return false;
  if (anew_ && next_offset_row_ == GroupLog::kFirstStored) remove_topic(partition_, out);
  auto batch = std::ranges::lower_bound(batches_, next_offset_row_, {}, &Batch::index);
  for (; batch != batches_.end() && batch->index <= upto_ && out.bytes() < kSliceBytes; ++batch) {
    std::string value;
    put_little_endian(value, batch->index);
    put_little_endian(value, batch->base);
    put_little_endian(value, batch->latest);
    out.put(
        topic_offset_row(partition_, static_cast<std::uint64_t>(batch->base + batch->offsets - 1)),
        value);
    next_offset_row_ = batch->index + 1;
  }
  return batch != batches_.end() && batch->index <= upto_;
}

bool TopicLog::take_entries(const GroupLog& log, RowBatch& out) {
  if (upto_ == 0) return false;
  for (; next_entry_row_ <= upto_ && out.bytes() < kSliceBytes; ++next_entry_row_) {
    const Entry& entry = log.at(next_entry_row_);
    const auto batch = std::ranges::lower_bound(batches_, entry.index, {}, &Batch::index);
    const bool without = entry.kind == EntryKind::kNormal &&
                         (batch == batches_.end() || batch->index != entry.index);
    out.put(topic_entry_row(partition_, entry.index), kEntryHead + entry.data.size(),
            [&entry, without](std::string& to) {
              put_little_endian(to, entry.term);
              to.push_back(static_cast<char>(static_cast<std::uint8_t>(entry.kind) |
                                             (without ? kWithoutOffsets : 0)));
              to += entry.data.view();
            });
  }
  return next_entry_row_ <= upto_;
}

void TopicLog::end_pass(bool stored) {
  if (stored && upto_ != 0) {
    stored_ = std::max(stored_, upto_);
    anew_ = false;
  }
  upto_ = 0;
}

// --- Reading

bool TopicLog::read(const GroupLog& log, std::int64_t offset, std::size_t max_bytes,
                    std::string& out) const {
  auto batch = std::ranges::lower_bound(batches_, offset, std::ranges::less_equal(),
                                        [](const Batch& b) { return b.base + b.offsets; });
  if (batch == batches_.end() || batch->base > offset) return false;
  const std::size_t before = out.size();
  for (; batch != batches_.end(); ++batch) {
    const Entry& entry = log.at(batch->index);
    const auto bytes = batch_of(entry);
    EVEN_CHECK(bytes.has_value(), "what was applied as a batch is one");
    if (out.size() > before && out.size() - before + bytes->size() > max_bytes) break;
    append_batch(entry, *bytes, batch->base, out);
  }
  return true;
}

void TopicLog::fetch(std::int64_t offset, std::size_t max_bytes, Read done) const {
  auto shared = std::make_shared<Read>(std::move(done));
  auto take = [this_partition = partition_, end = topic_entry_row(partition_, stored_ + 1), shared,
               max_bytes, &store = store_](RowStore::FetchedRange rows) {
    if (!rows) return (*shared)(std::unexpected(rows.error()));
    if (rows->empty()) return (*shared)(malformed(this_partition));
    const auto first = decode_offset_row(rows->front().name, rows->front().value);
    if (!first) return (*shared)(malformed(this_partition));
    auto gather = [this_partition, shared, first](RowStore::FetchedRange rows) {
      if (!rows) return (*shared)(std::unexpected(rows.error()));
      std::string out;
      std::int64_t base = first->base;
      Index next = first->index;
      for (RowStore::Row& row : *rows) {
        if (topic_row_number(row.name) != next++ || row.value.size() < kEntryHead) {
          return (*shared)(malformed(this_partition));
        }
        if (!has_offsets(row.value)) continue;
        Entry entry;
        entry.term = get_little_endian<Term>(row.value.data());
        entry.kind = kind_of(row.value);
        entry.data = row.value.substr(kEntryHead);
        const auto batch = batch_of(entry);
        const auto head = batch ? topic::read_head(*batch) : std::nullopt;
        if (!head) continue;
        append_batch(entry, *batch, base, out);
        base += head->offsets();
      }
      if (out.empty()) return (*shared)(malformed(this_partition));
      (*shared)(std::move(out));
    };
    store.fetch_range(topic_entry_row(this_partition, first->index), end, max_bytes,
                      std::move(gather));
  };
  store_.fetch_range(topic_offset_row(partition_, static_cast<std::uint64_t>(offset)),
                     topic_offset_end(partition_), 1, std::move(take));
}

Result<std::optional<TopicLog::Found>> TopicLog::find_time(std::int64_t time,
                                                           std::int64_t end) const {
  const auto in_memory = std::ranges::lower_bound(batches_, time, {}, &Batch::latest);
  const bool from_memory = in_memory != batches_.end() && in_memory != batches_.begin();
  if (from_memory) return Found{in_memory->base, in_memory->latest};
  // [low, high): where the first offset that is late enough may be.
  std::int64_t low = 0;
  std::int64_t high = batches_.empty() ? end : batches_.front().base;
  std::optional<Found> found;
  if (in_memory != batches_.end()) found = Found{in_memory->base, in_memory->latest};
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    std::optional<OffsetRow> at;
    const auto scanned = store_.scan(
        topic_offset_row(partition_, static_cast<std::uint64_t>(middle)),
        topic_offset_end(partition_), [&](std::string_view row, std::string_view value) {
          at = decode_offset_row(row, value);
          return false;
        });
    if (!scanned) return std::unexpected(scanned.error());
    if (!at) return malformed(partition_);
    if (at->latest >= time) {
      found = Found{at->base, at->latest};
      high = at->base;
    } else {
      low = at->last + 1;
    }
  }
  return found;
}

}  // namespace even
