// The small file that says in which version a directory is written: a decimal number and a line
// feed. For what works with RocksDB's file systems.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace rocksdb {
class Env;
}

namespace even {

// Nothing when there is no such file. The error is that it cannot be read, or holds no number.
Result<std::optional<int>> read_format_file(rocksdb::Env* env, const std::string& path);
// Makes it, and has it and its name on the disk when it returns.
Result<> write_format_file(rocksdb::Env* env, const std::string& path, int format);

}  // namespace even
