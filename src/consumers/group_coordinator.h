// Coordinates the consumer groups of the partitions of offsets that a thread has and its node
// leads. What a group's members have been assigned is stored beside the offsets, and loaded by
// whoever comes to lead. What is in memory holds for one term: a node that leads again knows
// nothing. See docs/topics.md, "Members".
//
// One thread; deterministic. Tasks are called at once or in a later call of this or of what the
// world calls back; they must not call back but through execute() and find().
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "consensus/entry.h"
#include "consumers/consumer_group.h"
#include "replica/strong.h"
#include "topic/kafka_error.h"

namespace even::kafka {

// What a coordinator needs of the outside.
class GroupWorld {
 public:
  using Done = std::move_only_function<void(const StrongOutcome&)>;
  virtual ~GroupWorld() = default;
  // Those of offsets that there may be here.
  virtual std::vector<PartitionId> partitions() = 0;
  // The term in which this node leads a partition, as far as it knows; none: it does not.
  virtual std::optional<consensus::Term> term_led(PartitionId partition) = 0;
  // Executes a command at a partition: a write is proposed right now, in the term that term_led()
  // says, or never. Never answers at once; may not answer at all where this world ends.
  virtual void execute(PartitionId partition, std::vector<std::string> command, Done done) = 0;
  virtual std::int64_t now_us() = 0;  // monotonic
  virtual void warn(const std::string& text) = 0;
};

// What has become of a command, to who asked the coordinator for it.
ErrorCode error_of(const StrongOutcome& outcome);
// The strings of a reply that is an array of them.
std::vector<std::string> strings_of(std::string_view reply);

class GroupCoordinator {
 public:
  // `world` outlives this.
  explicit GroupCoordinator(GroupWorld& world) : world_(world) {}
  ~GroupCoordinator();
  GroupCoordinator(const GroupCoordinator&) = delete;

  // Calls task(group) once the groups of the partition are loaded; with null where this node does
  // not lead it (any more).
  using Task = std::move_only_function<void(ConsumerGroup*)>;
  void with(PartitionId partition, const std::string& name, Task task);
  // The same of all groups of a partition: task(whether it is led here).
  void when_loaded(PartitionId partition, std::move_only_function<void(bool)> task);
  // At once. Null: not led here, or not loaded yet.
  ConsumerGroup* find(PartitionId partition, const std::string& name);
  // Those of a partition that are loaded, by their names: whoever has members, and others.
  std::vector<std::pair<std::string, const ConsumerGroup*>> groups_of(PartitionId partition) const;
  // Whether this node leads the partition still, in the term of this moment, as a majority says
  // later: what a former leader tells from memory may be over.
  void confirm(PartitionId partition, std::move_only_function<void(ErrorCode)> done);
  // Every 20 ms or so.
  void tick();

 private:
  // A partition that is led here, in one term.
  struct Led {
    consensus::Term term = 0;
    bool loaded = false;
    std::uint64_t attempt = 0;  // to load it, which is under way; 0: none is
    std::size_t missing = 0;    // records, while it is loading
    std::int32_t floor = 0;     // generations of new groups are above it
    absl::btree_map<std::string, ConsumerGroup> groups;
    std::vector<std::move_only_function<void(bool)>> waiting;
  };

  Led* current(PartitionId partition);
  Led* in_term(PartitionId partition, consensus::Term term);
  void drop(PartitionId partition);
  void load(PartitionId partition, Led& led);
  Led* loading(PartitionId partition, std::uint64_t attempt);
  void take_record(PartitionId partition, Led& led, const std::string& name,
                   const StrongOutcome& outcome);
  void loaded(Led& led);
  ConsumerGroup& group_of(PartitionId partition, Led& led, const std::string& name);
  std::uint64_t store(PartitionId partition, consensus::Term term, const std::string& name,
                      std::string record);

  GroupWorld& world_;
  absl::btree_map<PartitionId, std::unique_ptr<Led>> led_;
  std::uint64_t records_ = 0;  // that have been stored, or were to be
  std::uint64_t attempts_ = 0;
  // What is asked holds a weak pointer to this.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace even::kafka
