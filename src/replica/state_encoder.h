// Encodes a partition's state in steps, between which the partition goes on changing: what comes of
// it is the state as it was in the beginning, as ShardCore::encode_state() would have made it then,
// but for the order of its keys.
//
// Invariant: of keys whose hashes are below the cursor, all are encoded as they were in the
// beginning; of the others, those that have changed since are, in `passed_`. So a key that is about
// to change, and is neither, is encoded first. One key is encoded at once, however large it is.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "lattice/codec.h"
#include "lattice/partition_state.h"

namespace even {

class StateEncoder final : private StateReader {
 public:
  // `state` is told of this, and tells when it goes.
  StateEncoder(PartitionId partition, PartitionState& state);
  StateEncoder(const StateEncoder&) = delete;
  ~StateEncoder();

  // Encodes about so many bytes more. False: that was all, or it has failed. Memory that is taken
  // grows with what has been encoded.
  bool step(std::size_t max_bytes);
  // The state has been forgotten, or a part of it cannot be read.
  bool failed() const { return failed_; }
  std::size_t bytes() const { return builder_.bytes(); }
  // When step() has returned false, unless it has failed: the encoded state.
  std::string take();

 private:
  void before_join(const Delta& delta) override;
  void before_forget() override;
  void put(std::string_view key, const Object& object);
  void leave();

  PartitionState* state_;  // null: nothing more is read from it
  Record head_;
  RecordBuilder builder_;
  std::uint64_t cursor_ = 0;
  std::set<std::string, std::less<>> passed_;
  bool failed_ = false;
};

}  // namespace even
