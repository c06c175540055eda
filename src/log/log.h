// The log of one shard: see docs/formats/log.md.
#pragma once

#include <cstdint>

namespace even {

// A byte offset in the endless sequence of frames of one shard's log.
using LogPosition = std::uint64_t;

enum class FsyncPolicy : std::uint8_t { kAlways, kEverySecond, kNo };

struct LogOptions {
  FsyncPolicy fsync = FsyncPolicy::kEverySecond;
  std::uint64_t segment_bytes = 64 << 20;
};

struct LogStats {
  std::uint64_t bytes_written = 0;
  std::uint64_t bytes_on_disk = 0;
  std::uint64_t segments = 0;
  std::uint64_t syncs = 0;
  std::uint64_t sync_errors = 0;
  double sync_seconds = 0;      // in all
  double last_sync_seconds = 0;
};

}  // namespace even
