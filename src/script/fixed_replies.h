// Replies that a script in a strong keyspace may see: each member of the group executes it on its
// own, so they have to be the same everywhere by the same state.
#pragma once

#include <string>

#include "engine/command.h"

namespace even {

// Whether members may come to different replies, other than in the order of what is in them.
bool differs_between_members(const Command& command);

// Puts a reply whose order is none into that of its bytes, as Redis did for scripts up to 6.2:
// members, or fields with their values. Leaves other commands' as they are, and errors.
void put_in_order(const Command& command, std::string& reply);

}  // namespace even
