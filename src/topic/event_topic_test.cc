#include "topic/event_topic.h"

#include <gtest/gtest.h>

namespace even::topic {
namespace {

TEST(EventTopic, SaysItsPartitionsOnceItHasBeenGivenSome) {
  EXPECT_EQ(event_topic_text({"orders"}), "orders");
  EXPECT_EQ(event_topic_text({"orders", 6, 301}), "orders/6/301");
  for (const EventTopic& topic : {EventTopic{"orders"}, EventTopic{"a.b-c_d", 65535, 59999}}) {
    EXPECT_EQ(read_event_topic(event_topic_text(topic)), topic);
  }
}

TEST(EventTopic, WhatIsNoSuchTextIsAName) {
  for (const char* text : {"", "/", "//", "o/1", "o/x/1", "o/1/x", "o/0/1", "o/65536/1", "o/1/1/1",
                           "o/-1/1", "o/1/"}) {
    EXPECT_EQ(read_event_topic(text), EventTopic{text}) << text;
  }
}

}  // namespace
}  // namespace even::topic
