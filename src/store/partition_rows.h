// One partition as rows of a store: which rows there are and what is in them. docs/formats/store.md
// has the bytes.
//
// Rows that cannot be read are damage, which is noted until the rows are replaced: the state is
// made anew from elsewhere and written under another generation of rows. So nothing ever has to be
// read, or found by name, in order to be rid of it. See docs/repair.md.
//
// Rows of a generation without a summary mean nothing. So another state is written beside the one
// that counts, as rows of a generation of its own, over as many passes as it takes; then adopt()
// makes it the one that counts. See docs/groups.md, "Snapshots".
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "lattice/changes.h"
#include "lattice/partition_state.h"
#include "log/log.h"
#include "store/row_store.h"

namespace even {

class PartitionRows final : public StoredObjects {
 public:
  // `store` must outlive this.
  PartitionRows(PartitionId partition, RowStore& store) : partition_(partition), store_(store) {}
  // Of a generation that does not count, and of which there is nothing yet.
  PartitionRows(PartitionId partition, RowStore& store, std::uint64_t generation)
      : partition_(partition), store_(store), generation_(generation), newest_(generation) {}

  // What the store holds of the partition; nothing when it holds nothing.
  Result<std::optional<PartitionState::Summary>> summary();
  // Calls visit(entry, of) for every entry of the index of expiries.
  Result<> expiries(
      const std::function<void(const Changes::Expiry&, const StoredExpiry& of)>& visit);

  void load(std::uint64_t hash, const Visit& visit) override;
  void load(std::span<const std::uint64_t> hashes, const Visit& visit) override;
  void scan(std::uint64_t first, const Visit& visit) override;
  void load_element(const TableName& table, std::uint64_t hash,
                    const VisitElements& visit) override;
  void scan_elements(const TableName& table, std::uint64_t first, std::uint64_t last,
                     const VisitElements& visit) override;

  // Appends the rows that changed in `state` to `out`, ascending, its summary last.
  Changes write_changes(PartitionState& state, RowBatch& out) const;
  // The same without the summary.
  Changes write_objects(PartitionState& state, RowBatch& out) const;
  // What write_changes() appended last has been stored.
  void stored();

  // What was found that cannot be read, first of all; nothing when there is no damage, as far as is
  // known.
  const std::optional<std::string>& damage() const { return damage_; }
  // What is read is not what it should be, although it can be read.
  void note_damage(const std::string& damage);
  // Nothing can be read from now on, because of `damage`.
  void close(const std::string& damage);
  bool closed() const { return closed_; }
  // The state holds everything anew, in memory and as changed: what is stored is not read any more,
  // and the next changes that are written take its place. `run`, of the process, is no earlier than
  // when this was called before: it names the new rows, also when it cannot be read what the old
  // ones are.
  void replace(std::uint32_t run);
  // Begins a generation beside the one that counts. `run` as for replace().
  std::uint64_t begin_generation(std::uint32_t run) { return newest_ = later_than_all(run); }
  // Whether none has been begun since, by this or replace().
  bool is_newest(std::uint64_t generation) const { return newest_ == generation; }
  // Has the store forget what is left of generations before this one that do not count.
  void forget_before(std::uint64_t generation, RowBatch& out) const;
  // This generation counts from now on, all of whose rows are stored but the summary; the next
  // changes that are written make it so in the store.
  void adopt(std::uint64_t generation);
  // A summary as write_changes() has it.
  static std::string encode(const PartitionState::Summary& summary);
  static Result<PartitionState::Summary> decode_summary(std::string_view bytes);

  // The row with the objects of a hash, and that with the elements of a hash of a table, to be read
  // ahead of time; and what makes use of their content, unless it is malformed.
  std::string object_row(std::uint64_t hash) const;
  std::string element_row(std::string_view key, const Changes::Element& element) const;
  void admit(const PartitionState& state, std::uint64_t hash,
             const std::optional<std::string>& value);
  void admit_elements(const PartitionState& state, std::string_view key,
                      const Changes::Element& element, const std::optional<std::string>& value);

  // Of objects and of elements, since this was made.
  std::uint64_t rows_read() const { return rows_read_; }

 private:
  std::uint64_t later_than_all(std::uint32_t run) const {
    const std::uint64_t last = std::max(newest_, next_generation_.value_or(generation_));
    return std::max(std::uint64_t{run} << 32, last + 1);
  }
  // Reads, and notes as damage what cannot be read.
  template <typename Read>
  void noting_damage(Read read);
  // Those of the hashes for which wanted(hash) is true.
  void scan_wanted(std::uint64_t first, const std::function<bool(std::uint64_t)>& wanted,
                   const Visit& visit);

  const PartitionId partition_;
  RowStore& store_;
  std::uint64_t generation_ = 0;                  // of the rows that are read; 0 before any repair
  std::optional<std::uint64_t> next_generation_;  // from replace() to stored()
  bool adopted_ = false;                          // from adopt() to stored()
  std::uint64_t newest_ = 0;                      // that has been begun since this was made
  bool closed_ = false;
  std::optional<std::string> damage_;
  std::uint64_t rows_read_ = 0;
};

// The row, behind those of all partitions, with the position from which a shard's log completes
// what is stored of its partitions.
void write_position(ShardId shard, LogPosition position, RowBatch& out);
// Has the store forget the positions of shards from `first` on: what it holds is then completed by
// logs from their beginning. done(outcome) is called when that is durable; at once if there are
// none.
void forget_positions(ShardId first, RowStore& store, std::function<void(Result<>)> done);
// The row, behind the positions, with what a recovery needs of a strong partition's group besides
// the partition's state: see replica/groups.h. Empty: there is no such group any more.
void write_group(PartitionId group, std::string_view value, RowBatch& out);
Result<> read_groups(RowStore& store,
                     const std::function<Result<>(PartitionId, std::string_view)>& visit);
// 0 when nothing has been stored.
Result<LogPosition> read_position(ShardId shard, RowStore& store);

}  // namespace even
