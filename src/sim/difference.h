// What to print when two replicas should hold the same and do not.
#pragma once

#include <string>

#include "lattice/partition_state.h"

namespace even::sim {

// The keys in which two states differ, with what each says of them, residue left out; empty when
// there are none.
std::string difference(const PartitionState& a, const PartitionState& b);

}  // namespace even::sim
