// What happened in a run: hashed always, so that a replay can be told from a different run, and
// printed on demand.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace even::sim {

class Trace {
 public:
  explicit Trace(bool print) : print_(print) {}

  template <typename... Args>
  void event(std::int64_t now_us, fmt::format_string<Args...> format, Args&&... args) {
    std::string line = fmt::format(format, std::forward<Args>(args)...);
    hash_ = hash_mix(hash64(line, hash_), static_cast<std::uint64_t>(now_us));
    if (!print_) return;
    std::ranges::replace(line, '\0', '~');  // of names that are not for clients
    std::printf("%12.6f %s\n", static_cast<double>(now_us) / 1e6, line.c_str());
  }
  std::uint64_t hash() const { return hash_; }

 private:
  bool print_;
  std::uint64_t hash_ = 0;
};

}  // namespace even::sim
