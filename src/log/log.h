// The log of one shard: an endless sequence of frames, cut into segment files. A frame holds the
// records of one turn, or of several while the disk is at what takes long; it is checked as a
// whole. See docs/formats/log.md for the bytes and docs/architecture.md for what recovery promises.
//
// The log does not know what a record means. Its users read it by position: recovery from the
// start, and each peer's sender from where it stands. Single-threaded; what the disk does meanwhile
// completes on the same thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "env/clock.h"
#include "env/disk.h"

namespace even {

// A byte offset in the sequence of frames of one shard's log, counted over all segments that ever
// were. Segment headers do not count.
using LogPosition = std::uint64_t;

enum class FsyncPolicy : std::uint8_t { kAlways, kEverySecond, kNo };

struct LogOptions {
  FsyncPolicy fsync = FsyncPolicy::kEverySecond;
  std::uint64_t segment_bytes = 64 << 20;
  // How much of the end stays in memory for peers that are nearly up to date. More while it is not
  // durable.
  std::uint64_t tail_bytes = 16 << 20;
  // More than that does not stay: should the file's sync fail, it is read from there. Room for a
  // value of 64 MB, and for what is written while it is on its way to peers.
  std::uint64_t unsynced_bytes = 96 << 20;
  // A sync that takes less than this is made in place where the caller allows it: to hand it to
  // another thread and to hear of its end takes two switches of threads, which cost as much. 0:
  // never.
  std::int64_t quick_sync_us = 500;
  // Of frames that are synced one by one, how much of the segment is filled with zeroes at once,
  // ahead of them: the sync of a frame that takes their place need not wait for the file system's
  // journal to note a new size or new blocks.
  std::uint64_t zero_bytes = 256 << 10;
  // A frame that has so many bytes at a start_flush() gets no more records, and is written by
  // another thread.
  std::uint64_t background_bytes = 1 << 20;
};

struct LogStats {
  std::uint64_t bytes_written = 0;
  std::uint64_t bytes_on_disk = 0;  // headers and frames, not what is kept ready behind them
  std::uint64_t segments = 0;
  std::uint64_t syncs = 0;
  std::uint64_t sync_errors = 0;
  std::uint64_t rescues = 0;  // how often what had not been synced was written anew
  double sync_seconds = 0;    // in all
  double last_sync_seconds = 0;
};

class Log {
 public:
  using Visit = std::function<Result<>(LogPosition frame, std::string_view record)>;

  Log(LogOptions options, ShardId shard, Disk& disk, Clock& clock);
  ~Log();

  // Opens the log and calls visit for every record in it; while it does, end() is the start of the
  // segment being read. Cuts a torn tail: bytes after the last intact frame that nothing shows to
  // have been durable, be it a later frame or `durable`, a position up to which somebody else knows
  // it. Any other damage is an error that names the file, the offset and the way out.
  Result<> recover(const Visit& visit,
                   const std::function<void(std::uint64_t, std::uint64_t)>& progress,
                   LogPosition durable = 0);

  // Adds a record to the frame being gathered.
  void append(std::string_view record) {
    append(record.size(), [record](std::string& out) { out.append(record); });
  }
  // The same of one that write(out) appends to `out`, of about so many bytes. Returns it; valid
  // until the next call.
  template <typename Write>
  std::string_view append(std::size_t bytes, Write write) {
    if (wanted_.empty() || wanted_.back() != next_frame()) wanted_.push_back(next_frame());
    const std::size_t begin = begin_entry(bytes);
    write(frame_);
    return end_entry(begin);
  }
  // The same of one that is for recovery alone: no read() needs to visit it. A frame of such
  // records leaves memory as soon as it is durable, and reads pass over it.
  template <typename Write>
  void append_for_recovery(std::size_t bytes, Write write) {
    const std::size_t begin = begin_entry(bytes);
    write(frame_);
    (void)end_entry(begin);
  }
  // Of the frame being gathered.
  std::size_t gathered_bytes() const { return frame_.size(); }
  // The position that written() or durable() must reach for everything appended so far to be
  // written or durable.
  LogPosition barrier() const { return frame_.empty() ? next_frame() : next_frame() + 1; }
  // Where the frame begins that is being gathered, or the next one.
  LogPosition next_frame() const { return end_ + unwritten_bytes_; }
  // Writes the gathered frame, if there is one. On an error the frame is kept and the next flush
  // tries again.
  Result<> flush();
  // The same without waiting for what takes long: a long frame is written, and a new segment is
  // begun, while the caller goes on, and what is gathered by then waits for its end. on_progress is
  // called then; the next start_flush() goes on. What has failed is mended by it as by flush().
  // `synced`: the caller is going to sync what is written, as if by FsyncPolicy::kAlways.
  Result<> start_flush(bool synced = false);
  // Starts a sync of everything written, unless one is under way, in which case another follows it.
  // on_progress is called after each. With `in_place`, the caller waits for it if it is likely to
  // be quick, as the last one was.
  void sync(bool in_place = false);
  // Writes and syncs, blocking.
  Result<> flush_and_sync();
  void on_progress(std::function<void()> callback) { on_progress_ = std::move(callback); }

  LogPosition begin() const { return segments_.empty() ? end_ : segments_.front().base; }
  LogPosition end() const { return end_; }
  LogPosition durable() const { return durable_; }
  bool sync_needed() const { return durable_ < end_; }
  // Why the log cannot be written at present. After a failed sync nothing is known of what was not
  // durable before; the log goes on once all of it has been written anew, to another file. flush()
  // tries that every now and then.
  const std::optional<std::string>& error() const { return error_; }
  // Why what was not durable had to be written anew, the last time.
  const std::string& last_distrust() const { return distrust_; }
  // Whether something that was appended cannot be written or synced at present, because of error().
  bool stuck() const { return distrusted_ || (error_ && anything_gathered()); }

  // Reads whole frames from `from` (a frame's start) on, about `limit` bytes but at least one
  // frame, and calls visit(frame, record) for each of their records, but perhaps those that are for
  // recovery alone. Returns the position after them; `from` itself at the end. After an error
  // nothing has been visited.
  Result<LogPosition> read(LogPosition from, std::uint64_t limit,
                           const std::function<void(LogPosition, std::string_view)>& visit);

  // A reader that goes on from there is nearly up to date. To read it a frame of many megabytes
  // from the disk takes as much memory once more, and several times as long as from here.
  void keep_for_reader(LogPosition position);

  // Starts of the segments, ascending; the last one is being written.
  std::vector<LogPosition> segment_starts() const;
  LogPosition current_segment() const { return segments_.back().base; }
  // Begins a new segment and removes all others. What was gathered must have been written.
  Result<> remove_all();
  // Removes the oldest segment; not the one being written.
  Result<> remove_first_segment();

  // What recover() cut from the end, in words; nothing when the log was whole.
  const std::optional<std::string>& cut() const { return cut_; }
  const LogStats& stats() const { return stats_; }

 private:
  struct Segment {
    LogPosition base;
    std::string name;
    std::uint64_t bytes = 0;  // of frames
  };
  // A frame, or several that have left memory, one behind the other.
  struct TailFrame {
    LogPosition position;
    std::uint64_t size;
    std::string bytes;  // empty when they have
    bool wanted;        // by read()
    LogPosition end() const { return position + size; }
  };
  // A segment that is being begun by start_flush().
  struct Roll {
    std::unique_ptr<AppendFile> next;  // once what precedes it is durable
  };

  Result<> recover_segment(std::size_t index, const Visit& visit,
                           const std::function<void(std::uint64_t)>& progress);
  std::size_t begin_entry(std::size_t bytes);
  std::string_view end_entry(std::size_t begin);
  void trim_tail();
  void release_unwanted();
  bool anything_gathered() const { return !frame_.empty() || !unwritten_.empty(); }
  bool segment_is_full() const {
    return next_is_there_ || segments_.back().bytes >= options_.segment_bytes;
  }
  Result<> write(std::string& frame);
  void note_written(std::string frame);
  Result<> reserve();
  void set_aside();
  void start_write();
  void write_ended(const Result<>& outcome);
  void finish_write();
  void start_roll();
  void go_on_rolling();
  void next_is_durable(const Result<>& outcome);
  void roll_ended(const Result<>& outcome);
  Result<> roll();
  Result<> begin_segment();
  void take_over(std::unique_ptr<AppendFile> file);
  Result<> write_failed(const std::string& what);
  Result<> sync_failed(const std::string& why);
  Result<> distrust(const std::string& why);
  Result<> rescue();
  Result<> copy_unsynced(AppendFile& to);
  void synced(LogPosition upto, std::int64_t started_us, const Result<>& result);

  const LogOptions options_;
  const ShardId shard_;
  Disk& disk_;
  Clock& clock_;
  std::vector<Segment> segments_;
  std::unique_ptr<AppendFile> file_;
  std::unique_ptr<AppendFile> replaced_;  // by rescue(), which it may have called
  // There is a file for the segment after the one that file_ is of, so that nothing may be appended
  // to this one any more; but it is not certain to outlast a crash.
  bool next_is_there_ = false;
  std::string frame_;  // being gathered, with room for its header; empty when there is none
  // Long frames before that one.
  std::deque<std::shared_ptr<std::string>> unwritten_;
  std::uint64_t unwritten_bytes_ = 0;
  bool writing_ = false;  // the first of them is being written by the disk
  bool synced_ = false;   // what is written is synced at once, whatever the policy: start_flush()
  std::shared_ptr<Roll> roll_;
  LogPosition end_ = 0;
  LogPosition durable_ = 0;
  bool syncing_ = false;
  bool sync_again_ = false;
  bool distrusted_ = false;
  std::string distrust_;
  std::int64_t retry_us_ = 0;  // when rescue() is due again
  std::int64_t retry_after_us_ = 0;
  std::optional<std::string> error_;
  std::optional<std::string> cut_;
  std::function<void()> on_progress_;
  std::deque<TailFrame> tail_;
  std::uint64_t tail_bytes_ = 0;
  LogPosition released_ = 0;  // frames before this have left memory if they are not wanted
  // Frames that are not written yet and have something that read() is to visit, ascending.
  std::deque<LogPosition> wanted_;
  LogPosition reader_ = ~LogPosition{0};
  LogStats stats_;
};

// `even log verify|dump`: walks the segments of a data directory and reports each record, or the
// first damage. Changes nothing.
struct LogReport {
  std::uint64_t segments = 0;
  std::uint64_t frames = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t torn_bytes = 0;  // after the last intact frame, to be cut at the next start
};
using InspectVisit =
    std::function<void(const std::string& file, std::uint64_t offset, std::string_view record)>;
Result<LogReport> inspect_log(Disk& disk, const InspectVisit& visit);

}  // namespace even
