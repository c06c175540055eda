// Who observes a state is told of every key that changes (KeyChangeObserver).
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "lattice/partition_state.h"

namespace even {
namespace {

class Observer final : public KeyChangeObserver {
 public:
  bool wanted() const override { return wanted_; }
  void key_changed(std::string_view key) override { seen_.emplace_back(key); }
  void all_changed() override { seen_.emplace_back("(all)"); }

  std::vector<std::string> take() { return std::exchange(seen_, {}); }
  bool wanted_ = true;

 private:
  std::vector<std::string> seen_;
};

using Seen = std::vector<std::string>;

class KeyChanges : public testing::Test {
 protected:
  static constexpr ReplicaId kReplica{7};

  KeyChanges() { state_.observe_keys(&observer_); }

  // Adds a member to a set, which lapses when `expires_ms` is not 0.
  void add(std::string_view key, std::int64_t expires_ms = 0) {
    const Dot dot{kReplica, ++seq_};
    context_.add(dot);
    Delta delta;
    KeyDelta& of_key = delta.keys.emplace_back();
    of_key.key = key;
    LeafDelta member;
    member.kind = LeafKind::kMember;
    member.field = "m";
    member.siblings.push_back({.dot = dot});
    of_key.leaves.push_back(member);
    if (expires_ms != 0) {
      LeafDelta expiry;
      expiry.kind = LeafKind::kExpiry;
      expiry.siblings.push_back({.dot = dot, .at_ms = expires_ms});
      of_key.leaves.push_back(expiry);
    }
    state_.join(delta, context_);
  }

  Observer observer_;
  PartitionState state_;
  VersionVector context_;
  std::uint64_t seq_ = 0;
};

TEST_F(KeyChanges, AreToldOfWhateverJoins) {
  add("a");
  EXPECT_EQ(observer_.take(), Seen{"a"});
  add("b");
  add("a");
  EXPECT_EQ(observer_.take(), (Seen{"b", "a"}));
  observer_.wanted_ = false;
  add("a");
  EXPECT_EQ(observer_.take(), Seen{});
}

TEST_F(KeyChanges, OfAWholeStateAreAll) {
  add("a");
  observer_.take();
  Delta nothing;
  nothing.full = true;
  state_.join(nothing, context_);
  const Seen seen = observer_.take();
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.front(), "(all)");
  EXPECT_EQ(state_.live_keys(), 0u);
}

TEST_F(KeyChanges, AreToldOfKeysWhoseTimeIsOver) {
  add("a", 1000);
  add("b", 2000);
  observer_.take();
  state_.lapse(999);
  EXPECT_EQ(observer_.take(), Seen{});
  state_.lapse(1000);
  EXPECT_EQ(observer_.take(), Seen{"a"});
  state_.lapse(1500);
  EXPECT_EQ(observer_.take(), Seen{});
  // The clock was wrong: who has read that there is none must hear.
  state_.lapse(500);
  EXPECT_EQ(observer_.take(), Seen{"a"});
}

TEST_F(KeyChanges, AreToldOfRepairs) {
  add("a");
  observer_.take();
  state_.replace(hash64("a"), {});
  EXPECT_EQ(observer_.take(), Seen{"a"});
}

TEST_F(KeyChanges, AreToldWhenAStateIsForgottenAndAfterwards) {
  add("a");
  observer_.take();
  state_.forget();
  EXPECT_EQ(observer_.take(), Seen{"(all)"});
  add("b");
  EXPECT_EQ(observer_.take(), Seen{"b"});
}

}  // namespace
}  // namespace even
