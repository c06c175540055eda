#include "sim/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "store/partition_rows.h"

namespace even::sim {
namespace {

constexpr std::int64_t kEpochMs = 1'700'000'000'000;
constexpr std::int64_t kTickUs = 5'000;

const char* describe(Loss loss) {
  switch (loss) {
    case Loss::kProcess:
      return " alone";
    case Loss::kPower:
      return "";
    case Loss::kDisk:
      return " and loses its disk";
    case Loss::kToBackup:
      return " and is restored from a backup";
  }
  return "";
}

}  // namespace

std::int64_t SimClock::wall_ms() const { return kEpochMs + scheduler_.now_us() / 1000 + skew_ms; }

Node::Node(Run& run, const Callbacks& callbacks, NodeNumber node_number, std::uint64_t seed)
    : number(node_number),
      random(seed),
      clock(run.scheduler),
      disk(run.scheduler, random),
      rows(run.scheduler, random),
      run_(run),
      callbacks_(callbacks) {}

void Node::send(NodeNumber peer, std::string message) {
  callbacks_.send(number, peer, std::move(message));
}

ShardOptions Node::shard_options() {
  const RunOptions& options = run_.options;
  ShardOptions o;
  o.node = number;
  o.partition_count = options.partitions;
  o.expiry_kept_ms = options.expiry_kept_ms;
  for (PartitionId p = 0; p < options.partitions; ++p) {
    if (!run_.placement.holds(number, p)) continue;
    const auto replicas = run_.placement.replicas(p);
    o.partitions.push_back({p, {replicas.begin(), replicas.end()}});
  }
  o.cluster_id = "sim";
  o.log.fsync = options.fsync;
  o.log.segment_bytes = options.segment_bytes;
  o.log.tail_bytes = options.tail_bytes;
  o.log.quick_sync_us = options.quick_sync_us;
  o.log.zero_bytes = options.zero_bytes;
  o.window_bytes = options.window_bytes;
  o.piece_bytes = options.piece_bytes;
  o.pass_bytes = options.pass_bytes;
  o.retain_bytes = options.retain_bytes;
  if (options.evict > 0) {
    o.memory_pressure = [this] { return random.chance(run_.options.evict) ? 2.0 : 0.5; };
  }
  // In the end what there is stays, so that it can be checked.
  o.cache_policy = [this] {
    return run_.settling ? CachePolicy::kNoEviction : run_.options.policy;
  };
  o.observe = [this](std::string_view bytes, RecordOrigin origin) {
    if (const auto made = run_.oracle.made(bytes, origin); !made) violated(made.error().message);
  };
  o.committed = [this](PartitionId partition, const Dot& dot) {
    made_.emplace_back(partition, dot);
  };
  o.warn = [this](const std::string& text) { run_.event("n{} warns: {}", number, text); };
  return o;
}

void Node::start() {
  // A node whose disk fails while it starts is started again.
  const double failing_sync = std::exchange(disk.faults.failing_sync, 0);
  disk.faults.full = false;
  rows.faults.full = false;
  ++run_number_;
  held_.clear();
  repaired_ = 0;
  vectors_.clear();
  store_ = rows.shard_store();
  auto shard = std::make_unique<Shard>(shard_options(), clock, random, disk, *store_, *this);
  const auto recovered = shard->recover();
  disk.faults.failing_sync = failing_sync;
  if (!recovered)
    violated(fmt::format("n{} does not recover: {}", number, recovered.error().message));
  shard_ = std::move(shard);
  shard_->on_released([this] {
    release();
    need_turn();
  });
  // A start makes all durable that it finds.
  if (!shard_->write_error()) ended_.clear();
  run_.event("n{} started as {}", number, shard_->replica_id().to_string());
  tick(run_number_);
  callbacks_.started(*this);
}

// What may be lost now.
void Node::forgive(Loss loss) {
  const bool loses_disk = loss == Loss::kDisk || loss == Loss::kToBackup;
  if (loses_disk || run_.options.fsync != FsyncPolicy::kAlways) {
    ended_.push_back(shard_->replica_id());
    // After a failed sync the kernel may have dropped what it could not write.
    if (loss != Loss::kProcess || shard_->write_error()) {
      for (const ReplicaId replica : std::exchange(ended_, {})) run_.oracle.forgive(replica);
    }
  }
  if (!loses_disk) return;
  // All that it ever made may have been nowhere else.
  for (const PartitionStatus& p : shard_->partitions()) {
    for (const Dot& dot : p.vector.entries()) {
      if (dot.replica.node() == number) run_.oracle.forgive(dot.replica);
    }
  }
}

void Node::crash(Loss loss) {
  if (!up()) return;
  if (loss == Loss::kToBackup && backups_.empty()) loss = Loss::kPower;
  ++run_.outcome.crashes;
  run_.event("n{} crashes{}", number, describe(loss));
  forgive(loss);
  count();
  callbacks_.stopping(*this);
  shard_.reset();
  store_.reset();
  held_.clear();
  switch (loss) {
    case Loss::kProcess:
      rows.crash();
      break;
    case Loss::kPower:
      disk.crash();
      rows.crash();
      break;
    case Loss::kDisk:
      disk.wipe();
      rows.wipe();
      backups_.clear();  // see take_backup()
      break;
    case Loss::kToBackup:
      disk.wipe();
      rows.restore(take_backup());
      break;
  }
  callbacks_.stopped(*this);
}

void Node::restart_cleanly() {
  if (const auto closed = shard_->close(); !closed)
    violated("a clean stop failed: " + closed.error().message);
  crash(Loss::kPower);
  start();
}

// What was executed before it begins is in a backup.
void Node::back_up() {
  if (!up()) return;
  shard_->store_now([this, before = shard_->partitions()](const Result<>& stored) {
    if (!stored) return;
    for (const PartitionStatus& p : before) {
      const auto summary = PartitionRows(p.partition, *store_).summary();
      if (!summary || !(*summary ? **summary : PartitionState::Summary{}).vector.covers(p.vector)) {
        violated(fmt::format("n{}: a backup lacks records of partition {} that were made before it",
                             number, p.partition));
      }
    }
    run_.event("n{} is backed up", number);
    Backup backup = rows.rows();
    // Positions in a log that is not in it.
    backup.erase(backup.lower_bound("\xff\xff"), backup.end());
    backups_.push_back(std::move(backup));
  });
}

// One of the backups, at random. Newer ones are of no use from then on: they have records that this
// node, once more, has never seen, while its peers may in the meantime have dropped residue which
// they had kept for those; see docs/operations.md.
Node::Backup Node::take_backup() {
  backups_.resize(1 + run_.random.below(backups_.size()));
  return backups_.back();
}

void Node::count() const {
  run_.outcome.snapshots += shard_->stats().snapshots_joined;
  run_.outcome.resumed += shard_->stats().snapshots_resumed;
  run_.outcome.conflicts += shard_->stats().conflicts;
  run_.outcome.repairs += shard_->stats().repaired;
  run_.outcome.evicted += shard_->stats().keys_evicted;
}

void Node::link(NodeNumber peer, bool is_up) {
  run_.event("n{}: link to n{} {}", number, peer, is_up ? "up" : "down");
  is_up ? shard_->link_up(peer) : shard_->link_down(peer);
  need_turn();
}

void Node::receive(NodeNumber peer, const std::string& message) {
  const auto received = shard_->receive(peer, message);
  if (!received)
    violated(
        fmt::format("n{} refuses a message of n{}: {}", number, peer, received.error().message));
}

void Node::need_turn() {
  if (turn_scheduled_ || !up()) return;
  turn_scheduled_ = true;
  const auto turn_us = static_cast<std::uint64_t>(run_.options.turn_us);
  run_.scheduler.after(1 + static_cast<std::int64_t>(random.below(turn_us)),
                       [this, run_number = run_number_] {
                         turn_scheduled_ = false;
                         if (!up() || run_number_ != run_number) return;
                         shard_->end_turn();
                         release();
                       });
}

void Node::release() {
  const bool given_up = shard_->release_error().has_value();
  while (!held_.empty() && (held_.front().barrier <= shard_->released() || given_up)) {
    const Held held = std::move(held_.front());
    held_.pop_front();
    if (held.barrier <= shard_->released()) {
      for (const auto& [partition, dot] : held.made) run_.oracle.acknowledged(partition, dot);
      run_.event("client {} gets {:016x}", held.client, hash64(held.reply));
    } else {
      run_.event("client {} gets {}", held.client, *shard_->release_error());
    }
    callbacks_.replied(held.client);
  }
}

void Node::tick(std::uint64_t run_number) {
  if (!up() || run_number_ != run_number) return;
  shard_->tick();
  need_turn();
  for (const PartitionStatus& p : shard_->partitions()) {
    VersionVector& last = vectors_[p.partition];
    if (!p.vector.covers(last))
      violated(fmt::format("n{}: the vector of partition {} went back", number, p.partition));
    last = p.vector;
  }
  restart_after_failure(run_number);
  run_.scheduler.after(kTickUs, [this, run_number] { tick(run_number); });
}

// An operator restarts a node whose disk failed; and what was just repaired is put to the test.
void Node::restart_after_failure(std::uint64_t run_number) {
  const std::uint64_t before = std::exchange(repaired_, shard_->stats().repaired);
  if (run_.settling || !((shard_->write_error() && random.chance(0.02)) ||
                         (repaired_ > before && random.chance(0.6)))) {
    return;
  }
  run_.scheduler.after(1 + static_cast<std::int64_t>(random.below(10'000)), [this, run_number] {
    if (!up() || run_number_ != run_number || run_.settling) return;
    crash(random.chance(0.5) ? Loss::kProcess : Loss::kPower);
    run_.scheduler.after(100'000, [this] {
      if (!up()) start();
    });
  });
}

bool Node::execute(int client, const Operation& operation) {
  const std::vector<std::string_view> args(operation.words.begin(), operation.words.end());
  const Command* command = find_command(args[0]);
  EVEN_CHECK(command != nullptr, operation.words[0]);
  // Routing to a node that holds the keys is the server's; here such commands are skipped.
  bool local = true;
  for_each_key(*command, args, [&](std::string_view key) {
    local = local && shard_->owns(run_.placement.partition_of(key));
  });
  if (!local) return false;
  ++run_.outcome.operations;
  made_.clear();
  // The server waits for this before it executes; what comes later must do no harm.
  if (shard_->any_cold() && run_.random.chance(0.5)) {
    std::vector<Need> needs;
    for_each_need(*command, args, [&needs](const Need& need) { needs.push_back(need); });
    (void)shard_->fetch(needs, [] {});
  }
  std::string reply;
  const LogPosition barrier = shard_->execute(*command, args, false, reply);
  run_.event("client {} at n{}: {} -> {} bytes, {:016x}", client, number,
             fmt::join(operation.words, " "), reply.size(), hash64(reply));
  check_reply(operation, reply);
  held_.push_back({barrier, client, std::move(reply), made_});
  return true;
}

void Node::check_reply(const Operation& operation, const std::string& reply) {
  const bool refused = reply.starts_with("-");
  if (refused && !reply.starts_with("-WRONGTYPE") && !reply.starts_with("-MISCONF") &&
      !(reply.starts_with("-IOERR") && run_.options.damage_every_us > 0) &&
      !reply.starts_with("-ERR value is not") && !reply.starts_with("-ERR hash value is not") &&
      !reply.starts_with("-ERR invalid expire")) {
    violated(fmt::format("{}: unexpected reply {}", fmt::join(operation.words, " "), reply));
  }
  if (!operation.increment || refused) return;
  const auto& i = *operation.increment;
  if (made_.size() != 1)
    violated(fmt::format("{} made {} records", fmt::join(operation.words, " "), made_.size()));
  run_.oracle.increments(made_[0].first, made_[0].second, i.kind, i.key, i.field, i.by);
}

}  // namespace even::sim
