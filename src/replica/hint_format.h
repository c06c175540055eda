// Hints as bytes: entries of the log, and rows of the store. See docs/hints.md, and docs/formats
// (log.md, store.md) for the bytes. Decoding is safe for any input.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "store/row_batch.h"
#include "store/row_store.h"

namespace even {

struct HintLogEntry {
  enum class Kind : std::uint8_t {
    kBase = 1,    // of earlier versions, which wrote a vector; it says nothing any more
    kRecord = 2,  // is kept from now on
    kForget = 3,  // all that is held of the partition goes
  };
  Kind kind = Kind::kBase;
  PartitionId partition = 0;  // of a record, its head says it
  std::int64_t kept_ms = 0;   // wall clock of when the record came
  std::string_view record;    // views what was decoded
};

// They also count as entries of groups where those are told from records.
bool is_hint_log_entry(std::string_view bytes);
void encode_hint_record(std::int64_t kept_ms, std::string_view record, std::string& out);
void encode_hint_forget(PartitionId partition, std::string& out);
Result<HintLogEntry> decode_hint_log_entry(std::string_view bytes);

// Rows, behind the positions of shards and before those of groups: of a partition, records as they
// came, numbered from 1, with the time they came at.
std::string hint_row(PartitionId partition, std::uint64_t number);
// Behind the last one of the partition.
std::string hint_rows_end(PartitionId partition);
std::string hint_record_value(std::int64_t kept_ms, std::string_view record);

// Ascending. Blocks.
using HintRowVisit = std::function<void(PartitionId, std::uint64_t number, std::int64_t kept_ms,
                                        std::string_view record)>;
Result<> read_hints(RowStore& store, const HintRowVisit& visit);

}  // namespace even
