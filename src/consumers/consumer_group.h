// The members of one consumer group, as its coordinator knows them: who is in, in which generation,
// and what each was assigned. Kafka's protocol of joining: members say what they can, one of them
// (the leader) shares the partitions out, and any change of the members begins anew.
// A static member, which names an instance of its own choice, is the same when it comes back within
// its session: nobody joins anew then, and whoever was it before is fenced.
// What members were assigned is told to none of them before it is stored, so that a successor of
// the coordinator goes on where it was: see docs/topics.md, "Members".
// Source: https://kafka.apache.org/protocol, KIP-62, KIP-345, KIP-394.
//
// Deterministic: time comes with each call, in microseconds of a monotonic clock; random numbers
// from who makes it. Answers are given by calls of what was handed in, at once or in a later call;
// they must not call back.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "consumers/group_record.h"
#include "topic/kafka_error.h"

namespace even::kafka {

class ConsumerGroup {
 public:
  struct Protocol {
    std::string name;
    std::string metadata;
    bool operator==(const Protocol&) const = default;
  };
  struct Join {
    std::string member_id;  // empty: a new member
    std::string new_id;     // what it is called then
    std::string protocol_type;
    std::vector<Protocol> protocols;  // in order of preference
    std::int64_t session_us = 0;      // without a sign of life, until it is taken for gone
    std::int64_t rebalance_us = 0;    // that others wait for it when members join anew
    bool asks_first = false;          // it joins once more with the id that it is given
    std::optional<std::string> instance = std::nullopt;  // of a static member
    std::string client_id = {};                          // for people, as the host
    std::string client_host = {};
  };
  struct Joined {
    ErrorCode error = ErrorCode::kNone;
    std::int32_t generation = -1;
    std::string protocol;
    std::string leader;
    std::string member_id;
    std::vector<std::pair<std::string, std::string>> members;  // and metadata; of the leader
    std::vector<std::optional<std::string>> instances;         // of these
  };
  struct Synced {
    ErrorCode error = ErrorCode::kNone;
    std::string assignment;
  };
  // For people.
  struct Description {
    struct Member {
      std::string id;
      std::optional<std::string> instance;
      std::string client_id;
      std::string client_host;
      std::string metadata;    // once there is a protocol
      std::string assignment;  // once there is one
    };
    std::string_view state;  // Kafka's word for it
    std::string protocol_type;
    std::string protocol;
    std::vector<Member> members;
  };
  using OnJoined = std::move_only_function<void(Joined)>;
  using OnSynced = std::move_only_function<void(Synced)>;

  // Has a record stored, or, if it is empty, what was stored before deleted: behind whatever it was
  // asked for before. Never calls back at once; returns by which number stored() tells of it, which
  // no other has, also of another group of that name.
  using Store = std::function<std::uint64_t(std::string record)>;

  explicit ConsumerGroup(Store store) : store_(std::move(store)) {}

  // Generations that begin from now on are above this one. They never go back, wherever the group
  // is coordinated: clients tell by them whose claim to a partition is the later one.
  void begin_behind(std::int32_t generation);
  // What was stored of it, before anything else: all are members, and their sessions begin now.
  void restore(std::int64_t now_us, const GroupRecord& record);
  // A record is durable; or, with an error, it may be some time, or never.
  void stored(std::int64_t now_us, std::uint64_t number, ErrorCode error);
  void join(std::int64_t now_us, const Join& join, OnJoined done);
  // `assignments`: of the leader, by member.
  void sync(std::int64_t now_us, const std::string& member_id, std::int32_t generation,
            const std::vector<std::pair<std::string, std::string>>& assignments, OnSynced done);
  ErrorCode heartbeat(std::int64_t now_us, const std::string& member_id, std::int32_t generation);
  // An operator may leave the id of a static member out.
  ErrorCode leave(std::int64_t now_us, const std::string& member_id,
                  const std::optional<std::string>& instance = std::nullopt);
  // Whether a member that names an instance still is it, before any of the others.
  ErrorCode fence(const std::optional<std::string>& instance, const std::string& member_id) const;
  // Whether who is or was a member may store offsets; generation -1: whoever is none.
  ErrorCode may_commit(std::int64_t now_us, const std::string& member_id, std::int32_t generation);
  // Looks for members that are gone, and for who has been waited for long enough.
  void tick(std::int64_t now_us);
  // This node is not its coordinator any more.
  void give_up();

  Description describe() const;
  bool has_members() const { return !members_.empty(); }
  // Nobody is in it or about to be.
  bool empty() const { return members_.empty() && pending_.empty(); }
  // Whether nothing is left of it, here or stored.
  bool over() const { return empty() && !has_record_; }
  std::int32_t generation() const { return generation_; }

 private:
  enum class State {
    kEmpty,
    kJoining,  // members are to join anew
    kSyncing,  // they have, and wait for what the leader assigns
    kStable,
  };
  struct Member {
    std::vector<Protocol> protocols;
    std::int64_t session_us = 0;
    std::int64_t rebalance_us = 0;
    std::int64_t seen_us = 0;
    std::optional<std::string> instance;
    std::string client_id;
    std::string client_host;
    std::string assignment;
    OnJoined joining;  // waits for all to have joined, or for `replacing`
    OnSynced syncing;
    // The record by which a static member takes its place again, while that is not durable; else 0.
    std::uint64_t replacing = 0;
    std::string leader_told;  // it is told then
  };
  using Members = absl::btree_map<std::string, Member>;

  bool fits(const Join& join) const;
  void renew(std::int64_t now_us, const Join& join, Member& member);
  bool all_can(const std::string& protocol) const;
  ErrorCode check(const std::string& member_id, std::int32_t generation) const;
  void replace(std::int64_t now_us, const Join& join, OnJoined done);
  void begin_joining(std::int64_t now_us);
  // How long the members may take to join, or to ask for what they are assigned.
  std::int64_t patience_us() const;
  void end_joining(std::int64_t now_us);
  void end_joining_if_all(std::int64_t now_us);
  void delete_record();
  void answer(const std::string& id, Member& member);
  std::string record() const;
  void store_assignments(std::int64_t now_us);
  void fail_assignments(std::int64_t now_us, ErrorCode error);
  void remove(std::int64_t now_us, Members::iterator member);

  State state_ = State::kEmpty;
  std::int32_t generation_ = 0;
  std::string protocol_type_;
  std::string protocol_;
  std::string leader_;
  Members members_;
  absl::btree_map<std::string, std::string> instances_;  // of static members, their ids
  absl::btree_map<std::string, std::int64_t> pending_;   // ids given out, until when
  Store store_;
  std::int32_t floor_ = 0;      // generations to come are above it
  bool has_record_ = false;     // or may have, some time
  std::uint64_t deleting_ = 0;  // kEmpty: that there is no record any more; 0: that is not stored
  std::uint64_t storing_ = 0;   // kSyncing: the record of what the leader has assigned; 0: none yet
  std::int64_t wait_from_us_ = 0;   // kJoining: no sooner than this
  std::int64_t wait_until_us_ = 0;  // no longer; nor does kSyncing wait for the leader
};

}  // namespace even::kafka
