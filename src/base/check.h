// Invariants. EVEN_CHECK stays on in every build: a replica that goes on after a broken invariant
// spreads the damage. Bad input (from clients, peers, disks) is never checked with it; that is a
// Result.
#pragma once

#include <string_view>

namespace even {

// Called when an invariant is broken. The default prints and aborts; the simulator installs one
// that throws, so that a broken invariant becomes a failed seed. A handler must not return.
using CheckHandler = void (*)(const char* file, int line, const char* condition,
                              std::string_view detail);
void set_check_handler(CheckHandler handler);
[[noreturn, gnu::cold]] void check_failed(const char* file, int line, const char* condition,
                                          std::string_view detail);

}  // namespace even

#define EVEN_CHECK(condition, detail)                                 \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::even::check_failed(__FILE__, __LINE__, #condition, (detail)); \
  } while (false)
