#include "replica/key_events.h"

#include <gtest/gtest.h>

namespace even {
namespace {

using Told = std::vector<std::string>;

// A partition, to which one replica writes.
class KeyEventsTest : public testing::Test {
 protected:
  Record begin() {
    return Record::begin(1, ReplicaId::make(1, 1), Hlc::at(now_ms_), state_.vector());
  }
  static LeafDelta leaf(LeafKind kind, std::string_view field = {}) {
    LeafDelta leaf;
    leaf.kind = kind;
    leaf.field = field;
    return leaf;
  }
  static LeafDelta written(LeafKind kind, const Record& record, std::string_view field = {},
                           std::int64_t at_ms = 0) {
    LeafDelta out = leaf(kind, field);
    out.siblings.push_back({record.dot(), record.time, {}, at_ms});
    return out;
  }
  KeyDelta& key(Record& record, std::string_view name, bool full = false) {
    KeyDelta& delta = record.delta.keys.emplace_back();
    delta.key = name;
    delta.full = full;
    return delta;
  }
  Told join(const Record& record, std::string_view command = {},
            KeyEvents::Cause cause = KeyEvents::Cause::kChange) {
    Told told;
    const KeyEvents events(state_, record, now_ms_);
    state_.join(record);
    events.report(command, cause, [&](const KeyEvent& event) {
      told.push_back(std::string(event.name) + " " + std::string(event.key));
    });
    return told;
  }
  Told set(std::string_view name, std::int64_t expires_ms = 0) {
    Record record = begin();
    KeyDelta& delta = key(record, name, true);
    delta.leaves.push_back(written(LeafKind::kString, record));
    if (expires_ms != 0) {
      delta.leaves.push_back(written(LeafKind::kExpiry, record, {}, expires_ms));
    }
    return join(record);
  }

  PartitionState state_;
  std::int64_t now_ms_ = 1'000;
};

TEST(KeyEventLetters, AreReadAndWrittenAsRedisDoes) {
  const auto again = [](std::string_view letters) {
    return key_events_text(parse_key_events(letters).value());
  };
  EXPECT_EQ(again(""), "");
  EXPECT_EQ(again("KEA"), "AKE");
  EXPECT_EQ(again("Elg"), "glE");
  EXPECT_EQ(again("KEg$lshzxetd"), "AKE");
  EXPECT_EQ(again("KEg$lshzxet"), "g$lshzxetKE");
  EXPECT_EQ(again("KEAmn"), "AKEm");
  EXPECT_EQ(again("nK"), "nK");
  EXPECT_FALSE(parse_key_events("Kq"));
  EXPECT_FALSE(parse_key_events("K "));
}

TEST_F(KeyEventsTest, ChangesAreNamedAfterWhatTheyDo) {
  EXPECT_EQ(set("k", 5'000), (Told{"new k", "set k", "expire k"}));
  EXPECT_EQ(set("k", 6'000), (Told{"set k", "expire k"}));
  Record persist = begin();
  key(persist, "k").leaves.push_back(leaf(LeafKind::kExpiry));
  EXPECT_EQ(join(persist), (Told{"persist k"}));
  persist.context = begin().context;
  EXPECT_EQ(join(persist), Told{});
  Record del = begin();
  key(del, "k", true);
  EXPECT_EQ(join(del), (Told{"del k"}));
  Record absent = begin();
  key(absent, "k", true);
  EXPECT_EQ(join(absent), Told{});
}

TEST_F(KeyEventsTest, OnlyNewMembersAndThoseThatWereThereCount) {
  const auto add = [&](std::string_view member) {
    Record record = begin();
    key(record, "s").leaves.push_back(written(LeafKind::kMember, record, member));
    return join(record);
  };
  const auto remove = [&](std::string_view member, std::string_view command) {
    Record record = begin();
    key(record, "s").leaves.push_back(leaf(LeafKind::kMember, member));
    return join(record, command);
  };
  EXPECT_EQ(add("a"), (Told{"new s", "sadd s"}));
  EXPECT_EQ(add("a"), Told{});
  EXPECT_EQ(add("b"), (Told{"sadd s"}));
  EXPECT_EQ(remove("c", {}), Told{});
  EXPECT_EQ(remove("b", "spop"), (Told{"spop s"}));
  EXPECT_EQ(remove("a", {}), (Told{"srem s", "del s"}));
}

TEST_F(KeyEventsTest, AnExpiryThatIsKeptIsNoNews) {
  set("k", 5'000);
  Record record = begin();
  KeyDelta& delta = key(record, "k", true);
  delta.leaves.push_back(written(LeafKind::kString, record));
  const ExpirySibling kept = state_.find("k", hash64("k"))->expiry()->front();
  LeafDelta& expiry = delta.leaves.emplace_back(leaf(LeafKind::kExpiry));
  expiry.siblings.push_back({kept.dot, kept.time, {}, kept.at_ms});
  EXPECT_EQ(join(record, "set"), (Told{"set k"}));
}

TEST_F(KeyEventsTest, KeysExpireWhereverTheyArePurged) {
  set("k", 2'000);
  set("l", 2'000);
  set("m", 2'000);
  now_ms_ = 2'001;
  const auto removal = [&](std::string_view name) {
    Record record = begin();
    key(record, name, true);
    return record;
  };
  EXPECT_EQ(join(removal("k"), {}, KeyEvents::Cause::kExpiry), (Told{"expired k"}));
  EXPECT_EQ(join(removal("k"), {}, KeyEvents::Cause::kExpiry), Told{});
  // The same from another replica, and where a command comes upon it.
  EXPECT_EQ(join(removal("l")), (Told{"expired l"}));
  EXPECT_EQ(set("m"), (Told{"expired m", "new m", "set m"}));
  EXPECT_EQ(join(removal("m"), {}, KeyEvents::Cause::kEviction), (Told{"evicted m"}));
}

TEST_F(KeyEventsTest, ARenamedKeyHasAnEventUnderEachName) {
  set("old");
  Record record = begin();
  key(record, "new", true).leaves.push_back(written(LeafKind::kString, record));
  key(record, "old", true);
  EXPECT_EQ(join(record, "rename"), (Told{"new new", "rename_to new", "rename_from old"}));
}

TEST_F(KeyEventsTest, FlushingHasNoEvents) {
  set("k");
  Record record = begin();
  record.delta.full = true;
  key(record, "k", true);
  EXPECT_EQ(join(record, "flushall"), Told{});
}

}  // namespace
}  // namespace even
