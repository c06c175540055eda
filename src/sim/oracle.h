// Decides whether a run was right, from outside of the code that is tested. It knows every record
// that was made and every reply that was given, and derives the state that the records stand for
// from the definitions in docs/consistency.md, by comparing every record with every other; no
// lattice, no join, no incremental anything.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "lattice/codec.h"
#include "lattice/partition_state.h"

namespace even::sim {

class Oracle {
 public:
  // A record was made, by a client's command or else by the sweep that purges expired keys. An
  // error when its dot was used before.
  Result<> made(std::string_view bytes, bool by_command);
  // A record increments a number: how much it adds, at which leaf.
  void increments(PartitionId partition, const Dot& dot, LeafKind kind, std::string_view key,
                  std::string_view field, double by);
  // The replies to these records' commands have left; they may not be lost.
  void acknowledged(PartitionId partition, const Dot& dot) {
    acknowledged_.insert({partition, dot});
  }
  // What this node run made or acknowledged may be lost: its disk was wiped, or it crashed under a
  // lazy fsync.
  void forgive(ReplicaId replica) { forgiven_.insert(replica); }

  // At the end: `state` is what every replica of the partition holds. Checks that no acknowledged
  // record is missing and that the state is what the records in it stand for.
  Result<> check(PartitionId partition, const PartitionState& state) const;

  std::size_t records() const { return records_.size(); }

 private:
  struct Made {
    std::string bytes;
    Record record;  // views bytes
    bool by_command;
  };
  using Id = std::pair<PartitionId, Dot>;
  using IncrementId = std::tuple<Id, LeafKind, std::string, std::string>;  // kind, key, field

  std::map<Id, std::unique_ptr<Made>> records_;
  std::map<IncrementId, double> increments_;
  std::set<Id> acknowledged_;
  std::set<ReplicaId> forgiven_;
  RecordDecoder decoder_;
};

}  // namespace even::sim
