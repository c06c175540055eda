// What clients of strong partitions asked for and were told, and whether it could have been so.
// Three kinds of checks: that histories are linearizable (src/verify), which includes all writes
// and all linearizable reads; that an index stands for one state, whoever is asked; and that
// indices say what they promise: a write is behind all writes that were acknowledged when it was
// asked for, reads are as recent as their level says.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sim/outcome.h"
#include "sim/strong_operation.h"

namespace even::sim {

class StrongHistory {
 public:
  // What a client has seen, for what its sequential reads must show.
  struct Session {
    std::map<PartitionId, consensus::Index> index;
    std::map<std::string, std::int64_t> counters;  // that only grow
  };
  struct Asked {
    std::size_t row = SIZE_MAX;  // none: it is in no history
    std::int64_t at_us = 0;
    consensus::Index acknowledged = 0;  // of the group, by then
  };

  // `process` has nothing else under way, and nothing of which the outcome is unknown.
  Asked asked(const StrongOperation& operation, std::int64_t process, std::int64_t now_us);
  // It was executed. Throws Violation. What a register holds, if that is known now.
  std::optional<std::optional<std::string>> replied(const StrongOperation& operation,
                                                    const Asked& asked, std::string_view reply,
                                                    consensus::Index index, Session& session,
                                                    std::int64_t now_us);
  // It was not executed and will not be.
  void refused(const StrongOperation& operation, const Asked& asked);

  // At the end: throws Violation if something is not linearizable.
  void check(Outcome& outcome);

 private:
  struct Kept {
    verify::History history;
    std::map<std::string, std::uint32_t> keys;
    std::vector<bool> dropped;
  };

  Kept& of(verify::Model model) { return kept_[static_cast<std::size_t>(model)]; }
  verify::Operation& add(const StrongOperation& operation, std::int64_t process,
                         std::int64_t now_us);
  void take(const StrongOperation& operation, const StrongReply& reply, verify::Operation& entry);
  void check_level(const StrongOperation& operation, const Asked& asked, consensus::Index index,
                   const Session& session) const;
  void check_state(const StrongOperation& operation, std::string_view reply,
                   consensus::Index index);
  void check_instant(const StrongOperation& operation, const StrongReply& reply,
                     consensus::Index index);
  void check_session(const StrongOperation& operation, const StrongReply& reply,
                     Session& session) const;
  // What had been acknowledged of a group at some time.
  consensus::Index acknowledged(PartitionId group, std::int64_t by_us) const;

  std::array<Kept, 3> kept_;
  verify::Position position_ = 0;
  // The instants of entries, as far as they are known.
  std::map<PartitionId, std::map<consensus::Index, std::int64_t>> instants_;
  // What reads have replied at an index.
  std::map<std::tuple<PartitionId, consensus::Index, std::string>, std::string> states_;
  // By group: when writes were acknowledged, and the highest index by then.
  std::map<PartitionId, std::vector<std::pair<std::int64_t, consensus::Index>>> acknowledged_;
};

}  // namespace even::sim
