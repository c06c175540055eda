// A request that waits until there is something for it to take (BLPOP and its like). It is executed
// as any other; while it takes nothing, which its reply tells, it is executed again whenever
// something has been put into one of its keys: by a command here, or by a record that came from
// another node. That holds of keys of which this node has a replica; others are looked at several
// times a second.
//
// Owned by its connection; on that one's thread.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/stream.h"
#include "node/owned_request.h"
#include "node/waiting_clients.h"

namespace even {

class ShardThread;

class BlockedRequest : public std::enable_shared_from_this<BlockedRequest> {
 public:
  using Done = std::move_only_function<void(std::string reply)>;

  // `done` is called once, unless end() comes first. `options` makes those of an attempt; may
  // return none.
  BlockedRequest(ShardThread& thread, OwnedRequest request,
                 std::function<std::unique_ptr<RequestOptions>()> options, Done done);
  ~BlockedRequest();
  void start();
  // CLIENT UNBLOCK: with this in the place of the reply; as after its timeout when it is empty.
  void unblock(std::string error);
  Args words() const { return request_.args; }
  // What it asks for is called otherwise from now on: the same with other words.
  void replace(OwnedRequest request);
  // Nobody is left to reply to.
  void end();

 private:
  // XREAD's $ stands for the last id as of when the request came.
  void settle_last_ids();
  void attempt();
  void submit(const Command& command, std::span<const std::string_view> words,
              void (BlockedRequest::*take)(std::string reply));
  void take_last_ids(std::string reply);
  void take(std::string reply);
  // Of several keys, one alone: another one is of a type that it is not for.
  void attempt_key();
  void take_of_key(std::string reply);
  std::vector<std::string_view> words_of_key(std::size_t key) const;
  void look(const std::vector<std::string_view>& words, std::string refusal);
  void take_look(std::string reply);
  void wait_on(bool not_for_it);
  bool reads_group() const;
  bool reads_stream() const;
  bool moves() const;  // from one list to another
  std::vector<std::string> key_names() const;
  void woken();
  void wait();
  void on_timer();
  void finish(std::string reply);
  bool has_replicas() const;  // of all of its keys

  ShardThread& thread_;
  OwnedRequest request_;
  OwnedRequest original_;  // what request_ was, if it is another one now: options_ views its words
  const std::function<std::unique_ptr<RequestOptions>()> options_;
  Done done_;
  asio::steady_timer timer_;
  std::int64_t deadline_us_ = 0;  // 0: none
  std::optional<WaitingClients::Ticket> ticket_;
  bool polls_ = false;
  bool trying_ = false;
  bool tried_ = false;
  bool replaced_ = false;            // since the attempt under way began
  bool again_ = false;               // since the attempt under way began
  std::size_t key_ = 0;              // that is tried alone
  std::string refusal_;              // whose meaning is being looked for
  std::optional<std::string> last_;  // the reply if that takes nothing
};

}  // namespace even
