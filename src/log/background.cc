// What the log has the disk do while its owner goes on: see Log::start_flush(). At most one of two
// things is under way, a frame that is being written or a segment that is being begun, and until it
// has ended nothing else is written. So frames keep their order, and what is under way can be
// waited for, or given up and begun anew, before anything that does wait: flush(), rescue().
#include <utility>

#include "base/check.h"
#include "base/mutant.h"
#include "log/format.h"
#include "log/log.h"
#include "log/segments.h"

namespace even {

Result<> Log::start_flush(bool synced) {
  synced_ = synced;
  // Only here: what barrier() has told of a record that is appended later in a turn holds for the
  // frame that was being gathered then.
  if (frame_.size() >= options_.background_bytes) set_aside();
  if (writing_ || roll_) return {};
  if (distrusted_ || error_ || !anything_gathered()) return flush();
  if (segment_is_full() && !syncing_) {
    start_roll();
    return {};
  }
  if (unwritten_.empty()) return flush();
  start_write();
  return {};
}

// Ends the frame that is being gathered.
void Log::set_aside() {
  unwritten_bytes_ += frame_.size();
  unwritten_.push_back(std::make_shared<std::string>(std::exchange(frame_, {})));
}

void Log::start_write() {
  writing_ = true;
  replaced_.reset();
  seal_frame(*unwritten_.front(), end_, durable_);
  file_->append(unwritten_.front(), [this](const Result<>& outcome) {
    write_ended(outcome);
    if (on_progress_) on_progress_();
  });
}

void Log::write_ended(const Result<>& outcome) {
  writing_ = false;
  if (!outcome) {
    (void)file_->truncate(kSegmentHeaderBytes + segments_.back().bytes);
    (void)write_failed("the log cannot be written: " + outcome.error().message);
    return;
  }
  std::string& frame = *unwritten_.front();
  unwritten_bytes_ -= frame.size();
  note_written(std::move(frame));
  unwritten_.pop_front();
  if (!error_) (void)reserve();
}

void Log::finish_write() {
  if (writing_) write_ended(file_->finish_append());
}

void Log::start_roll() {
  replaced_.reset();
  roll_ = std::make_shared<Roll>();
  go_on_rolling();
}

// What precedes a segment is durable, so that only the last segment can have a torn tail.
void Log::go_on_rolling() {
  if (durable_ < end_ && !EVEN_MUTANT(kRollUnsynced)) return sync();  // goes on from there
  const std::string name = unfinished(segment_name(shard_, end_));
  auto next = disk_.open_append(name, 0);
  Result<> made;
  if (!next) {
    made = std::unexpected(next.error());
  } else {
    made = (*next)->append(encode_segment_header({shard_, end_}));
  }
  if (!made) return roll_ended(made);
  roll_->next = std::move(*next);
  roll_->next->sync([this](const Result<>& outcome) { next_is_durable(outcome); });
}

// The next segment gets its name when its header is on the disk.
void Log::next_is_durable(const Result<>& outcome) {
  const std::string name = segment_name(shard_, end_);
  Result<> renamed = outcome;
  if (renamed) renamed = disk_.rename(unfinished(name), name);
  if (!renamed) {
    (void)disk_.remove(unfinished(name));
    return roll_ended(renamed);
  }
  next_is_there_ = true;
  disk_.sync_directory([this, roll = std::weak_ptr(roll_)](const Result<>& synced) {
    if (!roll.expired()) roll_ended(synced);
  });
}

void Log::roll_ended(const Result<>& outcome) {
  const std::shared_ptr<Roll> roll = std::exchange(roll_, nullptr);
  if (outcome) {
    durable_ = end_;
    take_over(std::move(roll->next));
  } else {
    (void)write_failed(outcome.error().message);
  }
  if (on_progress_) on_progress_();
}

}  // namespace even
