// RDB files: what Redis and Valkey save, and send to a new replica. One key after the other is read
// from bytes that are there as a whole, such as a mapped file; they come from anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rdb/value.h"

namespace even::rdb {

struct FileKey {
  std::uint64_t database = 0;
  std::string key;
  std::optional<std::int64_t> expires_at_ms;  // Unix time
  // As they stand in the file: together, a payload's value.
  std::uint8_t type = 0;
  std::string_view content;
  AnyValue value;
};

class FileReader {
 public:
  // Where it goes on: behind a key.
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t database = 0;
  };

  // `bytes` outlive this. `value_bytes`: the memory that one value may take.
  FileReader(std::string_view bytes, std::uint64_t value_bytes)
      : bytes_(bytes), value_bytes_(value_bytes) {}

  // Reads the head, or begins at the place. Errors say what is wrong and at which byte.
  Result<> begin();
  Result<> begin(Place place);
  // False: there are no more, and the checksum, if there is one, is right. A value of a type that
  // is not known is an error.
  Result<bool> next(FileKey& out);
  Place place() const { return place_; }
  // The code of the libraries of functions (FUNCTION) that have been passed. They are before the
  // keys.
  const std::vector<std::string>& functions() const { return functions_; }
  // Once next() has said that there are no more: where the file ends, or an append-only file that
  // has it for its beginning goes on.
  std::uint64_t end() const { return place_.offset; }

 private:
  std::unexpected<Error> wrong(std::string_view what) const;
  Result<> check_end();

  const std::string_view bytes_;
  const std::uint64_t value_bytes_;
  Place place_;
  unsigned version_ = 0;
  std::vector<std::string> functions_;
};

}  // namespace even::rdb
