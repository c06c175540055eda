#include "topic/event.h"

#include <gtest/gtest.h>

#include "topic/event_id.h"
#include "topic/record_batch.h"

namespace even::topic {
namespace {

// From org.apache.kafka.common.utils.UtilsTest.
TEST(Event, KeysAreHashedAsByKafka) {
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("21")), -973932308);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("foobar")), -790332482);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("a-little-bit-long-string")), -985981536);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("a-little-bit-longer-string")), -1486304829);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
            -58897971);
  EXPECT_EQ(static_cast<std::int32_t>(murmur2("abc")), 479470107);
}

TEST(Event, WithoutAKeyTheSourceSaysWhere) {
  EXPECT_EQ(partition_of({.topic = "t", .key = "", .value = "v", .headers = {}}, 7, 4), 3);
  EXPECT_EQ(partition_of({.topic = "t", .key = "abc", .value = "v", .headers = {}}, 7, 4),
            479470107 % 4);
}

TEST(Event, IsReadAsItWasWritten) {
  const Event event{.topic = "t", .key = "", .value = "v", .headers = {{"a", "1"}, {"", ""}}};
  const std::string bytes = event.encode();
  const auto read = Event::decode(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->topic, "t");
  EXPECT_EQ(read->key, "");
  EXPECT_EQ(read->value, "v");
  EXPECT_EQ(read->headers, event.headers);
  for (std::size_t size = 0; size < 13; ++size) {
    EXPECT_FALSE(Event::decode(std::string_view(bytes).substr(0, size))) << size;
  }
}

TEST(Event, ManyAreABatchThatATopicTakes) {
  const Event one{.topic = "t", .key = "k", .value = "v", .headers = {{"a", "1"}}};
  const Event two{.topic = "t", .key = "", .value = std::string_view("\0x", 2), .headers = {}};
  const TimedEvent events[] = {{one, 2'000}, {two, 1'000}, {one, 3'000}};
  const std::string batch = make_batch(events);
  EXPECT_EQ(check_batch(batch), BatchFault::kNone);
  const auto head = read_head(batch);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->records, 3);
  EXPECT_EQ(head->base_timestamp, 2'000);
  EXPECT_EQ(head->max_timestamp, 3'000);
  EXPECT_EQ(head->producer_id, -1);
}

TEST(EventIds, OfOneOriginAreInTheirOrder) {
  const EventIds ids{3, {{1, 5, 0}, {2, 1, 0}, {1, 5, 1}, {1, 6, 0}}};
  EXPECT_EQ(EventIds::decode(ids.encode()), ids);
  EXPECT_FALSE(EventIds::decode(EventIds{3, {{1, 5, 1}, {1, 5, 1}}}.encode()));
  EXPECT_FALSE(EventIds::decode(EventIds{3, {{1, 5, 1}, {2, 9, 0}, {1, 5, 0}}}.encode()));
  EXPECT_FALSE(EventIds::decode(EventIds{3, {}}.encode()));
  EXPECT_FALSE(EventIds::decode(ids.encode().substr(1)));
  EXPECT_FALSE(EventIds::decode(""));
}

TEST(EventId, SortsAsItsBytesDo) {
  const auto bytes = [](EventId id) {
    std::string out;
    id.encode(out);
    return out;
  };
  EXPECT_LT(bytes({1, 255, 0}), bytes({1, 256, 0}));
  EXPECT_LT(bytes({1, 256, 255}), bytes({1, 256, 256}));
  EXPECT_EQ(EventId::decode(bytes({7, 8, 9})), (EventId{7, 8, 9}));
  EXPECT_FALSE(EventId::decode("short"));
}

}  // namespace
}  // namespace even::topic
