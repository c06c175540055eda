// Groups that this node is to have, is no member of, and may have the state of: what becomes of
// them. See docs/groups.md, "When no member is left".
//
// Invariant: a group is founded anew only by a node that has heard of every node that is to have it
// that it has no member of it; of these, by the one that has most of it. Who has
// a member, however far behind, never says that it has none, so that nothing a living majority can
// still have is given up.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "replica/groups.h"

namespace even {

class Refounding {
 public:
  // What a node has of a group.
  using Said = std::pair<NodeNumber, FormerState>;

  // The references outlive this.
  Refounding(ShardCore& core, Groups& groups, Transport& transport)
      : core_(core), groups_(groups), transport_(transport) {}

  // The group waits until a member of it writes to this node, or it is founded anew.
  void wait(PartitionId id, const std::vector<NodeNumber>& replicas);
  // Of those that the node is not to have any more.
  template <typename IsGone>
  void forget_if(IsGone is_gone) {
    absl::erase_if(waiting_, [&](const auto& each) { return is_gone(each.first); });
  }
  // A member of it, which is not here, has written to this node.
  void called(PartitionId id);

  void link_down(NodeNumber node) { said_.erase(node); }
  Result<> receive(NodeNumber node, const FormerMessage& message);
  void tick();

  // Which of them founds the group anew; none if nobody has anything of it.
  static std::optional<NodeNumber> founder(const std::vector<Said>& said);

 private:
  struct Waiting {
    std::vector<NodeNumber> replicas;
    std::int64_t since_us = 0;
    bool warned = false;
  };

  void tell();
  const FormerState* heard(NodeNumber node, PartitionId id) const;
  // Tells who has heard otherwise that this node has a member now.
  void take_back(PartitionId id, const std::vector<NodeNumber>& replicas);
  std::vector<NodeNumber> unheard(PartitionId id, const Waiting& group) const;
  bool is_founder(PartitionId id, const Waiting& group) const;
  void warn(PartitionId id, Waiting& group);

  ShardCore& core_;
  Groups& groups_;
  Transport& transport_;
  absl::btree_map<PartitionId, Waiting> waiting_;
  struct Statement {
    FormerState state;
    std::int64_t at_us = 0;
  };
  // Of linked nodes: what they have of groups that they have no member of.
  absl::btree_map<NodeNumber, absl::btree_map<PartitionId, Statement>> said_;
  std::int64_t last_us_ = 0;
};

}  // namespace even
