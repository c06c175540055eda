// The log of one group, as far as it is in memory: what recovery found or a turn appended to the
// shard's log, from some way before what has been applied. See docs/groups.md, "The log".
//
// Invariants: entries follow each other without a gap; the entry before the first one is known by
// its index and term; nothing that has not been applied goes.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "consensus/log.h"

namespace even {

// The entries of a log that have left memory, of a group that keeps all of them: see
// docs/topics.md. They have been applied.
class StoredEntries {
 public:
  virtual ~StoredEntries() = default;
  // The first there is. What is not in memory any more is from there on.
  virtual consensus::Index first_index() const = 0;
  virtual std::optional<consensus::Term> term(consensus::Index index) const = 0;
  // Whether entries from this one on may be given to others now.
  virtual bool gives(consensus::Index from) const = 0;
  // As LogReader::entries().
  virtual bool entries(consensus::Index from, consensus::Index to, std::size_t max_bytes,
                       std::vector<consensus::Entry>& entries) const = 0;
};

class GroupLog final : public consensus::LogReader {
 public:
  using Index = consensus::Index;
  using Term = consensus::Term;

  // Makes a snapshot of what has been applied, for a follower that is too far behind.
  std::function<consensus::SnapshotPointer()> make_snapshot;

  Index first_index() const override {
    return stored_ != nullptr && before_ > 0 ? stored_->first_index() : before_ + 1;
  }
  Index last_index() const override { return before_ + entries_.size(); }
  std::optional<Term> term(Index index) const override;
  bool entries(Index from, Index to, std::size_t max_bytes,
               std::vector<consensus::Entry>& entries) const override;
  bool gives(Index from) const override { return stored_ == nullptr || stored_->gives(from); }
  consensus::SnapshotPointer snapshot() const override {
    return make_snapshot ? make_snapshot() : nullptr;
  }

  // What is not in memory is read from there from now on; it outlives this.
  void read_from(const StoredEntries& stored) { stored_ = &stored; }
  // Of the entry before those in memory.
  Index before() const { return before_; }

  const consensus::Entry& at(Index index) const { return entries_[index - before_ - 1]; }
  std::uint64_t bytes() const { return bytes_; }

  // The log begins behind this entry, in place of everything.
  void set_base(Index index, Term term);
  // Appends the entry. One that is there already changes nothing; if another one is in its place,
  // that and what follows it goes. False, and nothing is done, if it would leave a gap.
  bool put(const consensus::Entry& entry);

  // Of recovery, which begins with what a pass has stored and comes upon what was logged while it
  // was under way, some of it older: entries that have been replaced since, behind others that were
  // replaced before. An entry was the last one when it was logged; so everything behind it goes,
  // and one that cannot follow yet is passed over.
  void replay(const consensus::Entry& entry);
  // The first entry that is missing before one that was passed over, and that nothing before it has
  // replaced since. Some at the end of recovery: the log is damaged.
  std::optional<Index> missing() const { return missing_; }
  // Whether terms never go down, as those of no log do.
  bool ascends() const;

  // Lets go of the oldest entries up to `index` while they have more than `bytes`.
  void trim(Index index, std::uint64_t bytes);

 private:
  // Everything from this entry on goes.
  void cut(Index from);

  const StoredEntries* stored_ = nullptr;
  Index before_ = 0;
  Term before_term_ = 0;
  std::deque<consensus::Entry> entries_;
  std::uint64_t bytes_ = 0;
  std::optional<Index> missing_;
};

}  // namespace even
