// The groups of one shard: turns, time, links and recovery, and the messages that members of the
// same two nodes send each other together. See docs/groups.md.
#pragma once

#include <absl/container/btree_map.h>

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "replica/group.h"
#include "replica/group_states.h"
#include "replica/peer_message.h"
#include "replica/topic_cleaner.h"
#include "store/row_store.h"

namespace even {

class Groups {
 public:
  // The references outlive this.
  Groups(ShardCore& core, Transport& transport);

  // --- Recovery: what the store has of groups; what the shard's log has of them from the store's
  // position on, in its order; then start().
  // Where the store cannot be read, the node has forgotten what its members have promised: it has
  // none then, and begins none.
  void restore(RowStore& store);
  // Why, if that is so. The log then has to keep what it has of them.
  const std::optional<std::string>& forgotten() const { return forgotten_; }
  // `stored`: it is from the row of the group in the store.
  Result<> restore(std::string_view log_entry, bool stored = false);
  Result<> start();

  // Begins a group that is not here yet. `configuration` has the voters that all begin it alike; an
  // empty one makes a member that others have to add.
  Result<> found(PartitionId id, std::vector<NodeNumber> replicas,
                 consensus::Configuration configuration);
  // What the store has of a group that another life of this directory was a member of, if this one
  // is none: up to which entry. Backups have such groups.
  FormerState former(PartitionId id) const;
  // That, but it cannot be read. Then something has been there, which is no more than `term` 0.
  bool unreadable(PartitionId id) const;
  // Begins it anew with that and this member alone. After an error it is unreadable().
  Result<> refound(PartitionId id, std::vector<NodeNumber> replicas);
  // Called when a member of a group that is not here writes to this node as one.
  std::function<void(PartitionId)> on_called;
  // This node is not to have it any more.
  void end(PartitionId id);
  // Which nodes its leader sees to that it has, in order of preference.
  void want(PartitionId id, std::vector<NodeNumber> voters, std::vector<NodeNumber> learners);

  Group* find(PartitionId id) const;
  bool empty() const { return groups_.empty(); }
  std::vector<GroupStatus> status() const;
  consensus::MemberId self() const { return member_of(core_.self); }

  // --- Links. Members of nodes are those of the links' runs.
  void link_up(ReplicaId peer);
  void link_down(NodeNumber node);
  Result<> receive(NodeNumber node, const GroupsMessage& message);
  void receive(NodeNumber node, const SnapshotPiece& piece);
  void receive(NodeNumber node, const SnapshotProgress& asked);
  void receive(NodeNumber node, const DigestsMessage& message);
  // Of linked nodes; none if there is no link.
  consensus::MemberId member_at(NodeNumber node) const;

  // --- Turns. A request to a group, or anything else done to one, is followed by touch().
  void touch(Group& group);
  void tick();
  // Gathers what is to be written into the log's buffer and sends what need not wait for it.
  void gather();
  // Goes on with what the log has made durable. Whether that has put more into the log's buffer.
  bool complete();
  // The turn ends: messages that nobody waits for go with what is sent anyway (Group::may_wait()).
  // The next tick sends them in any case.
  void end_turn();
  // Whether what was written has to be synced, for a group.
  bool sync_wanted() const { return !waiting_.empty(); }
  bool has_more() const { return !touched_.empty(); }
  // What a pass of the store stores of a group: empty if it is not here; none if the store is to
  // keep what it has.
  std::optional<std::string> row(PartitionId id) const;
  // Whether something that a group needs is in the shard's log only, and in no state.
  bool keeps_log() const;
  // Of the topics among them, what a pass stores behind all else; see Projection::take_topics().
  bool take_topic_rows(RowBatch& out, bool whole);
  // Whether so much of topics is in memory alone that a pass of these is due, and whether this is
  // one of them.
  bool topic_pass_due() const { return topic_pass_due_; }
  bool in_topic_pass(PartitionId id) const;
  // Checkpoints of topics, behind what is stored of hints.
  void take_checkpoint_rows(RowBatch& out);
  void end_pass(bool stored);
  // Called when a pass would let rows of topics go, from time to time.
  std::function<void()> on_trimmable;
  // Whether compaction has something for a pass, and what asks for one.
  bool compaction_waits() const { return cleaner_.waits_for_pass(); }
  void on_compacted(std::function<void()> request) { cleaner_.request_pass = std::move(request); }
  // Called when something of a topic's partition may have become visible, or its leader another.
  std::function<void(PartitionId)> on_topic;

  // The node is about to stop: others are to lead.
  void stop_leading();
  bool handing_over() const;

 private:
  Group& put(PartitionId id, std::unique_ptr<Group> group);
  void remove(PartitionId id);
  void send(const consensus::Message& message, Group& group);
  void flush();
  void follow_disk();
  void prefer_leaders();
  void maintain(Group& group);
  void wait_for_log(const Group& group);
  void take_state(NodeNumber node, consensus::Message message, PartitionId id,
                  std::shared_ptr<StagedState> staged);
  void retain_topics();
  void look_for_topic_pass();
  std::vector<TopicCleaner::Candidate> topics_to_clean() const;
  void tell_digests();
  void encode_more();
  GroupMessage named(const consensus::Message& message, PartitionId id);

  ShardCore& core_;
  Transport& transport_;
  GroupStates states_;
  absl::btree_map<PartitionId, std::unique_ptr<Group>> groups_;
  std::vector<Group*> by_id_;         // the same
  std::vector<PartitionId> touched_;  // have something to gather, maybe
  std::vector<PartitionId> waiting_;  // for the log
  absl::btree_map<NodeNumber, consensus::MemberId> members_;
  struct Outgoing {
    GroupsBuilder messages;
    bool waits = true;  // nobody waits for any of them
  };
  absl::btree_map<NodeNumber, Outgoing> outgoing_;
  std::int64_t last_tick_us_ = 0;
  std::int64_t last_preferred_us_ = 0;
  std::int64_t last_maintained_us_ = 0;
  std::int64_t last_told_us_ = 0;
  std::int64_t last_retained_us_ = 0;
  std::int64_t last_trimmable_us_ = 0;
  TopicCleaner cleaner_{core_, [this](PartitionId id) { return find(id); }};
  PartitionId next_topic_ = 0;             // of the pass: whose rows are taken next
  bool entries_ = false;                   // those of entries, not those by offset
  std::vector<PartitionId> ended_topics_;  // whose rows the next pass has the store forget
  bool topic_pass_due_ = false;
  std::size_t forgetting_ = 0;  // of these, by the pass under way
  struct Former {
    GroupBase base;
    consensus::Term term = 0;  // that it had got to
    std::vector<consensus::Entry> entries;
    bool unreadable = false;
  };
  absl::btree_map<PartitionId, Former> former_;
  std::optional<std::string> forgotten_;
  bool stopping_ = false;
  bool disk_fails_ = false;
};

}  // namespace even
