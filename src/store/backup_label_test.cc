#include "store/backup_label.h"

#include <gtest/gtest.h>

#include "lattice/golden.h"

namespace even::test {
namespace {

const BackupLabel kLabel{
    .store_format = 1, .taken_s = 1'700'000'000, .note = "format 2\ncluster c\nnode n1\n"};

TEST(BackupLabel, ReadsAsItWasWrittenAndHasNotChanged) {
  const std::string text =
      expect_golden("backup-label-v1.txt", encode_backup_label(kLabel), "the label of a backup");
  EXPECT_EQ(decode_backup_label(text), kLabel);
  expect_seed("backup_label_fuzz", "label", text);
}

TEST(BackupLabel, NoFlippedBitAndNoCutGoesUnnoticed) {
  std::string text = encode_backup_label(kLabel);
  for (std::size_t at = 0; at < text.size(); ++at) {
    EXPECT_FALSE(decode_backup_label(text.substr(0, at))) << at;
    for (int bit = 0; bit < 8; ++bit) {
      text[at] = static_cast<char>(text[at] ^ (1 << bit));
      EXPECT_FALSE(decode_backup_label(text)) << at;
      text[at] = static_cast<char>(text[at] ^ (1 << bit));
    }
  }
}

}  // namespace
}  // namespace even::test
