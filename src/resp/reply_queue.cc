#include "resp/reply_queue.h"

#include "base/check.h"
#include "base/memory.h"

namespace even {
std::uint64_t ReplyQueue::open_slot(bool wanted) {
  slots_.emplace_back().wanted = wanted;
  return next_slot_++;
}

void ReplyQueue::fill_slot(std::uint64_t number, std::string reply) {
  EVEN_CHECK(number >= first_slot_ && number < next_slot_, "no such slot");
  Slot& slot = slots_[number - first_slot_];
  EVEN_CHECK(!slot.filled, "a request has one reply");
  slot.filled = true;
  if (slot.wanted) slot.reply = std::move(reply);
  while (!slots_.empty() && slots_.front().filled) {
    out_.append(std::move(slots_.front().reply));
    out_.append(std::move(slots_.front().after));
    slots_.pop_front();
    ++first_slot_;
  }
}

std::string_view ReplyQueue::ready(LogPosition released) {
  const std::uint64_t end = consumed_ + out_.size();
  if (last_position_ <= released) {
    marks_.clear();
    released_ = end;
  } else {
    // Bytes of one turn share a mark: they all wait for what the turn wrote.
    if (end > (marks_.empty() ? released_ : marks_.back().end)) {
      marks_.push_back({end, last_position_});
    }
    while (!marks_.empty() && marks_.front().position <= released) {
      released_ = marks_.front().end;
      marks_.pop_front();
    }
  }
  return out_.front().substr(0, released_ - consumed_);
}

std::size_t ReplyQueue::blocks() const {
  std::size_t blocks = out_.blocks();
  for (const Slot& slot : slots_) {
    blocks += (slot.reply.empty() ? 0 : 1) + slot.after.blocks();
  }
  return blocks;
}

std::size_t ReplyQueue::memory() const {
  std::size_t bytes = out_.memory() + slots_.size() * sizeof(Slot);
  for (const Slot& slot : slots_) bytes += heap_bytes(slot.reply) + slot.after.memory();
  return bytes;
}

void ReplyQueue::fail_waiting(std::string_view error) {
  out_.fail_from(released_ - consumed_, error);
  for (Slot& slot : slots_) slot.after.fail_from(0, error);
  last_position_ = 0;
  marks_.clear();
}

void ReplyQueue::consume(std::size_t bytes) {
  consumed_ += bytes;
  EVEN_CHECK(consumed_ <= released_, "a reply left before it might");
  out_.consume(bytes);
}

}  // namespace even
