#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "base/mutant.h"
#include "sim/world.h"

namespace even {
#ifdef EVEN_MUTANTS
Mutant g_mutant = Mutant::kNone;
#endif

namespace {

using sim::Outcome;
using sim::RunOptions;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void report_failure(std::uint64_t seed, const RunOptions& options, const Outcome& outcome) {
  fmt::print("seed {}: {}\n  {}\n  replay: ./dev sim --seed {} --trace\n", seed, *outcome.violation,
             options.describe(), seed);
  std::fflush(stdout);
}

int run_seeds(std::uint64_t first, std::uint64_t count, bool stop_at_failure) {
  const auto start = std::chrono::steady_clock::now();
  auto shown = start;
  std::uint64_t failures = 0;
  Outcome sum;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const RunOptions options = RunOptions::draw(seed);
    const Outcome outcome = sim::run(options, false);
    sum.operations += outcome.operations;
    sum.records += outcome.records;
    sum.crashes += outcome.crashes;
    sum.snapshots += outcome.snapshots;
    sum.resumed += outcome.resumed;
    sum.listings += outcome.listings;
    sum.while_replaying += outcome.while_replaying;
    sum.conflicts += outcome.conflicts;
    sum.repairs += outcome.repairs;
    sum.keys_repaired += outcome.keys_repaired;
    sum.evicted += outcome.evicted;
    sum.reshardings += outcome.reshardings;
    sum.strong_replies += outcome.strong_replies;
    sum.strong_checked += outcome.strong_checked;
    sum.undecided_keys += outcome.undecided_keys;
    sum.leaders += outcome.leaders;
    sum.quorum_reads += outcome.quorum_reads;
    sum.quorum_writes += outcome.quorum_writes;
    sum.sloppy_writes += outcome.sloppy_writes;
    sum.hints_counted += outcome.hints_counted;
    sum.session_requests += outcome.session_requests;
    sum.causal_requests += outcome.causal_requests;
    sum.bounded_reads += outcome.bounded_reads;
    sum.transactions += outcome.transactions;
    sum.assignments += outcome.assignments;
    sum.compactions += outcome.compactions;
    sum.simulated_seconds += outcome.simulated_seconds;
    if (outcome.violation) {
      ++failures;
      report_failure(seed, options, outcome);
      if (stop_at_failure) break;
    }
    if (seconds_since(shown) > 10) {
      shown = std::chrono::steady_clock::now();
      fmt::print(stderr, "{} of {} seeds, {} failed, {:.0f} s\n", seed - first + 1, count, failures,
                 seconds_since(start));
    }
  }
  fmt::print(
      "{} seeds from {}: {} failed. {} operations, {} records, {} crashes, {} snapshots, {} "
      "resumed, {} conflicts, {} repairs, {} keys repaired, {} evicted keys, {} reshardings, {} "
      "listings, {} "
      "commands during replay; {} replies of groups with {} leaders, {} operations in histories, "
      "{} undecided keys; {} reads and {} writes of quorums, {} sloppy writes with {} hints that "
      "counted, {} requests of sessions, {} causal, {} "
      "bounded reads, {} transactions of topics, {} assignments to consumers, {} compactions; "
      "{:.0f} s of simulated time in "
      "{:.1f} "
      "s\n",
      count, first, failures, sum.operations, sum.records, sum.crashes, sum.snapshots, sum.resumed,
      sum.conflicts, sum.repairs, sum.keys_repaired, sum.evicted, sum.reshardings, sum.listings,
      sum.while_replaying, sum.strong_replies, sum.leaders, sum.strong_checked, sum.undecided_keys,
      sum.quorum_reads, sum.quorum_writes, sum.sloppy_writes, sum.hints_counted,
      sum.session_requests, sum.causal_requests, sum.bounded_reads, sum.transactions,
      sum.assignments, sum.compactions, sum.simulated_seconds, seconds_since(start));
  return failures == 0 ? 0 : 1;
}

int run_one(std::uint64_t seed, bool trace) {
  const RunOptions options = RunOptions::draw(seed);
  fmt::print("seed {}: {}\n", seed, options.describe());
  const Outcome outcome = sim::run(options, trace);
  const Outcome again = sim::run(options, false);
  fmt::print(
      "trace hash {:016x}, {} operations, {} records, {} crashes, {} snapshots, {} resumed, {} "
      "conflicts, "
      "{} repairs, {} evicted keys, {} reshardings\n",
      outcome.trace_hash, outcome.operations, outcome.records, outcome.crashes, outcome.snapshots,
      outcome.resumed, outcome.conflicts, outcome.repairs, outcome.evicted, outcome.reshardings);
  if (outcome.trace_hash != again.trace_hash) {
    fmt::print("a replay gave another trace: {:016x}\n", again.trace_hash);
    return 1;
  }
  if (outcome.violation) {
    report_failure(seed, options, outcome);
    return 1;
  }
  fmt::print("clean\n");
  return 0;
}

#ifdef EVEN_MUTANTS
// As docs/simulator.md and what takes a mutant in say it: each is found by one of these seeds.
constexpr std::uint64_t kMutantSeeds = 200;

struct MutantName {
  const char* id;
  const char* text;
};
constexpr MutantName kMutantNames[] = {{"kNone", "none"},
#define EVEN_MUTANT_NAME(id, text) {#id, text},
                                       EVEN_MUTANT_LIST(EVEN_MUTANT_NAME){"kCount", ""},
                                       EVEN_CONSENSUS_MUTANT_LIST(EVEN_MUTANT_NAME)
#undef EVEN_MUTANT_NAME
};
static_assert(std::size(kMutantNames) == static_cast<std::size_t>(Mutant::kEnd));

// By number or name; kNone: there is none.
Mutant mutant_called(const std::string& called) {
  for (std::size_t m = 1; m < std::size(kMutantNames); ++m) {
    const auto mutant = static_cast<Mutant>(m);
    if (mutant == Mutant::kCount) continue;
    if (called == kMutantNames[m].id || called == std::to_string(m)) return mutant;
  }
  return Mutant::kNone;
}

int no_mutant(const std::string& called) {
  fmt::print(stderr, "there is no mutant {}\n", called);
  return 2;
}

// Whether each of them is found. With `all_seeds` it is told how many seeds find it; else nothing
// is run beyond the first that does.
bool find_mutants(const std::vector<Mutant>& mutants, std::uint64_t first, std::uint64_t count,
                  bool all_seeds) {
  std::size_t missed = 0;
  fmt::print("{:>3}  {:<27} {:>5}  {:>4}  {}\n", "", "mutant", "seed", "s", "found by");
  for (const Mutant mutant : mutants) {
    g_mutant = mutant;
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t found = 0;
    std::uint64_t first_found = 0;
    std::string what;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
      const Outcome outcome = sim::run(RunOptions::draw(seed), false);
      if (!outcome.violation) continue;
      if (found++ == 0) {
        first_found = seed;
        what = outcome.violation->substr(0, outcome.violation->find('\n'));
      }
      if (!all_seeds) break;
    }
    if (found == 0) ++missed;
    const auto number = static_cast<std::size_t>(mutant);
    fmt::print("{:>3}  {:<27} {:>5}  {:>4.0f}  {}{}\n", number, kMutantNames[number].id,
               found > 0 ? std::to_string(first_found) : "-", seconds_since(start),
               found > 0 ? what : fmt::format("NOT FOUND: {}", kMutantNames[number].text),
               all_seeds ? fmt::format(" ({} of {} seeds)", found, count) : "");
    std::fflush(stdout);
  }
  g_mutant = Mutant::kNone;
  fmt::print("{} of {} mutants found within {} seeds\n", mutants.size() - missed, mutants.size(),
             count);
  return missed == 0;
}
#endif

int main(int argc, char** argv) {
  CLI::App app{
      "Runs a cluster of the real core on simulated time, network and disks. See "
      "docs/simulator.md."};
  std::uint64_t seed = 0;
  std::uint64_t first = 1;
  std::uint64_t seeds = 100;
  bool trace = false;
  bool keep_going = false;
  auto* one = app.add_option("--seed", seed, "Run this seed alone, twice, and compare the traces");
  app.add_flag("--trace", trace, "Print every event of that run")->needs(one);
  auto* number = app.add_option("--seeds", seeds, "Number of seeds to run")->capture_default_str();
  app.add_option("--from", first, "First of them")->capture_default_str();
  app.add_flag("--keep-going", keep_going, "Go on after a failed seed");
#ifdef EVEN_MUTANTS
  bool all_mutants = false;
  std::vector<std::string> called;
  std::string enabled;
  auto* each = app.add_flag("--mutants", all_mutants,
                            "Enable one deliberate bug at a time and show that each is found, "
                            "within 200 seeds unless told otherwise; with --keep-going, also by "
                            "how many");
  app.add_option("which", called, "These mutants alone, by number or name")->needs(each);
  app.add_option("--mutant", enabled, "Enable this one, by number or name");
#endif
  CLI11_PARSE(app, argc, argv);
#ifdef EVEN_MUTANTS
  std::vector<Mutant> mutants;
  for (const std::string& name : called) {
    mutants.push_back(mutant_called(name));
    if (mutants.back() == Mutant::kNone) return no_mutant(name);
  }
  for (std::size_t m = 1; called.empty() && m < static_cast<std::size_t>(Mutant::kCount); ++m) {
    mutants.push_back(static_cast<Mutant>(m));
  }
  if (all_mutants) {
    return find_mutants(mutants, first, *number ? seeds : kMutantSeeds, keep_going) ? 0 : 1;
  }
  if (!enabled.empty()) {
    g_mutant = mutant_called(enabled);
    if (g_mutant == Mutant::kNone) return no_mutant(enabled);
  }
#else
  (void)number;
#endif
  if (*one) return run_one(seed, trace);
  return run_seeds(first, seeds, !keep_going);
}

}  // namespace
}  // namespace even

int main(int argc, char** argv) { return even::main(argc, argv); }
