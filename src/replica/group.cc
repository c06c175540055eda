#include "replica/group.h"

#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "base/reserved.h"
#include "engine/acl.h"
#include "engine/cmd_meta.h"
#include "engine/outbox.h"
#include "replica/group_states.h"
#include "replica/snapshot_transfer.h"
#include "replica/topic_producers.h"
#include "replica/topic_transactions.h"
#include "script/host.h"
#include "topic/record_batch.h"

namespace even {
namespace {

using consensus::Entry;
using consensus::EntryKind;
using consensus::Index;
using consensus::MemberId;

// A read that has heard nothing of its index for so long asks elsewhere; so does one whose index
// has not been applied, when whoever asked has given up.
constexpr std::int64_t kIndexPatienceUs = 1'000'000;
constexpr std::int64_t kReadPatienceUs = 60'000'000;
// A snapshot that has not been acknowledged for so long is lost.
constexpr std::uint32_t kSnapshotTicks = 200;
// Of a state that is encoded in steps.
constexpr std::size_t kEncodedAtOnce = 256 << 10;
// It is looked again whether a state that was too large still is.
constexpr std::int64_t kTooLargeUs = 60'000'000;
// Of a state that is given, if the node's memory has room for that beside the partition.
constexpr std::uint64_t kMostGivenBytes = std::uint64_t{16} << 30;
// A state of more objects is taken for one that is encoded in steps.
constexpr std::size_t kFewObjects = 1'000;
// While a snapshot is given to members, the log may have so many times what it is to have, and as
// much again as the snapshot.
constexpr std::uint64_t kPinnedLogs = 16;
// A state that nobody has asked for in so long makes way for another's.
constexpr std::int64_t kMakesWayUs = 5'000'000;
// Of one in so many entries the digest is kept, and of so many of these.
constexpr Index kCheckpointEntries = 256;
constexpr std::size_t kCheckpoints = 64;
// Producers that are not known, which a leader remembers; and for how long it waits for what one
// has sent first.
constexpr std::size_t kMostUnknown = 10'000;
constexpr std::int64_t kUnknownUs = 10'000'000;
// A group that has been closed for so long has been left so; and so often it is told again.
constexpr std::int64_t kLeftClosedUs = 20'000'000;
constexpr std::int64_t kToldAgainUs = 5'000'000;
constexpr std::string_view kClosed =
    "UNAVAILABLE nothing was done: the keyspace is being dropped (EVEN.KEYSPACE DROP) and takes no "
    "writes until that is done or given up";
// Where the log of a group begins that is founded.
constexpr Index kFirstIndex = 1;
// Keys that one entry purges.
constexpr std::size_t kPurgedKeys = 1'000;
// A string of a topic partition's state: the log start offset, which digests see so, and
// topic::Segments.
constexpr std::string_view kSegmentsKey{"\0segments", 9};
// Times beyond it are not believed: the vector counts up to less than 2^63.
constexpr std::uint64_t kMostTime = std::uint64_t{1} << 62;
// So many times in a millisecond, at most, a group writes in its lives.
constexpr std::uint64_t kDotsOfMillisecond = 1 << 20;

// What the commands of an entry, or of a read, see: the group's partition, which they reach by any
// key.
class GroupKeyspace final : public Keyspace {
 public:
  using Hidden = std::function<std::size_t()>;  // keys that are not clients'
  GroupKeyspace(const Partition& partition, std::int64_t now_ms, Hidden hidden = nullptr)
      : partition_(partition), now_ms_(now_ms), hidden_(std::move(hidden)) {}

  PartitionId partition_of(std::string_view) const override { return partition_.id; }
  PartitionId partition_count() const override { return 1; }
  std::span<const PartitionId> partitions() const override { return {&partition_.id, 1}; }
  const PartitionState& state(PartitionId) const override { return partition_.state; }
  std::vector<NodeNumber> replicas(PartitionId) const override { return partition_.replicas; }
  ReplicaId replica() const override { return kGroupOrigin; }
  // There is one history of it.
  bool replicated(PartitionId) const override { return false; }
  bool draws_by_content() const override { return true; }
  bool hides(std::string_view key) const override {
    return is_reserved(key) || key.starts_with(kOncePrefix);
  }
  std::size_t hidden_keys(PartitionId) const override { return hidden_ ? hidden_() : 0; }
  Record begin(PartitionId, const WriteIntent&) override {
    return Record::begin(partition_.id, kGroupOrigin, Hlc::at(now_ms_), partition_.state.vector());
  }

 private:
  const Partition& partition_;
  const std::int64_t now_ms_;
  const Hidden hidden_;
};

// See kAppendCommand.
bool appends(const StrongRequest& request) {
  return request.commands.size() == 1 && request.commands[0].size() == 3 &&
         request.commands[0][0] == kAppendCommand;
}

bool emits(Args words) { return find_outbox_command(words) == &kStrongOutboxCommand; }

// Replied to a batch of events some of which the topic has already: that stays so, and needs no
// entry. None: an entry has to decide.
std::optional<std::string> known_events(const Partition& partition, const GroupProposal& proposal,
                                        std::int64_t now_ms) {
  const auto head = topic::read_head(proposal.batch);
  if (!head) return std::nullopt;
  GroupKeyspace keyspace(partition, now_ms);
  Random random(0);
  std::string unused;
  Reply no_reply(unused, false);
  Context context(keyspace, no_reply, random, now_ms);
  try {
    auto refusal = refuse_batch(context, *head, proposal.events, 0, false);
    return refusal && refusal->starts_with('+') ? std::move(refusal) : std::nullopt;
  } catch (const Unreadable&) {
    return std::nullopt;
  }
}

// Of a state that is given: it is held in memory beside the partition.
std::uint64_t most_given_bytes(const ShardOptions& options) {
  const std::uint64_t memory = options.max_memory ? options.max_memory() : 0;
  return memory == 0 ? kMostGivenBytes : std::clamp(memory / 2, kMostStateBytes, kMostGivenBytes);
}

bool writes(const StrongRequest& request) {
  if (!request.watched.empty() || !request.once.empty() || !request.batch.empty() ||
      request.trim_to) {
    return true;
  }
  return std::ranges::any_of(request.commands, [](Args words) {
    const Command* command = find_command(words);
    return command == nullptr || may_write(*command);
  });
}

// Whether a command of an entry may write keys, or events, of clients.
bool may_write_keys(Args words) {
  if (words.empty() || is_closing_command(words) || words[0] == kFeedCommandName ||
      words[0] == kFeedStepCommandName || words[0] == kRelayedCommandName) {
    return false;
  }
  if (emits(words) || find_as_user_command(words) != nullptr) return true;
  const Command* command = find_command(words);
  return command != nullptr && may_write(*command);
}

// What a reply is kept with that knows what was asked: this, and what_is_asked(). No reply begins
// so.
constexpr char kOfWords = '\x01';
constexpr std::string_view kOtherWords =
    "-ERR EVEN.ONCE nothing was done: the id has been used with another command, whose reply is "
    "kept. Take another id for each request\r\n";

// The commands of a request under EVEN.ONCE, as a number. 0: this is not compared: a script, whose
// words are not its client's alone; a transaction that has watched something, since what it does
// depends on that, and is another thing after it has taken effect.
std::uint64_t what_is_asked(const auto& commands, bool transaction, bool watched) {
  if (watched) return 0;
  std::uint64_t hash = transaction ? 2 : 1;
  for (const auto& words : commands) {
    const Args args(words);
    const Command* command = find_command(args);
    if (find_as_user_command(args) != nullptr || (command != nullptr && command->script)) return 0;
    hash = hash_mix(hash, args.size());
    for (std::size_t i = 0; i < args.size(); ++i) {
      // Whichever way its name is written.
      hash = hash_mix(hash, hash64(i == 0 && command != nullptr ? command->name : args[i]));
    }
  }
  return std::max<std::uint64_t>(hash, 1);
}

// Whether the members of a group may come to different replies by the same state. What SPOP draws
// is the same everywhere.
bool has_no_fixed_reply(const Command& command) {
  return command.docs.tips.find("nondeterministic_output") != std::string_view::npos &&
         command.name != "spop";
}

// What EXEC replies when nothing was done.
std::string null_array(bool resp3) {
  std::string none;
  Reply(none, resp3).null_array();
  return none;
}

StrongOutcome refused(std::string error) {
  return {StrongOutcome::Kind::kRefused, "-" + std::move(error) + "\r\n"};
}

std::vector<NodeNumber> nodes_of(const consensus::Members& members) {
  std::vector<NodeNumber> nodes;
  for (const MemberId member : members) nodes.push_back(node_of(member));
  return nodes;
}

}  // namespace

Group::Group(ShardCore& core, Partition& partition, MemberId self)
    : core_(core), partition_(partition), self_(self), next_context_(core.random.next()) {
  log_.make_snapshot = [this] { return make_snapshot(); };
}

// --- Recovery

void Group::be_topic(const GroupBase::Topic& origin) {
  if (topic_) return topic_->begin(origin);
  topic_ = std::make_unique<TopicLog>(id(), *core_.store, origin);
  log_.read_from(*topic_);
}

void Group::restore(const GroupBase& base) {
  // Of this life, and older than what a pass has stored since it came into the log. A keyspace's is
  // gone back to, and all behind it replayed; of a topic that has been done for good, changes of
  // the configuration included. Entries behind it come again for both.
  if (topic_ && base.index < log_.before())
    return log_.set_base(log_.before(), *log_.term(log_.before()));
  if (base.topic) be_topic(*base.topic);
  log_.set_base(base.index, base.term);
  configuration_ = base.configuration;
}

void Group::restore(const Entry& entry) {
  note_purge(entry);
  log_.replay(entry);
}

Result<> Group::start() {
  if (const auto missing = log_.missing()) {
    return fail(
        fmt::format("group {}: its log lacks entry {}, and has later ones", id(), *missing));
  }
  if (!log_.ascends()) return fail(fmt::format("group {}: terms go down in its log", id()));
  // A group begins with nothing at this index.
  if (log_.before() == kFirstIndex && !partition_.rows->closed()) {
    partition_.state.cover(Dot{kGroupIndex, kFirstIndex});
  }
  consensus::Options options;
  options.self = self_;
  // 200 ms, and 600 to 1,200 ms without a leader's word until there is an election.
  options.heartbeat_ticks = 4;
  options.election_ticks = 12;
  hard_state_.commit = std::max(hard_state_.commit, log_.before());
  if (topic_) {
    read_segments();
    topic_->start(applied(), segments_, partition_.state.vector()[kTopicBytes]);
    topic_->purged_to(partition_.state.vector()[kTopicPurge]);
    // One that was installed, and that no pass has stored since.
    const GroupBase::Topic& origin = topic_->origin();
    if (origin.first > kFirstIndex && origin.first == applied() && !partition_.rows->closed()) {
      take_checkpoint(applied());
    }
  }
  auto raft = consensus::Raft::start(
      options, log_, core_.random,
      {.hard_state = hard_state_, .configuration = configuration_, .applied = log_.before()});
  if (!raft) return fail(fmt::format("group {}: {}", id(), raft.error().message));
  raft_.emplace(std::move(*raft));
  if (const auto& damage = partition_.rows->damage(); partition_.rows->closed()) halt(*damage);
  // The state of a snapshot and its base are one frame of the log. Rows would be missing between
  // what the base says that there is and this state.
  if (topic_ && applied() > std::max(log_.before(), kFirstIndex)) {
    halt("its state is of a later entry than what is known of its log");
  }
  return {};
}

void Group::found(consensus::Configuration configuration, bool topic) {
  if (topic) be_topic({configuration, kFirstIndex});
  configuration_ = std::move(configuration);
  // A member that is not in it yet begins with nothing.
  const Index index = configuration_.voters.empty() ? 0 : kFirstIndex;
  hard_state_ = {.term = index, .commit = index};
  begin(index, index);
}

// What of the entries had been committed is not known, and no longer matters. Members that they
// speak of are none any more.
void Group::refound(const GroupBase& base, consensus::Term term,
                    const std::vector<Entry>& entries) {
  configuration_ = {};
  consensus::insert(configuration_.voters, self_);
  const Index last = entries.empty() ? base.index : entries.back().index;
  if (base.topic) be_topic({configuration_, last, base.topic->first, base.topic->first_term});
  hard_state_ = {.term = std::max(term, base.term), .commit = base.topic ? last : last + 1};
  begin(base.index, base.term);
  for (Entry entry : entries) {
    if (entry.kind != EntryKind::kNormal) entry = {entry.term, entry.index, EntryKind::kEmpty, {}};
    restore(entry);
    core_.log.append_for_recovery(entry.bytes(),
                                  [&](std::string& out) { encode_group_entry(id(), entry, out); });
  }
  if (base.topic) return;
  GroupProposal life;
  life.kind = GroupProposal::Kind::kNewLife;
  life.instant_ms = now_ms();
  const Entry entry{hard_state_.term, last + 1, EntryKind::kNormal, {encode_proposal(life)}};
  restore(entry);
  core_.log.append_for_recovery(entry.bytes(),
                                [&](std::string& out) { encode_group_entry(id(), entry, out); });
}

void Group::begin(Index index, consensus::Term term) {
  log_.set_base(index, term);
  core_.log.append_for_recovery(
      256, [&](std::string& out) { encode_group_base(base_at(index, term), out); });
  core_.log.append_for_recovery(
      64, [&](std::string& out) { encode_group_state({id(), hard_state_}, out); });
}

GroupBase Group::base_at(Index index, consensus::Term term) const {
  GroupBase base{id(), self_, index, term, configuration_, {}, {}};
  if (topic_) base.topic = topic_->origin();
  return base;
}

std::string Group::row() const {
  std::string out;
  const auto put = [&out](auto encode) {
    const std::size_t begin = out.size();
    put_little_endian<std::uint32_t>(out, 0);
    encode(out);
    const auto length = static_cast<std::uint32_t>(out.size() - begin - sizeof(std::uint32_t));
    std::string bytes;
    put_little_endian(bytes, length);
    out.replace(begin, bytes.size(), bytes);
  };
  // The state of a snapshot may be there whose base a crash has cut off.
  const Index base = std::min(applied(), log_.last_index());
  const auto term = log_.term(base);
  EVEN_CHECK(term.has_value(), "the entry that was applied last is known");
  const Index commit = std::min(std::max(hard_state_.commit, base), log_.last_index());
  put([&](std::string& to) { encode_group_base(base_at(base, *term), to); });
  put([&](std::string& to) {
    encode_group_state({id(), {hard_state_.term, hard_state_.vote, commit}}, to);
  });
  const Index last = EVEN_MUTANT(kGroupTailNotStored) ? std::max(raft_->log().committed(), base)
                                                      : log_.last_index();
  for (Index i = base + 1; i <= last; ++i) {
    put([&](std::string& to) { encode_group_entry(id(), log_.at(i), to); });
  }
  return out;
}

// --- Requests

void Group::refuse(StrongDone& done) {
  StrongOutcome outcome{StrongOutcome::Kind::kElsewhere};
  if (!leads()) outcome.leader = leader();
  done(std::move(outcome));
}

void Group::execute(StrongRequest request, StrongDone done) {
  if (halted_) {
    return done(
        refused(fmt::format("IOERR group {}: a part of it cannot be read on this node", id())));
  }
  if (writes(request)) return propose(request, std::move(done));
  const std::int64_t now_us = core_.clock.monotonic_us();
  Read read{std::move(request), std::move(done), now_us};
  switch (read.request.read) {
    case StrongRead::kLinearizable:
      if (!leads()) return refuse(read.done);
      if (EVEN_MUTANT(kGroupReadsUnconfirmed)) break;
      if (read.request.behind) read.index = raft_->log().last();
      new_reads_.push_back(std::move(read));
      return;
    case StrongRead::kBounded:
      if (EVEN_MUTANT(kBoundedReadsAny)) break;
      if (!confirmed_us_ || (now_us - *confirmed_us_) / 1000 >= read.request.bound_ms) {
        new_reads_.push_back(std::move(read));
        return;
      }
      break;
    case StrongRead::kSequential:
      if (!EVEN_MUTANT(kSequentialReadsEarly)) read.index = read.request.after;
      break;
    case StrongRead::kOne:
      break;
  }
  if (!answer(read)) waiting_.push_back(std::move(read));
}

std::expected<consensus::Proposed, consensus::Refusal> Group::propose(GroupProposal proposal) {
  last_instant_ms_ = std::max(last_instant_ms_, now_ms());
  proposal.instant_ms = last_instant_ms_;
  proposal.seed = core_.random.next();
  return raft_->propose(encode_proposal(proposal));
}

void Group::propose(const StrongRequest& request, StrongDone done) {
  if (!leads()) return refuse(done);
#ifdef EVEN_MUTANTS
  if (EVEN_MUTANT(kTransactionTorn) && request.commands.size() > 1) {
    return propose_torn(request, std::move(done));
  }
#endif
  for (const Args words : request.commands) {
    if (request.once.empty()) break;
    const Command* command = find_command(words);
    if (command == nullptr || !has_no_fixed_reply(*command)) continue;
    return done(refused(fmt::format(
        "ERR EVEN.ONCE cannot keep the reply of {}, which has no fixed order or content",
        command->name)));
  }
  // Whatever would be in the way of it: it has been executed already, and that stays so.
  if (auto kept = reply_before(request)) {
    if (*kept == null_array(false)) *kept = null_array(request.resp3);
    return done({StrongOutcome::Kind::kReply, std::move(*kept), 0, applied()});
  }
  if (closed_for() && std::ranges::any_of(request.commands, may_write_keys)) {
    return done(refused(std::string(kClosed)));
  }
  if (core_.log.error()) {
    return done(refused("UNAVAILABLE writes are refused: " + *core_.log.error()));
  }
  const bool told = feed_epoch() != 0 && std::ranges::any_of(request.commands, [](Args words) {
                      const Command* command = words.empty() ? nullptr : find_command(words);
                      return command != nullptr && may_write(*command);
                    });
  if (told || std::ranges::any_of(request.commands, emits)) {
    std::string why;
    try {
      const bool off =
          told && feed().topic.empty() && !std::ranges::any_of(request.commands, emits);
      if (!off) why = outbox_refusal(partition_.state.find(kOutboxKey, hash64(kOutboxKey)));
    } catch (const Unreadable& error) {
      why = fmt::format("IOERR {}", error.what());
    }
    if (!why.empty()) return done(refused(std::move(why)));
  }
  GroupProposal proposal;
  proposal.transaction = request.transaction;
  proposal.once = request.once;
  proposal.once_ms = request.once_ms;
  for (const Args words : request.commands) {
    proposal.commands.emplace_back(words.begin(), words.end());
  }
  for (const auto& watched : request.watched) {
#ifdef EVEN_MUTANTS
    if (EVEN_MUTANT(kWatchedWhenProposed) && read_now(watched.words) == watched.reply) continue;
#endif
    proposal.watched.push_back({{watched.words.begin(), watched.words.end()}, watched.reply});
  }
  proposal.once_words =
      !proposal.once.empty() && all_know(kGroupOnceWords, core_.options.once_words_known);
  proposal.once_first = !proposal.watched.empty() && !proposal.once.empty() && may_look_up_first();
  if (!request.batch.empty() || appends(request)) {
    if (!topic_) return done(refused("ERR records go into topics only"));
    proposal.commands.clear();
    proposal.batch = request.batch.empty() ? request.commands[0][1] : request.batch;
    if (request.batch.empty()) proposal.events = request.commands[0][2];
    proposal.kind =
        proposal.events.empty() ? GroupProposal::Kind::kBatch : GroupProposal::Kind::kEvents;
    if (!proposal.events.empty()) {
      if (auto known = known_events(partition_, proposal, clock_ms())) {
        return done({StrongOutcome::Kind::kReply, std::move(*known), 0, applied()});
      }
    }
    proposal.any_sequence =
        proposal.kind == GroupProposal::Kind::kBatch && is_tried_again(proposal.batch);
  }
  if (request.trim_to && !topic_) return done(refused("ERR records are in topics only"));
  ++core_.stats.proposals;
  const auto proposed =
      request.trim_to ? propose_deletion(*request.trim_to) : propose(std::move(proposal));
  if (!proposed) {
    ++core_.stats.proposals_refused;
    if (proposed.error() == consensus::Refusal::kTooMuchUncommitted) {
      return done(refused(
          fmt::format("UNAVAILABLE group {}: {}", id(), consensus::to_string(proposed.error()))));
    }
    return refuse(done);
  }
  proposals_.push_back({proposed->index, proposed->term, request.resp3, core_.clock.monotonic_us(),
                        std::move(done)});
}

#ifdef EVEN_MUTANTS
std::string Group::read_now(Args words) {
  std::string out;
  Reply reply(out, false);
  Random random(1);
  run(words, reply, now_ms(), random);
  return out;
}

void Group::propose_torn(const StrongRequest& request, StrongDone done) {
  StrongRequest first = request;
  StrongRequest rest = request;
  first.commands.resize(1);
  rest.commands.erase(rest.commands.begin());
  rest.watched.clear();
  rest.once = {};
  propose(first, [this, rest, done = std::move(done)](StrongOutcome one) mutable {
    if (one.kind != StrongOutcome::Kind::kReply) return done(std::move(one));
    propose(rest, [rest, one = std::move(one.reply),
                   done = std::move(done)](StrongOutcome outcome) mutable {
      if (outcome.kind != StrongOutcome::Kind::kReply) {
        return done({StrongOutcome::Kind::kUnknown});
      }
      outcome.reply = fmt::format("*{}\r\n{}{}", rest.commands.size() + 1, one.substr(4),
                                  outcome.reply.substr(4));
      done(std::move(outcome));
    });
  });
}
#endif

// Whether something has expired by then that the group's clock does not hide yet.
bool Group::shows_expired(std::int64_t now_ms) {
  partition_.state.lapse(clock_ms());
  const auto next = partition_.state.next_expiry_ms();
  if (next && *next <= now_ms) return true;
  const auto field = partition_.state.next_field_expiry_ms();
  return field && *field <= now_ms;
}

bool Group::propose_purge(std::int64_t now_ms) {
  if (purge_term_ == raft_->term() && purge_index_ > applied()) return true;
  GroupProposal proposal;
  proposal.kind = GroupProposal::Kind::kPurge;
  last_instant_ms_ = std::max(last_instant_ms_, now_ms);
  const auto proposed = propose(std::move(proposal));
  if (!proposed) return false;
  purge_index_ = proposed->index;
  purge_term_ = proposed->term;
  return true;
}

// --- A turn

Result<> Group::step(consensus::Message message) {
  if (const auto stepped = raft_->step(std::move(message)); !stepped) {
    return fail(fmt::format("group {}: {}", id(), stepped.error().message));
  }
  // A state that the core has not taken, as one of a former leader, is not in the way of the next
  // that is named in this turn: that would be named again after ten seconds only.
  if (!raft_->log().installing()) staged_.reset();
  return {};
}

void Group::tick() {
  raft_->tick();
  if (leads() && !halted_ && (shows_expired(now_ms()) || partition_.state.lapsed_keys() > 0)) {
    propose_purge(now_ms());
  }
  // What goes by size comes in faster than what goes by age grows old.
  if (topic_ && retention_.bytes) retain(retention_, /*compacts=*/false);
  give_up_reads();
  give_up_snapshots();
  keep_snapshot();
  compare_awaited();
  tell_of_closing();
  if (!leads()) unknown_.clear();
}

void Group::give_up_reads() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  const auto give_up = [&](std::vector<Read>& reads, std::int64_t patience_us) {
    std::erase_if(reads, [&](Read& read) {
      if (now_us - read.since_us < patience_us) return false;
      refuse(read.done);
      return true;
    });
  };
  for (auto asked = asking_.begin(); asked != asking_.end();) {
    give_up(asked->second, kIndexPatienceUs);
    asked = asked->second.empty() ? asking_.erase(asked) : std::next(asked);
  }
  give_up(waiting_, kReadPatienceUs);
}

// The message may have been lost.
void Group::give_up_snapshots() {
  if (!leads()) return awaiting_snapshot_.clear();
  for (const auto& [member, progress] : raft_->progress()) {
    if (progress.state != consensus::ProgressState::kSnapshot) {
      awaiting_snapshot_.erase(member);
    } else if (++awaiting_snapshot_[member] >= kSnapshotTicks) {
      awaiting_snapshot_.erase(member);
      raft_->report_snapshot(member, false);
    }
  }
}

// One index for all that have come in this turn.
void Group::ask_for_indices() {
  if (new_reads_.empty()) return;
  const std::uint64_t context = ++next_context_;
  std::vector<Read> reads = std::exchange(new_reads_, {});
  if (raft_->read_index(context)) {
    ++core_.stats.read_rounds;
    asking_.emplace(context, std::move(reads));
    return;
  }
  for (Read& read : reads) refuse(read.done);
}

void Group::collect(const Send& send) {
  ask_for_indices();
  while (raft_->has_ready()) {
    consensus::Ready ready = raft_->take();
    for (auto& message : ready.messages) send(std::move(message));
    if (ready.write) begin_write(*ready.write);
    if (ready.soft_state && ready.soft_state->role == consensus::Role::kCandidate) {
      ++core_.stats.elections;
    }
    if (!ready.committed.empty() && !halted_) {
      try {
        for (const Entry& entry : ready.committed) {
          apply(entry);
          if (!std::exchange(checkpoint_due_, false)) continue;
          // Entries of this turn may have changed the configuration, too.
          raft_->applied(entry.index);
          configuration_ = raft_->configuration();
          take_checkpoint(entry.index);
        }
        raft_->applied(ready.committed.back().index);
        configuration_ = raft_->configuration();
        trim();
      } catch (const Unreadable& error) {
        // Of an entry, a part may have been executed.
        partition_.close(error.what());
        halt(error.what());
      }
      if (on_applied) on_applied();
    }
    for (const consensus::ReleasedRead& read : ready.reads) {
      const auto asked = asking_.find(read.context);
      if (asked == asking_.end()) continue;
      std::vector<Read> reads = std::move(asked->second);
      asking_.erase(asked);
      release(reads, read.index);
    }
    for (const std::uint64_t context : ready.refused_reads) {
      const auto asked = asking_.find(context);
      if (asked == asking_.end()) continue;
      for (Read& read : asked->second) refuse(read.done);
      asking_.erase(asked);
    }
  }
  staged_.reset();  // the core did not take it
  answer_reads();
}

// What only memory has of a topic stays there.
void Group::trim() {
  // Behind a state whose base did not reach the log there is nothing.
  const Index until =
      topic_ ? std::min({std::max(topic_->stored(), topic_->first()), applied(), log_.last_index()})
             : applied();
  log_.trim(topic_ ? until : std::min(until, pinned().value_or(until)), kept_bytes_);
  // What compaction has been at is given to nobody as it was before.
  if (topic_) log_.trim(std::min(until, topic_->clean_point().index), 0);
  if (topic_) topic_->trimmed(log_.before());
}

void Group::log_commit() {
  hard_state_.commit = std::max(hard_state_.commit, applied());
  core_.log.append_for_recovery(
      64, [&](std::string& out) { encode_group_state({id(), hard_state_}, out); });
}

void Group::begin_write(consensus::Write& write) {
  if (write.hard_state) {
    hard_state_ = *write.hard_state;
    core_.log.append_for_recovery(
        64, [&](std::string& out) { encode_group_state({id(), hard_state_}, out); });
  }
  if (write.snapshot) install(*write.snapshot);
  for (const Entry& entry : write.entries) {
    note_purge(entry);
    EVEN_CHECK(log_.put(entry), "the core writes entries in their order");
    core_.log.append_for_recovery(entry.bytes(),
                                  [&](std::string& out) { encode_group_entry(id(), entry, out); });
  }
  writes_.push_back({write.id, core_.log.barrier(), std::move(write.messages)});
}

void Group::durable(LogPosition position, const Send& send) {
  while (!writes_.empty() && writes_.front().position <= position) {
    Write write = std::move(writes_.front());
    writes_.pop_front();
    raft_->written(write.id);
    for (auto& message : write.messages) send(std::move(message));
  }
}

bool Group::may_wait(const consensus::Message& message) {
  using consensus::MessageKind;
  if (message.kind == MessageKind::kAppendRequest) return message.entries.empty();
  if (message.kind != MessageKind::kAppendResponse || message.reject) return false;
  const Acknowledged now{message.to, message.term, message.index};
  return now == std::exchange(acknowledged_, now);
}

// Of a state that has been staged, the base alone says that its rows count from now on. Another
// state comes before its base: by itself it does no harm, since what it has applied is passed over.
void Group::install(const consensus::Snapshot& snapshot) {
  const std::shared_ptr<StagedState> staged = std::exchange(staged_, nullptr);
  std::optional<GroupBase::Staged> rows;
  if (snapshot.data.empty()) {
    EVEN_CHECK(staged && staged->index() == snapshot.index && staged->whole() && staged->fits(),
               "a snapshot without data has been staged");
    core_.take_staged(partition_, *staged);
    rows = {staged->generation(), PartitionRows::encode(partition_.state.summary())};
  } else {
    core_.take_group_state(partition_, snapshot.data.view());
  }
  remembered_.reset();
  checkpoints_.clear();
  forget_snapshots();
  if (topic_) {
    read_segments();
    checkpoint_due_ = false;
    topic_->begin({snapshot.configuration, snapshot.index, snapshot.index, snapshot.term});
    topic_->start(snapshot.index, segments_, partition_.state.vector()[kTopicBytes]);
    topic_->purged_to(partition_.state.vector()[kTopicPurge]);
    if (snapshot.index > kFirstIndex) {
      topic_->keep(snapshot.index, {snapshot.configuration, std::string(snapshot.data.view())});
    }
  }
  if (!EVEN_MUTANT(kGroupBaseNotLogged)) {
    core_.log.append_for_recovery(256, [&](std::string& out) {
      GroupBase base = base_at(snapshot.index, snapshot.term);
      base.configuration = snapshot.configuration;
      base.staged = std::move(rows);
      encode_group_base(base, out);
    });
  }
  EVEN_CHECK(applied() == snapshot.index, "a snapshot is what it says: checked when it came");
  log_.set_base(snapshot.index, snapshot.term);
  configuration_ = snapshot.configuration;
  if (std::exchange(halted_, false)) may_lead();
  while (!proposals_.empty() && proposals_.front().index <= snapshot.index) {
    proposals_.front().done({EVEN_MUTANT(kUnknownTakenForRefused) ? StrongOutcome::Kind::kElsewhere
                                                                  : StrongOutcome::Kind::kUnknown});
    proposals_.pop_front();
  }
  if (on_applied) on_applied();
}

consensus::SnapshotPointer Group::make_snapshot() {
  if (halted_) return nullptr;
  if (topic_) return topic_snapshot();
  if (sent_) {
    if (sent_->snapshot->index + 1 >= log_.first_index() && take_turn()) return sent_->snapshot;
    forget_snapshots();
  }
  if (!encoding_) {
    if (partition_.state.object_count() > kFewObjects && !take_turn()) return nullptr;
    const auto term = log_.term(applied());
    if (!term) return nullptr;
    if (too_large_us_ && core_.clock.monotonic_us() - *too_large_us_ < kTooLargeUs) return nullptr;
    encoding_.emplace(consensus::Snapshot{applied(), *term, configuration_, {}}, id(),
                      partition_.state);
  }
  return encode_some();
}

// None: there is more to encode, and the core will ask again.
consensus::SnapshotPointer Group::encode_some() {
  StateEncoder& encoder = encoding_->encoder;
  const bool at_once = encoder.bytes() == 0;
  const bool more =
      encoder.step(std::min<std::size_t>(kEncodedAtOnce, 4 * core_.options.piece_bytes));
  if (const std::uint64_t most = most_given_bytes(core_.options); encoder.bytes() > most) {
    core_.warn(
        fmt::format("group {}: its state is too large to be given to another member ({} GiB at most"
                    ", as all of it is held in memory meanwhile)",
                    id(), most >> 30));
    encoding_.reset();
    too_large_us_ = core_.clock.monotonic_us();
    return nullptr;
  }
  if (more) {
    if (!take_turn()) forget_snapshots();
    return nullptr;
  }
  if (encoder.failed()) {
    encoding_.reset();
    return nullptr;
  }
  auto snapshot = std::make_shared<consensus::Snapshot>(std::move(encoding_->snapshot));
  const std::uint64_t checksum = encoder.checksum();
  auto bytes = std::make_shared<StateBytes>(encoder.take());
  encoding_.reset();
  if (at_once && bytes->size() <= core_.options.piece_bytes) {
    snapshot->data = bytes->take_whole();
    return snapshot;
  }
  if (!take_turn()) return nullptr;
  sent_ = {snapshot, std::move(bytes), checksum};
  return snapshot;
}

void Group::encode_more() {
  if (!encoding_) return;
  if (!leads() || halted_) return forget_snapshots();
  (void)encode_some();
}

void Group::forget_snapshots() {
  encoding_.reset();
  sent_.reset();
  if (core_.given_state.group == id()) core_.given_state = {};
}

// A shard encodes and gives one state at a time, since it has it in memory.
bool Group::take_turn() {
  ShardCore::GivenState& given = core_.given_state;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (given.group != id() && given.group != 0 && now_us - given.used_us < kMakesWayUs) return false;
  given = {id(), now_us};
  return true;
}

// What nobody can need any more goes, and what nobody has asked for in a long time.
void Group::keep_snapshot() {
  if (!sent_) return;
  const ShardCore::GivenState& given = core_.given_state;
  if (given.group != id()) return forget_snapshots();
  const Index index = sent_->snapshot->index;
  const bool all_have_it =
      leads() && std::ranges::all_of(raft_->progress(), [index](const auto& each) {
        return each.second.match >= index;
      });
  if (all_have_it || core_.clock.monotonic_us() - given.used_us >= kSnapshotKeptUs) {
    forget_snapshots();
  }
}

std::optional<Index> Group::pinned() {
  if (!sent_ && !encoding_) return std::nullopt;
  const Index index = sent_ ? sent_->snapshot->index : encoding_->snapshot.index;
  const std::uint64_t bytes = sent_ ? sent_->bytes->size() : encoding_->encoder.bytes();
  if (log_.bytes() <= kPinnedLogs * kept_bytes_ + bytes) return index;
  forget_snapshots();
  // Who waits for it is given another.
  for (const auto& [member, progress] : raft_->progress()) {
    if (leads() && progress.pending_snapshot == index) raft_->report_snapshot(member, false);
  }
  return std::nullopt;
}

std::optional<GroupMessage::State> Group::name_of(const consensus::Snapshot& snapshot) const {
  if (!sent_ || sent_->snapshot.get() != &snapshot) return std::nullopt;
  return GroupMessage::State{sent_->bytes->size(), sent_->checksum};
}

bool Group::lacks(const consensus::Snapshot& snapshot) const {
  return snapshot.index > raft_->log().committed() &&
         !raft_->log().matches(snapshot.index, snapshot.term);
}

std::shared_ptr<const StateBytes> Group::state_named(const SnapshotName& name, MemberId asker) {
  if (sent_ && name.total == sent_->bytes->size() && name.checksum == sent_->checksum) {
    if (take_turn()) return sent_->bytes;
    forget_snapshots();
  }
  if (leads()) raft_->report_snapshot(asker, false);
  return nullptr;
}

// --- Digests

void Group::note_checkpoint() {
  checkpoints_.push_back({applied(), partition_.state.digest()});
  if (checkpoints_.size() > kCheckpoints) checkpoints_.pop_front();
}

std::optional<std::uint64_t> Group::digest_at(Index index) const {
  if (index == applied()) return partition_.state.digest();
  const auto found = std::ranges::lower_bound(checkpoints_, index, {}, &Checkpoint::index);
  if (found == checkpoints_.end() || found->index != index) return std::nullopt;
  return found->digest;
}

// Of a group that rests, what it is now; of one that does not, what it was a little before: there
// the others will be, or have been.
std::optional<DigestsMessage::Digest> Group::digest_to_tell() {
  if (!leads() || halted_) return std::nullopt;
  const bool rests = std::exchange(last_applied_, applied()) == applied();
  const Index index = rests ? applied() : checkpoints_.empty() ? 0 : checkpoints_.back().index;
  if (index == 0 || index == told_index_) return std::nullopt;
  told_index_ = index;
  return DigestsMessage::Digest{id(), index, *digest_at(index)};
}

void Group::compare(const DigestsMessage::Digest& theirs, NodeNumber node) {
  awaited_ = {theirs, node};
  compare_awaited();
}

void Group::compare_awaited() {
  if (!awaited_ || halted_) return;
  const auto& [theirs, node] = *awaited_;
  if (theirs.index > applied() && !EVEN_MUTANT(kGroupDigestsMixed)) return;
  const auto ours = EVEN_MUTANT(kGroupDigestsMixed) ? std::optional(partition_.state.digest())
                                                    : digest_at(theirs.index);
  if (ours) {
    ++core_.stats.digest_comparisons;
    if (*ours != theirs.digest) {
      ++core_.stats.digest_mismatches;
      diverged_ = true;
      core_.warn(
          fmt::format("group {} differs from node {}'s although both have applied entry {}: "
                      "digest {:016x} here, {:016x} there",
                      id(), node, theirs.index, *ours, theirs.digest));
    }
  }
  awaited_.reset();
}

// --- Entries

void Group::apply(const Entry& entry) {
  if (entry.index <= applied()) return;  // what is stored has it
  EVEN_CHECK(entry.index == applied() + 1, "entries are applied in their order");
  // What follows an entry is of its term or a later one: what was proposed before and is not in the
  // log yet never will be.
  while (!proposals_.empty() && proposals_.front().term < entry.term &&
         !EVEN_MUTANT(kProposalsOfEarlierReigns) && !EVEN_MUTANT(kReplyOfAnotherEntry)) {
    StrongDone done = std::move(proposals_.front().done);
    proposals_.pop_front();
    refuse(done);
  }
  const bool is_own = !proposals_.empty() && proposals_.front().index == entry.index &&
                      proposals_.front().term == entry.term;
  std::string reply;
  auto outcome = StrongOutcome::Kind::kReply;
  if (entry.kind == EntryKind::kNormal) {
    const auto proposal = decode_proposal(entry.data.view());
    // One that cannot be read is one everywhere, and changes nothing anywhere.
    if (proposal) {
      if (comes_too_late(*proposal)) {
        outcome = StrongOutcome::Kind::kRefused;
        reply = fmt::format("-{}\r\n", kClosed);
      } else {
        reply = holds_batch(proposal->kind) ? append(*proposal, entry.index)
                : proposal->kind == GroupProposal::Kind::kTrim
                    ? apply_trim(*proposal, entry)
                    : apply(*proposal, is_own && proposals_.front().resp3);
        if (is_own && proposal->kind == GroupProposal::Kind::kBatch) {
          note_unknown_producer(*proposal, reply);
        }
      }
      partition_.state.cover(Dot{kGroupClock, static_cast<std::uint64_t>(std::max<std::int64_t>(
                                                  std::max(proposal->instant_ms, clock_ms()), 1))});
    } else {
      reply = "-ERR the entry of the group's log cannot be read\r\n";
    }
  }
  partition_.state.cover(Dot{kGroupIndex, entry.index});
  if (entry.index % kCheckpointEntries == 0) note_checkpoint();
  ++core_.stats.entries_applied;
  // Whatever else was proposed for this place is not in the log and will never be.
  while (!proposals_.empty() && proposals_.front().index <= entry.index) {
    Proposal proposal = std::move(proposals_.front());
    proposals_.pop_front();
    if (proposal.index == entry.index &&
        (proposal.term == entry.term || EVEN_MUTANT(kReplyOfAnotherEntry))) {
      ++core_.stats.proposals_answered;
      core_.stats.proposal_seconds +=
          static_cast<double>(core_.clock.monotonic_us() - proposal.since_us) / 1e6;
      proposal.done({outcome, std::move(reply), 0, entry.index});
    } else {
      refuse(proposal.done);
    }
  }
}

// Its offsets, and whether it is appended, follow from what has been applied before it.
std::string Group::append(const GroupProposal& proposal, Index index) {
  const auto head = topic::read_head(proposal.batch);
  if (!topic_ || !head) return "-ERR an entry that is no batch of a topic\r\n";
  const VersionVector& vector = partition_.state.vector();
  const std::uint64_t base = vector[kTopicEnd];
  if (head->producer_id >= 0 || !proposal.events.empty()) {
    const std::int64_t now_ms = std::max(proposal.instant_ms, clock_ms());
    partition_.state.lapse(now_ms);
    GroupKeyspace keyspace(partition_, now_ms);
    Random random(proposal.seed);
    std::string unused;
    Reply no_reply(unused, false);
    Context context(keyspace, no_reply, random, now_ms);
    const auto offset = static_cast<std::int64_t>(base);
    auto refusal = head->control() ? end_transaction(context, proposal.batch, offset)
                                   : refuse_batch(context, *head, proposal.events, offset,
                                                  proposal.any_sequence);
    if (proposal.any_sequence) partition_.state.cover(Dot{kGroupAnySequence, 1});
    if (refusal) return std::move(*refusal);
    commit(context, {});
  }
  const auto time = static_cast<std::uint64_t>(std::max<std::int64_t>(head->max_timestamp, 0));
  const std::uint64_t latest = std::max(vector[kTopicLatest], std::min(time, kMostTime));
  partition_.state.cover(Dot{kTopicEnd, base + static_cast<std::uint64_t>(head->offsets())});
  if (latest > 0) partition_.state.cover(Dot{kTopicLatest, latest});
  // As it was appended, whatever compaction has left of it where this entry comes from.
  const std::uint64_t bytes =
      proposal.compacted ? proposal.compacted->bytes : proposal.batch.size();
  partition_.state.cover(Dot{kTopicBytes, vector[kTopicBytes] + bytes});
  topic_->applied(
      {index, static_cast<std::int64_t>(base), head->offsets(), static_cast<std::int64_t>(latest)});
  return fmt::format(":{}\r\n", base);
}

// Of a producer of whom nothing is remembered nothing is there, as far as it has sent anything
// within a day: its topic has been dropped and created again, or its records have long gone. So it
// may begin with what it has sent first. But another batch of it, ahead of this one, may have been
// refused before this node led, and it is to come first; so both are to come again, which they do
// in their order.
void Group::note_unknown_producer(const GroupProposal& proposal, std::string& reply) {
  if (reply != kUnknownProducer || !remembers_all_producers(partition_.state) ||
      !all_know(kGroupAnySequence, core_.options.any_sequence_known)) {
    return;
  }
  const auto head = topic::read_head(proposal.batch);
  if (!head) return;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (unknown_.size() >= kMostUnknown && !unknown_.contains(head->producer_id)) unknown_.clear();
  const auto [at, added] = unknown_.try_emplace(head->producer_id);
  Unknown& first = at->second;
  if (added || first.epoch != head->producer_epoch || head->base_sequence < first.sequence ||
      now_us - first.since_us > kUnknownUs) {
    first = {head->producer_epoch, head->base_sequence, now_us};
  }
  reply =
      "-TRYAGAIN nothing is remembered of this producer: it begins with what comes again first\r\n";
}

bool Group::is_tried_again(std::string_view batch) const {
  const auto head = topic::read_head(batch);
  const auto first = head ? unknown_.find(head->producer_id) : unknown_.end();
  return first != unknown_.end() && first->second.epoch == head->producer_epoch &&
         first->second.sequence == head->base_sequence;
}

void Group::write_segments(std::int64_t start, std::int64_t now_ms, std::uint64_t seed) {
  GroupKeyspace keyspace(partition_, now_ms);
  Random random(seed);
  std::string unused;
  Reply no_reply(unused, false);
  Context context(keyspace, no_reply, random, now_ms);
  std::string value;
  put_little_endian(value, start);
  value += segments_.encode();
  context.write(kSegmentsKey).set_string(context.keep(std::move(value)), false);
  commit(context, {});
}

void Group::read_segments() {
  segments_ = {};
  if (partition_.rows->closed()) return;
  try {
    const Object* object = partition_.state.find(kSegmentsKey, hash64(kSegmentsKey));
    std::string scratch;
    if (object == nullptr || object->type() != ObjectType::kString) return;
    std::string_view bytes = object->string().value(scratch);
    bytes.remove_prefix(std::min(bytes.size(), sizeof(std::int64_t)));
    segments_ = topic::Segments::decode(bytes).value_or(topic::Segments());
  } catch (const Unreadable& error) {
    partition_.close(error.what());
  }
}

std::string Group::apply(const GroupProposal& proposal, bool resp3) {
  const std::int64_t now_ms = EVEN_MUTANT(kEntryByLocalClock) ? core_.clock.wall_ms()
                              : EVEN_MUTANT(kGroupClockGoesBack)
                                  ? proposal.instant_ms
                                  : std::max(proposal.instant_ms, clock_ms());
  Random random(EVEN_MUTANT(kEntryByLocalChance) ? core_.random.next() : proposal.seed);
  if (proposal.kind == GroupProposal::Kind::kPurge) {
    purge(now_ms);
    return "+OK\r\n";
  }
  if (proposal.kind == GroupProposal::Kind::kNewLife) {
    begin_life(now_ms);
    return "+OK\r\n";
  }
  const bool once_first = proposal.once_first && !EVEN_MUTANT(kOnceBehindWatched);
  if (!once_first && differs(proposal, now_ms, random)) return null_array(resp3);
  std::vector<Args> commands(proposal.commands.begin(), proposal.commands.end());
  if (proposal.once.empty()) return run(commands, proposal.transaction, resp3, now_ms, random);
  std::string reply = run_once(proposal, commands, random);
  if (!once_first) return reply;
  partition_.state.cover(Dot{kGroupOnceFirst, 1});
  return reply == null_array(false) ? null_array(resp3) : reply;
}

bool Group::differs(const GroupProposal& proposal, std::int64_t now_ms, Random& random) {
  return std::ranges::any_of(proposal.watched, [&](const GroupProposal::Watched& watched) {
    std::string seen;
    Reply reply(seen, false);
    run(watched.words, reply, now_ms, random);
    return seen != watched.reply;
  });
}

std::string Group::run(std::span<const Args> commands, bool transaction, bool resp3,
                       std::int64_t now_ms, Random& random) {
  std::string out;
  Reply reply(out, resp3);
  if (transaction) reply.array(commands.size());
  for (const Args words : commands) run(words, reply, now_ms, random);
  return out;
}

// The execution of a script: each member has its own, and all must come to the same.
class Group::GroupScript final : public ScriptHost {
 public:
  GroupScript(Group& group, const Command& command, Args words, std::int64_t now_ms, Random& random)
      : group_(group), now_ms_(now_ms), random_(random) {
    for_each_key(command, words, [this](std::string_view key) { given_.push_back(key); });
  }

  std::string refusal(const Command& command, Args args, bool&) override {
    if (command.scope == Scope::kAll) {
      return "CROSSGROUP Script attempted to execute a command about all keys: a script in a "
             "strong "
             "keyspace reaches those of its group only";
    }
    bool all = true;
    for_each_key(command, args, [&](std::string_view key) { all = all && may_reach(key); });
    if (all) return {};
    return "CROSSGROUP Script attempted to access a key that it was not given: in a strong "
           "keyspace "
           "such a key must begin as one of those given, up to its hash tag";
  }
  void execute(const Command& command, Args args, Reply& reply) override {
    GroupKeyspace keyspace(group_.partition_, now_ms_);
    Context context(keyspace, reply, random_, now_ms_);
    command.handler(context, args);
    if (context.refused()) return;
    group_.commit(context, command.name);
  }
  // Who is subscribed where is nothing that the group knows.
  std::int64_t publish(std::string_view channel, std::string_view message, bool sharded) override {
    const auto& publish = group_.core_.options.publish;
    if (group_.leads() && publish) publish(channel, message, sharded);
    return 0;
  }
  std::int64_t now_ms() const override { return now_ms_; }
  std::uint32_t seed() override { return static_cast<std::uint32_t>(random_.next()); }
  std::int64_t monotonic_us() const override { return group_.core_.clock.monotonic_us(); }
  void denied(const AclUser& user, const AclDenial& denial) override {
    const auto& denied = group_.core_.options.script_denied;
    if (group_.leads() && denied) denied(user, denial);
  }
  void log(int level, std::string_view text) override {
    const auto& log = group_.core_.options.script_log;
    if (log) log(level, text);
  }
  bool same_everywhere() const override { return true; }

 private:
  // By the words alone: which keyspaces there are each member learns in its own time. What begins
  // as a key of the group up to its hash tag is of the group as well.
  bool may_reach(std::string_view key) const {
    key = user_key(key);
    return std::ranges::any_of(given_, [key](std::string_view given) {
      given = user_key(given);
      if (key == given) return true;
      const std::size_t open = given.find('{');
      if (open == std::string_view::npos) return false;
      const std::size_t close = given.find('}', open);
      if (close == std::string_view::npos || close == open + 1) return false;
      return key.starts_with(given.substr(0, close + 1));
    });
  }

  Group& group_;
  std::vector<std::string_view> given_;
  const std::int64_t now_ms_;
  Random& random_;
};

void Group::run(Args words, Reply& reply, std::int64_t now_ms, Random& random) {
  if (!words.empty() && (words[0] == kFeedCommandName || words[0] == kFeedStepCommandName)) {
    words[0] == kFeedCommandName ? set_feed(words, now_ms) : step_feed(words, now_ms);
    return reply.ok();
  }
  if (is_closing_command(words)) return change_closing(words, reply, now_ms);
  Handler handler = meta_command;
  std::string_view name;  // of a command that events are told of
  if (id() != meta_partition(core_.options.partition_count)) {
    const Command* command = words.empty() ? nullptr : find_outbox_command(words);
    if (command == nullptr) command = find_as_user_command(words);
    if (command == nullptr && !words.empty()) command = find_command(words);
    // Of scope kAll, this node's own questions about all keys of the group.
    if (command == nullptr || (command->handler == nullptr && !command->script)) {
      return reply.error(unknown_command(words));
    }
    if (const std::string error = check_arity(*command, words); !error.empty()) {
      return reply.error(error);
    }
    if (command->script) {
      GroupScript host(*this, *command, words, now_ms, random);
      return core_.scripts.run(*command, words, reply, host);
    }
    handler = command->handler;
    name = command->name;
  }
  GroupKeyspace keyspace(partition_, now_ms, [this] { return remembered(); });
  Context context(keyspace, reply, random, now_ms);
  handler(context, words);
  if (context.refused()) return;
  commit(context, name);
}

// Everything that is read for it is read before anything changes.
void Group::commit(Context& context, std::string_view command) {
  PartitionState& state = partition_.state;
  // Nothing in a topic's partition is a client's key.
  const bool tells = !command.empty() && !topic_ && core_.wants_key_events();
  for (auto& write : context.writes()) state.prepare(write.record.delta, write.record.context);
  for (auto& write : context.writes()) {
    std::optional<KeyEvents> events;
    if (tells) events.emplace(state, write.record, context.now_ms);
    std::optional<FeedChanges> changes;
    if (const FeedOf of = feed_of()) changes.emplace(state, write.record, context.now_ms, of);
    state.join_part(write.record.delta, write.record.context);
    state.cover(write.record.dot());
    if (changes && !changes->empty()) {
      tell(*changes, write.record.dot(), command, context.now_ms);
    }
    if (events) {
      core_.report(*events, command);
    }
  }
}

// The reply is kept as a string of the partition that expires: so it is stored, moved and forgotten
// like everything else.
std::string Group::run_once(const GroupProposal& proposal, std::span<const Args> commands,
                            Random& random) {
  const std::int64_t now_ms = std::max(proposal.instant_ms, clock_ms());
  const std::uint64_t asked =
      what_is_asked(commands, proposal.transaction, !proposal.watched.empty());
  auto kept = kept_reply(proposal.once, asked, now_ms, random);
  if (kept && !EVEN_MUTANT(kOnceForgotten)) return std::move(*kept);
  // That nothing was done is remembered as well: it may have been said already when a repetition
  // comes, by which time what is watched may be again what it was.
  const bool differs = proposal.once_first && !EVEN_MUTANT(kOnceBehindWatched) &&
                       this->differs(proposal, now_ms, random);
  std::string reply =
      differs ? null_array(false) : run(commands, proposal.transaction, false, now_ms, random);
  const std::string key = std::string(kOncePrefix).append(proposal.once);
  GroupKeyspace keyspace(partition_, now_ms);
  std::string unused;
  Reply no_reply(unused, false);
  Context context(keyspace, no_reply, random, now_ms);
  const Object* before = partition_.state.find(key, hash64(key));  // one that has expired, perhaps
  if (remembered_ && (before == nullptr || !before->live())) ++*remembered_;
  KeyWriter& writer = context.write(key);
  std::string value;
  if (proposal.once_words) {
    partition_.state.cover(Dot{kGroupOnceWords, 1});
    value.push_back(kOfWords);
    put_little_endian(value, asked);
  }
  value += reply;
  writer.set_string(context.keep(std::move(value)), false);
  writer.expire_at(now_ms + proposal.once_ms);
  commit(context, {});
  return reply;
}

std::optional<std::string> Group::kept_reply(std::string_view id, std::uint64_t words,
                                             std::int64_t now_ms, Random& random) {
  const std::string key = std::string(kOncePrefix).append(id);
  GroupKeyspace keyspace(partition_, now_ms);
  std::string unused;
  Reply no_reply(unused, false);
  const Context context(keyspace, no_reply, random, now_ms);
  const Object* object = context.find(key);
  if (object == nullptr) return std::nullopt;
  std::string scratch;
  std::string_view value = object->string().value(scratch);
  if (!value.starts_with(kOfWords)) return std::string(value);
  ByteReader in(value.substr(1));
  const auto before = in.get<std::uint64_t>();
  if (before != 0 && words != 0 && before != words) return std::string(kOtherWords);
  return std::string(in.bytes(in.left()));
}

// As far as this member has applied; what it has lost sight of is in no reply.
std::optional<std::string> Group::reply_before(const StrongRequest& request) {
  if (request.once.empty() || EVEN_MUTANT(kOnceForgotten)) return std::nullopt;
  Random random(0);
  const std::uint64_t asked =
      what_is_asked(request.commands, request.transaction, !request.watched.empty());
  try {
    return kept_reply(request.once, asked, clock_ms(), random);
  } catch (const Unreadable&) {
    return std::nullopt;
  }
}

// --- Dropping the keyspace: see docs/groups.md.

void Group::change_closing(Args words, Reply& reply, std::int64_t now_ms) {
  std::uint64_t attempt = 0;
  const std::string_view number = words[1];
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), attempt);
  if (error != std::errc() || stop != number.data() + number.size() || attempt == 0 ||
      attempt > kMostTime / 2) {
    return reply.error("ERR no attempt at dropping a keyspace");
  }
  const std::uint64_t mark = partition_.state.vector()[kGroupClosing];
  const std::uint64_t closed = 2 * attempt + 1;
  if (words[0] == kOpenCommand) {
    if (mark <= closed) partition_.state.cover(Dot{kGroupClosing, closed + 1});
    return reply.ok();
  }
  if (mark > closed) return reply.error("TRYAGAIN the attempt at dropping the keyspace is over");
  const Object* outbox = partition_.state.find(kOutboxKey, hash64(kOutboxKey));
  if (outbox != nullptr && outbox->hash().live() > 0) {
    return reply.error(fmt::format("TRYAGAIN {} events of the keyspace wait to be told in topics",
                                   outbox->hash().live()));
  }
  // Of all databases; one by one, so that nothing counts but what the entry says.
  const GroupKeyspace keyspace(partition_, now_ms);
  std::int64_t keys = 0;
  partition_.state.for_each([&](std::string_view key, const Object& object) {
    keys += object.live() && !object.expired(now_ms) && !keyspace.hides(key) ? 1 : 0;
  });
  if (keys == 0 && !EVEN_MUTANT(kEmptyNotClosed)) {
    partition_.state.cover(Dot{kGroupClosing, closed});
  }
  reply.integer(keys);
}

// What has been executed under its id already is to be said.
bool Group::comes_too_late(const GroupProposal& proposal) {
  if (!closed_for() || EVEN_MUTANT(kWritesBehindClosing) ||
      proposal.kind != GroupProposal::Kind::kCommands ||
      !std::ranges::any_of(proposal.commands, may_write_keys)) {
    return false;
  }
  Random random(proposal.seed);
  return proposal.once.empty() ||
         !kept_reply(proposal.once, 0, std::max(proposal.instant_ms, clock_ms()), random);
}

void Group::tell_of_closing() {
  const auto attempt = closed_for();
  if (!attempt || !leads() || halted_) return closing_.reset();
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (!closing_ || closing_->attempt != *attempt) closing_ = {*attempt, now_us + kLeftClosedUs};
  if (now_us < closing_->tell_at_us) return;
  closing_->tell_at_us = now_us + kToldAgainUs;
  if (core_.options.left_closed && !EVEN_MUTANT(kLeftClosed)) {
    core_.options.left_closed(id(), *attempt);
  }
}

// In a group that has one, all members know them already, also those that cannot be asked now.
bool Group::may_look_up_first() const {
  return all_know(kGroupOnceFirst, core_.options.once_first_known);
}

// Each has an expiry, by which they are found, once; a long look where many keys have one.
std::size_t Group::remembered() {
  const PartitionState& state = partition_.state;
  constexpr auto kAny = std::numeric_limits<std::size_t>::max();
  std::size_t lapsed = 0;
  state.lapsed(std::numeric_limits<std::int64_t>::max(), kAny,
               [&lapsed](std::string_view key, const Object&) {
                 lapsed += key.starts_with(kOncePrefix) ? 1 : 0;
               });
  if (!remembered_) {
    remembered_ = lapsed;
    state.soonest(kAny, [this](std::string_view key, const Object&) {
      *remembered_ += key.starts_with(kOncePrefix) ? 1 : 0;
    });
  }
  return *remembered_ - lapsed;
}

// What the former life wrote behind what was restored of it is out: events with their ids. So this
// one counts from where none before can have come to, as far as clocks go forwards.
void Group::begin_life(std::int64_t now_ms) {
  const auto instant = static_cast<std::uint64_t>(std::max<std::int64_t>(now_ms, 0));
  const std::uint64_t first =
      std::min(instant, kMostTime / kDotsOfMillisecond) * kDotsOfMillisecond;
  if (first > 0) partition_.state.cover(Dot{kGroupOrigin, first});
}

void Group::purge(std::int64_t now_ms) {
  PartitionState& state = partition_.state;
  state.lapse(now_ms);
  std::vector<std::string> names;
  state.lapsed(now_ms, kPurgedKeys,
               [&](std::string_view key, const Object&) { names.emplace_back(key); });
  std::deque<std::string> fields;
  Record record = Record::begin(id(), kGroupOrigin, Hlc::at(now_ms), partition_.state.vector());
  for (const std::string& name : names) {
    KeyDelta& key = record.delta.keys.emplace_back();
    key.key = name;
    key.full = true;
    if (remembered_ && name.starts_with(kOncePrefix)) --*remembered_;
  }
  purge_fields(now_ms, names, record.delta, fields);
  if (record.delta.keys.empty()) return;
  state.prepare(record.delta, record.context);
  std::optional<KeyEvents> events;
  if (!topic_ && core_.wants_key_events()) events.emplace(state, record, now_ms);
  std::optional<FeedChanges> changes;
  // To a reader they have been gone for a while; it is now that they go.
  if (const FeedOf of = feed_of()) changes.emplace(state, record, kBeforeAnyExpiry, of);
  state.join_part(record.delta, record.context);
  state.cover(record.dot());
  if (changes && !changes->empty()) tell(*changes, record.dot(), "expired", now_ms);
  if (events) {
    events->report({}, KeyEvents::Cause::kExpiry, [this](const KeyEvent& event) {
      if (!event.key.starts_with(kOncePrefix)) core_.options.key_event(event);
    });
  }
  core_.stats.keys_expired += names.size();
}

// Fields of hashes that do not go as a whole, which are among `gone`. All of them, and by name: in
// which order they are found is each member's own, while that of the record numbers the events of a
// feed. What is named rests in `names`.
void Group::purge_fields(std::int64_t now_ms, const std::vector<std::string>& gone, Delta& out,
                         std::deque<std::string>& names) {
  const absl::flat_hash_set<std::string_view> whole(gone.begin(), gone.end());
  const auto first = static_cast<std::ptrdiff_t>(out.keys.size());
  partition_.state.with_lapsed_fields(
      now_ms, std::numeric_limits<std::size_t>::max(),
      [&](std::string_view name, const Object& object) {
        if (whole.contains(name)) return;
        KeyDelta key;
        const HashView fields = object.hash();
        std::size_t removed = 0;
        object.for_each_lapsed_field(now_ms, [&](std::string_view field, std::int64_t) {
          const ScalarView value = fields.find(field);
          remove_lapsed_field(value, names.emplace_back(field), false, key);
          removed += value.live() ? 1 : 0;
          return true;
        });
        std::ranges::stable_sort(key.leaves, {}, &LeafDelta::field);
        if (removed > 0 && removed == fields.live() && object.expiry() != nullptr) {
          remove_leftover_expiry(key);
        }
        core_.stats.fields_expired += removed;
        key.key = names.emplace_back(name);
        out.keys.push_back(std::move(key));
      });
  std::ranges::sort(out.keys.begin() + first, out.keys.end(), {}, &KeyDelta::key);
}

// --- Reads

void Group::release(std::vector<Read>& reads, Index index) {
  for (Read& read : reads) {
    read.index = std::max(read.index, index);
    if (index <= applied()) confirmed_us_ = std::max(confirmed_us_, std::optional(read.since_us));
    waiting_.push_back(std::move(read));
  }
}

void Group::answer_reads() {
  if (waiting_.empty()) return;
  std::vector<Read> reads = std::exchange(waiting_, {});
  for (Read& read : reads) {
    if (!answer(read)) waiting_.push_back(std::move(read));
  }
}

bool Group::answer(Read& read) {
  if (read.index > applied() && !EVEN_MUTANT(kGroupReadsEarly)) return false;
  const bool current = read.request.read == StrongRead::kLinearizable;
  // What the leader's clock says has expired is not shown; nor is it hidden before an entry says
  // so, since another leader's clock may be behind.
  const std::int64_t now_ms = current ? this->now_ms() : clock_ms();
  if (current && shows_expired(now_ms) && !EVEN_MUTANT(kExpiryByLeadersClock)) {
    if (!leads() || !propose_purge(now_ms)) {
      refuse(read.done);
      return true;
    }
    read.index = purge_index_;
    return false;
  }
  StrongOutcome outcome;
  outcome.index = applied();
  Random random(core_.random.next());
  try {
    outcome.reply =
        run(read.request.commands, read.request.transaction, read.request.resp3, now_ms, random);
  } catch (const Unreadable& error) {
    outcome = refused(fmt::format("IOERR {}", error.what()));
  }
  read.done(std::move(outcome));
  return true;
}

// --- Topics

TopicStatus Group::topic_status() const {
  // Before it has applied an entry of its term, a leader may not have applied all that its
  // predecessors have acknowledged: to who has read that, it would seem to be gone.
  const bool current = log_.term(applied()) == raft_->term();
  TopicStatus status{.leads = leads() && current && !halted_,
                     .leader = leader(),
                     .term = raft_->term(),
                     .start = log_start(),
                     .end = static_cast<std::int64_t>(partition_.state.vector()[kTopicEnd]),
                     .bytes = retained_bytes(),
                     .compacted = topic_->clean_point().end,
                     .compacted_bytes = topic_->clean_point().clean_bytes};
  try {
    status.stable = std::max(status.start, stable_offset(partition_.state, status.end));
  } catch (const Unreadable&) {
    // Nothing is stable as far as is known: the next entry that looks for it halts the member.
    status.stable = status.start;
  }
  return status;
}

void Group::read_topic(std::int64_t offset, std::size_t max_bytes, TopicLog::Read done) const {
  std::string out;
  if (topic_->read(log_, offset, max_bytes, out)) return done(std::move(out));
  topic_->fetch(offset, max_bytes, std::move(done));
}

void Group::begin_pass() {
  if (!topic_) return;
  const VersionVector& vector = partition_.state.vector();
  topic_->begin_pass(applied(), segments_, static_cast<std::int64_t>(vector[kTopicStart]),
                     vector[kTopicBytes]);
}

void Group::end_pass(bool stored) {
  if (!topic_) return;
  topic_->end_pass(stored);
  if (raft_) trim();
}

// --- Membership and leadership

void Group::abandon() {
  for (Proposal& proposal : std::exchange(proposals_, {})) {
    proposal.done({StrongOutcome::Kind::kUnknown});
  }
  std::vector<Read> reads = std::exchange(new_reads_, {});
  std::ranges::move(std::exchange(waiting_, {}), std::back_inserter(reads));
  for (auto& [context, asked] : std::exchange(asking_, {})) {
    std::ranges::move(asked, std::back_inserter(reads));
  }
  for (Read& read : reads) read.done({StrongOutcome::Kind::kElsewhere});
}

void Group::unreachable(MemberId member) {
  raft_->report_unreachable(member);
  raft_->report_snapshot(member, false);
}

void Group::stop_leading() {
  raft_->allow_leading(false);
  if (!leads()) return;
  const MemberId successor = raft_->best_successor();
  if (successor != consensus::kNoMember) (void)raft_->transfer_leadership(successor);
}

// It votes and keeps the log, as it has not forgotten anything of that.
void Group::halt(const std::string& why) {
  halted_ = true;
  core_.warn(fmt::format("group {} executes nothing more on this node: {}", id(), why));
  stop_leading();
}

void Group::step_down() {
  raft_->allow_leading(false);
  raft_->step_down();
}

Result<> Group::change(const consensus::ConfigurationChange& change) {
  const auto proposed = raft_->propose_configuration(change);
  if (!proposed) return fail(std::string(consensus::to_string(proposed.error())));
  return {};
}

GroupStatus Group::status() const {
  GroupStatus status;
  status.group = id();
  status.leader = leader();
  status.leads = leads();
  status.term = raft_->term();
  status.committed = raft_->log().committed();
  status.applied = applied();
  status.diverged = diverged_;
  const auto& configuration = raft_->configuration();
  status.voters = nodes_of(configuration.voters);
  status.learners = nodes_of(configuration.learners);
  status.outgoing = nodes_of(configuration.outgoing);
  if (!leads()) return status;
  for (const auto& [member, progress] : raft_->progress()) {
    if (member == self_) continue;
    status.lags.emplace_back(node_of(member), raft_->log().last() - progress.match);
  }
  return status;
}

}  // namespace even
