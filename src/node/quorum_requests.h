// Requests to eventual keyspaces at more than one replica, as the node coordinates them that the
// client asks and that holds their keys: see docs/quorums.md.
//
// One per shard thread; all calls on that thread. Replicas are asked by the shards that own the
// keys' partitions (replica/quorum.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/keyspace_table.h"
#include "node/owned_request.h"

namespace even {

class ShardThread;

// How long a request waits at most: in `default`, and for another node, which does not wait for so
// long.
inline constexpr std::int64_t kDefaultDeadlineMs = 5'000;
inline constexpr std::int64_t kForwardedDeadlineMs = 4'000;

// Of each kind of level.
using RequestsAtLevel =
    std::array<std::uint64_t, static_cast<std::size_t>(cluster::Level::Kind::kLinearizable) + 1>;

// Whether the level is about numbers of replicas. ONE is not: it asks for nothing.
bool is_quorum(cluster::Level level);
// How many replicas that is, of so many. The error is a reply's text: "CONSISTENCY ...".
Result<std::size_t> replicas_of(cluster::Level level, std::size_t replicas);
// Of two levels, that which asks for more replicas, of so many; else for more of the one there is.
cluster::Level stricter(cluster::Level a, cluster::Level b, std::size_t replicas);
// The level of the keyspaces of a request's keys: of several, the strictest.
cluster::Level level_of_keyspaces(const cluster::KeyspaceTable& keyspaces, const Command& command,
                                  Args args, bool writes, std::size_t replicas);

// Whether some key's keyspace has SESSION for its level, of reads and writes or of either.
struct AsksForSession {
  bool now = false;
  bool ever = false;
};
AsksForSession asks_for_session(const cluster::KeyspaceTable& keyspaces, const Command& command,
                                Args args, bool writes);

class QuorumRequests {
 public:
  explicit QuorumRequests(ShardThread& thread) : thread_(thread) {}

  // This node holds all keys of the request, whose level is_quorum(). Replies by its deadline.
  void submit(OwnedRequest request, ReplySink sink);

 private:
  struct Call {
    OwnedRequest request;
    ReplySink sink;
    cluster::Level level;
    bool writes = false;
    bool sloppy = false;     // in the keyspaces of all keys
    std::size_t needed = 0;  // replicas
    std::size_t replicas = 0;
    std::int64_t deadline_ms = 0;
    std::int64_t deadline_us = 0;
    std::vector<std::pair<ShardId, std::vector<PartitionId>>>
        shares;  // by the shard that owns them
    // Of the step that is under way: shares that have not been answered, and the fewest replicas of
    // one that has been.
    std::size_t missing = 0;
    std::size_t fewest = 0;
    // A write that asks others in the turn that executes it, so that the question leaves with the
    // record, while the reply waits to be released.
    bool spreads = false;
    std::string reply;
  };
  using CallPointer = std::shared_ptr<Call>;
  // A step of a call for one share: on the thread that owns it, replies with a number of replicas.
  using Answer = std::move_only_function<void(std::size_t replicas)>;
  using Step = void (*)(ShardThread& owner, const Call& call,
                        const std::vector<PartitionId>& partitions, Answer answer);

  // Takes the step for all shares, then calls next().
  void take_step(const CallPointer& call, Step step, void (QuorumRequests::*next)(CallPointer));
  void take_part(const CallPointer& call, std::size_t share, Step step,
                 void (QuorumRequests::*next)(CallPointer));
  // Then the share has been answered, on the thread of the call.
  Answer answer_from(ShardThread& owner, CallPointer call,
                     void (QuorumRequests::*next)(CallPointer));
  void taken(CallPointer call, std::size_t replicas, void (QuorumRequests::*next)(CallPointer));
  // The steps, and what follows each.
  static void count_reachable(ShardThread& owner, const Call& call,
                              const std::vector<PartitionId>& partitions, Answer answer);
  static void catch_up(ShardThread& owner, const Call& call,
                       const std::vector<PartitionId>& partitions, Answer answer);
  static void spread(ShardThread& owner, const Call& call,
                     const std::vector<PartitionId>& partitions, Answer answer);
  void begin(CallPointer call);
  void execute(CallPointer call);
  void finish(CallPointer call);

  ShardThread& thread_;
};

}  // namespace even
