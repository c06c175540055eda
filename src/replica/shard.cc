#include "replica/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/mutant.h"
#include "engine/causes.h"
#include "engine/outbox.h"
#include "replica/causality.h"
#include "replica/check.h"
#include "replica/core.h"
#include "replica/expiry_sweep.h"
#include "replica/feeds.h"
#include "replica/groups.h"
#include "replica/hints.h"
#include "replica/key_eviction.h"
#include "replica/meta_group.h"
#include "replica/projection.h"
#include "replica/quorum.h"
#include "replica/recovery.h"
#include "replica/relay.h"
#include "replica/replication.h"
#include "replica/rights.h"
#include "replica/session_reach.h"
#include "replica/topic_transactions.h"
#include "script/host.h"

namespace even {
namespace {

constexpr std::int64_t kSyncIntervalUs = 1'000'000;  // fsync = everysec

// The keys that one execution can reach: those of one shard, or of all shards of the process.
class Reach : public Keyspace {
 public:
  Reach(ShardCore& own, std::span<ShardCore* const> others, std::span<const PartitionId> within,
        std::int64_t now_ms)
      : now_ms_(now_ms), own_(own), cores_{&own}, ids_(within) {
    cores_.insert(cores_.end(), others.begin(), others.end());
    if (!within.empty()) return;
    if (others.empty()) {
      ids_ = own.partition_ids();
      return;
    }
    for (const ShardCore* core : cores_) {
      gathered_.insert(gathered_.end(), core->partition_ids().begin(), core->partition_ids().end());
    }
    std::sort(gathered_.begin(), gathered_.end());
    ids_ = gathered_;
  }

  PartitionId partition_of(std::string_view key) const override { return own_.partition_of(key); }
  PartitionId partition_count() const override { return own_.options.partition_count; }
  std::span<const PartitionId> partitions() const override { return ids_; }
  const PartitionState& state(PartitionId id) const override {
    return core_of(id).replayed(id).state;
  }
  std::vector<NodeNumber> replicas(PartitionId id) const override {
    return core_of(id).at(id).replicas;
  }
  ReplicaId replica() const override { return own().self; }
  bool keeps_siblings(std::string_view key) const override {
    const cluster::KeyspaceTable& keyspaces = *own().keyspaces;
    if (!keyspaces.any_siblings()) return false;
    const cluster::Keyspace* keyspace = keyspaces.of_key(key);
    return keyspace != nullptr && keyspace->siblings;
  }
  bool replicated(PartitionId id) const override { return core_of(id).at(id).replicas.size() > 1; }
  std::uint64_t max_memory() const override {
    const auto& limit = own().options.max_memory;
    return limit ? limit() : 0;
  }
  Record begin(PartitionId id, const WriteIntent& intent) override {
    ShardCore& core = core_of(id);
    return core.begin(core.replayed(id), now_ms_, intent);
  }

  // Has everything in memory that the record changes.
  void prepare(const Record& record) const {
    core_of(record.partition).at(record.partition).state.prepare(record.delta, record.context);
  }

  ShardCore& own() const { return own_; }
  std::span<ShardCore* const> cores() const { return cores_; }
  std::int64_t now_ms() const { return now_ms_; }
  bool holds(PartitionId id) const {
    return std::ranges::any_of(
        cores_, [id](const ShardCore* core) { return !core->is_strong(id) && core->find(id); });
  }
  // Whether there may be change feeds of what can be reached.
  bool any_feeds() const {
    return std::ranges::any_of(
        cores_, [](const ShardCore* core) { return core->keyspaces->any_eventual_feeds(); });
  }
  // Whether all there is can be reached.
  bool is_whole() const { return ids_.size() == partition_count(); }
  void close_all() {
    for (ShardCore* core : cores_) core->close_all();
  }
  // The longest of the frames that are being gathered.
  std::size_t gathered_bytes() const {
    std::size_t most = 0;
    for (const ShardCore* core : cores_) most = std::max(most, core->log.gathered_bytes());
    return most;
  }
  // Why nothing can be written now.
  const std::optional<std::string>& write_error() const {
    for (const ShardCore* core : cores_) {
      if (core->log.error()) return core->log.error();
    }
    return own_.log.error();
  }

  ShardCore& core_of(PartitionId id) const {
    if (cores_.size() == 1) return own_;  // which checks that it has it
    for (ShardCore* core : cores_) {
      if (core->find(id) != nullptr) return *core;
    }
    check_failed(__FILE__, __LINE__, "core_of(id)", "a partition out of reach");
  }

 private:
  const std::int64_t now_ms_;  // one instant for a command and its records
  ShardCore& own_;
  absl::InlinedVector<ShardCore*, 4> cores_;  // it, and the others
  std::vector<PartitionId> gathered_;
  std::span<const PartitionId> ids_;
};

// Executes a command and commits what it writes. False: nothing has happened, as the reply is too
// long. Throws Unreadable, and nothing has happened then.
bool run(Reach& reach, const Command& command, Args args, Context& context, const Reply& reply) {
  // What an intent cannot describe, and what looks at vectors.
  if (command.scope == Scope::kAll || !command.keys.one() || command.group == "server") {
    reach.close_all();
  }
  // As in Redis, not those that ask about a key and not for what it holds.
  if ((command.flags & kReadonly) != 0 && command.group != "server") context.count_reads();
  command.handler(context, args);
  // Who gets a context here may go with it to another node.
  if (reach.own().keyspaces->any_delayed() && command.name == "even.siblings") {
    const PartitionId id = reach.partition_of(args[1]);
    ShardCore& owner = reach.core_of(id);
    owner.close(owner.at(id));
    owner.to_be_sent.insert(id);
  }
  if (reply.left_out()) return false;
  if (context.refused()) return true;
  ShardCore& core = reach.own();
  core.stats.keyspace_hits += context.hits();
  core.stats.keyspace_misses += context.misses();
  for (auto& write : context.writes()) reach.prepare(write.record);
  // What their change feeds are told, by record; there may be none. It reads, so it comes before.
  absl::InlinedVector<std::unique_ptr<FeedChanges>, 2> told;
  if (reach.any_feeds()) {
    for (auto& write : context.writes()) {
      const ShardCore& owner = reach.core_of(write.record.partition);
      const Partition& partition = owner.at(write.record.partition);
      told.push_back(owner.changes_of(partition, write.record, context.now_ms));
    }
  }
  ShardCore* giver = nullptr;
  if (command.moves && reach.cores().size() > 1) {
    giver = &reach.core_of(reach.partition_of(args[1]));
    if (giver == &reach.core_of(reach.partition_of(args[2]))) giver = nullptr;
  }
  std::size_t place = 0;
  for (auto& write : context.writes()) {
    ShardCore& owner = reach.core_of(write.record.partition);
    Partition& partition = owner.at(write.record.partition);
    std::optional<KeyEvents> events;
    if (core.wants_key_events()) events.emplace(partition.state, write.record, context.now_ms);
    const FeedChanges* changes = told.empty() ? nullptr : told[place++].get();
    for (const KeyWriter& writer : write.writers) writer.look_ahead();
    const Dot dot = owner.commit(partition, write.record);
    if (giver != nullptr) giver->given_away = true;
    if (changes != nullptr)
      owner.tell(partition, *changes, dot, write.record.time, command.name, context.now_ms);
    // To this thread, whose the shard is for now.
    if (events) core.report(*events, command.name);
    if (core.options.committed) core.options.committed(partition.id, dot);
  }
  return true;
}

// FLUSHALL and FLUSHDB. SORT may be about all keys too, and names some.
bool deletes_all(const Command& command) {
  return command.scope == Scope::kAll && command.keys.none() && may_write(command);
}

// Why a command about all keys, which deletes some or all of them, would tell too much at once.
template <typename Cores>
std::string refusal_of_many_events(const Cores& cores) {
  const std::size_t most = cores[0]->options.most_events_at_once;
  if (!cores[0]->keyspaces->any_eventual_feeds()) return {};
  std::size_t keys = 0;
  try {
    for (const ShardCore* core : cores) keys += core->fed_keys(most);
  } catch (const Unreadable& error) {
    return fmt::format("IOERR {}", error.what());
  }
  if (keys <= most) return {};
  return fmt::format(
      "OUTBOXFULL more than {} keys have a change feed, and this would tell of them all at once: "
      "delete them in parts (SCAN and UNLINK), or end the feed first",
      most);
}

// The execution of a script in eventual keyspaces.
class ShardScript final : public ScriptHost {
 public:
  ShardScript(Reach& reach, Args args, const Command& command) : reach_(reach) {
    for_each_key(command, args,
                 [this](std::string_view key) { given_.push_back(reach_.partition_of(key)); });
  }

  std::string refusal(const Command& command, Args args, bool& left) override {
    if (command.scope == Scope::kAll) {
      left = true;
      if (reach_.is_whole()) {
        const std::string why = refusal_of_write(command);
        return why.empty() && deletes_all(command) ? refusal_of_many_events(reach_.cores()) : why;
      }
      return "ERR Script attempted to execute a command about all keys, of which some are out of "
             "its reach: give the script no keys, or try again";
    }
    std::string why;
    for_each_key(command, args, [&](std::string_view key) {
      const PartitionId partition = reach_.partition_of(key);
      left = left || std::ranges::find(given_, partition) == given_.end();
      if (!why.empty() || reach_.holds(partition)) return;
      why = reach_.own().is_strong(partition)
                ? "CROSSGROUP Script attempted to access a key of a strong keyspace, and was not "
                  "given keys of one group of it only"
                : "ERR Script attempted to access a non local key in a cluster node: give the "
                  "script all of its keys, or give them one hash tag";
    });
    return why.empty() ? refusal_of_write(command) : why;
  }
  void execute(const Command& command, Args args, Reply& reply) override {
    const NamedElements named = named_elements(command, args);
    Context context(reach_, reply, reach_.own().random, reach_.now_ms(), named.words, named.step,
                    nullptr, named.fresh);
    run(reach_, command, args, context, reply);
  }
  std::int64_t publish(std::string_view channel, std::string_view message, bool sharded) override {
    const auto& options = reach_.own().options;
    return options.publish ? options.publish(channel, message, sharded) : 0;
  }
  std::int64_t now_ms() const override { return reach_.now_ms(); }
  std::uint32_t seed() override { return static_cast<std::uint32_t>(reach_.own().random.next()); }
  std::int64_t monotonic_us() const override { return reach_.own().clock.monotonic_us(); }
  void while_busy() override {
    const auto& options = reach_.own().options;
    if (options.while_script_runs) options.while_script_runs();
  }
  void denied(const AclUser& user, const AclDenial& denial) override {
    const auto& options = reach_.own().options;
    if (options.script_denied) options.script_denied(user, denial);
  }
  void log(int level, std::string_view text) override {
    const auto& options = reach_.own().options;
    if (options.script_log) options.script_log(level, text);
  }

 private:
  std::string refusal_of_write(const Command& command) const {
    if (!may_write(command)) return {};
    if (reach_.write_error()) return "MISCONF writes are refused: " + *reach_.write_error();
    if (reach_.gathered_bytes() <= reach_.own().options.script_write_bytes) return {};
    return "ERR Script has written too much: what it writes is one transaction";
  }

  Reach& reach_;
  absl::InlinedVector<PartitionId, 4> given_;
};

}  // namespace

struct Shard::Impl {
  Impl(ShardOptions options, Clock& clock, Random& random, Disk& disk, RowStore& store,
       Transport& transport)
      : store(store),
        core(std::move(options), clock, random, disk),
        replication(core, transport),
        projection(core, store),
        recovery(core),
        key_eviction(core),
        expiry_sweep(core, replication),
        groups(core, transport),
        meta(core, groups, transport),
        hint_store(core),
        hints(core, replication, transport, hint_store),
        quorum(core, transport, hints, hint_store, [this] { return released(); }),
        relay(core, groups),
        feeds(core, groups, relay, replication),
        causality(core, transport, replication, quorum),
        rights(core, transport),
        check(core, transport) {
    core.on_differs = [this](PartitionId id) { check.differs(id); };
    core.on_bounded = [this](PartitionId id, std::string_view key) { rights.watch(id, key); };
    core.log.on_progress([this] {
      if (released_callback) released_callback();
    });
    core.on_repaired = [this] { projection.request_pass(); };
    projection.on_take([this](PartitionId group) { return groups.row(group); });
    projection.hold_position_while([this] { return groups.keeps_log(); });
    projection.take_topics(
        [this](RowBatch& rows, bool whole) { return groups.take_topic_rows(rows, whole); });
    projection.topic_passes({.due = [this] { return groups.topic_pass_due(); },
                             .take = [this](PartitionId id) { return groups.in_topic_pass(id); }});
    projection.take_checkpoints([this](RowBatch& rows) { groups.take_checkpoint_rows(rows); });
    groups.on_trimmable = [this] { projection.request_pass(); };
    groups.on_compacted([this] { projection.request_pass(); });
    projection.also_stores([this] { return groups.compaction_waits(); });
    projection.take_hints({.take = [this](RowBatch& rows) { hint_store.take(rows); },
                           .changed = [this] { return hint_store.changed(); }});
    projection.on_finished([this](bool stored) {
      groups.end_pass(stored);
      hint_store.end_pass(stored);
    });
    projection.on_stored([this] { trim(); });
    recovery.on_hint([this](std::string_view entry) { return hint_store.replay(entry); });
    recovery.on_group_entry([this](std::string_view entry) { return groups.restore(entry); });
  }

  Result<> recover(const std::function<void(std::uint64_t, std::uint64_t)>& progress);
  void replay_some();
  void begin_service();
  // Does what may come upon objects that cannot be read; it is tried again another time.
  template <typename Work>
  void unless_unreadable(Work work) {
    try {
      work();
    } catch (const Unreadable& error) {
      if (std::exchange(warned_unreadable, error.what()) != error.what()) core.warn(error.what());
    }
  }
  void trim();
  void note_lack(Context::Lack missing) {
    rights.watch(core.partition_of(missing.key), missing.key);
    lack = std::move(missing);
  }
  LogPosition released() const;
  // Whether a key is in a strong keyspace: then who has led the command here does not know of that
  // yet, another thread or node.
  bool any_strong(const Command& command, Args args) const {
    if (!core.keyspaces->any_strong() || command.scope != Scope::kKeys) return false;
    bool any = false;
    for_each_key(command, args, [&](std::string_view key) {
      any = any || core.is_strong(core.partition_of(key));
    });
    return any;
  }

  RowStore& store;
  ShardCore core;
  Replication replication;
  Projection projection;
  Recovery recovery;
  KeyEviction key_eviction;
  ExpirySweep expiry_sweep;
  Groups groups;
  MetaGroup meta;
  HintStore hint_store;
  Hints hints;
  Quorum quorum;
  Relay relay;
  Feeds feeds;
  Causality causality;
  Rights rights;
  Check check;
  std::optional<Context::Lack> lack;  // of the last command
  std::function<void()> released_callback;
  bool replayed = false;  // all of the log; until then, replication and passes have not begun
  std::map<NodeNumber, std::pair<ReplicaId, bool>> peers_up;  // meanwhile; see link_up()
  std::int64_t last_sync_us = 0;
  std::optional<std::string> warned_error;
  std::uint64_t warned_rescues = 0;
  bool has_more = false;
  bool all_freed = true;  // of what has been removed, as of when it was last looked for
  std::uint32_t ticks = 0;
  std::string warned_unreadable;
};

Result<> Shard::Impl::recover(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const auto from = projection.recover();
  if (!from) return std::unexpected(from.error());
  groups.restore(store);
  hint_store.restore(store);
  if (const auto scanned = recovery.scan(*from, progress); !scanned) return scanned;
  if (const auto started = groups.start(); !started) return started;
  meta.start();
  replayed = recovery.done();
  if (!*from) projection.set_position(core.log.begin());
  if (core.log.cut()) core.warn(*core.log.cut());
  last_sync_us = core.clock.monotonic_us();
  warned_rescues = core.log.stats().rescues;
  return {};
}

// What needs all of the log waits for it.
void Shard::Impl::replay_some() {
  if (replayed) return;
  unless_unreadable([this] { recovery.step(); });
  if (recovery.done()) begin_service();
}

void Shard::Impl::begin_service() {
  replayed = true;
  for (const auto& [node, peer] : std::exchange(peers_up, {})) {
    replication.link_up(peer.first, peer.second);
  }
}

// Removes segments from the log's beginning that recovery does not read and every other replica has
// seen all of, or that are more than retain_bytes back.
void Shard::Impl::trim() {
  for (;;) {
    const auto starts = core.log.segment_starts();
    if (starts.size() < 2 || starts[1] > projection.position()) return;
    const bool keep = core.log.end() - starts[1] <= core.options.retain_bytes;
    const bool needed = !core.index.all_of_segment(starts[0], [this](const LogIndex::Reach& reach) {
      return std::all_of(reach.begin(), reach.end(), [this](const auto& entry) {
        return replication.everywhere(entry.first, entry.second);
      });
    });
    if (needed && keep) return;
    if (!EVEN_MUTANT(kTrimForgetsFloor)) {
      core.index.all_of_segment(starts[0], [this](const LogIndex::Reach& reach) {
        for (const auto& [id, vector] : reach) {
          Partition& partition = core.at(id);
          partition.floor.merge(vector);
          partition.floor.fold_as(partition.state.vector());
        }
        return true;
      });
    }
    core.index.remove_segment(starts[0]);
    if (const auto removed = core.log.remove_first_segment(); !removed) {
      core.warn("cannot remove a log segment: " + removed.error().message);
      return;
    }
    replication.log_trimmed();
  }
}

Shard::Shard(ShardOptions options, Clock& clock, Random& random, Disk& disk, RowStore& store,
             Transport& transport)
    : impl_(std::make_unique<Impl>(std::move(options), clock, random, disk, store, transport)) {}
Shard::~Shard() = default;

Result<> Shard::recover(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  return impl_->recover(progress);
}

LogPosition Shard::execute(const Command& command, Args args, bool resp3, std::string& out,
                           std::span<Shard* const> others, std::span<const PartitionId> within,
                           const Lookup* lookup, bool* too_long) {
  ShardCore& core = impl_->core;
  impl_->lack.reset();
  Reply reply(out, resp3);
  if (core.keyspaces->any_eventual_feeds() && !feeds_asked_) {
    if (const std::string refusal = feed_refusal(command, args, others); !refusal.empty()) {
      reply.error(refusal);
      return released();
    }
  }
  if (too_long != nullptr && command.lists == Lists::kString)
    reply.leave_out_beyond(core.options.listed_bytes);
  // Of a script, its commands.
  if ((command.flags & kWrite) != 0) {
    const std::optional<std::string>* error = &core.log.error();
    for (const Shard* other : others) {
      if (other->impl_->core.log.error()) error = &other->impl_->core.log.error();
    }
    if (*error) {
      reply.error("MISCONF writes are refused: " + **error);
      return released();
    }
  }
  // Its key leads to no partition of this shard.
  if (&command == &kStrongOutboxCommand || impl_->any_strong(command, args)) {
    reply.error(
        "TRYAGAIN a keyspace of a key of this command has just been created: nothing was done");
    return released();
  }
  absl::InlinedVector<ShardCore*, 4> other_cores;
  for (Shard* other : others) other_cores.push_back(&other->impl_->core);
  const std::int64_t now_ms = core.turn_ms();
  Reach reach(core, other_cores, within, now_ms);
  const std::size_t reply_begin = out.size();
  try {
    if (command.script) {
      ShardScript host(reach, args, command);
      core.scripts.run(command, args, reply, host);
      return barrier();
    }
    const NamedElements named = named_elements(command, args);
    Context context(reach, reply, core.random, now_ms, named.words, named.step, lookup,
                    named.fresh);
    if (run(reach, command, args, context, reply)) {
      if (context.lack() && owns(core.partition_of(context.lack()->key))) {
        impl_->note_lack(std::move(*context.lack()));
      }
      return barrier();
    }
    out.resize(reply_begin);
    *too_long = true;
  } catch (const Unreadable& error) {
    out.resize(reply_begin);
    reply.error(fmt::format("IOERR {}", error.what()));
    // What a script has written until then stays, and is no reply's before it is in the log.
    if (command.script) return barrier();
  }
  return released();
}

bool Shard::take_given_away() { return std::exchange(impl_->core.given_away, false); }

bool Shard::has_feed(std::string_view key) const { return impl_->core.feed_of(key).has_value(); }

std::string Shard::feed_refusal(const Command& command, Args args,
                                std::span<Shard* const> others) const {
  const ShardCore& core = impl_->core;
  std::string why;
  if (!core.keyspaces->any_eventual_feeds() || !may_write(command)) return why;
  if (deletes_all(command)) {
    std::vector<const ShardCore*> cores = {&core};
    for (const Shard* other : others) cores.push_back(&other->impl_->core);
    return refusal_of_many_events(cores);
  }
  for_each_key(command, args, [&](std::string_view key) {
    if (!why.empty() || !core.feed_of(key)) return;
    const PartitionId id = core.partition_of(key);
    const Partition* partition = core.find(id);
    for (const Shard* other : others) {
      if (partition == nullptr) partition = other->impl_->core.find(id);
    }
    if (partition == nullptr || !partition->replayed) return;
    const std::string_view outbox = core.outbox_keys.of(id);
    try {
      why = outbox_refusal(partition->state.find(outbox, hash64(outbox)));
    } catch (const Unreadable& error) {
      why = fmt::format("IOERR {}", error.what());
    }
  });
  return why;
}

bool Shard::lacks_rights() const { return impl_->lack.has_value(); }
void Shard::await_rights(std::int64_t deadline_us, std::function<void(bool)> done) {
  EVEN_CHECK(lacks_rights(), "somebody lacks the rights that are waited for");
  impl_->rights.await(*std::exchange(impl_->lack, {}), deadline_us, std::move(done));
}

Interpreter& Shard::scripts() { return impl_->core.scripts; }

std::size_t listing_step(const ShardOptions& options, Lists lists) {
  return lists == Lists::kString ? options.listed_bytes : options.listing_step;
}

bool Shard::lists_much(const Command& command, Args args) const {
  if (command.lists == Lists::kNothing || impl_->any_strong(command, args)) return false;
  ShardCore& core = impl_->core;
  const PartitionId id = core.partition_of(args[1]);
  try {
    const Object* object = core.replayed(id).state.find(args[1], hash64(args[1]));
    return Listing::applies(object, command.lists, listing_step(core.options, command.lists)) &&
           !object->expired(core.turn_ms());
  } catch (const Unreadable&) {
    return false;  // execute() says so
  }
}

std::unique_ptr<Listing> Shard::list(const Command& command, Args args, bool resp3) {
  ShardCore& core = impl_->core;
  ++core.stats.keyspace_hits;
  Partition& partition = core.replayed(core.partition_of(args[1]));
  return std::make_unique<Listing>(partition.state, args[1], command.lists,
                                   listing_step(core.options, command.lists), resp3);
}

void Shard::prefetch(std::span<Lookup> lookups) const {
  struct Wanted {
    const HashOrderedMap<Object>* objects;
    std::uint64_t key;
    std::uint64_t field;
    const Object* object = nullptr;
  };
  absl::InlinedVector<Wanted, 32> all;
  bool with_fields = false;
  const ShardCore& core = impl_->core;
  for (Lookup& lookup : lookups) {
    lookup.partition = core.partition_of(lookup.key);
    const Partition* partition = core.find(lookup.partition);
    if (partition == nullptr) continue;
    lookup.known = true;
    lookup.key_hash = hash64(lookup.key);
    if (lookup.element.data() != nullptr) {
      lookup.element_hash = hash64(lookup.element);
      with_fields = true;
    }
    all.push_back({&partition->state.in_memory(), lookup.key_hash, lookup.element_hash});
    all.back().objects->prefetch_bucket(lookup.key_hash);
  }
  for (const Wanted& each : all) each.objects->prefetch_node(each.key);
  for (const Wanted& each : all) each.objects->prefetch_next(each.key);
  for (Wanted& each : all) {
    each.object = each.objects->likely(each.key);
    if (each.object != nullptr) each.object->prefetch();
  }
  if (!with_fields) return;
  const auto each_object = [&all](auto step) {
    for (const Wanted& each : all) {
      if (each.object != nullptr) step(*each.object, each.field);
    }
  };
  each_object([](const Object& object, std::uint64_t field) { object.prefetch_bucket(field); });
  each_object([](const Object& object, std::uint64_t field) { object.prefetch_node(field); });
  each_object([](const Object& object, std::uint64_t field) { object.prefetch_next(field); });
  each_object([](const Object& object, std::uint64_t field) { object.prefetch_value(field); });
}

bool Shard::fetch(std::span<const Need> needs, std::function<void()> done) {
  return impl_->projection.fetch(needs, std::move(done));
}
bool Shard::any_cold() const { return !impl_->replayed || impl_->projection.any_cold(); }

bool Shard::replay_some() {
  impl_->replay_some();
  return !impl_->replayed;
}

void Shard::replay_all() {
  impl_->recovery.finish();
  impl_->replay_some();
}

bool Shard::await_replay(std::span<const Need> needs, std::function<void()> done) {
  if (impl_->recovery.done()) return false;
  std::vector<PartitionId> partitions;
  for (const Need& need : needs) {
    partitions.push_back(impl_->core.partition_of(need.key));
  }
  std::ranges::sort(partitions);
  const auto rest = std::ranges::unique(partitions);
  partitions.erase(rest.begin(), rest.end());
  return impl_->recovery.await(partitions, std::move(done));
}

ReplayProgress Shard::replay_progress() const { return impl_->recovery.progress(); }

LogPosition Shard::barrier() const {
  // While the log cannot be written, reads go on; they may show what was refused room in the log.
  const Log& log = impl_->core.log;
  if (log.error()) return released();
  return impl_->core.has_open() ? log.next_frame() + 1 : log.barrier();
}

void Shard::end_turn() {
  ShardCore& core = impl_->core;
  if (EVEN_MUTANT(kAsksBeforeClosing)) impl_->quorum.ask_of_written();
  core.end_turn();
  impl_->has_more = false;
  impl_->unless_unreadable([this] { impl_->has_more = impl_->core.join_ready(); });
  impl_->quorum.ask_of_written();
  impl_->groups.gather();
  const bool sync_all = core.options.log.fsync == FsyncPolicy::kAlways;
  const bool sync_groups = impl_->groups.sync_wanted();
  if (const auto flushed = core.log.start_flush(sync_groups); !flushed || core.log.error()) {
    if (core.log.error() != impl_->warned_error)
      core.warn("writes are refused: " + *core.log.error());
  }
  impl_->warned_error = core.log.error();
  if (const std::uint64_t rescues = core.log.stats().rescues; rescues > impl_->warned_rescues) {
    impl_->warned_rescues = rescues;
    core.warn("what had not been synced of the log has been written anew and is safe, because " +
              core.log.last_distrust());
  }
  const bool sync_now =
      sync_all || sync_groups || impl_->meta.sync_wanted() || impl_->relay.sync_wanted();
  if (sync_now && core.log.sync_needed()) {
    if (sync_all && !core.log.error()) {
      impl_->unless_unreadable([this] { impl_->replication.send_before_sync(); });
    }
    core.log.sync(true);
  }
  // What is durable may let groups write more.
  if (impl_->groups.complete()) impl_->has_more = true;
  impl_->unless_unreadable([this] { impl_->replication.end_turn(); });
  impl_->quorum.end_turn();
  impl_->hints.end_turn();
  impl_->unless_unreadable([this] { impl_->rights.end_turn(); });
  impl_->check.end_turn();
  impl_->groups.end_turn();
}

bool Shard::has_more() const {
  return impl_->has_more || impl_->groups.has_more() || impl_->replication.has_more() ||
         impl_->hints.has_more() || impl_->check.has_more();
}

LogPosition Shard::Impl::released() const {
  const bool durable =
      core.options.log.fsync == FsyncPolicy::kAlways && !EVEN_MUTANT(kReplyBeforeDurable);
  if (EVEN_MUTANT(kReplyBeforeWritten)) return core.log.next_frame();
  return durable ? core.log.durable() : core.log.end();
}

LogPosition Shard::released() const { return impl_->released(); }

std::optional<std::string> Shard::release_error() const {
  const Log& log = impl_->core.log;
  if (!log.stuck()) return std::nullopt;
  return "MISCONF the outcome of this request is unknown: " + *log.error();
}

PartitionReach Shard::reach_of(std::span<const PartitionId> partitions, bool own) {
  ShardCore& core = impl_->core;
  core.close_all();
  PartitionReach reach;
  for (const PartitionId id : partitions) {
    reach.emplace_back(id, own ? core.made_of(id) : core.at(id).state.vector());
  }
  return reach;
}

PartitionReach Shard::own_reach() {
  std::vector<PartitionId> partitions;
  for (const auto& partition : impl_->core.partitions()) {
    if (partition->replicas.size() > 1) partitions.push_back(partition->id);
  }
  PartitionReach reach = reach_of(partitions, true);
  std::erase_if(reach, [](const auto& each) { return each.second.empty(); });
  return reach;
}

void Shard::await_seen(PartitionReach reach, std::size_t count, const QuorumWait& wait,
                       Answered done) {
  impl_->quorum.await_seen(std::move(reach), count, wait, std::move(done));
}

void Shard::await_written(std::span<const PartitionId> partitions, std::size_t count,
                          std::int64_t deadline_us, Answered done, bool sloppy) {
  impl_->quorum.await_written(partitions, count, deadline_us, std::move(done), sloppy);
}

void Shard::catch_up(const std::vector<PartitionId>& partitions, std::size_t count,
                     std::int64_t deadline_us, Answered done, bool sloppy) {
  impl_->quorum.catch_up(partitions, count, deadline_us, std::move(done), sloppy);
}

bool Shard::takes_hints(NodeNumber node) const { return impl_->hints.takes(node); }
HintStats Shard::hints() const { return impl_->hints.stats(); }
bool Shard::keeps_hint(PartitionId partition, const Dot& dot) const {
  return impl_->hint_store.keeps(partition, dot);
}

bool Shard::has_seen(const PartitionReach& reach) const {
  impl_->core.close_all();
  return impl_->quorum.has_seen(reach);
}
void Shard::await_here(PartitionReach reach, std::int64_t deadline_us, Answered done) {
  impl_->quorum.await_here(std::move(reach), deadline_us, std::move(done));
}
bool Shard::is_fresh(std::span<const PartitionId> partitions, std::int64_t since_us) const {
  return impl_->quorum.is_fresh(partitions, since_us);
}
void Shard::freshen(const std::vector<PartitionId>& partitions, std::int64_t deadline_us,
                    Answered done) {
  impl_->quorum.freshen(partitions, deadline_us, std::move(done));
}

std::optional<PartitionReach> Shard::causes_of(std::span<const PartitionId> partitions) const {
  try {
    return impl_->causality.causes_of(partitions);
  } catch (const Unreadable&) {
    return std::nullopt;  // noted as damage
  }
}
bool Shard::is_causal(std::span<const PartitionId> partitions) const {
  if (!is_complete(partitions)) return false;
  const std::optional<PartitionReach> causes = causes_of(partitions);
  return causes && has_seen(within(*causes, partitions));
}
std::string Shard::add_causes(PartitionId partition, const PartitionReach& session) {
  std::vector<std::string> words;
  try {
    words = impl_->causality.words_for(partition, session);
  } catch (const Unreadable& error) {
    return fmt::format("-IOERR {}\r\n", error.what());
  }
  if (words.empty()) return {};
  const std::vector<std::string_view> args(words.begin(), words.end());
  std::string reply;
  execute(kCausesCommand, args, false, reply);
  return reply.starts_with('-') ? reply : std::string();
}
bool Shard::is_complete(std::span<const PartitionId> partitions) const {
  return impl_->causality.complete(partitions);
}
void Shard::complete(std::span<const PartitionId> partitions, std::int64_t deadline_us,
                     Answered done) {
  impl_->causality.make_complete(partitions, deadline_us, std::move(done));
}

std::uint64_t Shard::start_check() { return impl_->check.start(); }
CheckStatus Shard::check_status() const { return impl_->check.status(); }
bool Shard::falsify(std::string_view key, std::optional<std::string_view> value) {
  ShardCore& core = impl_->core;
  core.close_all();
  const PartitionId partition = core.partition_of(key);
  if (core.is_strong(partition) || core.find(partition) == nullptr) return false;
  return Check::falsify(core.replayed(partition), key, value);
}

LogPosition Shard::durable() const { return impl_->core.log.durable(); }

void Shard::on_released(std::function<void()> callback) {
  impl_->released_callback = std::move(callback);
}

std::optional<std::string> Shard::write_error() const { return impl_->core.log.error(); }

void Shard::tick() {
  ShardCore& core = impl_->core;
  core.close_all();
  const std::int64_t now_us = core.clock.monotonic_us();
  const bool much_unsynced = core.log.end() - core.log.durable() >= core.options.log.tail_bytes / 2;
  if (core.options.log.fsync == FsyncPolicy::kEverySecond &&
      (much_unsynced || now_us - impl_->last_sync_us >= kSyncIntervalUs)) {
    impl_->last_sync_us = now_us;
    core.log.sync();
  }
  if (!core.log.error()) impl_->unless_unreadable([this] { impl_->expiry_sweep.tick(); });
  impl_->groups.tick();
  impl_->meta.tick();
  impl_->quorum.tick();
  impl_->hints.tick();
  impl_->unless_unreadable([this] { impl_->relay.tick(); });
  impl_->unless_unreadable([this] { impl_->feeds.tick(); });
  impl_->replay_some();
  if (impl_->replayed) impl_->unless_unreadable([this] { impl_->replication.tick(); });
  if (impl_->replayed) impl_->causality.tick();
  impl_->unless_unreadable([this] { impl_->rights.tick(); });
  if (impl_->replayed) impl_->check.tick();
  // What has been removed need not be made room for by removing more.
  // There rarely is any, so it is not looked for at every tick.
  if (!impl_->all_freed || ++impl_->ticks % 4 == 0) impl_->all_freed = core.free_removed();
  if (impl_->all_freed) impl_->unless_unreadable([this] { impl_->key_eviction.tick(); });
  if (impl_->key_eviction.wants_pass()) impl_->projection.request_pass();
  // Nothing is stored, nor a position, before all of the log has been replayed.
  if (impl_->replayed || EVEN_MUTANT(kPassBeforeReplayed)) impl_->projection.tick();
  impl_->projection.evict(impl_->key_eviction.leaves_the_rest());
}

void Shard::link_up(ReplicaId peer, bool inflates) {
  impl_->core.close_all();
  impl_->groups.link_up(peer);
  impl_->meta.link_up(peer.node());
  impl_->hints.link_up(peer.node());
  impl_->quorum.link_up(peer.node());
  impl_->rights.link_up(peer);
  impl_->check.link_up(peer.node());
  impl_->relay.link_up(peer.node());
  impl_->causality.link_up(peer.node());
  // A peer that was told less than the log has would send all of the rest.
  if (!impl_->replayed && !EVEN_MUTANT(kLinkBeforeReplayed)) {
    impl_->peers_up.insert_or_assign(peer.node(), std::pair(peer, inflates));
    return;
  }
  impl_->replication.link_up(peer, inflates);
}
void Shard::link_down(NodeNumber peer) {
  impl_->peers_up.erase(peer);
  impl_->groups.link_down(peer);
  impl_->meta.link_down(peer);
  impl_->hints.link_down(peer);
  impl_->quorum.link_down(peer);
  impl_->rights.link_down(peer);
  impl_->check.link_down(peer);
  impl_->relay.link_down(peer);
  impl_->causality.link_down(peer);
  impl_->replication.link_down(peer);
}
Result<> Shard::receive(NodeNumber peer, std::string_view message) {
  const bool of_group = is_of_state_from(impl_->core.options.partition_count, message);
  if (!is_of_replication(message) || of_group) {
    auto decoded = decode_peer_message(message);
    if (!decoded) return std::unexpected(decoded.error());
    if (const auto* groups = std::get_if<GroupsMessage>(&*decoded)) {
      return impl_->groups.receive(peer, *groups);
    }
    if (const auto* piece = std::get_if<SnapshotPiece>(&*decoded)) {
      impl_->groups.receive(peer, *piece);
      return {};
    }
    if (const auto* asked = std::get_if<SnapshotProgress>(&*decoded)) {
      impl_->groups.receive(peer, *asked);
      return {};
    }
    if (const auto* digests = std::get_if<DigestsMessage>(&*decoded)) {
      impl_->groups.receive(peer, *digests);
      return {};
    }
    if (const auto* former = std::get_if<FormerMessage>(&*decoded)) {
      return impl_->meta.receive(peer, *former);
    }
    if (auto* ask = std::get_if<AskMessage>(&*decoded)) {
      return impl_->quorum.receive(peer, std::move(*ask));
    }
    if (const auto* hint = std::get_if<HintMessage>(&*decoded)) {
      impl_->core.close_all();
      return impl_->hints.receive(peer, *hint);
    }
    if (const auto* state = std::get_if<HintStateMessage>(&*decoded)) {
      return impl_->hints.receive(peer, *state);
    }
    if (const auto* answer = std::get_if<AnswerMessage>(&*decoded)) {
      if (impl_->hints.receive(peer, *answer)) return {};
      return impl_->quorum.receive(peer, *answer);
    }
    if (const auto* stable = std::get_if<StableMessage>(&*decoded)) {
      return impl_->causality.receive(peer, *stable);
    }
    if (const auto* rights = std::get_if<RightsMessage>(&*decoded)) {
      Result<> outcome;
      impl_->unless_unreadable([&] { outcome = impl_->rights.receive(peer, *rights); });
      return outcome;
    }
    if (const auto* ask = std::get_if<CompareAsk>(&*decoded)) {
      impl_->core.send_held(ask->partition);
      return impl_->check.receive(peer, *ask);
    }
    if (const auto* answer = std::get_if<CompareAnswer>(&*decoded)) {
      return impl_->check.receive(peer, *answer);
    }
    return impl_->meta.receive(peer, std::get<MetaMessage>(*decoded));
  }
  impl_->core.close_all();
  try {
    return impl_->replication.receive(peer, message);
  } catch (const Unreadable&) {
    return {};  // noted as damage; what is not taken in now is asked for again
  }
}

void Shard::execute_strong(StrongRequest request, StrongDone done) {
  Group* group = impl_->groups.find(request.group);
  if (group == nullptr) return done({StrongOutcome::Kind::kElsewhere});
  group->execute(std::move(request), std::move(done));
  impl_->groups.touch(*group);
}
bool Shard::has_group(PartitionId group) const { return impl_->groups.find(group) != nullptr; }
std::vector<GroupStatus> Shard::groups() const { return impl_->groups.status(); }
std::optional<NodeNumber> Shard::leader_of(PartitionId id) const {
  const Group* group = impl_->groups.find(id);
  if (group == nullptr) return std::nullopt;
  if (group->halted() && group->leads()) return 0;
  return group->leader();
}
std::optional<consensus::Term> Shard::term_led(PartitionId id) const {
  const Group* group = impl_->groups.find(id);
  if (group == nullptr || group->halted() || !group->leads()) return std::nullopt;
  return group->term();
}
void Shard::on_topic(std::function<void(PartitionId)> callback) {
  impl_->groups.on_topic = std::move(callback);
}
std::optional<TopicStatus> Shard::topic(PartitionId partition) const {
  const Group* group = impl_->groups.find(partition);
  if (group == nullptr || group->topic() == nullptr) return std::nullopt;
  return group->topic_status();
}
void Shard::read_topic(PartitionId partition, std::int64_t offset, std::size_t max_bytes,
                       std::move_only_function<void(Result<std::string>)> done) {
  impl_->groups.find(partition)->read_topic(offset, max_bytes, std::move(done));
}
Result<std::optional<std::pair<std::int64_t, std::int64_t>>> Shard::topic_at_time(
    PartitionId partition, std::int64_t time) const {
  const Group& group = *impl_->groups.find(partition);
  const auto found =
      group.topic()->find_time(time, group.topic_status().start, group.topic_status().end);
  if (!found) return std::unexpected(found.error());
  if (!*found) return std::nullopt;
  return std::pair((*found)->offset, (*found)->time);
}
Result<std::vector<AbortedTransaction>> Shard::topic_aborted(PartitionId partition,
                                                             std::int64_t from,
                                                             std::int64_t to) const {
  Group* group = impl_->groups.find(partition);
  if (group == nullptr) return fail("the partition is not here any more");
  return aborted_transactions(group->partition().state, from, to);
}
void Shard::on_relay(RelayTo callback) { impl_->relay.on_relay(std::move(callback)); }
void Shard::serve(std::shared_ptr<const cluster::KeyspaceTable> keyspaces) {
  impl_->core.close_all();
  const bool had_delays = impl_->core.keyspaces->any_delayed();
  impl_->meta.serve(std::move(keyspaces));
  if (had_delays) impl_->replication.send_all_held();
}
void Shard::on_keyspaces(
    std::function<void(std::shared_ptr<const cluster::KeyspaceTable>)> callback,
    std::function<void(const std::string& why)> unknown) {
  impl_->meta.on_keyspaces(std::move(callback), std::move(unknown));
}
Result<> Shard::found_group(PartitionId group, std::vector<consensus::MemberId> voters,
                            std::vector<NodeNumber> replicas) {
  std::ranges::sort(voters);
  return impl_->groups.found(group, std::move(replicas), {.voters = std::move(voters)});
}
void Shard::stop_leading() {
  impl_->core.close_all();
  impl_->replication.stop_holding();
  impl_->groups.stop_leading();
}
bool Shard::handing_over() const {
  return impl_->groups.handing_over() || impl_->replication.sending_held();
}

void Shard::store_now(std::move_only_function<void(const Result<>&)> done) {
  impl_->projection.store_now(std::move(done));
}
void Shard::store_changes() {
  impl_->key_eviction.stop();
  impl_->projection.store_all();
}
bool Shard::all_stored() const { return impl_->replayed && impl_->projection.all_stored(); }

std::int64_t Shard::pause_us() const { return impl_->projection.pause_us(); }

Result<> Shard::remove_log() {
  if (const auto& why = impl_->groups.forgotten()) {
    return fail("what groups of strong keyspaces need cannot be read: " + *why);
  }
  for (const Partition* partition : impl_->core.all_partitions()) {
    if (!partition->damaged()) continue;
    return fail(fmt::format("partition {} is damaged and needs the log until it is repaired: {}",
                            partition->id, *partition->rows->damage()));
  }
  if (const auto flushed = impl_->core.log.flush_and_sync(); !flushed) return flushed;
  EVEN_CHECK(all_stored() && (EVEN_MUTANT(kPositionBehind) ||
                              impl_->projection.position() == impl_->core.log.end()),
             "the log has what the store lacks");
  return impl_->core.log.remove_all();
}

Result<> Shard::close() {
  impl_->core.close_all();
  return impl_->core.log.flush_and_sync();
}

bool Shard::owns(PartitionId partition) const { return impl_->core.find(partition) != nullptr; }
ReplicaId Shard::replica_id() const { return impl_->core.self; }
const ShardStats& Shard::stats() const { return impl_->core.stats; }
std::vector<PeerStatus> Shard::peers() const { return impl_->replication.status(); }

std::vector<PartitionStatus> Shard::partitions() const {
  impl_->core.close_all();  // a digest belongs to a vector
  std::vector<PartitionStatus> all;
  for (const auto& partition : impl_->core.partitions()) {
    all.push_back({partition->id, partition->state.vector(), partition->state.digest(),
                   partition->state.live_keys(), partition->rows->damage(), partition->replayed});
  }
  return all;
}

const PartitionState* Shard::state(PartitionId id) const {
  impl_->core.close_all();
  const Partition* partition = impl_->core.find(id);
  return partition == nullptr ? nullptr : &partition->state;
}

std::size_t Shard::visible_keys() const {
  std::size_t keys = 0;
  for (const auto& partition : impl_->core.partitions()) keys += partition->state.visible_keys();
  return keys;
}

double Shard::sum_of_ttls_ms() const {
  const std::int64_t now_ms = impl_->core.clock.wall_ms();
  double sum = 0;
  for (const auto& partition : impl_->core.partitions()) {
    sum += partition->state.sum_of_ttls_ms(now_ms);
  }
  return sum;
}
std::size_t Shard::keys_with_expiry() const {
  std::size_t keys = 0;
  for (const auto& partition : impl_->core.partitions())
    keys += partition->state.keys_with_expiry();
  return keys;
}

std::size_t Shard::keys_lapsed() const {
  std::size_t keys = 0;
  for (const auto& partition : impl_->core.partitions()) keys += partition->state.lapsed_keys();
  return keys;
}

DatabaseCounts Shard::visible_of_databases() const {
  DatabaseCounts sum;
  for (const auto& partition : impl_->core.partitions()) {
    if (partition->state.live_keys_beside_0() == 0) continue;
    try {
      sum += partition->state.visible_of_databases();
    } catch (const Unreadable&) {
      // What has lapsed cannot be told from the rest: for numbers that people read, all counts.
      sum += partition->state.live_of_databases();
    }
  }
  return sum;
}

LogStats Shard::log_stats() const { return impl_->core.log.stats(); }
StoreStats Shard::store_stats() const { return impl_->projection.stats(); }

}  // namespace even
