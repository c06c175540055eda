// Requests to partitions of topics, as the thread that has the partition serves them: records in
// and out, and who waits for records. See docs/topics.md.
//
// One per shard thread. All calls on the thread, and while it has its shard (see lease.h); what is
// handed in is called on it, at once or in a later turn.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "replica/strong.h"

namespace even {

class ShardThread;

class TopicRequests {
 public:
  explicit TopicRequests(ShardThread& thread) : thread_(thread) {}

  // Appends a checked batch, of which `owner` holds the bytes. Batches of one partition are
  // appended in the order of these calls. Waits while the store is behind.
  void append(PartitionId partition, std::string_view batch, std::shared_ptr<const void> owner,
              StrongDone done);
  // Has the partition append a batch of events, wherever it is led, within some seconds: see
  // Shard::on_relay().
  void append_events(PartitionId partition, const std::vector<std::string>& words,
                     std::move_only_function<void(std::string reply)> done);
  // Calls wake() once, when there is something of the partition from `offset` on, before its last
  // stable offset where `stable`, or this node does not lead it (or, of any member, has none of
  // it); unless `asker` is gone by then.
  using Wake = std::move_only_function<void()>;
  void await(PartitionId partition, std::int64_t offset, bool stable,
             std::weak_ptr<const void> asker, Wake wake, bool of_any_member = false);
  void tick();

  // The shard's: records may have been added to it, or its leader has changed.
  void changed(PartitionId partition);

 private:
  struct Append {
    PartitionId partition;
    std::string_view batch;
    std::shared_ptr<const void> owner;
    StrongDone done;
  };
  struct Waiting {
    std::int64_t offset;
    bool stable;
    std::weak_ptr<const void> asker;
    Wake wake;
    bool of_any_member;
  };
  void execute(Append append);
  void look(PartitionId partition);
  void forget_gone();

  ShardThread& thread_;
  std::deque<Append> paused_;
  absl::flat_hash_map<PartitionId, std::vector<Waiting>> waiting_;
  std::vector<PartitionId> changed_;  // and not looked at yet
  std::uint32_t ticks_ = 0;
};

}  // namespace even
