// The records in a batch of Kafka's, one after the other: docs/formats are Kafka's, see
// record_batch.h.
//
// Functions, on any thread. Safe for any input.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace even::topic {

// Views the batch.
struct RecordView {
  std::int64_t offset = 0;
  std::int64_t time_ms = 0;  // Unix time
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::vector<std::pair<std::string_view, std::optional<std::string_view>>> headers;
};

// Calls visit(record) for those of the batches in `bytes`, one batch after the other, while it
// returns true. The error says where what is there cannot be read: it is compressed, or none.
Result<> for_each_record(std::string_view bytes,
                         const std::function<bool(const RecordView&)>& visit);

}  // namespace even::topic
