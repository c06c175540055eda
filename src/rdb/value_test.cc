// Values of RDB files. The payloads in hexadecimal are what redis-server 7.0.15 replied to DUMP.
#include "rdb/value.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <thread>

#include "base/bytes.h"
#include "rdb/crc64.h"
#include "rdb/lzf.h"
#include "rdb/packed.h"

namespace even::rdb {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return out;
}

std::string sealed(std::string content) {
  put_little_endian(content, kVersion);
  put_little_endian(content, crc64(content));
  return content;
}

Budget ample() { return Budget(1 << 30); }

std::expected<Value, PayloadError> read_payload(std::string_view payload) {
  Budget budget = ample();
  const auto value = rdb::read_payload(payload, budget);
  if (!value) return std::unexpected(value.error());
  return std::get<Value>(*value);
}

// Sets and sorted sets in the order of their names.
Value ordered(const Value& value) {
  if (value.type != Type::kSet && value.type != Type::kSortedSet) return value;
  std::map<std::string, double> by_name;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    by_name[value.items[i]] = value.scores.empty() ? 0 : value.scores[i];
  }
  Value out{.type = value.type, .items = {}, .scores = {}};
  for (const auto& [name, score] : by_name) {
    out.items.push_back(name);
    if (value.type == Type::kSortedSet) out.scores.push_back(score);
  }
  return out;
}

Value big(Type type, int size, std::size_t longest) {
  Value out{.type = type, .items = {}, .scores = {}};
  for (int i = 0; i < size; ++i) {
    const std::string number = std::to_string(i * 37 - 500);
    out.items.push_back(i % 3 == 0 ? number : number + std::string(longest * (i % 7) / 6, 'x'));
    if (type == Type::kHash) out.items.push_back("v" + number);
    if (type == Type::kSortedSet) out.scores.push_back(i * 0.25 - 7);
  }
  return out;
}

TEST(RdbValue, TheChecksumIsTheOneThatRedisTests) {
  EXPECT_EQ(crc64("123456789"), 0xe9c6d914c4b8d9caull);
}

TEST(RdbValue, PayloadsAreThoseOfRedis) {
  const std::pair<const char*, Value> kOfRedis[] = {
      {"12010210100000000300816102c3e802dfff02ff0a00f2b343e3e3bd27c0",
       {.type = Type::kList, .items = {"a", "1000", "-1"}, .scores = {}}},
      {"0b0e0200000003000000010002002c010a00e510b28e7b9529aa",
       {.type = Type::kSet, .items = {"1", "2", "300"}, .scores = {}}},
      {"101212000000"
       "04008166028176028167020c01ff0a00de133993f783817e",
       {.type = Type::kHash, .items = {"f", "v", "g", "12"}, .scores = {}}},
      {"111414000000040081610283312e35048162020201ff0a00fa02b425af188763",
       {.type = Type::kSortedSet, .items = {"a", "b"}, .scores = {1.5, 2}}},
      {"02020374776f036f6e650a007397f7f01845844e",
       {.type = Type::kSet, .items = {"two", "one"}, .scores = {}}},
      {"00c30932016161e025000161610a0009ac48b9ab15fbc9",
       {.type = Type::kString, .items = {std::string(50, 'a')}, .scores = {}}},
  };
  for (const auto& [hex, value] : kOfRedis) {
    EXPECT_EQ(read_payload(from_hex(hex)), value) << hex;
    EXPECT_EQ(write_payload(value), from_hex(hex)) << hex;
  }
}

TEST(RdbValue, WhatIsWrittenIsReadAsTheSame) {
  for (const Type type : {Type::kList, Type::kSet, Type::kHash, Type::kSortedSet}) {
    for (const int size : {1, 3, 128, 129, 600, 3000}) {
      for (const std::size_t longest : {3u, 64u, 500u, 20000u}) {
        const Value value = big(type, size, longest > 500 && size > 200 ? 500 : longest);
        const auto read = read_payload(write_payload(value));
        ASSERT_TRUE(read.has_value());
        EXPECT_EQ(ordered(*read), ordered(value))
            << static_cast<int>(type) << " " << size << " " << longest;
      }
    }
  }
}

TEST(RdbValue, StringsOfAllFormsAreReadAsTheyWereWritten) {
  for (const std::string& text :
       {std::string(), std::string("0"), std::string("-128"), std::string("128"),
        std::string("-32769"), std::string("2147483647"), std::string("2147483648"),
        std::string("007"), std::string("-0"), std::string("+1"), std::string("text"),
        std::string(63, 'a'), std::string(64, 'a'), std::string(16383, 'a'),
        std::string(16384, 'a'), std::string("\0\xff", 2)}) {
    const Value value{.type = Type::kString, .items = {text}, .scores = {}};
    EXPECT_EQ(read_payload(write_payload(value)), value) << text.substr(0, 20);
  }
}

TEST(RdbValue, IntegersOfEachWidthGoThroughAListpack) {
  std::vector<std::string> numbers;
  for (int bit = 0; bit < 63; ++bit) {
    for (const std::int64_t near : {-1, 0, 1}) {
      numbers.push_back(std::to_string((1ll << bit) + near));
      numbers.push_back(std::to_string(-(1ll << bit) + near));
    }
  }
  numbers.push_back(std::to_string(std::numeric_limits<std::int64_t>::min()));
  ListpackWriter writer;
  Budget budget = ample();
  for (const std::string& number : numbers) writer.add(number);
  EXPECT_EQ(read_listpack(writer.finish(), budget), numbers);
}

TEST(RdbValue, ACopyMayReachIntoWhatItMakes) {
  // "abcabcabca" as three bytes and a copy of seven from three back.
  EXPECT_EQ(decompress_lzf(std::string("\x02"
                                       "abc\xa0\x02",
                                       6),
                           10),
            std::string("abcabcabca"));
  EXPECT_FALSE(decompress_lzf(std::string("\x02"
                                          "abc\xa0\x03",
                                          6),
                              10)
                   .has_value());
  EXPECT_FALSE(decompress_lzf(std::string("\x02"
                                          "abc\xa0\x02",
                                          6),
                              9)
                   .has_value());
  EXPECT_FALSE(decompress_lzf(std::string("\x02"
                                          "abc\xa0\x02",
                                          6),
                              11)
                   .has_value());
  EXPECT_FALSE(decompress_lzf(std::string("\x02"
                                          "ab",
                                          3),
                              3)
                   .has_value());
  EXPECT_FALSE(decompress_lzf("\x20", 1u << 30).has_value());
}

TEST(RdbValue, WhatIsCompressedComesOutAsItWas) {
  std::string text;
  for (std::uint32_t i = 0; i < 70'000; ++i) {
    const std::uint32_t random = i * 2654435761u;
    // Parts that repeat near and far, and parts that do not.
    text += static_cast<char>(i % 9000 < 4000 ? random >> 24 : 'a' + i % (1 + i / 10'000));
  }
  for (const std::size_t size : {1u, 2u, 3u, 4u, 21u, 33u, 265u, 300u, 9000u, 20'000u, 70'000u}) {
    for (const std::size_t from : {0u, 4000u, 8999u}) {
      const std::string part = text.substr(from, size);
      const std::string compressed = compress_lzf(part, 2 * size + 8);
      EXPECT_EQ(decompress_lzf(compressed, part.size()), part) << from << " " << size;
      EXPECT_EQ(compress_lzf(part, compressed.size() + 4), compressed);
      EXPECT_EQ(compress_lzf(part, compressed.size() - 1), "");
    }
  }
}

// The table of places is one per thread.
TEST(RdbValue, WhatIsCompressedDoesNotDependOnWhatWasBefore) {
  const auto compressed = [](const std::string& text) {
    return compress_lzf(text, 2 * text.size());
  };
  const std::string first = "0123456789abcdef0123456789abcdef";
  const std::string once = compressed(first);
  EXPECT_LT(once.size(), first.size());
  // Its parts at other places, also where the first one had others, and longer ones between.
  const std::string second = "--abcdef0123456789abcdef--0123456789";
  const std::string alone = [&] {
    std::string out;
    std::thread([&] { out = compressed(second); }).join();
    return out;
  }();
  for (const std::string& before : {first, std::string(100'000, 'a'), std::string("ab"), second}) {
    compressed(before);
    EXPECT_EQ(compressed(second), alone);
    compressed(before);
    EXPECT_EQ(compressed(first), once);
  }
  EXPECT_EQ(decompress_lzf(alone, second.size()), second);
  // Giving up leaves nothing behind either.
  EXPECT_EQ(compress_lzf(first, 4), "");
  EXPECT_EQ(compressed(first), once);
}

TEST(RdbValue, FormsOfEarlierVersionsAreRead) {
  const Value list{.type = Type::kList, .items = {"a", "1000", "-1"}, .scores = {}};
  // A ziplist: its size, its last element, three elements.
  const std::string ziplist = from_hex(
      "15000000"
      "11000000"
      "0300"
      "000161"
      "03c0e803"
      "04feff"
      "ff");
  Budget budget = ample();
  EXPECT_EQ(read_ziplist(ziplist, budget), list.items);
  std::string content("\x0a");
  content += static_cast<char>(ziplist.size());
  EXPECT_EQ(read_payload(sealed(content + ziplist)), list);

  const Value scores{.type = Type::kSortedSet,
                     .items = {"a", "b", "c"},
                     .scores = {1.5, std::numeric_limits<double>::infinity(),
                                -std::numeric_limits<double>::infinity()}};
  EXPECT_EQ(read_payload(sealed(from_hex("03"
                                         "03"
                                         "0161"
                                         "03312e35"
                                         "0162"
                                         "fe"
                                         "0163"
                                         "ff"))),
            scores);
}

TEST(RdbValue, HashesWithFieldsThatExpireAreReadInTheFormsOfRedis74) {
  const Value hash{.type = Type::kHash,
                   .items = {"a", "1", "b", "2"},
                   .scores = {},
                   .expiries_ms = {1'000'000'000'000, kNoExpiry}};
  EXPECT_EQ(read_payload(write_payload(hash)), hash);
  // The first expiry; two fields, each behind how much later it expires, and one more.
  EXPECT_EQ(read_payload(sealed(from_hex("18"
                                         "0010a5d4e8000000"
                                         "02"
                                         "01"
                                         "0161"
                                         "0131"
                                         "00"
                                         "0162"
                                         "0132"))),
            hash);
  // The first expiry; a listpack of fields, values and expiries.
  ListpackWriter packed;
  for (const std::string_view item : {"a", "1", "1000000000000", "b", "2", "0"}) packed.add(item);
  const std::string listpack = packed.finish();
  EXPECT_EQ(read_payload(sealed(from_hex("190010a5d4e8000000") +
                                static_cast<char>(listpack.size()) + listpack)),
            hash);
  for (const std::string_view wrong : {"1", "0", "x"}) {
    ListpackWriter bad;
    for (const std::string_view item : {std::string_view("a"), wrong}) bad.add(item);
    const std::string content = bad.finish();
    EXPECT_EQ(read_payload(sealed(from_hex("190010a5d4e8000000") +
                                  static_cast<char>(content.size()) + content))
                  .error(),
              PayloadError::kFormat);
  }
}

TEST(RdbValue, APayloadOfAnotherVersionOrChecksumIsRefused) {
  const Value value{.type = Type::kString, .items = {"text"}, .scores = {}};
  const std::string payload = write_payload(value);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    std::string damaged = payload;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_EQ(read_payload(damaged).error(), PayloadError::kVersionOrChecksum) << i;
  }
  EXPECT_EQ(read_payload("short").error(), PayloadError::kVersionOrChecksum);
}

TEST(RdbValue, WhatIsNoValueIsRefusedThoughItsChecksumIsRight) {
  for (const char* hex : {
           "",                      // nothing
           "00",                    // a string without a length
           "0005616263",            // one that ends too early
           "00c4",                  // in an unknown form
           "0200",                  // a set without members
           "020201610161",          // one with a member twice
           "0281ffffffffffffffff",  // one with more members than there can be
           "0401016101",            // a hash with a value that ends too early
           "050101610000000000"
           "00f87f",                        // NaN
           "030101610378",                  // a score in text that ends too early
           "0b0403000000",                  // an intset of an unknown width
           "0b0c020000000200000002000100",  // one out of order
           "1007"
           "07000000"
           "0100"
           "ff",  // a listpack with another number of elements
           "1009"
           "09000000"
           "0100"
           "0101ff",  // a hash with a field and no value
           "1108"
           "08000000"
           "0100"
           "01ff",  // an element without the length behind it
           "120103"
           "00",    // a node in an unknown form
           "0f00",  // a stream
           "000161"
           "00",  // more behind the value
           "00c30540"
           "00",  // a compressed string that ends too early
       }) {
    EXPECT_EQ(read_payload(sealed(from_hex(hex))).error(), PayloadError::kFormat) << hex;
  }
}

// Blocks of `size` elements, of two bytes or more each.
std::string listpack_of(std::size_t size) {
  ListpackWriter writer;
  for (std::size_t i = 0; i < size; ++i) writer.add("1");
  return writer.finish();
}
std::string ziplist_of(std::size_t size) {
  std::string out;
  put_little_endian(out, static_cast<std::uint32_t>(11 + 2 * size));
  put_little_endian(out, std::uint32_t{0});
  put_little_endian(out, static_cast<std::uint16_t>(std::min<std::size_t>(size, 0xffff)));
  for (std::size_t i = 0; i < size; ++i)
    out += i == 0 ? std::string(2, '\0') : std::string("\2\0", 2);
  return out + '\xff';
}
std::string intset_of(std::size_t size) {
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 0; i < size; ++i) numbers.push_back(static_cast<std::int64_t>(i));
  return write_intset(numbers);
}

std::string long_length(std::size_t size) {
  std::string out = "\x80";
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  return out;
}
std::string as_string(const std::string& bytes, bool compressed) {
  if (!compressed) return long_length(bytes.size()) + bytes;
  const std::string packed = compress_lzf(bytes, bytes.size());
  return "\xc3" + long_length(packed.size()) + long_length(bytes.size()) + packed;
}

TEST(RdbValue, NoMoreIsReadThanTheBudgetAllows) {
  constexpr std::size_t kSize = 70'000;
  const auto announced = [](const char* type) { return type + long_length(kSize); };
  std::string members = announced("\x02");
  std::string fields = announced("\x04");
  std::string scores = announced("\x05");
  std::string scores_in_text = announced("\x03");
  for (std::size_t i = 0; i < kSize; ++i) {
    std::string name = "\xc2";
    put_little_endian(name, static_cast<std::uint32_t>(i));
    members += name;
    fields += name + std::string(1, '\0');
    scores += name + std::string(8, '\0');
    scores_in_text += name + "\x01" + "0";
  }
  std::string plain_nodes = announced("\x12");
  for (std::size_t i = 0; i < kSize; ++i) plain_nodes += std::string("\x01\x00", 2);
  std::string items = announced("\x01") + std::string(kSize, '\0');
  struct {
    std::string content;
    std::size_t elements;
    std::size_t bytes;  // that are decompressed
  } const kCases[] = {
      {std::string(1, '\0') + as_string(std::string(50'000, 'x'), true), 1, 50'000},
      {std::string(1, '\0') + as_string(std::string(50'000, 'x'), false), 1, 0},
      {"\x0a" + as_string(ziplist_of(kSize), true), kSize, 2 * kSize + 11},
      {"\x0a" + as_string(ziplist_of(kSize), false), kSize, 0},
      {"\x0e\x01" + as_string(ziplist_of(kSize), true), kSize, 2 * kSize + 11},
      {"\x12\x01\x02" + as_string(listpack_of(kSize), true), kSize, 2 * kSize + 7},
      {"\x12\x01\x02" + as_string(listpack_of(kSize), false), kSize, 0},
      {"\x0b" + as_string(intset_of(kSize), false), kSize, 0},
      {items, kSize, 0},
      {plain_nodes, kSize, 0},
      {members, kSize, 0},
      {fields, 2 * kSize, 0},
      {scores, kSize, 0},
      {scores_in_text, kSize, 0},
  };
  for (const auto& [content, elements, bytes] : kCases) {
    SCOPED_TRACE(static_cast<int>(content[0]));
    const std::string payload = sealed(content);
    Budget enough(elements * Budget::kElement + bytes);
    const auto value = rdb::read_payload(payload, enough);
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(std::get<Value>(*value).items.size(), elements);
    EXPECT_FALSE(enough.take(1));  // all of it was needed
    Budget less(elements * Budget::kElement + bytes - 1);
    EXPECT_EQ(rdb::read_payload(payload, less).error(), PayloadError::kMemory);
    EXPECT_TRUE(less.exceeded());
  }
}

// Each block of eight elements, with a budget for them and one for seven.
TEST(RdbValue, PackedElementsAreMadeOnlyWhereTheBudgetHasRoom) {
  const auto read = [](auto reader, const std::string& block, std::size_t elements) {
    Budget budget(elements * Budget::kElement);
    return reader(block, budget);
  };
  EXPECT_TRUE(read(read_listpack, listpack_of(8), 8).has_value());
  EXPECT_FALSE(read(read_listpack, listpack_of(8), 7).has_value());
  EXPECT_TRUE(read(read_ziplist, ziplist_of(8), 8).has_value());
  EXPECT_FALSE(read(read_ziplist, ziplist_of(8), 7).has_value());
  EXPECT_TRUE(read(read_intset, intset_of(8), 8).has_value());
  EXPECT_FALSE(read(read_intset, intset_of(8), 7).has_value());
}

TEST(RdbValue, ABudgetThatIsExceededGivesNothingMore) {
  Budget budget(2 * Budget::kElement);
  EXPECT_TRUE(budget.take_element());
  EXPECT_FALSE(budget.take(UINT64_MAX));
  EXPECT_FALSE(budget.take(1));
  EXPECT_FALSE(budget.take_element());
  EXPECT_TRUE(budget.exceeded());
}

TEST(RdbValue, AnyPrefixOfAValueIsRefused) {
  for (const Type type : {Type::kList, Type::kSet, Type::kHash, Type::kSortedSet}) {
    const std::string whole = write_value(big(type, 20, 20));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      std::string_view prefix = std::string_view(whole).substr(0, size);
      Budget budget = ample();
      EXPECT_FALSE(read_value(prefix, budget).has_value()) << static_cast<int>(type) << " " << size;
    }
  }
}

}  // namespace
}  // namespace even::rdb
