// Who may touch a shard: its own thread, or, for the time of one command over several shards, the
// thread that it has been lent to.
//
// A command over several shards borrows all of them, its own thread's included, in ascending order
// of their numbers and one after the other; it runs when it has the last one and then hands all
// back. This cannot deadlock: who waits for shard s holds only shards below s, so a chain of
// threads that wait for each other climbs in number and ends at one that waits for nobody; and a
// thread that has lent its shard or waits for another one keeps handling messages, so that the
// grant and the return always get through. Requests for one shard are served first come, first
// served, and the owner runs what it had to put off between two of them, so nobody starves.
//
// Who has executed may keep a shard until what it wrote is in the log (end_use()): the owner ends
// turns meanwhile, so that this waits for nothing but the disk.
//
// Lives on the owning thread; pure logic.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "base/check.h"

namespace even {

class Lease {
 public:
  // Called, on the owning thread, when the shard is the borrower's.
  using Grant = std::move_only_function<void()>;
  using Work = std::move_only_function<void()>;

  bool lent() const { return lent_; }
  // Whether the borrower may be touching it.
  bool in_use() const { return lent_ && !use_ended_; }

  // Asks for the shard on behalf of a borrower, which calls give_back() on this thread when done.
  void request(Grant grant) {
    if (lent_ || settling_) {
      waiting_.push_back(std::move(grant));
      return;
    }
    lent_ = true;
    grant();
  }

  // Runs work of the owner on the shard: at once, or when it is back.
  void when_free(Work work) {
    if (lent_) {
      deferred_.push_back(std::move(work));
    } else {
      work();
    }
  }

  // Runs work of the disk on the shard: at once, or when the borrower touches it no more.
  void when_unused(Work work) {
    if (in_use()) {
      completions_.push_back(std::move(work));
    } else {
      work();
    }
  }

  // The borrower touches it no more, and has yet to give it back.
  void end_use() {
    EVEN_CHECK(lent_, "only what was lent can be done with");
    use_ended_ = true;
    complete();
  }

  void give_back() {
    EVEN_CHECK(lent_, "only what was lent can be given back");
    lent_ = false;
    use_ended_ = false;
    settling_ = true;
    complete();
    // Work that this work defers or asks for waits for the next round.
    for (std::size_t count = deferred_.size(); count > 0; --count) {
      Work work = std::move(deferred_.front());
      deferred_.pop_front();
      work();
    }
    settling_ = false;
    if (waiting_.empty()) return;
    Grant grant = std::move(waiting_.front());
    waiting_.pop_front();
    lent_ = true;
    grant();
  }

 private:
  void complete() {
    for (std::size_t count = completions_.size(); count > 0; --count) {
      Work work = std::move(completions_.front());
      completions_.pop_front();
      work();
    }
  }

  bool lent_ = false;
  bool use_ended_ = false;
  bool settling_ = false;  // the owner's deferred work is running
  std::deque<Grant> waiting_;
  std::deque<Work> deferred_;
  std::deque<Work> completions_;
};

}  // namespace even
