// Runs for one thing alone. What takes many steps one after the other seldom comes about where all
// kinds of faults fall into them: some runs have those that the thing itself is about, and no
// others.
#pragma once

#include <cstdint>
#include <optional>

#include "sim/options.h"

namespace even::sim {

// Of about a third of the seeds; null for the others.
std::optional<RunOptions> draw_undisturbed(std::uint64_t seed);

}  // namespace even::sim
