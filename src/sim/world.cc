#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <stdexcept>

#include "base/check.h"
#include "cluster/placement.h"
#include "env/sim_disk.h"
#include "env/sim_scheduler.h"
#include "replica/shard.h"
#include "sim/difference.h"
#include "sim/network.h"
#include "sim/oracle.h"
#include "sim/trace.h"
#include "sim/workload.h"
#include "store/partition_rows.h"
#include "store/sim_store.h"

namespace even::sim {
namespace {

constexpr std::int64_t kEpochMs = 1'700'000'000'000;
constexpr std::int64_t kTickUs = 5'000;
// Longer than the log takes to try again what a failed sync has left undone.
constexpr std::int64_t kRescueUs = 15'000'000;
constexpr std::int64_t kSettleUs =
    60'000'000;  // a cluster without faults must have converged by then

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class SimClock : public Clock {
 public:
  explicit SimClock(const Scheduler& scheduler) : scheduler_(scheduler) {}
  std::int64_t wall_ms() const override { return kEpochMs + scheduler_.now_us() / 1000 + skew_ms; }
  std::int64_t monotonic_us() const override { return scheduler_.now_us(); }
  std::int64_t skew_ms = 0;

 private:
  const Scheduler& scheduler_;
};

class World;

struct Node : Transport {
  Node(World& w, NodeNumber n, Scheduler& scheduler, std::uint64_t seed)
      : world(w),
        number(n),
        random(seed),
        clock(scheduler),
        disk(scheduler, random),
        rows(scheduler, random) {}
  void send(NodeNumber peer, std::string message) override;

  World& world;
  NodeNumber number;
  Random random;
  SimClock clock;
  SimDisk disk;
  SimStore rows;
  std::unique_ptr<RowStore> store;
  std::unique_ptr<Shard> shard;      // null while the node is down
  std::uint64_t run = 0;             // counts starts
  std::int64_t failed_since_us = 0;  // or later, while faults end
  std::vector<ReplicaId> ended;      // runs of which something may not be on the disk yet
  bool turn_scheduled = false;
  std::uint64_t repaired = 0;                    // partitions, as of the last tick
  std::map<PartitionId, VersionVector> vectors;  // as last seen, to check that they only grow
  // Rows, from the oldest to the newest backup.
  using Backup = std::map<std::string, std::string>;
  std::vector<Backup> backups;

  // Replies that wait for the log.
  struct Held {
    LogPosition barrier;
    int client;
    std::string reply;
    std::vector<std::pair<PartitionId, Dot>> made;
  };
  std::deque<Held> held;
  // Dots made since the current command began.
  std::vector<std::pair<PartitionId, Dot>> made;
};

struct Client {
  NodeNumber node;
  int waiting = 0;  // replies due
};

class World {
 public:
  World(const RunOptions& options, bool print)
      : options_(options),
        trace_(print),
        random_(options.seed),
        workload_(options, random_),
        network_(
            options_, scheduler_, random_,
            {[this](NodeNumber at, NodeNumber peer) { link(at, peer, true); },
             [this](NodeNumber at, NodeNumber peer) { link(at, peer, false); },
             [this](NodeNumber at, NodeNumber peer, const std::string& m) { receive(at, peer, m); },
             [this](NodeNumber n) { return node(n).shard != nullptr; }}) {
    cluster::ClusterMap map;
    map.id = "sim";
    map.partitions = options.partitions;
    map.replicas = static_cast<std::uint16_t>(options.replicas);
    for (int n = 1; n <= options.nodes; ++n) {
      cluster::Node entry;
      entry.name = fmt::format("n{}", n);
      entry.number = static_cast<std::uint16_t>(n);
      entry.host = "127.0.0.1";
      entry.peer_port = static_cast<std::uint16_t>(n);
      map.nodes.push_back(entry);
    }
    placement_ = std::make_unique<cluster::Placement>(map);
    for (int n = 1; n <= options.nodes; ++n) {
      nodes_.push_back(
          std::make_unique<Node>(*this, static_cast<NodeNumber>(n), scheduler_, random_.next()));
    }
  }

  void play();
  Outcome outcome;

  template <typename... Args>
  void event(fmt::format_string<Args...> format, Args&&... args) {
    trace_.event(scheduler_.now_us(), format, std::forward<Args>(args)...);
  }
  void sent(NodeNumber from, NodeNumber to, std::string message) {
    event("n{} -> n{}: {} bytes, {:016x}", from, to, message.size(), hash64(message));
    network_.send(from, to, std::move(message));
  }
  std::uint64_t trace_hash() const { return trace_.hash(); }
  double simulated_seconds() const { return static_cast<double>(scheduler_.now_us()) / 1e6; }

 private:
  Node& node(NodeNumber n) { return *nodes_[n - 1]; }
  void start(Node& node);
  enum class Loss : std::uint8_t {
    kProcess,   // nothing that was written
    kPower,     // what was not synced
    kDisk,      // everything
    kToBackup,  // everything, and a backup is restored
  };
  void crash(Node& node, Loss loss);
  void count(const Node& node);
  void back_up(Node& node);
  Node::Backup take_backup(Node& node);
  void link(NodeNumber at, NodeNumber peer, bool up);
  void receive(NodeNumber at, NodeNumber peer, const std::string& message);
  void need_turn(Node& node);
  void release(Node& node);
  void tick(Node& node, std::uint64_t run);
  void act(int client);
  void request(int client, Node& node);
  void schedule_faults();
  void check_running();
  void settle();
  bool converged();
  void look_for_damage(Node& node);
  // One that may lose what it has seen.
  Node& unsafe_node() {
    return *nodes_[options_.damage_every_us > 0 ? victim_ : random_.below(nodes_.size())];
  }
  void check_end(const char* when);
  ShardOptions shard_options(Node& node);
  std::int64_t around(std::int64_t mean_us) {
    return 1 + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(2 * mean_us)));
  }
  [[noreturn]] void violated(const std::string& what) { throw Violation(what); }

  RunOptions options_;
  Trace trace_;
  Scheduler scheduler_;
  Random random_;
  Workload workload_;
  Network network_;
  Oracle oracle_{options_.policy};
  std::unique_ptr<cluster::Placement> placement_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Client> clients_;
  bool settling_ = false;
  std::size_t victim_ = 0;  // whose store is damaged
};

void Node::send(NodeNumber peer, std::string message) {
  world.sent(number, peer, std::move(message));
}

ShardOptions World::shard_options(Node& node) {
  ShardOptions o;
  o.node = node.number;
  o.partition_count = options_.partitions;
  o.expiry_kept_ms = options_.expiry_kept_ms;
  for (PartitionId p = 0; p < options_.partitions; ++p) {
    const auto replicas = placement_->replicas(p);
    if (std::find(replicas.begin(), replicas.end(), node.number) == replicas.end()) continue;
    o.partitions.push_back({p, {replicas.begin(), replicas.end()}});
  }
  o.cluster_id = "sim";
  o.log.fsync = options_.fsync;
  o.log.segment_bytes = options_.segment_bytes;
  o.log.tail_bytes = options_.tail_bytes;
  o.log.quick_sync_us = options_.quick_sync_us;
  o.log.zero_bytes = options_.zero_bytes;
  o.window_bytes = options_.window_bytes;
  o.piece_bytes = options_.piece_bytes;
  o.pass_bytes = options_.pass_bytes;
  o.retain_bytes = options_.retain_bytes;
  if (options_.evict > 0) {
    o.memory_pressure = [this, &node] { return node.random.chance(options_.evict) ? 2.0 : 0.5; };
  }
  // In the end what there is stays, so that it can be checked.
  o.cache_policy = [this] { return settling_ ? CachePolicy::kNoEviction : options_.policy; };
  o.observe = [this](std::string_view bytes, RecordOrigin origin) {
    if (const auto made = oracle_.made(bytes, origin); !made) violated(made.error().message);
  };
  o.committed = [&node](PartitionId partition, const Dot& dot) {
    node.made.emplace_back(partition, dot);
  };
  o.warn = [this, &node](const std::string& text) { event("n{} warns: {}", node.number, text); };
  return o;
}

void World::start(Node& node) {
  // A node whose disk fails while it starts is started again.
  const double failing_sync = std::exchange(node.disk.faults.failing_sync, 0);
  node.disk.faults.full = false;
  node.rows.faults.full = false;
  ++node.run;
  node.held.clear();
  node.repaired = 0;
  node.vectors.clear();
  node.store = node.rows.shard_store();
  auto shard = std::make_unique<Shard>(shard_options(node), node.clock, node.random, node.disk,
                                       *node.store, node);
  const auto recovered = shard->recover();
  node.disk.faults.failing_sync = failing_sync;
  if (!recovered)
    violated(fmt::format("n{} does not recover: {}", node.number, recovered.error().message));
  node.shard = std::move(shard);
  node.shard->on_released([this, &node] {
    release(node);
    need_turn(node);
  });
  // A start makes all durable that it finds.
  if (recovered && !node.shard->write_error()) node.ended.clear();
  event("n{} started as {}", node.number, node.shard->replica_id().to_string());
  tick(node, node.run);
  network_.node_started(node.number);
}

void World::crash(Node& node, Loss loss) {
  if (!node.shard) return;
  if (loss == Loss::kToBackup && node.backups.empty()) loss = Loss::kPower;
  ++outcome.crashes;
  event("n{} crashes{}", node.number,
        loss == Loss::kProcess ? " alone"
        : loss == Loss::kPower ? ""
        : loss == Loss::kDisk  ? " and loses its disk"
                               : " and is restored from a backup");
  const bool loses_disk = loss == Loss::kDisk || loss == Loss::kToBackup;
  if (loses_disk || options_.fsync != FsyncPolicy::kAlways) {
    node.ended.push_back(node.shard->replica_id());
    // After a failed sync the kernel may have dropped what it could not write.
    if (loss != Loss::kProcess || node.shard->write_error()) {
      for (const ReplicaId run : std::exchange(node.ended, {})) oracle_.forgive(run);
    }
  }
  if (loses_disk) {
    // All that it ever made may have been nowhere else.
    for (const PartitionStatus& p : node.shard->partitions()) {
      for (const Dot& dot : p.vector.entries()) {
        if (dot.replica.node() == node.number) oracle_.forgive(dot.replica);
      }
    }
  }
  count(node);
  network_.node_stopped(node.number);
  node.shard.reset();
  node.store.reset();
  node.held.clear();
  switch (loss) {
    case Loss::kProcess:
      node.rows.crash();
      break;
    case Loss::kPower:
      node.disk.crash();
      node.rows.crash();
      break;
    case Loss::kDisk:
      node.disk.wipe();
      node.rows.wipe();
      node.backups.clear();  // see take_backup()
      break;
    case Loss::kToBackup:
      node.disk.wipe();
      node.rows.restore(take_backup(node));
      break;
  }
  for (int c = 0; c < static_cast<int>(clients_.size()); ++c) {
    Client& client = clients_[static_cast<std::size_t>(c)];
    if (client.node != node.number || !client.waiting) continue;
    client.waiting = 0;  // the outcome of its requests is unknown
    scheduler_.after(around(20'000), [this, c] { act(c); });
  }
}

// What was executed before it begins is in a backup.
void World::back_up(Node& node) {
  if (!node.shard) return;
  node.shard->store_now([this, &node, before = node.shard->partitions()](const Result<>& stored) {
    if (!stored) return;
    for (const PartitionStatus& p : before) {
      const auto summary = PartitionRows(p.partition, *node.store).summary();
      if (!summary || !(*summary ? **summary : PartitionState::Summary{}).vector.covers(p.vector)) {
        violated(fmt::format("n{}: a backup lacks records of partition {} that were made before it",
                             node.number, p.partition));
      }
    }
    event("n{} is backed up", node.number);
    Node::Backup rows = node.rows.rows();
    rows.erase(rows.lower_bound("\xff\xff"), rows.end());  // positions in a log that is not in it
    node.backups.push_back(std::move(rows));
  });
}

// One of the backups, at random. Newer ones are of no use from then on: they have records that this
// node, once more, has never seen, while its peers may in the meantime have dropped residue which
// they had kept for those; see docs/operations.md.
Node::Backup World::take_backup(Node& node) {
  node.backups.resize(1 + random_.below(node.backups.size()));
  return node.backups.back();
}

void World::count(const Node& node) {
  outcome.snapshots += node.shard->stats().snapshots_joined;
  outcome.resumed += node.shard->stats().snapshots_resumed;
  outcome.conflicts += node.shard->stats().conflicts;
  outcome.repairs += node.shard->stats().repaired;
  outcome.evicted += node.shard->stats().keys_evicted;
}

void World::link(NodeNumber at, NodeNumber peer, bool up) {
  event("n{}: link to n{} {}", at, peer, up ? "up" : "down");
  Node& n = node(at);
  up ? n.shard->link_up(peer) : n.shard->link_down(peer);
  need_turn(n);
}

void World::receive(NodeNumber at, NodeNumber peer, const std::string& message) {
  Node& n = node(at);
  if (!n.shard) return;
  const auto received = n.shard->receive(peer, message);
  if (!received)
    violated(fmt::format("n{} refuses a message of n{}: {}", at, peer, received.error().message));
  if (n.shard->stats().digest_mismatches > 0) check_running();
  need_turn(n);
}

void World::need_turn(Node& node) {
  if (node.turn_scheduled || !node.shard) return;
  node.turn_scheduled = true;
  scheduler_.after(1 + static_cast<std::int64_t>(
                           node.random.below(static_cast<std::uint64_t>(options_.turn_us))),
                   [this, &node, run = node.run] {
                     node.turn_scheduled = false;
                     if (!node.shard || node.run != run) return;
                     node.shard->end_turn();
                     release(node);
                   });
}

void World::release(Node& node) {
  const bool given_up = node.shard->release_error().has_value();
  while (!node.held.empty() && (node.held.front().barrier <= node.shard->released() || given_up)) {
    Node::Held held = std::move(node.held.front());
    node.held.pop_front();
    if (held.barrier <= node.shard->released()) {
      for (const auto& [partition, dot] : held.made) oracle_.acknowledged(partition, dot);
      event("client {} gets {:016x}", held.client, hash64(held.reply));
    } else {
      event("client {} gets {}", held.client, *node.shard->release_error());
    }
    if (--clients_[static_cast<std::size_t>(held.client)].waiting > 0) continue;
    scheduler_.after(around(2'000), [this, c = held.client] { act(c); });
  }
}

void World::tick(Node& node, std::uint64_t run) {
  if (!node.shard || node.run != run) return;
  node.shard->tick();
  need_turn(node);
  for (const PartitionStatus& p : node.shard->partitions()) {
    VersionVector& last = node.vectors[p.partition];
    if (!p.vector.covers(last))
      violated(fmt::format("n{}: the vector of partition {} went back", node.number, p.partition));
    last = p.vector;
  }
  // An operator restarts a node whose disk failed; and what was just repaired is put to the test.
  const std::uint64_t before = std::exchange(node.repaired, node.shard->stats().repaired);
  if (!settling_ && ((node.shard->write_error() && node.random.chance(0.02)) ||
                     (node.repaired > before && node.random.chance(0.6)))) {
    scheduler_.after(1 + static_cast<std::int64_t>(node.random.below(10'000)), [this, &node, run] {
      if (node.shard && node.run == run && !settling_) {
        crash(node, node.random.chance(0.5) ? Loss::kProcess : Loss::kPower);
        scheduler_.after(100'000, [this, &node] {
          if (!node.shard) start(node);
        });
      }
    });
  }
  scheduler_.after(kTickUs, [this, &node, run] { tick(node, run); });
}

void World::act(int c) {
  Client& client = clients_[static_cast<std::size_t>(c)];
  if (settling_ || client.waiting) return;
  if (random_.chance(0.02)) client.node = static_cast<NodeNumber>(1 + random_.below(nodes_.size()));
  Node& n = node(client.node);
  if (!n.shard) {
    scheduler_.after(around(20'000), [this, c] { act(c); });
    return;
  }
  for (int i = 0; i < options_.pipeline; ++i) request(c, n);
  if (client.waiting > 0) return need_turn(n);
  scheduler_.after(around(1'000), [this, c] { act(c); });
}

void World::request(int c, Node& n) {
  Client& client = clients_[static_cast<std::size_t>(c)];
  const Operation operation = workload_.next(n.clock.wall_ms());
  const std::vector<std::string_view> args(operation.words.begin(), operation.words.end());
  const Command* command = find_command(args[0]);
  EVEN_CHECK(command != nullptr, operation.words[0]);
  // Routing to a node that holds the keys is the server's; here such commands are skipped.
  bool local = true;
  for_each_key(*command, args, [&](std::string_view key) {
    local = local && n.shard->owns(placement_->partition_of(key));
  });
  if (!local) return;
  ++outcome.operations;
  n.made.clear();
  // The server waits for this before it executes; what comes later must do no harm.
  if (n.shard->any_cold() && random_.chance(0.5)) {
    std::vector<Need> needs;
    for_each_need(*command, args, [&needs](const Need& need) { needs.push_back(need); });
    (void)n.shard->fetch(needs, [] {});
  }
  std::string reply;
  const LogPosition barrier = n.shard->execute(*command, args, false, reply);
  event("client {} at n{}: {} -> {} bytes, {:016x}", c, client.node,
        fmt::join(operation.words, " "), reply.size(), hash64(reply));
  const bool refused = reply.starts_with("-");
  if (refused && !reply.starts_with("-WRONGTYPE") && !reply.starts_with("-MISCONF") &&
      !(reply.starts_with("-IOERR") && options_.damage_every_us > 0) &&
      !reply.starts_with("-ERR value is not") && !reply.starts_with("-ERR hash value is not") &&
      !reply.starts_with("-ERR invalid expire")) {
    violated(fmt::format("{}: unexpected reply {}", fmt::join(operation.words, " "), reply));
  }
  if (operation.increment && !refused) {
    const auto& i = *operation.increment;
    if (n.made.size() != 1)
      violated(fmt::format("{} made {} records", fmt::join(operation.words, " "), n.made.size()));
    oracle_.increments(n.made[0].first, n.made[0].second, i.kind, i.key, i.field, i.by);
  }
  ++client.waiting;
  n.held.push_back({barrier, c, std::move(reply), n.made});
}

void World::schedule_faults() {
  const auto every = [this](std::int64_t mean_us, auto fault) {
    if (mean_us == 0) return;
    // A self-renewing event; the function owns itself through the scheduler.
    auto again = std::make_shared<std::function<void()>>();
    *again = [this, mean_us, fault, weak = std::weak_ptr(again)] {
      if (settling_) return;
      fault();
      if (auto self = weak.lock()) scheduler_.after(around(mean_us), [self] { (*self)(); });
    };
    scheduler_.after(around(mean_us), [again] { (*again)(); });
  };
  const auto any_node = [this]() -> Node& { return *nodes_[random_.below(nodes_.size())]; };

  if (nodes_.size() > 1) {
    every(options_.partition_every_us, [this, any_node] {
      const NodeNumber lonely = any_node().number;
      const bool one_way = random_.chance(0.3);
      const bool inward = random_.chance(0.5);
      const std::int64_t duration = around(500'000);
      event("n{} is cut off{} for {} ms", lonely,
            one_way ? (inward ? " (inward)" : " (outward)") : "", duration / 1000);
      for (const auto& other : nodes_) {
        if (other->number == lonely || random_.chance(0.2)) continue;
        if (!one_way || inward) network_.cut(other->number, lonely);
        if (!one_way || !inward) network_.cut(lonely, other->number);
      }
      scheduler_.after(duration, [this, lonely] {
        for (const auto& other : nodes_) {
          if (other->number == lonely) continue;
          network_.heal(other->number, lonely);
          network_.heal(lonely, other->number);
        }
      });
    });
  }
  every(options_.crash_every_us, [this] {
    Node& n = unsafe_node();
    if (!n.shard) return;
    crash(n, random_.chance(options_.wipe)      ? Loss::kDisk
             : random_.chance(options_.restore) ? Loss::kToBackup
             : random_.chance(options_.kill)    ? Loss::kProcess
                                                : Loss::kPower);
    scheduler_.after(around(300'000), [this, &n] {
      if (!n.shard) start(n);
    });
  });
  every(options_.clock_jump_every_us, [this, any_node] {
    Node& n = any_node();
    n.clock.skew_ms += static_cast<std::int64_t>(random_.below(4'000)) - 2'000;
    event("n{}'s clock jumps to {} ms", n.number, n.clock.skew_ms);
  });
  every(options_.disk_full_every_us, [this] {
    Node& n = unsafe_node();
    n.disk.faults.full = n.rows.faults.full = true;
    event("n{}'s disk is full", n.number);
    scheduler_.after(around(200'000), [&n] { n.disk.faults.full = n.rows.faults.full = false; });
  });
  every(options_.backup_every_us, [this, any_node] { back_up(any_node()); });
  every(options_.damage_every_us, [this] {
    Node& n = *nodes_[victim_];
    event("{} rows of n{} are damaged", n.rows.damage(1 + random_.below(20)), n.number);
  });
  every(50'000, [this] { check_running(); });
}

// Reads all objects, so that damage comes to light.
void World::look_for_damage(Node& node) {
  for (const PartitionStatus& p : node.shard->partitions()) {
    try {
      (void)node.shard->state(p.partition)->recompute_digest();
    } catch (const Unreadable&) {
    }
  }
}

// Equal vectors mean equal digests, at any time, but where there is damage.
void World::check_running() {
  StoreFaults& faults = nodes_[victim_]->rows.faults;
  const double failing_read = std::exchange(faults.failing_read, 0);
  std::map<PartitionId, std::vector<std::pair<NodeNumber, PartitionStatus>>> all;
  for (const auto& n : nodes_) {
    if (!n->shard) continue;
    if (options_.damage_every_us > 0) look_for_damage(*n);
    for (PartitionStatus& p : n->shard->partitions()) {
      if (p.damage) continue;
      if (n->shard->state(p.partition)->recompute_digest() != p.digest) {
        violated(fmt::format("n{}: the digest of partition {} is not that of its content",
                             n->number, p.partition));
      }
      for (const auto& [other, q] : all[p.partition]) {
        if (q.vector == p.vector && q.digest != p.digest) {
          violated(fmt::format(
              "partition {}: n{} and n{} have seen the same but differ:{}", p.partition, other,
              n->number,
              difference(*node(other).shard->state(p.partition), *n->shard->state(p.partition))));
        }
      }
      all[p.partition].emplace_back(n->number, p);
    }
  }
  for (const auto& n : nodes_) {
    if (n->shard && n->shard->stats().digest_mismatches > 0)
      violated(fmt::format("n{} reported a digest mismatch", n->number));
  }
  faults.failing_read = failing_read;
}

bool World::converged() {
  std::map<PartitionId, VersionVector> vectors;
  for (const auto& n : nodes_) {
    if (!n->shard || n->shard->stats().records_pending > 0 || !n->held.empty()) return false;
    for (const PartitionStatus& p : n->shard->partitions()) {
      if (p.damage) return false;
      const auto [at, first] = vectors.try_emplace(p.partition, p.vector);
      if (!first && at->second != p.vector) return false;
    }
  }
  return true;
}

void World::settle() {
  settling_ = true;
  event("faults end");
  network_.become_reliable();
  for (const auto& n : nodes_) {
    n->disk.faults.full = n->rows.faults.full = false;
    n->disk.faults.failing_sync = n->rows.faults.failing_commit = n->rows.faults.failing_read = 0;
    if (!n->shard) start(*n);
    for (const auto& m : nodes_) {
      if (n != m) network_.heal(n->number, m->number);
    }
  }
  const std::int64_t deadline = scheduler_.now_us() + kSettleUs;
  std::size_t records = oracle_.records();
  std::int64_t quiet_since = scheduler_.now_us();
  for (const auto& n : nodes_) n->failed_since_us = quiet_since;
  while (scheduler_.now_us() < deadline) {
    const std::int64_t until = scheduler_.now_us() + 100'000;
    while (scheduler_.step(until)) {
    }
    check_running();
    for (const auto& n : nodes_) {
      if (!n->shard->write_error()) {
        n->failed_since_us = scheduler_.now_us();
      } else if (scheduler_.now_us() - n->failed_since_us > kRescueUs) {
        // What a failed sync has left is neither in memory nor to be read any more.
        crash(*n, Loss::kPower);
        start(*n);
      }
    }
    // Expired keys are still purged, which makes records; what they leave behind goes some time
    // later.
    const bool failed = std::ranges::any_of(
        nodes_, [](const auto& n) { return n->shard->write_error().has_value(); });
    if (failed || !converged() || oracle_.records() != records) quiet_since = scheduler_.now_us();
    records = oracle_.records();
    if (scheduler_.now_us() - quiet_since > 5'000'000) return;
  }
  std::string state;
  for (const auto& n : nodes_) {
    for (const PartitionStatus& p : n->shard->partitions()) {
      state += fmt::format("\n  n{} partition {}: {} {}", n->number, p.partition,
                           p.vector.to_string(), p.damage.value_or(""));
    }
    state += fmt::format("\n  n{}: {} pending, {} replies held", n->number,
                         n->shard->stats().records_pending, n->held.size());
  }
  violated("the replicas have not converged" + state);
}

void World::check_end(const char* when) {
  check_running();
  for (const auto& n : nodes_) {
    for (const PartitionStatus& p : n->shard->partitions()) {
      if (n->shard->state(p.partition)->residue_keys() > 0) {
        std::string keys;
        n->shard->state(p.partition)->for_each([&](std::string_view key, const Object& object) {
          if (object.has_residue()) keys += fmt::format(" '{}' (live: {})", key, object.live());
        });
        violated(fmt::format("{}, n{}: partition {} still keeps residue of {} keys:{}", when,
                             n->number, p.partition, n->shard->state(p.partition)->residue_keys(),
                             keys));
      }
      // Last: it brings what is cold into memory, and residue with it.
      if (const auto right = oracle_.check(p.partition, *n->shard->state(p.partition)); !right) {
        violated(fmt::format("{}, n{}: {}", when, n->number, right.error().message));
      }
    }
  }
}

void World::play() {
  victim_ = random_.below(nodes_.size());
  for (const auto& n : nodes_) {
    n->disk.faults.failing_sync = options_.failing_sync;
    n->rows.faults.failing_commit = options_.failing_commit;
    if (n->number == victim_ + 1) n->rows.faults.failing_read = options_.failing_read;
    if (options_.skew_ms > 0) {
      n->clock.skew_ms = static_cast<std::int64_t>(
                             random_.below(static_cast<std::uint64_t>(2 * options_.skew_ms))) -
                         options_.skew_ms;
    }
    start(*n);
  }
  clients_.resize(static_cast<std::size_t>(options_.clients));
  for (int c = 0; c < options_.clients; ++c) {
    clients_[static_cast<std::size_t>(c)].node =
        static_cast<NodeNumber>(1 + random_.below(nodes_.size()));
    scheduler_.after(around(2'000), [this, c] { act(c); });
  }
  schedule_faults();
  while (scheduler_.step(options_.duration_us)) {
  }
  settle();
  check_end("in the end");
  // What is on the disks is what was in memory.
  for (const auto& n : nodes_) {
    if (const auto closed = n->shard->close(); !closed)
      violated("a clean stop failed: " + closed.error().message);
    crash(*n, Loss::kPower);
    start(*n);
  }
  settle();
  check_end("after a restart");
  for (const auto& n : nodes_) {
    count(*n);
  }
  outcome.records = oracle_.records();
}

[[noreturn]] void throw_violation(const char* file, int line, const char* condition,
                                  std::string_view detail) {
  throw Violation(fmt::format("{}:{}: {}: {}", file, line, condition, detail));
}

}  // namespace

Outcome run(const RunOptions& options, bool trace) {
  set_check_handler(throw_violation);
  World world(options, trace);
  try {
    world.play();
  } catch (const std::exception& error) {
    world.outcome.violation = error.what();
  }
  set_check_handler(nullptr);
  world.outcome.trace_hash = world.trace_hash();
  world.outcome.simulated_seconds = world.simulated_seconds();
  return world.outcome;
}

}  // namespace even::sim
