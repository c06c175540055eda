// The segments of a data directory as files: which there are and what is in them. For the log
// itself and for those who look into it from outside.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "env/disk.h"
#include "log/format.h"
#include "log/log.h"

namespace even {

struct SegmentFile {
  SegmentHeader header;  // as its name says
  std::string name;
};

// By shard, in order of position.
Result<std::map<ShardId, std::vector<SegmentFile>>> find_segments(Disk& disk);

// The content of segment `i` after its header, up to where the next one begins: that holds anew
// what a failed sync has left there. The header must be intact.
Result<std::string> read_segment(Disk& disk, const std::vector<SegmentFile>& segments,
                                 std::size_t i);

struct SegmentScan {
  std::uint64_t intact = 0;  // bytes of intact frames from the start
  std::uint64_t frames = 0;
  std::uint64_t torn = 0;  // bytes after them, without the zeroes at the end of the file
  // Where the last frame begins before which all was durable, by what frames say.
  LogPosition durable = 0;
  std::optional<LogPosition>
      claim;  // set when a frame after the damage claims that the damaged place was durable
};

// Walks the frames of a segment's content that starts at `base`. After damage it looks for later
// intact frames, for what they claim about it.
Result<SegmentScan> scan_frames(
    std::string_view content, LogPosition base,
    const std::function<Result<>(std::uint64_t offset, std::string_view body)>& visit);

// Where the next intact frame begins at or after `from`, an offset in content that starts at
// `base`.
std::optional<std::uint64_t> find_frame(std::string_view content, LogPosition base,
                                        std::uint64_t from);

// As inspect_log(), of one shard.
Result<> inspect_segments(Disk& disk, const std::vector<SegmentFile>& segments,
                          const InspectVisit& visit, LogReport& report);

// The sentence for damage in a file.
std::string segment_damage(const std::string& file, std::uint64_t offset, std::string_view what);

// The name of a file that will be the segment `name` once it is whole.
inline std::string unfinished(const std::string& name) { return name + ".new"; }
// Makes it: the header and what `fill` appends, on the disk. On an error it is removed again.
Result<std::unique_ptr<AppendFile>> create_segment(
    Disk& disk, const SegmentHeader& header, const std::function<Result<>(AppendFile&)>& fill);

// All of a file.
Result<std::string> read_file(Disk& disk, const std::string& name);

}  // namespace even
