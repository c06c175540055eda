// Changes of the table of keyspaces, topics and users: an entry of the metadata group
// (engine/cmd_meta.h), and then until the nodes in reach serve by what has come of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/keyspace_table.h"

namespace even {

class ShardThread;

// `done` takes "+OK\r\n" or an error as a reply, on the thread; "-PARTIAL ..." if some node does
// not serve by it yet.
using TableChanged = std::move_only_function<void(std::string reply)>;
void create_in_table(ShardThread& thread, const cluster::Keyspace& keyspace, TableChanged done);
// Any other entry that replies a version; `what`: is said to have been changed, where that is so.
void change_table(ShardThread& thread, std::vector<std::string> words, std::string_view what,
                  TableChanged done);
// An entry is words that every member executes. Whether all nodes of the configuration know these:
// have said that they have the ability (peer/peer_hello.h) since this node was started. If not, the
// error is a reply that refuses `what`.
Result<> all_know(ShardThread& thread, std::uint8_t ability, std::string_view what);
// The topic's limits become these.
void alter_topic(ShardThread& thread, const cluster::Keyspace& topic, TableChanged done);
void drop_topic(ShardThread& thread, const std::string& name, TableChanged done);

// A topic of so many partitions and replicas; 0: what is usual.
cluster::Keyspace new_topic(ShardThread& thread, std::string name, std::uint16_t partitions,
                            std::uint16_t replicas);

}  // namespace even
