#include "topic/producer_state.h"

#include <gtest/gtest.h>

#include <limits>

namespace even::topic {
namespace {

using Verdict = ProducerState::Verdict;

BatchHead batch_of(std::int32_t sequence, std::int32_t records, std::int16_t epoch = 0) {
  BatchHead head;
  head.producer_id = 7;
  head.producer_epoch = epoch;
  head.base_sequence = sequence;
  head.last_offset_delta = records - 1;
  head.records = records;
  return head;
}

class ProducerStateTest : public testing::Test {
 protected:
  Verdict verdict(const BatchHead& batch) { return ProducerState::check(state_, batch).verdict; }
  // Takes it in, from this offset on.
  void take(const BatchHead& batch, std::int64_t base) {
    ASSERT_EQ(verdict(batch), Verdict::kNext);
    if (!state_) state_.emplace();
    state_->note(batch, base);
    // What is stored of it says the same.
    EXPECT_EQ(ProducerState::decode(state_->encode()), state_);
  }
  std::optional<ProducerState> state_;
};

TEST_F(ProducerStateTest, ABatchFollowsTheOneBeforeIt) {
  take(batch_of(0, 3), 10);
  take(batch_of(3, 1), 13);
  EXPECT_EQ(verdict(batch_of(5, 1)), Verdict::kOutOfOrder);
  EXPECT_EQ(verdict(batch_of(2, 2)), Verdict::kOutOfOrder);
  take(batch_of(4, 1), 20);
}

TEST_F(ProducerStateTest, ARepetitionOfTheLastFiveGetsItsOffset) {
  for (int i = 0; i < 6; ++i) take(batch_of(i * 2, 2), 100 + i * 2);
  for (int i = 1; i < 6; ++i) {
    const auto checked = ProducerState::check(state_, batch_of(i * 2, 2));
    EXPECT_EQ(checked.verdict, Verdict::kDuplicate);
    EXPECT_EQ(checked.base, 100 + i * 2);
  }
  EXPECT_EQ(verdict(batch_of(0, 2)), Verdict::kOutOfOrder);
  // It is the same batch, or none.
  EXPECT_EQ(verdict(batch_of(4, 1)), Verdict::kOutOfOrder);
}

TEST_F(ProducerStateTest, AnEpochBeginsWithZeroAndEndsThoseBefore) {
  take(batch_of(0, 1, 3), 0);
  EXPECT_EQ(verdict(batch_of(1, 1, 2)), Verdict::kOldEpoch);
  EXPECT_EQ(verdict(batch_of(1, 1, 4)), Verdict::kOutOfOrder);
  take(batch_of(0, 1, 4), 1);
  EXPECT_EQ(verdict(batch_of(1, 1, 3)), Verdict::kOldEpoch);
  take(batch_of(1, 1, 4), 2);
}

TEST_F(ProducerStateTest, WhoIsNotKnownBeginsOrIsRefused) {
  EXPECT_EQ(verdict(batch_of(5, 1)), Verdict::kUnknown);
  EXPECT_EQ(ProducerState::check(std::nullopt, batch_of(5, 1), true).verdict, Verdict::kNext);
  take(batch_of(0, 1), 0);
  // Who is known goes on where it was, whatever is said.
  EXPECT_EQ(ProducerState::check(state_, batch_of(5, 1), true).verdict, Verdict::kOutOfOrder);
}

TEST_F(ProducerStateTest, SequenceNumbersGoOnWithZero) {
  constexpr std::int32_t kLast = std::numeric_limits<std::int32_t>::max();
  take(batch_of(0, kLast), 0);  // up to kLast - 1
  take(batch_of(kLast, 3), kLast);
  EXPECT_EQ(verdict(batch_of(kLast, 3)), Verdict::kDuplicate);
  take(batch_of(2, 1), 5);
}

TEST(ProducerState, BytesThatCannotBeAreNone) {
  EXPECT_FALSE(ProducerState::decode(""));
  EXPECT_FALSE(ProducerState::decode("abc"));
  EXPECT_TRUE(ProducerState::decode(std::string(2 + 5 * 16, 'a')));
  EXPECT_FALSE(ProducerState::decode(std::string(2 + 6 * 16, 'a')));
}

}  // namespace
}  // namespace even::topic
