// Where the hashes with field expiries are filed: docs/field-expiry.md, "Cost".
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/hash.h"
#include "lattice/partition_state.h"
#include "lattice/types/score.h"

namespace even {
namespace {

constexpr ReplicaId kMaker{0x0001'0000'0000'0007};
constexpr ReplicaId kOtherMaker{0x0002'0000'0000'0008};
constexpr std::int64_t kSoonerMs = 1'700'000'000'000;
constexpr std::int64_t kLaterMs = kSoonerMs + 3'600'000;

// Sets when these fields of the hash expire, or if `at_ms` is 0 takes that away, having seen
// `seen`.
void expire(PartitionState& state, const Dot& dot, const VersionVector& seen, std::int64_t at_ms,
            const std::vector<std::string>& fields) {
  const ScoreBytes at(static_cast<double>(at_ms));
  Record record = Record::begin(dot.seq, dot.replica, Hlc::at(1'600'000'000'000 + dot.seq), seen);
  KeyDelta& key = record.delta.keys.emplace_back();
  key.key = "h";
  for (const std::string& field : fields) {
    LeafDelta& leaf = key.leaves.emplace_back();
    leaf.kind = LeafKind::kFieldExpiry;
    leaf.field = field;
    if (at_ms != 0) leaf.siblings.push_back({record.dot(), record.time, at.view(), 0});
  }
  state.join(record);
}

// So many that they are in a table.
std::vector<std::string> many() {
  std::vector<std::string> fields;
  for (int i = 0; i < 2000; ++i) fields.push_back("f" + std::to_string(i));
  return fields;
}

class FieldExpiry : public ::testing::TestWithParam<bool> {};

// The later instant has won, by its time, over one that its maker had not seen. Then it goes, and
// the other is left.
TEST_P(FieldExpiry, IsFiledNoLaterThanWhatComesToLightWhenAnotherGoes) {
  const std::vector<std::string> fields =
      GetParam() ? many() : std::vector<std::string>{"f0", "f1"};
  PartitionState state;
  expire(state, {kMaker, 1}, {}, kSoonerMs, {"f0"});
  VersionVector all_but_that;
  all_but_that.add({kOtherMaker, 2});
  expire(state, {kOtherMaker, 2}, {}, kLaterMs, fields);
  const auto first = [&state] { return state.find("h", hash64("h"))->first_field_expiry_ms(); };
  ASSERT_LE(first(), kLaterMs);
  expire(state, {kOtherMaker, 3}, all_but_that, 0, {"f0"});
  EXPECT_EQ(first(), kSoonerMs);
  EXPECT_EQ(state.next_field_expiry_ms(), kSoonerMs);
}

INSTANTIATE_TEST_SUITE_P(InATableOrNot, FieldExpiry, ::testing::Bool());

}  // namespace
}  // namespace even
