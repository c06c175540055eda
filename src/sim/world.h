// One run: a cluster of the real core on simulated time, network and disks, random clients and
// random faults, and the invariants that must hold throughout and in the end. See
// docs/simulator.md.
#pragma once

#include "sim/options.h"
#include "sim/outcome.h"

namespace even::sim {

// A pure function of the options. With `trace`, prints every event.
Outcome run(const RunOptions& options, bool trace);

}  // namespace even::sim
