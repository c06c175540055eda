// Replies in the order in which they leave, in blocks of memory: short ones share a block, a long
// one has one of its own, which is as large as it is. So what waits takes the memory that it needs,
// where one buffer that grows by doubling would take up to twice that, and be copied each time.
//
// Invariant: a reply lies within one block.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace even {

class ReplyBlocks {
 public:
  // A block with as much in it gets no more replies.
  static constexpr std::size_t kBlockBytes = 32 * 1024;

  bool empty() const { return size() == 0; }
  // Bytes that have not been consumed.
  std::size_t size() const { return bytes_before_last_ + last_size() - begin_; }
  // Where to append to the reply that began last. Valid until any other call.
  std::string& tail() {
    if (first_ == blocks_.size()) blocks_.emplace_back();
    return blocks_.back();
  }
  // A reply is about to be appended to tail().
  void begin_reply();
  void append(std::string reply);
  void append(ReplyBlocks replies);

  // What can be sent at once from the beginning.
  std::string_view front() const;
  // Of front().
  void consume(std::size_t bytes);
  // Puts `error` in the place of each reply from byte `from` on, where one begins.
  void fail_from(std::size_t from, std::string_view error);

  std::size_t blocks() const { return empty() ? 0 : blocks_.size() - first_; }
  // Bytes of memory.
  std::size_t memory() const;

 private:
  std::size_t last_size() const { return first_ == blocks_.size() ? 0 : blocks_.back().size(); }
  void add_block(std::string block);

  std::vector<std::string> blocks_;
  std::size_t first_ = 0;  // blocks that have been consumed whole, at the front of blocks_
  std::size_t begin_ = 0;  // bytes that have been consumed of the one behind them
  std::size_t bytes_before_last_ = 0;
};

}  // namespace even
