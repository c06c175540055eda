// The replies to one client, in the order of its requests, until they may leave.
//
// Two things hold replies back. A reply that another thread or node makes arrives later: it has a
// slot, and whatever is replied after it waits behind. And a reply must not leave before the log
// has been released up to the position that its command returned (see replica/shard.h).
//
// Pure logic: one thread, no I/O.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "log/log.h"
#include "resp/reply_blocks.h"

namespace even {

class ReplyQueue {
 public:
  // The next reply is about to be appended to tail().
  void begin_reply() { last().begin_reply(); }
  // Where to append to the reply that began last. Valid until the next call of any other function.
  std::string& tail() { return last().tail(); }

  // Puts what is no reply before all slots.
  void put_ahead(std::string_view bytes) {
    out_.begin_reply();
    out_.tail() += bytes;
  }

  // Everything appended so far waits until the log is released up to `position`.
  void hold_until(LogPosition position) {
    if (position > last_position_) last_position_ = position;
  }

  // Reserves the place of a reply to come and returns its number. When nobody wants the reply, it
  // takes its place in the order, and nothing else.
  std::uint64_t open_slot(bool wanted = true);
  // How often that has been done.
  std::uint64_t slots_opened() const { return next_slot_; }
  void fill_slot(std::uint64_t number, std::string reply);
  bool has_open_slots() const { return slots() > 0; }
  // Slots that something waits for or in.
  std::size_t slots() const { return next_slot_ - first_slot_; }

  // The first of the bytes that may leave, given how far the log is released; they stay until
  // consumed, and then there may be more. Nothing may be appended between this and consume().
  std::string_view ready(LogPosition released);
  void consume(std::size_t bytes);

  // Puts `error` in the place of each reply that the last ready() did not let go. Replies to come
  // keep their slots.
  void fail_waiting(std::string_view error);

  // The blocks of memory that hold what waits, and what those take.
  std::size_t blocks() const;
  std::size_t memory() const;
  // Bytes that wait, whether or not they may leave.
  std::size_t size() const { return out_.size() + slot_bytes(); }
  // Whether bytes wait for the log rather than for a slot.
  bool waits_for(LogPosition released) const { return size() > 0 && last_position_ > released; }

 private:
  struct Slot {
    bool filled = false;
    bool wanted = true;
    std::string reply;
    ReplyBlocks after;  // replies that were ready while this one was not
  };
  // Bytes before `end` (counted from the connection's beginning) wait for `position`.
  struct Mark {
    std::uint64_t end;
    LogPosition position;
  };

  std::size_t slot_bytes() const {
    std::size_t bytes = 0;
    for (const Slot& slot : slots_) bytes += slot.reply.size() + slot.after.size();
    return bytes;
  }

  ReplyBlocks& last() { return slots() == 0 ? out_ : slots_.back().after; }

  ReplyBlocks out_;
  std::uint64_t consumed_ = 0;  // bytes that have left since the beginning
  std::uint64_t released_ = 0;  // bytes that may leave or have left since the beginning
  LogPosition last_position_ = 0;
  std::deque<Mark> marks_;  // ascending in both
  std::deque<Slot> slots_;
  std::uint64_t first_slot_ = 0;  // number of slots_.front()
  std::uint64_t next_slot_ = 0;   // of the one that is opened next
};

}  // namespace even
