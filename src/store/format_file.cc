#include "store/format_file.h"

#include <fmt/format.h>
#include <rocksdb/env.h>

#include <charconv>

namespace even {

Result<std::optional<int>> read_format_file(rocksdb::Env* env, const std::string& path) {
  std::string text;
  const rocksdb::Status status = rocksdb::ReadFileToString(env, path, &text);
  if (status.IsNotFound() || status.IsPathNotFound()) return std::nullopt;
  if (!status.ok()) return fail(status.ToString());
  int format = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), format);
  if (error != std::errc() || std::string_view(end) != "\n" || format < 1) {
    return fail(fmt::format("the file {} holds no number", path));
  }
  return format;
}

Result<> write_format_file(rocksdb::Env* env, const std::string& path, int format) {
  std::unique_ptr<rocksdb::Directory> entries;
  rocksdb::Status status =
      rocksdb::WriteStringToFile(env, fmt::format("{}\n", format), path, /*should_sync=*/true);
  if (status.ok()) status = env->NewDirectory(path.substr(0, path.rfind('/')), &entries);
  if (status.ok()) status = entries->Fsync();
  if (!status.ok()) return fail(status.ToString());
  return {};
}

}  // namespace even
