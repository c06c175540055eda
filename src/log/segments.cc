#include "log/segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

namespace even {

Result<std::string> read_file(Disk& disk, const std::string& name) {
  auto size = disk.size(name);
  if (!size) return std::unexpected(size.error());
  return disk.read(name, 0, *size);
}

Result<std::unique_ptr<AppendFile>> create_segment(
    Disk& disk, const SegmentHeader& header, const std::function<Result<>(AppendFile&)>& fill) {
  const std::string name = unfinished(segment_name(header.shard, header.base));
  auto file = disk.open_append(name, 0);
  if (!file) return file;
  Result<> done = (*file)->append(encode_segment_header(header));
  if (done) done = fill(**file);
  if (done) done = (*file)->sync_now();
  if (done) return file;
  (void)disk.remove(name);
  return std::unexpected(done.error());
}

Result<SegmentScan> scan_frames(
    std::string_view content, LogPosition base,
    const std::function<Result<>(std::uint64_t offset, std::string_view body)>& visit) {
  SegmentScan scan;
  std::string_view body;
  std::deque<LogPosition> begins;  // of frames, from what is durable on
  while (scan.intact < content.size()) {
    const auto header = decode_frame(content.substr(scan.intact), base + scan.intact, body);
    if (!header) break;
    begins.push_back(base + scan.intact);
    for (; !begins.empty() && begins.front() <= header->durable; begins.pop_front())
      scan.durable = begins.front();
    if (auto visited = visit(scan.intact, body); !visited) return std::unexpected(visited.error());
    scan.intact += kFrameHeaderBytes + header->body_bytes;
    ++scan.frames;
  }
  // Zeroes up to the end of the file were never written over: they are room for frames to come.
  const std::size_t last = content.find_last_not_of('\0');
  if (last == std::string_view::npos || last < scan.intact) return scan;
  scan.torn = last + 1 - scan.intact;
  for (auto at = find_frame(content, base, scan.intact + 1); at;
       at = find_frame(content, base, *at + 1)) {
    const auto header = decode_frame(content.substr(*at), base + *at, body);
    if (header->durable > base + scan.intact) {
      scan.claim = header->durable;
      break;
    }
  }
  return scan;
}

std::optional<std::uint64_t> find_frame(std::string_view content, LogPosition base,
                                        std::uint64_t from) {
  std::string_view body;
  for (std::uint64_t at = from; at + kFrameHeaderBytes <= content.size(); ++at) {
    if (content[at] != 'v') continue;  // the first byte of a frame
    if (decode_frame(content.substr(at), base + at, body)) return at;
  }
  return std::nullopt;
}

std::string segment_damage(const std::string& file, std::uint64_t offset, std::string_view what) {
  return fmt::format(
      "{}: damaged at offset {}: {}. Nothing was changed. `even log verify DIR` shows what can be "
      "read, and `even log repair DIR` whether the log can do without the rest",
      file, offset, what);
}

Result<std::map<ShardId, std::vector<SegmentFile>>> find_segments(Disk& disk) {
  auto names = disk.list();
  if (!names) return std::unexpected(names.error());
  std::map<ShardId, std::vector<SegmentFile>> found;
  for (const std::string& name : *names) {
    if (const auto header = parse_segment_name(name))
      found[header->shard].push_back({*header, name});
  }
  for (auto& [shard, segments] : found) {
    std::sort(segments.begin(), segments.end(), [](const SegmentFile& a, const SegmentFile& b) {
      return a.header.base < b.header.base;
    });
  }
  return found;
}

Result<std::string> read_segment(Disk& disk, const std::vector<SegmentFile>& segments,
                                 std::size_t i) {
  const SegmentFile& segment = segments[i];
  const bool last = i + 1 == segments.size();
  const auto head = disk.read(segment.name, 0, kSegmentHeaderBytes);
  if (!head) return std::unexpected(head.error());
  const auto header = decode_segment_header(*head);
  if (!header) return fail(segment_damage(segment.name, 0, header.error().message));
  if (header->base != segment.header.base || header->shard != segment.header.shard) {
    return fail(
        segment_damage(segment.name, 0, "the header does not belong to a file of this name"));
  }
  return disk.read(segment.name, kSegmentHeaderBytes,
                   last ? UINT64_MAX : segments[i + 1].header.base - header->base);
}

Result<> inspect_segments(Disk& disk, const std::vector<SegmentFile>& segments,
                          const InspectVisit& visit, LogReport& report) {
  std::optional<LogPosition> end;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const SegmentFile& segment = segments[i];
    const bool last = i + 1 == segments.size();
    if (end && *end != segment.header.base) {
      return fail(segment_damage(segment.name, 0,
                                 "the log does not go on where the segment before it ends"));
    }
    auto content = read_segment(disk, segments, i);
    if (!content) return std::unexpected(content.error());
    auto scan =
        scan_frames(*content, segment.header.base,
                    [&](std::uint64_t offset, std::string_view body) -> Result<> {
                      const std::uint64_t at = kSegmentHeaderBytes + offset;
                      const bool well_formed = for_each_entry(body, [&](std::string_view record) {
                        ++report.records;
                        visit(segment.name, at, record);
                      });
                      if (!well_formed)
                        return fail(segment_damage(segment.name, at, "a frame is malformed"));
                      return {};
                    });
    if (!scan) return std::unexpected(scan.error());
    if (scan->torn > 0 && (!last || scan->claim)) {
      return fail(segment_damage(segment.name, kSegmentHeaderBytes + scan->intact,
                                 "a frame in the middle of the log cannot be read"));
    }
    ++report.segments;
    report.frames += scan->frames;
    report.bytes += scan->intact;
    report.torn_bytes += scan->torn;
    end = segment.header.base + scan->intact;
  }
  return {};
}

Result<LogReport> inspect_log(Disk& disk, const InspectVisit& visit) {
  auto all = find_segments(disk);
  if (!all) return std::unexpected(all.error());
  LogReport report;
  for (const auto& [shard, segments] : *all) {
    if (auto sound = inspect_segments(disk, segments, visit, report); !sound)
      return std::unexpected(sound.error());
  }
  return report;
}

}  // namespace even
