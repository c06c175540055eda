// Decodes a partition's encoded state while its bytes come: some keys at a time, of which each is
// there as soon as all of its bytes are. The opposite of the StateEncoder (replica/).
//
// Any input is safe. What is held is what has come and has not been given out: a key, however large
// it is, and what has been added behind it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lattice/codec.h"

namespace even {

class StateStream {
 public:
  void add(std::string_view bytes) { buffer_ += bytes; }
  // Bytes that are held.
  std::size_t held() const { return buffer_.size() - begin_; }

  // Gives out keys that have about `max_bytes`, or one: a state that has these keys only, and is
  // none of its own. It is valid until the next call. None: what has been added holds no more whole
  // keys. An error is final.
  Result<std::optional<Record>> next(std::size_t max_bytes);
  // What comes before the keys; none: it is not all there. Its delta is empty.
  const std::optional<Record>& head() const { return head_; }
  // Whether all keys have been given out.
  bool at_end() const { return head_ && keys_left_ == 0; }

 private:
  Result<bool> pass_value();
  Result<bool> read_head();

  std::string buffer_;
  std::size_t begin_ = 0;   // of what has not been given out
  std::size_t passed_ = 0;  // looked at up to here
  // Of the arrays that `passed_` is in, from the outermost: how many values are left.
  std::vector<std::uint64_t> open_;
  std::size_t values_ = 0;  // of the head that have been passed
  std::string front_;       // the bytes before the number of keys
  std::optional<Record> head_;
  std::uint64_t keys_left_ = 0;
  std::string part_;
  RecordDecoder decoder_;
};

}  // namespace even
