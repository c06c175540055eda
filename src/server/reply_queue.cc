#include "server/reply_queue.h"

#include "base/check.h"
#include "server/resp_merge.h"

namespace even::server {
namespace {

// A buffer that grew beyond this for one large reply is given back once it is empty.
constexpr std::size_t kKeptCapacity = 256 * 1024;
// Bytes at the front of the buffer that have left are cut off once they are this many.
constexpr std::size_t kCompactBytes = 64 * 1024;

}  // namespace

std::uint64_t ReplyQueue::open_slot() {
  slots_.emplace_back();
  return first_slot_ + slots_.size() - 1;
}

void ReplyQueue::fill_slot(std::uint64_t number, std::string reply) {
  EVEN_CHECK(number >= first_slot_ && number - first_slot_ < slots_.size(), "no such slot");
  Slot& slot = slots_[number - first_slot_];
  EVEN_CHECK(!slot.filled, "a request has one reply");
  slot.filled = true;
  slot.reply = std::move(reply);
  while (!slots_.empty() && slots_.front().filled) {
    if (out_.empty()) {
      out_ = std::move(slots_.front().reply);  // which may be long
    } else {
      out_ += slots_.front().reply;
    }
    out_ += slots_.front().after;
    slots_.pop_front();
    ++first_slot_;
  }
}

std::string_view ReplyQueue::ready(LogPosition released) {
  const std::uint64_t end = consumed_ + out_.size() - begin_;
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
  return std::string_view(out_).substr(begin_, released_ - consumed_);
}

void ReplyQueue::fail_waiting(std::string_view error) {
  const auto fail_from = [error](std::string& replies, std::size_t from) {
    std::size_t count = 0;
    for (std::size_t at = from; at < replies.size(); ++count) {
      const std::size_t length = reply_length(std::string_view(replies).substr(at));
      EVEN_CHECK(length > 0, "a reply that was made here is well-formed");
      at += length;
    }
    replies.resize(from);
    while (count-- > 0) replies += error;
  };
  fail_from(out_, begin_ + released_ - consumed_);
  for (Slot& slot : slots_) fail_from(slot.after, 0);
  last_position_ = 0;
  marks_.clear();
}

void ReplyQueue::consume(std::size_t bytes) {
  begin_ += bytes;
  consumed_ += bytes;
  EVEN_CHECK(consumed_ <= released_, "a reply left before it might");
  if (begin_ == out_.size()) {
    begin_ = 0;
    out_.clear();
    if (out_.capacity() > kKeptCapacity) out_.shrink_to_fit();
  } else if (begin_ >= kCompactBytes && begin_ >= out_.size() / 2) {
    out_.erase(0, begin_);
    begin_ = 0;
  }
}

}  // namespace even::server
