#include "resp/reply_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace even {
namespace {

constexpr std::size_t kBlock = ReplyBlocks::kBlockBytes;

std::string drained(ReplyBlocks& blocks, std::size_t most) {
  std::string all;
  while (!blocks.empty()) {
    const std::string_view part = blocks.front().substr(0, most);
    EXPECT_FALSE(part.empty());
    all += part;
    const std::size_t before = blocks.size(), bytes = part.size();
    blocks.consume(bytes);
    EXPECT_EQ(blocks.size(), before - bytes);
  }
  return all;
}

TEST(ReplyBlocks, KeepTheOrderHoweverTheyAreFilledAndEmptied) {
  for (const std::size_t most : {std::size_t{1000}, kBlock, 10 * kBlock}) {
    ReplyBlocks blocks;
    std::string expected;
    for (std::size_t i = 0; i < 200; ++i) {
      const std::string reply(i * i * 37 % (2 * kBlock) + 1, static_cast<char>('a' + i % 26));
      expected += reply;
      if (i % 3 == 0) {
        blocks.append(reply);
      } else if (i % 3 == 1) {
        blocks.begin_reply();
        blocks.tail() += reply;
      } else {
        ReplyBlocks others;
        others.begin_reply();
        others.tail() += reply;
        blocks.append(std::move(others));
      }
    }
    EXPECT_EQ(blocks.size(), expected.size());
    EXPECT_EQ(drained(blocks, most), expected);
    EXPECT_EQ(blocks.blocks(), 0u);
    EXPECT_LE(blocks.memory(), 3 * kBlock);
  }
}

TEST(ReplyBlocks, TakeLittleMoreMemoryThanTheRepliesNeed) {
  ReplyBlocks blocks;
  for (const std::size_t size : {100, 5'000, 40'000, 1'000'000}) {
    for (int i = 0; i < 50; ++i) {
      blocks.begin_reply();
      blocks.tail().append("$1\r\n").append(size, 'x');
    }
  }
  EXPECT_LT(blocks.memory(), blocks.size() * 11 / 10);
}

TEST(ReplyBlocks, AreGivenBackAsTheyAreConsumed) {
  ReplyBlocks blocks;
  for (int i = 0; i < 100; ++i) blocks.append(std::string(kBlock, 'x'));
  while (blocks.size() > 10 * kBlock) {
    blocks.consume(blocks.front().size());
    ASSERT_LE(blocks.memory(), blocks.size() * 11 / 10 + 2 * kBlock);
  }
}

TEST(ReplyBlocks, EachReplyFromSomeByteOnBecomesAnError) {
  const std::string large = "$40000\r\n" + std::string(40'000, 'x') + "\r\n";
  for (const std::size_t kept : {0, 1, 2, 3, 4, 5}) {
    ReplyBlocks blocks;
    std::string expected;
    for (std::size_t i = 0; i < 5; ++i) {
      const std::string reply = i % 2 == 0 ? "+ok\r\n" : large;
      blocks.append(reply);
      if (i < kept) expected += reply;
    }
    blocks.consume(1);
    const std::size_t from = expected.empty() ? 0 : expected.size() - 1;
    if (kept == 0) continue;  // what has begun to leave is not failed
    blocks.fail_from(from, "-E\r\n");
    for (std::size_t i = kept; i < 5; ++i) expected += "-E\r\n";
    EXPECT_EQ(blocks.size(), expected.size() - 1);
    EXPECT_EQ(drained(blocks, 10'000), expected.substr(1)) << kept;
  }
}

}  // namespace
}  // namespace even
