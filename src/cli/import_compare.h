// Whether a target holds what a source does, after an import.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

// Of the source, and where it is at the target.
struct DatabasePair {
  std::uint64_t source = 0;
  std::uint64_t target = 0;
};

// Each key of the source's database, which may not have one of this number, its value and its
// expiry; those that differ are looked at again some times, as the source may be written to.
// Expiries that the target holds (import_expiry.h) count as what they will be.
Result<Comparison> compare_source(const ServerAddress& source, DatabasePair database,
                                  const ServerAddress& target);
// The same of an RDB file that has nothing behind its keys, of the databases that are to be at the
// target.
using TargetDatabase = std::function<std::optional<std::uint64_t>(std::uint64_t source)>;
Result<Comparison> compare_file(const std::string& file, const TargetDatabase& target_of,
                                const ServerAddress& target);

}  // namespace even::cli
