// Encodes a partition's state in steps, between which the partition goes on changing: what comes of
// it is the state as it was in the beginning, as ShardCore::encode_state() would have made it then,
// but for the order of its keys.
//
// Invariant: of keys whose hashes are below the cursor, all are encoded as they were in the
// beginning; of the others, those that have changed since are, in `passed_`. So a key that is about
// to change, and is neither, is encoded first. One key is encoded at once, however large it is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "lattice/codec.h"
#include "lattice/partition_state.h"

namespace even {

// The bytes of an encoded state, in parts: none is long, unless a key is, so that they are never
// moved, which would take long.
class StateBytes {
 public:
  StateBytes() = default;
  explicit StateBytes(std::string whole) { add(std::move(whole)); }
  void add(std::string part);
  std::uint64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  // From `offset` on, which is below the size: as much as is in one part, and no more than `most`.
  std::string_view at(std::uint64_t offset, std::size_t most) const;
  const std::vector<std::string>& parts() const { return parts_; }
  std::vector<std::string> take_parts();
  // All of it, which is gone then.
  std::string take_whole();

 private:
  std::vector<std::string> parts_;
  std::vector<std::uint64_t> ends_;
};

class StateEncoder final : private StateReader {
 public:
  // `state` is told of this, and tells when it goes.
  StateEncoder(PartitionId partition, PartitionState& state);
  StateEncoder(const StateEncoder&) = delete;
  ~StateEncoder();

  // Encodes about so many bytes more; in the end, adds so many of many more to the checksum. False:
  // that was all, or it has failed. Memory that is taken grows with what has been encoded.
  bool step(std::size_t max_bytes);
  // The state has been forgotten, or a part of it cannot be read.
  bool failed() const { return failed_; }
  std::uint64_t bytes() const { return bytes_.size() + builder_.bytes(); }
  // When step() has returned false, unless it has failed: the encoded state, and its hash64().
  StateBytes take() { return std::move(bytes_); }
  std::uint64_t checksum() const { return hash_.value(); }

 private:
  void before_join(const Delta& delta) override;
  void before_forget() override;
  void encode(std::size_t max_bytes);
  bool add_to_checksum(std::size_t max_bytes);
  void put(std::string_view key, const Object& object);
  void end_part();
  void end();
  void leave();

  PartitionState* state_;  // null: nothing more is read from it
  Record head_;
  RecordBuilder builder_;  // of the last part
  std::uint64_t keys_ = 0;
  StateBytes bytes_;
  bool ended_ = false;      // all keys are in it
  std::size_t hashed_ = 0;  // parts
  Hash64 hash_;
  std::uint64_t cursor_ = 0;
  std::set<std::string, std::less<>> passed_;
  bool failed_ = false;
};

}  // namespace even
