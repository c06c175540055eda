// Members of a consumer group and the coordinators that nodes are to it, beside everything else
// that happens to a simulated cluster; and what must hold: no two members are assigned one
// partition in one generation, no generation is begun twice, whoever is told that it is a member is
// one at that moment, and what was committed is found by who comes next. See docs/topics.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "consumers/group_coordinator.h"
#include "sim/checks.h"
#include "sim/strong_groups.h"

namespace even::sim {

class Consumers {
 public:
  // The references outlive this.
  Consumers(Run& run, const Nodes& nodes, const StrongGroups& groups, std::uint64_t seed);
  ~Consumers();

  void begin();
  // Faults have ended, and nobody is in the group any more.
  bool idle() const;
  // The latest generation that somebody was assigned something in.
  std::int32_t latest() const { return latest_; }
  // In the end, when the cluster is quiet. Throws Violation.
  void check(const char* when);

 private:
  class Host;
  using Group = kafka::ConsumerGroup;
  using Error = kafka::ErrorCode;

  // One that consumes. A static member goes on as another with the same name.
  struct Member {
    std::size_t number = 0;
    std::optional<std::string> instance;
    std::string id;
    std::int32_t generation = -1;
    NodeNumber coordinator = 0;  // as far as it knows
    std::uint64_t attempt = 0;   // the request that it waits for
    bool over = false;
    std::map<int, std::int64_t> positions;  // of the partitions that it has
  };
  using MemberPointer = std::shared_ptr<Member>;
  template <typename Result>
  using Answer = std::function<void(Result)>;

  // Asks the coordinator that it knows; next(none) if there is no answer in time.
  template <typename Result>
  void ask(const MemberPointer& member, std::int64_t patience_us,
           std::function<void(Host&, Group&, Answer<Result>)> request, Result otherwise,
           std::function<void(std::optional<Result>)> next);

  bool ending() const;
  void tick();
  void start(std::size_t number);
  void join(const MemberPointer& member);
  void joined(const MemberPointer& member, const Group::Joined& joined);
  void sync(const MemberPointer& member,
            std::vector<std::pair<std::string, std::string>> assignments);
  void assigned(const MemberPointer& member, const std::string& assignment);
  void find_positions(const MemberPointer& member);
  void consume(const MemberPointer& member);
  void heartbeat(const MemberPointer& member);
  void commit(const MemberPointer& member);
  void leave(const MemberPointer& member);
  void end(const MemberPointer& member);
  // What it is told when it is no member as it took it to be.
  void refused(const MemberPointer& member, std::optional<Error> error,
               std::function<void()> again);
  void look_at_record(std::int32_t generation);

  PartitionId partition() const { return groups_.groups().back(); }
  NodeNumber any_node() { return static_cast<NodeNumber>(1 + random_.below(nodes_.size())); }

  Run& run_;
  const Nodes& nodes_;
  const StrongGroups& groups_;
  Random random_;
  const std::int64_t rebalance_us_;
  mutable std::optional<std::int64_t> ends_us_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::size_t at_work_ = 0;
  std::map<std::string, std::size_t> numbers_;  // of members, by all ids that they have had

  // What is known of the group, to who was told.
  std::int32_t latest_ = 0;                      // generation that somebody was assigned
  std::map<std::int32_t, std::size_t> leaders_;  // of each generation, a member's number
  std::map<std::pair<std::int32_t, int>, std::size_t> owners_;  // by generation and partition
  std::map<int, std::int64_t> committed_;                       // acknowledged
};

}  // namespace even::sim
