// Records as bytes, in MessagePack: see docs/formats/record.md. The same bytes are in the log, on
// the wire and in checkpoints, where a partition's whole state is a record with origin 0 and a full
// delta.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lattice/delta.h"

namespace even {

// The first bytes of every record, at fixed places, so that a record can be routed and recognised
// without being decoded.
struct RecordHead {
  std::uint16_t partition = 0;
  Dot dot;  // {0, 0} for a state
  Hlc time;
  bool folds = false;  // Record::folds
};
inline constexpr std::size_t kRecordHeadBytes = 26;
std::optional<RecordHead> decode_record_head(std::string_view bytes);

// Appends the encoding of `record` to `out`.
void encode_record(const Record& record, std::string& out);

// Encodes a record whose keys come one by one. One that follows a part of the same key becomes one
// key with it.
class RecordBuilder {
 public:
  bool empty() const { return !begun_; }
  std::size_t bytes() const { return keys_.size(); }
  // `dot`, `time`: the record's.
  void add(const KeyDelta& key, const Dot& dot, Hlc time);
  // The record is begun, though it mentions no key so far.
  void add_nothing() { begun_ = true; }
  // Appends the record to `out`. `head`: all of it but the keys; `full`: Delta::full. Empty
  // afterwards.
  void finish(const Record& head, bool full, std::string& out);

 private:
  std::string keys_;  // their encodings
  std::size_t count_ = 0;
  bool begun_ = false;
  // The last key, if it is a part of one: where its encoding and its own bytes begin, and its
  // number of leaves.
  std::size_t last_ = 0;
  std::size_t last_key_ = 0;
  std::size_t last_key_bytes_ = 0;
  std::size_t last_leaves_ = 0;
};

// Leaves on their own, as a state's keys have them. Every dot is written out.
void encode_leaves(std::span<const LeafDelta> leaves, std::string& out);

class LeavesDecoder {
 public:
  LeavesDecoder();
  ~LeavesDecoder();
  // The leaves view `bytes` and are valid until the next call. Any input is safe.
  Result<std::span<const LeafDelta>> decode(std::string_view bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class RecordDecoder {
 public:
  RecordDecoder();
  ~RecordDecoder();
  // The record views `bytes`. Any input is safe: what is not a well-formed record is an error.
  // Reuses memory between calls.
  Result<Record> decode(std::string_view bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace even
