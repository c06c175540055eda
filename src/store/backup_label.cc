#include "store/backup_label.h"

#include <fmt/format.h>

#include <charconv>

#include "base/hash.h"

namespace even {
namespace {

std::string checksum_line(std::string_view text) {
  return fmt::format("checksum {:016x}\n", hash64(text));
}

// The number of the line "name number" at the start of `text`, which it is taken from.
template <typename Number>
bool take_line(std::string_view& text, std::string_view name, Number& number) {
  if (!text.starts_with(name)) return false;
  text.remove_prefix(name.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (error != std::errc() || !text.starts_with('\n')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string encode_backup_label(const BackupLabel& label) {
  std::string text = fmt::format("backup {}\nstore {}\ntaken {}\n{}", label.format,
                                 label.store_format, label.taken_s, label.note);
  return text + checksum_line(text);
}

std::optional<BackupLabel> decode_backup_label(std::string_view text) {
  const std::size_t checksum_bytes = checksum_line("").size();
  if (text.size() < checksum_bytes) return std::nullopt;
  const std::string_view checksum = text.substr(text.size() - checksum_bytes);
  text.remove_suffix(checksum_bytes);
  if (checksum != checksum_line(text)) return std::nullopt;
  BackupLabel label;
  if (!take_line(text, "backup ", label.format) || !take_line(text, "store ", label.store_format) ||
      !take_line(text, "taken ", label.taken_s)) {
    return std::nullopt;
  }
  label.note = text;
  return label;
}

}  // namespace even
