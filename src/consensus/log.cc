#include "consensus/log.h"

#include "base/check.h"
#include "base/mutant.h"

namespace even::consensus {

Log::Log(const LogReader& reader, Limits limits, Index applied, Index committed)
    : reader_(&reader), limits_(limits) {
  const Index last = reader.last_index();
  tail_begin_ = last + 1;
  durable_ = last;
  handed_ = last;
  committed_ = committed;
  applied_ = applied;
  applying_ = applied;
  EVEN_CHECK(applied_ <= committed_ && committed_ <= last, "applied <= committed <= last");
}

Index Log::first() const { return snapshot_ ? snapshot_->index + 1 : reader_->first_index(); }

Term Log::last_term() const {
  const std::optional<Term> at = term(last());
  EVEN_CHECK(at.has_value(), "the log knows the term of its last entry");
  return *at;
}

std::optional<Term> Log::term(Index index) const {
  if (index > last()) return std::nullopt;
  if (index >= tail_begin_) return in_tail(index).term;
  if (snapshot_) {
    if (index != snapshot_->index) return std::nullopt;
    return snapshot_->term;
  }
  return reader_->term(index);
}

bool Log::at_least_as_long(Term their_term, Index their_last) const {
  const Term ours = last_term();
  return their_term > ours || (their_term == ours && their_last >= last());
}

Log::Position Log::agreement(Index index, Term at) const {
  for (; index > 0; --index) {
    const std::optional<Term> ours = term(index);
    if (!ours) return {index, 0};
    if (*ours <= at) return {index, *ours};
  }
  return {0, 0};
}

bool Log::entries(Index from, std::size_t max_bytes, std::vector<Entry>& entries) const {
  if (from > last()) return true;
  if (from < first()) return false;
  std::size_t bytes = 0;
  if (from < tail_begin_) {
    if (!reader_->entries(from, tail_begin_, max_bytes, entries)) return false;
    EVEN_CHECK(!entries.empty() && entries.front().index == from, "the reader reads what is asked");
    if (entries.back().index + 1 < tail_begin_) return true;
    for (const Entry& entry : entries) bytes += entry.bytes();
  }
  for (Index i = std::max(from, tail_begin_); i <= last(); ++i) {
    bytes += in_tail(i).bytes();
    if (bytes > max_bytes && !entries.empty()) break;
    entries.push_back(in_tail(i));
  }
  return true;
}

bool Log::configuration_changes_to_apply(bool& found) const {
  found = false;
  constexpr std::size_t kPageBytes = 1 << 20;
  for (Index next = applied_ + 1; next <= committed_ && !found;) {
    std::vector<Entry> page;
    if (!entries(next, kPageBytes, page)) return false;
    for (const Entry& entry : page) {
      if (entry.index > committed_) break;
      found = found || entry.kind == EntryKind::kConfiguration;
    }
    next = page.back().index + 1;
  }
  return true;
}

void Log::append(Entry entry) {
  EVEN_CHECK(entry.index == last() + 1, "entries follow each other");
  tail_bytes_ += entry.bytes();
  tail_.push_back(std::move(entry));
}

bool Log::merge(Index index, Term at, std::span<const Entry> entries) {
  if (!matches(index, at)) return false;
  std::size_t known = 0;
  while (known < entries.size() && matches(entries[known].index, entries[known].term)) ++known;
  if (known == entries.size()) {
    const Index end = index + entries.size();
    if (EVEN_MUTANT(kTruncatesCommitted) && end < last()) {
      committed_ = std::min(committed_, end);
      replace_from(end + 1);
    }
    return true;
  }
  const Index from = entries[known].index;
  std::vector<Entry> kept;
  if (EVEN_MUTANT(kConflictingSuffixKept)) {
    const Index after = index + entries.size() + 1;
    for (Index i = std::max(after, tail_begin_); i <= last(); ++i) kept.push_back(in_tail(i));
    if (!kept.empty() && kept.front().index != after) kept.clear();
  }
  if (from <= last()) replace_from(from);
  for (const Entry& entry : entries.subspan(known)) append(entry);
  for (Entry& entry : kept) append(std::move(entry));
  return true;
}

// Drops the entries from `index` on, for others to take their places.
void Log::replace_from(Index index) {
  EVEN_CHECK(index > committed_, "what is committed is never replaced");
  if (index < tail_begin_) {
    tail_.clear();
    tail_begin_ = index;
    tail_bytes_ = 0;
  } else {
    while (last() >= index) {
      tail_bytes_ -= tail_.back().bytes();
      tail_.pop_back();
    }
  }
  handed_ = std::min(handed_, index - 1);
  durable_ = std::min(durable_, index - 1);
  if (EVEN_MUTANT(kOverlappingWritesMixed)) return;
  for (UnderWay& write : under_way_) write.last = std::min(write.last, index - 1);
}

bool Log::commit(Index index) {
  if (index <= committed_) return false;
  EVEN_CHECK(index <= last(), "only what is in the log is committed");
  committed_ = index;
  return true;
}

void Log::install(SnapshotPointer snapshot) {
  EVEN_CHECK(snapshot->index > committed_, "a snapshot never takes a log back");
  committed_ = snapshot->index;
  tail_.clear();
  tail_bytes_ = 0;
  tail_begin_ = snapshot->index + 1;
  durable_ = snapshot->index;  // with the snapshot, which is written before anything that follows
  handed_ = snapshot->index;
  for (UnderWay& write : under_way_) write.last = 0;
  snapshot_ = std::move(snapshot);
  snapshot_handed_ = false;
}

Log::ToWrite Log::begin_write(WriteId id, const HardState& state) {
  EVEN_CHECK(under_way_.empty() || under_way_.back().id < id, "writes are numbered in order");
  ToWrite to_write;
  if (handed_ < last()) {
    to_write.entries.assign(tail_.begin() + static_cast<std::ptrdiff_t>(handed_ + 1 - tail_begin_),
                            tail_.end());
    handed_ = last();
  }
  Index snapshot = 0;
  if (snapshot_ && !snapshot_handed_) {
    to_write.snapshot = snapshot_;
    snapshot = snapshot_->index;
    snapshot_handed_ = true;
  }
  under_way_.push_back({id, to_write.entries.empty() ? 0 : handed_, snapshot, state});
  return to_write;
}

HardState Log::end_write(WriteId id) {
  EVEN_CHECK(!under_way_.empty() && under_way_.front().id == id, "writes complete in their order");
  const UnderWay write = under_way_.front();
  under_way_.erase(under_way_.begin());
  if (under_way_.empty()) under_way_.shrink_to_fit();
  if (write.last > durable_) durable_ = std::min(write.last, last());
  if (snapshot_ && write.snapshot == snapshot_->index) {
    snapshot_ = nullptr;
    snapshot_handed_ = false;
    applying_ = std::max(applying_, write.snapshot);
    end_apply(write.snapshot);
  }
  trim();
  return write.state;
}

void Log::fail_writes() {
  under_way_.clear();
  handed_ = durable_;
  snapshot_handed_ = false;
}

bool Log::has_to_apply() const {
  return applying_ < std::min(committed_, durable_) && !snapshot_ &&
         applying_bytes_ < limits_.apply_bytes;
}

void Log::begin_apply(std::vector<Entry>& entries) {
  if (!has_to_apply()) return;
  const Index end = std::min(committed_, durable_);
  if (!this->entries(applying_ + 1, limits_.apply_bytes - applying_bytes_, entries)) return;
  while (entries.back().index > end) entries.pop_back();
  std::uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.bytes();
  applying_ = entries.back().index;
  applying_parts_.push_back({applying_, bytes});
  applying_bytes_ += bytes;
  trim();
}

void Log::end_apply(Index applied) {
  if (applied <= applied_) return;  // a snapshot has been faster
  EVEN_CHECK(applied <= applying_, "only what was handed out is applied");
  applied_ = applied;
  std::size_t done = 0;
  while (done < applying_parts_.size() && applying_parts_[done].last <= applied) {
    applying_bytes_ -= applying_parts_[done++].bytes;
  }
  applying_parts_.erase(applying_parts_.begin(),
                        applying_parts_.begin() + static_cast<std::ptrdiff_t>(done));
  if (applying_parts_.empty()) applying_parts_.shrink_to_fit();
}

// What is durable leaves memory once it has been handed out for applying too, or when the tail is
// large. Half of the tail at a time, so that the cost per entry stays constant.
void Log::trim() {
  Index to = std::min(durable_, applying_);
  if (tail_bytes_ > limits_.tail_bytes) to = durable_;
  if (to < tail_begin_) return;
  const std::size_t count = to + 1 - tail_begin_;
  if (count < tail_.size() / 2) return;
  for (std::size_t i = 0; i < count; ++i) tail_bytes_ -= tail_[i].bytes();
  tail_.erase(tail_.begin(), tail_.begin() + static_cast<std::ptrdiff_t>(count));
  tail_begin_ = to + 1;
  constexpr std::size_t kKept = 16;
  if (tail_.empty() && tail_.capacity() > kKept) tail_.shrink_to_fit();
}

}  // namespace even::consensus
