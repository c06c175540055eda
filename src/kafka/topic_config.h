// What of Kafka's configuration of topics can be set, and what is as it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/keyspace_table.h"

namespace even::kafka {

// Sets one setting of a topic; no value: as if it had never been set. The error says why it cannot
// be.
Result<> set_config(cluster::Keyspace& topic, std::string_view name,
                    const std::optional<std::string>& value);

struct TopicConfig {
  std::string_view name;
  std::string value;
  bool set = false;  // not as by default
  bool fixed = false;
};
std::vector<TopicConfig> configs_of(const cluster::Keyspace& topic);

}  // namespace even::kafka
