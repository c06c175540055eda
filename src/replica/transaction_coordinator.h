// Coordinates transactions of topics: changes their rows, tells those that take part what was
// decided, and goes on with what another coordinator has left. What it has in memory are guesses;
// what holds is in the rows, and no change of one is made that another change has overtaken. See
// docs/topic-transactions.md.
//
// One thread. What is handed in is called in a later call of this, or of what the world calls back.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "consensus/entry.h"
#include "topic/transaction.h"

namespace even {

// A key, and the group of its partition.
struct GroupKey {
  PartitionId group = 0;
  std::string key;
};

// What a coordinator needs of the outside.
class TransactionWorld {
 public:
  using Words = std::vector<std::string>;
  struct Request {
    PartitionId group = 0;
    std::vector<Words> commands;  // of one, the reply is the command's
    bool here = false;            // only if this node leads the group
    // With one, the commands are a transaction, whose reply is an array: none where this command
    // replies something else by then.
    Words watched;
    std::string watched_reply;
  };
  virtual ~TransactionWorld() = default;
  // Of the group's leader, wherever that is, within some seconds: a linearizable read, or a write.
  // The reply in RESP2; an error where it is not known whether it was executed, too. Never answers
  // at once, and may not answer at all where this world ends.
  virtual void ask(Request request, std::move_only_function<void(std::string reply)> done) = 0;
  virtual std::int64_t now_ms() = 0;  // Unix time
  // One that nobody has. None: there is none to be had at the moment.
  virtual void take_producer_id(
      std::move_only_function<void(std::optional<std::int64_t>)> done) = 0;
  // None: there is no place for it, at the moment.
  virtual std::optional<GroupKey> row_of(std::string_view transactional_id) = 0;
  virtual std::optional<GroupKey> offsets_of(std::string_view consumer_group) = 0;
  // Whether a partition of a topic has been dropped.
  virtual bool is_dropped(PartitionId partition) = 0;
};

// The string of a reply in RESP2 that is one; none if there is none. False: it is something else.
bool take_string_reply(std::string_view reply, std::optional<std::string>& out);

// Where a consumer group has pending what transactions are about to commit, beside its offsets: a
// hash, by producer id (8 bytes, big endian).
std::string pending_offsets_key(std::string_view consumer_group);

class TransactionCoordinator {
 public:
  using Error = topic::TransactionError;
  using Producer = topic::Producer;
  using Done = std::move_only_function<void(Error)>;

  // `world` outlives this.
  explicit TransactionCoordinator(TransactionWorld& world) : world_(world) {}

  // --- Of transactional ids, where their rows are led.
  using Given = std::move_only_function<void(Error, Producer)>;
  // `itself`: who asks has this id and epoch, and is refused if they are others'.
  void give_id(const std::string& transactional_id, std::int32_t timeout_ms,
               std::optional<Producer> itself, Given done);
  void add(const std::string& transactional_id, Producer producer,
           std::vector<PartitionId> partitions, std::vector<std::string> groups, Done done);
  void end(const std::string& transactional_id, Producer producer, bool commit, Done done);

  // --- Of consumer groups: fields of their hash, to be written if the transaction commits. Where
  // the group's offsets are led; may(): whether the consumer still has its place in the group.
  using Offsets = std::vector<std::pair<std::string, std::string>>;
  void add_offsets(const std::string& transactional_id, Producer producer,
                   const std::string& consumer_group, Offsets offsets, std::function<bool()> may,
                   Done done);

  // This node leads a group with rows, in this term; or it does not any more. To be repeated.
  void lead(PartitionId group, consensus::Term term);
  void leave(PartitionId group);
  // Every 20 ms or so.
  void tick();

 private:
  using Row = topic::Transaction;
  struct Decision {
    enum class Kind : std::uint8_t { kAnswer, kWrite, kAwaitEnd, kNeedId };
    Kind kind = Kind::kAnswer;
    Error error = Error::kNone;  // kAnswer
    Row row;                     // kWrite
  };
  struct Operation {
    std::function<Decision(const std::optional<Row>&, std::optional<std::int64_t> fresh_id)> decide;
    Given done;
    std::int64_t deadline_ms = 0;
    int tries = 0;
    std::optional<std::int64_t> fresh_id;
    bool decided = false;           // it has made the row a prepared one
    bool answers_decision = false;  // and that is all it is about
  };
  struct Entry {
    std::string id;
    GroupKey at;
    std::deque<Operation> queue;
    std::optional<Row> row;
    std::string seen;     // the row, as a read replies it
    bool known = false;   // what the row is, as far as nobody else has changed it
    bool fresh = false;   // it was read, or written, for the operation at the front
    bool busy = false;    // the one at the front has asked something
    bool ending = false;  // those that take part are being told
    std::size_t missing = 0;
    std::int64_t used_ms = 0;
  };
  using EntryPointer = std::shared_ptr<Entry>;

  void submit(const std::string& id, Operation operation);
  void look(const std::string& id);
  void advance(const EntryPointer& entry);
  void read(const EntryPointer& entry);
  void write(const EntryPointer& entry, const Row& row,
             std::move_only_function<void(bool known, bool written)> done);
  void take_written(const EntryPointer& entry, bool known, bool written);
  static void answer(const EntryPointer& entry, Error error);
  void tell_all(const EntryPointer& entry);
  void tell_partition(const std::weak_ptr<Entry>& entry, PartitionId partition, std::string marker);
  void tell_group(const std::weak_ptr<Entry>& entry, const std::string& group,
                  const topic::Marker& marker);
  void told(const EntryPointer& entry);
  void expire(const EntryPointer& entry);
  void later(std::int64_t ms, std::move_only_function<void()> what);

  // Changes what a group has pending of a producer, as often as something comes in between.
  struct Change {
    std::vector<TransactionWorld::Words> commands;  // none: nothing is to be done
    Error error = Error::kNone;
    bool here = false;  // or not at all
  };
  using Changing = std::function<Change(const topic::PendingOffsets&)>;
  void change_pending(const GroupKey& at, const std::string& group, std::int64_t producer_id,
                      std::shared_ptr<Changing> changing, Done done, int tries = 0);

  TransactionWorld& world_;
  absl::btree_map<std::string, EntryPointer> entries_;
  struct Led {
    consensus::Term term = 0;
    std::int64_t loaded_ms = 0;
  };
  absl::btree_map<PartitionId, Led> led_;
  std::vector<std::pair<std::int64_t, std::move_only_function<void()>>> later_;
  // What asks, and is no entry, holds a weak pointer to this.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace even
