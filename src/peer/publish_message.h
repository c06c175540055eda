// What one thread of a node publishes in a turn, on its way to the other nodes: bodies of frames of
// type 10 (docs/formats/peer.md).
//
// Pure functions on values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "client/subscriptions.h"

namespace even {

// Puts a message behind those that are in `out`.
void append_published(const Published& published, std::string& out);
// All of them, in order; they view `bytes`.
Result<std::vector<Published>> decode_published(std::string_view bytes);

}  // namespace even
