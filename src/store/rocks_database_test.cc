// What is particular to the store in RocksDB: its directory, damage, full disks, sudden death.
#include "store/rocks_database.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <ranges>
#include <thread>

#include "env/random.h"
#include "store/test_store.h"

namespace even::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Debian's build of RocksDB has its assertions on. The last byte of a file's properties, which lies
// in this stretch, is used before its checksum is verified, and fails one.
bool fails_an_assertion(std::uint64_t at, std::uint64_t file_size) {
  return at + 250 > file_size && at + 100 < file_size;
}

std::string error_of_open(const std::string& directory) {
  const auto opened = RocksDatabase::open(directory);
  return opened ? "" : opened.error().message;
}

// Brings everything into the lowest level, in files of about this size, and leaves the store
// closed.
void compact(RocksWorld& world, std::uint64_t file_bytes = 64 << 20) {
  world.close();
  rocksdb::DB* opened = nullptr;
  rocksdb::Options of_files;
  of_files.target_file_size_base = file_bytes;
  rocksdb::Status status = rocksdb::DB::Open(of_files, world.directory.path(), &opened);
  EVEN_CHECK(status.ok(), status.ToString());
  const std::unique_ptr<rocksdb::DB> db(opened);
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  status = db->CompactRange(options, nullptr, nullptr);
  EVEN_CHECK(status.ok(), status.ToString());
}

TEST(RocksDatabase, WhatAPassPutsSurvivesItsOwnRangesAlsoWhenCompacted) {
  RocksWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}}));
  RowBatch changes;
  changes.remove_range("a", "d");
  changes.put("b", "2");
  changes.put("bb", "2");
  world.store->write(changes);
  ASSERT_TRUE(commit(world));
  const Rows expected = {{"b", "2"}, {"bb", "2"}, {"d", "1"}};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(scan(*world.store), expected);
    EXPECT_EQ(get(*world.store, "b"), "2");
    EXPECT_EQ(get(*world.store, "c"), std::nullopt);
    compact(world);
    world.open();
  }
}

TEST(RocksDatabase, ShardsShareTheRows) {
  RocksWorld world;
  Mailbox mailbox;
  const auto other = world.database->shard_store(1, mailbox.post());
  RowBatch changes;
  changes.put("b", "1");
  other->write(changes);
  bool done = false;
  other->commit([&](Result<> outcome) { done = outcome.has_value(); });
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  while (!done) mailbox.wait_and_run_one();
  EXPECT_EQ(scan(*world.store), (Rows{{"a", "1"}, {"b", "1"}}));
  EXPECT_EQ(scan(*other), (Rows{{"a", "1"}, {"b", "1"}}));
}

TEST(RocksDatabase, OutcomesThatWaitForTheShardAreNotDeliveredToAStoreThatIsGone) {
  RocksWorld world;
  bool delivered = false;
  world.store->fetch({"a"}, [&](RowStore::Fetched) { delivered = true; });
  world.store->commit([&](Result<>) { delivered = true; });
  while (world.mailbox.size() < 2) std::this_thread::yield();
  world.store.reset();
  world.mailbox.wait_and_run_one();
  world.mailbox.wait_and_run_one();
  EXPECT_FALSE(delivered);
}

TEST(RocksDatabase, RowsThatDoNotAscendFailTheirPassAndNoOther) {
  RocksWorld world;
  RowBatch changes;
  changes.put("b", "1");
  changes.put("a", "1");
  world.store->write(changes);
  const Result<> outcome = commit(world);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message,
              AllOf(HasSubstr(world.directory.path()), HasSubstr("order")));
  ASSERT_TRUE(put(world, {{"c", "1"}}));
  EXPECT_EQ(scan(*world.store), (Rows{{"c", "1"}}));
}

TEST(RocksDatabase, APassWhoseFileCannotBeWrittenFailsAndTheNextWorks) {
  RocksWorld world;
  const fs::path passes = fs::path(world.directory.path()) / "passes";
  fs::remove(passes);
  const Result<> outcome = put(world, {{"a", "1"}});
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message,
              AllOf(HasSubstr(passes.native()), HasSubstr("No such file or directory")));
  fs::create_directory(passes);
  ASSERT_TRUE(put(world, {{"b", "1"}}));
  EXPECT_EQ(scan(*world.store), (Rows{{"b", "1"}}));
}

TEST(RocksDatabase, FilesOfUnfinishedPassesDoNotStay) {
  RocksWorld world;
  const fs::path passes = fs::path(world.directory.path()) / "passes";
  RowBatch changes;
  changes.put("a", "1");
  world.store->write(changes);
  world.store->abandon();
  ASSERT_TRUE(put(world, {{"b", "1"}}));
  EXPECT_TRUE(fs::is_empty(passes));
  world.store->write(changes);
  world.store.reset();
  EXPECT_TRUE(fs::is_empty(passes));
  std::ofstream(passes / "0-7.sst") << "what a process left that died";
  world.reopen();
  EXPECT_TRUE(fs::is_empty(passes));
}

TEST(RocksDatabase, RestartsDoNotLeaveFilesBehind) {
  RocksWorld world;
  const auto files = [&world] {
    return std::distance(fs::directory_iterator(world.directory.path()), fs::directory_iterator());
  };
  for (int i = 0; i < 3; ++i) world.reopen();
  const auto before = files();
  for (int i = 0; i < 8; ++i) world.reopen();
  EXPECT_LT(files(), before + 4);  // RocksDB removes some later
}

TEST(RocksDatabase, StatsTellWhatWasWritten) {
  RocksWorld world;
  Random random(1);
  ASSERT_TRUE(put(world, {{"a", random_bytes(random, 100'000)}}));
  const RocksStats stats = world.database->stats();
  EXPECT_GT(stats.live, 100'000u);
  EXPECT_EQ(stats.written_by_passes, stats.live);
  EXPECT_EQ(stats.background_errors, 0u);
}

// The same rows over and over: what is in the cache of files that are gone must not stay, and what
// is read must.
TEST(RocksDatabase, WritingDoesNotFillTheCacheOfBlocks) {
  RocksWorld world;
  Random random(1);
  Rows read;
  for (int i = 0; i < 1'000; ++i) read[fmt::format("a row {:06}", i)] = random_bytes(random, 1'000);
  ASSERT_TRUE(put(world, read));
  compact(world);
  world.open();
  const auto cached = [&world] { return world.database->stats().block_cache; };
  std::uint64_t most = 0, least = ~std::uint64_t{0};
  for (int pass = 0; pass < 200; ++pass) {
    if (pass % 4 == 0) {
      for (const auto& [key, value] : read) ASSERT_EQ(get(*world.store, key), value);
    }
    Rows rows;
    for (int i = 0; i < 5'000; ++i) rows[fmt::format("row {:06}", i)] = std::to_string(pass);
    ASSERT_TRUE(put(world, rows));
    if (pass < 20) continue;
    most = std::max(most, cached());
    least = std::min(least, cached());
  }
  EXPECT_GE(least, 800'000u);   // of a million bytes, where compaction is behind
  // Each pass brings some 13 KB into it, which stay where compaction is far behind. What is written
  // comes to four times that, and more.
  EXPECT_LE(most, 4'000'000u);
}

TEST(RocksDatabase, AStoreInUseIsRefused) {
  const RocksWorld world;
  EXPECT_THAT(error_of_open(world.directory.path()),
              AllOf(HasSubstr(world.directory.path()), HasSubstr("in use")));
}

TEST(RocksDatabase, AnUnknownFormatIsRefused) {
  RocksWorld world;
  world.close();
  const std::string path = world.directory.path() + "/FORMAT";
  std::ofstream(path) << kStoreFormat + 1 << '\n';
  EXPECT_THAT(error_of_open(world.directory.path()),
              AllOf(HasSubstr(world.directory.path()), HasSubstr("a newer version of Even")));
  std::ofstream(path, std::ios::trunc) << kStoreFormat - 1 << '\n';
  EXPECT_THAT(error_of_open(world.directory.path()), HasSubstr("an older version of Even"));
  for (const char* text : {"", "1", "0\n", "one\n", "1\n\n"}) {
    std::ofstream(path, std::ios::trunc) << text;
    EXPECT_THAT(error_of_open(world.directory.path()), HasSubstr("FORMAT holds no number")) << text;
  }
  fs::remove(path);
  EXPECT_THAT(error_of_open(world.directory.path()), HasSubstr("FORMAT is missing"));
  std::ofstream(path) << kStoreFormat << '\n';
  EXPECT_EQ(error_of_open(world.directory.path()), "");
}

TEST(RocksDatabase, ADamagedDirectoryIsRefusedWithWhatIsDamaged) {
  RocksWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  world.close();
  const std::string& directory = world.directory.path();
  std::string manifest;
  std::ifstream(directory + "/CURRENT") >> manifest;
  flip_byte(directory + "/" + manifest, 20);
  EXPECT_THAT(error_of_open(directory),
              AllOf(HasSubstr("store " + directory + " is damaged"), HasSubstr(manifest)));
  flip_byte(directory + "/" + manifest, 20);
  fs::resize_file(directory + "/CURRENT", 0);
  EXPECT_THAT(error_of_open(directory),
              AllOf(HasSubstr("store " + directory + " is damaged"), HasSubstr("CURRENT")));
}

TEST(RocksDatabase, AnImpossibleDirectoryIsRefused) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() + "/file") << "x";
  EXPECT_THAT(error_of_open(directory.path() + "/file/store"),
              AllOf(HasSubstr(directory.path() + "/file/store"), HasSubstr("Not a directory")));
}

Rows many_rows(Random& random) {
  Rows rows;
  for (int i = 0; i < 2'000; ++i) rows[row_name(i)] = random_bytes(random, 100);
  return rows;
}

TEST(RocksDatabase, DamagedRowsAreErrorsThatNameTheFileAndOthersAreRead) {
  RocksWorld world;
  Random random(1);
  const Rows rows = many_rows(random);
  ASSERT_TRUE(put(world, rows));
  const fs::path file = files_of_rows(world.directory.path()).at(0);
  world.close();
  flip_byte(file, fs::file_size(file) / 2);
  world.open();

  const auto scanned = scan(*world.store);
  ASSERT_FALSE(scanned);
  EXPECT_THAT(scanned.error().message, AllOf(HasSubstr(file.native()), HasSubstr("checksum")));
  int damaged = 0;
  for (const auto& [row, value] : rows) {
    const auto read = world.store->get(row);
    const auto fetched = fetch(world, {row});
    ASSERT_EQ(read.has_value(), fetched.has_value());
    if (read) {
      EXPECT_EQ(*read, value);
      EXPECT_EQ(fetched->at(0), value);
    } else {
      ++damaged;
      EXPECT_THAT(read.error().message, HasSubstr(file.native()));
      EXPECT_THAT(fetched.error().message, HasSubstr(file.native()));
    }
  }
  EXPECT_GT(damaged, 0);
  EXPECT_LT(damaged, 100);
  ASSERT_TRUE(put(world, {{"x", "1"}}));
  EXPECT_EQ(get(*world.store, "x"), "1");
}

TEST(RocksDatabase, NoFlippedByteLeadsToAWrongRow) {
  const Quiet quiet;
  RocksWorld world;
  Random random(1);
  Rows rows;
  for (int i = 0; i < 300; ++i) rows[row_name(i)] = random_bytes(random, 60);
  ASSERT_TRUE(put(world, rows));
  RowBatch batch;
  batch.remove_range(row_name(100), row_name(110));
  batch.put(row_name(105), "new");
  batch.remove(row_name(120));
  world.store->write(batch);
  ASSERT_TRUE(commit(world));
  rows.erase(rows.lower_bound(row_name(100)), rows.lower_bound(row_name(110)));
  rows[row_name(105)] = "new";
  rows.erase(row_name(120));
  const auto files = files_of_rows(world.directory.path());
  ASSERT_EQ(files.size(), 3u);
  world.close();
  int errors = 0;
  for (const fs::path& file : files) {
    const std::uint64_t size = fs::file_size(file);
    for (std::uint64_t at = 0; at < size; at += size - at < 1'500 ? 23 : 331) {
      if (fails_an_assertion(at, size)) continue;
      flip_byte(file, at);
      world.open();
      Rows visited;
      const Result<> scanned =
          world.store->scan("", "z", [&](std::string_view row, std::string_view value) {
            visited.emplace(row, value);
            return true;
          });
      if (!scanned) ++errors;
      // What was visited before an error is right as well.
      ASSERT_TRUE(std::ranges::equal(
          visited, std::views::take(rows, static_cast<std::ptrdiff_t>(visited.size()))))
          << file << ", byte " << at;
      ASSERT_TRUE(!scanned || visited == rows) << file << ", byte " << at;
      std::vector<std::string> asked;
      for (int i = 0; i < 300; i += 5) asked.push_back(row_name(i));
      const auto fetched = fetch(world, asked);
      for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto known = rows.find(asked[i]);
        const auto expected =
            known == rows.end() ? std::nullopt : std::optional<std::string>(known->second);
        const auto read = world.store->get(asked[i]);
        ASSERT_EQ(read.value_or(expected), expected) << file << ", byte " << at;
        ASSERT_TRUE(!fetched || fetched->at(i) == expected) << file << ", byte " << at;
      }
      world.close();
      flip_byte(file, at);
    }
  }
  EXPECT_GT(errors, 10);
}

TEST(RocksDatabase, AFileThatIsMissingOrNoLongerOneIsAnErrorForItsRowsOnly) {
  const Quiet quiet;
  RocksWorld world;
  ASSERT_TRUE(put(world, {{"a", "1"}}));
  ASSERT_TRUE(put(world, {{"b", "1"}}));
  const fs::path file = files_of_rows(world.directory.path()).at(0);
  world.close();
  for (const auto& damage : {+[](const fs::path& path) { fs::resize_file(path, 100); },
                             +[](const fs::path& path) { fs::remove(path); }}) {
    damage(file);
    world.open();
    const auto damaged = world.store->get("a");
    ASSERT_FALSE(damaged);
    EXPECT_THAT(damaged.error().message, HasSubstr(file.stem().native()));
    EXPECT_FALSE(scan(*world.store));
    EXPECT_FALSE(fetch(world, {"b", "a"}));
    EXPECT_EQ(get(*world.store, "b"), "1");
    world.close();
    const auto report = inspect_store(world.directory.path(), [](auto, auto) {});
    ASSERT_TRUE(report);
    EXPECT_THAT(report->damaged, ElementsAre(HasSubstr(file.native())));
  }
}

TEST(RocksDatabase, AScanDoesNotPassOverAFileOfALevelThatCannotBeRead) {
  const Quiet quiet;
  RocksWorld world;
  Random random(1);
  ASSERT_TRUE(put(world, many_rows(random)));
  compact(world, 32 << 10);
  const auto files = files_of_rows(world.directory.path());
  ASSERT_GT(files.size(), 3u);
  const auto expect_error = [&](const fs::path& file, const char* what) {
    world.open();
    const auto scanned = scan(*world.store);
    ASSERT_FALSE(scanned) << what;
    EXPECT_THAT(scanned.error().message, HasSubstr(file.stem().native())) << what;
    world.close();
  };
  for (std::size_t i = 0; i < files.size(); ++i) {
    flip_byte(files[i], 10);
    expect_error(files[i], "its first block is damaged");
    flip_byte(files[i], 10);
    const std::string away = world.directory.path() + "/away";
    fs::rename(files[i], away);
    expect_error(files[i], "it is missing");
    fs::rename(away, files[i]);
  }
  world.open();
  EXPECT_TRUE(scan(*world.store));
}

TEST(RocksDatabase, AnInspectionFindsEveryByteThatIsNotAsItWasWritten) {
  const Quiet quiet;
  RocksWorld world;
  Random random(1);
  ASSERT_TRUE(put(world, many_rows(random)));
  ASSERT_TRUE(put(world, many_rows(random)));
  world.close();
  const std::string& directory = world.directory.path();
  const auto files = files_of_rows(directory);
  ASSERT_EQ(files.size(), 2u);

  std::uint64_t all_bytes = 0;
  std::uint64_t last = 0;
  const auto progress = [&](std::uint64_t read, std::uint64_t all) {
    EXPECT_GE(read, last);
    last = read;
    all_bytes = all;
  };
  const Result<StoreReport> intact = inspect_store(directory, progress);
  ASSERT_TRUE(intact) << intact.error().message;
  EXPECT_EQ(intact->files, 2u);
  EXPECT_EQ(intact->bytes, fs::file_size(files[0]) + fs::file_size(files[1]));
  EXPECT_EQ(intact->bytes, all_bytes);
  EXPECT_EQ(intact->bytes, last);
  EXPECT_THAT(intact->damaged, IsEmpty());

  const std::uint64_t size = fs::file_size(files[1]);
  for (std::uint64_t at = 0; at < size; at += 1 + random.below(2'000)) {
    if (fails_an_assertion(at, size)) continue;
    flip_byte(files[1], at);
    const Result<StoreReport> report = inspect_store(directory, [](auto, auto) {});
    ASSERT_TRUE(report);
    ASSERT_THAT(report->damaged, ElementsAre(HasSubstr(files[1].native()))) << "byte " << at;
    flip_byte(files[1], at);
  }
  world.open();
}

TEST(RocksDatabase, AnInspectionOfNoStoreIsAnErrorAndMakesNone) {
  const TemporaryDirectory directory;
  const auto report = inspect_store(directory.path(), [](auto, auto) {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message, "there is no store in " + directory.path());
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(RocksDatabase, WhenCompactionFailsPassesGoOnForAWhileAndThenNameTheCause) {
  const Quiet quiet;
  RocksWorld world;
  Random random(1);
  const Rows rows = many_rows(random);
  ASSERT_TRUE(put(world, rows));
  const fs::path file = files_of_rows(world.directory.path()).at(0);
  flip_byte(file, fs::file_size(file) / 2);
  Rows written;
  Result<> outcome;
  while (outcome && written.size() < 200) {
    // Over the range of the damaged file, so that compaction has to read it.
    outcome = put(world, {{row_name(0), "1"}, {"1" + row_name(written.size()), "1"}});
    if (outcome) written["1" + row_name(written.size())] = "1";
  }
  ASSERT_FALSE(outcome);
  EXPECT_GT(written.size(), 10u);
  EXPECT_THAT(outcome.error().message, HasSubstr(file.native()));
  EXPECT_GT(world.database->stats().background_errors, 0u);
  EXPECT_EQ(scan(*world.store, "1"), written);

  flip_byte(file, fs::file_size(file) / 2);
  while (!put(world, {{"2", "1"}})) {
  }
  EXPECT_EQ(get(*world.store, "2"), "1");
  EXPECT_EQ(get(*world.store, row_name(1)), rows.at(row_name(1)));
}

TEST(RocksDatabase, RowsThatCannotBeReadCanBeForgottenAndTheirFilesAreDropped) {
  const Quiet quiet;
  for (const bool alone : {true, false}) {
    RocksWorld world;
    Random random(1);
    Rows rows = many_rows(random);
    const std::string first = rows.begin()->first;
    const std::string end = rows.rbegin()->first + "0";
    if (!alone) rows["z"] = "1";
    ASSERT_TRUE(put(world, rows));
    const fs::path file = files_of_rows(world.directory.path()).at(0);
    flip_byte(file, fs::file_size(file) / 2);
    RowBatch changes;
    changes.remove_range(first, end);
    world.store->write(changes);
    ASSERT_FALSE(commit(world)) << "nothing was damaged";

    changes = {};
    changes.forget(first, end);
    changes.put("y", "1");
    world.store->write(changes);
    const auto forgotten = commit(world);
    ASSERT_TRUE(forgotten) << forgotten.error().message;
    EXPECT_EQ(get(*world.store, "y"), "1");
    EXPECT_EQ(scan(*world.store, "x"), (alone ? Rows{{"y", "1"}} : Rows{{"y", "1"}, {"z", "1"}}));
    world.close();
    const auto report = inspect_store(world.directory.path(), [](auto, auto) {});
    ASSERT_TRUE(report);
    EXPECT_EQ(report->damaged.size(), alone ? 0u : 1u);
  }
}

// Runs the test that calls it once more, in a process of its own, with EVEN_STORE_CHILD set.
class Child {
 public:
  explicit Child(const std::string& directory) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    const std::string filter =
        std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name();
    int ends[2];
    EVEN_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "a pipe");
    ::setenv("EVEN_STORE_CHILD", directory.c_str(), 1);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], kPipe);
    const char* arguments[] = {"/proc/self/exe", filter.c_str(), "--gtest_brief=1", nullptr};
    const int error = ::posix_spawn(&process_, arguments[0], &actions, nullptr,
                                    const_cast<char**>(arguments), environ);
    EVEN_CHECK(error == 0, "a child process");
    ::posix_spawn_file_actions_destroy(&actions);
    ::unsetenv("EVEN_STORE_CHILD");
    ::close(ends[1]);
    pipe_ = ends[0];
  }
  ~Child() { ::close(pipe_); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // The next number that the child has told; nothing once it has ended.
  std::optional<std::uint64_t> hear() const {
    std::uint64_t number = 0;
    if (::read(pipe_, &number, sizeof number) != sizeof number) return std::nullopt;
    return number;
  }
  void kill() const { ::kill(process_, SIGKILL); }
  // The status that it ended with, as of waitpid(2).
  int wait() const {
    int status = 0;
    EVEN_CHECK(::waitpid(process_, &status, 0) == process_, "the child ends");
    return status;
  }

  // In the child: its directory; nothing in any other process.
  static const char* directory() { return ::getenv("EVEN_STORE_CHILD"); }
  static void tell(std::uint64_t number) {
    EVEN_CHECK(::write(kPipe, &number, sizeof number) == sizeof number, "the parent listens");
  }

 private:
  static constexpr int kPipe = 3;
  pid_t process_ = 0;
  int pipe_ = -1;
};

std::uint64_t number_in(RocksWorld& world) {
  return std::stoull(get(*world.store, "number").value_or("0"));
}

TEST(RocksDatabase, AKilledProcessLeavesTheStateAfterSomePassAtOrAfterTheLastThatWasAcknowledged) {
  if (Child::directory() != nullptr) {
    RocksWorld world(Child::directory());
    Rows ignored;
    for (std::uint64_t number = number_in(world) + 1;; ++number) {
      world.store->write(numbered_pass(number, ignored));
      ASSERT_TRUE(commit(world));
      Child::tell(number);
    }
  }
  const TemporaryDirectory directory;
  Random random(std::random_device{}());
  Rows model;
  std::uint64_t made = 0;
  int beyond = 0;
  for (int round = 0; round < 15; ++round) {
    std::uint64_t acknowledged = 0;
    {
      const Child child(directory.path());
      const auto begun = child.hear();
      ASSERT_TRUE(begun);
      std::this_thread::sleep_for(std::chrono::microseconds(random.below(60'000)));
      child.kill();
      acknowledged = *begun;
      while (const auto more = child.hear()) acknowledged = *more;
      ASSERT_EQ(child.wait(), SIGKILL);
    }
    RocksWorld world(directory.path());
    const std::uint64_t number = number_in(world);
    ASSERT_GE(number, acknowledged);
    ASSERT_LE(number, acknowledged + 1);
    beyond += number > acknowledged ? 1 : 0;
    while (made < number) numbered_pass(++made, model);
    ASSERT_TRUE(scan(*world.store) == model) << "round " << round << ", pass " << number;
  }
  RecordProperty("passes", static_cast<int>(made));
  RecordProperty("kills_between_durable_and_acknowledged", beyond);
}

// Has a small file system of its own mounted on `directory`, which only this process sees. False if
// the machine does not allow it.
bool mount_small_disk(const char* directory) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("even_test", directory, "tmpfs", 0, "size=3m") == 0;
}

constexpr int kNotAllowed = 77;

// Leaves `free` bytes on the disk.
void fill_disk(const std::string& filler, std::uint64_t free) {
  const int fd = ::open(filler.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  EVEN_CHECK(fd >= 0, "a file that fills the disk");
  const std::string kib(1024, 'x');
  while (::write(fd, kib.data(), kib.size()) > 0) {
  }
  const auto full = static_cast<std::uint64_t>(::lseek(fd, 0, SEEK_END));
  EVEN_CHECK(::ftruncate(fd, static_cast<off_t>(full - std::min(full, free))) == 0, "truncated");
  ::close(fd);
}

TEST(RocksDatabase, AFullDiskFailsPassesAndTheyWorkAgainOnceThereIsRoom) {
  if (Child::directory() == nullptr) {
    const TemporaryDirectory directory;
    const int status = Child(directory.path()).wait();
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed) {
      GTEST_SKIP() << "this process may not mount a file system";
    }
    ASSERT_EQ(status, 0);
    return;
  }
  if (!mount_small_disk(Child::directory())) ::_exit(kNotAllowed);
  const Quiet quiet;
  const std::string filler = std::string(Child::directory()) + "/filler";
  fs::create_directory(std::string(Child::directory()) + "/store");
  RocksWorld world(std::string(Child::directory()) + "/store");
  Random random(1);
  Rows model;
  std::uint64_t number = 0;
  int failed = 0;
  for (int round = 0; round < 8; ++round) {
    fill_disk(filler, random.below(300'000));
    for (int i = 0; i < 5; ++i) {
      Rows after = model;
      world.store->write(numbered_pass(++number, after));
      if (const Result<> outcome = commit(world)) {
        model = after;
      } else {
        EXPECT_THAT(outcome.error().message, HasSubstr("No space left on device"));
        ++failed;
      }
      ASSERT_TRUE(scan(*world.store) == model) << "round " << round;
    }
    fs::remove(filler);
    world.store->write(numbered_pass(++number, model));
    const Result<> outcome = commit(world);
    ASSERT_TRUE(outcome) << outcome.error().message;
    ASSERT_TRUE(scan(*world.store) == model) << "round " << round;
  }
  EXPECT_GT(failed, 0);
  world.reopen();
  EXPECT_TRUE(scan(*world.store) == model);
}

}  // namespace
}  // namespace even::test
