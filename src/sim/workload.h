// Random commands over every family, and what they are known to do to numbers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "env/random.h"
#include "lattice/delta.h"
#include "sim/options.h"

namespace even::sim {

struct Operation {
  std::vector<std::string> words;
  // When it succeeds it adds `by` at this leaf.
  struct Increment {
    LeafKind kind;
    std::string key;
    std::string field;
    double by;
  };
  std::optional<Increment> increment;
};

// Of keys of bounded counters.
inline constexpr std::string_view kBoundedPrefix = "bnd";

// Streams that are never trimmed, nor deleted, and the groups that streams have.
inline constexpr std::string_view kLastingStreams[] = {"stay0", "stay1"};
inline constexpr std::string_view kStreamGroups[] = {"g", "h"};

class Workload {
 public:
  Workload(const RunOptions& options, Random& random) : options_(options), random_(random) {}
  // `wall_ms` is the time at the node that will execute it.
  Operation next(std::int64_t wall_ms);

 private:
  Operation string(std::int64_t wall_ms);
  Operation hyper_log_log();
  Operation counter();
  Operation bounded();
  Operation siblings();
  Operation large(const char* command, const std::string& key, bool with_values);
  std::string one_of_large();
  Operation set();
  // On a key that is kept alive by being used, as sessions are.
  Operation session();
  Operation session_of_fields(const std::string& key, const std::string& ttl);
  Operation hash();
  std::string score();
  Operation sorted_set();
  Operation large_sorted_set(const std::string& key);
  Operation list();
  Operation stream();
  Operation generic(std::int64_t wall_ms);
  std::string key(const char* type);
  std::string value();
  std::string small(std::uint64_t bound) { return std::to_string(random_.below(bound)); }

  const RunOptions& options_;
  Random& random_;
  std::uint64_t next_value_ = 0;
};

}  // namespace even::sim
