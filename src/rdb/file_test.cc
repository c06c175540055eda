#include "rdb/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "base/bytes.h"
#include "rdb/crc64.h"
#include "rdb/length.h"
#include "rdb/packed.h"

namespace even::rdb {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kBytes = 1 << 20;

// One that redis-server 7.0 has written.
std::string small_file() {
  std::ifstream in(EVEN_SOURCE_DIR "/tests/corpus/rdb_file_fuzz/redis-7.0", std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  return std::move(content).str();
}

// Its error; empty: it was read to its end.
std::string error_of(std::string_view bytes) {
  FileReader reader(bytes, kBytes);
  if (const Result<> begun = reader.begin(); !begun) return begun.error().message;
  FileKey key;
  for (;;) {
    const Result<bool> more = reader.next(key);
    if (!more) return more.error().message;
    if (!*more) return {};
  }
}

TEST(RdbFile, ReadsWhatRedisHasWritten) {
  const std::string bytes = small_file();
  FileReader reader(bytes, kBytes);
  ASSERT_TRUE(reader.begin());
  std::map<std::string, FileKey> keys;
  for (FileKey key;;) {
    const Result<bool> more = reader.next(key);
    ASSERT_TRUE(more) << more.error().message;
    if (!*more) break;
    // A value as it stands there is a payload's.
    Budget budget(kBytes);
    const auto again = read_payload(
        payload_of(std::string(1, static_cast<char>(key.type)).append(key.content)), budget);
    ASSERT_TRUE(again) << key.key;
    EXPECT_TRUE(*again == key.value) << key.key;
    keys.emplace(key.key, key);
  }
  EXPECT_EQ(reader.end(), bytes.size());
  ASSERT_EQ(keys.size(), 11u);
  const auto items = [&keys](const char* key) { return std::get<Value>(keys.at(key).value).items; };
  EXPECT_THAT(items("string"), ElementsAre("text"));
  EXPECT_THAT(items("number"), ElementsAre("12345"));
  EXPECT_EQ(items("long")[0].size(), 80u);
  EXPECT_THAT(items("list"), ElementsAre("a", "b"));
  EXPECT_THAT(items("set"), testing::UnorderedElementsAre("m", "n"));
  EXPECT_THAT(items("intset"), testing::UnorderedElementsAre("1", "2"));
  EXPECT_THAT(items("hash"), ElementsAre("f", "v"));
  EXPECT_THAT(std::get<Value>(keys.at("sorted").value).scores, ElementsAre(1.5));
  EXPECT_EQ(keys.at("expires").expires_at_ms, 4102444800000);
  EXPECT_FALSE(keys.at("string").expires_at_ms);
  EXPECT_EQ(keys.at("other").database, 3u);
  EXPECT_EQ(keys.at("list").database, 0u);

  const auto& stream = std::get<StreamValue>(keys.at("stream").value);
  ASSERT_EQ(stream.entries.size(), 2u);
  EXPECT_EQ(stream.entries[0].id.text(), "1-2");
  EXPECT_THAT(stream.entries[0].fields, ElementsAre("f", "w"));
  EXPECT_THAT(stream.entries[1].fields, ElementsAre("g", "w", "h", "x"));
  EXPECT_EQ(stream.last.text(), "2-0");
  EXPECT_EQ(stream.max_deleted.text(), "1-1");
  EXPECT_EQ(stream.added, 3u);
  ASSERT_EQ(stream.groups.size(), 1u);
  const StreamValue::Group& group = stream.groups[0];
  EXPECT_EQ(group.name, "group");
  EXPECT_EQ(group.last_delivered.text(), "1-2");
  ASSERT_EQ(group.consumers.size(), 1u);
  EXPECT_EQ(group.consumers[0].name, "consumer");
  ASSERT_EQ(group.pending.size(), 1u);
  EXPECT_EQ(group.pending[0].id.text(), "1-2");
  EXPECT_EQ(group.pending[0].consumer, "consumer");
  EXPECT_EQ(group.pending[0].deliveries, 1u);
}

// What stands there once and is copied for each entry counts as often.
TEST(RdbFile, AStreamTakesNoMoreMemoryThanThereMayBe) {
  const std::string name(100'000, 'n');
  constexpr std::uint64_t kEntries = 200;
  // One listpack, all of whose entries have the field of the first.
  ListpackWriter packed;
  for (const std::uint64_t number : {kEntries, std::uint64_t{0}, std::uint64_t{1}}) {
    packed.add(std::to_string(number));
  }
  packed.add(name);
  packed.add("0");
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    for (const auto& word : {std::string("2"), std::string("0"), std::to_string(i)}) {
      packed.add(word);
    }
    packed.add("v");
    packed.add("4");
  }
  std::string entries(1, 19);
  put_length(entries, 1);
  put_string(entries, std::string(7, '\0') + '\1' + std::string(8, '\0'));
  put_string(entries, packed.finish());
  for (const std::uint64_t number : {kEntries, std::uint64_t{1}, kEntries - 1}) {
    put_length(entries, number);
  }
  for (int i = 0; i < 4; ++i) put_length(entries, 0);  // the first, and the greatest deleted one
  put_length(entries, kEntries);
  put_length(entries, 0);  // groups

  StreamValue pending;
  pending.last = {9, 9};
  pending.groups.push_back({"g", {1, 1}, 0, {{name, 0}}, {}});
  for (std::uint64_t i = 1; i <= kEntries; ++i) {
    pending.groups[0].pending.push_back({{1, i}, 0, 1, name});
  }
  for (const std::string& payload : {payload_of(entries, 10), write_payload(pending)}) {
    Budget little(10 * kBytes);
    const auto refused = read_payload(payload, little);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), PayloadError::kMemory);
    Budget enough(100 * kBytes);
    EXPECT_TRUE(read_payload(payload, enough));
  }
}

TEST(RdbFile, AStreamIsReadAgainAsItWasWritten) {
  StreamValue stream;
  for (std::uint64_t i = 1; i <= 250; ++i) {
    std::vector<std::string> fields{"field", std::to_string(i), "text", std::string(i, 'x')};
    if (i % 9 == 0) fields.resize(2);
    if (i % 11 == 0) fields[0] = "other";
    stream.entries.push_back({{i / 3 + 1, i}, std::move(fields)});
  }
  stream.entries.push_back({{UINT64_MAX, 0}, {"", ""}});  // further away than a number may be
  stream.last = {UINT64_MAX, UINT64_MAX};
  stream.max_deleted = {3, 5};
  stream.added = 400;
  stream.groups.push_back({"none", {}, -1, {}, {}});
  stream.groups.push_back({"some",
                           {84, 250},
                           250,
                           {{"a", 1'700'000'000'000}, {"idle", -1}, {"123", 5}},
                           {{{1, 1}, 1'700'000'000'000, 3, "a"}, {{2, 3}, 0, 0, "123"}}});
  constexpr std::uint64_t kEnough = 16 * kBytes;
  const std::string payload = write_payload(stream);
  Budget budget(kEnough);
  const auto again = read_payload(payload, budget);
  ASSERT_TRUE(again);
  EXPECT_TRUE(std::get<StreamValue>(*again) == stream);
  // What stands there twice.
  const auto refused = [](StreamValue value) {
    Budget any(kEnough);
    return read_payload(write_payload(value), any) == std::unexpected(PayloadError::kFormat);
  };
  StreamValue wrong = stream;
  wrong.groups[0].name = "some";
  EXPECT_TRUE(refused(wrong));
  wrong = stream;
  wrong.groups[1].consumers[1].name = "a";
  EXPECT_TRUE(refused(wrong));
  wrong = stream;
  wrong.groups[1].pending[1].id = {1, 1};
  EXPECT_TRUE(refused(wrong));
  wrong = stream;
  wrong.entries[1].id = wrong.entries[0].id;
  EXPECT_TRUE(refused(wrong));
  wrong = {};
  wrong.entries.push_back({{}, {"f", "v"}});
  wrong.added = 1;
  EXPECT_TRUE(refused(wrong));
}

// Redis 7.0 refuses it, too.
TEST(RdbFile, AnEntryIsPendingForOneConsumer) {
  StreamValue value;
  value.last = {2, 1};
  value.groups.push_back({"g", {2, 1}, 0, {{"a", 0}, {"b", 0}}, {}});
  value.groups[0].pending.push_back({{1, 1}, 0, 1, "a"});
  value.groups[0].pending.push_back({{2, 1}, 0, 1, "b"});
  std::string payload = write_payload(value);
  Budget budget(16 * kBytes);
  ASSERT_TRUE(read_payload(payload, budget));
  // What b has is the first one, as well.
  std::string first, second;
  for (const std::uint64_t number : {1, 1}) put_big_endian(first, number);
  for (const std::uint64_t number : {2, 1}) put_big_endian(second, number);
  payload.replace(payload.rfind(second), second.size(), first);
  payload.resize(payload.size() - 8);
  put_little_endian(payload, crc64(payload));
  EXPECT_EQ(read_payload(payload, budget), std::unexpected(PayloadError::kFormat));
}

TEST(RdbFile, GoesOnBehindAnyKey) {
  const std::string bytes = small_file();
  FileReader reader(bytes, kBytes);
  ASSERT_TRUE(reader.begin());
  FileKey key;
  for (int left = 10; *reader.next(key); --left) {
    FileReader other(bytes, kBytes);
    ASSERT_TRUE(other.begin(reader.place()));
    FileKey next;
    int more = 0;
    while (*other.next(next)) ++more;
    EXPECT_EQ(more, left);
    if (left == 0) break;
  }
  EXPECT_FALSE(reader.begin({bytes.size() + 1, 0}));
}

TEST(RdbFile, RefusesWhatIsCutOrChanged) {
  const std::string bytes = small_file();
  ASSERT_EQ(error_of(bytes), "");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(error_of(std::string_view(bytes).substr(0, size)), "") << size;
  }
  for (std::size_t at = 9; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_NE(error_of(changed), "") << at;
  }
  EXPECT_THAT(error_of("REDIS0099"), HasSubstr("version 99"));
  EXPECT_THAT(error_of("REDIS00x1"), HasSubstr("its version is no number"));
  EXPECT_THAT(error_of("*1\r\n$4\r\nPING\r\n"), HasSubstr("no RDB file"));
  // Without a checksum.
  EXPECT_EQ(error_of(bytes.substr(0, bytes.size() - 8) + std::string(8, '\0')), "");
}

}  // namespace
}  // namespace even::rdb
