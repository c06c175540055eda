// What must hold of a cluster as a whole, while it runs and when it has become quiet. See
// docs/simulator.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/node.h"

namespace even::sim {

using Nodes = std::vector<std::unique_ptr<Node>>;

// At any time: equal vectors mean equal digests, but where there is damage. `victim`: whose store
// is damaged, or may be false, unless all has been `checked`.
void check_running(const Run& run, const Nodes& nodes, std::size_t victim, bool checked = false);

// Whether all nodes are up and have seen the same, and nothing waits.
bool converged(const Run& run, const Nodes& nodes);
// How far each of them is.
std::string progress(const Nodes& nodes);

// Of a quiet cluster: its content is what the oracle expects, and no residue is left.
void check_content(const Run& run, const Nodes& nodes, const char* when);

}  // namespace even::sim
