// Linearizable reads without a log entry (Ongaro's thesis, section 6.4). A read may be answered
// from a state that has applied everything up to the commit index of the moment it began, provided
// that whoever gave that index was still the leader then. To be sure, the leader numbers rounds of
// heartbeats; when a quorum has answered a round, all reads that had come before the round are
// released. Reads that come while rounds are under way share the next one.
#pragma once

#include <vector>

#include "consensus/entry.h"

namespace even::consensus {

class ReadIndex {
 public:
  struct Request {
    MemberId from;
    std::uint64_t context;
  };
  struct Round {
    std::uint64_t number;
    Index index;  // to be applied before the reads of this round
    std::vector<Request> requests;
  };

  static constexpr std::size_t kMaxRounds = 8;

  void add(Request request) { waiting_.push_back(request); }
  std::size_t size() const { return size_of_rounds_ + waiting_.size(); }
  // Whether a round is to begin: reads wait, and not too many rounds are under way.
  bool wants_round() const { return !waiting_.empty() && rounds_.size() < kMaxRounds; }
  // Of a leader that has committed an entry of its term: with its commit index. Gives the number.
  std::uint64_t begin_round(Index commit);
  // The newest round under way, 0 if none is.
  std::uint64_t newest_round() const { return rounds_.empty() ? 0 : last_round_; }
  // A quorum has confirmed this round and with it all before.
  std::vector<Round> confirm(std::uint64_t round);
  // The leader is none any more: all reads that were not released.
  std::vector<Request> abandon();

 private:
  std::vector<Request> waiting_;  // for the next round
  std::vector<Round> rounds_;     // oldest first
  std::size_t size_of_rounds_ = 0;
  std::uint64_t last_round_ = 0;
};

}  // namespace even::consensus
