// Runs simulated groups (test_cluster.h) with the deliberate bugs of base/mutant.h compiled in:
// each has to be found. See docs/consensus.md.
#include <cstdlib>
#include <cstring>

#include "base/mutant.h"
#include "consensus/test_cluster.h"

namespace even {

Mutant g_mutant = Mutant::kNone;

namespace {

constexpr const char* kNames[] = {"none",
#define EVEN_MUTANT_NAME(id, text) #id ": " text,
                                  EVEN_CONSENSUS_MUTANT_LIST(EVEN_MUTANT_NAME)
#undef EVEN_MUTANT_NAME
};
constexpr int kMutants = static_cast<int>(std::size(kNames)) - 1;

// The first seed that finds the mutant; 0 if none does.
std::uint64_t find(int mutant, std::uint64_t from, std::uint64_t seeds) {
  g_mutant =
      mutant == 0 ? Mutant::kNone : static_cast<Mutant>(static_cast<int>(Mutant::kCount) + mutant);
  for (std::uint64_t seed = from; seed < from + seeds; ++seed) {
    consensus::ClusterStatistics statistics;
    if (const auto violation = consensus::run_cluster(seed, statistics)) {
      fmt::print("found     {}\n          seed {}: {}\n", kNames[mutant], seed, *violation);
      return seed;
    }
  }
  fmt::print("not found {} ({} seeds)\n", kNames[mutant], seeds);
  return 0;
}

int run(std::uint64_t from, std::uint64_t seeds, std::optional<int> only) {
  if (only) return (find(*only, from, seeds) == 0) == (*only == 0) ? 0 : 1;
  int missed = 0;
  for (int mutant = 1; mutant <= kMutants; ++mutant) {
    if (find(mutant, from, seeds) == 0) ++missed;
    std::fflush(stdout);
  }
  fmt::print("{} of {} mutants found\n", kMutants - missed, kMutants);
  return missed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace even

int main(int argc, char** argv) {
  std::uint64_t from = 1;
  std::uint64_t seeds = 200;
  std::optional<int> only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const auto number = [&] { return std::strtoull(argv[++i], nullptr, 10); };
    if (option == "--from" && i + 1 < argc) {
      from = number();
    } else if (option == "--seeds" && i + 1 < argc) {
      seeds = number();
    } else if (option == "--mutant" && i + 1 < argc) {
      only = static_cast<int>(number());
    } else {
      fmt::print(
          "usage: {} [--seeds N] [--from SEED] [--mutant N]\n\n"
          "Runs simulated groups with one deliberate bug of the consensus core at a time, each\n"
          "until a seed finds it. --mutant 0 is the core without a bug.\n",
          argv[0]);
      for (int mutant = 1; mutant <= even::kMutants; ++mutant) {
        fmt::print("{:3}  {}\n", mutant, even::kNames[mutant]);
      }
      return option == "--help" ? 0 : 2;
    }
  }
  if (only && (*only < 0 || *only > even::kMutants)) return 2;
  return even::run(from, seeds, only);
}
