#include "topic/compression.h"

#include <gtest/gtest.h>

namespace even::topic {
namespace {

constexpr std::size_t kEnough = 1 << 20;

class CompressionTest : public testing::TestWithParam<Compression> {};

TEST_P(CompressionTest, WhatIsCompressedComesBack) {
  for (const std::size_t size : {0u, 1u, 1000u, 300'000u}) {
    std::string bytes;
    while (bytes.size() < size) bytes += std::to_string(bytes.size() * 7919);
    bytes.resize(size);
    const auto packed = compress(GetParam(), bytes);
    ASSERT_TRUE(packed) << packed.error().message;
    const auto back = decompress(GetParam(), *packed, kEnough);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, bytes);
  }
}

TEST_P(CompressionTest, WhatBecomesTooLongIsRefused) {
  const auto packed = compress(GetParam(), std::string(kEnough, 'x'));
  ASSERT_TRUE(packed);
  EXPECT_FALSE(decompress(GetParam(), *packed, kEnough - 1));
  EXPECT_TRUE(decompress(GetParam(), *packed, kEnough));
}

TEST_P(CompressionTest, WhatIsCutOffOrDamagedIsRefused) {
  if (GetParam() == Compression::kNone) return;
  std::string bytes;
  while (bytes.size() < 10'000) bytes += std::to_string(bytes.size() * 7919);
  const auto packed = compress(GetParam(), bytes);
  ASSERT_TRUE(packed);
  for (std::size_t size = 0; size < packed->size(); size += 1 + size / 8) {
    // Of blocks of snappy, whole ones are something.
    const auto back = decompress(GetParam(), packed->substr(0, size), kEnough);
    EXPECT_TRUE(!back || back->size() < bytes.size()) << size;
  }
  EXPECT_FALSE(decompress(GetParam(), "no such thing", kEnough));
}

INSTANTIATE_TEST_SUITE_P(All, CompressionTest,
                         testing::Values(Compression::kNone, Compression::kGzip,
                                         Compression::kSnappy, Compression::kLz4,
                                         Compression::kZstd));

TEST(CompressionOfOthersTest, SnappyWithoutFramesIsRead) {
  // "abc" as snappy has it: its length, and a literal of three bytes.
  EXPECT_EQ(*decompress(Compression::kSnappy,
                        std::string_view("\x03\x08"
                                         "abc",
                                         5),
                        kEnough),
            "abc");
}

}  // namespace
}  // namespace even::topic
