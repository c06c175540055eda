#include "base/version.h"

namespace even {

std::string_view version() { return EVEN_VERSION; }

}  // namespace even
