#include "replica/causality.h"

#include <algorithm>
#include <map>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/mutant.h"
#include "engine/causes.h"

namespace even {
namespace {

constexpr std::int64_t kPublishUs = 100'000;
constexpr std::int64_t kAskUs = 1'000'000;
constexpr std::int64_t kCompletePatienceUs = 2'000'000;

// A member: partition, replica, sequence number with kFoldsBit.
std::string member_of(PartitionId partition, const VersionVector::Entry& entry) {
  std::string member;
  put_little_endian(member, partition);
  put_little_endian(member, entry.replica.value);
  put_little_endian(member, VersionVector::bits(entry));
  return member;
}

}  // namespace

Causality::Causality(ShardCore& core, Transport& transport, Replication& replication,
                     Quorum& quorum)
    : core_(core),
      transport_(transport),
      replication_(replication),
      quorum_(quorum),
      own_(core.options.partition_count),
      stable_(core.options.stable != nullptr ? *core.options.stable : own_),
      keys_(kCausesName, core.options.partition_count) {
  for (PartitionId id = 0; id < core.options.partition_count; ++id) {
    hashes_.push_back(hash64(keys_.of(id)));
  }
}

template <typename Visit>
void Causality::for_each_cause(PartitionId partition, Visit visit) const {
  const PartitionState& state = core_.replayed(partition).state;
  const Object* causes = state.find(keys_.of(partition), hashes_[partition]);
  if (causes == nullptr) return;
  causes->set().for_each([&](std::string_view member) {
    ByteReader in(member);
    const auto of = in.get<PartitionId>();
    const ReplicaId replica{in.get<std::uint64_t>()};
    const auto bits = in.get<std::uint64_t>();
    VersionVector vector;
    if (!in.ok() || !in.at_end() || !vector.add_bits(replica, bits)) return;
    visit(of, vector, member);
  });
}

PartitionReach Causality::causes_of(std::span<const PartitionId> partitions) const {
  if (EVEN_MUTANT(kCauseNotAwaited)) return {};
  stable_.want(core_.clock.monotonic_us());
  std::map<PartitionId, VersionVector> all;
  for (const PartitionId id : partitions) {
    for_each_cause(id, [&](PartitionId of, const VersionVector& vector, std::string_view) {
      if (!stable_.beyond(of, vector).empty()) all[of].merge(vector);
    });
  }
  return {all.begin(), all.end()};
}

std::vector<std::string> Causality::words_for(PartitionId partition,
                                              const PartitionReach& session) const {
  if (EVEN_MUTANT(kCauseForgotten)) return {};
  stable_.want(core_.clock.monotonic_us());
  std::map<PartitionId, VersionVector> all;
  std::map<std::string, bool, std::less<>> members;  // and whether they are to stay
  for_each_cause(partition,
                 [&](PartitionId of, const VersionVector& vector, std::string_view member) {
                   all[of].merge(vector);
                   members.emplace(member, false);
                 });
  for (const auto& [of, vector] : session) {
    if (of != partition) all[of].merge(vector);
  }
  std::vector<std::string> added;
  for (const auto& [of, vector] : all) {
    for (const VersionVector::Entry& entry : stable_.beyond(of, vector)) {
      std::string member = member_of(of, entry);
      if (const auto known = members.find(member); known != members.end()) {
        known->second = true;
      } else {
        added.push_back(std::move(member));
      }
    }
  }
  if (added.empty()) return {};  // what is everywhere by now goes the next time
  std::vector<std::string> words{std::string(kCausesCommand.name), std::string(keys_.of(partition)),
                                 std::string(added.size(), '+')};
  std::ranges::move(added, std::back_inserter(words));
  for (const auto& [member, stays] : members) {
    if (stays) continue;
    words[2] += '-';
    words.push_back(member);
  }
  return words;
}

bool Causality::complete(std::span<const PartitionId> partitions) const {
  if (EVEN_MUTANT(kCausalIncomplete)) return true;
  return std::ranges::all_of(partitions, [this](PartitionId id) {
    const Partition& partition = core_.at(id);
    return partition.complete || partition.replicas.size() == 1;
  });
}

void Causality::make_complete(std::span<const PartitionId> partitions, std::int64_t deadline_us,
                              Quorum::Done done) {
  std::vector<PartitionId> wanted;
  for (const PartitionId id : partitions) {
    if (!complete({&id, 1})) wanted.push_back(id);
  }
  quorum_.complete(wanted, deadline_us, std::move(done));
}

void Causality::complete_all(std::int64_t now_us) {
  if (all_complete_ || completing_ || now_us < complete_again_us_) return;
  std::vector<PartitionId> wanted;
  for (const PartitionId id : core_.partition_ids()) {
    if (!complete({&id, 1})) wanted.push_back(id);
  }
  all_complete_ = wanted.empty();
  if (all_complete_) return;
  completing_ = true;
  complete_again_us_ = now_us + kAskUs;
  quorum_.complete(wanted, now_us + kCompletePatienceUs,
                   [this](std::size_t) { completing_ = false; });
}

// --- What is everywhere

bool Causality::tells(const Partition& partition, NodeNumber node) const {
  if (std::ranges::find(partition.replicas, node) != partition.replicas.end()) return false;
  for (const NodeNumber replica : partition.replicas) {
    if (replica == core_.options.node) return true;
    if (linked_.contains(replica)) return false;
  }
  return false;
}

Result<> Causality::receive(NodeNumber node, const StableMessage& message) {
  if (!message.asks) {
    PartitionReach others;
    for (const auto& [id, vector] : message.stable) {
      if (id >= core_.options.partition_count) {
        return fail("what is everywhere of a partition that there is not");
      }
      if (core_.find(id) == nullptr) others.emplace_back(id, vector);
    }
    stable_.publish(others);
    return {};
  }
  auto& told = linked_[node];
  StableMessage reply;
  for (const auto& partition : core_.partitions()) {
    if (!tells(*partition, node)) continue;
    VersionVector stable = replication_.everywhere(*partition);
    VersionVector& known = told[partition->id];
    if (known == stable) continue;
    known = stable;
    reply.stable.emplace_back(partition->id, std::move(stable));
  }
  if (!reply.stable.empty()) transport_.send(node, encode_stable(reply));
  return {};
}

void Causality::publish() {
  PartitionReach reach;
  for (const auto& partition : core_.partitions()) {
    if (!partition->replayed) continue;
    reach.emplace_back(partition->id, EVEN_MUTANT(kCauseDroppedEarly)
                                          ? partition->state.vector()
                                          : replication_.everywhere(*partition));
  }
  stable_.publish(reach);
}

void Causality::tick() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  complete_all(now_us);
  if (!stable_.wanted(now_us)) return;
  if (now_us - published_us_ >= kPublishUs) {
    published_us_ = now_us;
    publish();
  }
  if (now_us - asked_us_ >= kAskUs && core_.options.others_hold) {
    asked_us_ = now_us;
    for (const auto& [node, told] : linked_) {
      transport_.send(node, encode_stable({.asks = true, .stable = {}}));
    }
  }
}

}  // namespace even
