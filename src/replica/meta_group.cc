#include "replica/meta_group.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/mutant.h"
#include "engine/cmd_meta.h"

namespace even {
namespace {

constexpr std::size_t kVoters = 5;
constexpr std::int64_t kRegisterIntervalUs = 500'000;
// How long a node that has nothing of the group waits to hear what another one has of it.
constexpr std::int64_t kAloneUs = 5'000'000;

}  // namespace

MetaGroup::MetaGroup(ShardCore& core, Groups& groups, Transport& transport)
    : core_(core),
      groups_(groups),
      transport_(transport),
      id_(meta_partition(core.options.partition_count)),
      alone_until_us_(core.clock.monotonic_us() + kAloneUs),
      refounding_(core, groups, transport) {
  groups_.on_called = [this](PartitionId id) {
    if (id != id_) return refounding_.called(id);
    if (is_here() && group() == nullptr) join({});
  };
  for (const cluster::Node& node : core_.options.map.nodes) nodes_.push_back(node.number);
  std::ranges::sort(nodes_);
  voters_.assign(nodes_.begin(),
                 nodes_.begin() + static_cast<std::ptrdiff_t>(std::min(kVoters, nodes_.size())));
}

bool MetaGroup::is_here() const {
  return !nodes_.empty() && !groups_.forgotten() &&
         shard_of_partition(id_, core_.options.shards) == core_.options.shard;
}

void MetaGroup::start() {
  if (!is_here() || group() == nullptr) return;
  // What is known to be committed is applied before anybody looks a key up.
  groups_.gather();
  watch();
}

void MetaGroup::watch() {
  groups_.want(id_, voters_,
               {nodes_.begin() + static_cast<std::ptrdiff_t>(voters_.size()), nodes_.end()});
  group()->on_applied = [this] {
    group()->log_commit();
    publish_from_ = core_.log.barrier();
    changed_ = true;
  };
  changed_ = true;
}

void MetaGroup::on_keyspaces(Callback callback, Unknown unknown) {
  callback_ = std::move(callback);
  unknown_ = std::move(unknown);
  publish_what_was_known();
  tell_if_unknown();
}

void MetaGroup::publish_what_was_known() {
  if (!is_here()) return;
  if (group() != nullptr) return publish();
  // Until it is known what has become of it: keys are looked up by what was known.
  if (groups_.former(id_).index == 0) return;
  if (core_.find(id_) == nullptr) core_.add_strong(id_, voters_);
  if (!core_.at(id_).damaged()) publish();
}

void MetaGroup::publish() {
  changed_ = false;
  // A member that has just been added has nothing yet, where something may have been known before.
  if (!callback_ || (group() != nullptr && (group()->halted() || group()->applied() == 0))) return;
  try {
    auto table =
        std::make_shared<const cluster::KeyspaceTable>(keyspaces_of(core_.replayed(id_).state));
    const Users users = table->users().empty() ? Users::kNone : Users::kSome;
    callback_(std::move(table));
    published_ = true;
    if (std::exchange(users_, users) != users && group() != nullptr) tell_all();
  } catch (const Unreadable& error) {
    unreadable_ = error.what();
    core_.warn(fmt::format("the keyspaces cannot be read: {}", error.what()));
  }
}

// Once there has been a table, the node goes on by that. A cluster in which nobody has heard of a
// metadata group has none: what is in it is known, nothing. So are the users where nodes that have
// a table say that it has none: a cluster of two need not have a majority to serve whoever comes.
std::string MetaGroup::why_unknown() const {
  if (published_) return {};
  // It lets in whom these let in: whoever it is, as its configuration says.
  if (heard_of_none_ && !heard_of_users_) return {};
  if (groups_.forgotten()) {
    return "what it needs to take part in the metadata group cannot be read";
  }
  if (group() != nullptr) {
    if (group()->halted()) return "what it has of the metadata group cannot be read";
    if (!unreadable_.empty()) return unreadable_;
    if (group()->applied() > 0 && (!told_of_founding_ || heard_of_users_)) {
      return "what it has been given of the metadata group is not durable here yet";
    }
  } else if (groups_.former(id_).index != 0) {
    return unreadable_.empty() ? "what was restored of the metadata group cannot be read"
                               : unreadable_;
  } else if (!elsewhere_) {
    const bool may_hear = !heard_ && nodes_.size() > 1;
    return std::string(may_hear && core_.clock.monotonic_us() < alone_until_us_ ? kHeardOfNobody
                                                                                : "");
  }
  if (told_of_founding_ && !heard_of_users_) return {};
  return "it has been given nothing of the metadata group yet";
}

void MetaGroup::tell_if_unknown() {
  if (!unknown_ || published_) return;
  std::string why = why_unknown();
  if (why == told_unknown_) return;
  told_unknown_ = std::move(why);
  unknown_(told_unknown_);
}

// --- Founding

void MetaGroup::tell(NodeNumber node) {
  // What is not durable yet is neither there nor is it not.
  if (!is_here() || !untold_.empty()) return;
  transport_.send(
      node, encode_meta({.founded = group() != nullptr,
                         .users = group() == nullptr                              ? Users::kUnsaid
                                  : told_of_founding_ && users_ == Users::kUnsaid ? Users::kNone
                                                                                  : users_,
                         .voters = {},
                         .former = groups_.former(id_)}));
}

void MetaGroup::tell_all() {
  for (const auto& [node, said] : said_) tell(node);
}

void MetaGroup::link_up(NodeNumber node) {
  if (!is_here()) return;
  said_.erase(node);
  tell(node);
}

Result<> MetaGroup::receive(NodeNumber node, const MetaMessage& message) {
  heard_ = true;
  heard_of_users_ = heard_of_users_ || message.users == Users::kSome;
  heard_of_none_ = heard_of_none_ || message.users == Users::kNone;
  if (groups_.forgotten()) {
    tell_if_unknown();
    return {};
  }
  if (!is_here()) return fail("a message about the metadata group, which this shard does not have");
  said_[node] = {message.founded, message.former};
  if (group() != nullptr) {
    // It may have been told that there is none, just before there was one.
    if (!message.founded) tell(node);
    return {};
  }
  // The founder says whom it has founded it with. Who is not among them has to be added, and begins
  // when a member writes to it: that there is a member does not say that there will be a leader.
  elsewhere_ = elsewhere_ || message.founded || message.former.index != 0;
  // Who founds it anew, with what there was, is its only voter.
  told_of_founding_ = told_of_founding_ || (message.founded && message.voters.size() > 1);
  if (message.founded && consensus::contains(message.voters, groups_.self())) {
    consensus::Configuration configuration;
    configuration.voters = message.voters;
    join(std::move(configuration));
  }
  tell_if_unknown();
  return {};
}

void MetaGroup::join(consensus::Configuration configuration) {
  begin(std::move(configuration));
  tell_all();
}

void MetaGroup::begin(consensus::Configuration configuration) {
  if (const auto begun = groups_.found(id_, voters_, std::move(configuration)); !begun) {
    return core_.warn(begun.error().message);
  }
  watch();
}

void MetaGroup::try_to_found() {
  if (group() != nullptr || groups_.unreadable(id_) || core_.log.error()) return;
  consensus::Configuration configuration;
  std::vector<Refounding::Said> formers;
  for (const NodeNumber node : voters_) {
    const consensus::MemberId member = groups_.member_at(node);
    if (member == consensus::kNoMember) {
      if (EVEN_MUTANT(kMetaFoundedUnheard)) continue;
      return;
    }
    if (node != core_.options.node) {
      const auto said = said_.find(node);
      const bool has_none = said != said_.end() && !said->second.founded;
      if (!has_none && !EVEN_MUTANT(kMetaFoundedUnheard)) return;
      formers.emplace_back(node, said == said_.end() ? FormerState{} : said->second.former);
    } else {
      formers.emplace_back(node, groups_.former(id_));
    }
    consensus::insert(configuration.voters, member);
  }
  const auto refounder = Refounding::founder(formers);
  if (core_.options.node != refounder.value_or(voters_.front())) return;
  if (refounder) {
    refound();
  } else {
    found(std::move(configuration));
  }
}

void MetaGroup::found(consensus::Configuration configuration) {
  untold_ = configuration.voters;
  begin(std::move(configuration));
  told_of_founding_ = group() != nullptr;
  tell_from_ = core_.log.barrier();
}

// The others hear that they are not among its voters, and are added.
void MetaGroup::refound() {
  if (const auto begun = groups_.refound(id_, voters_); !begun) {
    core_.warn(begun.error().message);
    return tell_all();  // what this node has is of no use
  }
  untold_ = {groups_.self()};
  watch();
  tell_from_ = core_.log.barrier();
}

void MetaGroup::tell_of_founding() {
  if (untold_.empty() || core_.log.durable() < tell_from_) return;
  for (const auto& [node, said] : said_) {
    transport_.send(node, encode_meta({.founded = true, .voters = untold_}));
  }
  untold_.clear();
}

void MetaGroup::tick() {
  refounding_.tick();
  if (!is_here()) return;
  tell_if_unknown();
  if (group() == nullptr) return try_to_found();
  tell_of_founding();
  register_nodes();
  if (!changed_) return;
  if (core_.log.durable() >= publish_from_ || EVEN_MUTANT(kMetaServedUnsynced)) publish();
}

// Its leader notes which line of replica ids each node has, and with what tokens are sealed.
void MetaGroup::register_nodes() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (!group()->leads() || now_us - last_registered_us_ < kRegisterIntervalUs) return;
  last_registered_us_ = now_us;
  const PartitionState& state = core_.replayed(id_).state;
  for (const NodeNumber node : nodes_) {
    const consensus::MemberId member = groups_.member_at(node);
    if (member == consensus::kNoMember) continue;
    const std::string key = fmt::format("node:{}", node);
    const std::string line = fmt::format("{}", member & 0xffff);
    const Object* object = state.find(key, hash64(key));
    std::string scratch;
    if (object != nullptr && object->string().value(scratch) == line) continue;
    const std::string number = fmt::format("{}", node);
    propose({"even.meta", "join", number, line});
  }
  const std::string& key = core_.options.session_key;
  if (!key.empty() && state.find(kSessionKeyKey, hash64(kSessionKeyKey)) == nullptr) {
    propose({"even.meta", "key", key});
  }
}

void MetaGroup::propose(const std::vector<std::string_view>& words) {
  StrongRequest request;
  request.group = id_;
  request.commands.emplace_back(words);
  group()->execute(std::move(request), [](const StrongOutcome&) {});
  groups_.touch(*group());
}

// --- Keyspaces

void MetaGroup::serve(std::shared_ptr<const cluster::KeyspaceTable> keyspaces) {
  if (keyspaces->version() < core_.keyspaces->version()) return;
  core_.keyspaces = std::move(keyspaces);
  for (const cluster::Keyspace& keyspace : core_.keyspaces->keyspaces()) {
    if (keyspace.strong) begin_groups_of(keyspace);
  }
  for (const cluster::Keyspace& topic : core_.keyspaces->topics()) begin_groups_of(topic);
  for (const GroupStatus& status : groups_.status()) {
    if (status.group != id_ && core_.keyspaces->was_dropped(status.group)) {
      groups_.end(status.group);
    }
  }
  refounding_.forget_if([this](PartitionId id) { return core_.keyspaces->was_dropped(id); });
}

void MetaGroup::begin_groups_of(const cluster::Keyspace& keyspace) {
  if (groups_.forgotten()) return;
  for (std::uint32_t i = 0; i < keyspace.partitions; ++i) {
    const auto id = static_cast<PartitionId>(keyspace.first + i);
    if (shard_of_partition(id, core_.options.shards) != core_.options.shard) continue;
    const auto replicas = cluster::replicas_of(core_.options.map, keyspace, id);
    if (std::ranges::find(replicas, core_.options.node) == replicas.end()) continue;
    if (groups_.find(id) == nullptr) {
      consensus::Configuration configuration;
      for (const auto& [node, line] : keyspace.lines) {
        if (std::ranges::find(replicas, node) == replicas.end()) continue;
        consensus::insert(configuration.voters, member_of(ReplicaId::make(node, 0, line)));
      }
      // Another life of this node's disk.
      if (!consensus::contains(configuration.voters, groups_.self()) &&
          !EVEN_MUTANT(kMetaFormerMemberFounds)) {
        refounding_.wait(id, replicas);
        continue;
      }
      if (const auto begun = groups_.found(id, replicas, std::move(configuration)); !begun) {
        core_.warn(begun.error().message);
        continue;
      }
    }
    groups_.want(id, replicas, {});
  }
}

}  // namespace even
