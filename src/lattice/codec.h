// Records as bytes, in MessagePack: see docs/formats/record.md. The same bytes are in the log, on the wire and in checkpoints, where a partition's
// whole state is a record with origin 0 and a full delta.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lattice/delta.h"

namespace even {

// Appends the encoding of `record` to `out`.
void encode_record(const Record& record, std::string& out);

class RecordDecoder {
 public:
  RecordDecoder();
  ~RecordDecoder();
  // The record views `bytes`. Any input is safe: what is not a well-formed record is an error. Reuses memory between calls.
  Result<Record> decode(std::string_view bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace even
