// EVEN.EMIT within MULTI: see docs/emit.md. It is queued as a command of the outbox, and placed by
// EXEC in the partition of the change that it is about.
#pragma once

#include "base/result.h"
#include "node/owned_request.h"

namespace even {

class ShardThread;

// What is queued for it, its arity checked; the error is a reply's text.
Result<OwnedRequest> queued_event(ShardThread& thread, Args args, bool resp3,
                                  const ClientLabel& client);
// Of what EXEC executes: each event goes with the key that the last command before it names, or
// else the first one behind it, or else one that is watched, or else its own.
void place_events(ShardThread& thread, OwnedRequest& exec);

}  // namespace even
