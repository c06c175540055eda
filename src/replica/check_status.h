// What checking replicas against one another has come to: docs/repair.md, "What differs".
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/ids.h"

namespace even {

// What of a key was wrong here, and has been put right.
struct CheckFinding {
  enum class Kind : std::uint8_t { kMissing, kSuperfluous, kDifferent };
  PartitionId partition = 0;
  std::string key;
  Kind kind = Kind::kDifferent;
};

struct CheckStatus {
  std::uint64_t passes_begun = 0;  // that were asked for, and those of them that are over
  std::uint64_t passes_done = 0;
  std::uint64_t rounds = 0;   // of all partitions, asked for or not
  bool busy = false;          // with what was asked for, or with what differs
  std::uint64_t audited = 0;  // partitions, of the round under way
  std::uint64_t partitions = 0;
  std::uint64_t keys = 0;             // looked at, in all
  std::uint64_t audits_failed = 0;    // partitions that held what no record had put there
  std::uint64_t comparisons = 0;      // of partitions with other replicas
  std::uint64_t repaired = 0;         // keys, in all
  std::uint64_t undecided = 0;        // keys that differ and wait for other replicas' votes
  std::vector<PartitionId> suspect;   // audits have failed, and have not been made up for
  std::deque<CheckFinding> findings;  // the latest
};

}  // namespace even
