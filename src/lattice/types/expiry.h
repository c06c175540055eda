// When a key expires: a register of an instant, which the last writer sets. No entry: never.
#pragma once

#include <cstdint>

#include "lattice/delta.h"
#include "lattice/dot_store.h"

namespace even {

struct ExpirySibling {
  Dot dot;
  Hlc time;
  std::int64_t at_ms = 0;  // Unix time; the key is gone from this instant on
  ExpirySibling& operator=(const SiblingView& view) {
    dot = view.dot;
    time = view.time;
    at_ms = view.at_ms;
    return *this;
  }
};
using Expiry = DotStore<ExpirySibling>;

}  // namespace even
