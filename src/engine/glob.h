// Redis's glob patterns: ? for any byte, * for any bytes, [abc], [a-z] and [^abc] for one of some
// bytes, \ to take the next byte as it is.
#pragma once

#include <string_view>

namespace even {

// Whether all of `text` matches. Takes time proportional to the product of the lengths at worst,
// whatever the pattern.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false);

}  // namespace even
