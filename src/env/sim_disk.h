// A disk that loses what it is allowed to lose. Content that was not synced survives a crash in
// part: a prefix of it, or a prefix with junk or a hole behind it. In the place of the rest is what
// was durable there, zeroes or nothing; a change of size survives or not. Directory changes that
// were not synced survive as a prefix of their sequence. It can also be full, slow, or fail a sync:
// what was not durable before can perhaps still be read, but no later sync makes it durable.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/disk.h"
#include "env/random.h"
#include "env/sim_scheduler.h"

namespace even::sim {

struct DiskFaults {
  std::int64_t sync_us = 300;  // typical duration of a sync
  double slow_sync = 0.01;     // chance that it takes a hundred times as long
  double failing_sync = 0;     // chance that it fails, after which nothing unsynced is certain
  bool full = false;           // appends and reservations fail
};

class SimDisk : public Disk {
 public:
  SimDisk(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}

  DiskFaults faults;
  std::uint64_t bytes_read = 0;
  // How a process is told of what has been done, at once unless it is stopped.
  std::function<void(std::function<void()> told)> tell = [](const auto& told) { told(); };

  // The machine loses power. Files opened before are dead: their syncs never complete.
  void crash();
  // All is lost.
  void wipe();

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
  friend class SimFile;
  struct Content {
    std::string bytes;
    std::string durable;  // as the last sync has left it
    // What failed syncs have lost, from the first byte to the last, if it has not been cut off.
    std::size_t lost_begin = 0;
    std::size_t lost_end = 0;
  };
  using Directory = std::map<std::string, std::shared_ptr<Content>>;

  void changed();
  std::int64_t duration();
  void sync_failed(Content& content);
  static void cut(Content& content, std::size_t size);
  static void synced(Content& content, std::string bytes);
  std::string survivor(const Content& content);

  Scheduler& scheduler_;
  Random& random_;
  Directory files_;
  std::vector<Directory> history_{Directory{}};  // the durable directory, then each state since
  std::uint64_t first_state_ = 0;                // the number of the durable one
  int crashes_ = 0;
};

}  // namespace even::sim
