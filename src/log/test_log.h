// For tests of what lies on a disk: a simulated one with its clock, and the log of one shard on it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "env/clock.h"
#include "env/sim_disk.h"
#include "log/format.h"
#include "log/log.h"

namespace even::test {

class SchedulerClock final : public Clock {
 public:
  explicit SchedulerClock(const sim::Scheduler& scheduler) : scheduler_(scheduler) {}
  std::int64_t wall_ms() const override { return offset_ms + scheduler_.now_us() / 1000; }
  std::int64_t monotonic_us() const override { return scheduler_.now_us(); }

  std::int64_t offset_ms = 1'700'000'000'000;  // set back to have the clock put back

 private:
  const sim::Scheduler& scheduler_;
};

struct World {
  explicit World(std::uint64_t seed = 1) : random(seed) {}

  void run_for(std::int64_t us) {
    const std::int64_t until = scheduler.now_us() + us;
    while (scheduler.step(until)) {
    }
  }
  std::string content(const std::string& name) { return *disk.read(name, 0, *disk.size(name)); }
  // Puts a file with this content on the disk, durably.
  void put(const std::string& name, std::string_view bytes) {
    auto file = *disk.open_append(name, 0);
    const bool put = file->append(bytes) && file->sync_now() && disk.sync_directory();
    EVEN_CHECK(put, "the test's disk takes a file");
  }

  sim::Scheduler scheduler;
  Random random;
  sim::SimDisk disk{scheduler, random};
  SchedulerClock clock{scheduler};
};

// A log that has been recovered, or the error.
struct OpenLog {
  OpenLog(World& world, LogOptions options = {}, ShardId shard = 0)
      : log(std::make_unique<Log>(options, shard, world.disk, world.clock)) {
    outcome = log->recover(
        [this](LogPosition frame, std::string_view record) -> Result<> {
          positions.push_back(frame);
          records.emplace_back(record);
          return {};
        },
        {});
  }
  std::string error() const { return outcome ? "" : outcome.error().message; }
  // One frame of these records.
  Result<> write(std::initializer_list<std::string_view> all) {
    for (const std::string_view record : all) log->append(record);
    return log->flush();
  }

  std::unique_ptr<Log> log;
  Result<> outcome;
  std::vector<std::string> records;
  std::vector<LogPosition> positions;  // of the frames they are in
};

// Each flush goes to a segment of its own.
inline LogOptions rolling() {
  return {.fsync = FsyncPolicy::kAlways, .segment_bytes = 1, .tail_bytes = 1};
}
constexpr std::size_t kZeroBytes = 1000;
inline LogOptions zeroing() { return {.fsync = FsyncPolicy::kAlways, .zero_bytes = kZeroBytes}; }

using Records = std::vector<std::string>;

// All that the log has from `from` on, by reads of at most `limit` bytes and a frame.
inline Records read_from(Log& log, LogPosition from, std::uint64_t limit = 1 << 20) {
  Records records;
  while (from < log.end()) {
    const auto next = log.read(
        from, limit, [&](LogPosition, std::string_view record) { records.emplace_back(record); });
    EVEN_CHECK(next && *next > from, next ? "a read goes on" : next.error().message);
    from = *next;
  }
  return records;
}

constexpr char kFirstSegment[] = "log-0000-0000000000000000.seg";

// A log of three frames, synced one by one; each says that those before it were durable.
inline std::string three_frames(World& world) {
  OpenLog log(world);
  for (const char* record : {"first", "second", "third"}) {
    const bool synced = log.write({record}) && log.log->flush_and_sync();
    EVEN_CHECK(synced, "the disk takes three frames");
  }
  return world.content(kFirstSegment);
}
constexpr std::size_t kFrameOfFirst = kFrameHeaderBytes + 4 + 5;
constexpr std::size_t kFrameOfSecond = kFrameHeaderBytes + 4 + 6;

}  // namespace even::test
