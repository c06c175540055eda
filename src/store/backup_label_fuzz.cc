// The label of a backup is either refused or means the same when it is written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "store/backup_label.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)even::decode_backup_label(text);
  // With the right checksum, which no fuzzer guesses.
  even::BackupLabel label{.note = std::string(text)};
  if (even::decode_backup_label(even::encode_backup_label(label)) != label) std::abort();
  return 0;
}
