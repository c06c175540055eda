#include "replica/groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/byte_reader.h"
#include "base/check.h"
#include "base/mutant.h"
#include "lattice/codec.h"
#include "store/partition_rows.h"
#include "store/topic_rows.h"

namespace even {
namespace {

using consensus::MemberId;

constexpr std::size_t kMessageBytes = 256 << 10;  // of messages to one node that travel together
// Of entries that one group keeps for followers, unless all together may not have so much.
constexpr std::uint64_t kLeastLogBytes = 64 << 10;
constexpr std::uint64_t kMostLogBytes = 4 << 20;
// Those of topics keep less in memory: who is behind is given the rest from the store.
constexpr std::uint64_t kTopicLogPart = 4;
// How often it is looked whether a group is led by the node that is to lead it.
constexpr std::int64_t kPreferIntervalUs = 2'000'000;
// And whether its members are those that it is to have.
constexpr std::int64_t kMaintainIntervalUs = 200'000;
// And digests of states are told.
constexpr std::int64_t kDigestIntervalUs = 1'000'000;
// A pass is asked for because something of a topic has gone, after so many looks at what is to
// stay.
constexpr std::int64_t kLooksOfPass = 5;
// A member that lacks no more entries than this has caught up.
constexpr consensus::Index kCaughtUp = 64;

// Whether the state in a snapshot is of this group and as of the index that the snapshot names.
bool is_state_of(PartitionId group, const consensus::Snapshot& snapshot) {
  RecordDecoder decoder;
  const auto state = decoder.decode(snapshot.data.view());
  return state && state->origin.value == 0 && state->partition == group && state->delta.full &&
         state->context[kGroupIndex] == snapshot.index;
}

}  // namespace

Groups::Groups(ShardCore& core, Transport& transport)
    : core_(core), transport_(transport), states_(core, transport) {
  states_.on_whole = [this](NodeNumber node, consensus::Message message, PartitionId id,
                            std::shared_ptr<StagedState> staged) {
    take_state(node, std::move(message), id, std::move(staged));
  };
}

Group* Groups::find(PartitionId id) const { return id < by_id_.size() ? by_id_[id] : nullptr; }

Group& Groups::put(PartitionId id, std::unique_ptr<Group> group) {
  if (by_id_.size() <= id) by_id_.resize(id + std::size_t{1});
  by_id_[id] = group.get();
  return *(groups_[id] = std::move(group));
}

void Groups::remove(PartitionId id) {
  if (id < by_id_.size()) by_id_[id] = nullptr;
  groups_.erase(id);
}

// --- Recovery

void Groups::restore(RowStore& store) {
  const auto restored =
      read_groups(store, [this](PartitionId id, std::string_view row) -> Result<> {
        if (shard_of_partition(id, core_.options.shards) != core_.options.shard) return {};
        ByteReader in(row);
        while (!in.at_end()) {
          const auto length = in.get<std::uint32_t>();
          if (const auto restored = restore(in.bytes(length), true); !restored) return restored;
        }
        return {};
      });
  if (restored) return;
  forgotten_ = restored.error().message;
  by_id_.clear();
  groups_.clear();
  core_.warn(fmt::format(
      "what groups of strong keyspaces need cannot be read ({}): this node takes no part in them. "
      "If it is stopped, its data directory emptied, and started again, it joins them as a new "
      "member and is given everything",
      *forgotten_));
}

Result<> Groups::restore(std::string_view log_entry, bool stored) {
  const auto decoded = decode_group_log_entry(log_entry);
  if (!decoded) return std::unexpected(decoded.error());
  if (forgotten_) return {};
  if (const auto* base = std::get_if<GroupBase>(&*decoded)) {
    // Of another life of the directory: others have to add this one, which begins with nothing,
    // unless they have nothing either.
    if (base->self != self()) {
      remove(base->group);
      if (stored) former_[base->group] = {*base, 0, {}};
      return {};
    }
    former_.erase(base->group);
    Group* group = find(base->group);
    if (group == nullptr) {
      Partition* partition = core_.find(base->group);
      if (partition == nullptr) partition = &core_.add_strong(base->group, {});
      // A pass stores a state together with the group's row: without that it is of another life,
      // and of use only to a group that has been founded with it, as of this index.
      const VersionVector& vector = partition->state.vector();
      const bool is_of_base = stored || (base->index > 0 && vector[kGroupIndex] == base->index);
      if (!is_of_base && !vector.empty()) core_.forget_rows(*partition);
      group = &put(base->group, std::make_unique<Group>(core_, *partition, self()));
    }
    if (stored) group->note_stored(base->index);
    if (base->staged && base->index > group->stored()) {
      const auto& [generation, summary] = *base->staged;
      const auto taken = core_.take_staged(group->partition(), generation, summary);
      if (!taken) return taken;
    }
    group->restore(*base);
    return {};
  }
  if (const auto* end = std::get_if<GroupEnd>(&*decoded)) {
    const Group* group = find(end->group);
    if (group != nullptr && group->topic() != nullptr) ended_topics_.push_back(end->group);
    remove(end->group);
    former_.erase(end->group);
    return {};
  }
  // What comes before the first base is of an earlier part of the log, and has been applied.
  if (const auto* state = std::get_if<GroupState>(&*decoded)) {
    if (Group* group = find(state->group)) {
      group->restore(state->state);
    } else if (const auto former = former_.find(state->group); stored && former != former_.end()) {
      former->second.term = state->state.term;
    }
    return {};
  }
  const auto& entry = std::get<GroupEntry>(*decoded);
  if (Group* group = find(entry.group)) {
    group->restore(entry.entry);
    return {};
  }
  const auto former = former_.find(entry.group);
  if (stored && former != former_.end()) former->second.entries.push_back(entry.entry);
  return {};
}

Result<> Groups::start() {
  for (auto& [id, group] : groups_) {
    core_.replayed(id);
    if (const auto started = group->start(); !started) return started;
    touch(*group);
  }
  return {};
}

Result<> Groups::found(PartitionId id, std::vector<NodeNumber> replicas,
                       consensus::Configuration configuration) {
  if (forgotten_) return fail("this node takes no part in groups");
  if (Group* group = find(id)) {
    group->partition().replicas = std::move(replicas);
    return {};
  }
  Partition* partition = core_.find(id);
  if (partition == nullptr) partition = &core_.add_strong(id, std::move(replicas));
  Group* const group = &put(id, std::make_unique<Group>(core_, *partition, self()));
  former_.erase(id);
  // What the store may have is of another life of the group: see also restore().
  if (!partition->state.vector().empty() || partition->damaged()) core_.forget_rows(*partition);
  const cluster::Keyspace* keyspace = core_.keyspaces->of_partition(id);
  group->found(std::move(configuration), keyspace != nullptr && keyspace->topic);
  if (const auto started = group->start(); !started) return started;
  touch(*group);
  return {};
}

FormerState Groups::former(PartitionId id) const {
  const auto found = former_.find(id);
  if (found == former_.end()) return {};
  const auto& [base, term, entries, unreadable] = found->second;
  if (unreadable) return {.term = 0, .index = 1};
  return entries.empty() ? FormerState{base.term, base.index}
                         : FormerState{entries.back().term, entries.back().index};
}

bool Groups::unreadable(PartitionId id) const {
  const auto found = former_.find(id);
  return found != former_.end() && found->second.unreadable;
}

Result<> Groups::refound(PartitionId id, std::vector<NodeNumber> replicas) {
  const auto found = former_.find(id);
  EVEN_CHECK(found != former_.end(), "a group that this node was a member of");
  Former& former = found->second;
  Partition* partition = core_.find(id);
  if (partition == nullptr) partition = &core_.add_strong(id, {});
  bool whole = !partition->damaged() && partition->state.vector()[kGroupIndex] == former.base.index;
  for (std::size_t i = 0; i < former.entries.size(); ++i) {
    whole = whole && former.entries[i].index == former.base.index + 1 + i;
  }
  if (!whole) {
    former.unreadable = true;
    return fail(fmt::format(
        "group {}: what was restored of it cannot be read ({}); where no other node has anything "
        "of it, it stays as it is until this node's data directory is emptied",
        id, partition->rows->damage().value_or("it is not as of what it says")));
  }
  partition->replicas = std::move(replicas);
  Group* const group = &put(id, std::make_unique<Group>(core_, *partition, self()));
  group->refound(former.base, former.term, former.entries);
  former_.erase(found);
  if (const auto begun = group->start(); !begun) {
    remove(id);
    return begun;
  }
  touch(*group);
  core_.warn(fmt::format(
      "group {}: none of its members is left, so it goes on from what was restored, up to entry {}",
      id, group->raft().log().last()));
  return {};
}

void Groups::end(PartitionId id) {
  former_.erase(id);
  Group* group = find(id);
  if (group == nullptr) return;
  group->abandon();
  states_.forget(id);
  core_.log.append_for_recovery(16, [id](std::string& out) { encode_group_end({id}, out); });
  core_.forget_rows(group->partition());
  group->partition().state.cover(VersionVector{});  // a change, so that a pass removes its rows
  if (group->topic() != nullptr) ended_topics_.push_back(id);
  remove(id);
}

// --- Links

MemberId Groups::member_at(NodeNumber node) const {
  if (node == core_.options.node) return self();
  const auto found = members_.find(node);
  return found == members_.end() ? consensus::kNoMember : found->second;
}

void Groups::link_up(ReplicaId peer) {
  members_[peer.node()] = member_of(peer);
  for (auto& [id, group] : groups_) group->tell_digest_again();
}

void Groups::link_down(NodeNumber node) {
  const MemberId member = member_at(node);
  members_.erase(node);
  outgoing_.erase(node);
  if (member == consensus::kNoMember) return;
  for (auto& [id, group] : groups_) {
    group->unreachable(member);
    touch(*group);
  }
}

Result<> Groups::receive(NodeNumber node, const GroupsMessage& messages) {
  if (core_.log.error()) return {};  // they will be sent again
  for (const GroupMessage& received : messages.messages) {
    const consensus::Message& message = received.message;
    if (message.from != member_at(node)) {
      return fail(fmt::format("group {}: a message of member {:x}, which node {} is not",
                              received.group, message.from, node));
    }
    Group* group = find(received.group);
    // This node may have been another member when the message left.
    if (message.to != self()) continue;
    if (group == nullptr) {
      if (on_called) on_called(received.group);
      group = find(received.group);
      if (group == nullptr) continue;  // it may not have begun here yet
    }
    if (received.state && group->lacks(*message.snapshot)) {
      if (group->has_offer()) continue;  // it is about to have another, and is told again
      // Of a topic, what is kept of it is the bytes.
      states_.await(node, received, group->topic() == nullptr ? &group->partition() : nullptr);
      continue;
    }
    if (message.snapshot && !received.state && !is_state_of(received.group, *message.snapshot)) {
      return fail(fmt::format("group {}: a snapshot that is not what it says", received.group));
    }
    if (const auto stepped = group->step(message); !stepped) return stepped;
    touch(*group);
  }
  return {};
}

void Groups::receive(NodeNumber node, const SnapshotPiece& piece) {
  if (!core_.log.error()) states_.receive(node, piece);
}

void Groups::receive(NodeNumber node, const SnapshotProgress& asked) {
  Group* group = find(asked.name.partition);
  if (group == nullptr) return;
  const auto state = group->state_named(asked.name, member_at(node));
  if (state == nullptr) return touch(*group);
  states_.send(asked, *state, node);
}

// All of it has come.
void Groups::take_state(NodeNumber node, consensus::Message message, PartitionId id,
                        std::shared_ptr<StagedState> staged) {
  Group* group = find(id);
  if (group == nullptr || message.from != member_at(node) || message.to != self()) return;
  if (staged) {
    // Another has taken the place of what it was to take the place of.
    if (!staged->fits()) return;
    group->offer(std::move(staged));
  } else if (!is_state_of(id, *message.snapshot)) {
    return core_.warn(fmt::format("group {}: a snapshot that is not what it says", id));
  }
  if (const auto stepped = group->step(std::move(message)); !stepped) {
    return core_.warn(stepped.error().message);
  }
  touch(*group);
}

void Groups::receive(NodeNumber node, const DigestsMessage& message) {
  for (const DigestsMessage::Digest& each : message.digests) {
    if (Group* group = find(each.group)) group->compare(each, node);
  }
}

// To all members that are linked.
void Groups::tell_digests() {
  std::map<NodeNumber, DigestsMessage> messages;
  for (auto& [id, group] : groups_) {
    const auto digest = group->digest_to_tell();
    if (!digest) continue;
    for (const auto& [node, member] : members_) {
      if (group->raft().configuration().has(member)) messages[node].digests.push_back(*digest);
    }
  }
  for (const auto& [node, message] : messages) transport_.send(node, encode_digests(message));
}

void Groups::send(const consensus::Message& message, Group& group) {
  const bool waits = group.may_wait(message);
  const NodeNumber node = node_of(message.to);
  const auto linked = members_.find(node);
  if (linked == members_.end() || linked->second != message.to) {
    if (message.snapshot) group.unreachable(message.to);
    return;
  }
  // It has been given up since.
  if (message.snapshot && message.snapshot->data.empty() && !group.name_of(*message.snapshot)) {
    return group.unreachable(message.to);
  }
  Outgoing& outgoing = outgoing_[node];
  outgoing.messages.add(named(message, group.id()));
  outgoing.waits = outgoing.waits && waits;
  if (outgoing.messages.bytes() >= kMessageBytes) {
    transport_.send(node, outgoing.messages.take());
    outgoing_.erase(node);
  }
}

// A snapshot whose data does not fit in the message is only named by it.
GroupMessage Groups::named(const consensus::Message& message, PartitionId id) {
  GroupMessage out{id, message, {}};
  if (!message.snapshot) return out;
  ++core_.stats.group_snapshots_sent;
  const Group* group = find(id);
  if (group != nullptr) out.state = group->name_of(*message.snapshot);
  return out;
}

// All to a node keep their order.
void Groups::flush() {
  absl::erase_if(outgoing_, [this](auto& each) {
    if (each.second.waits) return false;
    transport_.send(each.first, each.second.messages.take());
    return true;
  });
}

void Groups::end_turn() {
  for (auto& [node, outgoing] : outgoing_) {
    if (transport_.sends_to(node)) outgoing.waits = false;
  }
  flush();
}

// --- Turns

void Groups::touch(Group& group) { touched_.push_back(group.id()); }

void Groups::gather() {
  std::ranges::sort(touched_);
  const auto rest = std::ranges::unique(touched_);
  touched_.erase(rest.begin(), rest.end());
  for (const PartitionId id : std::exchange(touched_, {})) {
    Group* group = find(id);
    if (group == nullptr || !group->has_ready()) continue;
    group->collect([&](const consensus::Message& message) { send(message, *group); });
    if (find(id) != group) continue;
    wait_for_log(*group);
    if (group->topic() != nullptr && on_topic) on_topic(id);
  }
  flush();
  // Others are to have it while this node syncs its own; all else leaves in the end of the turn.
  if (!waiting_.empty()) transport_.flush();
}

void Groups::wait_for_log(const Group& group) {
  if (group.waits_for_log() && std::ranges::find(waiting_, group.id()) == waiting_.end()) {
    waiting_.push_back(group.id());
  }
}

bool Groups::complete() {
  const LogPosition before = core_.log.barrier();
  const LogPosition durable =
      EVEN_MUTANT(kGroupSaidUnsynced) ? core_.log.end() : core_.log.durable();
  for (const PartitionId id : std::exchange(waiting_, {})) {
    Group* group = find(id);
    if (group == nullptr) continue;
    group->durable(durable, [&](const consensus::Message& message) { send(message, *group); });
    wait_for_log(*group);
    if (group->has_ready()) touch(*group);
  }
  gather();
  flush();
  return core_.log.barrier() != before;
}

bool Groups::keeps_log() const {
  return forgotten_ ||
         std::ranges::any_of(groups_, [](const auto& entry) { return entry.second->halted(); });
}

std::optional<std::string> Groups::row(PartitionId id) const {
  if (forgotten_ || former_.contains(id)) return std::nullopt;
  Group* group = find(id);
  if (group != nullptr && group->halted()) return std::nullopt;  // see keeps_log()
  if (group == nullptr || EVEN_MUTANT(kGroupNotStored)) return std::string();
  group->begin_pass();
  return group->row();
}

// All rows by offset come before all entries.
bool Groups::take_topic_rows(RowBatch& out, bool whole) {
  for (; whole && forgetting_ < ended_topics_.size(); ++forgetting_) {
    forget_topic(ended_topics_[forgetting_], out);
  }
  while (true) {
    for (auto at = groups_.lower_bound(next_topic_); at != groups_.end(); ++at) {
      next_topic_ = at->first;
      const bool more =
          entries_ ? at->second->take_entry_rows(out) : at->second->take_offset_rows(out);
      if (more) return true;
    }
    next_topic_ = 0;
    if (std::exchange(entries_, !entries_)) return false;
  }
}

bool Groups::in_topic_pass(PartitionId id) const {
  const Group* group = find(id);
  return group != nullptr && group->topic() != nullptr && !forgotten_ && !group->halted() &&
         group->unstored_bytes() >= core_.options.topic_rows_bytes;
}

// Those that have little are left to the pass of all: each pass makes files of its own for each of
// them.
void Groups::look_for_topic_pass() {
  std::uint64_t bytes = 0;
  for (const auto& [id, group] : groups_) {
    if (in_topic_pass(id)) bytes += group->unstored_bytes();
  }
  topic_pass_due_ = bytes >= core_.options.topic_pass_bytes;
}

void Groups::take_checkpoint_rows(RowBatch& out) {
  for (auto& [id, group] : groups_) group->take_checkpoint_rows(out);
}

void Groups::end_pass(bool stored) {
  next_topic_ = 0;
  entries_ = false;
  const auto forgotten = static_cast<std::ptrdiff_t>(std::exchange(forgetting_, 0));
  if (stored) ended_topics_.erase(ended_topics_.begin(), ended_topics_.begin() + forgotten);
  for (auto& [id, group] : groups_) group->end_pass(stored);
  look_for_topic_pass();
}

void Groups::tick() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  for (auto& [node, outgoing] : outgoing_) outgoing.waits = false;
  if (groups_.empty()) return;
  states_.tick([this](NodeNumber node, MemberId member) { return member_at(node) == member; });
  encode_more();
  if (now_us - last_tick_us_ < kGroupTickUs) return;
  last_tick_us_ = now_us;
  follow_disk();
  const auto share_of = [this](std::uint64_t all, std::uint64_t most) {
    return std::clamp(all / groups_.size(), std::min(kLeastLogBytes, all), most);
  };
  const std::uint64_t bytes = share_of(core_.options.group_log_bytes, kMostLogBytes);
  const std::uint64_t of_topic =
      share_of(core_.options.group_log_bytes / kTopicLogPart, kMostLogBytes / kTopicLogPart);
  for (auto& [id, group] : groups_) {
    group->limit_log(group->topic() != nullptr ? of_topic : bytes);
    group->tick();
    if (group->has_ready()) touch(*group);
  }
  look_for_topic_pass();
  if (now_us - last_maintained_us_ >= kMaintainIntervalUs) {
    last_maintained_us_ = now_us;
    for (auto& [id, group] : groups_) maintain(*group);
  }
  if (now_us - last_told_us_ >= kDigestIntervalUs) {
    last_told_us_ = now_us;
    tell_digests();
  }
  if (now_us - last_retained_us_ >= core_.options.retain_interval_us) {
    last_retained_us_ = now_us;
    retain_topics();
  }
  cleaner_.tick([this] { return topics_to_clean(); });
  if (now_us - last_preferred_us_ < kPreferIntervalUs) return;
  last_preferred_us_ = now_us;
  prefer_leaders();
}

// Those that are not compacted by key any more are among them: see TopicLog::gives().
std::vector<TopicCleaner::Candidate> Groups::topics_to_clean() const {
  std::vector<TopicCleaner::Candidate> all;
  for (const auto& [id, group] : groups_) {
    if (group->topic() == nullptr) continue;
    const cluster::Keyspace* topic = core_.keyspaces->of_partition(id);
    if (topic != nullptr) all.push_back({id, topic->cleanup});
  }
  return all;
}

void Groups::retain_topics() {
  bool any = false;
  for (auto& [id, group] : groups_) {
    if (group->topic() == nullptr) continue;
    const cluster::Keyspace* topic = core_.keyspaces->of_partition(id);
    if (topic == nullptr) continue;
    const topic::Retention retention =
        topic->cleanup.deletes ? topic::Retention{topic->retention_ms, topic->retention_bytes}
                               : topic::Retention{};
    group->retain(retention, topic->cleanup.compacts);
    if (group->has_ready()) touch(*group);
    any = any || group->may_trim();
  }
  const std::int64_t now_us = core_.clock.monotonic_us();
  const std::int64_t interval_us = kLooksOfPass * core_.options.retain_interval_us;
  if (!any || !on_trimmable || now_us - last_trimmable_us_ < interval_us) return;
  last_trimmable_us_ = now_us;
  on_trimmable();
}

// Of one group at a time: the others wait.
void Groups::encode_more() {
  const auto next =
      std::ranges::find_if(groups_, [](const auto& each) { return each.second->is_encoding(); });
  if (next != groups_.end()) next->second->encode_more();
}

void Groups::want(PartitionId id, std::vector<NodeNumber> voters,
                  std::vector<NodeNumber> learners) {
  Group* group = find(id);
  if (group == nullptr) return;
  group->partition().replicas = std::move(voters);
  group->set_learners(std::move(learners));
}

// A node whose disk is another one than before is another member, which takes the place of the
// former: it learns first, and votes when it has caught up. One change at a time.
void Groups::maintain(Group& group) {
  if (!group.leads()) return;
  const consensus::Configuration& configuration = group.raft().configuration();
  if (configuration.joint()) return;
  const auto propose = [&](std::vector<consensus::Change> changes) {
    consensus::ConfigurationChange change;
    change.changes = std::move(changes);
    if (const auto proposed = group.change(change); proposed) touch(group);
  };
  // Former members of the node.
  const auto former = [&](NodeNumber node, MemberId member) {
    std::vector<consensus::Change> removals;
    for (const auto* members : {&configuration.voters, &configuration.learners}) {
      for (const MemberId each : *members) {
        if (each == member || node_of(each) != node) continue;
        removals.push_back({consensus::ChangeKind::kRemove, each});
      }
    }
    return removals;
  };
  const auto see_to = [&](NodeNumber node, bool is_voter) {
    const MemberId member = member_at(node);
    if (member == consensus::kNoMember) return false;
    if (!configuration.has(member)) {
      propose({{consensus::ChangeKind::kAddLearner, member}});
      return true;
    }
    std::vector<consensus::Change> changes = former(node, member);
    if (is_voter && !configuration.votes(member)) {
      const consensus::Progress* progress = group.raft().progress().find(member);
      const bool caught_up = progress != nullptr &&
                             progress->state == consensus::ProgressState::kReplicate &&
                             progress->match + kCaughtUp >= group.raft().log().last();
      if (!caught_up) return false;
      changes.push_back({consensus::ChangeKind::kAddVoter, member});
    }
    if (changes.empty()) return false;
    propose(std::move(changes));
    return true;
  };
  for (const NodeNumber node : group.partition().replicas) {
    if (see_to(node, true)) return;
  }
  for (const NodeNumber node : group.learners()) {
    if (see_to(node, false)) return;
  }
}

// While the log cannot be written, others are to lead.
void Groups::follow_disk() {
  const bool fails = core_.log.error().has_value();
  if (fails == disk_fails_) return;
  disk_fails_ = fails;
  for (auto& [id, group] : groups_) {
    if (fails) {
      group->step_down();
    } else if (!stopping_) {
      group->may_lead();
    }
  }
}

// Leaders spread over the nodes as preferences do.
void Groups::prefer_leaders() {
  if (stopping_) return;
  for (auto& [id, group] : groups_) {
    if (!group->leads() || group->raft().transferring_to() != consensus::kNoMember) continue;
    for (const NodeNumber node : group->partition().replicas) {
      const MemberId member = member_at(node);
      if (member == self()) break;
      if (member == consensus::kNoMember || !group->raft().configuration().votes(member)) continue;
      const consensus::Progress* progress = group->raft().progress().find(member);
      if (progress == nullptr || !progress->recently_active ||
          progress->state != consensus::ProgressState::kReplicate ||
          progress->match + 64 < group->raft().log().last()) {
        continue;
      }
      group->transfer_to(member);
      touch(*group);
      break;
    }
  }
}

void Groups::stop_leading() {
  stopping_ = true;
  for (auto& [id, group] : groups_) {
    group->stop_leading();
    touch(*group);
  }
}

bool Groups::handing_over() const {
  return std::ranges::any_of(groups_, [](const auto& each) { return each.second->handing_over(); });
}

std::vector<GroupStatus> Groups::status() const {
  std::vector<GroupStatus> all;
  for (const auto& [id, group] : groups_) all.push_back(group->status());
  return all;
}

}  // namespace even
