#include "node/shard_thread.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <random>

#include "base/check.h"
#include "base/memory.h"
#include "client/connection.h"
#include "engine/databases.h"
#include "engine/outbox.h"
#include "env/volatile_cache_disk.h"
#include "kafka/connection.h"
#include "kafka/coordinator.h"
#include "kafka/quotas.h"
#include "net/turn.h"
#include "node/keyspace_closing.h"
#include "node/shard_options.h"
#include "node/table_change.h"
#include "peer/peer_hello.h"
#include "replica/meta_group.h"

namespace even {
namespace {

constexpr std::chrono::milliseconds kTick{5};
// For clients in a turn, and for all else: their replies leave in the end of it.
constexpr std::int64_t kTurnUs = 2000;
constexpr std::size_t kReadBuffer = 64 * 1024;
constexpr std::int64_t kIdleCheckUs = 1'000'000;
// Tracked keys, should the bound have been lowered.
constexpr std::size_t kLetGoAtTick = 1000;
// Writes wait for the store when more than one in so many bytes of the limit is allocated beyond
// it, for so long at a time.
constexpr std::uint64_t kMemoryMargin = 10;
// And when the part of it that has changed is larger than this; see shard_options.cc.
constexpr std::uint64_t kChangedShare = 8;
constexpr std::int64_t kStorePatienceUs = 1'000'000;
// How long clients may take to read their last replies when the node stops.
constexpr std::chrono::seconds kDrainTime{2};
// And how long other nodes may take to lead the groups that this one leads.
constexpr std::chrono::seconds kLeadingTime{1};
// How long bringing the store up to date may take then.
constexpr std::chrono::seconds kStoreTime{30};

std::uint64_t seed_from_system() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

}  // namespace

ShardThread::ShardThread(NodeContext& node, ShardId id)
    : node_(node),
      id_(id),
      io_(1),
      tick_timer_(io_),
      poller_(io_, [this](std::uint64_t client, Readiness what) { on_client_ready(client, what); }),
      busy_polling_(node.config.node.busy_poll_us, PosixClock::thread_cpu_us),
      random_(seed_from_system()),
      read_buffer_(kReadBuffer),
      router_(*this),
      forwarder_(*this),
      strong_(*this),
      coordinator_(std::make_unique<kafka::Coordinator>(*this)),
      subscriptions_(node.subscriptions, id),
      publisher_(*this),
      peers_(*this),
      outboxes_(node.shards) {}

void ClientTraffic::note_error(std::string_view reply) {
  std::string_view code = reply.substr(1, reply.find_first_of(" \r") - 1);
  // Scripts make errors of any text.
  constexpr std::size_t kMostCodes = 128;
  constexpr std::size_t kLongest = 32;
  const auto is_usual = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (code.empty() || code.size() > kLongest || !std::ranges::all_of(code, is_usual) ||
      (errors.size() >= kMostCodes && !errors.contains(code))) {
    code = "ERR";
  }
  const auto known = errors.find(code);
  ++(known != errors.end() ? known->second : errors[std::string(code)]);
}

double ShardThread::us_per_cycle() const {
  const std::uint64_t cycles = CommandTimer::counter() - made_cycles_;
  const std::int64_t us = clock_.monotonic_us() - made_us_;
  return cycles == 0 ? 0 : static_cast<double>(us) / static_cast<double>(cycles);
}

ShardThread::~ShardThread() { EVEN_CHECK(!thread_.joinable(), "a shard thread was not joined"); }

void ShardThread::start() {
  thread_ = std::thread([this] { run(); });
}

Result<> ShardThread::join() {
  if (thread_.joinable()) thread_.join();
  return outcome_;
}

void ShardThread::post(Task task) { asio::post(io_, std::move(task)); }

Result<> ShardThread::recover() {
  // Completions reach the shard on its own thread and never while it is lent; those of the log
  // while its borrower waits for them.
  const auto post_of_log = [this](std::function<void()> task) {
    post([this, task = std::move(task)]() mutable { lease_.when_unused(std::move(task)); });
  };
  const auto post_to_shard = [this](std::function<void()> task) {
    post([this, task = std::move(task)]() mutable { lease_.when_free(std::move(task)); });
  };
  auto disk = PosixDisk::open(node_.config.node.data, post_of_log);
  if (!disk) return std::unexpected(disk.error());
  disk_ = std::move(*disk);
  if (node_.config.faults.lose_unsynced_writes) {
    disk_ = std::make_unique<VolatileCacheDisk>(
        std::move(disk_), [this](std::int64_t us, std::function<void()> task) {
          auto timer = std::make_shared<asio::steady_timer>(io_, std::chrono::microseconds(us));
          timer->async_wait([this, timer, task = std::move(task)](error_code) mutable {
            lease_.when_unused(std::move(task));
          });
        });
  }
  store_ = node_.store->shard_store(id_, post_to_shard);
  ShardOptions options = shard_options(node_, id_, node_.shards);
  options.wanted_key_events = &node_.options.key_events;
  options.key_event = [this](const KeyEvent& event) {
    node_.waiting_clients.note(event);
    publisher_.note(event);
  };
  options.keys_flushed = [this] { node_.waiting_clients.wake_for_any_change(); };
  options.key_changes = &node_.tracking;
  options.state_taken = [this] { node_.waiting_clients.wake_all(); };
  options.scripts = &node_.scripts;
  options.any_sequence_known = [this] { return all_know(*this, kClosesGroups, {}).has_value(); };
  options.once_words_known = options.any_sequence_known;
  // Not from here: the shard is in the middle of a tick.
  options.left_closed = [this](PartitionId group, std::uint64_t attempt) {
    post([this, group, attempt] { open_group_left_closed(*this, group, attempt); });
  };
  options.once_first_known = [this] { return all_know(*this, kLooksUpFirst, {}).has_value(); };
  options.publish = [this](std::string_view channel, std::string_view message, bool sharded) {
    const SubscriptionKind kind =
        sharded ? SubscriptionKind::kShardChannel : SubscriptionKind::kChannel;
    script_messages_.push_back({kind, std::string(channel), std::string(message)});
    return static_cast<std::int64_t>(node_.subscriptions.count(kind, channel));
  };
  options.while_script_runs = [this] { serve_while_busy(); };
  options.script_denied = [this](const AclUser& user, const AclDenial& denial) {
    if (denial.reason == AclDenial::Reason::kPattern) return;
    // Who has called it is not known here; client libraries want a line all the same.
    Session caller;
    caller.become(std::make_shared<const AclUser>(user));
    std::string line = client_line(caller, {}, "NULL", 0);
    line.pop_back();
    node_.acl_log.add({.reason = denial.reason,
                       .where = AclLog::Where::kLua,
                       .object = denial.object,
                       .user = user.name(),
                       .client = std::move(line),
                       .at_ms = clock_.wall_ms()},
                      node_.options.acl_log_length);
  };
  options.script_log = [this](int level, std::string_view text) {
    constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::debug,
                                                     spdlog::level::info, spdlog::level::warn};
    spdlog::log(kLevels[level], "shard {}: script: {}", id_, text);
  };
  shard_ = std::make_unique<Shard>(std::move(options), clock_, random_, *disk_, *store_, peers_);
  std::uint64_t seen = 0, expected = 0;
  Result<> recovered = shard_->recover([&](std::uint64_t done, std::uint64_t all) {
    node_.recovered_bytes += done - seen;
    node_.bytes_to_recover += all - expected;
    seen = done;
    expected = all;
  });
  if (!recovered) return recovered;
  if (shard_->replay_progress().under_way()) ++node_.replaying;
  // The turn in which it happens ends with a look at released(); nothing is needed but that turn.
  shard_->on_released([] {});
  shard_->on_topic([this](PartitionId partition) { topics_.changed(partition); });
  shard_->on_relay(
      [this](PartitionId group, const std::vector<std::string>& words, Shard::RelayDone done) {
        topics_.append_events(group, words, std::move(done));
      });
  const PartitionId meta = meta_partition(node_.placement.partitions());
  if (shard_of_partition(meta, node_.shards) == id_) {
    // Before any client is given to a thread, which is posted as well, once all have recovered.
    const auto serve_table =
        [this, known = std::make_shared<const AclUsers>(), definitions = cluster::Definitions(),
         libraries = std::make_shared<const LibraryTable>(), codes = cluster::Definitions(),
         quotas = cluster::Definitions()](
            const std::shared_ptr<const cluster::KeyspaceTable>& table) mutable {
          if (!users_->why_unknown().empty()) {
            spdlog::info("the cluster's users are known: clients can log in");
          }
          if (table->users() != definitions) {
            definitions = table->users();
            known = std::make_shared<const AclUsers>(definitions);
            for (const std::string& name : known->unreadable()) {
              spdlog::error(
                  "the rules of user '{}' are not known to this version: it may do nothing here",
                  name);
            }
          }
          if (table->libraries() != codes) {
            codes = table->libraries();
            libraries = std::make_shared<const LibraryTable>(codes);
          }
          if (table->quotas() != quotas) {
            quotas = table->quotas();
            node_.kafka_quotas->set(quotas);
          }
          // At one instant for all threads; those who wait are told by each.
          node_.databases.store(table->databases());
          for (const auto& thread : node_.threads) {
            thread->post([&target = *thread, table, users = known, libraries] {
              target.serve(table, users, libraries);
            });
          }
        };
    // Whether there are users is not known then, nor who they are: the configuration's `default`
    // would let anybody in whom the cluster has shut out.
    shard_->on_keyspaces(serve_table, [this](const std::string& why) {
      if (why.empty()) {
        spdlog::info("no node that this one has heard of knows of users: clients can log in");
      } else if (why == MetaGroup::kHeardOfNobody) {
        spdlog::info("clients are let in when another node has said whether there are users");
      } else {
        spdlog::error("nobody can log in at this node, as it does not know the cluster's users: {}",
                      why);
      }
      const auto users = std::make_shared<const AclUsers>(AclUsers::unknown(why));
      for (const auto& thread : node_.threads) {
        thread->post([&target = *thread, users] { target.serve_users(users); });
      }
    });
  }
  return {};
}

// Not even a client that the table makes somebody else is served in between.
void ShardThread::serve_users(std::shared_ptr<const AclUsers> users) {
  if (users == users_) return;
  users_ = std::move(users);
  node_.users_known = users_->why_unknown().empty();
  using DefaultUser = NodeContext::DefaultUser;
  const AclUserPointer user = find_user(*this, kDefaultUser);
  node_.default_user = !why_no_login(*this).empty()                   ? DefaultUser::kClosed
                       : user == nullptr                              ? DefaultUser::kUnchanged
                       : user->enabled() && user->needs_no_password() ? DefaultUser::kOpen
                                                                      : DefaultUser::kClosed;
  std::vector<std::shared_ptr<Connection>> clients;
  for (const auto& [id, client] : clients_) clients.push_back(client);
  for (const auto& client : clients) client->users_changed();
  std::vector<std::shared_ptr<kafka::Connection>> kafka_clients;
  for (const auto& [key, client] : kafka_clients_) kafka_clients.push_back(client);
  for (const auto& client : kafka_clients) client->users_changed();
}

void ShardThread::serve_databases(DatabaseMap databases) {
  if (databases == served_databases_) return;
  served_databases_ = databases;
  std::vector<std::shared_ptr<Connection>> clients;
  for (const auto& [id, client] : clients_) clients.push_back(client);
  for (const auto& client : clients) client->databases_changed();
  // Other keys have the names that have been read.
  node_.tracking.all_changed();
}

void ShardThread::serve(std::shared_ptr<const cluster::KeyspaceTable> table,
                        const std::shared_ptr<const AclUsers>& users,
                        std::shared_ptr<const LibraryTable> libraries) {
  serve_users(users);
  serve_databases(table->databases());
  libraries_ = std::move(libraries);
  lease_.when_free([this, table = std::move(table)] {
    // A key may be of another keyspace from now on, and be read elsewhere.
    const bool changed =
        node_.tracking.wanted() && !std::ranges::equal(keyspaces_->keyspaces(), table->keyspaces());
    keyspaces_ = table;
    if (changed) node_.tracking.all_changed();
    node_.waiting_clients.wake_all();
    any_strong_ = table->any_strong();
    shard_->serve(table);
    node_.served[id_] = table->version();
  });
}

void ShardThread::run() {
  outcome_ = recover();
  const bool good = outcome_.has_value();
  recovered_.set_value(outcome_);
  if (!good) {
    shard_.reset();
    store_.reset();
    disk_.reset();
    return;
  }
  released_ = shard_->released();
  peers_.start();
  schedule_tick();
  if (shard_->replay_progress().under_way()) replay();
  const auto work = asio::make_work_guard(io_);
  while (!stopped_) {
    const std::int64_t now_us = clock_.monotonic_us();
    if (take_turn(poller_, io_, clock_, kTurnUs)) {
      busy_polling_.found(now_us);
    } else if (busy_polling_.again(now_us)) {
      // For what else is to run on this core.
      std::this_thread::yield();
      continue;
    } else {
      poller_.arm();
      io_.run_one();
      busy_polling_.found(clock_.monotonic_us());
    }
    end_turn();
  }
  outcome_ = shard_->close();
  shard_.reset();
  store_.reset();
  disk_.reset();
}

// A bit of the log, and the rest later, so that what has come meanwhile is executed in between.
void ShardThread::replay() {
  lease_.when_free([this] {
    if (shard_->replay_some()) return post([this] { replay(); });
    --node_.replaying;
    spdlog::info("shard {}: all of the log ({:.0f} MB) has been replayed", id_,
                 static_cast<double>(shard_->replay_progress().bytes) / 1e6);
  });
}

void ShardThread::end_turn() {
  if (!lease_.in_use()) {
    shard_->end_turn();
    released_ = shard_->released();
    release_error_ = shard_->release_error();
    if (shard_->has_more()) post([] {});  // so that the next turn comes at once
  }
  flush();
  if (!stats_.turn_is_empty()) {
    const std::int64_t us = clock_.monotonic_us() - turn_started_us_;
    const CommandStats::OfKeys executed = stats_.end_turn(us);
    levels_.end_turn(us, executed.reads, executed.writes);
  }
  turn_started_us_ = 0;
}

void ShardThread::deliver_invalidations() {
  if (!node_.tracking.has_mail(id_)) return;
  const TrackingTable::Box box = node_.tracking.take(id_);
  if (box.all) {
    for (const auto& [id, client] : clients_) client->invalidate_all();
    return;
  }
  // Those of broadcasts are told of as one for each of the client's prefixes.
  std::map<std::pair<std::uint64_t, std::string>, std::map<std::string, bool>> broadcasts;
  for (const TrackingTable::Invalidation& each : box.some) {
    if (each.broadcast) {
      // It has been changed by another client if any of the changes was.
      const auto [at, is_new] =
          broadcasts[{each.client, each.prefix}].try_emplace(each.key, each.own);
      at->second = at->second && each.own;
      continue;
    }
    const auto client = clients_.find(each.client);
    // As in Redis, who has turned to broadcasts does not hear of what it had read before.
    if (client == clients_.end() || client->second->session().tracking.broadcast) continue;
    client->second->invalidate({&each.key, 1}, each.own);
  }
  for (const auto& [to, keys] : broadcasts) {
    const auto client = clients_.find(to.first);
    if (client == clients_.end()) continue;
    std::vector<std::string> of_others, own;
    for (const auto& [key, is_own] : keys) (is_own ? own : of_others).push_back(key);
    // NOLOOP is about the former alone.
    if (!client->second->session().tracking.no_loop) {
      of_others.insert(of_others.end(), own.begin(), own.end());
    }
    if (!of_others.empty()) client->second->invalidate(of_others, false);
  }
}

void ShardThread::end_pause(std::int64_t now_us) {
  node_.pause.expire(now_us);
  if (paused_.empty()) return;
  // Who is still held up comes back.
  auto held = std::exchange(paused_, {});
  const std::size_t before = held.size();
  if (node_.pause.any()) {
    std::erase_if(held, [](const auto& waiting) { return waiting.expired(); });
    node_.pause.held -= before - held.size();
    paused_ = std::move(held);
    return;
  }
  node_.pause.held -= before;
  for (const auto& waiting : held) {
    if (const auto client = waiting.lock()) client->pause_ended();
  }
}

void ShardThread::flush() {
  deliver_invalidations();
  while (!held_.empty() && (held_.front().position <= released_ || release_error_)) {
    const bool released = held_.front().position <= released_;
    Release release = std::move(held_.front().release);
    held_.pop_front();
    release(released ? std::nullopt : release_error_);
  }
  for (const ScriptMessage& sent : std::exchange(script_messages_, {})) {
    publisher_.publish({sent.kind, sent.channel, sent.message});
  }
  publisher_.flush();
  peers_.flush();
  flushing_.swap(dirty_);
  for (const std::shared_ptr<Connection>& connection : flushing_) {
    // What waits for the log is looked at again when the log has moved on.
    if (connection->flush(released_, release_error_)) dirty_.push_back(connection);
  }
  flushing_.clear();
  for (ShardId thread = 0; thread < node_.shards; ++thread) {
    if (outboxes_[thread].empty()) continue;
    ShardThread& target = *node_.threads[thread];
    target.post([&target, tasks = std::exchange(outboxes_[thread], {})]() mutable {
      for (ThreadTask& task : tasks) task(target);
    });
  }
}

void ShardThread::send_to(ShardId thread, ThreadTask task) {
  outboxes_[thread].push_back(std::move(task));
}

void ShardThread::hold_until(LogPosition position, Release release) {
  held_.push_back({position, std::move(release)});
}

void ShardThread::schedule_tick() {
  tick_timer_.expires_after(kTick);
  tick_timer_.async_wait([this](error_code error) {
    if (error) return;
    tick();
    schedule_tick();
  });
}

void ShardThread::tick() {
  if (!lease_.lent()) {
    shard_->tick();
    pace_writes(clock_.monotonic_us());
  }
  const std::int64_t now_us = clock_.monotonic_us();
  peers_.tick(now_us);
  forwarder_.tick(now_us);
  strong_.tick(now_us);
  topics_.tick();
  coordinator_->tick(now_us);
  if (node_.replaying == 0) {
    for (Task& task : std::exchange(when_replayed_, {})) task();
  }
  node_.tracking.keep_bound(kLetGoAtTick);
  end_pause(now_us);
  watch_memory(now_us);
  if (now_us >= next_sample_us_) sample_rates(now_us);
  if (now_us >= next_idle_check_us_) {
    next_idle_check_us_ = now_us + kIdleCheckUs;
    close_idle_clients();
    close_slow_subscribers();
  }
  if (!drained_) return;
  if (now_us >= drain_deadline_us_) {
    for (const auto& client : clients_to_close()) client->close("the node stops");
  }
  if (lease_.lent()) return;
  // Others lead before the links to them end.
  if (!links_ended_ && (!shard_->handing_over() || now_us >= leading_deadline_us_)) {
    links_ended_ = true;
    while (!kafka_clients_.empty()) kafka_clients_.begin()->second->close();
    peers_.stop();
  }
  if (links_ended_ && clients_to_close().empty() && router_.idle() && may_stop(now_us)) {
    drained_->set_value();
    drained_.reset();
  }
}

void ShardThread::when_ready(long_blocks::Expectation expectation, std::function<void()> then) {
  auto timer = std::make_shared<asio::steady_timer>(io_, std::chrono::milliseconds(1));
  timer->async_wait([this, timer, expectation, then = std::move(then)](error_code error) mutable {
    if (error) return;
    long_blocks::ready(expectation) ? then() : when_ready(expectation, std::move(then));
  });
}

// Of a pause that has ended, writers have until the next tick before there may be another.
void ShardThread::pace_writes(std::int64_t now_us) {
  if (now_us < writes_pause_until_us_) return;
  if (std::exchange(writes_pause_until_us_, 0) != 0) return;
  const std::int64_t pause_us = shard_->pause_us();
  if (pause_us > 0 && !drained_) writes_pause_until_us_ = now_us + pause_us;
}

void ShardThread::watch_memory(std::int64_t now_us) {
  const std::uint64_t limit = node_.options.max_memory.load(std::memory_order_relaxed);
  const std::uint64_t allocated = allocated_bytes();
  const std::uint64_t room = limit > allocated ? limit - allocated : 0;
  long_blocks::set_limit(limit == 0 ? long_blocks::kDefaultLimit
                                    : std::min(long_blocks::kDefaultLimit, room));
  if (!lease_.lent()) {
    // With a cache policy, keys are deleted instead.
    const bool over = limit != 0 && allocated > limit + limit / kMemoryMargin &&
                      node_.options.cache_policy == CachePolicy::kNoEviction;
    const bool now_short = over && !drained_ && !shard_->write_error() &&
                           shard_->store_stats().lag_bytes > limit / kChangedShare / node_.shards;
    if (now_short != std::exchange(short_of_memory_, now_short)) {
      now_short ? ++node_.shards_short_of_memory : --node_.shards_short_of_memory;
    }
  }
  if (node_.shards_short_of_memory.load(std::memory_order_relaxed) == 0) {
    patience_ends_us_ = now_us + kStorePatienceUs;
  } else if (now_us >= patience_ends_us_ + kStorePatienceUs / 10) {
    patience_ends_us_ = now_us + kStorePatienceUs;  // some have got through; the next ones wait
  }
  if (must_wait_for_store() || waiting_for_store_.empty()) return;
  for (const auto& waiting : std::exchange(waiting_for_store_, {})) {
    if (const auto client = waiting.lock()) client->store_has_room();
  }
}

void ShardThread::sample_rates(std::int64_t now_us) {
  next_sample_us_ = now_us + RateMeter::kIntervalUs;
  traffic_.commands_rate.sample(stats_.calls(), now_us);
  traffic_.input_rate.sample(traffic_.input_bytes, now_us);
  traffic_.output_rate.sample(traffic_.output_bytes, now_us);
  if (now_us < next_level_sample_us_) return;
  next_level_sample_us_ = now_us + LevelMeter::kSampleUs;
  levels_.sample(consistency(), now_us);
}

ConsistencyCounters ShardThread::consistency() const {
  ConsistencyCounters counters = levels_.counters();
  for (const PeerStatus& peer : shard_->peers()) {
    counters.arrivals[peer.node] = {peer.delay_histogram, peer.delays_below_zero};
  }
  const ShardStats& stats = shard_->stats();
  counters.records_joined = stats.records_joined;
  counters.conflicts = stats.conflicts;
  counters.type_conflicts = stats.type_conflicts;
  counters.keys_repaired = shard_->check_status().repaired;
  const HintStats hints = shard_->hints();
  counters.hints_kept = hints.kept;
  counters.hints_handed_over = hints.handed_over;
  return counters;
}

std::vector<std::shared_ptr<Connection>> ShardThread::clients_to_close() const {
  std::vector<std::shared_ptr<Connection>> clients;
  for (const auto& [id, client] : clients_) {
    if (!client->waits_for_stop()) clients.push_back(client);
  }
  return clients;
}

// Whether the store is up to date, so that the next start is quick, or cannot be brought there in
// reasonable time; the log has everything.
bool ShardThread::may_stop(std::int64_t now_us) const {
  return shard_->all_stored() || shard_->write_error() || now_us >= store_deadline_us_ ||
         shard_->store_stats().failed_passes > failed_passes_;
}

void ShardThread::close_idle_clients() {
  const std::int64_t timeout_us = node_.options.idle_timeout * std::int64_t{1'000'000};
  if (timeout_us == 0) return;
  std::vector<std::shared_ptr<Connection>> idle;
  for (const auto& [id, client] : clients_) {
    // Who is subscribed, or waits for something, has nothing to say, as in Redis.
    if (client->idle_us() > timeout_us && !client->subscribed() && !client->waits()) {
      idle.push_back(client);
    }
  }
  for (const auto& client : idle) client->close("idle for too long");
}

// Those that nothing is sent to now: others are looked at whenever they are.
void ShardThread::close_slow_subscribers() {
  subscriptions_.for_each(
      [](Subscriber& client) { static_cast<Connection&>(client).close_if_slow(); });
}

std::future<void> ShardThread::drain(const StopRequest& request) {
  std::promise<void> promise;
  std::future<void> future = promise.get_future();
  post([this, request, promise = std::move(promise)]() mutable {
    drained_ = std::move(promise);
    const std::int64_t now_us = clock_.monotonic_us();
    drain_deadline_us_ = now_us;
    leading_deadline_us_ = now_us + std::chrono::microseconds(kLeadingTime).count();
    if (request.wait_for_clients) {
      drain_deadline_us_ += std::chrono::microseconds(kDrainTime).count();
    }
    store_deadline_us_ = now_us;
    if (request.store_changes) {
      store_deadline_us_ += std::chrono::microseconds(kStoreTime).count();
      lease_.when_free([this] {
        failed_passes_ = shard_->store_stats().failed_passes;
        shard_->store_changes();
      });
    }
    lease_.when_free([this] { shard_->stop_leading(); });
    for (const auto& client : clients_to_close()) client->stop();
  });
  return future;
}

void ShardThread::finish() {
  post([this] { lease_.when_free([this] { stopped_ = true; }); });
}

LogPosition ShardThread::execute(const OwnedRequest& request, std::string& reply,
                                 std::span<Shard* const> others) {
  if (request.is_transaction()) return execute_transaction(request, reply, others);
  const std::int64_t started_us = clock_.monotonic_us();
  const std::uint64_t started = CommandTimer::counter();
  const TrackingTable::Writer writer(request.client.id);
  const LogPosition position =
      shard_->execute(*request.command, request.args, request.resp3, reply, others, request.within);
  note_execution(request, CommandTimer::counter() - started);
  log_if_slow(request, clock_.monotonic_us() - started_us);
  return position;
}

LogPosition ShardThread::execute_transaction(const OwnedRequest& request, std::string& reply,
                                             std::span<Shard* const> others) {
  for (const OwnedRequest& watch : request.watched) {
    std::string seen;
    shard_->execute(*watch.command, watch.args, watch.resp3, seen, others);
    if (seen == watch.watch_reply) continue;
    Reply(reply, request.resp3).null_array();
    return shard_->barrier();
  }
  for (const OwnedRequest& part : request.parts) {
    if (!is_outbox_command(*part.command)) continue;
    std::string room;
    const bool strong = part.command == &kStrongOutboxCommand;
    shard_->execute(strong ? *part.command : kOutboxRoomCommand, part.args, part.resp3, room,
                    others);
    if (!room.starts_with('-')) continue;
    reply += room;
    return shard_->barrier();
  }
  for (const OwnedRequest& part : request.parts) {
    const std::string refusal = shard_->feed_refusal(*part.command, part.args, others);
    if (refusal.empty()) continue;
    Reply(reply, request.resp3).error(refusal);
    return shard_->barrier();
  }
  shard_->note_feeds_asked(true);
  Reply(reply, request.resp3).array(request.parts.size());
  for (const OwnedRequest& part : request.parts) {
    CommandStats::Entry& entry = stats_.find(*part.command, part.args);
    count(entry);
    // The transaction is one request.
    if (entry.about != CommandStats::About::kOther) levels_.set_aside(may_write(*part.command));
    const std::size_t begin = reply.size();
    execute(part, reply, others);
    if (reply[begin] != '-') continue;
    traffic_.note_error(std::string_view(reply).substr(begin));
    ++entry.failed;
  }
  shard_->note_feeds_asked(false);
  return shard_->barrier();
}

void ShardThread::note_execution(const OwnedRequest& request, std::uint64_t cycles) {
  if (!request.of_peer) stats_.find(*request.command, request.args).cycles += cycles;
}

void ShardThread::log_if_slow(const OwnedRequest& request, std::int64_t us) {
  const std::int64_t least_us = node_.options.least_slow_us();
  if (least_us < 0 || us < least_us) return;
  log_slow(*request.command, request.args, request.client, us);
}

void ShardThread::log_slow(const Command& command, Args args, const ClientLabel& client,
                           std::int64_t us) {
  if (is_as_user(command)) {
    const Args words = words_of_script(command, args);
    return log_slow(*find_command(words[0]), words, client, us);
  }
  const std::vector<std::string_view> words = user_words(command, args);
  const std::int64_t slow_us = node_.options.slow_log_us;
  if (slow_us >= 0 && us >= slow_us) {
    node_.slow_log.add(command, words, client, us, node_.options.slow_log_length);
  }
  const std::int64_t threshold_ms = node_.options.latency_threshold_ms;
  if (threshold_ms == 0 || us / 1000 < threshold_ms) return;
  node_.latency.add((command.flags & kFast) != 0 ? "fast-command" : "command",
                    clock_.wall_ms() / 1000, us / 1000);
}

void ShardThread::offer_client(int socket) {
  {
    const std::lock_guard lock(offered_mutex_);
    offered_.push_back(socket);
  }
  post([this] { adopt_offered(); });
}

void ShardThread::adopt_offered() {
  std::vector<int> offered;
  {
    const std::lock_guard lock(offered_mutex_);
    offered.swap(offered_);
  }
  for (const int socket : offered) adopt_client(socket);
}

// In the middle of a turn, and of whatever it is in the middle of: so nothing but connections that
// are in the middle of nothing is touched.
void ShardThread::serve_while_busy() {
  busy_ = true;
  adopt_offered();
  poller_.poll([] { return false; });
  // What has been answered earlier in this turn leaves, too.
  const std::vector<std::shared_ptr<Connection>> answered = dirty_;
  for (const std::shared_ptr<Connection>& client : answered) client->serve_while_busy();
  busy_ = false;
}

void ShardThread::adopt_client(int socket) {
  const std::uint64_t id = node_.next_client_id++;
  error_code error;
  Socket adopted(io_.get_executor());
  sockaddr_storage address;
  socklen_t length = sizeof address;
  const bool v6 = ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
                  address.ss_family == AF_INET6;
  adopted.assign(v6 ? tcp::v6() : tcp::v4(), socket, error);
  auto connection = std::make_shared<Connection>(*this, std::move(adopted), id);
  clients_.emplace(id, connection);
  connection->start();
  if (drained_ || stopped_) connection->close("the node stops");
}

void ShardThread::adopt_kafka_client(int socket) {
  error_code error;
  Socket adopted(io_.get_executor());
  sockaddr_storage address;
  socklen_t length = sizeof address;
  const bool v6 = ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
                  address.ss_family == AF_INET6;
  adopted.assign(v6 ? tcp::v6() : tcp::v4(), socket, error);
  auto client = std::make_shared<kafka::Connection>(*this, std::move(adopted));
  if (drained_ || stopped_) return client->close();
  kafka_clients_.emplace(client.get(), client);
  client->start();
}

void ShardThread::on_client_ready(std::uint64_t id, Readiness what) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;  // closed since it was reported
  const std::shared_ptr<Connection> client = found->second;
  if (busy_) return client->serve_while_busy();
  client->on_ready(what);
}

void ShardThread::remove_client(std::uint64_t id) {
  if (clients_.erase(id) == 0) return;
  --client_count_;
  --node_.connected_clients;
}

void ShardThread::add_monitor(std::weak_ptr<Connection> client) {
  monitors_.push_back(std::move(client));
  node_.monitors.add(id_);
}

void ShardThread::remove_monitor(std::uint64_t client) {
  std::erase_if(monitors_, [client](const std::weak_ptr<Connection>& each) {
    const auto known = each.lock();
    return known == nullptr || known->session().id == client;
  });
  node_.monitors.remove(id_);
}

void ShardThread::show_to_monitors(const std::string& line) {
  for (const auto& each : monitors_) {
    if (const auto client = each.lock()) client->receive_line(line);
  }
}

void ShardThread::mark_dirty(std::shared_ptr<Connection> connection) {
  dirty_.push_back(std::move(connection));
}

}  // namespace even
