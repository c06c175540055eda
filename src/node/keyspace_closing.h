// Closing the groups of a strong keyspace before it is dropped, so that nothing is written to it
// behind their backs who have found it empty, and opening them again: see docs/groups.md, "Dropping
// a keyspace".
//
// On a thread, which outlives what is called here, and which `done` is called on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/keyspace_table.h"

namespace even {

class ShardThread;

struct ClosedKeyspace {
  // If it has keys no group is closed any more, and there is no attempt.
  std::uint64_t keys = 0;
  // The number that dropping it goes by.
  std::uint64_t attempt = 0;
};
// The error is a reply, "-UNAVAILABLE ...\r\n"; then groups have been opened again as far as they
// can be reached. The others are by their leaders.
using KeyspaceClosed = std::move_only_function<void(Result<ClosedKeyspace>)>;
void close_keyspace(ShardThread& thread, const cluster::Keyspace& keyspace, KeyspaceClosed done);
// Of an attempt that nobody will drop the keyspace by. Nothing is said of groups that cannot be
// reached.
void open_keyspace(ShardThread& thread, const cluster::Keyspace& keyspace, std::uint64_t attempt,
                   std::move_only_function<void()> done);
// This node leads a group that has been left closed: opens it once it is certain that the keyspace
// is not dropped by this attempt.
void open_group_left_closed(ShardThread& thread, PartitionId group, std::uint64_t attempt);

}  // namespace even
