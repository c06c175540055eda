// Counts and times of one thread's commands. A subcommand counts for itself: "config|get".
//
// Two times are measured. The execution of a command is told by the processor's counter (see
// command_timer.h), wherever on this node it is executed. Its latency is the time from the first
// command of its turn to the end of the turn, when its reply is handed to the operating system:
// what a client sees without the network; two clock readings serve all commands of a turn. A wait
// for the disk (log.fsync = "always"), for another thread or for another node is in neither.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/acl.h"
#include "engine/command.h"

namespace even {

struct LatencyHistogram {
  // Upper bounds of the buckets in microseconds; one more bucket takes the rest.
  static constexpr std::array<std::int64_t, 14> kBoundsUs = {
      50,     100,    250,    500,     1'000,   2'500,   5'000,
      10'000, 25'000, 50'000, 100'000, 250'000, 500'000, 1'000'000};

  std::array<std::uint64_t, kBoundsUs.size() + 1> buckets{};
  double sum_seconds = 0;

  void add(std::int64_t us, std::uint64_t count) {
    std::size_t i = 0;
    while (i < kBoundsUs.size() && us > kBoundsUs[i]) ++i;
    buckets[i] += count;
    sum_seconds += static_cast<double>(us) * 1e-6 * static_cast<double>(count);
  }
  void merge(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
    sum_seconds += other.sum_seconds;
  }
  // What was in it earlier.
  void take_off(const LatencyHistogram& earlier) {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] -= earlier.buckets[i];
    sum_seconds -= earlier.sum_seconds;
  }
};

class CommandStats {
 public:
  // What EXEC executes counts as it does, and it for itself (node/level_meter.h).
  enum class About : std::uint8_t { kOther, kReadsKeys, kWritesKeys };
  struct Entry {
    std::string name;
    std::uint64_t calls = 0;
    std::uint64_t rejected = 0;  // before they were executed
    std::uint64_t failed = 0;    // replied an error
    std::uint64_t cycles = 0;    // of execution, in units of CommandTimer::counter()
    LatencyHistogram latency;
    std::uint64_t in_turn = 0;
    About about = About::kOther;
  };
  using Entries = std::unordered_map<const void*, Entry>;

  bool turn_is_empty() const { return touched_.empty(); }

  // Of a command, or of the subcommand that `args` name. Stays valid.
  Entry& find(const Command& command, Args args) {
    if (&command == last_command_) return *last_;
    if (is_as_user(command)) {
      const Args words = words_of_script(command, args);
      return find(*find_command(words[0]), words);
    }
    if (command.of_stored_words) return find(*find_command(command.name), args);
    const Subcommand* subcommand = command.subcommands.empty() || args.size() < 2
                                       ? nullptr
                                       : find_subcommand(command, args[1]);
    const void* id = subcommand != nullptr ? static_cast<const void*>(subcommand) : &command;
    Entry& entry = entries_[id];
    if (entry.name.empty()) {
      entry.name = command.name;
      if (subcommand != nullptr) entry.name.append("|").append(subcommand->name);
      const bool keys =
          command.scope == Scope::kAll || (command.scope == Scope::kKeys && !command.keys.none());
      if (keys && command.group != "transactions") {
        entry.about = may_write(command) ? About::kWritesKeys : About::kReadsKeys;
      }
    }
    if (command.subcommands.empty()) {
      last_command_ = &command;
      last_ = &entry;
    }
    return entry;
  }

  // A command was executed in this turn, or began its way to another thread or node.
  void count(Entry& entry) {
    ++calls_;
    if (entry.in_turn++ == 0) touched_.push_back(&entry);
  }
  // How often that has been so.
  std::uint64_t calls() const { return calls_; }

  // The turn is over, so many microseconds after its first command. Returns how many commands of it
  // read keys and wrote them.
  struct OfKeys {
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
  };
  OfKeys end_turn(std::int64_t us) {
    OfKeys of_keys;
    for (Entry* entry : touched_) {
      if (entry->about == About::kReadsKeys) of_keys.reads += entry->in_turn;
      if (entry->about == About::kWritesKeys) of_keys.writes += entry->in_turn;
      entry->calls += entry->in_turn;
      entry->latency.add(us, entry->in_turn);
      entry->in_turn = 0;
    }
    touched_.clear();
    return of_keys;
  }

  const Entries& entries() const { return entries_; }

 private:
  Entries entries_;
  std::uint64_t calls_ = 0;
  std::vector<Entry*> touched_;
  const Command* last_command_ = nullptr;  // of those without subcommands
  Entry* last_ = nullptr;
};

}  // namespace even
