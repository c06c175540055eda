// The requests of one client to one group of a strong keyspace that have not been answered. A
// client may make many before the first is answered; what it sees is what it would see if it had
// waited: they take effect in the order in which they were made. Groups do not wait for one
// another.
//
// Requests that are on their way together go to the same member by the same links, in order, and
// the leader takes them in that order. What could put them out of order is what may_go() forbids:
// - a request that comes after one that is still here, or was sent back, would overtake it;
// - a write is not sent before reads ahead of it are answered: it might be applied first;
// - a read that any member may answer would not know of the writes ahead of it;
// - one behind others goes where the one ahead of it was sent, since two members may both take
//   themselves for the leader, one after the other;
// - one that came back is not sent again while later ones are on their way, nor when one of them
//   has been executed, or may have been: then it can only be refused.
// A linearizable read behind others is served after all that the leader has proposed by then
// (StrongRequest::behind).
//
// On the thread of the group's shard.
#pragma once

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/ids.h"
#include "consensus/entry.h"

namespace even {

struct StrongTurn {
  bool writes = false;
  bool any_member = false;  // whoever is asked may answer it, as it is
  bool repeatable = true;   // also when nobody knows whether it was executed
  bool out = false;         // somebody is at it
  bool unknown = false;     // somebody was, and nobody knows what came of it
  bool overtaken = false;   // a later one has been executed
  NodeNumber asked = 0;     // who is at it, or was last
};

class StrongLane {
 public:
  // It outlives its stay in the lane.
  void add(StrongTurn& turn) { turns_.push_back(&turn); }
  // It has been answered.
  void remove(const StrongTurn& turn, bool executed) {
    const auto at = find(turn);
    if (executed) std::for_each(turns_.cbegin(), at, [](StrongTurn* t) { t->overtaken = true; });
    turns_.erase(at);
  }
  bool may_go(const StrongTurn& turn) const {
    const auto at = find(turn);
    const bool behind_all = std::all_of(turns_.begin(), at, [&turn](const StrongTurn* ahead) {
      return ahead->out && !ahead->any_member && !turn.any_member &&
             (ahead->writes || !turn.writes);
    });
    return behind_all && !is_passed(turn) &&
           std::none_of(at + 1, turns_.end(), [](const StrongTurn* later) { return later->out; });
  }
  // Whether a later one has taken effect, or may have, while this one has not: it never will.
  bool is_passed(const StrongTurn& turn) const {
    return turn.overtaken ||
           (!turn.unknown && std::any_of(find(turn) + 1, turns_.end(), [](const StrongTurn* later) {
             return later->writes && later->unknown;
           }));
  }
  // Whether there are others ahead of it.
  bool is_behind(const StrongTurn& turn) const { return turns_.front() != &turn; }
  // Where it has to go, which is_behind() others.
  NodeNumber asked_ahead_of(const StrongTurn& turn) const { return (*(find(turn) - 1))->asked; }
  // It is to be sent again, though somebody is at it: so are those after it. False if one of them
  // cannot be.
  bool recall(const StrongTurn& turn) {
    const auto at = find(turn);
    const auto stays = [](const StrongTurn* t) { return t->out && !t->repeatable; };
    if (std::any_of(at, turns_.cend(), stays)) return false;
    std::for_each(at, turns_.cend(), [](StrongTurn* t) {
      t->unknown = t->unknown || t->out;
      t->out = false;
    });
    return true;
  }
  // In order.
  const std::vector<StrongTurn*>& turns() const { return turns_; }

  consensus::Index seen = 0;  // how far the group had been applied when the last one was executed

 private:
  std::vector<StrongTurn*>::const_iterator find(const StrongTurn& turn) const {
    const auto at = std::find(turns_.begin(), turns_.end(), &turn);
    EVEN_CHECK(at != turns_.end(), "a request is in its lane until it is answered");
    return at;
  }
  std::vector<StrongTurn*> turns_;
};

}  // namespace even
