// One thread of the node: a shard, the clients that were given to this thread, and this shard's
// links to the other nodes, on one Asio event loop.
//
// The loop works in turns. A turn is: the handlers that are ready (requests are executed as they
// are read), then Shard::end_turn() once, then everything that may leave, leaves: one write for
// each connection that has replies, one message queue for each other thread. So a turn's commands
// share one log write, and a connection's pipelined replies share one system call.
//
// When nothing is ready the thread sleeps, or, if it is busy, looks again (busy_polling.h).
//
// While the shard is lent (see lease.h), what needs it waits in the lease.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/long_blocks.h"
#include "base/result.h"
#include "client/command_stats.h"
#include "client/command_timer.h"
#include "client/subscriptions.h"
#include "engine/acl.h"
#include "engine/library.h"
#include "env/posix_clock.h"
#include "env/posix_disk.h"
#include "env/random.h"
#include "net/busy_polling.h"
#include "net/client_poller.h"
#include "node/bounded_requests.h"
#include "node/lease.h"
#include "node/level_meter.h"
#include "node/node_context.h"
#include "node/publisher.h"
#include "node/quorum_requests.h"
#include "node/rate_meter.h"
#include "node/router.h"
#include "node/session_requests.h"
#include "node/strong_requests.h"
#include "node/topic_requests.h"
#include "peer/forwarder.h"
#include "peer/peer_hub.h"
#include "replica/shard.h"
#include "resp/request_batch.h"

namespace even {

class Connection;
namespace kafka {
class Connection;
class Coordinator;
}  // namespace kafka

// What has gone to and fro between a thread's clients and it.
struct ClientTraffic {
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::map<std::string, std::uint64_t, std::less<>> errors;  // replied, by their code
  // Requests that had another level than that of everything, by its kind.
  RequestsAtLevel at_level{};
  RateMeter commands_rate;
  RateMeter input_rate;
  RateMeter output_rate;

  // `reply` begins with an error.
  void note_error(std::string_view reply);
};

class ShardThread {
 public:
  using Task = std::move_only_function<void()>;
  using ThreadTask = std::move_only_function<void(ShardThread&)>;

  ShardThread(NodeContext& node, ShardId id);
  ~ShardThread();
  ShardThread(const ShardThread&) = delete;
  ShardThread& operator=(const ShardThread&) = delete;

  // --- From any thread.

  // Starts the thread, which recovers the shard and then serves.
  void start();
  // The outcome of recovery.
  std::future<Result<>> recovered() { return recovered_.get_future(); }
  // Stops taking requests, as the request says; the future is ready when nothing is under way. Once
  // it is so on all threads, finish() closes the shard and ends the thread, and join() waits for
  // that.
  std::future<void> drain(const StopRequest& request);
  void finish();
  Result<> join();
  // Runs a task on this thread, within a turn.
  void post(Task task);
  // Number of clients, those on their way included; the thread with the fewest gets the next one.
  std::size_t client_count() const { return client_count_.load(std::memory_order_relaxed); }
  // A client will be handed over with adopt_client().
  void reserve_client() { ++client_count_; }

  // --- From this thread.

  NodeContext& node() const { return node_; }
  ShardId id() const { return id_; }
  asio::io_context& io() { return io_; }
  Clock& clock() { return clock_; }
  Random& random() { return random_; }
  Shard& shard() { return *shard_; }
  Lease& lease() { return lease_; }
  Router& router() { return router_; }
  PeerHub& peers() { return peers_; }
  ClientPoller& poller() { return poller_; }
  Forwarder& forwarder() { return forwarder_; }
  StrongRequests& strong() { return strong_; }
  QuorumRequests& quorum() { return quorum_; }
  SessionRequests& sessions() { return sessions_; }
  BoundedRequests& bounded() { return bounded_; }
  TopicRequests& topics() { return topics_; }
  kafka::Coordinator& coordinator() { return *coordinator_; }
  Subscriptions& subscriptions() { return subscriptions_; }
  Publisher& publisher() { return publisher_; }
  // By which this thread's clients are who they are.
  const AclUsers& users() const { return *users_; }
  const LibraryTable& libraries() const { return *libraries_; }
  // By which this thread and its shard look up keys.
  const cluster::KeyspaceTable& keyspaces() const { return *keyspaces_; }
  bool any_strong() const { return any_strong_; }
  // Whether some eventual keyspace has another level than ONE.
  bool any_levels() const { return keyspaces_->any_levels(); }
  CommandStats& stats() { return stats_; }
  ClientTraffic& traffic() { return traffic_; }
  LevelMeter& levels() { return levels_; }
  // What this thread's clients have met of consistency, and its shard, so far.
  ConsistencyCounters consistency() const;
  // What a unit of CommandTimer::counter() is worth.
  double us_per_cycle() const;

  // Runs a task on another thread (or this one, later) within one of its turns. Tasks to one thread
  // run in the order in which they were sent; those of a turn travel together.
  void send_to(ShardId thread, ThreadTask task);
  // Runs a task of this thread once the log is released up to `position`, or with an error when
  // that cannot be for now (see Shard::release_error).
  using ReleaseError = std::optional<std::string>;
  using Release = std::move_only_function<void(const ReleaseError&)>;
  void hold_until(LogPosition position, Release release);
  // How far the log of this shard was released when it was last looked at.
  LogPosition released() const { return released_; }
  // Runs a task of this thread once no shard of the node has anything of its log left to replay.
  void when_replayed(Task task) { when_replayed_.push_back(std::move(task)); }
  // A command was executed in this turn.
  void count(CommandStats::Entry& entry) {
    turn_time_us();
    stats_.count(entry);
  }
  // When this turn's first request was read; monotonic microseconds.
  std::int64_t turn_time_us() {
    if (turn_started_us_ == 0) turn_started_us_ = clock_.monotonic_us();
    return turn_started_us_;
  }

  // Executes a request on this thread's shard and `others`, see Shard::execute().
  LogPosition execute(const OwnedRequest& request, std::string& reply,
                      std::span<Shard* const> others = {});
  // For statistics: what the execution took, in units of CommandTimer::counter(). Another node's
  // clients are not this one's.
  void note_execution(const OwnedRequest& request, std::uint64_t cycles);
  // To the slow log, if its execution has taken long enough.
  void log_if_slow(const OwnedRequest& request, std::int64_t us);
  // For what is executed on this thread batch by batch.
  CommandTimer& timer() { return timer_; }
  // A command was executed that took the slow log's least time or longer.
  void log_slow(const Command& command, Args args, const ClientLabel& client, std::int64_t us);

  // Takes over an accepted socket (a file descriptor that no other event loop knows). From any
  // thread, as a script may be executing on this one.
  void offer_client(int socket);
  void remove_client(std::uint64_t id);
  // The same of a client of topics.
  void adopt_kafka_client(int socket);
  void remove_kafka_client(kafka::Connection* client) { kafka_clients_.erase(client); }
  const std::unordered_map<std::uint64_t, std::shared_ptr<Connection>>& clients() const {
    return clients_;
  }
  // Writes are to wait for the store: for a while where its passes are behind (Shard::pause_us()),
  // or since memory is over its limit and what has changed must be stored before it can leave
  // memory. Not for ever: the limit may be too low for what there is.
  bool must_wait_for_store() const {
    if (writes_pause_until_us_ != 0 && clock_.monotonic_us() < writes_pause_until_us_) return true;
    return node_.shards_short_of_memory.load(std::memory_order_relaxed) > 0 &&
           clock_.monotonic_us() < patience_ends_us_;
  }
  // Calls connection->store_has_room() when they need not any more.
  void wait_for_store(std::weak_ptr<Connection> connection) {
    waiting_for_store_.push_back(std::move(connection));
  }
  // Gives the clients of this thread what the tracking table has for them.
  void deliver_invalidations();
  // Calls connection->pause_ended() when CLIENT PAUSE does not hold it up any more.
  void wait_for_pause(std::weak_ptr<Connection> connection) {
    paused_.push_back(std::move(connection));
    ++node_.pause.held;
  }
  // Clients of this thread that watch commands, and a line for them.
  void add_monitor(std::weak_ptr<Connection> client);
  void remove_monitor(std::uint64_t client);
  void show_to_monitors(const std::string& line);
  // Calls `then` when what is expected of long_blocks is ready.
  void when_ready(long_blocks::Expectation expectation, std::function<void()> then);
  // The connection's replies are to be looked at in the end of this turn.
  void mark_dirty(std::shared_ptr<Connection> connection);
  // Where requests are read into and parsed; used between a read and the end of its handler only.
  std::span<char> read_buffer() { return read_buffer_; }
  RequestBatch& batch() { return batch_; }
  // The same while a batch is being executed.
  RequestBatch& busy_batch() { return busy_batch_; }

 private:
  LogPosition execute_transaction(const OwnedRequest& request, std::string& reply,
                                  std::span<Shard* const> others);
  void run();
  void serve(std::shared_ptr<const cluster::KeyspaceTable> table,
             const std::shared_ptr<const AclUsers>& users,
             std::shared_ptr<const LibraryTable> libraries);
  void serve_users(std::shared_ptr<const AclUsers> users);
  void serve_databases(DatabaseMap databases);
  Result<> recover();
  void replay();
  void end_turn();
  void flush();
  void schedule_tick();
  void tick();
  void close_idle_clients();
  void close_slow_subscribers();
  void sample_rates(std::int64_t now_us);
  void pace_writes(std::int64_t now_us);
  void end_pause(std::int64_t now_us);
  void watch_memory(std::int64_t now_us);
  // Clients that do not wait for the node to stop.
  std::vector<std::shared_ptr<Connection>> clients_to_close() const;
  bool may_stop(std::int64_t now_us) const;
  void on_client_ready(std::uint64_t id, Readiness what);
  void adopt_offered();
  void adopt_client(int socket);
  // Called now and then by a script that has been executing for longer than it should.
  void serve_while_busy();

  NodeContext& node_;
  const ShardId id_;
  asio::io_context io_;
  asio::steady_timer tick_timer_;
  PosixClock clock_{&node_.clock_skew};
  ClientPoller poller_;
  BusyPolling busy_polling_;
  Random random_;
  std::vector<char> read_buffer_;
  RequestBatch batch_;
  RequestBatch busy_batch_;
  Lease lease_;
  Router router_;
  Forwarder forwarder_;
  StrongRequests strong_;
  QuorumRequests quorum_{*this};
  SessionRequests sessions_{*this};
  BoundedRequests bounded_{*this};
  TopicRequests topics_{*this};
  const std::unique_ptr<kafka::Coordinator> coordinator_;
  Subscriptions subscriptions_;
  Publisher publisher_;
  PeerHub peers_;
  std::shared_ptr<const cluster::KeyspaceTable> keyspaces_ =
      std::make_shared<cluster::KeyspaceTable>();
  bool any_strong_ = false;  // of them
  std::shared_ptr<const AclUsers> users_ = std::make_shared<AclUsers>();
  DatabaseMap served_databases_;
  std::shared_ptr<const LibraryTable> libraries_ = std::make_shared<LibraryTable>();
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<RowStore> store_;
  std::unique_ptr<Shard> shard_;

  struct Held {
    LogPosition position;
    Release release;
  };
  std::deque<Held> held_;  // ascending positions
  LogPosition released_ = 0;
  ReleaseError release_error_;
  std::vector<std::vector<ThreadTask>> outboxes_;  // by thread
  std::vector<Task> when_replayed_;
  // What scripts have published in this turn: their replies come first.
  struct ScriptMessage {
    SubscriptionKind kind;
    std::string channel;
    std::string message;
  };
  std::vector<ScriptMessage> script_messages_;

  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> clients_;
  std::unordered_map<kafka::Connection*, std::shared_ptr<kafka::Connection>> kafka_clients_;
  std::atomic<std::size_t> client_count_{0};
  std::mutex offered_mutex_;
  std::vector<int> offered_;  // sockets of clients
  bool busy_ = false;         // within serve_while_busy()
  std::vector<std::shared_ptr<Connection>> dirty_;
  std::vector<std::shared_ptr<Connection>> flushing_;
  std::vector<std::weak_ptr<Connection>> waiting_for_store_;
  std::vector<std::weak_ptr<Connection>> monitors_;
  std::vector<std::weak_ptr<Connection>> paused_;
  bool short_of_memory_ = false;
  std::int64_t patience_ends_us_ = 0;
  std::int64_t writes_pause_until_us_ = 0;  // 0: there is no pause

  CommandStats stats_;
  CommandTimer timer_;
  ClientTraffic traffic_;
  LevelMeter levels_;
  std::int64_t next_sample_us_ = 0;
  std::int64_t next_level_sample_us_ = 0;
  // When the thread was made.
  const std::int64_t made_us_ = clock_.monotonic_us();
  const std::uint64_t made_cycles_ = CommandTimer::counter();
  std::int64_t turn_started_us_ = 0;
  std::int64_t next_idle_check_us_ = 0;

  std::promise<Result<>> recovered_;
  std::optional<std::promise<void>> drained_;
  std::int64_t drain_deadline_us_ = 0;
  std::int64_t leading_deadline_us_ = 0;
  bool links_ended_ = false;
  std::int64_t store_deadline_us_ = 0;
  std::uint64_t failed_passes_ = 0;  // when the deadline was set
  bool stopped_ = false;
  Result<> outcome_;
  std::thread thread_;
};

}  // namespace even
