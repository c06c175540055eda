// The node: puts the parts together, runs until a signal arrives, and takes them apart again.
//
// The main thread takes connections, serves HTTP and waits for signals; each shard has a thread of
// its own (shard_thread.h).
#pragma once

#include "node/config.h"

namespace even {

// Runs a node until SIGTERM or SIGINT. Returns the process's exit code: 0 after an orderly stop, 1
// when the node cannot start or its data could not be closed, 2 when the configuration is wrong.
// Logs why.
int run_node(Config config);

}  // namespace even
