#include "cli/record_text.h"

#include <gtest/gtest.h>

#include "lattice/types/position.h"
#include "lattice/types/score.h"

namespace even::cli {
namespace {

constexpr ReplicaId kOne{0x0001'0000'0000'0001};
constexpr ReplicaId kTwo{0x0002'00c0'ffee'1234};

Record record() {
  Record record;
  record.partition = 7;
  record.origin = kOne;
  record.time = Hlc::at(1'700'000'000'000);
  record.context.add({kOne, 3});
  record.context.add({kTwo, 300});
  return record;
}
constexpr char kHead[] =
    "partition 7 1/000000000001:3 2023-11-14T22:13:20.000Z after 2/00c0ffee1234:300 ";

TEST(RecordText, QuotesWhatATerminalCouldNotStand) {
  EXPECT_EQ(quoted("plain"), "\"plain\"");
  EXPECT_EQ(quoted(std::string_view("\0\"\\\n\x7f\xff", 6)), "\"\\x00\\\"\\\\\\n\\x7f\\xff\"");
}

TEST(RecordText, ShowsTheLogicalCounterOfATimeWhenThereIsOne) {
  EXPECT_EQ(time_text({Hlc::at(1'700'000'000'123).value + 5}), "2023-11-14T22:13:20.123Z+5");
  EXPECT_EQ(time_text({0}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(time_text({UINT64_MAX}).substr(0, 6), "10889-");
}

TEST(RecordText, TellsOverwritingFromChangingAndDeleting) {
  Record set = record();
  KeyDelta& key = set.delta.keys.emplace_back();
  key.key = "k";
  key.full = true;
  key.leaves.emplace_back().siblings.push_back({set.dot(), set.time, "v", 0});
  KeyDelta& deleted = set.delta.keys.emplace_back();
  deleted.key = "gone";
  deleted.full = true;
  KeyDelta& members = set.delta.keys.emplace_back();
  members.key = "s";
  for (const char* member : {"in", "out"}) {
    LeafDelta& leaf = members.leaves.emplace_back();
    leaf.kind = LeafKind::kMember;
    leaf.field = member;
  }
  members.leaves[0].siblings.push_back({set.dot(), {}, {}, 0});
  EXPECT_EQ(
      record_text(set),
      kHead + std::string(R"("k" := "v"; "gone" := nothing; "s" set["in"], set["out"] removed)"));
}

TEST(RecordText, ShowsCountersExpiriesAndWhatOthersWrote) {
  Record mixed = record();
  KeyDelta& key = mixed.delta.keys.emplace_back();
  key.key = "h";
  LeafDelta& field = key.leaves.emplace_back();
  field.kind = LeafKind::kField;
  field.field = "f";
  field.siblings.push_back({{kTwo, 9}, {}, "1", 0});
  field.integers.push_back(CounterEntry<std::int64_t>{kOne, 3, 12, 2, 5});
  field.reals.push_back(CounterEntry<Real>{kTwo, 9, Real{0.5L}, 0, 0});
  LeafDelta& expiry = key.leaves.emplace_back();
  expiry.kind = LeafKind::kExpiry;
  expiry.siblings.push_back({mixed.dot(), mixed.time, {}, 1'700'000'060'000});
  expiry.siblings.push_back({mixed.dot(), mixed.time, {}, -1});
  EXPECT_EQ(
      record_text(mixed),
      kHead +
          std::string(R"("h" hash["f"] = "1"@2/00c0ffee1234:9 += 12 (1/000000000001:3) -= 5 (:2) )"
                      R"(+= 0.5 (2/00c0ffee1234:9), expires 2023-11-14T22:14:20.000Z at -1 ms)"));
}

TEST(RecordText, ShowsScoresAsNumbers) {
  Record scores = record();
  KeyDelta& key = scores.delta.keys.emplace_back();
  key.key = "z";
  const ScoreBytes bytes(-1.5);
  for (const char* member : {"a", "b", "c"}) {
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = LeafKind::kScore;
    leaf.field = member;
  }
  key.leaves[0].siblings.push_back({scores.dot(), scores.time, bytes.view(), 0});
  key.leaves[1].integers.push_back(CounterEntry<std::int64_t>{kOne, 3, 7, 2, 0});
  EXPECT_EQ(record_text(scores),
            kHead + std::string(R"("z" zset["a"] = -1.5, zset["b"] += 7 (1/000000000001:3) )"
                                R"(-= 0 (:2), zset["c"] removed)"));
}

TEST(RecordText, ShowsElementsOfListsByTheirPositions) {
  Record list = record();
  KeyDelta& key = list.delta.keys.emplace_back();
  key.key = "l";
  const std::string position = position_between({}, {}, {kOne, 3});
  for (const bool set : {true, false}) {
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = LeafKind::kItem;
    leaf.field = position;
    if (set) leaf.siblings.push_back({list.dot(), list.time, "v", 0});
  }
  EXPECT_EQ(record_text(list), kHead + std::string(R"("l" list[1/000000000001:3.0] = "v", )"
                                                   R"(list[1/000000000001:3.0] removed)"));
}

TEST(RecordText, CallsAStateAState) {
  Record state = record();
  state.origin = {};
  state.delta.full = true;
  EXPECT_EQ(record_text(state),
            "partition 7 state of 1/000000000001:3 2/00c0ffee1234:300 all other keys := nothing");
}

}  // namespace
}  // namespace even::cli
