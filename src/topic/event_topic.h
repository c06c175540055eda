// The topic that an event is for, as the event says it.
//
// Where an event goes follows from the event alone, whatever becomes of its topic until it is
// there: whoever relays it, and whatever number of partitions it knows of, takes it to the same
// one. So an event that was made when its topic had been given partitions says, behind the topic's
// name, how many there were, and in which life of the topic: "name/partitions/life". See
// docs/emit.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace even::topic {

struct EventTopic {
  std::string_view name;
  std::uint16_t partitions = 0;  // 0: as many as the topic was created with
  PartitionId life = 0;          // the topic's first partition

  bool operator==(const EventTopic&) const = default;
};

std::string event_topic_text(const EventTopic& topic);
// What is no such text is a name.
EventTopic read_event_topic(std::string_view text);

}  // namespace even::topic
