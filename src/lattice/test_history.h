// For tests: replicas of one partition that make random local operations and exchange what they
// made in random causal orders, and the definition that they are held against.
//
// The definition knows nothing of joins, counters' curves or digests. It keeps every operation with
// what its maker had seen, and says what is visible to somebody who has seen a given vector: an
// effect is there unless a seen operation removes it that had seen it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lattice/codec.h"
#include "lattice/hlc.h"
#include "lattice/partition_state.h"

namespace even::test {

enum class Act : std::uint8_t {
  kSet,
  kSetKeepExpiry,
  kIncrement,
  kIncrementReal,
  kDelete,
  kAddMember,
  kRemoveMember,
  kSetField,
  kIncrementField,
  kIncrementFieldReal,
  kDeleteField,
  kExpire,
  kPersist,
  kPurge,
  kForgetExpiry,  // of a key that was purged
  kDeleteAll,
  kSetScore,
  kIncrementScore,
  kIncrementScoreReal,
  kDeleteScore,
  kSetItem,  // of a list, at a position that its field stands for
  kDeleteItem,
  kSetEntry,  // of a stream, at an id that its field stands for
  kDeleteEntry,
  kExpireField,
  kPersistField,
  kPurgeField,   // the field and its expiry
  kGiveFieldUp,  // the expiry stays
};

// One client command; what it does not need it ignores.
struct Command {
  Act act;
  std::string key;
  std::string field;
  std::string value;
  std::int64_t number =
      0;  // increment, in quarters where it is real; instant for kExpire, kExpireField
};

// What one operation did to one leaf.
struct Effect {
  std::string key;
  LeafKind kind;
  std::string field;
  enum Content { kSibling, kInteger, kReal } content = kSibling;
  std::string value;
  std::int64_t number = 0;
};

// What one operation took away of all that its maker had seen.
struct Removal {
  bool all_keys = false;
  std::string key;
  bool whole_key = false;
  bool keeps_expiry = false;
  LeafKind kind = LeafKind::kString;
  std::string field;

  bool removes(const Effect& effect) const;
};

struct Operation {
  Dot dot;
  VersionVector context;  // with the dot itself
  Hlc time;
  std::vector<Effect> effects;
  std::vector<Removal> removals;
};

// Everything that a reader can find out, as text with one line for each leaf.
std::string view(const PartitionState& state);
// The same by the definition, for somebody who has seen `vector`.
std::string defined_view(const std::vector<Operation>& operations, const VersionVector& vector);

// A state that holds what `state` describes of itself.
PartitionState copy(const PartitionState& state);
// Joins all of `from` into `into`, by way of the bytes of a snapshot.
void join_state(PartitionState& into, const PartitionState& from);

struct Replica {
  explicit Replica(NodeNumber n) : node(n), id(ReplicaId::make(n, 1)) {}

  NodeNumber node;
  ReplicaId id;
  std::uint64_t run = 1;
  PartitionState state;
  HybridClock clock{500};
  std::map<NodeNumber, VersionVector> acked;  // what the others last said that they had seen
};

class World {
 public:
  explicit World(std::size_t replicas);

  // One record of one or more commands on different keys, made at a replica. Commands that a server
  // would refuse (wrong type) or that change nothing are left out. False when nothing is left.
  bool perform(Replica& replica, const std::vector<Command>& commands);
  // Whether the replica may join record `index` now.
  bool deliverable(const Replica& replica, std::size_t index) const;
  void deliver(Replica& replica, std::size_t index);
  // Delivers all that `from` has and `to` lacks.
  void sync(const Replica& from, Replica& to);
  // Starts the replica anew under another id, with its state.
  void restart(Replica& replica);
  // The same without its state: what it made and nobody else has may still be on its way.
  void wipe(Replica& replica);
  // As Replication does it: with what the others have last reported.
  void report(const Replica& from, Replica& to) { to.acked[from.node] = from.state.vector(); }
  void collect_residue(Replica& replica) const;
  // A snapshot can be late.
  void take_snapshot(const Replica& replica);
  void join_snapshot(Replica& replica, std::size_t index);

  std::vector<Replica>& replicas() { return replicas_; }
  const std::vector<std::string>& records() const { return records_; }
  const std::vector<Operation>& operations() const { return operations_; }
  const std::vector<std::string>& snapshots() const { return snapshots_; }
  std::string expected(const Replica& replica) const {
    return defined_view(operations_, replica.state.vector());
  }

  std::int64_t now_ms = 1'000'000;

 private:
  std::vector<Replica> replicas_;
  std::vector<Operation> operations_;
  std::vector<std::string> records_;  // encoded; as many as operations
  std::vector<std::string> snapshots_;
  mutable RecordDecoder decoder_;
};

// A random history: each step is five numbers that are reduced to what there is to choose from, so
// that any list of steps means something and can be shortened. `acts` are what its commands may be.
using Step = std::tuple<std::uint8_t, std::uint8_t, std::uint8_t, std::uint8_t, std::uint8_t>;
void play(World& world, const std::vector<Act>& acts, const Step& step);

}  // namespace even::test
