// Positions: where the elements of a list are, in an order that all replicas share and that has
// room between any two. A position is a string of bytes; positions are in the order of their bytes.
// Each names one element for good. See docs/lists.md.
//
// M. Weidner, M. Kleppmann, The Art of the Fugue: Minimizing Interleaving in Collaborative Text
// Editing, 2023: the order, and what interleaving is.
#pragma once

#include <string>
#include <string_view>

#include "lattice/version_vector.h"

namespace even {

// A new position between two neighbours, for an element that the record `maker` makes. An empty
// `left` is the beginning of the list, an empty `right` its end; else both are positions, `left`
// before `right`.
std::string position_between(std::string_view left, std::string_view right, const Dot& maker);

bool is_position(std::string_view bytes);
// For people: "1/000000000007:4.0 > 2/000000000007:-9.1"; `>` is behind, `<` is before.
std::string position_text(std::string_view position);

}  // namespace even
