// Bounded counters: the join, and that no delivery of any records shows a number beyond its bound,
// with replicas that start anew and rights that move.
#include "lattice/types/bound.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <tuple>

#include "lattice/codec.h"
#include "lattice/partition_state.h"

namespace even {
namespace {

constexpr std::string_view kBoundKey = "k";

// What a replica makes, as bytes; any other joins it when it has seen what came before it.
struct BoundReplica {
  explicit BoundReplica(ReplicaId run) : id(run) {}
  // Another run, with what this state holds.
  BoundReplica(ReplicaId run, const PartitionState& from) : id(run) {
    state.join(from.describe(), from.vector());
  }

  ReplicaId id;
  std::unique_ptr<PartitionState> held = std::make_unique<PartitionState>();
  PartitionState& state = *held;

  const BoundedCounter* counter() const {
    const Object* object = state.find(kBoundKey, hash64(kBoundKey));
    return object == nullptr ? nullptr : object->bounded();
  }
  absl::int128 rights() const { return counter()->rights(id, state.vector()); }
};

class BoundWorld {
 public:
  explicit BoundWorld(NodeNumber nodes) {
    for (NodeNumber node = 1; node <= nodes; ++node) {
      replicas_.push_back(std::make_unique<BoundReplica>(ReplicaId::make(node, 1)));
      disks_.push_back(std::make_unique<BoundReplica>(ReplicaId::make(node, 1)));
    }
  }
  std::size_t size() const { return replicas_.size(); }
  BoundReplica& at(std::size_t index) { return *replicas_[index]; }

  void begin(BoundReplica& at, bool is_max, std::int64_t bound, std::int64_t number) {
    write(at, true, false, [&](const Dot& dot, Hlc time) {
      return SiblingView{dot, time, keep({is_max, bound, number, {}}), 0};
    });
  }
  void remove(BoundReplica& at) {
    write(at, true, false, [](const Dot&, Hlc) { return std::nullopt; });
  }
  // As the commands do it: false if it lacks the rights.
  bool change(BoundReplica& at, std::int64_t by, std::int64_t move) {
    const BoundedCounter* counter = at.counter();
    if (counter == nullptr) return false;
    const std::int64_t nearer = counter->number.is_max ? by - move : move - by;
    if (nearer > 0 && at.rights() < nearer) return false;
    edit(at, [&](BoundEntry& entry) {
      entry.sum += by;
      entry.moved += move;
    });
    return true;
  }
  void give(BoundReplica& at, ReplicaId to, std::uint64_t amount) {
    if (at.counter() == nullptr || at.rights() < amount || amount == 0) return;
    edit(at, [&](BoundEntry& entry) { entry.give(to, amount); });
  }
  void fold(BoundReplica& at) {
    const VersionVector& seen = at.state.vector();
    if (!seen.names_before(at.id) || seen[at.id] == 0) return;
    for (const auto& other : replicas_) {
      if (!other->state.vector().agrees_before(at.id, seen)) return;
    }
    Record record = Record::begin(0, at.id, Hlc{++time_}, seen);
    record.folds = true;
    finish(at, record);
  }
  // Starts it anew, with all that it had, or with what sync_disk() has kept: the others may have
  // more of what it has made then.
  void restart(std::size_t index, bool loses) {
    const BoundReplica& old = *replicas_[index];
    const ReplicaId next = ReplicaId::make(old.id.node(), old.id.run() + 1);
    const BoundReplica& from = loses ? *disks_[index] : old;
    replicas_[index] = std::make_unique<BoundReplica>(next, from.state);
    sync_disk(index);
  }
  void sync_disk(std::size_t index) {
    const BoundReplica& now = *replicas_[index];
    disks_[index] = std::make_unique<BoundReplica>(now.id, now.state);
  }
  void deliver_from(BoundReplica& to, std::size_t first) {
    for (std::size_t i = 0; i < records_.size(); ++i) {
      deliver(to, (first + i) % records_.size());
    }
  }
  void deliver(BoundReplica& to, std::size_t index) {
    RecordDecoder decoder;
    const auto record = decoder.decode(records_[index]);
    ASSERT_TRUE(record) << record.error().message;
    const VersionVector& seen = to.state.vector();
    if (seen.covers(record->dot())) return;
    VersionVector before = record->context;
    for (const auto& entry : before.entries()) {
      const std::uint64_t needed = entry.seq - (entry.replica == record->origin ? 1 : 0);
      if (seen[entry.replica] < needed) return;
    }
    if (!record->has_ends_of(seen)) return;
    to.state.join(*record);
  }
  const std::vector<std::string>& records() const { return records_; }

 private:
  template <typename Edit>
  void edit(BoundReplica& at, Edit edit) {
    const BoundedCounter counter = *at.counter();
    write(at, false, true, [&](const Dot& dot, Hlc) {
      BoundedNumber changed{counter.number.is_max, counter.number.limit, counter.number.base, {}};
      BoundEntry& entry = changed.entries.emplace_back();
      if (const BoundEntry* mine = counter.number.find(at.id)) entry = *mine;
      entry.replica = at.id;
      entry.seq = dot.seq;
      edit(entry);
      return SiblingView{counter.dot, counter.time, keep(changed), 0};
    });
  }
  template <typename Make>
  void write(BoundReplica& at, bool full, bool partial, Make make) {
    Record record = Record::begin(0, at.id, Hlc{++time_}, at.state.vector());
    KeyDelta& key = record.delta.keys.emplace_back();
    key.key = kBoundKey;
    key.full = full;
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = LeafKind::kBound;
    leaf.partial = partial;
    if (const std::optional<SiblingView> sibling = make(record.dot(), record.time)) {
      leaf.siblings.push_back(*sibling);
    }
    finish(at, record);
  }
  void finish(BoundReplica& at, const Record& record) {
    encode_record(record, records_.emplace_back());
    at.state.join(record);
  }
  std::string_view keep(const BoundedNumber& number) {
    return *kept_.emplace_back(std::make_unique<std::string>(encode_bounded(number)));
  }

  std::vector<std::unique_ptr<BoundReplica>> replicas_;
  std::vector<std::unique_ptr<BoundReplica>> disks_;
  std::vector<std::string> records_;
  std::vector<std::unique_ptr<std::string>> kept_;
  std::uint64_t time_ = 0;
};

void expect_within_bounds(const BoundReplica& replica) {
  const Object* object = replica.state.find(kBoundKey, hash64(kBoundKey));
  if (object == nullptr || object->all_bounded() == nullptr) return;
  for (const BoundedCounter& counter : *object->all_bounded()) {
    RC_ASSERT(counter.number.distance() >= 0);
    absl::int128 all = 0;
    for (const ReplicaId run : counter.runs()) all += counter.rights_alone(run);
    RC_ASSERT(all == counter.number.distance());
  }
  RC_ASSERT(replica.state.digest() == replica.state.recompute_digest());
}

using BoundStep = std::tuple<std::uint8_t, std::uint8_t, std::uint8_t, std::uint8_t>;

void play_bound(BoundWorld& world, const BoundStep& step) {
  const auto [what, who, other, amount] = step;
  const std::size_t index = who % world.size();
  BoundReplica& at = world.at(index);
  const ReplicaId to = world.at(other % world.size()).id;
  switch (what % 16) {
    case 0:
      if (amount % 4 == 0) world.begin(at, other % 2 == 0, other % 2 == 0 ? 40 : 0, 20);
      break;
    case 1:
      if (amount % 8 == 0) world.remove(at);
      break;
    case 2:
      world.change(at, 0, static_cast<std::int64_t>(amount % 9) - 4);
      break;
    case 3:
    case 4:
      world.give(at, to, amount % 12);
      break;
    case 5:
      world.fold(at);
      break;
    case 6:
      if (amount % 3 == 0) world.restart(index, other % 2 == 0);
      break;
    case 7:
      world.sync_disk(index);
      break;
    case 8:
    case 9:
    case 10:
      if (!world.records().empty()) world.deliver_from(at, other * std::size_t{7});
      break;
    case 11:
    case 12:
      if (!world.records().empty()) world.deliver(at, amount % world.records().size());
      break;
    case 13:
      world.change(at, static_cast<std::int64_t>(amount % 6), 0);
      break;
    default:
      world.change(at, -static_cast<std::int64_t>(amount % 12), 0);
      break;
  }
}

RC_GTEST_PROP(BoundedCounters, NoDeliveryOfAnyRecordsShowsANumberBeyondItsBound, ()) {
  const auto steps = *rc::gen::scale(4.0, rc::gen::arbitrary<std::vector<BoundStep>>());
  BoundWorld world(3);
  world.begin(world.at(0), false, 0, 30);
  for (const BoundStep& step : steps) {
    play_bound(world, step);
    for (std::size_t i = 0; i < world.size(); ++i) expect_within_bounds(world.at(i));
  }
}

RC_GTEST_PROP(BoundedCounters, StatesJoinInAnyOrderAndAnyNumberOfTimes, ()) {
  const auto steps = *rc::gen::scale(3.0, rc::gen::arbitrary<std::vector<BoundStep>>());
  BoundWorld world(3);
  world.begin(world.at(0), true, 30, 0);
  for (const BoundStep& step : steps) {
    const std::uint8_t what = std::get<0>(step) % 16;
    if (what != 5 && what != 6) play_bound(world, step);  // no run ends
  }
  const auto join = [](PartitionState& into, const PartitionState& from) {
    into.join(from.describe(), from.vector());
  };
  const std::size_t orders[][4] = {{0, 1, 2, 2}, {2, 1, 0, 1}, {1, 0, 2, 0}};
  std::optional<std::uint64_t> digest;
  for (const auto& order : orders) {
    PartitionState joined;
    for (const std::size_t index : order) join(joined, world.at(index).state);
    // (a + b) + c and a + (b + c).
    PartitionState rest;
    join(rest, world.at(order[1]).state);
    join(rest, world.at(order[2]).state);
    PartitionState grouped;
    join(grouped, world.at(order[0]).state);
    join(grouped, rest);
    RC_ASSERT(grouped.digest() == joined.digest());
    RC_ASSERT(joined.digest() == digest.value_or(joined.digest()));
    digest = joined.digest();
  }
}

TEST(BoundedCounters, WhatIsDoneToARemovedOneGoesWithIt) {
  BoundWorld world(2);
  BoundReplica& a = world.at(0);
  BoundReplica& b = world.at(1);
  world.begin(a, false, 0, 10);
  world.deliver_from(b, 0);
  world.give(a, b.id, 5);
  world.deliver_from(b, 0);
  EXPECT_TRUE(world.change(b, -3, 0));
  world.remove(a);
  world.deliver_from(a, 0);
  world.deliver_from(b, 0);
  EXPECT_EQ(a.counter(), nullptr);
  EXPECT_EQ(b.counter(), nullptr);
  EXPECT_EQ(a.state.object_count(), 0u);
  EXPECT_EQ(a.state.digest(), b.state.digest());
}

TEST(BoundedCounters, ARunHasTheRightsOfEarlierOnesWhenTheyAreFolded) {
  BoundWorld world(2);
  world.begin(world.at(0), false, 0, 10);
  world.sync_disk(0);
  BoundReplica& b = world.at(1);
  EXPECT_TRUE(world.change(world.at(0), -4, 0));
  world.deliver_from(b, 0);
  world.restart(0, true);  // it has lost the decrement, which b has
  BoundReplica& a = world.at(0);
  EXPECT_EQ(a.counter()->value(), 10);
  EXPECT_EQ(a.rights(), 0);
  EXPECT_FALSE(world.change(a, -1, 0));
  EXPECT_TRUE(world.change(a, 1, 0));
  world.fold(a);  // b knows more
  EXPECT_EQ(a.rights(), 1);
  world.deliver_from(a, 0);
  world.deliver_from(b, 0);
  world.fold(a);
  EXPECT_EQ(a.rights(), 7);
  EXPECT_TRUE(world.change(a, -7, 0));
  EXPECT_EQ(a.counter()->value(), 0);
  EXPECT_FALSE(world.change(a, -1, 0));
}

TEST(BoundedCounters, NumbersBeyond64BitsAreExact) {
  BoundedCounter counter;
  counter.dot = {ReplicaId::make(1, 1), 1};
  counter.number = {false, INT64_MIN, INT64_MAX, {}};
  EXPECT_EQ(counter.number.distance(), absl::int128(INT64_MAX) - INT64_MIN);
  counter.number.entries.push_back({ReplicaId::make(2, 1), 1, INT64_MAX, 0, {}});
  EXPECT_EQ(counter.value(), INT64_MAX);
  EXPECT_EQ(counter.rights_alone(ReplicaId::make(2, 1)), INT64_MAX);
}

TEST(BoundedCounters, WhatIsNoneIsRefused) {
  BoundedNumber number{false, 0, 5, {}};
  number.entries.push_back({ReplicaId::make(1, 1), 3, -2, 0, {}});
  number.entries.push_back({ReplicaId::make(2, 1), 1, 0, 0, {{ReplicaId::make(1, 1), 4}}});
  const std::string bytes = encode_bounded(number);
  BoundedNumber decoded;
  ASSERT_TRUE(decode_bounded(bytes, decoded));
  EXPECT_EQ(decoded, number);
  const auto refuses = [](const std::string& text) {
    BoundedNumber out;
    return !decode_bounded(text, out);
  };
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    const std::size_t left = bytes.size() - cut;
    if (left == 17 || left == 17 + 34) continue;  // one with fewer entries
    EXPECT_TRUE(refuses(bytes.substr(0, left))) << left;
  }
  EXPECT_TRUE(refuses(bytes + "x"));
  EXPECT_TRUE(refuses("\2" + bytes.substr(1)));
  std::swap(number.entries[0], number.entries[1]);
  EXPECT_TRUE(refuses(encode_bounded(number)));
  number = {true, 0, 5, {}};
  EXPECT_TRUE(refuses(encode_bounded(number)));
}

}  // namespace
}  // namespace even
