// Backups of the store in RocksDB: what is in them, what they share, what becomes of damage.
#include "store/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <fstream>

#include "store/test_store.h"

namespace even::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const CopyProgress kUnwatched = [](std::uint64_t, std::uint64_t) {};

struct BackupWorld : RocksWorld {
  Result<BackupEntry> back_up(std::uint32_t keep = 0) {
    progress.copied = 0;
    return database->back_up({.directory = backups(), .note = note, .keep = keep}, progress);
  }
  // `backup` as rows; the error of restoring it in place of them.
  Result<Rows> restored(BackupId id) {
    const auto entry = find_backup(backups(), id);
    if (!entry) return std::unexpected(entry.error());
    const TemporaryDirectory place;
    const std::string store = place.path() + "/store";
    if (const auto done = restore_backup(backups(), *entry, store, kUnwatched); !done) {
      return std::unexpected(done.error());
    }
    RocksWorld world(store);
    return scan(*world.store);
  }
  std::vector<BackupId> ids() {
    std::vector<BackupId> ids;
    const auto found = list_backups(backups());
    for (const BackupEntry& entry : found->whole) ids.push_back(entry.id);
    return ids;
  }
  std::string backups() const { return place.path() + "/backups"; }

  TemporaryDirectory place;
  std::string note = "node n1\n";
  BackupProgress progress;
};

std::string error_of(const auto& result) { return result ? "" : result.error().message; }

std::vector<fs::path> files_in(const std::string& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

TEST(Backup, HoldsWhatWasStoredAndCopiesOnlyWhatIsNew) {
  BackupWorld world;
  Random random(1);
  const std::string large = random_bytes(random, 1 << 20);
  Rows rows = {{"a", large}, {"b", "1"}};
  ASSERT_TRUE(put(world, rows));
  const auto first = world.back_up();
  ASSERT_TRUE(first) << error_of(first);
  EXPECT_EQ(first->id, 1u);
  EXPECT_EQ(first->label.note, "node n1\n");
  const std::uint64_t all = world.progress.copied;
  EXPECT_GT(all, 1u << 20);
  EXPECT_LT(all - first->bytes, 1000u);  // RocksDB's list of the files

  ASSERT_TRUE(put(world, {{"b", "2"}, {"c", "2"}}));
  const auto second = world.back_up();
  ASSERT_TRUE(second) << error_of(second);
  EXPECT_GT(second->bytes, first->bytes);
  EXPECT_LT(world.progress.copied, second->bytes - first->bytes + 20'000);
  EXPECT_LE(world.progress.expected, world.progress.copied);

  EXPECT_THAT(world.ids(), ElementsAre(1, 2));
  EXPECT_EQ(world.restored(1), rows);
  rows["b"] = rows["c"] = "2";
  EXPECT_EQ(world.restored(2), rows);
  EXPECT_EQ(world.restored(0), rows);
  EXPECT_THAT(error_of(world.restored(3)), HasSubstr("no backup 3"));
  for (const BackupId id : world.ids()) {
    EXPECT_EQ(error_of(verify_backup(world.backups(), id, kUnwatched)), "");
  }
}

TEST(Backup, KeepsTheNewestSoManyAndTheFilesThatTheyNeed) {
  BackupWorld world;
  Rows rows;
  for (int i = 1; i <= 4; ++i) {
    rows[std::to_string(i)] = std::string(1000, 'x');
    ASSERT_TRUE(put(world, {{std::to_string(i), std::string(1000, 'x')}}));
    ASSERT_TRUE(world.back_up(2));
  }
  EXPECT_THAT(world.ids(), ElementsAre(3, 4));
  EXPECT_EQ(world.restored(4), rows);
  rows.erase("4");
  EXPECT_EQ(world.restored(3), rows);
}

TEST(Backup, ARestoredStoreGoesOnAndIsBackedUpBesideTheOldOne) {
  BackupWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  ASSERT_TRUE(world.back_up());
  ASSERT_TRUE(put(world, {{"old", "1"}}));
  ASSERT_TRUE(world.back_up());

  // The new files of both have the same numbers.
  world.close();
  fs::remove_all(world.directory.path());
  ASSERT_TRUE(restore_backup(world.backups(), *find_backup(world.backups(), 1),
                             world.directory.path(), kUnwatched));
  world.open();
  ASSERT_TRUE(put(world, {{"new", "1"}}));
  ASSERT_TRUE(world.back_up());
  EXPECT_EQ(world.restored(2), (Rows{{"a", "1"}, {"old", "1"}}));
  EXPECT_EQ(world.restored(3), (Rows{{"a", "1"}, {"new", "1"}}));
}

TEST(Backup, EachFlippedBitIsFoundAndNotRestored) {
  const Quiet quiet;
  BackupWorld world;
  const Rows rows = {{"a", "1"}, {"b", std::string(500, 'x')}};
  ASSERT_TRUE(put(world, rows));
  ASSERT_TRUE(world.back_up());
  fs::remove(world.backups() + "/LOCK");
  for (const fs::path& file : files_in(world.backups())) {
    const bool list_of_files = file.parent_path().filename() == "meta";
    const std::uint64_t size = fs::file_size(file);
    for (std::uint64_t at = 0; at < size; at += list_of_files ? 1 : 1 + size / 20) {
      flip_byte(file, at);
      const auto verified = verify_backup(world.backups(), 1, kUnwatched);
      const auto restored = world.restored(1);
      // The list has a time and a number that nobody reads.
      if (list_of_files && verified) {
        EXPECT_EQ(restored, rows) << file << " at " << at;
        EXPECT_EQ(find_backup(world.backups(), 1)->label.note, world.note);
      } else {
        EXPECT_FALSE(verified) << file << " at " << at;
        EXPECT_FALSE(restored) << file << " at " << at;
      }
      flip_byte(file, at);
    }
    fs::rename(file, file.native() + ".away");
    EXPECT_FALSE(verify_backup(world.backups(), 1, kUnwatched)) << file;
    EXPECT_FALSE(world.restored(1)) << file;
    fs::rename(file.native() + ".away", file);
  }
  EXPECT_EQ(world.restored(1), rows);
}

TEST(Backup, DamageInTheStoreIsNotBackedUp) {
  BackupWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  ASSERT_TRUE(world.back_up());
  ASSERT_TRUE(put(world, {{"b", std::string(10'000, 'x')}}));
  fs::path newest;
  for (const fs::path& file : files_in(world.directory.path())) {
    if (file.extension() == ".sst") newest = file;
  }
  flip_byte(newest, 100);
  EXPECT_THAT(error_of(world.back_up()),
              AllOf(HasSubstr(newest.filename().native()), HasSubstr("checksum")));
  EXPECT_THAT(world.ids(), ElementsAre(1));
  flip_byte(newest, 100);
  ASSERT_TRUE(world.back_up());
  EXPECT_EQ(world.restored(0)->size(), 2u);
}

TEST(Backup, OneThatIsToldToStopLeavesTheOthers) {
  BackupWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  ASSERT_TRUE(world.back_up());
  ASSERT_TRUE(put(world, {{"b", "1"}}));
  world.progress.stop = true;
  EXPECT_FALSE(world.back_up());
  EXPECT_THAT(world.ids(), ElementsAre(1));
  world.progress.stop = false;
  const auto next = world.back_up();
  ASSERT_TRUE(next) << error_of(next);
  EXPECT_EQ(world.restored(next->id), (Rows{{"a", "1"}, {"b", "1"}}));
}

TEST(Backup, ADirectoryOfOtherThingsOrOfAnotherProcessIsLeftAlone) {
  BackupWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  fs::create_directories(world.backups() + "/private");
  std::ofstream(world.backups() + "/private/letter") << "dear";
  EXPECT_THAT(error_of(world.back_up()), HasSubstr("'private'"));
  EXPECT_THAT(error_of(list_backups(world.backups())), HasSubstr("there are no backups"));
  EXPECT_EQ(files_in(world.backups()).size(), 1u);
  fs::remove_all(world.backups() + "/private");

  fs::create_directories(world.backups());
  rocksdb::FileLock* lock = nullptr;
  ASSERT_TRUE(rocksdb::Env::Default()->LockFile(world.backups() + "/LOCK", &lock).ok());
  EXPECT_THAT(error_of(world.back_up()), HasSubstr("another process"));
  ASSERT_TRUE(rocksdb::Env::Default()->UnlockFile(lock).ok());
  EXPECT_EQ(error_of(world.back_up()), "");
}

TEST(Backup, OneOfANewerVersionIsRefused) {
  BackupWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  ASSERT_TRUE(world.back_up());
  std::ofstream(world.backups() + "/BACKUPS") << "2\n";
  EXPECT_THAT(error_of(world.back_up()), HasSubstr("newer version"));
  EXPECT_THAT(error_of(world.restored(1)), HasSubstr("newer version"));
  std::ofstream(world.backups() + "/BACKUPS") << "1\n";
  auto entry = find_backup(world.backups(), 1);
  ASSERT_TRUE(entry);
  for (const auto& [format, what] :
       {std::pair{kStoreFormat + 1, "a newer version"}, {kStoreFormat - 1, "an older version"}}) {
    entry->label.store_format = format;
    EXPECT_THAT(
        error_of(restore_backup(world.backups(), *entry, world.place.path() + "/s", kUnwatched)),
        HasSubstr(what));
  }
}

}  // namespace
}  // namespace even::test
