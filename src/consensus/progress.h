// What a leader knows of one member's log, and how it sends to it.
//
// - probe: where the member's log agrees with ours is not known yet. One message at a time, until
//   an answer says where it does.
// - replicate: it is known. Messages follow each other without waiting, as far as the window of
//   what is in flight allows.
// - snapshot: what the member lacks is no longer in our log. Nothing is sent until the snapshot has
//   arrived, or has failed to.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "consensus/quorum.h"

namespace even::consensus {

// Messages with entries that were sent and not yet answered, in the order of their last index.
class Inflight {
 public:
  struct Limits {
    std::uint32_t messages = 256;
    std::uint64_t bytes = 8 << 20;  // the message that reaches it is still sent
  };

  void add(Index last, std::uint64_t bytes);
  // All up to this index have arrived.
  void free_to(Index index);
  void clear();
  std::size_t count() const { return sent_.size() - begin_; }
  bool full(const Limits& limits) const {
    return count() >= limits.messages || bytes_ >= limits.bytes;
  }

 private:
  struct Sent {
    Index last;
    std::uint64_t bytes;
  };
  std::vector<Sent> sent_;  // those before begin_ have been answered
  std::size_t begin_ = 0;
  std::uint64_t bytes_ = 0;
};

enum class ProgressState : std::uint8_t { kProbe, kReplicate, kSnapshot };

struct Progress {
  // The member has all up to `match`, durably; `next` is sent next. match < next.
  Index match = 0;
  Index next = 1;
  Index sent_commit = 0;         // the highest commit index that was sent to it
  Index pending_snapshot = 0;    // state kSnapshot: the index of the snapshot that is on its way
  std::uint64_t read_round = 0;  // the last round of reads that it has confirmed
  ProgressState state = ProgressState::kProbe;
  bool recently_active = false;  // heard of since the quorum was last checked
  bool paused = false;           // probe: sent, no answer yet; replicate: the window is full
  Inflight inflight;

  void probe();
  void replicate();
  void await_snapshot(Index index);
  bool waits() const { return paused || state == ProgressState::kSnapshot; }
  // After a message with that many entries of that many bytes.
  void sent_entries(std::size_t entries, std::uint64_t bytes, const Inflight::Limits& limits);
  // Whether a higher commit index would tell the member something about entries it may have.
  bool lacks_commit(Index commit) const { return commit > sent_commit && sent_commit < next - 1; }
  // The member has all up to this index. False if that was known.
  bool acknowledge(Index index);
  // The member has refused what was to follow `refused`, and may agree up to `hint`. False if the
  // refusal answers a message that no longer matters.
  bool refuse(Index refused, Index hint);

 private:
  void enter(ProgressState entered);
};

// Progress of all members of a configuration, in ascending order of members.
class ProgressTable {
 public:
  using Row = std::pair<MemberId, Progress>;

  Progress* find(MemberId member);
  const Progress* find(MemberId member) const;
  Progress& add(MemberId member);  // which is not there yet
  void remove(MemberId member);
  auto begin() { return rows_.begin(); }
  auto end() { return rows_.end(); }
  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }
  std::size_t size() const { return rows_.size(); }

 private:
  std::vector<Row> rows_;
};

}  // namespace even::consensus
