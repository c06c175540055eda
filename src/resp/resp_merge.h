// Puts the replies of a command that was split over several nodes together into the one that a
// single node would have given. Works on the bytes of RESP replies; pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace even {

// One part of a split command: which of the command's keys (by their order) it was about, and the
// reply to it.
struct PartReply {
  std::vector<std::size_t> keys;
  std::string reply;
};

// The first part's error, if any of them is one; else the sum, the elements in the order of the
// keys or of the parts, or +OK, as `split` says.
std::string merge_replies(Split split, std::size_t key_count, std::span<const PartReply> parts);

// Bytes of the reply at the start of `bytes`; 0 when it is not whole or not RESP.
std::size_t reply_length(std::string_view bytes);

}  // namespace even
