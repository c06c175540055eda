#include "resp/reply_queue.h"

#include <gtest/gtest.h>

namespace even {
namespace {

TEST(ReplyQueue, RepliesLeaveInOrderThoughTheyArriveInAnother) {
  ReplyQueue queue;
  queue.tail() += "a";
  const auto first = queue.open_slot();
  queue.tail() += "c";
  const auto second = queue.open_slot();
  queue.tail() += "e";
  EXPECT_EQ(queue.ready(0), "a");
  queue.fill_slot(second, "d");
  EXPECT_EQ(queue.ready(0), "a");
  EXPECT_TRUE(queue.has_open_slots());
  queue.fill_slot(first, "b");
  EXPECT_FALSE(queue.has_open_slots());
  EXPECT_EQ(queue.ready(0), "abcde");
  EXPECT_EQ(queue.size(), 5u);
  queue.consume(5);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(ReplyQueue, WhatIsNoReplyMayBePutAheadOfSlots) {
  ReplyQueue queue;
  queue.tail() += "a";
  const auto slot = queue.open_slot();
  queue.tail() += "c";
  queue.put_ahead("push");
  EXPECT_EQ(queue.ready(0), "apush");
  queue.consume(5);
  queue.fill_slot(slot, "b");
  EXPECT_EQ(queue.ready(0), "bc");
}

TEST(ReplyQueue, RepliesWaitForTheLog) {
  ReplyQueue queue;
  queue.tail() += "read";
  EXPECT_EQ(queue.ready(10), "read");
  queue.consume(4);
  queue.tail() += "one";
  queue.hold_until(20);
  EXPECT_EQ(queue.ready(10), "");
  EXPECT_TRUE(queue.waits_for(10));
  queue.tail() += "two";
  queue.hold_until(30);
  EXPECT_EQ(queue.ready(10), "");
  EXPECT_EQ(queue.ready(25), "one");
  queue.consume(2);
  EXPECT_EQ(queue.ready(25), "e");
  EXPECT_EQ(queue.ready(30), "etwo");
  EXPECT_FALSE(queue.waits_for(30));
}

TEST(ReplyQueue, WhatStandsBehindASlotWaitsForItsOwnPositionToo) {
  ReplyQueue queue;
  const auto slot = queue.open_slot();
  queue.tail() += "late";
  queue.hold_until(50);
  EXPECT_EQ(queue.ready(40), "");
  queue.fill_slot(slot, "first ");
  EXPECT_EQ(queue.ready(40), "");
  EXPECT_EQ(queue.ready(50), "first late");
}

TEST(ReplyQueue, EachReplyThatWaitsInVainBecomesAnError) {
  ReplyQueue queue;
  queue.tail() += "+one\r\n";
  queue.hold_until(10);
  EXPECT_EQ(queue.ready(10), "+one\r\n");
  queue.consume(1);
  queue.tail() += ":2\r\n*2\r\n$1\r\n3\r\n*0\r\n";
  queue.hold_until(20);
  EXPECT_EQ(queue.ready(10), "one\r\n");
  const auto slot = queue.open_slot();
  queue.tail() += "$-1\r\n";
  queue.fail_waiting("-E\r\n");
  EXPECT_FALSE(queue.waits_for(10));
  EXPECT_EQ(queue.ready(10), "one\r\n-E\r\n-E\r\n");
  queue.fill_slot(slot, "+late\r\n");
  EXPECT_EQ(queue.ready(10), "one\r\n-E\r\n-E\r\n+late\r\n-E\r\n");
}

TEST(ReplyQueue, APartOfALongReplyMayLeaveFirst) {
  ReplyQueue queue;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += static_cast<char>('a' + i % 26);
  queue.tail() += text;
  std::string seen;
  while (true) {
    const std::string_view bytes = queue.ready(0);
    if (bytes.empty()) break;
    const std::size_t part = std::min<std::size_t>(bytes.size(), 7001);
    seen += bytes.substr(0, part);
    queue.consume(part);
  }
  EXPECT_EQ(seen, text);
}

}  // namespace
}  // namespace even
