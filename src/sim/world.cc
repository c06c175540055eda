#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/check.h"
#include "sim/causal_clients.h"
#include "sim/checks.h"
#include "sim/cluster.h"
#include "sim/compaction_clients.h"
#include "sim/consumers.h"
#include "sim/delayed_keyspaces.h"
#include "sim/depositions.h"
#include "sim/hint_clients.h"
#include "sim/keyspace_client.h"
#include "sim/keyspace_closings.h"
#include "sim/keyspace_tables.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/pauses.h"
#include "sim/quorum_clients.h"
#include "sim/repeated_spending.h"
#include "sim/run.h"
#include "sim/session_clients.h"
#include "sim/stand_ins.h"
#include "sim/strong_clients.h"
#include "sim/strong_groups.h"
#include "sim/topic_clients.h"
#include "sim/transaction_clients.h"
#include "sim/unheard_losses.h"
#include "sim/workload.h"

namespace even::sim {
namespace {

// Longer than the log takes to try again what a failed sync has left undone.
constexpr std::int64_t kRescueUs = 15'000'000;
constexpr std::int64_t kSettleUs =
    60'000'000;  // a cluster without faults must have converged by then
// Without faults, groups have leaders by then, and have answered all reads.
constexpr std::int64_t kElectionUs = 5'000'000;
constexpr std::int64_t kReadsUs = 15'000'000;
// How much more often nodes crash upon a version of the keyspaces than upon a write.
constexpr double kCrashesWhenServing = 10;
// Who asks for what is held back for the longer time has it within the other one.
constexpr std::int64_t kHeldForMs = 600'000;
constexpr std::int64_t kNotWaitedForUs = 2'000'000;
struct Client {
  NodeNumber node;
  int waiting = 0;  // replies due
};

class World {
 public:
  explicit World(Run& run);
  void play();

 private:
  Node& node(NodeNumber n) { return *nodes_[n - 1]; }
  Node& any_node() { return *nodes_[run_.random.below(nodes_.size())]; }
  // One that may lose what it has seen.
  Node& unsafe_node() { return run_.options.damage_every_us > 0 ? *nodes_[victim_] : any_node(); }
  void at_link(NodeNumber at, NodeNumber peer, ShardId shard, Process::Work work);
  void receive(NodeNumber at, NodeNumber peer, ShardId shard, const std::string& message);
  void act(int client);
  void execute(int client, Node& n);
  void replied(int client);
  void lose_replies(const Node& node);
  void schedule_faults();
  void cut_off();
  void crash();
  void lose_beside();
  void restart();
  void crash_at_once(Node& n, double chance);
  ShardId other_number_of_shards();
  void change_shards();
  void start_all();
  void settle();
  void restart_failed();
  void check_replicas(const char* when);
  void check_delays();
  void check_end(const char* when);
  void check_strong(const char* when);
  void drain_streams();
  void check_loss();
  bool run_until(std::int64_t patience_us, const std::function<bool()>& done);

  // What strong partitions take.
  struct Strong {
    Strong(Run& run, const Nodes& nodes)
        : tables(run, nodes),
          groups(run, nodes, run.options.keyspaces ? &tables : nullptr),
          clients(run, nodes, groups, run.random.next()) {
      if (run.options.keyspaces) keyspaces.emplace(run, nodes, tables, run.random.next());
    }
    bool idle() const { return clients.idle() && (!keyspaces || keyspaces->idle()); }
    std::string progress() const { return tables.progress() + groups.progress(); }

    KeyspaceTables tables;
    std::optional<KeyspaceClient> keyspaces;
    StrongGroups groups;
    StrongClients clients;
  };

  Run& run_;
  Workload workload_;
  Network network_;
  Node::Callbacks callbacks_;
  Nodes nodes_;
  Cluster cluster_{run_, network_, nodes_};
  Depositions depositions_{cluster_};
  Pauses pauses_{cluster_};
  UnheardLosses unheard_losses_{cluster_};
  RepeatedSpending repeated_spending_{cluster_};
  std::optional<Strong> strong_;
  std::optional<QuorumClients> quorums_;
  std::optional<HintClients> hints_;
  std::optional<StandIns> stand_ins_;
  std::optional<SessionClients> sessions_;
  std::optional<CausalClients> causal_;
  std::optional<DelayedKeyspaces> delays_;
  std::optional<TopicClients> topics_;
  std::optional<TransactionClients> transactions_;
  std::optional<Consumers> consumers_;
  std::optional<CompactionClients> compactions_;
  std::optional<KeyspaceClosings> closings_;
  std::vector<Client> clients_;
  bool may_falsify_ = false;
  ShardId shards_;          // that each node is to have
  std::size_t victim_ = 0;  // whose store is damaged
};

World::World(Run& run)
    : run_(run),
      workload_(run.options, run.random),
      network_(
          run.options, run.scheduler, run.random,
          {.up =
               [this](NodeNumber at, NodeNumber peer, ShardId shard, std::uint64_t session) {
                 at_link(at, peer, shard,
                         [this, at, peer, shard, session, hello = node(peer).hello()] {
                           network_.enter(at, peer, shard, session);
                           node(at).link_up(hello, shard);
                         });
               },
           .down =
               [this](NodeNumber at, NodeNumber peer, ShardId shard) {
                 at_link(at, peer, shard,
                         [this, at, peer, shard] { node(at).link_down(peer, shard); });
               },
           .receive =
               [this](NodeNumber at, NodeNumber peer, ShardId shard, const std::string& message) {
                 at_link(at, peer, shard,
                         [this, at, peer, shard, message] { receive(at, peer, shard, message); });
               },
           .shards =
               [this](NodeNumber n) { return node(n).serves() ? node(n).shards() : ShardId{0}; }}),
      shards_(run.options.shards) {
  callbacks_.send = [this](NodeNumber from, NodeNumber to, ShardId shard, std::string message) {
    run_.event("n{} -> n{}, shard {}: {} bytes, {:016x}", from, to, shard, message.size(),
               hash64(message));
    network_.send(from, to, shard, std::move(message));
    if (stand_ins_) stand_ins_->sent_by(from);
  };
  callbacks_.started = [this](Node& n) {
    if (strong_) strong_->groups.started(n);
    network_.begin_sessions(n.number);
    if (quorums_) quorums_->started(n);
  };
  callbacks_.went_on = [this](Node& n) { network_.begin_sessions(n.number); };
  callbacks_.turned = [this](const Node& n, const HostedShard& shard) {
    strong_->groups.check(n, shard);
  };
  callbacks_.serving = [this](Node& n, ShardId shard, const KeyspaceTables::Table& table) {
    strong_->tables.served(n, shard, table);
    if (topics_ && table->any_eventual_feeds()) topics_->feed_known(n.number);
    crash_at_once(n, kCrashesWhenServing * run_.options.crash_when_answered);
  };
  callbacks_.relay = [this](PartitionId group, std::vector<std::string> words,
                            Shard::RelayDone done) {
    topics_->relay(group, std::move(words), std::move(done));
  };
  callbacks_.left_closed = [this](PartitionId group, std::uint64_t attempt) {
    closings_->left_closed(group, attempt);
  };
  callbacks_.stopping = [this](const Node& n) { network_.end_sessions(n.number); };
  callbacks_.stopped = [this](const Node& n) { lose_replies(n); };
  callbacks_.replied = [this](int client) { replied(client); };
  for (int n = 1; n <= run.options.nodes; ++n) {
    nodes_.push_back(
        std::make_unique<Node>(run_, callbacks_, static_cast<NodeNumber>(n), run_.random.next()));
  }
  if (run.options.groups > 0) {
    strong_.emplace(run_, nodes_);
    cluster_.groups = &strong_->groups;
    cluster_.burst = [this](PartitionId group, NodeNumber node) {
      strong_->clients.burst(group, node);
    };
  }
  if (run.options.topic_every_us > 0) {
    topics_.emplace(run_, nodes_, strong_->tables, strong_->groups, run_.random.next());
    // They look at all that there ever was.
    if (!run.options.trims()) {
      transactions_.emplace(run_, nodes_, strong_->tables, strong_->groups, run_.random.next());
    }
  }
  if (run.options.consumers) {
    consumers_.emplace(run_, nodes_, strong_->groups, run_.random.next());
    cluster_.generation = [this] { return consumers_->latest(); };
  }
  if (run.options.compacts) {
    compactions_.emplace(run_, nodes_, strong_->tables, run_.random.next());
  }
  if (run.options.closings) {
    closings_.emplace(run_, nodes_, strong_->tables, run_.random.next());
  }
  if (run.options.quorum_every_us > 0) quorums_.emplace(run_, nodes_, run_.random.next());
  if (run.options.causal_every_us > 0) causal_.emplace(run_, nodes_, run_.random.next());
  if (run.options.delay_ms > 0) {
    delays_.emplace(run_, nodes_, run_.random.next());
    if (run.options.keyspaces) {
      delays_->on_alter = [this](std::int64_t delay_ms) {
        strong_->keyspaces->alter_delays(delay_ms);
      };
    }
  }
  if (run.options.hint_every_us > 0) {
    hints_.emplace(run_, nodes_, run_.random.next());
    stand_ins_.emplace(cluster_, *hints_);
  }
  if (run.options.session_every_us > 0) {
    sessions_.emplace(run_, nodes_, run_.random.next());
    run_.acknowledged = [this](PartitionId partition, const Dot& dot) {
      sessions_->acknowledged(partition, dot);
    };
  }
}

// What comes over one link is taken in in its order.
void World::at_link(NodeNumber at, NodeNumber peer, ShardId shard, Process::Work work) {
  node(at).process.execute(
      {Process::Place::Kind::kPeer, std::uint64_t{peer} << 16 | std::uint64_t{shard}},
      std::move(work));
}

void World::receive(NodeNumber at, NodeNumber peer, ShardId shard, const std::string& message) {
  node(at).receive(peer, shard, message);
  // At once, for the trace to end where it went wrong. Where keys are falsified there are many.
  const bool falsified = run_.options.falsify_every_us > 0;
  if (node(at).digest_mismatches() > 0 && !falsified) check_running(run_, nodes_, victim_);
}

void World::act(int c) {
  Client& client = clients_[static_cast<std::size_t>(c)];
  if (run_.settling || client.waiting) return;
  if (run_.random.chance(0.02)) client.node = any_node().number;
  Node& n = node(client.node);
  if (!n.up()) {
    run_.scheduler.after(run_.around(20'000), [this, c] { act(c); });
    return;
  }
  // Not read by a process that is stopped; see lose_replies() if that does not go on.
  client.waiting = 1;
  n.process.execute_for_client([this, c, &n] { execute(c, n); });
}

void World::execute(int c, Node& n) {
  Client& client = clients_[static_cast<std::size_t>(c)];
  client.waiting = 0;
  if (run_.settling) return;
  for (int i = 0; i < run_.options.pipeline; ++i) {
    if (n.execute(c, workload_.next(n.clock.wall_ms()))) ++client.waiting;
  }
  if (client.waiting > 0) return;
  run_.scheduler.after(run_.around(1'000), [this, c] { act(c); });
}

void World::replied(int c) {
  if (c == kNobody) return;
  if (--clients_[static_cast<std::size_t>(c)].waiting > 0) return;
  run_.scheduler.after(run_.around(2'000), [this, c] { act(c); });
}

// The outcome of the requests is unknown.
void World::lose_replies(const Node& n) {
  for (int c = 0; c < static_cast<int>(clients_.size()); ++c) {
    Client& client = clients_[static_cast<std::size_t>(c)];
    if (client.node != n.number || !client.waiting) continue;
    client.waiting = 0;
    run_.scheduler.after(run_.around(20'000), [this, c] { act(c); });
  }
}

void World::cut_off() {
  const NodeNumber lonely = any_node().number;
  const bool one_way = run_.random.chance(0.3);
  const bool inward = run_.random.chance(0.5);
  const std::int64_t duration = run_.around(run_.options.cut_us);
  run_.event("n{} is cut off{} for {} ms", lonely,
             one_way ? (inward ? " (inward)" : " (outward)") : "", duration / 1000);
  for (const auto& other : nodes_) {
    if (other->number == lonely || run_.random.chance(0.2)) continue;
    if (!one_way || inward) network_.cut(other->number, lonely);
    if (!one_way || !inward) network_.cut(lonely, other->number);
  }
  run_.scheduler.after(duration, [this, lonely] { cluster_.heal(lonely); });
}

void World::crash() {
  Node& n = unsafe_node();
  if (n.down()) return;
  Loss loss = run_.random.chance(run_.options.wipe)      ? Loss::kDisk
              : run_.random.chance(run_.options.restore) ? Loss::kToBackup
              : run_.random.chance(run_.options.kill)    ? Loss::kProcess
                                                         : Loss::kPower;
  const bool loses_disk = loss == Loss::kDisk || loss == Loss::kToBackup;
  if (loses_disk && !cluster_.may_lose_disk(n.number)) loss = Loss::kPower;
  n.crash(loss);
  run_.scheduler.after(run_.around(300'000), [&n] {
    if (n.down()) n.start();
  });
}

// The victim's disk first, then those of others: but only where one that is neither has all that
// the victim has. Who is wrong and alone in something gives it only after ten minutes, as it is.
void World::lose_beside() {
  Node& victim = *nodes_[victim_];
  Node& lost = may_falsify_ ? any_node() : victim;
  if (!victim.up() || !lost.up() || (may_falsify_ && &lost == &victim)) return;
  if (!cluster_.may_lose_disk(lost.number)) return;
  for (const PartitionStatus& held : victim.partitions()) {
    if (held.partition >= run_.options.partitions) continue;
    const auto replicas = run_.placement.replicas(held.partition);
    const bool kept = std::ranges::any_of(replicas, [&](NodeNumber number) {
      const Node& other = node(number);
      return &other != &victim && &other != &lost && other.up() &&
             other.state(held.partition).vector().covers(held.vector);
    });
    if (!kept) return;
  }
  lost.crash(Loss::kDisk);
  cluster_.restart_at_once(lost);
  may_falsify_ = true;
}

// Runs that are short, and many.
void World::restart() {
  Node& n = unsafe_node();
  if (!n.up()) return;
  if (strong_ && run_.random.chance(0.2) && n.serves()) {
    // As the server stops: its leaderships go first.
    n.stop_leading();
    return run_.scheduler.after(run_.around(100'000), [this, &n, run_number = n.run_number()] {
      if (!n.up() || n.run_number() != run_number) return;
      if (run_.settling) {
        n.crash(Loss::kProcess);  // its disk may not have recovered yet
      } else {
        n.stop();
      }
      n.start();
    });
  }
  if (run_.random.chance(0.3)) {
    n.stop();
  } else {
    n.crash(run_.random.chance(run_.options.kill) ? Loss::kProcess : Loss::kPower);
  }
  cluster_.restart_at_once(n);
}

// What it has just said, or begun to go by, has to be on its disk.
void World::crash_at_once(Node& n, double chance) {
  if (run_.settling || !run_.random.chance(chance)) return;
  run_.scheduler.after(run_.around(100), [this, &n, run_number = n.run_number()] {
    if (run_.settling || !n.up() || n.run_number() != run_number) return;
    n.crash(Loss::kPower);
    cluster_.restart_at_once(n);
  });
}

ShardId World::other_number_of_shards() {
  return static_cast<ShardId>(1 + (shards_ + run_.random.below(kMostShards - 1)) % kMostShards);
}

// The nodes are stopped and started again, each at a time of its own; it may be down then, or be
// changing to the number before.
void World::change_shards() {
  shards_ = other_number_of_shards();
  run_.event("nodes shall have {} shards", shards_);
  for (const auto& each : nodes_) {
    run_.scheduler.after(run_.around(100'000), [this, &n = *each, shards = shards_] {
      if (run_.settling) return;
      n.configured_shards = shards;
      if (n.up() && run_.random.chance(0.5)) {
        n.stop();
      } else {
        n.crash(run_.random.chance(run_.options.kill) ? Loss::kProcess : Loss::kPower);
      }
      run_.scheduler.after(run_.around(20'000), [&n] {
        if (n.down()) n.start();
      });
    });
  }
}

// Starts every node that does not run as it should.
void World::start_all() {
  for (const auto& n : nodes_) {
    if (std::exchange(n->configured_shards, shards_) != shards_) n->crash(Loss::kProcess);
    if (n->down()) n->start();
  }
}

void World::schedule_faults() {
  const RunOptions& options = run_.options;
  const auto every = [this](std::int64_t mean_us, auto fault) {
    if (mean_us == 0) return;
    // A self-renewing event; the function owns itself through the scheduler.
    auto again = std::make_shared<std::function<void()>>();
    *again = [this, mean_us, fault, weak = std::weak_ptr(again)] {
      if (run_.settling) return;
      fault();
      if (auto self = weak.lock()) {
        run_.scheduler.after(run_.around(mean_us), [self] { (*self)(); });
      }
    };
    run_.scheduler.after(run_.around(mean_us), [again] { (*again)(); });
  };

  if (nodes_.size() > 1) every(options.partition_every_us, [this] { cut_off(); });
  every(options.depose_every_us, [this] { depositions_.depose(); });
  every(options.pause_every_us, [this] { pauses_.begin(); });
  every(options.crash_every_us, [this] { crash(); });
  every(options.restart_every_us, [this] { restart(); });
  every(options.lose_unheard_every_us, [this] { unheard_losses_.begin(); });
  every(options.stand_in_every_us, [this] { stand_ins_->begin(); });
  every(options.spend_again_every_us, [this] { repeated_spending_.begin(); });
  every(options.reshard_every_us, [this] { change_shards(); });
  every(options.clock_jump_every_us, [this] {
    Node& n = any_node();
    n.note_clock();
    n.clock.jump(static_cast<std::int64_t>(run_.random.below(4'000)) - 2'000);
    run_.event("n{}'s clock jumps to {} ms", n.number, n.clock.skew_ms);
  });
  every(options.disk_full_every_us, [this] {
    Node& n = unsafe_node();
    n.disk.faults.full = n.rows.faults.full = true;
    run_.event("n{}'s disk is full", n.number);
    run_.scheduler.after(run_.around(200'000),
                         [&n] { n.disk.faults.full = n.rows.faults.full = false; });
  });
  every(options.backup_every_us, [this] { any_node().back_up(); });
  every(options.damage_every_us, [this] {
    Node& n = *nodes_[victim_];
    n.rows_damaged = true;
    run_.event("{} rows of n{} are damaged", n.rows.damage(1 + run_.random.below(20)), n.number);
  });
  every(options.delay_change_every_us, [this] { delays_->change(); });
  may_falsify_ = options.lose_beside_every_us == 0;
  every(options.lose_beside_every_us, [this] { lose_beside(); });
  every(options.falsify_every_us, [this] {
    if (may_falsify_ && nodes_[victim_]->up()) nodes_[victim_]->falsify();
  });
  every(50'000, [this] { check_running(run_, nodes_, victim_); });
}

void World::settle() {
  run_.settling = true;
  run_.event("faults end");
  if (stand_ins_) stand_ins_->end();
  network_.become_reliable();
  for (const auto& n : nodes_) {
    n->disk.faults.full = n->rows.faults.full = false;
    n->disk.faults.failing_sync = n->rows.faults.failing_commit = n->rows.faults.failing_read = 0;
    n->disk.faults.sync_us = run_.options.sync_us;
    n->rows.faults.behind = 0;
    for (const auto& m : nodes_) {
      if (n != m) network_.heal(n->number, m->number);
    }
  }
  for (const auto& n : nodes_) {
    if (n->process.stopped()) n->continue_process();
  }
  start_all();
  const std::int64_t deadline = run_.scheduler.now_us() + kSettleUs;
  std::size_t records = run_.oracle.records();
  std::int64_t quiet_since = run_.scheduler.now_us();
  for (const auto& n : nodes_) n->failed_since_us = quiet_since;
  while (run_.scheduler.now_us() < deadline) {
    const std::int64_t until = run_.scheduler.now_us() + 100'000;
    while (run_.scheduler.step(until)) {
    }
    check_running(run_, nodes_, victim_);
    restart_failed();
    // Expired keys are still purged, which makes records; what they leave behind goes some time
    // later.
    const bool failed = std::ranges::any_of(nodes_, [](const auto& n) { return n->write_error(); });
    const bool waits = (strong_ && !strong_->idle()) || (topics_ && !topics_->idle()) ||
                       (transactions_ && !transactions_->idle()) ||
                       (consumers_ && !consumers_->idle()) ||
                       (compactions_ && !compactions_->idle()) || (closings_ && !closings_->idle());
    if (failed || waits || !converged(run_, nodes_) || run_.oracle.records() != records) {
      quiet_since = run_.scheduler.now_us();
    }
    records = run_.oracle.records();
    if (run_.scheduler.now_us() - quiet_since > 5'000'000) return;
  }
  violated("the replicas have not converged" + progress(nodes_) +
           (strong_ ? strong_->progress() : ""));
}

// What a failed sync has left is neither in memory nor to be read any more.
void World::restart_failed() {
  for (const auto& n : nodes_) {
    if (!n->write_error()) {
      n->failed_since_us = run_.scheduler.now_us();
    } else if (run_.scheduler.now_us() - n->failed_since_us > kRescueUs) {
      n->crash(Loss::kPower);
      n->start();
    }
  }
}

bool World::run_until(std::int64_t patience_us, const std::function<bool()>& done) {
  const std::int64_t deadline = run_.scheduler.now_us() + patience_us;
  while (!done()) {
    if (!run_.scheduler.step(deadline)) return false;
  }
  return true;
}

// Groups have a leader, which answers.
void World::check_strong(const char* when) {
  if (!strong_) return;
  const bool of_keyspaces = run_.options.keyspaces;
  if (of_keyspaces && !run_until(kElectionUs, [&] { return strong_->tables.agreed(); })) {
    violated(
        fmt::format("{}: nodes differ in their keyspaces or groups{}", when, strong_->progress()));
  }
  for (const PartitionId group :
       of_keyspaces ? strong_->tables.groups() : strong_->groups.groups()) {
    if (run_until(kElectionUs, [&] { return strong_->groups.led(group); })) continue;
    violated(fmt::format("{}: group {} has no leader{}", when, group, strong_->progress()));
  }
  strong_->clients.read_all();
  if (!run_until(kReadsUs, [&] { return strong_->clients.idle(); })) {
    violated(fmt::format("{}: groups do not answer{}", when, strong_->progress()));
  }
  if (topics_) topics_->check(when);
  if (transactions_) transactions_->check(when);
  if (consumers_) consumers_->check(when);
  if (compactions_) compactions_->check(when);
}

// All replicas check what they hold, and nothing is left that differs.
void World::check_replicas(const char* when) {
  for (const auto& n : nodes_) n->start_check();
  std::int64_t quiet_since = run_.scheduler.now_us();
  const auto over = [&] {
    const std::int64_t now_us = run_.scheduler.now_us();
    if (std::ranges::any_of(nodes_, [](const auto& n) { return n->checking(); })) {
      quiet_since = now_us;
    }
    return now_us - quiet_since > 1'000'000;
  };
  if (!run_until(kSettleUs, over)) violated(fmt::format("{}: checks do not come to an end", when));
}

// At any level above ONE, nothing takes longer where records are held back. What is held is given
// up in the end with the delay.
void World::check_delays() {
  if (!delays_ || run_.options.falsify_every_us > 0) return;
  const auto pass = [this](std::int64_t us) { (void)run_until(us, [] { return false; }); };
  delays_->alter(kHeldForMs);
  pass(100'000);
  if (run_.options.keyspaces && !run_until(kElectionUs, [&] {
        return strong_->keyspaces->idle() && strong_->tables.agreed();
      })) {
    violated("the delay of keyspaces does not change" + strong_->progress());
  }
  for (PartitionId partition = 0; partition < run_.options.partitions; ++partition) {
    const auto done = delays_->write(partition);
    if (!done) continue;
    pass(static_cast<std::int64_t>(run_.random.below(200'000)));
    delays_->ask();
    if (run_until(kNotWaitedForUs, done)) continue;
    violated(fmt::format("{}: has to wait for what is held back", delays_->what()));
  }
  (void)delays_->write(0);
  delays_->alter(0);
  settle();
}

void World::check_end(const char* when) {
  const std::size_t records = run_.oracle.records();
  check_replicas(when);
  // By clocks that differ by seconds, keys are still purged meanwhile.
  if (run_.oracle.records() != records) settle();
  if (hints_) hints_->check();
  check_running(run_, nodes_, victim_, true);
  check_content(run_, nodes_, when);
}

// Whatever comes late is given to a group; so in the end it has been given everything.
void World::drain_streams() {
  if (run_.options.falsify_every_us > 0) return;
  for (const std::string_view stream : kLastingStreams) {
    const PartitionId partition = run_.placement.partition_of(stream);
    const auto replicas = run_.placement.replicas(partition);
    Node& reader = node(replicas[run_.random.below(replicas.size())]);
    for (const std::string_view group : kStreamGroups) {
      const std::string_view words[] = {"XREADGROUP", "GROUP", group, "last",
                                        "STREAMS",    stream,  ">"};
      (void)reader.change(partition, words);
    }
    run_.oracle.drained(stream);
  }
}

// Of topics whose logs have gone in part, who has lost its disk is given what comes before the
// rest, by members that have it from their stores since they were restarted.
void World::check_loss() {
  if (!run_.options.trims() || run_.options.wipe == 0) return;
  for (const auto& n : nodes_) {
    if (!strong_->groups.may_lose_disk(n->number)) continue;
    n->crash(Loss::kDisk);
    n->start();
    settle();
    check_end("after the loss of a disk");
    check_strong("after the loss of a disk");
  }
}

void World::play() {
  const RunOptions& options = run_.options;
  victim_ = run_.random.below(nodes_.size());
  if (run_.options.falsify_every_us > 0) run_.oracle.falsified(nodes_[victim_]->number);
  for (const auto& n : nodes_) {
    n->disk.faults.failing_sync = options.failing_sync;
    n->disk.faults.sync_us = options.sync_us;
    n->rows.faults.failing_commit = options.failing_commit;
    n->rows.faults.behind = options.store_behind;
    if (n->number == victim_ + 1) n->rows.faults.failing_read = options.failing_read;
    if (options.skew_ms > 0) {
      const auto skew = run_.random.below(static_cast<std::uint64_t>(2 * options.skew_ms));
      n->clock.skew_ms = static_cast<std::int64_t>(skew) - options.skew_ms;
    }
    n->start();
  }
  clients_.resize(static_cast<std::size_t>(options.clients));
  for (int c = 0; c < options.clients; ++c) {
    clients_[static_cast<std::size_t>(c)].node = any_node().number;
    run_.scheduler.after(run_.around(2'000), [this, c] { act(c); });
  }
  if (strong_) {
    strong_->clients.on_written = [this](NodeNumber n) {
      crash_at_once(node(n), run_.options.crash_when_answered);
    };
    strong_->clients.begin();
    if (strong_->keyspaces) strong_->keyspaces->begin();
  }
  if (quorums_) {
    quorums_->on_seen = [this](NodeNumber n) {
      crash_at_once(node(n), run_.options.crash_when_answered);
    };
    quorums_->begin();
  }
  if (hints_) {
    hints_->on_kept = [this](NodeNumber n) {
      crash_at_once(node(n), run_.options.crash_when_kept);
    };
    hints_->begin();
  }
  if (sessions_) sessions_->begin();
  if (causal_) causal_->begin();
  if (topics_) topics_->begin();
  if (transactions_) transactions_->begin();
  if (consumers_) consumers_->begin();
  if (compactions_) compactions_->begin();
  if (closings_) closings_->begin();
  schedule_faults();
  while (run_.scheduler.step(options.duration_us)) {
  }
  settle();
  check_delays();
  check_end("in the end");
  check_strong("in the end");
  drain_streams();
  // What is on the disks is what was in memory.
  if (options.reshard_every_us > 0 && run_.random.chance(0.5)) shards_ = other_number_of_shards();
  for (const auto& n : nodes_) n->stop();
  start_all();
  settle();
  check_end("after a restart");
  check_strong("after a restart");
  check_loss();
  if (strong_) strong_->clients.check();
  for (const auto& n : nodes_) n->count();
  run_.outcome.records = run_.oracle.records();
}

[[noreturn]] void throw_violation(const char* file, int line, const char* condition,
                                  std::string_view detail) {
  throw Violation(fmt::format("{}:{}: {}: {}", file, line, condition, detail));
}

}  // namespace

Outcome run(const RunOptions& options, bool trace) {
  set_check_handler(throw_violation);
  Run run(options, trace);
  World world(run);
  try {
    world.play();
  } catch (const std::exception& error) {
    run.outcome.violation = error.what();
  }
  set_check_handler(nullptr);
  run.outcome.trace_hash = run.trace.hash();
  run.outcome.simulated_seconds = static_cast<double>(run.scheduler.now_us()) / 1e6;
  return run.outcome;
}

}  // namespace even::sim
