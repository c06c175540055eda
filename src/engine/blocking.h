// Commands that take from the first of several keys that has something, and those that wait until
// there is something to take: BLPOP, BZPOPMIN and their like. Executed, they take what is there, or
// reply null at once; who executes them for a client that may wait does so again when something has
// come (client/blocked_request.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/command.h"

namespace even {

// Whether a command is one of these.
inline bool may_block(const Command& command) {
  return (command.flags & kBlocking) != 0 && command.scope == Scope::kKeys;
}
// And whether this request is to wait: those on streams do only if they say BLOCK.
bool may_block(const Command& command, Args args);
// Replies an error and returns false when it is no timeout, which are seconds.
bool check_timeout(Context& context, std::string_view word);
// Of such a request, whose timeout has been found to be one; 0: none.
std::int64_t blocking_timeout_ms(const Command& command, Args args);

// The words of LMPOP, ZMPOP and their like behind the name: numkeys key... where [COUNT count].
struct MultiPop {
  Args keys;
  bool first_end = false;  // the one that the first word for it names
  std::size_t count = 1;
};
// `ends`: words in lower case. Replies an error and returns false when they are not such.
bool read_multi_pop(Context& context, Args words, const std::string_view (&ends)[2], MultiPop& out);

}  // namespace even
