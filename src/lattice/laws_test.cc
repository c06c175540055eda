// The laws of the lattices, each for random histories of each kind of data. A failure prints the
// shortened history, and a line with which RC_PARAMS repeats it.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>

#include "lattice/test_history.h"

namespace even::test {
namespace {

struct Kind {
  const char* name;
  std::vector<Act> acts;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

using enum Act;
const std::vector<Kind> kKinds = {
    {"Register", {kSet, kSet, kSet, kDelete}},
    {"IntegerCounter", {kIncrement, kIncrement, kIncrement, kDelete, kSet}},
    {"RealCounter", {kIncrementReal, kIncrementReal, kIncrement, kDelete, kSet}},
    {"Set", {kAddMember, kAddMember, kRemoveMember, kDelete, kDeleteAll}},
    {"Map",
     {kSetField, kIncrementField, kIncrementField, kIncrementFieldReal, kDeleteField, kDelete,
      kDeleteAll}},
    {"SortedSet",
     {kSetScore, kSetScore, kIncrementScore, kIncrementScore, kIncrementScoreReal, kDeleteScore,
      kDelete, kDeleteAll}},
    {"Stream", {kSetEntry, kSetEntry, kSetEntry, kDeleteEntry, kDelete, kDeleteAll}},
    {"List", {kSetItem, kSetItem, kSetItem, kDeleteItem, kDelete, kDeleteAll}},
    {"Expiry",
     {kSet, kSetKeepExpiry, kIncrement, kExpire, kExpire, kPersist, kPurge, kForgetExpiry, kDelete,
      kAddMember}},
    {"FieldExpiry",
     {kSetField, kSetField, kIncrementField, kExpireField, kExpireField, kExpireField,
      kPersistField, kPurgeField, kGiveFieldUp, kDeleteField, kDelete, kExpire, kPurge}},
    {"TypeConflict",
     {kSet, kIncrement, kAddMember, kSetField, kIncrementField, kSetScore, kIncrementScore,
      kSetItem, kSetEntry, kDelete, kRemoveMember, kDeleteField, kDeleteScore, kDeleteItem}},
    {"Everything",
     {kSet,
      kSetKeepExpiry,
      kIncrement,
      kIncrementReal,
      kDelete,
      kAddMember,
      kRemoveMember,
      kSetField,
      kIncrementField,
      kIncrementFieldReal,
      kDeleteField,
      kExpire,
      kPersist,
      kPurge,
      kForgetExpiry,
      kDeleteAll,
      kSetScore,
      kIncrementScore,
      kIncrementScoreReal,
      kDeleteScore,
      kSetItem,
      kSetEntry,
      kDeleteItem,
      kExpireField,
      kGiveFieldUp}},
};

class LatticeLaws : public ::testing::TestWithParam<Kind> {
 protected:
  // Runs `law(world)` on random histories of this kind; `each` is called after every step.
  template <typename Law, typename Each>
  void check(const char* what, Law law, Each each) {
    const bool held = rc::check(std::string(GetParam().name) + ": " + what, [&] {
      const auto steps = *rc::gen::scale(3.0, rc::gen::arbitrary<std::vector<Step>>());
      World world(3);
      for (const Step& step : steps) {
        play(world, GetParam().acts, step);
        each(world);
      }
      RC_CLASSIFY(world.records().size() >= 20, "20 records or more");
      law(world);
    });
    EXPECT_TRUE(held);
  }
  template <typename Law>
  void check(const char* what, Law law) {
    check(what, law, [](World&) {});
  }
};

INSTANTIATE_TEST_SUITE_P(Of, LatticeLaws, ::testing::ValuesIn(kKinds),
                         [](const auto& tested) { return tested.param.name; });

// Equal in all that the lattice promises to be equal.
void assert_same(const PartitionState& a, const PartitionState& b) {
  RC_ASSERT(view(a) == view(b));
  RC_ASSERT(a.vector() == b.vector());
  RC_ASSERT(a.digest() == b.digest());
  RC_ASSERT(a.live_keys() == b.live_keys());
  RC_ASSERT(a.keys_with_expiry() == b.keys_with_expiry());
}

PartitionState joined(const PartitionState& a, const PartitionState& b) {
  PartitionState out = copy(a);
  join_state(out, b);
  return out;
}

// Whatever was delivered, joined as a snapshot, duplicated, collected: a replica shows what the
// definition says that somebody shows who has seen what it has seen. In particular nothing comes
// back, and counters are the sums of the increments that nobody removed who had seen them.
TEST_P(LatticeLaws, AReplicaShowsWhatTheDefinitionSaysOfItsVector) {
  int steps = 0;
  check(
      "definition",
      [](World& world) {
        for (const Replica& replica : world.replicas())
          RC_ASSERT(view(replica.state) == world.expected(replica));
      },
      [&steps](World& world) {
        if (++steps % 16 != 0) return;
        const Replica& replica = world.replicas()[static_cast<std::size_t>(steps / 16 % 3)];
        RC_ASSERT(view(replica.state) == world.expected(replica));
      });
}

TEST_P(LatticeLaws, TheDigestIsTheSumOfTheElements) {
  check(
      "digest", [](World&) {},
      [](World& world) {
        for (const Replica& replica : world.replicas()) {
          RC_ASSERT(replica.state.digest() == replica.state.recompute_digest());
        }
      });
}

TEST_P(LatticeLaws, EqualVectorsMeanEqualDigestsAndEqualViews) {
  check("equal vectors", [](World& world) {
    // Each record is joined one by one at each replica; states on the way are compared as well.
    std::map<std::string, std::pair<std::uint64_t, std::string>> seen;
    for (Replica& replica : world.replicas()) {
      const auto compare = [&seen, &replica] {
        const std::string shown = view(replica.state);
        const auto [at, fresh] =
            seen.try_emplace(replica.state.vector().to_string(), replica.state.digest(), shown);
        RC_ASSERT(at->second.first == replica.state.digest());
        RC_ASSERT(at->second.second == shown);
      };
      compare();
      for (std::size_t i = 0; i < world.records().size(); ++i) {
        if (!world.deliverable(replica, i)) continue;
        world.deliver(replica, i);
        compare();
      }
    }
  });
}

TEST_P(LatticeLaws, JoinIsIdempotent) {
  check("idempotent", [](World& world) {
    const PartitionState& state = world.replicas()[0].state;
    PartitionState twice = copy(state);
    assert_same(twice, state);
    join_state(twice, state);
    assert_same(twice, state);
    RC_ASSERT(twice.digest() == twice.recompute_digest());
  });
}

TEST_P(LatticeLaws, JoinIsCommutative) {
  check("commutative", [](World& world) {
    const auto& replicas = world.replicas();
    assert_same(joined(replicas[0].state, replicas[1].state),
                joined(replicas[1].state, replicas[0].state));
  });
}

TEST_P(LatticeLaws, JoinIsAssociative) {
  check("associative", [](World& world) {
    const auto& r = world.replicas();
    assert_same(joined(joined(r[0].state, r[1].state), r[2].state),
                joined(r[0].state, joined(r[1].state, r[2].state)));
  });
}

TEST_P(LatticeLaws, RecordsInAnyCausalOrderGiveTheSameStateAsTheJoinOfStates) {
  check("any order", [](World& world) {
    Replica all(8);
    for (const Replica& replica : world.replicas()) join_state(all.state, replica.state);
    for (std::size_t i = 0; i < world.records().size(); ++i) {
      if (world.deliverable(all, i)) world.deliver(all, i);  // what nobody has any more
    }
    const PartitionState& whole = all.state;
    for (int order = 0; order < 2; ++order) {
      Replica fresh(9);
      for (;;) {
        std::vector<std::size_t> ready;
        for (std::size_t i = 0; i < world.records().size(); ++i) {
          if (world.deliverable(fresh, i)) ready.push_back(i);
        }
        if (ready.empty()) break;
        // Forwards and backwards are the most different orders; the histories themselves are mixed.
        world.deliver(fresh, order == 0 ? ready.front() : ready.back());
      }
      assert_same(fresh.state, whole);
      RC_ASSERT(fresh.state.digest() == fresh.state.recompute_digest());
    }
  });
}

TEST_P(LatticeLaws, AStaleReplicaBringsNothingBack) {
  check("stale", [](World& world) {
    PartitionState stale = copy(world.replicas()[0].state);
    auto& replicas = world.replicas();
    for (Replica& replica : replicas) {
      for (const Replica& other : replicas) world.sync(other, replica);
    }
    // Every key goes, everywhere, while the stale copy is away.
    for (const char* key : {"k0", "k1", "k2"}) {
      world.perform(replicas[1], {{kDelete, key, "", ""}});
      world.perform(replicas[1], {{kForgetExpiry, key, "", ""}});
    }
    for (Replica& replica : replicas) world.sync(replicas[1], replica);
    PartitionState& state = replicas[2].state;
    RC_ASSERT(state.live_keys() == 0u);
    RC_ASSERT(state.digest() == 0u);
    join_state(state, stale);
    RC_ASSERT(view(state) == "");
    RC_ASSERT(state.digest() == 0u);
    join_state(stale, state);
    assert_same(stale, state);
  });
}

TEST_P(LatticeLaws, CollectingResidueChangesNeitherWhatAReaderSeesNorLaterJoins) {
  check("residue", [](World& world) {
    auto& replicas = world.replicas();
    for (Replica& replica : replicas) {
      for (const Replica& other : replicas) world.sync(other, replica);
    }
    for (Replica& replica : replicas) {
      for (const Replica& other : replicas) world.sync(other, replica);
      const std::string before = view(replica.state);
      const std::uint64_t digest = replica.state.digest();
      for (const Replica& other : replicas) world.report(other, replica);
      for (int generation = 0; generation < 3; ++generation) world.collect_residue(replica);
      RC_ASSERT(view(replica.state) == before);
      RC_ASSERT(replica.state.digest() == digest);
      RC_ASSERT(replica.state.digest() == replica.state.recompute_digest());
    }
    // One has collected, others have not yet, in all states of collection; they go on together.
    PartitionState collected = copy(replicas[0].state);
    for (std::int64_t i = 1; i <= 3; ++i) {
      for (Replica& replica : replicas) {
        world.perform(replica, {{kIncrement, "k" + std::to_string(i - 1), "", "", i}});
        world.perform(replica, {{kIncrementField, "k" + std::to_string(i % 3), "f0", "", i}});
      }
    }
    for (Replica& replica : replicas) {
      for (const Replica& other : replicas) world.sync(other, replica);
      join_state(replica.state, collected);
    }
    for (const Replica& replica : replicas) {
      RC_ASSERT(view(replica.state) == world.expected(replica));
      assert_same(replica.state, replicas[0].state);
    }
  });
}

struct Trio {
  World world{3};
  Replica& a = world.replicas()[0];
  Replica& b = world.replicas()[1];
  Replica& c = world.replicas()[2];
};

// A state brings no points along: a replica that has not seen the removal may still send one.
TEST(Residue, IsKeptForStatesWhileAReplicaHasNotSeenTheRemoval) {
  Trio trio;
  auto& [world, a, b, c] = trio;
  world.perform(a, {{kIncrement, "k", "", "", 5}});
  world.sync(a, b);
  world.perform(b, {{kDelete, "k", "", ""}});
  world.sync(b, c);
  world.report(a, c);
  world.report(b, c);
  for (int generation = 0; generation < 3; ++generation) world.collect_residue(c);
  world.perform(a, {{kIncrement, "k", "", "", 3}});
  join_state(c.state, a.state);
  EXPECT_EQ(view(c.state), world.expected(c));
  EXPECT_EQ(view(c.state), "k string int 1/000000000001:2=3 shows '3'");
}

// A record can outlive its maker's disk, on its way or waiting for another one, while all replicas
// there are say that they have seen a removal which its maker had not. What they have collected
// since must make no difference to it.
TEST(Residue, ARecordThatNobodyVouchesForFindsTheSameStateWithAndWithoutIt) {
  for (const Act late : {kIncrement, kIncrementReal}) {
    Trio trio;
    auto& [world, a, b, c] = trio;
    world.perform(a, {{late, "k", "", "", 5}});
    world.sync(a, b);
    world.perform(b, {{kDelete, "k", "", ""}});
    world.perform(a, {{late, "k", "", "", 3}});
    const std::size_t last = world.records().size() - 1;
    world.wipe(a);
    world.sync(b, a);
    world.sync(b, c);
    world.report(a, c);
    world.report(b, c);
    for (int generation = 0; generation < 3; ++generation) world.collect_residue(c);
    EXPECT_TRUE(c.state.empty());
    for (Replica* replica : {&a, &b, &c}) {
      world.deliver(*replica, last);
      EXPECT_EQ(view(replica->state), world.expected(*replica));
      EXPECT_EQ(replica->state.digest(), a.state.digest());
    }
  }
}

TEST(Residue, AnUpdateThatComesAfterItsKeysExpiryWasForgottenFindsTheSameEverywhere) {
  Trio trio;
  auto& [world, a, b, c] = trio;
  world.perform(a, {{kAddMember, "k", "f", ""}});
  world.perform(a, {{kExpire, "k", "", "", 1000}});
  world.sync(a, b);
  world.perform(b, {{kPurge, "k", "", ""}});
  world.sync(b, c);
  world.perform(a, {{kAddMember, "k", "g", ""}});  // has seen the expiry, not the purge
  const std::size_t late = world.records().size() - 1;
  world.perform(c, {{kForgetExpiry, "k", "", ""}});
  EXPECT_TRUE(c.state.empty());
  world.deliver(b, late);
  EXPECT_EQ(b.state.keys_with_expiry(), 1u);  // it expires as well
  world.deliver(c, late);
  EXPECT_EQ(c.state.keys_with_expiry(), 0u);  // too late for that
  for (Replica* replica : {&a, &b, &c}) {
    for (const Replica& other : world.replicas()) world.sync(other, *replica);
    EXPECT_EQ(view(replica->state), world.expected(*replica));
    EXPECT_EQ(replica->state.digest(), c.state.digest());
  }
}

}  // namespace
}  // namespace even::test
