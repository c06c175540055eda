// Whether a target holds what a source does, after an import.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/import_source.h"

namespace even::cli {

struct Comparison {
  std::uint64_t keys = 0;
  std::vector<std::string> different;  // "key: why"
  std::uint64_t target_keys = 0;       // all that the target has
};

// Each key of the source, its value and its expiry; those that differ are looked at again some
// times, as the source may be written to.
Result<Comparison> compare_source(const ServerAddress& source, std::uint64_t database,
                                  const ServerAddress& target);
// The same of an RDB file that has nothing behind its keys.
Result<Comparison> compare_file(const std::string& file, std::uint64_t database,
                                const ServerAddress& target);

}  // namespace even::cli
