// What is written down of a backup beside RocksDB's own list of its files, as a text with a
// checksum: see docs/formats/backup.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace even {

// What this version writes; it reads older ones as well.
inline constexpr int kBackupFormat = 1;

struct BackupLabel {
  int format = kBackupFormat;
  int store_format = 0;
  std::int64_t taken_s = 0;  // Unix time
  std::string note;          // from its maker: lines, each with its end

  bool operator==(const BackupLabel&) const = default;
};

std::string encode_backup_label(const BackupLabel& label);
// Nothing when it is damaged.
std::optional<BackupLabel> decode_backup_label(std::string_view text);

}  // namespace even
