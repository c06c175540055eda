// A disk with a write cache that does not survive the process: what is appended stays in memory
// until it is synced. So SIGKILL loses what a power failure would, where without it the kernel
// still has all of it; for trials of whether something is said to be safe before it is
// ([faults] lose_unsynced_writes). Reading shows all that was appended. What is written by a file
// that is closed in good order is not lost: a real cache gets round to it as well.
//
// A sync takes some milliseconds more than that of the disk beneath, as one of a cache that has to
// be emptied does. With a quick one there is hardly ever anything to lose.
//
// Only the content of files is cached: their names, and room that is reserved, are not. A disk that
// is full shows when a file is synced, not when something is appended.
//
// Ownership and threads as for the disk beneath, which it owns.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "env/disk.h"

namespace even {

class VolatileCacheDisk final : public Disk {
 public:
  using Task = std::function<void()>;
  // Runs a task on the owning thread, so many microseconds later.
  using After = std::function<void(std::int64_t us, Task)>;

  static constexpr std::int64_t kSyncUs = 5'000;

  VolatileCacheDisk(std::unique_ptr<Disk> disk, After after);
  ~VolatileCacheDisk() override;

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
  struct Cache;

  // Of a file that is open, else null.
  std::shared_ptr<Cache> find(const std::string& name) const;

  const std::unique_ptr<Disk> disk_;
  const After after_;
  std::map<std::string, std::weak_ptr<Cache>> open_;
};

}  // namespace even
