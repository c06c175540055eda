// The causes of a partition: what the sessions had seen that have written to it at CAUSAL, as a set
// under a key that is not for clients. What its members say: replica/causality.h.
#pragma once

#include <string_view>

#include "engine/command.h"

namespace even {

// The name of ReservedKeys.
inline constexpr std::string_view kCausesName{"\0even:causes", 12};

// even.causes key changes member...: `changes` has a byte for each member: '+' adds it, '-' removes
// it. Replies +OK. Not in the command table.
extern const Command kCausesCommand;

}  // namespace even
