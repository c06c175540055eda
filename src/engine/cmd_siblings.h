// The context of EVEN.SIBLINGS: which values it has shown, by their dots. To clients it is opaque.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lattice/version_vector.h"

namespace even {

std::string encode_sibling_context(std::span<const Dot> dots);
// Safe for any text; false if it is none.
bool decode_sibling_context(std::string_view text, std::vector<Dot>& dots);

}  // namespace even
