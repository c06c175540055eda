#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/check.h"
#include "sim/causal_clients.h"
#include "sim/checks.h"
#include "sim/compaction_clients.h"
#include "sim/consumers.h"
#include "sim/delayed_keyspaces.h"
#include "sim/hint_clients.h"
#include "sim/keyspace_client.h"
#include "sim/keyspace_tables.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/quorum_clients.h"
#include "sim/run.h"
#include "sim/session_clients.h"
#include "sim/strong_clients.h"
#include "sim/strong_groups.h"
#include "sim/topic_clients.h"
#include "sim/transaction_clients.h"
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
// How long a leader is cut off at most.
constexpr std::int64_t kDepositionUs = 3'000'000;
// How long who has lost its disk may take to be complete; and how long it is alone then.
constexpr std::int64_t kCompletionUs = 3'000'000;
constexpr std::int64_t kAloneUs = 500'000;

// How long others stand in for owners that are away, and until what they keep is handed over.
constexpr std::int64_t kStandInUs = 2'500'000;
// Who has the owners in reach again hands over what they lack after about so long.
constexpr std::int64_t kHandedOverUs = 380'000;
constexpr std::int64_t kHandingOverUs = 150'000;
// For rights to be on the disk, and to be shared out.
constexpr std::int64_t kRightsDurableUs = 100'000;
constexpr std::int64_t kSpentUnsyncedUs = 500'000;
constexpr int kSpentAtMost = 40;

constexpr int kNobody = -1;  // the client of what is executed for its effect

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
  void receive(NodeNumber at, NodeNumber peer, ShardId shard, const std::string& message);
  void act(int client);
  void replied(int client);
  void lose_replies(const Node& node);
  void schedule_faults();
  void cut_off();
  // Cuts a node off from all others, or only what comes from them, or goes to them.
  enum class Cut { kBoth, kInward, kOutward };
  void cut(NodeNumber lonely, Cut direction);
  void heal(NodeNumber lonely);
  struct Deposition {
    PartitionId group;
    StrongGroups::Leader leader;                  // that is cut off
    std::int64_t until_us;                        // at the latest
    std::optional<consensus::Index> until_index;  // that its successor has committed
  };
  void depose(PartitionId group);
  void follow(Deposition deposition);
  void crash_behind_pass(NodeNumber number, PartitionId group, std::uint64_t passes);
  void crash();
  void lose_beside();
  // See lose_unheard().
  struct UnheardLoss {
    PartitionId partition;
    Node* lost;
    Node* maker;
    Node* third;
    std::int64_t until_us;  // at the latest
  };
  void lose_unheard();
  void lose(UnheardLoss loss);
  void follow(UnheardLoss loss);
  // See stand_in().
  struct StandIn {
    PartitionId partition;
    Node* maker;
    std::vector<Node*> others;  // owners
    Dot made;
    std::int64_t until_us;  // at the latest
    bool kept = false;
  };
  void stand_in();
  void follow(const StandIn& standing);
  // See spend_again().
  struct Spending {
    Node* spender;
    std::string key;
    PartitionId partition;
    std::uint64_t run_number;
    std::int64_t until_us;  // at the latest
    Dot spent = {};         // the last record of that
  };
  void spend_again();
  void spend(const Spending& spending);
  void follow(const Spending& spending);
  void spend_all(Node& spender, const std::string& key);
  void restart();
  void restart_at_once(Node& n);
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
  std::optional<Strong> strong_;
  std::optional<QuorumClients> quorums_;
  std::optional<HintClients> hints_;
  std::optional<SessionClients> sessions_;
  std::optional<CausalClients> causal_;
  std::optional<DelayedKeyspaces> delays_;
  std::optional<TopicClients> topics_;
  std::optional<TransactionClients> transactions_;
  std::optional<Consumers> consumers_;
  std::optional<CompactionClients> compactions_;
  std::vector<Client> clients_;
  bool deposing_ = false;  // one at a time
  bool losing_ = false;    // the same
  NodeNumber keeper_ = 0;  // that keeps something while its maker is away; 0: none
  bool may_falsify_ = false;
  ShardId shards_;          // that each node is to have
  std::size_t victim_ = 0;  // whose store is damaged
};

World::World(Run& run)
    : run_(run),
      workload_(run.options, run.random),
      network_(
          run.options, run.scheduler, run.random,
          {.up = [this](NodeNumber at, NodeNumber peer,
                        ShardId shard) { node(at).link_up(node(peer), shard); },
           .down = [this](NodeNumber at, NodeNumber peer,
                          ShardId shard) { node(at).link_down(peer, shard); },
           .receive = [this](NodeNumber at, NodeNumber peer, ShardId shard,
                             const std::string& message) { receive(at, peer, shard, message); },
           .shards = [this](NodeNumber n) { return node(n).shards(); }}),
      shards_(run.options.shards) {
  callbacks_.send = [this](NodeNumber from, NodeNumber to, ShardId shard, std::string message) {
    run_.event("n{} -> n{}, shard {}: {} bytes, {:016x}", from, to, shard, message.size(),
               hash64(message));
    network_.send(from, to, shard, std::move(message));
    // What it has handed over it has still to keep.
    if (from == keeper_) run_.scheduler.after(1, [this] { hints_->check(); });
  };
  callbacks_.started = [this](Node& n) {
    if (strong_) strong_->groups.started(n);
    network_.node_started(n.number);
    if (quorums_) quorums_->started(n);
  };
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
  callbacks_.stopping = [this](const Node& n) { network_.node_stopped(n.number); };
  callbacks_.stopped = [this](const Node& n) { lose_replies(n); };
  callbacks_.replied = [this](int client) { replied(client); };
  for (int n = 1; n <= run.options.nodes; ++n) {
    nodes_.push_back(
        std::make_unique<Node>(run_, callbacks_, static_cast<NodeNumber>(n), run_.random.next()));
  }
  if (run.options.groups > 0) strong_.emplace(run_, nodes_);
  if (run.options.topic_every_us > 0) {
    topics_.emplace(run_, nodes_, strong_->tables, strong_->groups, run_.random.next());
    // They look at all that there ever was.
    if (!run.options.trims()) {
      transactions_.emplace(run_, nodes_, strong_->tables, strong_->groups, run_.random.next());
    }
  }
  if (run.options.consumers) {
    consumers_.emplace(run_, nodes_, strong_->groups, run_.random.next());
  }
  if (run.options.compacts) {
    compactions_.emplace(run_, nodes_, strong_->tables, run_.random.next());
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
  if (run.options.hint_every_us > 0) hints_.emplace(run_, nodes_, run_.random.next());
  if (run.options.session_every_us > 0) {
    sessions_.emplace(run_, nodes_, run_.random.next());
    run_.acknowledged = [this](PartitionId partition, const Dot& dot) {
      sessions_->acknowledged(partition, dot);
    };
  }
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
  run_.scheduler.after(duration, [this, lonely] { heal(lonely); });
}

void World::cut(NodeNumber lonely, Cut direction) {
  for (const auto& other : nodes_) {
    if (other->number == lonely) continue;
    if (direction != Cut::kOutward) network_.cut(other->number, lonely);
    if (direction != Cut::kInward) network_.cut(lonely, other->number);
  }
}

void World::heal(NodeNumber lonely) {
  for (const auto& other : nodes_) {
    if (other->number == lonely) continue;
    network_.heal(other->number, lonely);
    network_.heal(lonely, other->number);
  }
}

// Cuts the leader of a group off until there is another one, which has sometimes committed some
// entries: so it comes back with entries that nobody else has, or that others have committed
// without it, while its clients still wait for them.
void World::depose(PartitionId group) {
  const auto leader = strong_->groups.leader(group);
  if (!leader || std::exchange(deposing_, true)) return;
  const Cut direction = run_.random.chance(0.3)   ? Cut::kBoth
                        : run_.random.chance(0.8) ? Cut::kInward
                                                  : Cut::kOutward;
  run_.event("n{} is cut off{}, as it leads group {} in term {}", leader->node,
             direction == Cut::kBoth     ? ""
             : direction == Cut::kInward ? " (inward)"
                                         : " (outward)",
             group, leader->term);
  cut(leader->node, direction);
  follow({.group = group,
          .leader = *leader,
          .until_us = run_.scheduler.now_us() + kDepositionUs,
          .until_index = {}});
}

void World::follow(Deposition deposition) {
  if (run_.settling) return;
  const auto now = strong_->groups.leader(deposition.group);
  const bool deposed = now && now->term > deposition.leader.term;
  if (deposed && !deposition.until_index) {
    deposition.until_index =
        now->committed + (run_.random.chance(0.25) ? 0 : 5 + run_.random.below(30));
  }
  if ((!deposed || now->committed < *deposition.until_index) &&
      run_.scheduler.now_us() < deposition.until_us) {
    run_.scheduler.after(run_.around(10'000), [this, deposition] { follow(deposition); });
    return;
  }
  run_.event("n{} is connected again", deposition.leader.node);
  heal(deposition.leader.node);
  deposing_ = false;
  const Node& former = node(deposition.leader.node);
  // What it had logged is replaced while a pass of its store is under way.
  if (run_.options.store_behind > 0 && run_.options.damage_every_us == 0 && former.up() &&
      run_.random.chance(0.7)) {
    crash_behind_pass(former.number, deposition.group, former.passes(deposition.group) + 1);
  }
  // Its successor in its turn, which may bring it back.
  if (deposed && run_.random.chance(0.5)) {
    run_.scheduler.after(run_.around(150'000), [this, group = deposition.group] {
      if (!run_.settling) depose(group);
    });
  }
}

// As soon as so many passes of this run of the node have been stored, and no later one.
void World::crash_behind_pass(NodeNumber number, PartitionId group, std::uint64_t passes) {
  Node& n = node(number);
  if (run_.settling || !n.up() || n.passes(group) > passes) return;
  if (n.passes(group) < passes) {
    run_.scheduler.after(2'000, [=, this] { crash_behind_pass(number, group, passes); });
    return;
  }
  n.crash(run_.random.chance(0.5) ? Loss::kProcess : Loss::kPower);
  restart_at_once(n);
}

void World::crash() {
  Node& n = unsafe_node();
  if (n.down()) return;
  Loss loss = run_.random.chance(run_.options.wipe)      ? Loss::kDisk
              : run_.random.chance(run_.options.restore) ? Loss::kToBackup
              : run_.random.chance(run_.options.kill)    ? Loss::kProcess
                                                         : Loss::kPower;
  const bool loses_disk = loss == Loss::kDisk || loss == Loss::kToBackup;
  if (loses_disk && strong_ && !strong_->groups.may_lose_disk(n.number)) loss = Loss::kPower;
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
  if (strong_ && !strong_->groups.may_lose_disk(lost.number)) return;
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
  restart_at_once(lost);
  may_falsify_ = true;
}

// A node loses its disk with a record that only its maker has besides. It hears that it is complete
// from a third replica, which has never had that either, and is cut off; only then the maker hears
// of the third, which has the record by now, while what it last heard of the other is of before.
void World::lose_unheard() {
  const auto partition = static_cast<PartitionId>(run_.random.below(run_.options.partitions));
  const auto all = run_.placement.replicas(partition);
  if (all.size() < 3 || losing_) return;
  const std::size_t first = run_.random.below(all.size());
  const auto at = [&](std::size_t i) { return &node(all[(first + i) % all.size()]); };
  UnheardLoss loss{partition, at(0), at(1), at(2), 0};
  if (!loss.lost->up() || !loss.maker->up() || !loss.third->up()) return;
  if (strong_ && !strong_->groups.may_lose_disk(loss.lost->number)) return;
  losing_ = true;
  for (const auto& other : nodes_) {
    // Nor from others.
    if (other.get() == loss.maker || other.get() == loss.lost) continue;
    network_.cut(loss.maker->number, other->number);
    network_.cut(loss.lost->number, other->number);
  }
  std::string key;
  do {
    key = fmt::format("unheard:{}", run_.random.below(1'000'000));
  } while (run_.placement.partition_of(key) != partition);
  const std::string_view words[] = {"SET", key, "v"};
  (void)loss.maker->change(partition, words);
  // It reports it before.
  run_.scheduler.after(4 * run_.options.delay_us + 50'000 + run_.around(10'000),
                       [this, loss] { lose(loss); });
}

void World::lose(UnheardLoss loss) {
  if (run_.settling) return;
  loss.lost->crash(Loss::kDisk);
  cut(loss.maker->number, Cut::kBoth);
  for (const auto& other : nodes_) {
    if (other.get() != loss.maker && other.get() != loss.lost) {
      network_.heal(loss.lost->number, other->number);
    }
  }
  restart_at_once(*loss.lost);
  loss.until_us = run_.scheduler.now_us() + kCompletionUs;
  follow(loss);
}

void World::follow(UnheardLoss loss) {
  if (run_.settling) return;
  const PartitionId ids[] = {loss.partition};
  const bool complete =
      loss.lost->up() && loss.lost->hosting(loss.partition).shard().is_complete(ids);
  if (!complete && run_.scheduler.now_us() < loss.until_us) {
    run_.scheduler.after(run_.around(10'000), [this, loss] { follow(loss); });
    return;
  }
  run_.event("n{} is {}complete without n{}", loss.lost->number, complete ? "" : "not ",
             loss.maker->number);
  heal(loss.maker->number);
  cut(loss.lost->number, Cut::kBoth);
  run_.scheduler.after(run_.around(kAloneUs), [this, loss] {
    losing_ = false;
    heal(loss.lost->number);
  });
}

// A write is made while all other owners are away: others stand in for them. When one of these has
// said that it keeps it, the maker goes away, and one owner comes back, which can have the write by
// the hint alone; or the maker comes back at about the time at which that is handed over.
void World::stand_in() {
  const auto partition = static_cast<PartitionId>(run_.random.below(run_.options.partitions));
  const auto owners = run_.placement.replicas(partition);
  if (losing_) return;
  const std::size_t first = run_.random.below(owners.size());
  StandIn standing{partition, &node(owners[first]), {}, {}, 0};
  for (const NodeNumber owner : owners) {
    if (owner != owners[first]) standing.others.push_back(&node(owner));
  }
  const bool all_up = std::ranges::all_of(nodes_, [](const auto& n) { return n->up(); });
  if (!all_up || standing.maker->replaying()) return;
  std::string key;
  do {
    key = fmt::format("kept:{}", run_.random.below(1'000'000));
  } while (run_.placement.partition_of(key) != partition);
  losing_ = true;
  for (const Node* other : standing.others) cut(other->number, Cut::kBoth);
  const std::string_view words[] = {"SET", key, "v"};
  const auto made = standing.maker->change(partition, words);
  standing.until_us = run_.scheduler.now_us() + kStandInUs;
  if (made) {
    standing.made = *made;
    hints_->write(partition, *standing.maker);
    return follow(standing);
  }
  standing.until_us = 0;
  follow(standing);
}

void World::follow(const StandIn& standing) {
  if (run_.settling) return;
  const auto& [partition, maker, others, made, until_us, kept] = standing;
  const bool over = run_.scheduler.now_us() >= until_us;
  Node& back = *others.front();
  if (!kept && !over && hints_->holder_of(partition, made)) {
    run_.event("n{} is kept for, and n{} away", back.number, maker->number);
    cut(maker->number, Cut::kBoth);
    for (const auto& n : nodes_) {
      const bool away = n.get() == maker || std::ranges::find(others, n.get()) != others.end();
      if (away) continue;
      network_.heal(back.number, n->number);
      network_.heal(n->number, back.number);
    }
    keeper_ = *hints_->holder_of(partition, made);
    StandIn next = standing;
    next.kept = true;
    next.until_us = run_.scheduler.now_us() + kStandInUs;
    if (run_.random.chance(0.6)) {
      next.until_us = run_.scheduler.now_us() + kHandedOverUs +
                      static_cast<std::int64_t>(run_.random.below(kHandingOverUs));
    }
    return run_.scheduler.after(1'000, [this, next] { follow(next); });
  }
  const bool handed_over = kept && back.up() && back.state(partition).vector().covers(made);
  if (!over && !handed_over) {
    return run_.scheduler.after(kept ? 1'000 : 10'000, [this, standing] { follow(standing); });
  }
  run_.event("n{} and n{} are back, what was kept is {}handed over", maker->number, back.number,
             handed_over ? "" : "not ");
  hints_->check();
  keeper_ = 0;
  heal(maker->number);
  for (const Node* other : others) heal(other->number);
  losing_ = false;
}

// A node has rights of a counter, durably; it spends them, and crashes when others have heard of
// that and it is not on its disk. The next run of it is alone, and does as it may.
void World::spend_again() {
  const auto partition = static_cast<PartitionId>(run_.random.below(run_.options.partitions));
  const auto replicas = run_.placement.replicas(partition);
  Node& spender = node(replicas[run_.random.below(replicas.size())]);
  if (losing_ || !spender.up() || spender.write_error() || spender.replaying()) return;
  std::string key;
  do {
    key = fmt::format("{}:{}", kBoundedPrefix, run_.random.below(1'000'000));
  } while (run_.placement.partition_of(key) != partition);
  losing_ = true;
  (void)spender.execute(kNobody, {{"SET", key, "60"}, {}});
  (void)spender.execute(kNobody, {{"EVEN.BOUND", key, "MIN", "0"}, {}});
  const bool synced_at_once = run_.options.fsync == FsyncPolicy::kAlways;
  run_.scheduler.after(synced_at_once ? kRightsDurableUs : 1'000'000 + kRightsDurableUs,
                       [this, spending = Spending{&spender, key, partition, spender.run_number(),
                                                  0}] { spend(spending); });
}

void World::spend(const Spending& spending) {
  if (run_.settling) return;
  Node& spender = *spending.spender;
  if (!spender.up() || spender.run_number() != spending.run_number) {
    losing_ = false;
    return;
  }
  spender.disk.faults.sync_us = 2 * kSpentUnsyncedUs;
  spend_all(spender, spending.key);
  const ReplicaId replica = spender.replica();
  const VersionVector& seen = spender.state(spending.partition).vector();
  Spending next = spending;
  next.spent = {replica, seen[replica]};
  next.until_us = run_.scheduler.now_us() + kSpentUnsyncedUs;
  follow(next);
}

void World::spend_all(Node& spender, const std::string& key) {
  for (int i = 0; i < kSpentAtMost; ++i) {
    (void)spender.execute(kNobody,
                          {{"DECR", key}, Operation::Increment{LeafKind::kString, key, "", -1}});
  }
}

void World::follow(const Spending& spending) {
  if (run_.settling) return;
  Node& spender = *spending.spender;
  const bool same_run = spender.up() && spender.run_number() == spending.run_number;
  const bool heard = same_run && std::ranges::any_of(nodes_, [&](const auto& n) {
                       return n.get() != &spender && n->up() &&
                              run_.placement.holds(n->number, spending.partition) &&
                              n->state(spending.partition).vector().covers(spending.spent);
                     });
  if (same_run && !heard && run_.scheduler.now_us() < spending.until_us) {
    return run_.scheduler.after(1'000, [this, spending] { follow(spending); });
  }
  spender.disk.faults.sync_us = run_.options.sync_us;
  losing_ = false;
  if (!heard) return;
  losing_ = true;
  run_.event("n{} shall not know what it has spent", spender.number);
  spender.crash(Loss::kPower);
  cut(spender.number, Cut::kBoth);
  spender.start();
  run_.scheduler.after(kAloneUs / 2, [this, spending] {
    losing_ = false;
    heal(spending.spender->number);
    if (!run_.settling && spending.spender->up()) spend_all(*spending.spender, spending.key);
  });
}

// Runs that are short, and many.
void World::restart() {
  Node& n = unsafe_node();
  if (!n.up()) return;
  if (strong_ && run_.random.chance(0.2)) {
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
  restart_at_once(n);
}

void World::restart_at_once(Node& n) {
  run_.scheduler.after(run_.around(5'000), [&n] {
    if (n.down()) n.start();
  });
}

// What it has just said, or begun to go by, has to be on its disk.
void World::crash_at_once(Node& n, double chance) {
  if (run_.settling || !run_.random.chance(chance)) return;
  run_.scheduler.after(run_.around(100), [this, &n, run_number = n.run_number()] {
    if (run_.settling || !n.up() || n.run_number() != run_number) return;
    n.crash(Loss::kPower);
    restart_at_once(n);
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
  every(options.depose_every_us, [this] {
    const auto& groups = strong_->groups.groups();
    depose(groups[run_.random.below(groups.size())]);
  });
  every(options.crash_every_us, [this] { crash(); });
  every(options.restart_every_us, [this] { restart(); });
  every(options.lose_unheard_every_us, [this] { lose_unheard(); });
  every(options.stand_in_every_us, [this] { stand_in(); });
  every(options.spend_again_every_us, [this] { spend_again(); });
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
  keeper_ = 0;
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
                       (compactions_ && !compactions_->idle());
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
