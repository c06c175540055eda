// How many keys there are under the prefix of a keyspace that is to be created, which it would
// hide, or in one that is to be dropped. On a thread, which `done` is called on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cluster/keyspace_table.h"

namespace even {

class ShardThread;

// The error is a reply, "-UNAVAILABLE ...\r\n".
using KeysCounted = std::move_only_function<void(Result<std::uint64_t>)>;
// Of all databases, among the keys of eventual keyspaces.
void count_eventual_keys(ShardThread& thread, std::string_view prefix, KeysCounted done);
// In the groups of a strong keyspace.
void count_keys_in_groups(ShardThread& thread, const cluster::Keyspace& keyspace,
                          std::string_view prefix, KeysCounted done);
// Where they are before there is a keyspace with just this prefix.
void count_keys_to_hide(ShardThread& thread, std::string_view prefix, KeysCounted done);

}  // namespace even
