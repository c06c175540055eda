#include "consumers/consumer_group.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/mutant.h"
#include "topic/kafka_codec.h"

namespace even::kafka {
namespace {

// That a group without members waits for more, so that those that are started together share what
// there is once, not one by one. Kafka: group.initial.rebalance.delay.ms, 3 s.
constexpr std::int64_t kFirstWaitUs = 500'000;
constexpr std::int64_t kUsPerMs = 1'000;

// What a consumer says of itself begins with a version and the topics that it subscribes to. Behind
// them is what may differ each time it joins: what it has, of which generation, and what its
// assignor remembers. Source: ConsumerProtocolSubscription of Kafka's clients.
struct Subscription {
  std::int16_t version = 0;
  std::vector<std::string> topics;
  template <typename Codec, typename Self>
  static void fields(Codec& c, Self& m) {
    c("version", m.version);
    c("topics", m.topics);
  }
};
std::optional<std::vector<std::string>> topics_of(std::string_view metadata) {
  Reader reader(metadata, 0, false);
  Subscription subscription;
  reader.read(subscription);
  if (!reader.ok()) return std::nullopt;
  std::ranges::sort(subscription.topics);
  return std::move(subscription.topics);
}

// Whether a static member that is back can and wants what it could and wanted before.
bool wants_the_same(const std::string& protocol_type,
                    const std::vector<ConsumerGroup::Protocol>& before,
                    const std::vector<ConsumerGroup::Protocol>& now) {
  return std::ranges::equal(before, now, [&](const auto& one, const auto& other) {
    if (one.name != other.name) return false;
    if (one.metadata == other.metadata) return true;
    if (protocol_type != "consumer") return false;
    const auto topics = topics_of(one.metadata);
    return topics && topics == topics_of(other.metadata);
  });
}

}  // namespace

bool ConsumerGroup::all_can(const std::string& protocol) const {
  return std::ranges::all_of(members_, [&](const auto& member) {
    return std::ranges::find(member.second.protocols, protocol, &Protocol::name) !=
           member.second.protocols.end();
  });
}

// Whether there is a protocol that it and all others can.
bool ConsumerGroup::fits(const Join& join) const {
  if (join.protocols.empty() || join.protocol_type.empty()) return false;
  if (members_.empty()) return true;
  return join.protocol_type == protocol_type_ &&
         std::ranges::any_of(join.protocols,
                             [this](const Protocol& each) { return all_can(each.name); });
}

ErrorCode ConsumerGroup::check(const std::string& member_id, std::int32_t generation) const {
  if (!members_.contains(member_id)) return ErrorCode::kUnknownMemberId;
  return generation == generation_ ? ErrorCode::kNone : ErrorCode::kIllegalGeneration;
}

void ConsumerGroup::begin_behind(std::int32_t generation) { floor_ = std::max(floor_, generation); }

void ConsumerGroup::restore(std::int64_t now_us, const GroupRecord& record) {
  EVEN_CHECK(members_.empty() && generation_ == 0, "what was stored comes first");
  generation_ = record.generation;
  protocol_type_ = record.protocol_type;
  protocol_ = record.protocol;
  leader_ = record.leader;
  for (const auto& stored : record.members) {
    Member& member = members_[stored.id];
    for (const auto& protocol : stored.protocols) {
      member.protocols.push_back({protocol.name, std::string(protocol.metadata.bytes())});
    }
    member.session_us = std::int64_t{stored.session_ms} * kUsPerMs;
    member.rebalance_us = std::int64_t{stored.rebalance_ms} * kUsPerMs;
    member.seen_us = now_us;
    member.instance = stored.instance;
    member.client_id = stored.client_id;
    member.client_host = stored.client_host;
    member.assignment = stored.assignment.bytes();
    if (stored.instance) instances_[*stored.instance] = stored.id;
  }
  state_ = State::kStable;
  has_record_ = true;
}

std::string ConsumerGroup::record() const {
  GroupRecord record{.generation = generation_,
                     .protocol_type = protocol_type_,
                     .protocol = protocol_,
                     .leader = leader_,
                     .members = {}};
  for (const auto& [id, member] : members_) {
    auto& stored = record.members.emplace_back();
    stored.id = id;
    stored.instance = member.instance;
    stored.client_id = member.client_id;
    stored.client_host = member.client_host;
    stored.session_ms = static_cast<std::int32_t>(member.session_us / kUsPerMs);
    stored.rebalance_ms = static_cast<std::int32_t>(member.rebalance_us / kUsPerMs);
    for (const Protocol& protocol : member.protocols) {
      stored.protocols.push_back({protocol.name, Blob::of(protocol.metadata)});
    }
    stored.assignment = Blob::of(member.assignment);
  }
  return record.encode();
}

void ConsumerGroup::join(std::int64_t now_us, const Join& join, OnJoined done) {
  const auto refuse = [&](ErrorCode error) { done({.error = error, .member_id = join.member_id}); };
  const bool is_new = join.member_id.empty();
  if (join.instance && is_new && instances_.contains(*join.instance)) {
    return replace(now_us, join, std::move(done));
  }
  if (!is_new) {
    const ErrorCode fenced = fence(join.instance, join.member_id);
    if (fenced != ErrorCode::kNone) return refuse(fenced);
    // A member has its name for good, or none: `instances_` says whose each is.
    const auto found = members_.find(join.member_id);
    if (found != members_.end() && found->second.instance != join.instance) {
      return refuse(ErrorCode::kUnknownMemberId);
    }
  }
  if (is_new && join.asks_first && !join.instance) {
    pending_[join.new_id] = now_us + join.session_us;
    return done({.error = ErrorCode::kMemberIdRequired, .member_id = join.new_id});
  }
  const std::string& id = is_new ? join.new_id : join.member_id;
  const bool known = members_.contains(id);
  if (!is_new && !known && !pending_.contains(id)) return refuse(ErrorCode::kUnknownMemberId);
  if (!fits(join)) return refuse(ErrorCode::kInconsistentGroupProtocol);
  pending_.erase(id);
  if (members_.empty()) protocol_type_ = join.protocol_type;

  Member& member = members_[id];
  if (!known && join.instance) {
    member.instance = join.instance;
    instances_[*join.instance] = id;
  }
  const bool changed = !known || member.protocols != join.protocols;
  renew(now_us, join, member);
  if (member.joining) member.joining({.error = ErrorCode::kUnknownMemberId, .member_id = id});
  member.joining = std::move(done);
  member.replacing = 0;
  if (leader_.empty()) leader_ = id;
  // Who joins again without news has not had the answer; the leader does to have all join anew.
  const bool begins = changed || (state_ == State::kStable && id == leader_);
  if (state_ == State::kJoining || begins) {
    if (state_ != State::kJoining) begin_joining(now_us);
    return end_joining_if_all(now_us);
  }
  answer(id, member);
}

void ConsumerGroup::renew(std::int64_t now_us, const Join& join, Member& member) {
  member.protocols = join.protocols;
  member.session_us = join.session_us;
  member.rebalance_us = join.rebalance_us;
  member.client_id = join.client_id;
  member.client_host = join.client_host;
  member.seen_us = now_us;
}

// A static member is back: it takes its own place, under another id.
void ConsumerGroup::replace(std::int64_t now_us, const Join& join, OnJoined done) {
  if (!fits(join)) {
    return done({.error = ErrorCode::kInconsistentGroupProtocol, .member_id = join.member_id});
  }
  std::string& id = instances_[*join.instance];
  const std::string before = std::exchange(id, join.new_id);
  const auto found = members_.find(before);
  Member moved = std::move(found->second);
  members_.erase(found);
  Member& member = members_[id] = std::move(moved);
  OnJoined joining = std::exchange(member.joining, {});
  OnSynced syncing = std::exchange(member.syncing, {});
  if (joining) joining({.error = ErrorCode::kFencedInstanceId, .member_id = before});
  if (syncing) syncing({.error = ErrorCode::kFencedInstanceId});
  const bool changed = !wants_the_same(protocol_type_, member.protocols, join.protocols);
  renew(now_us, join, member);
  // Under its former id: a leader that is back has nothing to share out.
  const std::string leader = leader_;
  if (leader_ == before) leader_ = id;
  member.joining = std::move(done);
  member.replacing = 0;
  if (state_ == State::kStable && !changed) {
    // Else a successor of this coordinator would know it by its former id, which has been fenced.
    member.leader_told = leader;
    member.replacing = store_(record());
    return;
  }
  if (state_ != State::kJoining) begin_joining(now_us);
  end_joining_if_all(now_us);
}

ErrorCode ConsumerGroup::fence(const std::optional<std::string>& instance,
                               const std::string& member_id) const {
  if (!instance) return ErrorCode::kNone;
  const auto found = instances_.find(*instance);
  if (found == instances_.end()) return ErrorCode::kUnknownMemberId;
  return found->second == member_id ? ErrorCode::kNone : ErrorCode::kFencedInstanceId;
}

void ConsumerGroup::begin_joining(std::int64_t now_us) {
  for (auto& [id, member] : members_) {
    if (!member.syncing) continue;
    OnSynced syncing = std::exchange(member.syncing, {});
    syncing({.error = ErrorCode::kRebalanceInProgress});
  }
  // Whatever is being stored, nobody waits for it any more: who takes its place again joins anew.
  storing_ = 0;
  for (auto& [id, member] : members_) member.replacing = 0;
  wait_from_us_ = state_ == State::kEmpty ? now_us + kFirstWaitUs : now_us;
  wait_until_us_ = now_us + std::max(patience_us(), kFirstWaitUs);
  state_ = State::kJoining;
}

std::int64_t ConsumerGroup::patience_us() const {
  std::int64_t longest = 0;
  for (const auto& [id, member] : members_) longest = std::max(longest, member.rebalance_us);
  return longest;
}

void ConsumerGroup::end_joining_if_all(std::int64_t now_us) {
  if (state_ != State::kJoining || now_us < wait_from_us_) return;
  const bool all = pending_.empty() && std::ranges::all_of(members_, [](const auto& each) {
                     return static_cast<bool>(each.second.joining);
                   });
  if (all || now_us >= wait_until_us_) end_joining(now_us);
}

void ConsumerGroup::end_joining(std::int64_t now_us) {
  // A static member may be on its way back, as long as its session lasts.
  absl::erase_if(members_,
                 [](const auto& each) { return !each.second.joining && !each.second.instance; });
  const auto first_joining = std::ranges::find_if(
      members_, [](const auto& each) { return static_cast<bool>(each.second.joining); });
  if (!members_.empty() && first_joining == members_.end()) {
    wait_until_us_ = now_us + std::max(patience_us(), kFirstWaitUs);
    return;
  }
  generation_ = std::max(generation_, floor_);
  generation_ = generation_ == std::numeric_limits<std::int32_t>::max() ? 1 : generation_ + 1;
  if (members_.empty()) {
    state_ = State::kEmpty;
    leader_.clear();
    protocol_.clear();
    delete_record();
    return;
  }
  const auto leader = members_.find(leader_);
  if (leader == members_.end() || !leader->second.joining) leader_ = first_joining->first;
  // The one that most prefer, of those that all can.
  absl::btree_map<std::string, std::size_t> votes;
  for (const auto& [id, member] : members_) {
    const auto first = std::ranges::find_if(
        member.protocols, [this](const Protocol& each) { return all_can(each.name); });
    if (first != member.protocols.end()) ++votes[first->name];
  }
  const auto most =
      std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
  protocol_ = most == votes.end() ? std::string() : most->first;
  state_ = State::kSyncing;
  // Who does not say what is assigned, or does not ask for it, is as good as gone.
  wait_until_us_ = now_us + std::max(patience_us(), kFirstWaitUs);
  for (auto& [id, member] : members_) {
    member.assignment.clear();
    if (!member.joining) continue;
    member.seen_us = now_us;
    answer(id, member);
  }
}

void ConsumerGroup::answer(const std::string& id, Member& member) {
  Joined joined{
      .generation = generation_, .protocol = protocol_, .leader = leader_, .member_id = id};
  if (id == leader_) {
    for (const auto& [other, each] : members_) {
      const auto protocol = std::ranges::find(each.protocols, protocol_, &Protocol::name);
      joined.members.emplace_back(
          other, protocol == each.protocols.end() ? std::string() : protocol->metadata);
      joined.instances.push_back(each.instance);
    }
  }
  OnJoined done = std::exchange(member.joining, {});
  done(std::move(joined));
}

void ConsumerGroup::sync(std::int64_t now_us, const std::string& member_id, std::int32_t generation,
                         const std::vector<std::pair<std::string, std::string>>& assignments,
                         OnSynced done) {
  if (const ErrorCode error = check(member_id, generation); error != ErrorCode::kNone) {
    return done({.error = error});
  }
  Member& member = members_.find(member_id)->second;
  member.seen_us = now_us;
  if (state_ == State::kJoining) return done({.error = ErrorCode::kRebalanceInProgress});
  if (state_ == State::kStable) return done({.assignment = member.assignment});
  if (member.syncing) member.syncing({.error = ErrorCode::kRebalanceInProgress});
  member.syncing = std::move(done);
  if (member_id != leader_ || storing_ != 0) return;
  for (const auto& [id, assignment] : assignments) {
    if (const auto found = members_.find(id); found != members_.end()) {
      found->second.assignment = assignment;
    }
  }
  store_assignments(now_us);
}

void ConsumerGroup::store_assignments(std::int64_t now_us) {
  std::string bytes = record();
  // As Kafka answers if the record is larger than its topic's records may be.
  if (bytes.size() > kMostRecordBytes) {
    return fail_assignments(now_us, ErrorCode::kUnknownServerError);
  }
  has_record_ = true;
  deleting_ = 0;
  storing_ = store_(std::move(bytes));
  if (EVEN_MUTANT(kAssignedBeforeDurable)) stored(now_us, storing_, ErrorCode::kNone);
}

// All join anew: what was assigned may be durable some time, but nobody has been told.
void ConsumerGroup::fail_assignments(std::int64_t now_us, ErrorCode error) {
  for (auto& [id, member] : members_) {
    if (!member.syncing) continue;
    member.seen_us = now_us;
    OnSynced syncing = std::exchange(member.syncing, {});
    syncing({.error = error});
  }
  begin_joining(now_us);
}

void ConsumerGroup::delete_record() {
  if (has_record_ && deleting_ == 0) deleting_ = store_({});
}

void ConsumerGroup::stored(std::int64_t now_us, std::uint64_t number, ErrorCode error) {
  if (number == deleting_) {
    deleting_ = 0;  // tick() tries again what has failed
    if (error == ErrorCode::kNone) has_record_ = false;
    return;
  }
  if (state_ == State::kSyncing && number == storing_) {
    if (error != ErrorCode::kNone) return fail_assignments(now_us, error);
    storing_ = 0;
    state_ = State::kStable;
    for (auto& [id, member] : members_) {
      if (!member.syncing) continue;
      member.seen_us = now_us;
      OnSynced syncing = std::exchange(member.syncing, {});
      syncing({.assignment = member.assignment});
    }
    return;
  }
  const auto replacing = std::ranges::find_if(
      members_, [number](const auto& each) { return each.second.replacing == number; });
  if (replacing == members_.end()) return;
  auto& [id, member] = *replacing;
  if (error != ErrorCode::kNone) {
    begin_joining(now_us);
    return end_joining_if_all(now_us);
  }
  member.replacing = 0;
  member.seen_us = now_us;
  OnJoined done = std::exchange(member.joining, {});
  done({.generation = generation_,
        .protocol = protocol_,
        .leader = member.leader_told,
        .member_id = id});
}

ErrorCode ConsumerGroup::heartbeat(std::int64_t now_us, const std::string& member_id,
                                   std::int32_t generation) {
  if (const ErrorCode error = check(member_id, generation); error != ErrorCode::kNone) return error;
  members_.find(member_id)->second.seen_us = now_us;
  return state_ == State::kJoining ? ErrorCode::kRebalanceInProgress : ErrorCode::kNone;
}

ErrorCode ConsumerGroup::leave(std::int64_t now_us, const std::string& member_id,
                               const std::optional<std::string>& instance) {
  if (instance) {
    const auto known = instances_.find(*instance);
    if (known == instances_.end()) return ErrorCode::kUnknownMemberId;
    if (!member_id.empty() && known->second != member_id) return ErrorCode::kFencedInstanceId;
    remove(now_us, members_.find(known->second));
    return ErrorCode::kNone;
  }
  if (pending_.erase(member_id) > 0) {
    end_joining_if_all(now_us);
    return ErrorCode::kNone;
  }
  const auto found = members_.find(member_id);
  if (found == members_.end()) return ErrorCode::kUnknownMemberId;
  remove(now_us, found);
  return ErrorCode::kNone;
}

ErrorCode ConsumerGroup::may_commit(std::int64_t now_us, const std::string& member_id,
                                    std::int32_t generation) {
  // Who assigns itself its partitions has no members beside it.
  if (generation < 0 && member_id.empty()) {
    return members_.empty() ? ErrorCode::kNone : ErrorCode::kUnknownMemberId;
  }
  if (const ErrorCode error = check(member_id, generation); error != ErrorCode::kNone) return error;
  members_.find(member_id)->second.seen_us = now_us;
  return state_ == State::kSyncing ? ErrorCode::kRebalanceInProgress : ErrorCode::kNone;
}

ConsumerGroup::Description ConsumerGroup::describe() const {
  constexpr std::string_view kNames[] = {"Empty", "PreparingRebalance", "CompletingRebalance",
                                         "Stable"};
  Description description;
  description.state = kNames[members_.empty() ? 0 : static_cast<std::size_t>(state_)];
  if (members_.empty()) return description;
  description.protocol_type = protocol_type_;
  const bool chosen = state_ == State::kSyncing || state_ == State::kStable;
  if (chosen) description.protocol = protocol_;
  for (const auto& [id, member] : members_) {
    auto& each =
        description.members.emplace_back(Description::Member{.id = id,
                                                             .instance = member.instance,
                                                             .client_id = member.client_id,
                                                             .client_host = member.client_host,
                                                             .metadata = {},
                                                             .assignment = {}});
    if (!chosen) continue;
    const auto protocol = std::ranges::find(member.protocols, protocol_, &Protocol::name);
    if (protocol != member.protocols.end()) each.metadata = protocol->metadata;
    if (state_ == State::kStable) each.assignment = member.assignment;
  }
  return description;
}

void ConsumerGroup::remove(std::int64_t now_us, Members::iterator member) {
  OnJoined joining = std::exchange(member->second.joining, {});
  OnSynced syncing = std::exchange(member->second.syncing, {});
  const std::string id = member->first;
  if (member->second.instance) instances_.erase(*member->second.instance);
  members_.erase(member);
  if (joining) joining({.error = ErrorCode::kUnknownMemberId, .member_id = id});
  if (syncing) syncing({.error = ErrorCode::kUnknownMemberId});
  if (id == leader_) leader_ = members_.empty() ? std::string() : members_.begin()->first;
  if (state_ != State::kJoining) begin_joining(now_us);
  if (members_.empty()) wait_from_us_ = now_us;
  end_joining_if_all(now_us);
}

void ConsumerGroup::tick(std::int64_t now_us) {
  absl::erase_if(pending_, [&](const auto& each) { return now_us >= each.second; });
  for (bool again = true; again;) {
    again = false;
    for (auto at = members_.begin(); at != members_.end(); ++at) {
      const Member& member = at->second;
      // Who waits for others has no other way to say that it lives.
      const bool waits = member.joining || member.syncing;
      const bool gone = !waits && now_us - member.seen_us >= member.session_us;
      if (!gone) continue;
      remove(now_us, at);
      again = true;
      break;
    }
  }
  if (state_ == State::kSyncing && storing_ == 0 && now_us >= wait_until_us_) {
    // The leader has said nothing.
    if (const auto leader = members_.find(leader_); leader != members_.end()) {
      remove(now_us, leader);
    }
  }
  end_joining_if_all(now_us);
  if (state_ == State::kEmpty) delete_record();
}

void ConsumerGroup::give_up() {
  for (auto& [id, member] : members_) {
    OnJoined joining = std::exchange(member.joining, {});
    OnSynced syncing = std::exchange(member.syncing, {});
    if (joining) joining({.error = ErrorCode::kNotCoordinator, .member_id = id});
    if (syncing) syncing({.error = ErrorCode::kNotCoordinator});
  }
  members_.clear();
  instances_.clear();
  pending_.clear();
  storing_ = 0;
  state_ = State::kEmpty;
  leader_.clear();
}

}  // namespace even::kafka
