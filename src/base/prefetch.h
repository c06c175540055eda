// Asks for memory before it is needed.
#pragma once

namespace even {

// The empty assembly keeps the callers: GCC 12 takes a function that only prefetches for one
// without effects, and drops the calls of it.
inline void prefetch(const void* address) {
  __builtin_prefetch(address);
  asm volatile("");
}

}  // namespace even
