// Clients of a keyspace that keeps siblings: what they have seen of a key, and the check that what
// they write takes the place of that and of nothing else.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "env/random.h"
#include "lattice/partition_state.h"

namespace even::sim {

inline constexpr std::string_view kSiblingPrefix = "sib";

// All of a run's clients, who tell one another of contexts.
class SiblingContexts {
 public:
  // A client has been replied this by EVEN.SIBLINGS.
  void seen(std::string_view key, std::string_view reply);
  // One of those, or that of nobody who has seen anything.
  std::string any(std::string_view key, Random& random) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> contexts_;
};

// The values of a key that a command which is about to be executed must leave.
class SiblingsLeft {
 public:
  // None: the command does not write siblings.
  static std::optional<SiblingsLeft> before(const PartitionState& state, Args args);
  // Empty: nothing is wrong.
  std::string missing(const PartitionState& state) const;

 private:
  std::string key_;
  std::vector<Dot> left_;
};

}  // namespace even::sim
