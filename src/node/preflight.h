// What is wrong with a configuration that only the machine it is for can tell.
#pragma once

#include "base/result.h"
#include "node/config.h"

namespace even {

// Reads the TLS files and looks up the addresses to listen on, as the start of a node does, but
// takes no port and changes nothing. A name among the addresses is asked of the system's resolver,
// which may take its time. The error has a line for each thing that is wrong, with file and line.
Result<> preflight(const Config& config);

}  // namespace even
