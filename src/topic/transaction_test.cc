#include "topic/transaction.h"

#include <gtest/gtest.h>

#include "topic/record_batch.h"

namespace even::topic {
namespace {

using State = Transaction::State;

TEST(MarkerTest, IsAControlBatchThatReadersKnow) {
  const Marker marker{.producer_id = 7,
                      .epoch = 3,
                      .number = 0x80000001,
                      .commits = true,
                      .time_ms = 1'700'000'000'000};
  const std::string bytes = marker.encode();
  EXPECT_EQ(Marker::decode(bytes), marker);
  const auto head = read_head(bytes);
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->control() && head->transactional());
  EXPECT_EQ(head->offsets(), 1);
  EXPECT_EQ(head->base_sequence, -1);
  // As Kafka writes one: a key of version and type, a value of version and epoch.
  EXPECT_EQ(bytes.substr(kBatchHeadBytes),
            std::string("\x20\0\0\0\x08\0\0\0\x01\x0c\0\0\x80\0\0\x01\0", 17));
  // No producer may send it.
  EXPECT_EQ(check_batch(bytes), BatchFault::kInvalid);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Marker::decode(bytes.substr(0, size))) << size;
  }
}

TEST(MarkerTest, NumbersOfOneEpochCountOnPastTheGreatest) {
  const Ended ended{.epoch = 3, .number = 0xffffffff};
  EXPECT_TRUE(ended.has(2, 5));
  EXPECT_TRUE(ended.has(3, 0xffffffff));
  EXPECT_TRUE(ended.has(3, 0xfffffff0));
  EXPECT_FALSE(ended.has(3, 0));
  EXPECT_FALSE(ended.has(3, 9));
  EXPECT_FALSE(ended.has(4, 0xfffffff0));
  EXPECT_FALSE(Ended{}.has(0, 0));
}

Transaction open_one() {
  Transaction row;
  row.producer = {5, 2};
  row.timeout_ms = 1'000;
  return *add(row, {5, 2}, {9, 4, 9}, {"g"}, 100);
}

TEST(TransactionTest, OpensWithWhatIsAdded) {
  const Transaction row = open_one();
  EXPECT_EQ(row.state, State::kOpen);
  EXPECT_EQ(row.number, 1u);
  EXPECT_EQ(row.begun_ms, 100);
  EXPECT_EQ(row.partitions, (std::vector<PartitionId>{4, 9}));
  EXPECT_EQ(add(row, {5, 2}, {9}, {}, 200), row) << "it has that already";
  EXPECT_EQ(add(row, {5, 2}, {7}, {"a"}, 200)->partitions, (std::vector<PartitionId>{4, 7, 9}));
  EXPECT_EQ(add(row, {5, 1}, {7}, {}, 200).error(), TransactionError::kFenced);
  EXPECT_EQ(add(row, {5, 3}, {7}, {}, 200).error(), TransactionError::kFenced);
  EXPECT_EQ(add(row, {6, 2}, {7}, {}, 200).error(), TransactionError::kUnknownProducer);
}

TEST(TransactionTest, IsDecidedOnceAndForAll) {
  const Transaction row = open_one();
  const Transaction committing = *end(row, {5, 2}, true);
  EXPECT_EQ(committing.state, State::kCommitting);
  EXPECT_EQ(end(committing, {5, 2}, false).error(), TransactionError::kConcurrent);
  EXPECT_EQ(add(committing, {5, 2}, {1}, {}, 1).error(), TransactionError::kConcurrent);
  const Transaction committed = completed(committing);
  EXPECT_EQ(committed.state, State::kCommitted);
  EXPECT_EQ(end(committed, {5, 2}, true), committed);
  EXPECT_EQ(end(committed, {5, 2}, false).error(), TransactionError::kInvalidState);
  EXPECT_EQ(add(committed, {5, 2}, {1}, {}, 1)->number, 2u);
  Transaction empty;
  empty.producer = {5, 2};
  EXPECT_EQ(end(empty, {5, 2}, true).error(), TransactionError::kInvalidState);
}

TEST(TransactionTest, WhoIsFollowedIsShutOut) {
  const Transaction fenced = fence(open_one(), false);
  EXPECT_EQ(fenced.state, State::kAborting);
  EXPECT_EQ(fenced.producer, (Producer{5, 3}));
  const Transaction aborted = completed(fenced);
  EXPECT_EQ(aborted.state, State::kAborted);
  EXPECT_EQ(end(aborted, {5, 2}, true).error(), TransactionError::kFenced);
  const auto next = renewed(aborted, 500, false, std::nullopt);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->producer, (Producer{5, 4}));
  EXPECT_EQ(next->number, 1u) << "numbers of a producer id go on";
}

TEST(TransactionTest, EpochsThatAreUsedUpMakeWayForAnotherId) {
  Transaction row;
  EXPECT_FALSE(renewed(row, 500, false, std::nullopt)) << "there has never been one";
  row.producer = {5, 32'766};
  EXPECT_FALSE(renewed(row, 500, false, std::nullopt));
  EXPECT_EQ(renewed(row, 500, false, 8)->producer, (Producer{8, 0}));
  row.producer.epoch = 32'765;
  EXPECT_EQ(renewed(row, 500, false, std::nullopt)->producer, (Producer{5, 32'766}));
}

TEST(TransactionTest, IsReadAsItWasWritten) {
  Transaction row = open_one();
  row.former_epoch = 1;
  const std::string bytes = row.encode();
  EXPECT_EQ(Transaction::decode(bytes), row);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Transaction::decode(bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(Transaction::decode(bytes + "x"));
  EXPECT_FALSE(Transaction::decode("\x02" + bytes.substr(1)));
}

TEST(PendingOffsetsTest, BelongToOneTransaction) {
  PendingOffsets pending;
  EXPECT_EQ(pending.add(2, 7, {{"t/0", "5"}, {"t/1", "6"}}), TransactionError::kNone);
  EXPECT_EQ(pending.add(2, 7, {{"t/1", "9"}}), TransactionError::kNone);
  EXPECT_EQ(pending.offsets,
            (std::vector<std::pair<std::string, std::string>>{{"t/0", "5"}, {"t/1", "9"}}));
  EXPECT_EQ(PendingOffsets::decode(pending.encode()), pending);
  EXPECT_EQ(pending.add(1, 9, {}), TransactionError::kFenced);
  EXPECT_EQ(pending.add(2, 8, {{"t/0", "1"}}), TransactionError::kNone);
  EXPECT_EQ(pending.offsets.size(), 1u) << "those of an earlier transaction make way";
  pending.ended = {2, 8};
  EXPECT_EQ(pending.add(2, 8, {}), TransactionError::kInvalidState);
  EXPECT_EQ(pending.add(2, 9, {}), TransactionError::kNone);
  EXPECT_FALSE(PendingOffsets::decode(""));
  EXPECT_FALSE(PendingOffsets::decode(pending.encode() + "x"));
}

}  // namespace
}  // namespace even::topic
