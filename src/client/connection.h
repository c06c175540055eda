// One client: reads requests, has them executed and sends the replies, in order.
//
// All complete requests that a read brings are executed before the next read (pipelining). A
// request whose keys are all in this thread's shard runs at once. Others get a slot in the reply
// queue and go on their way through the router; requests behind them do not wait, unless they touch
// several shards: those run when everything before them has been answered, so that a pipeline sees
// its own writes.
//
// Memory is bounded: a client that does not read its replies is not read from any more once half of
// client.output_buffer_bytes wait, and is closed when all of it do. What other threads and nodes
// are at counts as well: the requests themselves, and for each of them a reply as long as the
// longest of late.
//
// While a client is subscribed to something, what is published comes between its replies.
//
// Owned by its thread and by its operations under way; used on that thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/long_blocks.h"
#include "client/blocked_request.h"
#include "client/command_stats.h"
#include "client/output_limit.h"
#include "client/session.h"
#include "client/slow_log.h"
#include "client/subscriptions.h"
#include "client/transaction.h"
#include "engine/reply.h"
#include "net/client_poller.h"
#include "net/stream.h"
#include "replica/session_reach.h"
#include "resp/reply_queue.h"
#include "resp/request_batch.h"
#include "resp/resp_parser.h"

namespace even {

class ShardThread;
struct AsksForSession;
struct Route;

class Connection final : public Subscriber, public std::enable_shared_from_this<Connection> {
 public:
  Connection(ShardThread& thread, Socket socket, std::uint64_t id);
  ~Connection() override;

  // TLS handshake, if any, then the first read.
  void start();
  // The thread's poller has found something out.
  void on_ready(Readiness what);
  // Sends what may leave. True when more waits for the log. With an error, the replies that
  // wait for the log do so in vain, and it takes their places.
  bool flush(LogPosition released, const std::optional<std::string>& release_error);
  void receive(MessageFrame& frame) override;
  // Closes if more waits for the client than its class may have, or has for too long.
  bool close_if_slow();
  // Takes no more requests and closes when the replies have been sent.
  void finish();
  // The same, of a node that stops: a command that waits gets a reply.
  void stop();
  // For what a command that blocks is to take, or with a command that has not been executed yet.
  bool waits() const {
    return blocked_request_ != nullptr || (block_ != Block::kNone && block_ != Block::kOutput);
  }
  bool closed() const { return closed_; }
  // Closes at once; `reason` is for the log.
  void close(std::string_view reason);

  // For the commands of a connection (connection_commands.h).
  ShardThread& thread() { return thread_; }
  Session& session() { return session_; }
  Transaction& transaction() { return transaction_; }
  // For the slow log. Valid until the client has said something else of itself.
  ClientLabel label() const { return {session_.address, session_.name, session_.id}; }
  // The line of CLIENT LIST.
  std::string describe() const;
  Reply reply() { return Reply(replies_.tail(), session_.resp3); }

  // What this client has seen and written (docs/sessions.md): of eventual keyspaces, from when it
  // has a session; of groups of strong ones, from the first request to one on.
  SessionReach& begin_session();
  GroupsOfClient& groups();
  void forget_session();
  // Before it had a session it has made requests that this node has executed, or others.
  bool used_untracked() const { return used_untracked_; }
  bool used_elsewhere_untracked() const { return used_elsewhere_untracked_; }
  // That is in the session now.
  void tracked() { used_untracked_ = false; }

  // The request that is being executed.
  CommandStats::Entry* last_command() const { return last_command_; }
  bool in_exec() const { return in_exec_; }
  // CLIENT TRACKING (tracking_command.cc, connection_tracking.cc; docs/tracking.md).
  // What the client has cached of these keys, or of all, is not valid any more. `own`: by its own
  // command. Passes it on, if another client is told in its place.
  void invalidate(std::span<const std::string> keys, bool own);
  void invalidate_all();
  // Puts it among what is sent to this client, for itself or for another one. No keys: all.
  void receive_invalidation(std::optional<std::span<const std::string>> keys, bool redirected);
  // The client that was to be told in this one's place has gone.
  void redirection_broken();
  void end_tracking();

  // CLIENT PAUSE has ended.
  void pause_ended() { unblock(Block::kPause); }

  // MONITOR (monitor_command.cc).
  void begin_monitoring();
  void end_monitoring();
  void receive_line(const std::string& line);
  // Logs it in, as who need not say who it is.
  void become_default_user();
  // The users are others than before: what its own may do now holds for what comes, for what it
  // waits for and is subscribed to. Of a user that there is no more, it is closed.
  void users_changed();
  // Databases have been swapped: what it waits for is in another one now.
  void databases_changed();
  // Of what is refused, for ACL LOG. `name`: the user's, if not the connection's own.
  void note_denial(AclDenial::Reason reason, std::string_view object, std::string_view name = {});
  // All that it has replied so far are pushes, which CLIENT REPLY does not leave out.
  void mark_pushes();
  void close_after_replies() { closing_ = true; }
  // Reserves the place of a reply that another thread makes; complete() brings it, with the
  // last_command() that was being executed then.
  std::uint64_t open_slot() { return replies_.open_slot(replies_wanted()); }
  void complete(std::uint64_t slot, std::string reply, CommandStats::Entry* command);
  // The same of a request that was handed to the router.
  void complete_pending(std::uint64_t slot, std::string reply, CommandStats::Entry* command,
                        std::size_t request_bytes);
  // CLIENT UNBLOCK; false: it does not wait (see blocked_request.h).
  bool unblock_request(std::string error);
  // A write that waited for memory may be tried again.
  void store_has_room() { unblock(Block::kMemory); }
  // The node stops on this client's request: the end of the process is the reply.
  void wait_for_stop() { waits_for_stop_ = true; }
  bool waits_for_stop() const { return waits_for_stop_; }
  // Something has come for it while its thread is executing a script that takes long.
  void serve_while_busy();

  std::int64_t idle_us() const;

 private:
  // Why the next request cannot run now; nothing is read meanwhile.
  enum class Block : std::uint8_t {
    kNone,
    kOutput,  // too many replies wait for the client
    kSlots,   // it must not run before those ahead of it have been answered
    kShard,   // the shard is lent
    kStore,   // keys are being read from the store
    kPages,   // memory for a long request is being made ready
    kMemory,  // the store is to be brought up to date first, so that memory can be freed
    kExec,    // a transaction is being executed
    kPause,   // CLIENT PAUSE
  };

  // That are received or sent at a time: others get their turn before the rest of a long request or
  // reply.
  static constexpr std::size_t kMostPlainBytes = 1024 * 1024;
  static constexpr std::size_t kKeptCapacity = 64 * 1024;
  static constexpr std::size_t kFirstPending = 2;
  static constexpr std::size_t kMostPending = 64;

  bool may_read() const;
  void read();
  void on_plain_readable();
  void take(std::string_view fresh);
  void expect_long_request();
  std::size_t blocks_to_execute() const;
  // Goes on when they are there.
  void await_pages();
  // Executes the complete requests at the front of `bytes`; returns how many bytes they took.
  std::size_t execute_all(std::string_view bytes);
  // The same of a batch's requests.
  std::size_t execute_batch(const RequestBatch& batch);
  // Puts those of them that took long into the slow log; `first` is the timer's first lap.
  void log_slow(const RequestBatch& batch, std::size_t first);
  // Why the next request must wait.
  Block blocked() const;
  // Has the keys of the batch read that are in the store only; returns whether there are any.
  bool fetch(const RequestBatch& batch);
  // Other than kNone: the same request is to be tried again later.
  // `lookup`: of the request; may be null.
  Block execute(const Command* command, Args args, const Lookup* lookup);
  // The same without what is common to all replies. `rejected`: it was not executed.
  // `options`: of EVEN.WITH and EVEN.ONCE, which stood before it; null: none did.
  Block execute_request(const Command* command, Args args, const Lookup* lookup, bool& rejected,
                        RequestOptions* options = nullptr);
  void own_once(std::string& id) const;
  Block execute_inner(const Command& command, Args args, bool& rejected, RequestOptions& options);
  Block execute_keys(const Command& command, Args args, const Lookup* lookup,
                     RequestOptions* options);
  // What is asked for of a request, by itself or by its connection; null: nothing.
  // `keyspace`: the level of its keyspace, for a request that asks for none.
  std::unique_ptr<RequestOptions> options_of(bool writes, bool strong, RequestOptions* options,
                                             cluster::Level keyspace);
  // The same with regard to sessions, which `asks` is about: of a request to eventual keyspaces.
  void add_session(std::unique_ptr<RequestOptions>& options, const AsksForSession& asks);
  AsksForSession asks_of(const Command& command, Args args, bool writes,
                         const RequestOptions* options) const;
  // Whether a request at BOUNDED can be executed as one at ONE.
  bool is_fresh(const Command& command, Args args, const RequestOptions& options) const;
  void execute_while_busy(const Command* command, Args args);
  // To those clients that watch, at all threads: a request that has been executed.
  // `database`: in which it was.
  void show_to_monitors(const Command& command, Args args, DatabaseNumber database);
  // The selected one, by what the node's databases are now.
  Database database() const;
  // Makes stored words of what a transaction has queued (engine/databases.h).
  static void store_queued(OwnedRequest& part, const DatabaseMap& databases);
  // What a request is refused for, which is noted; nothing: it is allowed.
  std::optional<AclDenial> denied(Args args);
  // Has a script check its calls, wherever it is executed.
  // Of a part of a transaction; `databases`: of the node.
  void bind_to_user(OwnedRequest& request, const DatabaseMap& databases) const;
  // Of FCALL, puts the text of the function in the place of its name, and EVAL in that of the
  // command: so who executes it need not know the library. Not of a function that there is not.
  void carry_function(OwnedRequest& request) const;
  // Why a transaction may not be executed any more, as a reply's text; empty: it may.
  std::string refusal_of_exec(const Transaction::Execution& execution);
  // Of a request that was executed in this turn.
  void note_executed(const RequestOptions& options, bool writes);
  void count_level(const RequestOptions* options);
  // Executes a request of a session at once, if all that it takes is here. False: not so.
  bool execute_in_session(const Command& command, Args args, const RequestOptions& options,
                          const Lookup* lookup);
  cluster::Level keyspace_level(const Command& command, Args args, bool writes) const;
  // `asked`: as the client has written it.
  void execute_blocking(const Command& command, Args args, const Command& asked_command,
                        Args asked);
  Block execute_watch(const Command& command, Args args);
  Block execute_exec(const Command& command, Args args, RequestOptions* options);
  void finish_exec(Transaction::Execution execution, std::string_view reply);
  // Between MULTI and EXEC.
  void queue(const Command& command, Args args);
  bool replies_wanted() const { return !session_.no_replies && !session_.skips_reply; }
  // Has the keys of a command remembered that is about to be executed, if it reads.
  void remember_keys(const Command& command, Args args);
  // Of a read that this node's replica does not answer, or may not: the keys, which are invalid as
  // soon as they have been read, since nobody here would say when they change. Empty: it does.
  std::vector<std::string> uncertain_keys(const Command& command, Args args, const Route& route,
                                          const RequestOptions* options) const;
  void send_invalidation(std::optional<std::span<const std::string>> keys);
  // Empty in RESP2: that has no such message.
  void receive_push(std::string_view in_resp2, std::string_view in_resp3);
  // CLIENT PAUSE holds it up.
  bool is_paused(const Command& command) const;
  void unblock(Block block);
  void resume();
  void note_dirty();
  // What a client was sent, since it is subscribed to it, while it was amid the replies of EXEC.
  void release_pushes();
  bool flush_plain(std::string_view bytes);
  bool flush_tls(std::string_view bytes);
  // Replies and requests on their way, so that no more requests are to be executed for now.
  bool too_much_waits() const;

  ShardThread& thread_;
  std::unique_ptr<Stream> tls_;
  int plain_ = -1;  // the socket, if there is no TLS
  Session session_;
  Transaction transaction_;
  std::shared_ptr<GroupsOfClient> groups_;  // from the first request to a strong keyspace on
  std::shared_ptr<SessionReach> reach_;     // from begin_session() on
  bool used_untracked_ = false;
  bool used_elsewhere_untracked_ = false;
  bool executing_ = false;                           // one, elsewhere
  std::shared_ptr<BlockedRequest> blocked_request_;  // null: none
  OwnedRequest asked_;                               // of it: what the client has written
  RespParser parser_;
  // Received and not executed. Empty most of the time: reads go through the thread's buffer.
  std::string input_;
  long_blocks::Expected pages_;  // for a long request at its front
  std::string tls_input_;
  ReplyQueue replies_;
  std::string tls_output_;       // being written
  std::size_t reply_begin_ = 0;  // of the reply to the request that is being executed, in its block
  bool in_exec_ = false;         // the replies of EXEC are being put together
  // Until they are: in the form of both protocols, as one of them may be HELLO's.
  struct HeldPushes {
    std::string resp2, resp3;
    void add(std::string_view in_resp2, std::string_view in_resp3) {
      resp2 += in_resp2;
      resp3 += in_resp3;
    }
    std::size_t size() const { return std::max(resp2.size(), resp3.size()); }
    const std::string& in(bool is_resp3) const { return is_resp3 ? resp3 : resp2; }
  };
  HeldPushes held_pushes_;
  bool pushes_wait_ = false;  // among the replies
  SoftLimit soft_limit_;
  // Requests that others are at, and their bytes.
  std::size_t pending_ = 0;
  std::size_t pending_bytes_ = 0;
  // How many there may be: few at first, until it is known how long replies are.
  std::size_t most_pending_ = kFirstPending;
  std::size_t expected_reply_ = 0;
  CommandStats::Entry* last_command_ = nullptr;
  bool executed_here_ = false;  // the last request, on this thread and within this turn

  bool in_batch_ = false;  // requests of it are being executed, further up on the stack
  bool reading_ = false;   // a read is under way, or the poller watches for one
  Block block_ = Block::kNone;
  bool waiting_for_slots_ = false;  // the last request must be answered before the next one runs
  bool resuming_ = false;
  bool fetched_ = false;  // what comes next, just now
  bool writing_ = false;
  bool dirty_ = false;
  bool closing_ = false;  // no more requests; close when the replies have left
  bool closed_ = false;
  bool waits_for_stop_ = false;
};

}  // namespace even
