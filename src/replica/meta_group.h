// The metadata group, as a shard that has it sees it: how it is founded, and that other groups
// follow from what it holds. See docs/groups.md, "The metadata group".
//
// Invariant: of the nodes of a configuration only one founds it, and only after all its first
// voters have said, on links that are up, that they have none. Who has a member of it, or has heard
// that there is one, never founds another. The founder says so once it is durable that it has: what
// all have heard of and nobody remembers would never be founded. Where some have a state of it from
// a former life, it is founded with the latest of these.
#pragma once

#include <absl/container/btree_map.h>

#include <functional>
#include <memory>
#include <vector>

#include "replica/groups.h"
#include "replica/refounding.h"

namespace even {

class MetaGroup {
 public:
  using Callback = std::function<void(std::shared_ptr<const cluster::KeyspaceTable>)>;
  using Unknown = std::function<void(const std::string& why)>;
  // Why the users are unknown to a node that has just been started with an empty directory.
  static constexpr std::string_view kHeardOfNobody = "it has heard of no other node yet";

  // The references outlive this.
  MetaGroup(ShardCore& core, Groups& groups, Transport& transport);

  // The groups have been recovered.
  void start();
  // See Shard::on_keyspaces().
  void on_keyspaces(Callback callback, Unknown unknown);
  // Keys are looked up by this from now on; groups of it begin that this shard is to have.
  void serve(std::shared_ptr<const cluster::KeyspaceTable> keyspaces);

  void link_up(NodeNumber node);
  void link_down(NodeNumber node) {
    said_.erase(node);
    refounding_.link_down(node);
  }
  Result<> receive(NodeNumber node, const MetaMessage& message);
  Result<> receive(NodeNumber node, const FormerMessage& message) {
    return refounding_.receive(node, message);
  }
  void tick();
  // Whether the log is to be synced, for what is to be published.
  bool sync_wanted() const { return changed_ || !untold_.empty(); }

 private:
  bool is_here() const;  // its shard is this one
  Group* group() const { return groups_.find(id_); }
  void tell(NodeNumber node);
  void tell_all();
  void try_to_found();
  void tell_of_founding();
  void found(consensus::Configuration configuration);
  void refound();
  void join(consensus::Configuration configuration);
  void begin(consensus::Configuration configuration);
  void watch();
  void publish_what_was_known();
  void publish();
  std::string why_unknown() const;
  void tell_if_unknown();
  void register_nodes();
  void propose(const std::vector<std::string_view>& words);
  void begin_groups_of(const cluster::Keyspace& keyspace);

  ShardCore& core_;
  Groups& groups_;
  Transport& transport_;
  const PartitionId id_;
  const std::int64_t alone_until_us_;  // then it serves though it has heard of no other node
  std::vector<NodeNumber> nodes_;      // of the cluster, ascending
  std::vector<NodeNumber> voters_;     // the first of them
  struct Said {
    bool founded = false;
    FormerState former;
  };
  absl::btree_map<NodeNumber, Said> said_;  // by linked nodes
  Refounding refounding_;
  // Whom this node has founded it with, until it is durable up to `tell_from_` and they are told.
  std::vector<consensus::MemberId> untold_;
  LogPosition tell_from_ = 0;
  Callback callback_;
  Unknown unknown_;
  std::string told_unknown_;  // the last reason
  bool published_ = false;    // there has been a table
  using Users = MetaMessage::Users;
  Users users_ = Users::kUnsaid;  // by the table
  // What nodes that have the group have said: some may not have heard of users yet.
  bool heard_of_users_ = false;
  bool heard_of_none_ = false;
  std::string unreadable_;  // why there was none, when there was to be one
  bool heard_ = false;      // of any other node
  bool elsewhere_ = false;  // some node has a member, or had one in a former life
  // This node has founded it, or the founder has told it: nothing had been written there by then.
  bool told_of_founding_ = false;
  bool changed_ = false;  // something has been applied that was not published
  // Once the log is durable up to here, that it has been applied is not forgotten: who has looked
  // keys up by a table looks them up by that, or a later one, after a crash too.
  LogPosition publish_from_ = 0;
  std::int64_t last_registered_us_ = 0;
};

}  // namespace even
