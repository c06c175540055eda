// Disk over a directory of the machine's file system, with plain POSIX calls.
//
// Ownership and threads: one thread owns a PosixDisk and its files and makes all calls. What the
// caller does not wait for runs on a helper thread of the disk, one after the other; its outcome
// comes back to the owner through `post`. Files must not outlive their disk. Errors name the path
// and the operating system's reason.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "env/disk.h"

namespace even {

class PosixDisk final : public Disk {
 public:
  using Task = std::function<void()>;
  // Runs a task on the owning thread, later; called from the helper thread.
  using Post = std::function<void(Task)>;

  // Opens `directory`, which is created (with its parents) when it does not exist.
  static Result<std::unique_ptr<PosixDisk>> open(const std::string& directory, Post post);
  // Waits for what is under way; its outcome is not delivered.
  ~PosixDisk() override;

  Result<std::vector<std::string>> list() override;
  Result<std::unique_ptr<AppendFile>> open_append(const std::string& name,
                                                  std::uint64_t size) override;
  Result<std::uint64_t> size(const std::string& name) override;
  Result<std::string> read(const std::string& name, std::uint64_t offset,
                           std::uint64_t length) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& name) override;
  Result<> sync_directory() override;
  void sync_directory(std::function<void(Result<>)> done) override;

 private:
  class File;
  class Helper;
  PosixDisk(std::string directory, int fd, Post post);

  std::string directory_;
  int fd_;
  std::shared_ptr<void> alive_;
  std::unique_ptr<Helper> helper_;
};

// Holds a directory for this process until destroyed; the operating system lets go of it when the
// process dies, however it dies.
class DirectoryLock {
 public:
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&& other) noexcept;
  ~DirectoryLock();

 private:
  friend Result<DirectoryLock> lock_directory(const std::string& directory);
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

// Takes the lock with flock(2) on a file LOCK in `directory`, which is created when it does not
// exist. The error names the process that has it.
Result<DirectoryLock> lock_directory(const std::string& directory);

}  // namespace even
