#include "cluster/topic_ranges.h"

#include <algorithm>

namespace even::cluster {
namespace {

constexpr char kRangeSeparator = '/';

const Keyspace* find_row(std::span<const Keyspace> topics, std::string_view name) {
  const auto found = std::ranges::lower_bound(topics, name, {}, &Keyspace::name);
  return found == topics.end() || found->name != name ? nullptr : &*found;
}

}  // namespace

bool is_added_range(const Keyspace& row) {
  return row.topic && row.name.find(kRangeSeparator) != std::string::npos;
}

std::string_view topic_of_range(const Keyspace& row) {
  return std::string_view(row.name).substr(0, row.name.find(kRangeSeparator));
}

std::string added_range_name(std::string_view topic, std::size_t number) {
  std::string name(topic);
  name.push_back(kRangeSeparator);
  return name += std::to_string(number);
}

std::vector<const Keyspace*> ranges_of(std::span<const Keyspace> topics, std::string_view topic) {
  std::vector<const Keyspace*> ranges;
  if (topic.find(kRangeSeparator) != std::string_view::npos) return ranges;
  const Keyspace* created = find_row(topics, topic);
  if (created == nullptr) return ranges;
  ranges.push_back(created);
  std::string prefix(topic);
  prefix.push_back(kRangeSeparator);
  for (auto row = std::ranges::lower_bound(topics, prefix, {}, &Keyspace::name);
       row != topics.end() && row->name.starts_with(prefix); ++row) {
    // Ids ascend: what is before the topic's own is left of an earlier one, which was dropped by
    // nodes that did not know of such rows.
    if (row->first > created->first) ranges.push_back(&*row);
  }
  // Ids are given out in ascending order; names are ordered as texts.
  std::ranges::sort(ranges, {}, &Keyspace::first);
  return ranges;
}

std::uint16_t partitions_in(std::span<const Keyspace* const> ranges) {
  std::uint16_t count = 0;
  for (const Keyspace* range : ranges)
    count = static_cast<std::uint16_t>(count + range->partitions);
  return count;
}

std::optional<PartitionId> partition_of_topic(std::span<const Keyspace> topics,
                                              std::string_view topic, std::int64_t number) {
  const Keyspace* created = find_row(topics, topic);
  if (created == nullptr || is_added_range(*created) || number < 0) return std::nullopt;
  if (number < created->partitions) return static_cast<PartitionId>(created->first + number);
  for (const Keyspace* range : ranges_of(topics, topic)) {
    if (number < range->partitions) return static_cast<PartitionId>(range->first + number);
    number -= range->partitions;
  }
  return std::nullopt;
}

std::vector<PartitionId> partitions_of_topic(std::span<const Keyspace> topics,
                                             std::string_view topic) {
  std::vector<PartitionId> all;
  for (const Keyspace* range : ranges_of(topics, topic)) {
    for (std::uint32_t i = 0; i < range->partitions; ++i) {
      all.push_back(static_cast<PartitionId>(range->first + i));
    }
  }
  return all;
}

}  // namespace even::cluster
