#include "client/transaction.h"

#include <utility>

namespace even {

void Transaction::queue(OwnedRequest request) {
  bytes_ += request.memory();
  may_grow_ = may_grow_ || (request.command->flags & kDenyOom) != 0;
  queued_.push_back(std::move(request));
}

void Transaction::watch(OwnedRequest watch, std::string reply, DatabaseMap databases) {
  if (watched_.empty()) {
    watched_databases_ = databases;
    watched_over_swap_ = false;
  }
  watched_over_swap_ = watched_over_swap_ || watched_databases_ != databases;
  bytes_ += watch.memory();
  watch.watch_reply = std::move(reply);
  watched_.push_back(std::move(watch));
}

void Transaction::unwatch() {
  for (const OwnedRequest& watch : watched_) bytes_ -= watch.memory();
  watched_.clear();
  watch_failed_ = false;
}

Transaction::Execution Transaction::take(OwnedRequest exec) {
  Execution execution{.request = std::move(exec), .behind = {}, .about_keys = {}};
  for (OwnedRequest& each : queued_) {
    const bool keys = each.command->scope != Scope::kConnection;
    execution.about_keys.push_back(keys);
    (keys ? execution.request.parts : execution.behind).push_back(std::move(each));
  }
  execution.request.watched = std::move(watched_);
  forget();
  return execution;
}

}  // namespace even
