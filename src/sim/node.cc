#include "sim/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/reserved.h"
#include "engine/outbox.h"
#include "sim/scripted.h"
#include "store/partition_rows.h"

namespace even::sim {
namespace {

constexpr std::int64_t kEpochMs = 1'700'000'000'000;
constexpr std::int64_t kReshardingStepUs = 1'000;
// How much more often nodes crash when the new number of shards has been noted than before.
constexpr double kCrashesWhenNoted = 3;
// Longer than a turn, in which there is one time.
constexpr std::int64_t kTurnUs = 20'000;

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

// What taking in records from peers may cost: each is decoded when it comes, and once more if it
// had to wait.
constexpr std::uint64_t kDecodedForEach = 2;
constexpr double kNodeScripted = 0.05;  // share of the commands that are executed by scripts

// Where a shard is told of tables of keyspaces; other timers are those of hosted_shard.h.
Process::Place told_place(ShardId shard) {
  return {Process::Place::Kind::kTimer, (std::uint64_t{1} << 32) + shard};
}

}  // namespace

std::int64_t SimClock::wall_ms() const { return kEpochMs + scheduler_.now_us() / 1000 + skew_ms; }

Node::Node(Run& run, const Callbacks& callbacks, NodeNumber node_number, std::uint64_t seed)
    : configured_shards(run.options.shards),
      inflates(!Random(seed).chance(run.options.earlier_nodes)),
      number(node_number),
      random(seed),
      clock(run.scheduler),
      process(run.scheduler, random),
      disk(run.scheduler, random),
      rows(run.scheduler, random),
      run_(run),
      callbacks_(callbacks) {
  constexpr auto kDisk = Process::Place::Kind::kDisk;
  disk.tell = [this](std::function<void()> told) { process.execute({kDisk, 0}, std::move(told)); };
  rows.go_on = [this](std::function<void()> step) { process.execute({kDisk, 1}, std::move(step)); };
  shard_callbacks_.send = [this](ShardId shard, NodeNumber to, std::string message) {
    callbacks_.send(number, to, shard, std::move(message));
  };
  shard_callbacks_.ticked = [this](HostedShard& shard) { ticked(shard); };
  shard_callbacks_.turned = [this](HostedShard& shard) {
    if (run_.options.groups == 0) return;
    callbacks_.turned(*this, shard);
    if (shard.shard().has_more()) shard.need_turn();
  };
  shard_callbacks_.replied = [this](const WaitingReply& reply) { replied(reply); };
}

Identity Node::identity(ShardId shards) const {
  return {.cluster = "sim",
          .node = fmt::format("n{}", number),
          .number = number,
          .partitions = run_.options.partitions,
          .shards = shards};
}

ShardOptions Node::shard_options(ShardId shard, ShardId shards) {
  const RunOptions& options = run_.options;
  ShardOptions o;
  o.node = number;
  o.replica = replica_;
  o.shard = shard;
  o.shards = shards;
  o.partition_count = options.partitions;
  o.expiry_wait_ms = options.expiry_wait_ms;
  o.check_interval_ms = options.check_interval_ms;
  o.check_step_keys = o.check_listed_keys = options.check_keys;
  for (PartitionId p = 0; p < options.partitions; ++p) {
    if (shard_of_partition(p, shards) != shard || !run_.placement.holds(number, p)) continue;
    const auto replicas = run_.placement.replicas(p);
    o.partitions.push_back({p, {replicas.begin(), replicas.end()}});
  }
  o.ranking = [this](PartitionId p) { return run_.placement.ranking(p); };
  o.owners = static_cast<std::size_t>(options.replicas);
  o.hint_max_bytes = options.hint_max_bytes;
  o.hint_counted = [this](PartitionId partition, NodeNumber holder, const VersionVector& seen) {
    if (run_.hint_counted) run_.hint_counted(partition, number, holder, seen);
  };
  o.cluster_id = "sim";
  if (options.keyspaces) o.map = run_.map;
  o.log.fsync = options.fsync;
  o.log.segment_bytes = options.segment_bytes;
  o.log.tail_bytes = options.tail_bytes;
  o.log.background_bytes = options.background_bytes;
  o.log.quick_sync_us = options.quick_sync_us;
  o.log.zero_bytes = options.zero_bytes;
  o.window_bytes = options.window_bytes;
  o.piece_bytes = options.piece_bytes;
  o.listing_step = options.listing_step;
  o.listed_bytes = options.listing_step;
  o.pass_bytes = options.pass_bytes;
  o.topic_pass_bytes = options.pass_bytes / 8;
  o.topic_rows_bytes = options.pass_bytes / 32;
  o.replay_bytes = options.replay_bytes;
  o.replay_batch_bytes = options.replay_batch_bytes;
  o.replay_slice_us = 0;  // one batch at a time
  // Who has alone what its log has not, and is wrong, can neither be put right nor give it.
  constexpr std::uint64_t kAll = std::uint64_t{1} << 30;
  o.retain_bytes = run_.oracle.is_falsified(number) ? kAll : options.retain_bytes;
  o.group_log_bytes = options.group_log_bytes;
  o.retain_interval_us = 100'000;
  o.clean_interval_us = 5'000;
  o.clean_slice_bytes = 1 << 10;
  o.clean_map_bytes = options.clean_map_bytes;
  if (options.evict > 0) {
    o.memory_pressure = [this] { return random.chance(run_.options.evict) ? 2.0 : 0.5; };
  }
  // In the end what there is stays, so that it can be checked.
  o.cache_policy = [this] {
    return run_.settling ? CachePolicy::kNoEviction : run_.options.policy;
  };
  if (cache_shares_) o.cache_shares = &*cache_shares_;
  if (stable_) o.stable = &*stable_;
  o.others_hold = run_.options.replicas < run_.options.nodes;
  o.observe = [this](std::string_view bytes, RecordOrigin origin) {
    note_clock();
    // A process that was stopped goes on with the turn that it was in.
    const std::int64_t least_ms = clock.least_turn_ms(kTurnUs) - process.slept_us(kTurnUs) / 1000;
    const auto made = run_.oracle.made(bytes, origin, least_ms, latest_ms_);
    if (!made) violated(made.error().message);
    if (origin != RecordOrigin::kCommand) return;
    const auto head = decode_record_head(bytes);
    logged_.emplace_back(head->partition, head->dot);
  };
  o.committed = [this](PartitionId partition, const Dot& dot) {
    made_.emplace_back(partition, dot);
    asked_for_.emplace(partition, dot);
  };
  if (options.closings) o.left_closed = callbacks_.left_closed;
  o.warn = [this](const std::string& text) { run_.event("n{} warns: {}", number, text); };
  return o;
}

void Node::start() {
  EVEN_CHECK(down(), "started twice");
  disk.faults.full = rows.faults.full = false;
  ++run_number_;
  began_settling_ = run_.settling;
  const auto found = claim_directory(disk, identity(configured_shards), clock, random);
  if (!found) return start_failed(found.error().message);
  replica_ = found->replica();
  runs_.push_back(replica_);
  const auto note = [this](const std::string& text) { run_.event("n{}: {}", number, text); };
  resharding_ = std::make_unique<Resharding>(
      Resharding::Host{
          .disk = disk,
          .clock = clock,
          .random = random,
          .store = [this](ShardId) { return rows.shard_store(); },
          .options = [this](ShardId id, ShardId shards) { return shard_options(id, shards); },
          .inform = note,
          .warn = note},
      *found, configured_shards);
  changes_shards_ = found->shards != configured_shards;
  if (changes_shards_) ++run_.outcome.reshardings;
  settle_shards(run_number_);
}

// A crash may come between any two steps.
void Node::settle_shards(std::uint64_t run_number) {
  if (!resharding_ || run_number_ != run_number) return;
  const auto done = resharding_->step();
  if (!done) return start_failed(done.error().message);
  if (*done) return serve();
  // What the former shards have left is removed only then; the next start may find some of it.
  const bool noted = changes_shards_ && resharding_->shards() == configured_shards;
  const double chance = run_.options.crash_in_resharding * (noted ? kCrashesWhenNoted : 1);
  if (!run_.settling && random.chance(chance)) {
    crash(random.chance(0.5) ? Loss::kProcess : Loss::kPower);
    // The operator may have changed his mind.
    if (random.chance(0.5)) configured_shards = static_cast<ShardId>(1 + random.below(kMostShards));
    return start_later(run_.around(50'000));
  }
  run_.scheduler.after(run_.around(kReshardingStepUs),
                       [this, run_number] { settle_shards(run_number); });
}

// As far as the disk is the reason, an operator starts the node again.
void Node::start_failed(const std::string& why) {
  const RunOptions& options = run_.options;
  const bool disk_may_fail =
      options.failing_sync > 0 || options.failing_commit > 0 || options.disk_full_every_us > 0;
  if (!disk_may_fail || began_settling_) {
    violated(fmt::format("n{} does not start: {}", number, why));
  }
  run_.event("n{} does not start: {}", number, why);
  crash(Loss::kProcess);
  start_later(100'000);
}

void Node::start_later(std::int64_t delay_us) {
  run_.scheduler.after(delay_us, [this] {
    if (down()) start();
  });
}

void Node::serve() {
  resharding_.reset();
  // A node whose disk fails while it starts is started again.
  const double failing_sync = std::exchange(disk.faults.failing_sync, 0);
  disk.faults.full = rows.faults.full = false;
  vectors_.clear();
  cache_shares_.emplace(configured_shards);
  stable_.emplace(static_cast<PartitionId>(run_.options.partitions));
  std::vector<std::unique_ptr<HostedShard>> recovered;
  for (ShardId id = 0; id < configured_shards; ++id) {
    recovered.push_back(std::make_unique<HostedShard>(run_, shard_callbacks_, process,
                                                      shard_options(id, configured_shards), random,
                                                      clock, disk, rows));
    if (const auto done = recovered.back()->recover(); !done) {
      violated(fmt::format("n{} does not recover: {}", number, done.error().message));
    }
    run_.event("n{} started shard {} as {}", number, id,
               recovered.back()->shard().replica_id().to_string());
  }
  shards_ = std::move(recovered);
  disk.faults.failing_sync = failing_sync;
  // A start makes all durable that it finds.
  if (!write_error()) ended_.clear();
  for (const auto& shard : shards_) shard->begin();
  if (run_.table) {
    for (const auto& shard : shards_) shard->shard().serve(run_.table);
  }
  if (run_.options.keyspaces) {
    keyspaces_.assign(shards_.size(), {});
    const PartitionId meta = meta_partition(run_.options.partitions);
    Shard& holder = shards_[shard_of_partition(meta, shards())]->shard();
    holder.on_keyspaces([this](const auto& keyspaces) { spread(keyspaces); });
  }
  if (run_.options.topic_every_us > 0) {
    for (const auto& shard : shards_) {
      shard->shard().on_relay([this](PartitionId group, const std::vector<std::string>& words,
                                     Shard::RelayDone done) {
        callbacks_.relay(
            group, words,
            [this, run_number = run_number_, done = std::move(done)](std::string reply) mutable {
              if (!up() || run_number_ != run_number) return;
              process.execute_for_client(
                  [done = std::move(done), reply = std::move(reply)]() mutable {
                    done(std::move(reply));
                  });
            });
      });
    }
  }
  callbacks_.started(*this);
}

std::optional<Dot> Node::emit(PartitionId partition, Args change, Args emission) {
  HostedShard& host = hosting(partition);
  Shard& shard = host.shard();
  if (shard.write_error()) return std::nullopt;
  made_.clear();
  ++run_.outcome.operations;
  std::string reply;
  shard.execute(*find_command(change), change, false, reply);
  shard.execute(kOutboxCommand, emission, false, reply);
  run_.event("n{}: {} and an event in partition {} -> {}", number, fmt::join(change, " "),
             partition, reply);
  host.need_turn();
  if (made_.size() != 2) return std::nullopt;
  return made_.front().second;
}

std::optional<Dot> Node::change(PartitionId partition, Args change) {
  HostedShard& host = hosting(partition);
  Shard& shard = host.shard();
  if (shard.write_error()) return std::nullopt;
  made_.clear();
  ++run_.outcome.operations;
  std::string reply;
  shard.execute(*find_command(change), change, false, reply);
  run_.event("n{}: {} in partition {} -> {}", number, fmt::join(change, " "), partition, reply);
  host.need_turn();
  return made_.empty() ? std::nullopt : std::optional(made_.back().second);
}

std::optional<Dot> Node::write(PartitionId partition, Args change, const PartitionReach& session) {
  HostedShard& host = hosting(partition);
  Shard& shard = host.shard();
  if (shard.write_error() || !shard.add_causes(partition, session).empty()) return std::nullopt;
  made_.clear();
  ++run_.outcome.operations;
  std::string reply;
  shard.execute(*find_command(change), change, false, reply);
  run_.event("n{}: {} in partition {} -> {}", number, fmt::join(change, " "), partition, reply);
  host.need_turn();
  return made_.size() == 1 ? std::optional(made_.front().second) : std::nullopt;
}

bool Node::knows_everywhere(PartitionId partition, const Dot& dot) const {
  VersionVector vector;
  vector.add(dot);
  return stable_->beyond(partition, vector).empty();
}

// Each shard's thread comes to it in its own time.
void Node::spread(const std::shared_ptr<const cluster::KeyspaceTable>& keyspaces) {
  for (ShardId id = 0; id < shards(); ++id) {
    keyspaces_[id].push_back(keyspaces);
    run_.scheduler.after(run_.around(run_.options.turn_us), [this, id, run_number = run_number_] {
      if (!up() || run_number_ != run_number) return;
      process.execute(told_place(id), [this, id] { serve_next(id); });
    });
  }
}

void Node::serve_table() {
  for (ShardId id = 0; id < shards(); ++id) {
    run_.scheduler.after(run_.around(run_.options.turn_us), [this, id, run_number = run_number_] {
      if (!up() || run_number_ != run_number) return;
      process.execute(told_place(id), [this, id] {
        shards_[id]->shard().serve(run_.table);
        shards_[id]->need_turn();
      });
    });
  }
}

void Node::serve_next(ShardId shard) {
  const auto keyspaces = std::move(keyspaces_[shard].front());
  keyspaces_[shard].pop_front();
  run_.event("n{}: shard {} serves version {} of the keyspaces", number, shard,
             keyspaces->version());
  shards_[shard]->shard().serve(keyspaces);
  callbacks_.serving(*this, shard, keyspaces);
  shards_[shard]->need_turn();
}

// What may be lost now.
void Node::forgive(Loss loss) {
  const bool loses_disk = loss == Loss::kDisk || loss == Loss::kToBackup;
  if (loses_disk || run_.options.fsync != FsyncPolicy::kAlways) {
    ended_.push_back(replica_);
    // After a failed sync the kernel may have dropped what it could not write. Of shards that were
    // started for their logs alone it is not known whether one has failed.
    const bool sync_failed = up() ? write_error() : run_.options.failing_sync > 0;
    if (loss != Loss::kProcess || sync_failed) {
      for (const ReplicaId replica : std::exchange(ended_, {})) run_.oracle.forgive(replica);
    }
  }
  if (!loses_disk) return;
  // All that it ever made may have been nowhere else.
  for (const ReplicaId replica : runs_) run_.oracle.forgive(replica);
}

void Node::crash(Loss loss) {
  if (down()) return;
  const bool loses_disk = loss == Loss::kDisk || loss == Loss::kToBackup;
  // What is lost with a disk is known while the node is up.
  if ((loss == Loss::kToBackup && backups_.empty()) || (loses_disk && !up())) loss = Loss::kPower;
  ++run_.outcome.crashes;
  run_.event("n{} crashes{}{}", number, up() ? "" : " while it starts", describe(loss));
  forgive(loss);
  count();
  process.end();
  callbacks_.stopping(*this);
  shards_.clear();
  resharding_.reset();
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
      backups_.clear();  // see restore_backup()
      break;
    case Loss::kToBackup:
      restore_backup();
      break;
  }
  callbacks_.stopped(*this);
}

void Node::stop_process() {
  run_.event("n{}'s process is stopped", number);
  process.stop();
}

void Node::continue_process() {
  run_.event("n{}'s process goes on", number);
  process.go_on();
  callbacks_.went_on(*this);
}

void Node::stop() {
  if (process.stopped()) return crash(Loss::kProcess);
  for (const auto& shard : shards_) {
    const auto closed = shard->shard().close();
    if (!closed && run_.settling) violated("a clean stop failed: " + closed.error().message);
  }
  crash(Loss::kPower);
}

// What was executed before it begins is in a backup.
void Node::back_up() {
  if (!serves()) return;
  struct Progress {
    std::vector<PartitionStatus> before;
    std::size_t missing;
  };
  const auto progress = std::make_shared<Progress>(partitions(), shards_.size());
  for (const auto& shard : shards_) {
    shard->shard().store_now([this, progress](const Result<>& stored) {
      if (!stored || --progress->missing > 0) return;
      for (const PartitionStatus& p : progress->before) {
        const auto summary = PartitionRows(p.partition, shards_.front()->store()).summary();
        const PartitionState::Summary found =
            summary && *summary ? **summary : PartitionState::Summary{};
        if (found.vector.covers(p.vector)) continue;
        violated(fmt::format("n{}: a backup lacks records of partition {} that were made before it",
                             number, p.partition));
      }
      add_backup();
    });
  }
}

void Node::add_backup() {
  run_.event("n{} is backed up", number);
  Backup backup{rows.rows(), shards()};
  // Positions in a log that is not in it.
  backup.rows.erase(backup.rows.lower_bound("\xff\xff"), backup.rows.lower_bound("\xff\xff\xff"));
  backups_.push_back(std::move(backup));
}

// One of the backups, at random. Newer ones are of no use from then on: they have records that this
// node, once more, has never seen, while its peers may in the meantime have dropped residue which
// they had kept for those; see docs/operations.md.
void Node::restore_backup() {
  backups_.resize(1 + run_.random.below(backups_.size()));
  const Backup& backup = backups_.back();
  disk.wipe();
  rows.restore(backup.rows);
  const DiskFaults faults = std::exchange(disk.faults, {});
  const auto written = write_identity(disk, identity(backup.shards));
  EVEN_CHECK(written.has_value(), "a disk without faults takes a file");
  disk.faults = faults;
}

void Node::count() const {
  for (const auto& shard : shards_) {
    const ShardStats& stats = shard->shard().stats();
    run_.outcome.snapshots += stats.snapshots_joined;
    run_.outcome.resumed += stats.snapshots_resumed;
    run_.outcome.conflicts += stats.conflicts;
    run_.outcome.repairs += stats.repaired;
    run_.outcome.keys_repaired += shard->shard().check_status().repaired;
    run_.outcome.evicted += stats.keys_evicted;
    run_.outcome.folds += stats.folds;
    run_.outcome.ends_exceeded += stats.ends_exceeded;
  }
}

std::vector<GroupStatus> Node::groups() const {
  std::vector<GroupStatus> all;
  for (const auto& shard : shards_) {
    for (GroupStatus& g : shard->shard().groups()) all.push_back(std::move(g));
  }
  return all;
}

void Node::found_group(PartitionId group, const std::vector<consensus::MemberId>& voters,
                       const std::vector<NodeNumber>& replicas) {
  process.execute_for_client([=, this] {
    HostedShard& shard = *shards_[shard_of_partition(group, shards())];
    if (const auto founded = shard.shard().found_group(group, voters, replicas); !founded) {
      violated(
          fmt::format("n{} does not found group {}: {}", number, group, founded.error().message));
    }
    shard.need_turn();
  });
}

void Node::stop_leading() {
  for (const auto& shard : shards_) {
    shard->shard().stop_leading();
    shard->need_turn();
  }
}

void Node::execute_strong(StrongRequest request, StrongDone done) {
  process.execute_for_client(
      [this, request = std::move(request), done = std::move(done)]() mutable {
        ++run_.outcome.operations;
        HostedShard& shard = *shards_[shard_of_partition(request.group, shards())];
        shard.shard().execute_strong(std::move(request), std::move(done));
        shard.need_turn();
      });
}

std::vector<PartitionStatus> Node::partitions() const {
  std::vector<PartitionStatus> all;
  for (const auto& shard : shards_) {
    for (PartitionStatus& p : shard->shard().partitions()) all.push_back(std::move(p));
  }
  return all;
}

const PartitionState& Node::state(PartitionId partition) const {
  return *shards_[shard_of_partition(partition, shards())]->shard().state(partition);
}

bool Node::write_error() const {
  return std::ranges::any_of(
      shards_, [](const auto& shard) { return shard->shard().write_error().has_value(); });
}

std::uint64_t Node::digest_mismatches() const {
  std::uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard->shard().stats().digest_mismatches;
  return sum;
}

void Node::start_check() {
  for (const auto& shard : shards_) shard->shard().start_check();
}

bool Node::checking() const {
  return std::ranges::any_of(shards_, [](const auto& shard) {
    const CheckStatus status = shard->shard().check_status();
    return status.busy || status.passes_done < status.passes_begun || !status.suspect.empty() ||
           status.undecided > 0;
  });
}

std::uint64_t Node::found_wrong() const {
  std::uint64_t sum = 0;
  for (const auto& shard : shards_) {
    const CheckStatus status = shard->shard().check_status();
    sum += status.audits_failed + status.repaired;
  }
  return sum;
}

void Node::falsify() {
  HostedShard& hosted = *shards_[random.below(shards_.size())];
  const auto partitions = hosted.shard().partitions();
  if (partitions.empty()) return;
  const PartitionId id = partitions[random.below(partitions.size())].partition;
  std::string key = fmt::format("made-up-{}", random.below(20));
  try {
    hosted.shard().state(id)->random(random, [&](std::string_view drawn, const Object& object) {
      const bool plain = object.plain_string().sibling_count() == 1 &&
                         !object.plain_string().has_counters() &&
                         object.type() == ObjectType::kString && object.all_bounded() == nullptr;
      if (plain && !is_reserved(drawn) && random.chance(0.8)) key = drawn;
    });
    const bool lost = random.chance(0.4);
    const bool changed =
        hosted.shard().falsify(key, lost ? std::nullopt : std::optional<std::string_view>("false"));
    if (!changed) return;
    run_.oracle.falsified(key);
    run_.event("n{} holds something else of {}", number, key);
  } catch (const Unreadable&) {
  }
}

bool Node::replaying() const {
  return std::ranges::any_of(
      shards_, [](const auto& shard) { return shard->shard().replay_progress().under_way(); });
}

std::uint64_t Node::ends_exceeded() const {
  std::uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard->shard().stats().ends_exceeded;
  return sum;
}

std::uint64_t Node::records_pending() const {
  std::uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard->shard().stats().records_pending;
  return sum;
}

std::uint64_t Node::hints() const {
  std::uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard->shard().hints().records;
  return sum;
}

std::size_t Node::replies_held() const {
  std::size_t sum = 0;
  for (const auto& shard : shards_) sum += shard->held();
  return sum;
}

void Node::link_up(const Hello& peer, ShardId shard) {
  run_.event("n{}: link of shard {} to {} up", number, shard, peer.replica.to_string());
  shards_[shard]->shard().link_up(peer.replica, peer.inflates);
  shards_[shard]->need_turn();
}

void Node::link_down(NodeNumber peer, ShardId shard) {
  run_.event("n{}: link of shard {} to n{} down", number, shard, peer);
  shards_[shard]->shard().link_down(peer);
  shards_[shard]->need_turn();
}

void Node::receive(NodeNumber peer, ShardId shard, const std::string& message) {
  const auto received = shards_[shard]->shard().receive(peer, message);
  if (!received)
    violated(
        fmt::format("n{} refuses a message of n{}: {}", number, peer, received.error().message));
  shards_[shard]->need_turn();
}

void Node::ticked(HostedShard& shard) {
  for (const PartitionStatus& p : shard.shard().partitions()) {
    if (!p.replayed) continue;  // nobody has seen it
    VersionVector& last = vectors_[p.partition];
    if (!p.vector.covers(last))
      violated(fmt::format("n{}: the vector of partition {} went back", number, p.partition));
    last = p.vector;
  }
  const ShardStats& stats = shard.shard().stats();
  if (stats.records_decoded > kDecodedForEach * stats.records_received ||
      stats.records_looked_in_vain > 0) {
    violated(fmt::format(
        "n{}: records were decoded {} times to take in {}, and {} looked at in vain", number,
        stats.records_decoded, stats.records_received, stats.records_looked_in_vain));
  }
  for (const auto& each : std::exchange(logged_, {})) {
    if (asked_for_.erase(each) > 0) continue;
    violated(fmt::format("n{}: record {} of partition {} is of no command", number,
                         each.second.to_string(), each.first));
  }
  // An operator restarts a node whose disk failed; and what was just repaired is put to the test.
  const bool repaired = shard.newly_repaired() > 0;
  if (run_.settling) return;
  const bool replaying = shard.shard().replay_progress().under_way();
  if ((shard.shard().write_error() && random.chance(0.02)) || (repaired && random.chance(0.6)) ||
      (replaying && random.chance(run_.options.crash_in_replay))) {
    crash_soon();
  }
}

void Node::crash_soon() {
  run_.scheduler.after(1 + static_cast<std::int64_t>(random.below(10'000)),
                       [this, run_number = run_number_] {
                         if (!up() || run_number_ != run_number || run_.settling) return;
                         crash(random.chance(0.5) ? Loss::kProcess : Loss::kPower);
                         start_later(100'000);
                       });
}

// Ascending; none if another node has to execute it.
std::vector<ShardId> Node::shards_of(const Command& command, Args args) const {
  std::vector<ShardId> ids;
  if (command.scope == Scope::kAll) {
    for (ShardId id = 0; id < shards(); ++id) ids.push_back(id);
    return ids;
  }
  bool all_held = true;
  for_each_key(command, args, [&](std::string_view key) {
    const PartitionId partition = run_.placement.partition_of(key);
    all_held = all_held && run_.placement.holds(number, partition);
    ids.push_back(shard_of_partition(partition, shards()));
  });
  if (!all_held) return {};
  std::ranges::sort(ids);
  const auto rest = std::ranges::unique(ids);
  ids.erase(rest.begin(), rest.end());
  return ids;
}

bool Node::execute(int client, Operation operation) {
  if (operation.words[0] == "EVEN.RESOLVE") {
    operation.words[2] = run_.contexts.any(operation.words[1], run_.random);
  }
  const std::vector<std::string_view> args(operation.words.begin(), operation.words.end());
  const Command* command = find_command(args);
  EVEN_CHECK(command != nullptr, operation.words[0]);
  // Routing to a node that holds the keys is the server's; here such commands are skipped.
  const std::vector<ShardId> ids = shards_of(*command, args);
  if (ids.empty()) return false;
  ++run_.outcome.operations;
  made_.clear();
  // One shard executes; what others own is lent to it, as by the server's threads.
  const ShardId home =
      ids.size() == 1 ? ids.front() : static_cast<ShardId>(run_.random.below(shards_.size()));
  Shard& shard = shards_[home]->shard();
  // The server waits for this before it executes; what comes later must do no harm.
  if (shard.any_cold() && run_.random.chance(0.5)) {
    std::vector<Need> needs;
    for_each_need(*command, args, [&needs](const Need& need) { needs.push_back(need); });
    (void)shard.fetch(needs, [] {});
  }
  std::vector<Shard*> others;
  for (const ShardId id : ids) {
    if (id != home) others.push_back(&shards_[id]->shard());
  }
  std::shared_ptr<Listing> listing;
  if (shard.lists_much(*command, args)) listing = shard.list(*command, args, false);
  const auto reply = std::make_shared<WaitingReply>(WaitingReply{.client = client});
  const bool replaying_before = replaying();
  LogPosition barrier = 0;
  std::optional<SiblingsLeft> left;
  const bool of_siblings = args.size() > 1 && args[1].starts_with(kSiblingPrefix);
  if (of_siblings && !replaying_before && !write_error()) {
    left = SiblingsLeft::before(*shard.state(run_.placement.partition_of(args[1])), args);
  }
  std::vector<std::string> script;
  if (!listing && command->scope == Scope::kKeys && run_.random.chance(kNodeScripted)) {
    script = scripted(*command, args);
  }
  if (!script.empty()) {
    const std::vector<std::string_view> words(script.begin(), script.end());
    const Command* as_user = find_as_user_command(words);
    barrier = shard.execute(as_user != nullptr ? *as_user : *find_command(words), words, false,
                            reply->text, others);
  } else {
    barrier = shard.execute(*command, args, false, reply->text, others);
  }
  run_.event("client {} at n{}: {} -> {} bytes, {:016x}", client, number,
             fmt::join(operation.words, " "), reply->text.size(), hash64(reply->text));
  check_reply(operation, reply->text);
  if (shard.lacks_rights() && run_.random.chance(0.5)) {
    shard.await_rights(run_.scheduler.now_us() + 100'000, [](bool) {});
  }
  if (args.size() > 1 && args[1].starts_with(kBoundedPrefix)) check_bounded(args[1]);
  if (args[0] == "EVEN.SIBLINGS") run_.contexts.seen(args[1], reply->text);
  if (left) {
    const std::string missing = left->missing(*shard.state(run_.placement.partition_of(args[1])));
    if (!missing.empty()) violated(fmt::format("n{}: {}", number, missing));
  }
  if (replaying_before && !reply->text.starts_with("-")) check_seen(*command, args);
  if (listing) shards_[home]->follow(std::move(listing), reply->text);
  reply->made = made_;
  shards_[home]->hold(barrier, reply);
  shards_[home]->need_turn();
  for (const ShardId id : ids) {
    if (id == home) continue;
    shards_[id]->hold(shards_[id]->shard().barrier(), reply);
    shards_[id]->need_turn();
  }
  return true;
}

// Never beyond the bound, on any node, whatever it knows.
void Node::check_bounded(std::string_view key) const {
  const PartitionId partition = run_.placement.partition_of(key);
  for (const auto& shard : shards_) {
    const PartitionState* state = shard->shard().state(partition);
    if (state == nullptr || state->is_cold(hash64(key))) continue;
    const Object* object = state->find(key, hash64(key));
    if (object == nullptr || object->all_bounded() == nullptr) continue;
    for (const BoundedCounter& counter : *object->all_bounded()) {
      if (counter.number.distance() >= 0) continue;
      violated(fmt::format("n{}: '{}' is {}, beyond its bound {}", number, key, counter.value(),
                           counter.bound()));
    }
  }
}

// A command that looks at one partition must see what was acknowledged here before the node was
// started, however little of the log has been replayed.
void Node::check_seen(const Command& command, Args args) const {
  std::set<PartitionId> seen;
  for_each_key(command, args,
               [&](std::string_view key) { seen.insert(run_.placement.partition_of(key)); });
  if (seen.size() != 1) return;
  ++run_.outcome.while_replaying;
  for (const PartitionStatus& p : partitions()) {
    if (p.damage || !seen.contains(p.partition)) continue;
    if (const auto lost = run_.oracle.lost(p.partition, number, p.vector)) {
      violated(
          fmt::format("n{}: a command on partition {} does not see record {}, which was "
                      "acknowledged here",
                      number, p.partition, lost->to_string()));
    }
  }
}

void Node::check_reply(const Operation& operation, const std::string& reply) {
  const bool refused = reply.starts_with("-");
  if (refused && !reply.starts_with("-WRONGTYPE") && !reply.starts_with("-MISCONF") &&
      !(reply.starts_with("-IOERR") && run_.options.damage_every_us > 0) &&
      !reply.starts_with("-ERR value is not") && !reply.starts_with("-ERR hash value is not") &&
      !reply.starts_with("-ERR invalid expire") && !reply.starts_with("-ERR index out of range") &&
      !reply.starts_with("-ERR no such key") && !reply.starts_with("-NOGROUP") &&
      !reply.starts_with("-BUSYGROUP") && !reply.starts_with("-UNAVAILABLE nothing was done") &&
      !reply.starts_with("-ERR the key would have") && !reply.starts_with("-NORIGHTS") &&
      !reply.starts_with("-ERR the value is") && !reply.starts_with("-ERR a bounded counter") &&
      !reply.starts_with("-ERR the counter has")) {
    violated(fmt::format("{}: unexpected reply {}", fmt::join(operation.words, " "), reply));
  }
  if (!operation.increment || refused) return;
  const auto& i = *operation.increment;
  if (made_.size() != 1)
    violated(fmt::format("{} made {} records", fmt::join(operation.words, " "), made_.size()));
  run_.oracle.increments(made_[0].first, made_[0].second, i.kind, i.key, i.field, i.by);
}

void Node::replied(const WaitingReply& reply) {
  if (reply.error) {
    run_.event("client {} gets {}", reply.client, *reply.error);
  } else {
    for (const auto& [partition, dot] : reply.made) {
      run_.oracle.acknowledged(partition, dot);
      run_.acknowledged(partition, dot);
    }
    run_.event("client {} gets {:016x}", reply.client, hash64(reply.text));
  }
  callbacks_.replied(reply.client);
}

}  // namespace even::sim
