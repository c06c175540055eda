#include "log/log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/mutant.h"
#include "log/format.h"
#include "log/segments.h"

namespace even {
namespace {

// Kept reserved on disk ahead of the end, so that a full disk is noticed before records are made,
// not after. At least this much, at most twice as much.
constexpr std::uint64_t kReserveBytes = 1 << 20;
// To write a place twice, first with zeroes, costs less than a commit of the file system's journal
// for a frame that is smaller than this.
constexpr std::uint64_t kLargeFrameBytes = 16 << 10;
constexpr std::uint64_t kReadChunk = 4 << 20;
// Records from so many bytes on are not copied without need.
constexpr std::uint64_t kLongRecordBytes = 64 << 10;
// How long after a failed sync what it was to sync is written anew once more, if that has failed:
// twice as long each time.
constexpr std::int64_t kFirstRetryUs = 100'000;
constexpr std::int64_t kLastRetryUs = 5'000'000;

std::uint64_t round_up(std::uint64_t size, std::uint64_t unit) {
  return (size + unit - 1) / unit * unit;
}

Result<> remove_unfinished(Disk& disk, ShardId shard) {
  auto names = disk.list();
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    const auto header = parse_segment_name(std::string_view(name).substr(0, name.rfind('.')));
    if (!header || header->shard != shard || name != unfinished(segment_name(shard, header->base)))
      continue;
    if (auto removed = disk.remove(name); !removed) return removed;
  }
  return {};
}

}  // namespace

Log::Log(LogOptions options, ShardId shard, Disk& disk, Clock& clock)
    : options_(options), shard_(shard), disk_(disk), clock_(clock) {}
Log::~Log() = default;

Result<> Log::recover(const Visit& visit,
                      const std::function<void(std::uint64_t, std::uint64_t)>& progress,
                      LogPosition durable) {
  auto all = find_segments(disk_);
  if (!all) return std::unexpected(all.error());
  const std::vector<SegmentFile> found = std::move((*all)[shard_]);
  if (auto removed = remove_unfinished(disk_, shard_); !removed) return removed;

  std::uint64_t total = 0;
  std::uint64_t done = 0;
  for (const SegmentFile& segment : found) {
    auto size = disk_.size(segment.name);
    if (!size) return std::unexpected(size.error());
    total += *size;
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const SegmentFile& segment = found[i];
    const LogPosition base = segment.header.base;
    const bool last = i + 1 == found.size();
    if (segments_.empty()) end_ = base;
    if (base != end_) {
      return fail(segment_damage(
          segment.name, 0,
          fmt::format("the log goes on at position {} but the segment before it ends at {}", base,
                      end_)));
    }
    auto content = read_segment(disk_, found, i);
    if (!content) return std::unexpected(content.error());
    auto scan =
        scan_frames(*content, base, [&](std::uint64_t offset, std::string_view body) -> Result<> {
          Result<> outcome;
          if (EVEN_MUTANT(kRecoverySkipsFrame) && last &&
              offset + kFrameHeaderBytes + body.size() > content->find_last_not_of('\0')) {
            return {};
          }
          const bool well_formed = for_each_entry(body, [&](std::string_view record) {
            if (outcome) outcome = visit(base + offset, record);
          });
          if (!outcome)
            return fail(segment_damage(segment.name, kSegmentHeaderBytes + offset,
                                       outcome.error().message));
          if (!well_formed)
            return fail(
                segment_damage(segment.name, kSegmentHeaderBytes + offset, "a frame is malformed"));
          return {};
        });
    if (!scan) return std::unexpected(scan.error());
    if (scan->torn > 0) {
      const std::uint64_t offset = kSegmentHeaderBytes + scan->intact;
      if (!last)
        return fail(segment_damage(segment.name, offset,
                                   "a frame in the middle of the log cannot be read"));
      const LogPosition claim = std::max(scan->claim.value_or(0), durable);
      if (claim > base + scan->intact) {
        return fail(segment_damage(
            segment.name, offset,
            fmt::format("a frame cannot be read although everything up to position {} was durable",
                        claim)));
      }
      cut_ = fmt::format(
          "{}: {} bytes from offset {} on are no whole frame and nothing shows that they were ever "
          "durable: an unfinished write, cut off",
          segment.name, scan->torn, offset);
    }
    segments_.push_back({base, segment.name, scan->intact});
    end_ = base + scan->intact;
    durable_ = std::max({base, scan->durable, std::min(durable, end_)});
    done += kSegmentHeaderBytes + content->size();
    if (progress) progress(done, total);
  }
  for (const Segment& segment : segments_)
    stats_.bytes_on_disk += kSegmentHeaderBytes + segment.bytes;
  stats_.segments = segments_.size();

  if (segments_.empty()) {
    durable_ = end_;
    return begin_segment();
  }
  const Segment& segment = segments_.back();
  auto file = disk_.open_append(segment.name, kSegmentHeaderBytes + segment.bytes);
  if (!file) return std::unexpected(file.error());
  file_ = std::move(*file);
  if (durable_ == end_) {
    if (auto synced = file_->sync_now(); !synced) return synced;
  }
  if (auto synced = disk_.sync_directory(); !synced) return synced;
  // What no frame says to be durable may be in the kernel's memory alone, since a sync has failed:
  // then a sync now would succeed and do nothing.
  if (EVEN_MUTANT(kStartTrustsKernel)) durable_ = end_;
  if (durable_ < end_) (void)distrust("nothing shows that all of it has been synced");
  return {};
}

std::size_t Log::begin_entry(std::size_t bytes) {
  if (frame_.empty()) frame_.resize(kFrameHeaderBytes);
  // A buffer that grows by doubling would be copied, and take up to twice the memory.
  if (bytes >= kLongRecordBytes) frame_.reserve(frame_.size() + bytes + kLongRecordBytes / 2);
  return even::begin_entry(frame_);
}

std::string_view Log::end_entry(std::size_t begin) { return even::end_entry(frame_, begin); }

Result<> Log::write_failed(const std::string& what) {
  error_ = what;
  return fail(what);
}

// What precedes a segment is durable, so that only the last segment can have a torn tail.
Result<> Log::roll() {
  if (durable_ < end_) {
    if (auto synced = file_->sync_now(); synced) {
      durable_ = end_;
    } else if (auto rescued = sync_failed(synced.error().message); !rescued) {
      return rescued;
    }
  }
  if (auto begun = begin_segment(); !begun) return write_failed(begun.error().message);
  return {};
}

Result<> Log::flush() {
  finish_write();
  roll_.reset();  // what it has begun is begun anew
  replaced_.reset();
  if (distrusted_) {
    if (clock_.monotonic_us() < retry_us_) return fail(*error_);
    if (auto rescued = rescue(); !rescued) return rescued;
  }
  if (!anything_gathered() && !error_) {
    // A last frame that is longer than the tail may be: peers have been sent it by now.
    if (tail_.size() == 1 && tail_bytes_ > options_.tail_bytes && durable_ == end_) {
      tail_.clear();
      tail_bytes_ = 0;
    }
    return {};
  }
  std::optional<std::string> roll_error;
  if (segment_is_full() && (next_is_there_ || !syncing_)) {
    if (auto rolled = roll(); !rolled) {
      if (distrusted_ || next_is_there_) return rolled;
      // No file could be opened. What has been executed still goes to the old segment, which has
      // room reserved, so that its replies can leave; the next commands are refused.
      roll_error = rolled.error().message;
    }
  }
  while (!unwritten_.empty()) {
    std::string& frame = *unwritten_.front();
    if (auto written = write(frame); !written) return written;
    unwritten_bytes_ -= frame.size();
    note_written(std::move(frame));
    unwritten_.pop_front();
  }
  const std::size_t frame_bytes = frame_.size();
  if (!frame_.empty()) {
    if (auto written = write(frame_); !written) return written;
    // A short one is copied, so that it takes no more memory than it needs and the buffer stays.
    std::string kept;
    if (frame_.capacity() < 2 * kLongRecordBytes) {
      kept = frame_;
    } else {
      kept.swap(frame_);
    }
    note_written(std::move(kept));
    frame_.clear();
  }
  if (auto reserved = reserve(); !reserved) return {};
  error_ = std::move(roll_error);
  const bool synced = options_.fsync == FsyncPolicy::kAlways || synced_;
  if (synced && frame_bytes > 0 && frame_bytes < kLargeFrameBytes) {
    file_->zero_ahead(round_up(kSegmentHeaderBytes + segments_.back().bytes, options_.zero_bytes));
  }
  return {};
}

Result<> Log::write(std::string& frame) {
  seal_frame(frame, end_, durable_);
  if (auto written = file_->append(frame); !written) {
    (void)file_->truncate(kSegmentHeaderBytes + segments_.back().bytes);
    return write_failed("the log cannot be written: " + written.error().message);
  }
  return {};
}

void Log::note_written(std::string frame) {
  const std::uint64_t bytes = frame.size();
  EVEN_CHECK(wanted_.empty() || wanted_.front() >= end_, "a frame that was wanted is not written");
  const bool wanted = !wanted_.empty() && wanted_.front() == end_;
  if (wanted) wanted_.pop_front();
  tail_.emplace_back(TailFrame{end_, bytes, std::move(frame), wanted});
  end_ += bytes;
  segments_.back().bytes += bytes;
  tail_bytes_ += bytes;
  stats_.bytes_written += bytes;
  stats_.bytes_on_disk += bytes;
  trim_tail();
}

// What was to be written is; the next record might not find room.
Result<> Log::reserve() {
  const std::uint64_t size = kSegmentHeaderBytes + segments_.back().bytes;
  auto reserved = file_->reserve(round_up(size + kReserveBytes, kReserveBytes));
  if (!reserved) return write_failed("the log has no room to grow: " + reserved.error().message);
  return {};
}

void Log::keep_for_reader(LogPosition position) {
  reader_ = position;
  trim_tail();
}

// What is not durable stays, so that it can be written anew, unless nobody cares; and what is
// longer than the tail may be, as long as a reader has not come to it. Unless it is very much.
void Log::trim_tail() {
  release_unwanted();
  const bool kept = options_.fsync != FsyncPolicy::kNo;
  while (tail_bytes_ > options_.tail_bytes && tail_.size() > 1) {
    const TailFrame& first = tail_.front();
    const bool not_durable = kept && first.position >= durable_;
    const bool not_read = first.bytes.size() > options_.tail_bytes && first.position >= reader_;
    if ((not_durable || not_read) && tail_bytes_ <= options_.unsynced_bytes) return;
    tail_bytes_ -= first.bytes.empty() ? sizeof(TailFrame) : first.size;
    tail_.pop_front();
  }
}

// Those that stay move up over the ones that are one with what is before them.
void Log::release_unwanted() {
  const auto first = std::ranges::lower_bound(tail_, released_, {}, &TailFrame::position);
  auto to = first;
  auto frame = first;
  for (; frame != tail_.end() && frame->end() <= durable_; ++frame) {
    released_ = frame->end();
    if (!frame->wanted) {
      tail_bytes_ -= frame->size;
      // To clear it would keep its memory.
      std::string().swap(frame->bytes);
      if (to != tail_.begin() && std::prev(to)->bytes.empty()) {
        std::prev(to)->size += frame->size;
        continue;
      }
      tail_bytes_ += sizeof(TailFrame);
    }
    if (to != frame) *to = std::move(*frame);
    ++to;
  }
  tail_.erase(to, frame);
}

void Log::sync(bool in_place) {
  if (distrusted_) return;
  if (syncing_) {
    sync_again_ = true;
    return;
  }
  if (durable_ >= end_) return;
  const LogPosition upto = end_;
  const std::int64_t started = clock_.monotonic_us();
  if (in_place && stats_.syncs > 0 && end_ - durable_ < options_.background_bytes &&
      stats_.last_sync_seconds * 1e6 < static_cast<double>(options_.quick_sync_us)) {
    return synced(upto, started, file_->sync_now());
  }
  syncing_ = true;
  file_->sync([this, upto, started](const Result<>& result) { synced(upto, started, result); });
}

void Log::synced(LogPosition upto, std::int64_t started_us, const Result<>& result) {
  syncing_ = false;
  if (!result) {
    (void)sync_failed(result.error().message);
  } else if (!distrusted_) {
    durable_ = std::max(durable_, upto);
    trim_tail();
    ++stats_.syncs;
    stats_.last_sync_seconds = static_cast<double>(clock_.monotonic_us() - started_us) / 1e6;
    stats_.sync_seconds += stats_.last_sync_seconds;
    // Under steady load there is always a next sync; a full segment must not wait for a gap between
    // two.
    if (roll_) {
      if (!roll_->next) go_on_rolling();
    } else if (segment_is_full() && !writing_) {
      sync_again_ = false;
      start_roll();
    } else if (std::exchange(sync_again_, false)) {
      sync();
    }
  }
  if (on_progress_) on_progress_();
}

Result<> Log::flush_and_sync() {
  if (distrusted_) {
    if (auto rescued = rescue(); !rescued) return rescued;
  }
  if (auto flushed = flush(); !flushed) return flushed;
  if (durable_ >= end_) return {};
  if (auto synced = file_->sync_now(); !synced) return sync_failed(synced.error().message);
  durable_ = end_;
  return {};
}

Result<> Log::sync_failed(const std::string& why) {
  ++stats_.sync_errors;
  if (EVEN_MUTANT(kFailedSyncIgnored)) return {};
  return distrust("it cannot be synced: " + why);
}

Result<> Log::distrust(const std::string& why) {
  distrusted_ = true;
  distrust_ = why;
  error_ = "the log is not to be trusted: " + why;
  retry_after_us_ = kFirstRetryUs;
  return rescue();
}

// A file whose sync has failed is not to be trusted any more, whatever later syncs of it say.
Result<> Log::rescue() {
  // Its outcome would be that of a file which is gone.
  if (syncing_) return fail(*error_);
  finish_write();
  roll_.reset();
  if (auto begun = begin_segment(); !begun) {
    retry_us_ = clock_.monotonic_us() + retry_after_us_;
    retry_after_us_ = std::min(2 * retry_after_us_, kLastRetryUs);
    return write_failed(
        fmt::format("the log is not to be trusted: {}; and it could not be written "
                    "anew: {}. That is tried again",
                    distrust_, begun.error().message));
  }
  distrusted_ = false;
  sync_again_ = false;
  error_.reset();
  ++stats_.rescues;
  return {};
}

// Begins a segment where what is durable ends, with the frames that come after it; they are durable
// then, too. The file gets its name when it is whole and on the disk. In the segment before it
// recovery reads no further than to its beginning.
Result<> Log::begin_segment() {
  const std::string name = segment_name(shard_, durable_);
  auto file = create_segment(disk_, {shard_, durable_},
                             [this](AppendFile& made) { return copy_unsynced(made); });
  if (!file) return std::unexpected(file.error());
  if (auto renamed = disk_.rename(unfinished(name), name); !renamed) return renamed;
  next_is_there_ = true;
  if (auto synced = disk_.sync_directory(); !synced) return synced;
  take_over(std::move(*file));
  return {};
}

// `file` is the segment that begins where what is durable ends, and has what comes after it.
void Log::take_over(std::unique_ptr<AppendFile> file) {
  const std::string name = segment_name(shard_, durable_);
  next_is_there_ = false;
  const std::uint64_t bytes = end_ - durable_;
  if (!segments_.empty() && segments_.back().base == durable_) {
    segments_.back().bytes = bytes;
  } else {
    if (!segments_.empty()) {
      // It gets no more frames. Until this is durable, a crash may leave what is behind them.
      Segment& old = segments_.back();
      old.bytes = durable_ - old.base;
      (void)file_->truncate(kSegmentHeaderBytes + old.bytes);
    }
    segments_.push_back({durable_, name, bytes});
    ++stats_.segments;
    stats_.bytes_on_disk += kSegmentHeaderBytes;
  }
  replaced_ = std::exchange(file_, std::move(file));
  durable_ = end_;
}

Result<> Log::copy_unsynced(AppendFile& to) {
  const auto in_memory = std::ranges::lower_bound(tail_, durable_, {}, &TailFrame::position);
  const LogPosition until = in_memory == tail_.end() ? end_ : in_memory->position;
  if (durable_ < until) {
    const Segment& segment = segments_.back();
    const std::uint64_t offset = kSegmentHeaderBytes + (durable_ - segment.base);
    const auto bytes = disk_.read(segment.name, offset, until - durable_);
    if (!bytes) return std::unexpected(bytes.error());
    const auto scan =
        scan_frames(*bytes, durable_, [](std::uint64_t, std::string_view) { return Result<>(); });
    if (scan->intact != until - durable_) {
      return fail(
          fmt::format("{}: the frame at offset {} cannot be read any more: only a restart helps, "
                      "which cuts the log there and takes the rest from other replicas",
                      segment.name, offset + scan->intact));
    }
    if (auto written = to.append(*bytes); !written) return written;
  }
  for (auto frame = in_memory; frame != tail_.end(); ++frame) {
    if (auto written = to.append(frame->bytes); !written) return written;
  }
  return {};
}

Result<LogPosition> Log::read(LogPosition from, std::uint64_t limit,
                              const std::function<void(LogPosition, std::string_view)>& visit) {
  EVEN_CHECK(from >= begin() && from <= end_, "a position outside the log");
  const LogPosition first = from;
  const LogPosition stop = from + limit;
  std::string_view body;
  const auto visit_entry = [&](std::string_view record) { visit(from, record); };
  const auto take = [&](std::string_view bytes) -> std::optional<std::uint64_t> {
    const auto header = decode_frame(bytes, from, body);
    if (!header || !for_each_entry(body, visit_entry)) return std::nullopt;
    return kFrameHeaderBytes + header->body_bytes;
  };
  if (!tail_.empty() && from >= tail_.front().position) {
    auto at = std::prev(std::ranges::upper_bound(tail_, from, {}, &TailFrame::position));
    for (; at != tail_.end() && from < stop; ++at) {
      if (at->bytes.empty()) {
        from = std::max(from, at->end());
        continue;
      }
      EVEN_CHECK(at->position == from || at->end() == from, "a position between two frames");
      if (at->end() == from) continue;
      // The frame was made here and never left memory: its checksum need not be checked again.
      EVEN_CHECK(for_each_entry(std::string_view(at->bytes).substr(kFrameHeaderBytes), visit_entry),
                 "a malformed frame in memory");
      from += at->bytes.size();
    }
    return from;
  }
  while (from < end_ && from < stop) {
    auto segment =
        std::upper_bound(segments_.begin(), segments_.end(), from,
                         [](LogPosition position, const Segment& s) { return position < s.base; });
    --segment;
    const std::uint64_t offset = kSegmentHeaderBytes + (from - segment->base);
    std::uint64_t chunk = std::min(std::max(limit, std::uint64_t{64} << 10), kReadChunk);
    // What has been visited counts: the next call finds the error again.
    const auto failed = [&](const std::string& why) -> Result<LogPosition> {
      if (from > first) return from;
      return fail(why);
    };
    auto bytes = disk_.read(segment->name, offset, chunk);
    if (!bytes) return failed(bytes.error().message);
    std::string_view rest = *bytes;
    std::uint64_t taken = 0;
    while (!rest.empty() && from < stop) {
      const auto size = take(rest);
      if (!size) break;
      rest.remove_prefix(*size);
      from += *size;
      taken += *size;
    }
    if (taken == 0) {
      // A frame larger than the chunk, or damage.
      const std::uint64_t left = segment->base + segment->bytes - from;
      const std::uint64_t claimed = frame_bytes(*bytes).value_or(0);
      std::optional<std::uint64_t> size;
      if (claimed > bytes->size() && claimed <= left) {
        bytes = disk_.read(segment->name, offset, claimed);
        if (!bytes) return failed(bytes.error().message);
        size = take(*bytes);
      }
      if (!size) return failed(segment_damage(segment->name, offset, "a frame cannot be read"));
      from += *size;
    }
  }
  return from;
}

std::vector<LogPosition> Log::segment_starts() const {
  std::vector<LogPosition> starts;
  for (const Segment& segment : segments_) starts.push_back(segment.base);
  return starts;
}

Result<> Log::remove_first_segment() {
  EVEN_CHECK(segments_.size() > 1, "the segment being written cannot be removed");
  if (auto removed = disk_.remove(segments_.front().name); !removed) return removed;
  // Before the next one goes: a later segment must not disappear while an earlier one stays.
  if (auto synced = disk_.sync_directory(); !synced) return synced;
  stats_.bytes_on_disk -= kSegmentHeaderBytes + segments_.front().bytes;
  segments_.erase(segments_.begin());
  --stats_.segments;
  return {};
}

Result<> Log::remove_all() {
  EVEN_CHECK(!anything_gathered(), "records that are not written would be lost");
  if (segments_.back().bytes > 0) {
    if (auto rolled = roll(); !rolled) return rolled;
  }
  while (segments_.size() > 1) {
    if (auto removed = remove_first_segment(); !removed) return removed;
  }
  return {};
}

}  // namespace even
