#include "log/repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "log/segments.h"

namespace even {
namespace {

// Frames without a gap between them.
struct Run {
  LogPosition begin = 0;
  LogPosition end = 0;
  std::uint64_t records = 0;
};

struct Content {
  bool good_header = false;
  std::string frames;
};

Result<Content> read_content(Disk& disk, const SegmentFile& segment) {
  const auto bytes = read_file(disk, segment.name);
  if (!bytes) return std::unexpected(bytes.error());
  const auto header = decode_segment_header(*bytes);
  Content content;
  content.good_header =
      header && header->base == segment.header.base && header->shard == segment.header.shard;
  if (bytes->size() > kSegmentHeaderBytes) content.frames = bytes->substr(kSegmentHeaderBytes);
  return content;
}

// The files of a shard.
struct Files {
  std::vector<SegmentFile> segments;  // with a header or a first frame that is intact
  std::vector<SegmentFile> others;    // that may be remains of one, or anything
};

Result<Files> files_of(Disk& disk, ShardId shard) {
  auto all = find_segments(disk);
  if (!all) return std::unexpected(all.error());
  Files files;
  for (const SegmentFile& file : (*all)[shard]) {
    const auto content = read_content(disk, file);
    if (!content) return std::unexpected(content.error());
    std::string_view body;
    const bool good = content->good_header || decode_frame(content->frames, file.header.base, body);
    (good ? files.segments : files.others).push_back(file);
  }
  return files;
}

// Of segment `i`, up to where the next one begins.
Result<Content> read_part(Disk& disk, const std::vector<SegmentFile>& segments, std::size_t i) {
  auto content = read_content(disk, segments[i]);
  if (!content || i + 1 == segments.size()) return content;
  const std::uint64_t limit = segments[i + 1].header.base - segments[i].header.base;
  if (content->frames.size() > limit) content->frames.resize(limit);
  return content;
}

// All intact frames, wherever they are.
struct Survey {
  std::vector<Run> runs;
  LogPosition durable = 0;  // everything before this was once durable
};

void survey(std::string_view frames, LogPosition base, Survey& all) {
  std::string_view body;
  for (auto at = find_frame(frames, base, 0); at; at = find_frame(frames, base, *at)) {
    const LogPosition position = base + *at;
    const auto header = decode_frame(frames.substr(*at), position, body);
    if (all.runs.empty() || all.runs.back().end != position) {
      all.runs.push_back({position, position, 0});
    }
    Run& run = all.runs.back();
    run.end += kFrameHeaderBytes + header->body_bytes;
    for_each_entry(body, [&run](std::string_view) { ++run.records; });
    all.durable = std::max(all.durable, header->durable);
    *at += kFrameHeaderBytes + header->body_bytes;
  }
}

// Of a segment's content, what lies between two positions.
std::string_view part(const SegmentFile& segment, const Content& content, LogPosition begin,
                      LogPosition end) {
  const LogPosition base = segment.header.base;
  const std::string_view frames = content.frames;
  const std::uint64_t from = std::clamp<std::uint64_t>(begin, base, base + frames.size()) - base;
  const std::uint64_t to = std::clamp<std::uint64_t>(end, base + from, base + frames.size()) - base;
  return frames.substr(from, to - from);
}

std::string beside(const std::string& name) { return name + ".damaged"; }

Result<> keep_copy(Disk& disk, const std::string& name) {
  const auto bytes = read_file(disk, name);
  if (!bytes) return std::unexpected(bytes.error());
  auto file = disk.open_append(beside(name), 0);
  if (!file) return std::unexpected(file.error());
  if (auto written = (*file)->append(*bytes); !written) return written;
  return (*file)->sync_now();
}

}  // namespace

Result<LogRepair> plan_log_repair(Disk& disk, ShardId shard, LogPosition needed) {
  const auto all = find_segments(disk);
  if (!all) return std::unexpected(all.error());
  const auto own = all->find(shard);
  const auto found = own == all->end() ? std::vector<SegmentFile>() : own->second;
  LogRepair plan;
  LogReport report;
  const auto sound = inspect_segments(
      disk, found, [](const std::string&, std::uint64_t, std::string_view) {}, report);
  if (!sound) {
    plan.damage = sound.error().message;
  } else {
    const LogPosition begin = found.empty() ? 0 : found.front().header.base;
    const LogPosition end = begin + report.bytes;
    if (begin <= needed && needed <= end) return plan;
    plan.damage = fmt::format("the log has positions {} to {}, and the store needs it from {} on",
                              begin, end, needed);
  }

  const auto files = files_of(disk, shard);
  if (!files) return std::unexpected(files.error());
  Survey frames;
  for (std::size_t i = 0; i < files->segments.size(); ++i) {
    const auto content = read_part(disk, files->segments, i);
    if (!content) return std::unexpected(content.error());
    survey(content->frames, files->segments[i].header.base, frames);
  }
  plan.begin = plan.end = needed;
  bool whole = false;
  for (const Run& run : frames.runs) {
    if (run.begin <= needed && needed <= run.end) {
      plan.begin = run.begin;
      plan.end = run.end;
      whole = true;
    } else if (run.begin > needed) {
      plan.readable_records_lost += run.records;
    }
  }
  // Only what is known to be the end is one.
  const auto behind = [&plan](const SegmentFile& file) { return file.header.base > plan.end; };
  const auto at_or_behind = [&plan](const SegmentFile& file) {
    return file.header.base >= plan.end;
  };
  plan.loses = !whole || plan.readable_records_lost > 0 || frames.durable > plan.end ||
               std::ranges::any_of(files->segments, behind) ||
               std::ranges::any_of(files->others, at_or_behind);
  return plan;
}

// Made so that it can be interrupted: until the last segment has been replaced, each in one step,
// nothing that the plan keeps is missing, and the damage is still seen.
Result<> repair_log(Disk& disk, ShardId shard, const LogRepair& plan) {
  const auto files = files_of(disk, shard);
  if (!files) return std::unexpected(files.error());
  std::vector<std::string> going;
  for (const SegmentFile& other : files->others) going.push_back(other.name);
  std::vector<std::string> made;
  const auto make = [&](LogPosition base, std::string_view frames) -> Result<> {
    const auto file =
        create_segment(disk, {shard, base}, [frames](AppendFile& to) { return to.append(frames); });
    if (!file) return std::unexpected(file.error());
    made.push_back(segment_name(shard, base));
    return {};
  };
  bool any = false;
  for (std::size_t i = 0; i < files->segments.size(); ++i) {
    const SegmentFile& segment = files->segments[i];
    const auto content = read_part(disk, files->segments, i);
    if (!content) return std::unexpected(content.error());
    const std::string_view kept = part(segment, *content, plan.begin, plan.end);
    any = any || !kept.empty();
    if (content->good_header && !kept.empty() && kept.size() == content->frames.size()) continue;
    going.push_back(segment.name);
    if (kept.empty()) continue;
    const LogPosition base = std::max(plan.begin, segment.header.base);
    if (auto written = make(base, kept); !written) return written;
  }
  if (!any) {
    if (auto written = make(plan.begin, {}); !written) return written;
  }
  const auto replaced = [&made](const std::string& name) {
    return std::ranges::find(made, name) != made.end();
  };
  for (const std::string& name : going) {
    if (!replaced(name)) continue;
    if (auto copied = keep_copy(disk, name); !copied) return copied;
  }
  for (const std::string& name : made) {
    if (auto renamed = disk.rename(unfinished(name), name); !renamed) return renamed;
  }
  for (const std::string& name : going) {
    if (replaced(name)) continue;
    if (auto moved = disk.rename(name, beside(name)); !moved) return moved;
  }
  return disk.sync_directory();
}

}  // namespace even
