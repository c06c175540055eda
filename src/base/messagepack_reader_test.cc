#include "base/messagepack_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "base/messagepack.h"

namespace even::messagepack {
namespace {

TEST(MessagePackReader, ReadsWhatIsPackedInAnySize) {
  for (const std::size_t size : {0u, 15u, 16u, 255u, 256u, 65'535u, 65'536u}) {
    msgpack::sbuffer buffer;
    Packer packer(buffer);
    const std::string bytes(size, 'x');
    packer.pack_array(static_cast<std::uint32_t>(size));
    for (std::size_t i = 0; i < size; ++i) packer.pack(i % 2 == 0);
    pack_binary(packer, bytes);
    packer.pack(std::uint64_t{size} << 32);
    packer.pack(static_cast<std::int64_t>(size));
    const std::string packed = bytes_of(buffer);
    Reader in(packed);
    ASSERT_EQ(in.array(), size);
    for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(in.boolean(), i % 2 == 0);
    EXPECT_EQ(in.binary(), bytes);
    EXPECT_EQ(in.number<std::uint64_t>(), std::uint64_t{size} << 32);
    EXPECT_EQ(in.number<std::int64_t>(), static_cast<std::int64_t>(size));
    EXPECT_TRUE(in.ok() && in.at_end());
  }
}

TEST(MessagePackReader, RefusesWhatIsOfAnotherTypeOrOutOfRange) {
  const auto refuses = [](std::string_view bytes, auto read) {
    Reader in(bytes);
    read(in);
    return !in.ok() && in.at_end() && in.number<int>() == 0 && in.binary().empty();
  };
  const auto byte = [](Reader& in) { EXPECT_EQ(in.number<std::uint8_t>(), 0); };
  EXPECT_TRUE(refuses("", byte));
  EXPECT_TRUE(refuses("\xff", byte));
  EXPECT_TRUE(refuses("\xcd\x01\x01", byte));
  EXPECT_TRUE(refuses("\xcd\x01", byte));
  EXPECT_TRUE(refuses("\xc3x", byte));
  const auto number = [](Reader& in) { EXPECT_EQ(in.number<std::int64_t>(), 0); };
  EXPECT_TRUE(refuses("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", number));
  EXPECT_TRUE(refuses("\x01", [](Reader& in) { EXPECT_FALSE(in.boolean()); }));
  EXPECT_TRUE(refuses("\xc4\x02x", [](Reader& in) { EXPECT_EQ(in.binary(), ""); }));
  EXPECT_TRUE(refuses("\xa1x", [](Reader& in) { EXPECT_EQ(in.binary(), ""); }));
  // More elements than there can be.
  EXPECT_TRUE(refuses("\xdd\xff\xff\xff\xffx", [](Reader& in) { EXPECT_EQ(in.array(), 0u); }));
  EXPECT_TRUE(refuses("\x92\x01\x01", [](Reader& in) { in.array_of(3); }));
  enum class Few : std::uint8_t { kNone, kOne };
  EXPECT_TRUE(refuses("\x02", [](Reader& in) { in.enumerator(Few::kOne); }));
}

}  // namespace
}  // namespace even::messagepack
