// Keeps the store of a shard's partitions up with its log: see docs/storage.md. Passes, and what
// they are good for: recovery that does not begin at the log's beginning, and memory that does not
// hold everything.
//
// Invariant: what the store holds is in the log as durable, or was and has been removed. So no
// power failure can leave objects in the store whose records are lost.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "replica/core.h"
#include "store/row_store.h"

namespace even {

class Projection {
 public:
  // The references must outlive this.
  Projection(ShardCore& core, RowStore& store);

  // Fills the partitions' states with what is stored. Returns the position from which the log
  // completes them; nothing if that cannot be read. Partitions that cannot be read are closed.
  Result<std::optional<LogPosition>> recover();

  // Goes on with the pass under way, or begins one when it is due. Within a turn, all records
  // closed.
  void tick();
  // Makes the next pass due now, if anything has changed.
  void request_pass() { requested_ = true; }
  // Has all that has been executed so far stored, by a pass that begins from now on.
  // done(outcome) is called by a later tick(), or when the store answers. Fails while a partition
  // is damaged: what is stored then is not all of it.
  using Stored = std::move_only_function<void(const Result<>&)>;
  void store_now(Stored done) { asked_.push_back(std::move(done)); }
  // Makes passes until nothing is left to store and nothing of the log is needed any more.
  void store_all() { store_all_ = true; }
  bool pass_under_way() const { return stage_ != Stage::kIdle && stage_ != Stage::kStaging; }
  // See Shard::pause_us().
  std::int64_t pause_us() const;
  // Nothing is left that a pass would store. After store_all(), that goes for the position, too.
  bool all_stored() const;

  // Whether anything is in the store only, as of the last tick.
  bool any_cold() const { return any_cold_; }
  // Whether some of this is. It is then read without blocking, and done() is called later, in
  // another turn, when it is in memory (or cannot be read, or has been let go again).
  bool fetch(std::span<const Need> needs, std::function<void()> done);

  // Lets go of objects while memory is over its limit, if they may.
  void evict(bool may_let_go);

  // The log before this is not needed for recovery.
  LogPosition position() const { return position_; }
  // It does not move while this is so: what is stored lacks something that only the log has.
  void hold_position_while(std::function<bool()> callback) { keeps_log_ = std::move(callback); }
  void set_position(LogPosition position) { position_ = next_position_ = begun_ = position; }
  // What of a strong partition's group is stored with the state that a pass takes of it; empty:
  // what is stored of it goes; none: that stays.
  using OnTake = std::function<std::optional<std::string>(PartitionId)>;
  void on_take(OnTake callback) { on_take_ = std::move(callback); }
  // Behind all others: rows of topics' logs, whose partitions and groups have been taken. Appends
  // some, ascending; false: there are no more of them. `whole`: the pass takes all partitions.
  using TakeTopics = std::function<bool(RowBatch&, bool whole)>;
  void take_topics(TakeTopics callback) { take_topics_ = std::move(callback); }
  // Rows of their checkpoints, ascending, all at once; behind those of hints.
  void take_checkpoints(std::function<void(RowBatch&)> callback) {
    take_checkpoints_ = std::move(callback);
  }
  // Between passes, those of topics alone: when there is to be one, and of which partitions. They
  // do not move the position, as the rest of the shard is not stored by them. See docs/topics.md.
  struct TopicPasses {
    std::function<bool()> due;
    std::function<bool(PartitionId)> take;
  };
  void topic_passes(TopicPasses callbacks) { topic_passes_ = std::move(callbacks); }
  // Rows of hints, behind the shard's position, and whether a pass would take any.
  struct HintRows {
    std::function<void(RowBatch&)> take;
    std::function<bool()> changed;
  };
  void take_hints(HintRows callbacks) { hints_ = std::move(callbacks); }
  // Whether a pass would store something that is in no partition's state.
  void also_stores(std::function<bool()> callback) { also_stores_ = std::move(callback); }
  // A pass has ended, successfully or not.
  void on_finished(std::function<void(bool)> callback) { on_finished_ = std::move(callback); }
  void on_stored(std::function<void()> callback) { on_stored_ = std::move(callback); }

  StoreStats stats() const {
    StoreStats stats = stats_;
    stats.lag_bytes = core_.log.end() - position_;
    stats.repaired = core_.stats.repaired;
    for (const auto& partition : core_.partitions()) {
      stats.damaged += partition->damaged() ? 1 : 0;
      stats.rows_read += partition->rows->rows_read();
    }
    return stats;
  }

 private:
  enum class Stage {
    kIdle,
    kTaking,      // changes are being taken, partition by partition
    kTopics,      // rows of topics' logs are
    kSyncing,     // waits for the log
    kCommitting,  // waits for the store
    kStaging,     // no pass: the store takes in rows that do not count yet
  };
  // What fetch() was asked for, in one partition.
  struct Fetch {
    Partition* partition;
    std::string key;
    std::uint64_t hash;
    std::vector<Changes::Element> elements;
  };
  void fetch_objects(std::vector<Fetch> fetches, std::function<void()> done);
  void fetch_elements(const std::vector<Fetch>& fetches, std::function<void()> done);

  void attach(Partition& partition);
  void attach(Partition& partition, const PartitionState::Summary& summary);
  bool stage_rows(const std::function<void(RowBatch&)>& fill,
                  std::function<void(const Result<>&)> done);
  bool due() const;
  bool topics_due() const { return topic_passes_.due && topic_passes_.due(); }
  bool holds_position() const;
  // The error says which partition is damaged, and how.
  Result<> undamaged() const;
  void begin(bool whole);
  void take();
  void take_rest();
  void take_topics();
  void commit();
  void finish(const Result<>& outcome);

  ShardCore& core_;
  RowStore& store_;
  Stage stage_ = Stage::kIdle;
  bool any_cold_ = false;
  bool requested_ = false;
  bool store_all_ = false;
  bool staged_last_ = false;  // since the last pass began
  bool whole_ = true;         // the pass under way is not of topics alone
  LogPosition position_ = 0;
  LogPosition next_position_ = 0;  // of the pass under way, or of the last one that failed
  LogPosition begun_ = 0;          // end of the log when that began
  std::uint32_t next_ = 0;         // partition to take from, or the next one that there is
  LogPosition barrier_ = 0;        // that must be durable before the store takes the pass in
  std::int64_t retry_us_ = 0;
  // Taken with the strong partitions; they are stored behind all others.
  std::vector<std::pair<PartitionId, std::string>> group_rows_;
  OnTake on_take_;
  std::function<bool()> keeps_log_;
  TakeTopics take_topics_;
  TopicPasses topic_passes_;
  std::function<void(RowBatch&)> take_checkpoints_;
  HintRows hints_;
  std::function<bool()> also_stores_;
  std::function<void(bool)> on_finished_;
  std::function<void()> on_stored_;
  std::vector<Stored> asked_;   // want a pass that has not begun
  std::vector<Stored> served_;  // by the pass under way
  // Where evict() goes on, and what it has got out of this round.
  std::size_t hand_partition_ = 0;
  std::uint64_t hand_ = 0;
  std::size_t round_ = 0;
  StoreStats stats_;  // but for what others count
};

}  // namespace even
