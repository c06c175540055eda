// Long blocks of memory whose pages are there already.
//
// The first touch of fresh memory takes several times as long as a copy into it: the kernel zeroes
// each page, and a virtual machine gets it from its host, which takes up to 200 ms for 64 MB, and a
// thread that serves clients stands still meanwhile. So another thread touches blocks as soon as it
// is known that they will be needed, while the value is still being received, and one that is freed
// is kept for some seconds, for whoever needs one next. Nothing is kept beyond a limit.
//
// Operator new and delete of evend (node/counted_new.cc) get blocks of kLeast bytes and more from
// here. Thread-safe. What is kept is from malloc and counted nowhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace even::long_blocks {

inline constexpr std::size_t kLeast = 16 << 20;
inline constexpr std::size_t kDefaultLimit = 512 << 20;

// About so many bytes may be kept; 0: none. What is kept beyond it goes within some seconds.
void set_limit(std::size_t bytes);

// `count` blocks for `bytes` each will be needed soon, those that are kept included: as many are
// made ready as the limit allows, none of fewer than kLeast bytes. Returns what to ask ready() for,
// 0 if they are there.
using Expectation = std::uint64_t;
Expectation expect(std::size_t bytes, std::size_t count);

// Whether all is done that will be; of 0 it is. Soon after at the latest: it takes no longer than
// to touch them.
bool ready(Expectation expectation);

// The blocks that one long message will need, from when its length is known until it is there: what
// comes slowly takes longer than blocks are kept.
class Expected {
 public:
  void expect(std::size_t bytes, std::size_t count);
  explicit operator bool() const { return bytes_ != 0; }
  // The message is there, and will need `count` of them: those that have gone meanwhile are made
  // again, once. False: not yet; ask again when latest() is ready.
  bool there(std::size_t count);
  Expectation latest() const { return latest_; }

 private:
  std::size_t bytes_ = 0;
  Expectation latest_ = 0;
  bool again_ = false;
};

// A block that has room for `bytes`, at least kLeast: one that is kept and not much longer, else a
// fresh one. Null: there is no memory.
void* allocate(std::size_t bytes) noexcept;

// Keeps a block from malloc or allocate(), or frees it.
void release(void* block) noexcept;

// What is kept at present, for tests and people.
std::size_t kept_bytes();

}  // namespace even::long_blocks
