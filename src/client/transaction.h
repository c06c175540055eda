// A client's transaction between MULTI and EXEC, and what it watches. Redis's semantics and errors:
// https://redis.io/docs/latest/develop/interact/transactions/
//
// EXEC is one request: the commands about keys run together, within one turn of all shards that
// they need, and no other client of the node sees a part of what they do; see Router. What is about
// the connection runs behind them, in its place among the replies.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "client/client_pause.h"
#include "node/owned_request.h"

namespace even {

class Transaction {
 public:
  // MULTI has been executed, EXEC and DISCARD have not.
  bool open() const { return open_; }
  // `database`: the one that is selected.
  void begin(DatabaseNumber database) {
    open_ = true;
    database_ = database;
  }
  // Which one it is for what is queued next, as SELECT is one of the commands.
  DatabaseNumber database() const { return database_; }
  void select(DatabaseNumber database) { database_ = database; }
  // A command was refused instead of being queued: EXEC will do nothing.
  void fail() { failed_ = failed_ || open_; }
  bool failed() const { return failed_; }
  void queue(OwnedRequest request);
  bool is_paused_as_write() const {
    return std::ranges::any_of(queued_, [](const OwnedRequest& queued) {
      return even::is_paused_as_write(*queued.command);
    });
  }
  // Those queued; -1: there is no transaction.
  int length() const { return open_ ? static_cast<int>(queued_.size()) : -1; }
  // Of memory, by what is queued and watched.
  std::size_t bytes() const { return bytes_; }
  // Whether memory may have to be freed before it can be executed.
  bool may_grow() const { return may_grow_; }

  // `watch` has been executed, with this reply, while the databases were these.
  void watch(OwnedRequest watch, std::string reply, DatabaseMap databases);
  void unwatch();
  // Something was to be watched and is not: EXEC does nothing, as if it had changed.
  void watch_failed() { watch_failed_ = true; }
  bool lacks_watch() const { return watch_failed_; }
  // Whether the databases are others than when something was watched first: SWAPDB has put others
  // in the place of those that were.
  bool databases_swapped(DatabaseMap now) const {
    return !watched_.empty() && (watched_over_swap_ || watched_databases_ != now);
  }

  // What EXEC is to execute; the transaction is over. `exec`: its own words.
  struct Execution {
    OwnedRequest request;              // with the commands about keys, if there are any
    std::vector<OwnedRequest> behind;  // those about the connection
    std::vector<bool> about_keys;      // of all, in their order: which of the two
  };
  Execution take(OwnedRequest exec);
  // Of DISCARD, a failed EXEC, RESET.
  void forget() { *this = {}; }

 private:
  bool open_ = false;
  bool failed_ = false;
  bool may_grow_ = false;
  DatabaseNumber database_ = 0;
  DatabaseMap watched_databases_;
  bool watched_over_swap_ = false;  // not all by that map
  bool watch_failed_ = false;
  std::size_t bytes_ = 0;
  std::vector<OwnedRequest> queued_;
  std::vector<OwnedRequest> watched_;
};

}  // namespace even
