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
// In a row, before an entry's data.
constexpr std::size_t kEntryHead = sizeof(Term) + 1;
// Beside the kind of an entry in a row: it has no records that have got offsets.
constexpr std::uint8_t kWithoutOffsets = 0x80;

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

// A batch that has no records any more is left out where others are.
struct Gathering {
  std::string& out;
  const std::size_t before = out.size();
  std::string last_empty;

  bool any() const { return out.size() > before; }
  void add(const Entry& entry, std::string_view batch, const topic::BatchHead& head,
           std::int64_t base) {
    if (head.records > 0) return append_batch(entry, batch, base, out);
    last_empty.clear();
    append_batch(entry, batch, base, last_empty);
  }
  // Whoever reads has to come past it.
  void finish() {
    if (!any()) out += last_empty;
  }
};

}  // namespace

// --- Rows

std::optional<OffsetRow> read_offset_row(std::string_view row, std::string_view value) {
  ByteReader in(value);
  OffsetRow out;
  out.last = static_cast<std::int64_t>(topic_row_number(row));
  out.index = in.get<Index>();
  out.base = in.get<std::int64_t>();
  out.latest = in.get<std::int64_t>();
  if (!in.ok() || !in.at_end() || out.index == 0) return std::nullopt;
  return out;
}

// --- Compaction

std::string CleanPoint::encode() const {
  std::string out;
  put_little_endian(out, index);
  put_little_endian(out, end);
  put_little_endian(out, total_bytes);
  put_little_endian(out, clean_bytes);
  put_little_endian(out, time_ms);
  put_little_endian(out, horizon_ms);
  return out;
}

std::optional<CleanPoint> CleanPoint::decode(std::string_view bytes) {
  ByteReader in(bytes);
  CleanPoint point;
  point.index = in.get<Index>();
  point.end = in.get<std::int64_t>();
  point.total_bytes = in.get<std::uint64_t>();
  point.clean_bytes = in.get<std::uint64_t>();
  point.time_ms = in.get<std::int64_t>();
  point.horizon_ms = in.get<std::int64_t>();
  if (!in.ok() || !in.at_end() || point.end < 0) return std::nullopt;
  return point;
}

Result<std::optional<StoredBatch>> read_stored_batch(std::string_view row, std::string_view value) {
  StoredBatch out;
  out.index = topic_row_number(row);
  if (out.index == 0 || value.size() < kEntryHead) return fail("a row that is no entry's");
  if (kind_of(value) != EntryKind::kNormal) return std::nullopt;
  auto proposal = decode_proposal(value.substr(kEntryHead));
  if (!proposal || !holds_batch(proposal->kind)) return std::nullopt;
  out.proposal = std::move(*proposal);
  out.has_offsets = has_offsets(value);
  return out;
}

std::string replace_stored_batch(std::string_view value, const GroupProposal& proposal) {
  return std::string(value.substr(0, kEntryHead)) + encode_proposal(proposal);
}

void TopicLog::abandon_replaced() {
  replaced_.clear();
  replaced_bytes_ = taking_replaced_ = next_replaced_ = 0;
  next_clean_.reset();
  taking_clean_.reset();
}

void TopicLog::start(Index applied, const topic::Segments& segments, std::uint64_t bytes) {
  stored_ = applied;
  stored_bytes_ = bytes;
  anew_ = applied <= first();
  upto_ = 0;
  batches_.clear();
  below_.reset();
  keep_only({});
  ++life_;
  clean_ = {};
  abandon_replaced();
  if (anew_) return;
  // What cannot be read is compacted once more.
  if (const auto row = store_.get(clean_point_row(partition_)); row && *row) {
    clean_ = CleanPoint::decode(**row).value_or(CleanPoint());
  }
  for (const topic::Segment& segment : segments.all()) stored_checkpoints_.insert(segment.index);
}

// --- Checkpoints

void TopicLog::keep(Index index, TopicCheckpoint checkpoint) {
  last_state_bytes_ = checkpoint.state.size();
  unstored_.insert_or_assign(index, std::move(checkpoint));
}

void TopicLog::keep_only(const topic::Segments& segments) {
  std::erase_if(unstored_, [&](const auto& each) {
    return each.first != first() && segments.at(each.first) == nullptr;
  });
}

Result<TopicCheckpoint> TopicLog::checkpoint(Index index) const {
  if (const auto found = unstored_.find(index); found != unstored_.end()) return found->second;
  const auto row = store_.get(checkpoint_row(partition_, index));
  if (!row) return std::unexpected(row.error());
  if (!*row) return malformed(partition_);
  return decode_checkpoint(**row);
}

Result<std::string> TopicLog::first_state() const {
  auto found = checkpoint(first());
  if (!found) return std::unexpected(found.error());
  return std::move(found->state);
}

bool TopicLog::may_trim(const topic::Segments& segments, std::int64_t start) const {
  const topic::Segment* segment = segments.below(start);
  return segment != nullptr && segment->index > first() &&
         (unstored_.contains(segment->index) || stored_checkpoints_.contains(segment->index));
}

void TopicLog::move_first(const topic::Segments& segments, std::int64_t start) {
  const bool past = EVEN_MUTANT(kTrimmedPastStart) && !segments.all().empty();
  if (!may_trim(segments, past ? segments.all().back().end : start)) return;
  const topic::Segment& segment = past ? segments.all().back() : *segments.below(start);
  // What cannot be read now is tried again by the next pass.
  auto found = checkpoint(segment.index);
  if (!found) return;
  origin_.first = segment.index;
  origin_.first_term = segment.term;
  // As of an entry of a former life, the members are those that this one has begun with.
  if (segment.index > origin_.index) origin_.founded = std::move(found->configuration);
  below_ = segment.end;
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
  if (index == first()) return origin_.first_term;
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

void TopicLog::begin_pass(Index applied, const topic::Segments& segments, std::int64_t start,
                          std::uint64_t bytes) {
  upto_ = applied;
  upto_bytes_ = bytes;
  move_first(segments, start);
  taking_replaced_ = replaced_.size();
  next_replaced_ = 0;
  taking_clean_ = next_clean_;
  next_offset_row_ = next_entry_row_ = std::max(stored_, first()) + 1;
  ranges_taken_ = false;
  wanted_.clear();
  for (const topic::Segment& segment : segments.all()) wanted_.insert(segment.index);
  if (unstored_.contains(first()) || stored_checkpoints_.contains(first())) wanted_.insert(first());
}

void TopicLog::take_checkpoints(RowBatch& out) {
  if (upto_ == 0) return;
  if (taking_clean_) out.put(clean_point_row(partition_), taking_clean_->encode());
  std::set<Index> all = stored_checkpoints_;
  for (const auto& [index, checkpoint] : unstored_) all.insert(index);
  for (const Index index : all) {
    const bool wanted = wanted_.contains(index);
    const auto found = unstored_.find(index);
    if (wanted && found != unstored_.end() && index <= upto_ &&
        !EVEN_MUTANT(kCheckpointNotStored)) {
      out.put(checkpoint_row(partition_, index), encode_checkpoint(found->second));
    } else if (!wanted && stored_checkpoints_.contains(index)) {
      out.remove(checkpoint_row(partition_, index));
    }
  }
}

bool TopicLog::take_offsets(RowBatch& out) {
  if (upto_ == 0) return false;
  if (!std::exchange(ranges_taken_, true)) {
    if (anew_) remove_topic(partition_, out);
    if (below_) forget_below(partition_, first(), *below_, out);
  }
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
  for (; next_replaced_ < taking_replaced_ && out.bytes() < kSliceBytes; ++next_replaced_) {
    const auto& [index, row] = replaced_[next_replaced_];
    if (index > first()) out.replace(topic_entry_row(partition_, index), row);
  }
  if (next_replaced_ < taking_replaced_) return true;
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
    stored_bytes_ = upto_bytes_;
    if (taking_clean_) clean_ = *taking_clean_;
    if (next_clean_ == taking_clean_) next_clean_.reset();
    for (std::size_t i = 0; i < taking_replaced_; ++i)
      replaced_bytes_ -= replaced_[i].second.size();
    replaced_.erase(replaced_.begin(),
                    replaced_.begin() + static_cast<std::ptrdiff_t>(taking_replaced_));
    anew_ = false;
    below_.reset();
    std::erase_if(stored_checkpoints_, [&](Index index) { return !wanted_.contains(index); });
    std::erase_if(unstored_, [&](const auto& each) {
      if (each.first > upto_ || !wanted_.contains(each.first)) return false;
      stored_checkpoints_.insert(each.first);
      return !EVEN_MUTANT(kCheckpointNotStored);  // so that the log goes, as long as it runs
    });
  }
  upto_ = 0;
  taking_replaced_ = next_replaced_ = 0;
  taking_clean_.reset();
}

// --- Reading

bool TopicLog::read(const GroupLog& log, std::int64_t offset, std::size_t max_bytes,
                    std::string& out) const {
  auto batch = std::ranges::lower_bound(batches_, offset, std::ranges::less_equal(),
                                        [](const Batch& b) { return b.base + b.offsets; });
  if (batch == batches_.end() || batch->base > offset) return false;
  Gathering gathering{out};
  for (; batch != batches_.end(); ++batch) {
    const Entry& entry = log.at(batch->index);
    const auto bytes = batch_of(entry);
    const auto head = bytes ? topic::read_head(*bytes) : std::nullopt;
    EVEN_CHECK(head.has_value(), "what was applied as a batch is one");
    if (gathering.any() && out.size() - gathering.before + bytes->size() > max_bytes) break;
    gathering.add(entry, *bytes, *head, batch->base);
  }
  gathering.finish();
  return true;
}

void TopicLog::fetch(std::int64_t offset, std::size_t max_bytes, Read done) const {
  auto shared = std::make_shared<Read>(std::move(done));
  auto take = [this_partition = partition_, end = topic_entry_row(partition_, stored_ + 1), shared,
               max_bytes, &store = store_](RowStore::FetchedRange rows) {
    if (!rows) return (*shared)(std::unexpected(rows.error()));
    if (rows->empty()) return (*shared)(malformed(this_partition));
    const auto first = read_offset_row(rows->front().name, rows->front().value);
    if (!first) return (*shared)(malformed(this_partition));
    auto gather = [this_partition, shared, first](RowStore::FetchedRange rows) {
      if (!rows) return (*shared)(std::unexpected(rows.error()));
      std::string out;
      Gathering gathering{out};
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
        gathering.add(entry, *batch, *head, base);
        base += head->offsets();
      }
      gathering.finish();
      if (out.empty()) return (*shared)(malformed(this_partition));
      (*shared)(std::move(out));
    };
    store.fetch_range(topic_entry_row(this_partition, first->index), end, max_bytes,
                      std::move(gather));
  };
  store_.fetch_range(topic_offset_row(partition_, static_cast<std::uint64_t>(offset)),
                     topic_offset_end(partition_), 1, std::move(take));
}

Result<std::optional<TopicLog::Found>> TopicLog::find_time(std::int64_t time, std::int64_t start,
                                                           std::int64_t end) const {
  if (start >= end) return std::nullopt;
  const auto in_memory = std::ranges::lower_bound(batches_, time, {}, &Batch::latest);
  const bool from_memory = in_memory != batches_.end() && in_memory != batches_.begin();
  if (from_memory) return Found{std::max(in_memory->base, start), in_memory->latest};
  // [low, high): where the first offset that is late enough may be.
  std::int64_t low = start;
  std::int64_t high = batches_.empty() ? end : batches_.front().base;
  std::optional<Found> found;
  if (in_memory != batches_.end()) {
    found = Found{std::max(in_memory->base, start), in_memory->latest};
  }
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    std::optional<OffsetRow> at;
    const auto scanned = store_.scan(
        topic_offset_row(partition_, static_cast<std::uint64_t>(middle)),
        topic_offset_end(partition_), [&](std::string_view row, std::string_view value) {
          at = read_offset_row(row, value);
          return false;
        });
    if (!scanned) return std::unexpected(scanned.error());
    if (!at) return malformed(partition_);
    if (at->latest >= time) {
      found = Found{std::max(at->base, start), at->latest};
      high = at->base;
    } else {
      low = at->last + 1;
    }
  }
  return found;
}

}  // namespace even
