// The records of one batch by their keys, as compaction looks at them, and the same batch without
// some of them: with the head that it had, so that whatever follows from that is the same. See
// docs/topics.md, "Compaction".
//
// A value, on any thread. Reading is safe for any input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topic/record_batch.h"

namespace even::topic {

class KeyedRecords {
 public:
  struct Record {
    std::string_view bytes;  // with its length
    std::int32_t delta = 0;  // of its offset, to the batch's first
    std::optional<std::string_view> key;
    bool deletes = false;  // it has a key and no value
  };

  // Of a batch that is no control batch; views it. The error says why its records cannot be read.
  static Result<KeyedRecords> read(std::string_view batch);
  KeyedRecords(KeyedRecords&&) = default;
  KeyedRecords& operator=(KeyedRecords&&) = default;

  const BatchHead& head() const { return head_; }
  const std::vector<Record>& all() const { return records_; }
  // The batch with these of its records, which are in their order; none: its head alone.
  Result<std::string> with(const std::vector<Record>& kept) const;

 private:
  KeyedRecords() = default;

  std::string_view batch_;
  BatchHead head_;
  std::vector<char> decompressed_;  // its place in memory stays when this is moved
  std::vector<Record> records_;
};

// The head of a batch alone: all its records are gone.
std::string without_records(std::string_view batch);
// Whether all records of a batch that check_batch() finds right have keys.
bool all_have_keys(std::string_view batch);

}  // namespace even::topic
