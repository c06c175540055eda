// Streams in the form of Redis's files, for DUMP and RESTORE.
#pragma once

#include <expected>
#include <string_view>

#include "engine/context.h"
#include "lattice/types/stream_field.h"
#include "rdb/stream_value.h"

namespace even {

// Where ids that nodes have given at the same time are not in the form's order: an id of two
// entries is the error, and a group is said to have been given what is before the first entry that
// it has not been given.
std::expected<rdb::StreamValue, StreamId> dumped_stream(const Object& object);
// The key has been removed. Its entries are all of this replica, and have been delivered to a group
// up to where the group has read.
void write_restored_stream(Context& context, std::string_view key, const rdb::StreamValue& value);

}  // namespace even
