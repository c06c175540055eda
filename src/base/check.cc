#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace even {
namespace {

CheckHandler g_handler = nullptr;

}  // namespace

void set_check_handler(CheckHandler handler) { g_handler = handler; }

void check_failed(const char* file, int line, const char* condition, std::string_view detail) {
  if (g_handler != nullptr) g_handler(file, line, condition, detail);
  std::fprintf(stderr, "%s:%d: broken invariant: %s: %.*s\n", file, line, condition,
               static_cast<int>(detail.size()), detail.data());
  std::abort();
}

}  // namespace even
