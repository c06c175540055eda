#include "resp/reply_blocks.h"

#include <algorithm>

#include "base/check.h"
#include "base/memory.h"
#include "resp/resp_merge.h"

namespace even {
namespace {

// The last block stays for the replies to come, unless it has grown beyond this for a long one.
constexpr std::size_t kKeptCapacity = 2 * ReplyBlocks::kBlockBytes;

}  // namespace

void ReplyBlocks::add_block(std::string block) {
  bytes_before_last_ += last_size();
  blocks_.push_back(std::move(block));
}

void ReplyBlocks::begin_reply() {
  if (last_size() >= kBlockBytes) add_block({});
}

void ReplyBlocks::append(std::string reply) {
  if (reply.size() < kBlockBytes) {
    begin_reply();
    tail() += reply;
    return;
  }
  if (first_ == blocks_.size() || !blocks_.back().empty()) add_block({});
  blocks_.back().swap(reply);
}

void ReplyBlocks::append(ReplyBlocks replies) {
  EVEN_CHECK(replies.first_ == 0 && replies.begin_ == 0, "replies that have left in part");
  for (std::string& block : replies.blocks_) append(std::move(block));
}

std::string_view ReplyBlocks::front() const {
  return first_ == blocks_.size() ? std::string_view()
                                  : std::string_view(blocks_[first_]).substr(begin_);
}

void ReplyBlocks::consume(std::size_t bytes) {
  if (bytes == 0) return;
  begin_ += bytes;
  std::string& block = blocks_[first_];
  EVEN_CHECK(begin_ <= block.size(), "more than the first block was consumed");
  if (begin_ < block.size()) return;
  begin_ = 0;
  if (first_ + 1 == blocks_.size()) {
    block.clear();
    if (block.capacity() > kKeptCapacity) block.shrink_to_fit();
    blocks_.erase(blocks_.begin(), blocks_.end() - 1);
    first_ = 0;
    return;
  }
  bytes_before_last_ -= block.size();
  std::string().swap(block);  // `= {}` would keep the memory
  ++first_;
  if (first_ > blocks_.size() / 2) {
    blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void ReplyBlocks::fail_from(std::size_t from, std::string_view error) {
  from += begin_;
  std::size_t failed = 0;
  for (std::size_t i = first_; i < blocks_.size(); ++i) {
    std::string& block = blocks_[i];
    const std::size_t kept = std::min(from, block.size());
    from -= kept;
    for (std::size_t at = kept; at < block.size(); ++failed) {
      const std::size_t length = reply_length(std::string_view(block).substr(at));
      EVEN_CHECK(length > 0, "a reply that was made here is well-formed");
      at += length;
    }
    block.resize(kept);
  }
  // Only the last of the blocks may be empty, and that if it is the only one.
  while (blocks_.size() > first_ + 1 && blocks_.back().empty()) blocks_.pop_back();
  bytes_before_last_ = 0;
  for (std::size_t i = first_; i + 1 < blocks_.size(); ++i) bytes_before_last_ += blocks_[i].size();
  while (failed-- > 0) append(std::string(error));
}

std::size_t ReplyBlocks::memory() const {
  std::size_t bytes = heap_bytes(blocks_);
  for (const std::string& block : blocks_) bytes += heap_bytes(block);
  return bytes;
}

}  // namespace even
