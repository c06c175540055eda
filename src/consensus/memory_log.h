// A log in memory: for tests of the core, and for groups that are simulated.
#pragma once

#include <vector>

#include "base/check.h"
#include "consensus/log.h"

namespace even::consensus {

class MemoryLog : public LogReader {
 public:
  Index first_index() const override { return before_ + 1; }
  Index last_index() const override { return before_ + entries_.size(); }
  std::optional<Term> term(Index index) const override {
    if (index == before_) return before_term_;
    if (index < before_ || index > last_index()) return std::nullopt;
    return at(index).term;
  }
  bool entries(Index from, Index to, std::size_t max_bytes,
               std::vector<Entry>& entries) const override {
    if (from <= before_ || to > last_index() + 1 || from >= to) return false;
    std::size_t bytes = 0;
    for (Index i = from; i < to; ++i) {
      bytes += at(i).bytes();
      if (bytes > max_bytes && i > from) break;
      entries.push_back(at(i));
    }
    return true;
  }
  SnapshotPointer snapshot() const override { return snapshot_; }

  const Entry& at(Index index) const { return entries_[index - before_ - 1]; }

  // As a Write says: a snapshot replaces everything, entries all from the first one's index on.
  void write(const SnapshotPointer& snapshot, const std::vector<Entry>& entries) {
    if (snapshot) {
      snapshot_ = snapshot;
      before_ = snapshot->index;
      before_term_ = snapshot->term;
      entries_.clear();
    }
    if (entries.empty()) return;
    const Index from = entries.front().index;
    EVEN_CHECK(from > before_ && from <= last_index() + 1, "a log without holes");
    entries_.resize(from - before_ - 1);
    entries_.insert(entries_.end(), entries.begin(), entries.end());
  }
  // For followers that lack what compact() removes.
  void set_snapshot(SnapshotPointer snapshot) { snapshot_ = std::move(snapshot); }
  // Removes the entries up to this one.
  void compact(Index index) {
    if (index <= before_) return;
    EVEN_CHECK(index <= last_index(), "only what is there is removed");
    before_term_ = at(index).term;
    entries_.erase(entries_.begin(),
                   entries_.begin() + static_cast<std::ptrdiff_t>(index - before_));
    before_ = index;
  }

 private:
  Index before_ = 0;  // the last index that is not there any more
  Term before_term_ = 0;
  std::vector<Entry> entries_;
  SnapshotPointer snapshot_;
};

}  // namespace even::consensus
