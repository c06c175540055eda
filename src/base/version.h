// The version of this build, as in the project's CMakeLists.txt.
#pragma once

#include <string_view>

namespace even {

std::string_view version();  // "0.1.0"

}  // namespace even
