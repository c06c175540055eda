// The partitions of a topic by their numbers. A topic has those that it was created with, whose ids
// are one range, and may be given more later, each time another range. Such a range is a row of its
// own in the table of keyspaces, which is called "topic/1", "topic/2" and so on, as no topic can be
// called: so whatever holds for the partitions of a row (who founds them, who has them, when they
// have been dropped, how much of them stays) holds for these with nothing more.
//
// `topics` are those of a table, by name; what is returned refers to them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/keyspace_table.h"

namespace even::cluster {

// Whether a row is of partitions that a topic was given later.
bool is_added_range(const Keyspace& row);
// The name of the topic that a row is of.
std::string_view topic_of_range(const Keyspace& row);
// What the range is called that is the `number`-th that was added, from 1 on.
std::string added_range_name(std::string_view topic, std::size_t number);

// In the order of their numbers, the first is what the topic was created with; none: there is no
// such topic.
std::vector<const Keyspace*> ranges_of(std::span<const Keyspace> topics, std::string_view topic);
// How many there are in these.
std::uint16_t partitions_in(std::span<const Keyspace* const> ranges);
// That of a topic with this number; none: there is none.
std::optional<PartitionId> partition_of_topic(std::span<const Keyspace> topics,
                                              std::string_view topic, std::int64_t number);
// All of a topic, by their numbers.
std::vector<PartitionId> partitions_of_topic(std::span<const Keyspace> topics,
                                             std::string_view topic);

}  // namespace even::cluster
