#include "base/ids.h"

#include <fmt/format.h>

namespace even {

std::string ReplicaId::to_string() const {
  return fmt::format("{}/{:012x}", node(), value & 0xffffffffffffULL);
}

}  // namespace even
