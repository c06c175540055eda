#include "env/posix_disk.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <vector>

namespace even {
namespace {

// Stands for the owning thread: collects what the helper thread posts until the test runs it.
class Mailbox {
 public:
  PosixDisk::Post post() {
    return [this](PosixDisk::Task task) {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
      arrived_.notify_one();
    };
  }
  void wait_and_run_one() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !tasks_.empty(); });
    PosixDisk::Task task = std::move(tasks_.front());
    tasks_.erase(tasks_.begin());
    lock.unlock();
    task();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<PosixDisk::Task> tasks_;
};

class PosixDiskTest : public testing::Test {
 protected:
  PosixDiskTest() {
    std::string path = (std::filesystem::temp_directory_path() / "even_disk_XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    root_ = path;
    disk_ = std::move(*PosixDisk::open(root_ + "/data", mailbox_.post()));
  }
  ~PosixDiskTest() override {
    disk_.reset();
    std::filesystem::remove_all(root_);
  }

  std::string root_;
  Mailbox mailbox_;
  std::unique_ptr<PosixDisk> disk_;
};

TEST_F(PosixDiskTest, WhatIsAppendedIsReadBack) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("hello "));
  ASSERT_TRUE(file->append("world"));
  EXPECT_EQ(disk_->size("a"), 11u);
  EXPECT_EQ(disk_->read("a", 0, 100), "hello world");
  EXPECT_EQ(disk_->read("a", 6, 3), "wor");
  EXPECT_EQ(disk_->read("a", 11, 3), "");
  EXPECT_EQ(disk_->read("a", 50, 3), "");
}

TEST_F(PosixDiskTest, OpeningCutsTheFileAndAppendsThere) {
  ASSERT_TRUE((*disk_->open_append("a", 0))->append("hello world"));
  auto file = std::move(*disk_->open_append("a", 5));
  EXPECT_EQ(disk_->size("a"), 5u);
  ASSERT_TRUE(file->append("!"));
  EXPECT_EQ(disk_->read("a", 0, 100), "hello!");
}

TEST_F(PosixDiskTest, OpeningBeyondTheEndIsAnError) {
  ASSERT_TRUE((*disk_->open_append("a", 0))->append("hello"));
  const auto file = disk_->open_append("a", 6);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("only 5 bytes"), std::string::npos);
}

TEST_F(PosixDiskTest, TruncateUndoesAnAppend) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("good"));
  ASSERT_TRUE(file->append("bad"));
  ASSERT_TRUE(file->truncate(4));
  ASSERT_TRUE(file->append("!"));
  EXPECT_EQ(disk_->read("a", 0, 100), "good!");
}

TEST_F(PosixDiskTest, ReservingRoomLeavesTheSizeAlone) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("x"));
  ASSERT_TRUE(file->reserve(1 << 20));
  EXPECT_EQ(disk_->size("a"), 1u);
  EXPECT_EQ(disk_->read("a", 0, 100), "x");
}

TEST_F(PosixDiskTest, WhatIsAppendedTakesThePlaceOfZeroesAhead) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("a"));
  file->zero_ahead(100'000);
  file->zero_ahead(50'000);  // has them already
  ASSERT_TRUE(file->append("b"));
  EXPECT_EQ(disk_->size("a"), 100'000u);
  EXPECT_EQ(disk_->read("a", 0, 200'000), "ab" + std::string(99'998, '\0'));
  ASSERT_TRUE(file->truncate(1));
  EXPECT_EQ(disk_->read("a", 0, 100), "a");
  file->zero_ahead(3);
  EXPECT_EQ(disk_->read("a", 0, 100), std::string("a\0\0", 3));
  ASSERT_TRUE(file->append("bcdef"));  // beyond them
  EXPECT_EQ(disk_->read("a", 0, 100), "abcdef");
}

TEST_F(PosixDiskTest, AnAppendThatFailsLeavesTheEndWhereItWas) {
  std::signal(SIGXFSZ, SIG_IGN);
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("good"));
  rlimit unlimited;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  const rlimit limited{6, unlimited.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  const bool appended = file->append("bad").has_value();
  file->zero_ahead(100);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &unlimited), 0);
  EXPECT_FALSE(appended);
  ASSERT_TRUE(file->append("!"));
  EXPECT_EQ(disk_->read("a", 0, 5), "good!");
}

TEST_F(PosixDiskTest, ListsFilesOnlyAndSorted) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(disk_->open_append(name, 0));
  std::filesystem::create_directory(root_ + "/data/directory");
  EXPECT_EQ(disk_->list(), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(disk_->rename("c", "a"));
  ASSERT_TRUE(disk_->remove("b"));
  ASSERT_TRUE(disk_->sync_directory());
  EXPECT_EQ(disk_->list(), (std::vector<std::string>{"a"}));
}

TEST_F(PosixDiskTest, ErrorsNameThePathAndTheReason) {
  const auto text = disk_->read("absent", 0, 1);
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find(root_ + "/data/absent: No such file"), std::string::npos);
  EXPECT_FALSE(disk_->size("absent"));
  EXPECT_FALSE(disk_->remove("absent"));
  EXPECT_FALSE(disk_->rename("absent", "b"));
}

TEST_F(PosixDiskTest, SyncReportsThroughTheOwningThread) {
  auto file = std::move(*disk_->open_append("a", 0));
  ASSERT_TRUE(file->append("x"));
  bool done = false;
  file->sync([&](Result<> result) { done = result.has_value(); });
  EXPECT_FALSE(done);
  mailbox_.wait_and_run_one();
  EXPECT_TRUE(done);
  EXPECT_TRUE(file->sync_now());
}

TEST_F(PosixDiskTest, AFileThatIsGoneHearsNothingOfItsSync) {
  auto file = std::move(*disk_->open_append("a", 0));
  bool done = false;
  file->sync([&](Result<>) { done = true; });
  file.reset();
  mailbox_.wait_and_run_one();
  EXPECT_FALSE(done);
}

TEST_F(PosixDiskTest, ALockedDirectoryIsRefusedToAnotherProcessUntilLetGo) {
  auto try_in_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(lock_directory(root_) ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status) == 0;
  };
  {
    auto lock = lock_directory(root_);
    ASSERT_TRUE(lock);
    EXPECT_FALSE(try_in_child());
    const auto second = lock_directory(root_);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("in use by process " + std::to_string(::getpid())),
              std::string::npos);
  }
  EXPECT_TRUE(try_in_child());
}

}  // namespace
}  // namespace even
