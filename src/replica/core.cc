#include "replica/core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "base/reserved.h"
#include "engine/causes.h"
#include "engine/outbox.h"
#include "replica/group_format.h"
#include "replica/staged_state.h"

namespace even {
namespace {

constexpr std::int64_t kMaxWaitUs = 5'000'000;
constexpr std::uint64_t kMaxPendingBytes = 64 << 20;  // of records that came too early, per shard
constexpr std::uint64_t kReadBytes = 1 << 20;         // of the log at a time
constexpr std::size_t kFreedElements = 8192;          // at a tick
// Of records that had to wait, about so much is joined in one turn.
constexpr std::size_t kJoinedRecords = 512;
constexpr std::uint64_t kJoinedBytes = 256 << 10;

// Bytes of values from which on a record is made for one command alone.
constexpr std::size_t kLongRecordBytes = 64 << 10;

std::size_t bytes_of_values(const Delta& delta) {
  std::size_t bytes = 0;
  for (const KeyDelta& key : delta.keys) {
    for (const LeafDelta& leaf : key.leaves) {
      for (const SiblingView& sibling : leaf.siblings) bytes += sibling.value.size();
    }
  }
  return bytes;
}

// Whether a leaf of the record names its dot.
bool increments(const Record& record) {
  const Dot own = record.dot();
  const auto is_own = [&own](const auto& entry) {
    return Dot{entry.replica, entry.seq} == own || entry.before;
  };
  for (const KeyDelta& key : record.delta.keys) {
    for (const LeafDelta& leaf : key.leaves) {
      if (leaf.kind == LeafKind::kBound) return true;
      if (std::ranges::any_of(leaf.integers, is_own) || std::ranges::any_of(leaf.reals, is_own)) {
        return true;
      }
    }
  }
  return false;
}

// Of one without increments: makes it the next record of its origin in what has been seen.
void renumber(Record& record, Hlc time, const VersionVector& seen) {
  const Dot old = record.dot();
  record.context = Record::begin(record.partition, old.replica, time, seen).context;
  record.time = time;
  for (KeyDelta& key : record.delta.keys) {
    for (LeafDelta& leaf : key.leaves) {
      for (SiblingView& sibling : leaf.siblings) {
        if (sibling.dot != old) continue;
        sibling.dot = record.dot();
        sibling.time = time;
      }
    }
  }
}

// Whether a state folds runs of which the partition has entries. It does not say where those end,
// so it cannot be told whether there is more of them here than there, which is possible only after
// several losses at once; a join would then come to something else than elsewhere.
bool folds_entries(const Record& state, const Partition& partition) {
  return std::ranges::any_of(state.context.entries(), [&](const VersionVector::Entry& entry) {
    return entry.folds && partition.state.vector().names_before(entry.replica);
  });
}

}  // namespace

ShardCore::ShardCore(ShardOptions o, Clock& c, Random& r, Disk& disk)
    : options(std::move(o)),
      clock(c),
      random(r),
      self(options.replica),
      outbox_keys(kOutboxKey, options.partition_count),
      own_scripts(options.scripts == nullptr
                      ? std::make_unique<ScriptCache>(static_cast<ShardId>(options.shard + 1))
                      : nullptr),
      scripts(own_scripts ? *own_scripts : *options.scripts, options.shard),
      log(options.log, options.shard, disk, c),
      index(std::max<std::uint64_t>(options.log.segment_bytes / 16, 4096)),
      hybrid_clock(options.max_drift_ms),
      slots_(options.partition_count, nullptr) {
  EVEN_CHECK(self.node() == options.node, "a replica id is of its node");
  for (const auto& placement : options.partitions) {
    auto& partition = partitions_.emplace_back(std::make_unique<Partition>());
    partition->id = placement.partition;
    partition->replicas = placement.replicas;
    partition->state.observe_keys(options.key_changes);
    slots_.at(placement.partition) = partition.get();
    all_.push_back(partition.get());
    ids_.push_back(placement.partition);
  }
}

Partition& ShardCore::add_strong(PartitionId id, std::vector<NodeNumber> replicas) {
  EVEN_CHECK(id >= options.partition_count && find(id) == nullptr, "a new partition");
  Partition& partition = *strong_.emplace_back(std::make_unique<Partition>());
  partition.id = id;
  partition.replicas = std::move(replicas);
  partition.state.observe_keys(options.key_changes);
  if (slots_.size() <= id) slots_.resize(std::size_t{id} + 1, nullptr);
  slots_[id] = &partition;
  all_.insert(std::ranges::lower_bound(all_, id, {}, &Partition::id), &partition);
  give_rows(partition);
  return partition;
}

Partition& ShardCore::at(PartitionId id) const {
  Partition* partition = find(id);
  EVEN_CHECK(partition != nullptr, "a partition that this shard does not hold");
  return *partition;
}

Partition& ShardCore::replayed(PartitionId id) const {
  Partition& partition = at(id);
  if (!partition.replayed && !EVEN_MUTANT(kServedUnreplayed)) replay_now(partition);
  return partition;
}

void ShardCore::append(std::string_view bytes, PartitionId partition, const Dot& dot) {
  index.note(log.current_segment(), log.next_frame(), partition, dot);
  log.append(bytes);
}

void ShardCore::join(Partition& partition, const Record& record) {
  const Dot dot = record.dot();
  EVEN_CHECK(partition.state.vector()[dot.replica] + 1 == dot.seq,
             "a record out of its origin's order");
  note_joined(partition, partition.state.join(record));
  note_bounded(partition, record.delta);
  if (!partition.waiting.empty()) partition.waiting_since_us = clock.monotonic_us();
}

void ShardCore::note_bounded(const Partition& partition, const Delta& delta) const {
  if (!on_bounded) return;
  // Beside the counter there can be an expiry.
  for (const KeyDelta& key : delta.keys) {
    if (key.leaves.size() <= 2 && key.mentions(LeafKind::kBound)) {
      on_bounded(partition.id, key.key);
    }
  }
}

std::int64_t ShardCore::delay_of(const Record& record) const {
  if (record.delta.full) return 0;
  std::int64_t delay_ms = Partition::kNoDelay;
  for (const KeyDelta& key : record.delta.keys) {
    // What a session at CAUSAL has seen, of a write that stands beside it.
    if (key.key.starts_with(kCausesName)) continue;
    if (is_reserved(key.key) || key.mentions(LeafKind::kBound)) return 0;
    const cluster::Keyspace* keyspace = keyspaces->of_key(key.key);
    if (keyspace == nullptr || keyspace->delay_ms == 0) return 0;
    delay_ms = std::min(delay_ms, keyspace->delay_ms);
  }
  return delay_ms;
}

Record ShardCore::begin(Partition& partition, std::int64_t now_ms, const WriteIntent& intent) {
  EVEN_CHECK(partition.replayed || EVEN_MUTANT(kServedUnreplayed),
             "a record is made without what the log has");
  if (!partition.open.empty() && !partition.open.accepts(intent)) close(partition);
  // The state's vector changes with close() only: the dot is that of the open record.
  const Hlc time = partition.open.empty() ? hybrid_clock.tick(now_ms) : partition.open.time();
  return Record::begin(partition.id, self, time, partition.state.vector());
}

Dot ShardCore::commit(Partition& partition, Record& record) {
  // A long one shares its record with no other, and is not copied once more for it.
  const std::size_t bytes = bytes_of_values(record.delta);
  if (partition.open.empty() && bytes >= kLongRecordBytes) {
    return commit_alone(partition, record, bytes);
  }
  if (partition.open.empty()) open_.push_back(&partition);
  if (!partition.open.add(record)) {
    // What a command removes besides what it names can turn up here, such as the expiry with the
    // last element, and what one writes that does not know beforehand (Elements::kFresh).
    EVEN_CHECK(!increments(record), "a record would write something twice");
    close(partition);
    renumber(record, hybrid_clock.tick(turn_ms()), partition.state.vector());
    open_.push_back(&partition);
    EVEN_CHECK(partition.open.add(record), "an empty record takes anything");
  }
  const Dot dot = record.dot();
  EVEN_CHECK(partition.state.vector()[self] + 1 == dot.seq, "a record out of order");
  if (keyspaces->any_delayed()) {
    partition.open_delay_ms = std::min(partition.open_delay_ms, delay_of(record));
  }
  const bool report_due = partition.report_due;
  note_joined(partition, partition.state.join_part(record.delta, record.context));
  // Of what is held back there is nothing to be said before it is sent.
  const bool lazy_so_far =
      partition.open_delay_ms > 0 && partition.open_delay_ms != Partition::kNoDelay;
  if (lazy_so_far) partition.report_due = report_due;
  note_bounded(partition, record.delta);
  if (partition.open.full()) close(partition);
  return dot;
}

Dot ShardCore::commit_alone(Partition& partition, const Record& record, std::size_t bytes) {
  const Dot dot = record.dot();
  EVEN_CHECK(partition.state.vector()[self] + 1 == dot.seq, "a record out of order");
  // Before the join, which may erase what the delta views.
  const std::string_view encoded =
      log.append(bytes, [&record](std::string& out) { encode_record(record, out); });
  index.note(log.current_segment(), log.next_frame(), partition.id, dot);
  if (options.observe) options.observe(encoded, RecordOrigin::kCommand);
  note_joined(partition, partition.state.join_part(record.delta, record.context));
  partition.state.cover(dot);
  ++stats.records_local;
  if (keyspaces->any_delayed()) lazy.note_prompt(partition.id);
  return dot;
}

void ShardCore::write(Partition& partition, decltype(Delta::keys) keys, RecordOrigin origin) {
  std::vector<std::string> names;  // the join erases what the delta views
  names.reserve(keys.size());
  for (KeyDelta& key : keys) key.key = names.emplace_back(key.key);
  Record record = begin(partition, clock.wall_ms(), {});
  record.delta.keys = std::move(keys);
  partition.state.prepare(record.delta, record.context);
  std::optional<KeyEvents> events;
  if (wants_key_events()) events.emplace(partition.state, record, turn_ms());
  const bool evicts = origin == RecordOrigin::kCachePolicy;
  const bool expires = origin == RecordOrigin::kPurge || origin == RecordOrigin::kGiveUp;
  const auto changes = evicts || expires
                           ? changes_of(partition, record, expires ? kBeforeAnyExpiry : turn_ms())
                           : nullptr;
  const Dot dot = commit(partition, record);
  if (changes) {
    tell(partition, *changes, dot, record.time, evicts ? "evicted" : "expired", turn_ms());
  }
  close(partition, origin);
  if (!events) return;
  const bool evicted = origin == RecordOrigin::kCachePolicy;
  events->report({}, evicted ? KeyEvents::Cause::kEviction : KeyEvents::Cause::kExpiry,
                 options.key_event);
}

void ShardCore::report(const KeyEvents& events, std::string_view command) {
  events.report(command, KeyEvents::Cause::kChange, options.key_event);
  if (events.are_silent(command) && options.keys_flushed) options.keys_flushed();
}

void ShardCore::close(Partition& partition, RecordOrigin origin) {
  if (partition.open.empty()) return;
  Dot dot;
  const std::string_view bytes = log.append(partition.open.bytes(), [&](std::string& out) {
    dot = partition.open.close(partition.state.vector(), out);
  });
  index.note(log.current_segment(), log.next_frame(), partition.id, dot);
  if (options.observe) options.observe(bytes, origin);
  partition.state.cover(dot);
  ++stats.records_local;
  if (partition.open_delay_ms == Partition::kNoDelay) return;
  const std::int64_t delay_ms = std::exchange(partition.open_delay_ms, Partition::kNoDelay);
  if (delay_ms > 0 && origin == RecordOrigin::kCommand) {
    lazy.note(partition.id, dot.seq, delay_ms);
  } else {
    lazy.note_prompt(partition.id);
  }
}

void ShardCore::fold(Partition& partition) {
  close(partition);
  const Hlc time = hybrid_clock.tick(turn_ms());
  Record record = Record::begin(partition.id, self, time, partition.state.vector());
  record.folds = true;
  std::string bytes;
  encode_record(record, bytes);
  if (options.observe) options.observe(bytes, RecordOrigin::kFolding);
  append(bytes, partition.id, record.dot());
  join(partition, record);
  if (!partition.waiting.empty()) note_seen(partition);
  ++stats.records_local;
  ++stats.folds;
}

void ShardCore::close_all() {
  for (Partition* partition : open_) close(*partition);
  open_.clear();
}

VersionVector ShardCore::made_of(PartitionId id) const {
  VersionVector made;
  if (const std::uint64_t count = at(id).state.vector()[self]; count > 0) made.add({self, count});
  return made;
}

Result<ShardCore::Taken> ShardCore::take(std::string_view bytes, const RecordHead& head) {
  Partition& partition = at(head.partition);
  if (is_strong(partition.id)) {
    return fail(fmt::format("a record of the strong partition {}, which only its group changes",
                            partition.id));
  }
  EVEN_CHECK(partition.replayed, "a peer's record is taken in without what the log has");
  ++stats.records_received;
  if (!EVEN_MUTANT(kApplyTwice) && partition.state.vector().covers(head.dot)) {
    ++stats.records_duplicate;
    return Taken::kSeen;
  }
  // This run is of this process: joined, the record would take a dot that is to be given to
  // another.
  if (head.dot.replica == self && !EVEN_MUTANT(kReuseReplicaId)) {
    return fail(fmt::format("record {} of partition {} names this replica, which has not made it",
                            head.dot.to_string(), partition.id));
  }
  // It could fold this run, whose records would then be in no vector.
  if (self.precedes(head.dot.replica)) {
    return fail(fmt::format("record {} of partition {} is of a run of this node that is to come",
                            head.dot.to_string(), partition.id));
  }
  if (partition.waiting.contains(head.dot)) {
    ++stats.records_duplicate;
    return Taken::kEarly;
  }
  Result<Record> record = decoder_.decode(bytes);
  ++stats.records_decoded;
  if (!record) return std::unexpected(record.error());
  if (partition.lacking(*record)) {
    // Beyond the limit it is forgotten; the peer will be asked again.
    if (partition.waiting.empty()) partition.waiting_since_us = clock.monotonic_us();
    if (pending_bytes + bytes.size() <= kMaxPendingBytes) {
      partition.waiting.add(head.dot, bytes, partition.all_lacking(*record));
      pending_bytes += bytes.size();
      ++stats.records_pending;
    }
    return Taken::kEarly;
  }
  if (!check_ends(partition, *record)) return Taken::kEarly;
  join_taken(partition, *record, bytes);
  return Taken::kJoined;
}

// A record that folds says where runs end. To have more of one is possible only after several
// losses at once (docs/folding.md): what has been built on that has to go.
bool ShardCore::check_ends(Partition& partition, const Record& record) {
  const VersionVector& seen = partition.state.vector();
  if (record.has_ends_of(seen)) return true;
  if (!partition.damaged()) ++stats.ends_exceeded;
  partition.rows->note_damage(
      fmt::format("it has records of earlier runs of node {} that nobody else has any more ({}; {} "
                  "folds them)",
                  record.origin.node(), seen.to_string(), record.dot().to_string()));
  return false;
}

void ShardCore::join_taken(Partition& partition, const Record& record, std::string_view bytes) {
  partition.state.prepare(record.delta, record.context);
  if (!hybrid_clock.observe(record.time, clock.wall_ms())) ++stats.clock_clamped;
  const Dot dot = record.dot();
  append(bytes, partition.id, dot);
  std::optional<KeyEvents> events;
  if (wants_key_events()) events.emplace(partition.state, record, turn_ms());
  const auto changes =
      EVEN_MUTANT(kFeedByReceivers) ? changes_of(partition, record, turn_ms()) : nullptr;
  join(partition, record);
  if (changes) tell(partition, *changes, dot, record.time, "join", turn_ms());
  if (events) report(*events, {});
  ++stats.records_joined;
  if (on_joined) on_joined({partition.id, dot, record.time});
  if (partition.waiting.empty()) return;
  if (record.folds) return note_seen(partition);
  partition.waiting.joined(dot.replica, EVEN_MUTANT(kWakeAll) ? UINT64_MAX : dot.seq,
                           partition.state.vector());
  note_ready(partition);
}

void ShardCore::note_seen(Partition& partition) {
  partition.waiting.joined(partition.state.vector());
  note_ready(partition);
}

void ShardCore::note_ready(Partition& partition) {
  stats.records_looked_in_vain += partition.waiting.take_looked_in_vain();
  if (partition.waiting.any_ready() && !std::exchange(partition.in_ready, true)) {
    ready_.push_back(&partition);
  }
}

bool ShardCore::join_ready() {
  std::uint64_t bytes_left = kJoinedBytes;
  for (std::size_t left = kJoinedRecords; left > 0 && !ready_.empty(); --left) {
    if (log.error()) return false;
    Partition& partition = *ready_.front();
    if (!partition.waiting.any_ready() || partition.damaged()) {
      partition.in_ready = false;
      ready_.pop_front();
      continue;
    }
    const auto [dot, bytes] = partition.waiting.take_ready();
    pending_bytes -= bytes.size();
    --stats.records_pending;
    if (partition.state.vector().covers(dot)) continue;
    const Result<Record> record = decoder_.decode(bytes);
    ++stats.records_decoded;
    if (!check_ends(partition, *record)) continue;
    join_taken(partition, *record, bytes);
    if (bytes.size() >= bytes_left) break;
    bytes_left -= bytes.size();
  }
  return !ready_.empty();
}

bool ShardCore::free_removed() {
  std::size_t limit = kFreedElements;
  for (Partition* partition : all_) {
    if (partition->state.free_removed(limit)) return false;
  }
  return true;
}

void ShardCore::drop_pending_before(ReplicaId replica) {
  for (const auto& partition : partitions_) {
    WaitingRecords& waiting = partition->waiting;
    pending_bytes -= waiting.bytes();
    stats.records_pending -= waiting.size();
    waiting.drop_before(replica);
    pending_bytes += waiting.bytes();
    stats.records_pending += waiting.size();
  }
}

void ShardCore::drop_stale_pending() {
  for (const auto& partition : partitions_) {
    WaitingRecords& waiting = partition->waiting;
    if (waiting.empty() || waiting.any_ready() ||
        clock.monotonic_us() - partition->waiting_since_us < kMaxWaitUs)
      continue;
    pending_bytes -= waiting.bytes();
    stats.records_pending -= waiting.size();
    waiting.clear();
  }
}

void ShardCore::note_joined(Partition& partition, const JoinStats& joined) {
  stats.conflicts += joined.conflicts;
  stats.type_conflicts += joined.type_conflicts;
  partition.report_due = true;
}

void ShardCore::join_state(Partition& partition, const Record& state) {
  note_joined(partition, partition.state.join(state.delta, state.context));
  if (options.state_taken) options.state_taken();
}

Result<> ShardCore::take_state(std::string_view bytes) {
  const auto state = decoder_.decode(bytes);
  if (!state) return std::unexpected(state.error());
  if (state->origin.value != 0) return fail("a record was sent as a state");
  Partition* partition = find(state->partition);
  if (partition == nullptr || is_strong(partition->id)) {
    return fail("a state of a partition that is not held here, or only by a group");
  }
  EVEN_CHECK(partition->replayed, "a peer's state is taken in without what the log has");
  if (partition->damaged()) {
    make_anew(*partition, *state);
    return {};
  }
  if (partition->state.vector().covers(state->context)) return {};  // nothing new in it
  const Dot of_self{self, state->context[self]};
  if (!partition->state.vector().covers(of_self) && !EVEN_MUTANT(kReuseReplicaId)) {
    return fail(fmt::format(
        "a state of partition {} has seen record {} of this replica, which has not made it",
        partition->id, of_self.to_string()));
  }
  if (folds_entries(*state, *partition) && make_anew(*partition, *state)) return {};
  partition->state.prepare(state->delta, state->context);
  append(bytes, partition->id, {});
  join_state(*partition, *state);
  partition->floor = partition->state.vector();
  ++stats.snapshots_joined;
  note_seen(*partition);
  return {};
}

bool ShardCore::adds_up(Partition& partition, std::uint64_t counted) {
  PartitionState& state = partition.state;
  const std::uint64_t recorded = state.recorded_digest();
  const bool known = counted == state.digest();
  state.set_content_digest(counted);
  if (counted == recorded) {
    partition.suspect_since_us.reset();
    return true;
  }
  if (!partition.suspect_since_us) partition.suspect_since_us = clock.monotonic_us();
  if (known) return false;
  ++stats.audits_failed;
  warn(
      fmt::format("what partition {} holds is not what its records have put there: digest {:016x}, "
                  "which should be {:016x}",
                  partition.id, counted, recorded));
  partition.report_due = true;
  return false;
}

void ShardCore::take_group_state(Partition& partition, std::string_view bytes) {
  const auto state = decoder_.decode(bytes);
  EVEN_CHECK(state.has_value(), "a state that was checked when it came");
  // Nothing for the index: nobody is sent records of strong partitions.
  if (!EVEN_MUTANT(kGroupStateNotLogged)) log.append(bytes);
  replace_state(partition, *state);
}

// The state of a damaged partition becomes: the peer's, and on top of it what the log has. That is
// joined to nothing. Joined to what is here, under a vector that covers what cannot be read, all of
// the peer's state that is unreadable here would look as if it had been removed here.
bool ShardCore::make_anew(Partition& partition, const Record& snapshot) {
  const bool damaged = partition.damaged();
  PartitionState state;
  state.join(snapshot.delta, snapshot.context);
  const bool completed = complete_from_log(partition, state);
  const bool enough = completed && state.vector().covers(partition.must_cover());
  if (!enough && !EVEN_MUTANT(kRepairTakesAny)) return false;

  const std::string bytes = encode_state(partition.id, state);
  const auto anew = decoder_.decode(bytes);
  EVEN_CHECK(anew.has_value(), "a state that was encoded here");
  if (!EVEN_MUTANT(kRepairNotLogged)) append(bytes, partition.id, {});
  replace_state(partition, *anew);
  partition.floor.merge(snapshot.context);
  partition.seen_before = {};
  if (damaged) {
    ++stats.repaired;
    warn(fmt::format("partition {} has been repaired", partition.id));
  } else {
    ++stats.snapshots_joined;
  }
  if (on_repaired) on_repaired();
  note_seen(partition);
  return true;
}

void ShardCore::forget_rows(Partition& partition) {
  partition.taken.reset();  // what a pass has taken is no longer of this state
  partition.state.forget();
  partition.rows->replace(self.run());
  partition.state.attach(*partition.rows, {});
}

void ShardCore::take_staged(Partition& partition, StagedState& staged) {
  partition.taken.reset();
  partition.state.forget();
  partition.rows->adopt(staged.generation());
  partition.state.attach(*partition.rows, staged.state());
  partition.suspect_since_us.reset();
  if (options.state_taken) options.state_taken();
}

Result<> ShardCore::take_staged(Partition& partition, std::uint64_t generation,
                                std::string_view summary) {
  const auto decoded = PartitionRows::decode_summary(summary);
  if (!decoded) return std::unexpected(decoded.error());
  replay_nothing(partition);
  partition.taken.reset();
  partition.state.forget();
  partition.rows->adopt(generation);
  attach_rows(partition, *decoded);
  // A change, which the next pass stores.
  if (!partition.rows->closed()) partition.state.cover(decoded->vector);
  return {};
}

// The partition becomes this state, joined to nothing.
void ShardCore::replace_state(Partition& partition, const Record& anew) {
  const VersionVector lost = partition.state.vector();
  forget_rows(partition);
  partition.suspect_since_us.reset();
  if (EVEN_MUTANT(kRepairKeepsVector)) partition.state.cover(lost);
  join_state(partition, anew);
}

// Joins what the log has of the partition and `state` has not seen. False if something in it
// depends on what is in neither, or the log cannot be read now.
bool ShardCore::complete_from_log(const Partition& partition, PartitionState& state) {
  if (const auto flushed = log.flush(); !flushed) return false;
  bool whole = true;
  RecordDecoder decoder;
  const auto take = [&](LogPosition, std::string_view bytes) {
    if (is_group_log_entry(bytes)) return;
    const auto head = decode_record_head(bytes);
    EVEN_CHECK(head.has_value(), "a record in the log has a head");
    const bool is_state = head->dot.seq == 0;
    if (head->partition != partition.id) return;
    if (!is_state && state.vector().covers(head->dot)) return;
    const auto record = decoder.decode(bytes);
    EVEN_CHECK(record.has_value(), "a record in the log is well-formed");
    if (is_state) {
      if (!state.vector().covers(record->context)) state.join(record->delta, record->context);
    } else if (!Partition::lacking(state.vector(), *record)) {
      (void)hybrid_clock.observe(record->time, clock.wall_ms());
      whole = whole && record->has_ends_of(state.vector());
      state.join(*record);
    } else {
      whole = false;
    }
  };
  LogPosition at = log.begin();
  if (!partition.rows->closed()) {
    at = index.find(
        [&](const LogIndex::Reach& reach) {
          const auto found = reach.find(partition.id);
          return found != reach.end() && !state.vector().covers(found->second);
        },
        log.end());
  }
  while (at < log.end() && !EVEN_MUTANT(kRepairTakesAny)) {
    const auto next = log.read(at, kReadBytes, take);
    if (!next) {
      warn(fmt::format("partition {} cannot be repaired: {}", partition.id, next.error().message));
      return false;
    }
    at = *next;
  }
  return whole;
}

std::string ShardCore::encode_state(PartitionId id, const PartitionState& state) {
  RecordBuilder builder;
  builder.add_nothing();
  state.for_each([&](std::string_view key, const Object& object) {
    KeyDelta delta;
    delta.key = key;
    describe(object, delta);
    builder.add(delta, {}, {});
  });
  Record head;
  head.partition = id;
  head.context = state.vector();
  std::string bytes;
  builder.finish(head, true, bytes);
  return bytes;
}

Result<> ShardCore::replay(std::string_view bytes) {
  const auto record = decoder_.decode(bytes);
  if (!record) return std::unexpected(record.error());
  Partition& partition = at(record->partition);
  if (partition.rows->closed()) return {};
  if (record->origin.value == 0) {
    // As it was when the state came.
    const bool took_the_place =
        folds_entries(*record, partition) && record->context.covers(partition.state.vector());
    took_the_place ? replace_state(partition, *record) : join_state(partition, *record);
    partition.floor = partition.state.vector();
    return {};
  }
  const VersionVector& seen = partition.state.vector();
  if (seen.covers(record->dot())) return {};
  if (partition.lacking(*record)) {
    return fail(fmt::format("record {} of partition {} comes without what it depends on ({})",
                            record->dot().to_string(), partition.id, seen.to_string()));
  }
  (void)hybrid_clock.observe(record->time, clock.wall_ms());
  join(partition, *record);
  return {};
}

}  // namespace even
