#include "resp/resp_merge.h"

#include <gtest/gtest.h>

namespace even {
namespace {

TEST(MergeReplies, IntegersAreAdded) {
  const std::vector<PartReply> parts = {{{0, 2}, ":2\r\n"}, {{1}, ":0\r\n"}, {{3}, ":1\r\n"}};
  EXPECT_EQ(merge_replies(Split::kSum, 4, parts), ":3\r\n");
}

TEST(MergeReplies, ElementsReturnToTheOrderOfTheKeys) {
  const std::vector<PartReply> parts = {{{1, 2}, "*2\r\n$3\r\na\r\n\r\n$-1\r\n"},
                                        {{0, 3}, "*2\r\n$0\r\n\r\n_\r\n"}};
  EXPECT_EQ(merge_replies(Split::kGather, 4, parts), "*4\r\n$0\r\n\r\n$3\r\na\r\n\r\n$-1\r\n_\r\n");
}

TEST(MergeReplies, ArraysArePutOneBehindTheOther) {
  const std::vector<PartReply> parts = {
      {{}, "*1\r\n$1\r\na\r\n"}, {{}, "*0\r\n"}, {{}, "*1\r\n:2\r\n"}};
  EXPECT_EQ(merge_replies(Split::kConcatenate, 0, parts), "*2\r\n$1\r\na\r\n:2\r\n");
  const std::vector<PartReply> bad = {{{}, "*2\r\n:1\r\n"}};
  EXPECT_TRUE(merge_replies(Split::kConcatenate, 0, bad).starts_with('-'));
}

TEST(MergeReplies, AnErrorOfOnePartIsTheReply) {
  const std::vector<PartReply> parts = {{{0}, "+OK\r\n"}, {{1}, "-ERR no\r\n"}};
  EXPECT_EQ(merge_replies(Split::kOk, 2, parts), "-ERR no\r\n");
  EXPECT_EQ(merge_replies(Split::kOk, 2, std::span(parts).first(1)), "+OK\r\n");
}

TEST(MergeReplies, WhatIsNotAReplyIsAnError) {
  for (const char* bad : {"", ":x\r\n", "*1\r\n", "*1\r\n$5\r\nab\r\n", "*2\r\n:1\r\n:2\r\n"}) {
    const std::vector<PartReply> parts = {{{0}, bad}};
    EXPECT_TRUE(merge_replies(Split::kGather, 1, parts).starts_with('-')) << bad;
  }
}

TEST(ReplyLength, KnowsNestedReplies) {
  const std::string reply = "%1\r\n+a\r\n*2\r\n$-1\r\n~1\r\n,1.5\r\n";
  EXPECT_EQ(reply_length(reply + "+next\r\n"), reply.size());
  for (std::size_t length = 0; length < reply.size(); ++length) {
    EXPECT_EQ(reply_length(std::string_view(reply).substr(0, length)), 0u) << length;
  }
}

}  // namespace
}  // namespace even
