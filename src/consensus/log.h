// A group's log as the core sees it: the durable part, which a LogReader reads, and in memory its
// tail, which is not durable yet or has not been handed out for applying.
//
//     first ... durable | being written | not yet written     by index
//                    last
//     applied <= applying <= committed <= last, and applying <= durable
//
// Writes are asynchronous and complete in their order. A write that is under way may hold entries
// that have been replaced since, by a leader of a later term; when it completes, only what is
// still in the log counts as durable. So each write under way remembers up to where the log still
// is as it was written, and replacing entries lowers that (Index `last` of UnderWay).
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "consensus/entry.h"

namespace even::consensus {

// The durable log. Owned by whoever stores it, and outlives the core. It shows at least what
// completed writes have written, and may show more. Its oldest entries may go at any time, but
// only such as have been applied.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // The oldest entry there is; last_index() + 1 if there is none.
  virtual Index first_index() const = 0;
  virtual Index last_index() const = 0;
  // From first_index() - 1 to last_index(); none elsewhere. Asked for often: answered from memory.
  virtual std::optional<Term> term(Index index) const = 0;
  // Appends the entries in [from, to) to `entries`: those that fit into max_bytes, and at least
  // one. False if they are gone or cannot be read at the moment: the core will ask again.
  virtual bool entries(Index from, Index to, std::size_t max_bytes,
                       std::vector<Entry>& entries) const = 0;
  // Whether entries from this one on may be sent to others now; else later.
  virtual bool gives(Index) const { return true; }
  // One that covers at least all entries before first_index(); none if it is not at hand.
  virtual SnapshotPointer snapshot() const = 0;
};

using WriteId = std::uint64_t;

class Log {
 public:
  struct Limits {
    std::uint64_t apply_bytes = 1 << 20;  // handed out for applying and not yet applied
    std::uint64_t tail_bytes = 4 << 20;   // beyond it, what is durable leaves memory unapplied
  };

  // The reader outlives the log. Everything it has counts as durable and up to `applied` as
  // applied.
  Log(const LogReader& reader, Limits limits, Index applied, Index committed);

  Index first() const;
  Index last() const { return tail_begin_ + tail_.size() - 1; }
  Index durable() const { return durable_; }
  Index committed() const { return committed_; }
  Index applied() const { return applied_; }
  Term last_term() const;
  // From first() - 1 to last(); none elsewhere.
  std::optional<Term> term(Index index) const;
  bool matches(Index index, Term at) const { return term(index) == at; }
  bool at_least_as_long(Term their_term, Index their_last) const;
  // The highest index up to `index` whose term is not above `at`, and its term: where a log with
  // that last term may agree. Term 0 where ours does not reach back.
  struct Position {
    Index index;
    Term term;
  };
  Position agreement(Index index, Term at) const;
  // Appends to `entries` those from `from` on that fit into max_bytes. False: see LogReader.
  bool gives(Index from) const { return reader_->gives(from); }
  bool entries(Index from, std::size_t max_bytes, std::vector<Entry>& entries) const;
  SnapshotPointer snapshot() const { return reader_->snapshot(); }
  bool configuration_changes_to_apply(bool& found) const;  // in (applied, committed]; false: unread

  // Of a leader: entries that follow each other and the log.
  void append(Entry entry);
  // Of a follower: takes over what follows the entry (index, term), which is not before the commit
  // index. False if that entry is not in the log.
  bool merge(Index index, Term term, std::span<const Entry> entries);
  // True if that is news. Never beyond last().
  bool commit(Index index);
  // In place of everything: committed_ is not past it.
  void install(SnapshotPointer snapshot);
  bool installing() const { return snapshot_ != nullptr; }

  // What is to be written and no write under way holds.
  bool has_to_write() const { return handed_ < last() || (snapshot_ && !snapshot_handed_); }
  struct ToWrite {
    std::vector<Entry> entries;
    SnapshotPointer snapshot;
  };
  ToWrite begin_write(WriteId id, const HardState& state);
  bool writing() const { return !under_way_.empty(); }
  // The oldest write under way has completed: the hard state that is durable now.
  HardState end_write(WriteId id);
  // All writes under way have failed, or may have: everything is to be written again.
  void fail_writes();

  bool has_to_apply() const;
  // Committed, durable and not handed out before; as many as the limit allows, but one if any.
  void begin_apply(std::vector<Entry>& entries);
  void end_apply(Index applied);

 private:
  struct UnderWay {
    WriteId id;
    Index last;      // the log is still as written up to here, as far as this write goes
    Index snapshot;  // index of the snapshot that is in it, 0 for none
    HardState state;
  };
  struct Applying {
    Index last;
    std::uint64_t bytes;
  };

  const Entry& in_tail(Index index) const { return tail_[index - tail_begin_]; }
  void replace_from(Index index);
  void trim();

  const LogReader* reader_;
  Limits limits_;
  std::vector<Entry> tail_;  // [tail_begin_, last()]; what is durable leaves it from time to time
  Index tail_begin_;
  std::uint64_t tail_bytes_ = 0;
  Index durable_;
  Index handed_;  // to a write
  SnapshotPointer snapshot_;
  bool snapshot_handed_ = false;
  std::vector<UnderWay> under_way_;  // oldest first
  Index committed_;
  Index applying_;  // handed out for applying
  Index applied_;
  std::vector<Applying> applying_parts_;
  std::uint64_t applying_bytes_ = 0;
};

}  // namespace even::consensus
