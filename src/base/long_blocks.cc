#include "base/long_blocks.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

namespace even::long_blocks {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kKeptFor{2};
constexpr std::size_t kMostBlocks = 32;
constexpr std::uintptr_t kHugePage = 2 << 20;
constexpr std::size_t kPage = 4096;

// A buffer has its own bytes around the value, and some room.
std::size_t with_margin(std::size_t bytes) { return bytes + bytes / 64 + (256 << 10); }

// In huge pages, as far as they lie in the block as a whole: what it takes in memory is no more
// than its size. See Linux, Documentation/admin-guide/mm/transhuge.rst.
void* fresh(std::size_t bytes) {
  void* block = std::malloc(bytes);
  if (block == nullptr) return nullptr;
  const auto begin = (reinterpret_cast<std::uintptr_t>(block) + kHugePage - 1) & ~(kHugePage - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(block) + bytes) & ~(kHugePage - 1);
  // Where there are none, small ones do.
  (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  return block;
}

class Keeper {
 public:
  void set_limit(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }

  Expectation expect(std::size_t bytes, std::size_t count) {
    const std::lock_guard lock(mutex_);
    if (expected_.empty() && renewed(bytes) >= count) return 0;
    expected_.push_back({bytes, count});
    wake();
    return done_ + expected_.size();
  }

  bool ready(Expectation expectation) {
    const std::lock_guard lock(mutex_);
    return done_ >= expectation;
  }

  void* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto end = blocks_.begin() + static_cast<std::ptrdiff_t>(count_);
    auto best = end;
    for (auto block = blocks_.begin(); block != end; ++block) {
      if (fits(*block, bytes) && (best == end || block->bytes < best->bytes)) best = block;
    }
    return best == end ? nullptr : remove(static_cast<std::size_t>(best - blocks_.begin()));
  }

  bool keep(void* block, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (!add(block, bytes)) return false;
    wake();
    return true;
  }

  std::size_t kept_bytes() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  struct Wanted {
    std::size_t bytes;
    std::size_t count;
  };
  struct Block {
    void* begin = nullptr;
    std::size_t bytes = 0;
    Clock::time_point since;
  };

  static bool fits(const Block& block, std::size_t bytes) {
    return block.bytes >= bytes && block.bytes - bytes <= bytes / 4;
  }

  // How many blocks there are that fit; they are kept from now on.
  std::size_t renewed(std::size_t bytes) {
    const auto now = Clock::now();
    std::size_t count = 0;
    for (Block& block : std::span(blocks_).first(count_)) {
      if (!fits(block, bytes)) continue;
      block.since = now;
      ++count;
    }
    return count;
  }

  bool add(void* block, std::size_t bytes) {
    if (count_ == blocks_.size() || bytes > limit_ - std::min(limit_, bytes_)) return false;
    blocks_[count_++] = {block, bytes, Clock::now()};
    bytes_ += bytes;
    return true;
  }

  void* remove(std::size_t i) {
    void* block = blocks_[i].begin;
    bytes_ -= blocks_[i].bytes;
    blocks_[i] = blocks_[--count_];
    return block;
  }

  void wake() {
    // Started when it is first needed; it ends with the process.
    if (!std::exchange(started_, true)) std::thread([this] { run(); }).detach();
    changed_.notify_one();
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (make_expected(lock) || free_one(lock)) continue;
      if (count_ == 0) {
        changed_.wait(lock);
      } else {
        changed_.wait_for(lock, kKeptFor);
      }
    }
  }

  // False: nothing is expected.
  bool make_expected(std::unique_lock<std::mutex>& lock) {
    if (expected_.empty()) return false;
    const Wanted wanted = expected_.front();
    for (std::size_t i = renewed(wanted.bytes); i < wanted.count && make_one(wanted.bytes, lock);
         ++i) {
    }
    renewed(wanted.bytes);  // making them may have taken longer than blocks are kept
    expected_.pop_front();
    ++done_;
    return true;
  }

  bool make_one(std::size_t least, std::unique_lock<std::mutex>& lock) {
    const std::size_t bytes = with_margin(least);
    if (bytes > limit_ - std::min(limit_, bytes_)) return false;
    lock.unlock();
    void* block = fresh(bytes);
    for (std::size_t at = 0; block != nullptr && at < bytes; at += kPage) {
      static_cast<volatile char*>(block)[at] = 0;
    }
    lock.lock();
    if (block != nullptr && add(block, ::malloc_usable_size(block))) return true;
    std::free(block);
    return false;
  }

  bool free_one(std::unique_lock<std::mutex>& lock) {
    const auto now = Clock::now();
    for (std::size_t i = 0; i < count_; ++i) {
      if (now - blocks_[i].since < kKeptFor && bytes_ <= limit_) continue;
      void* block = remove(i);
      lock.unlock();
      std::free(block);
      lock.lock();
      return true;
    }
    return false;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Block, kMostBlocks> blocks_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::size_t limit_ = kDefaultLimit;
  std::deque<Wanted> expected_;
  Expectation done_ = 0;
  bool started_ = false;
};

// Never destroyed: blocks are freed as long as there is a process.
Keeper& keeper() {
  alignas(Keeper) static char memory[sizeof(Keeper)];
  static Keeper* keeper = new (memory) Keeper;
  return *keeper;
}

}  // namespace

void set_limit(std::size_t bytes) { keeper().set_limit(bytes); }

Expectation expect(std::size_t bytes, std::size_t count) {
  return bytes < kLeast ? 0 : keeper().expect(bytes, count);
}

bool ready(Expectation expectation) { return expectation == 0 || keeper().ready(expectation); }

void Expected::expect(std::size_t bytes, std::size_t count) {
  bytes_ = bytes;
  latest_ = long_blocks::expect(bytes, count);
  again_ = false;
}

bool Expected::there(std::size_t count) {
  if (!ready(latest_)) return false;
  if (*this && !std::exchange(again_, true)) latest_ = long_blocks::expect(bytes_, count);
  return ready(latest_);
}

void* allocate(std::size_t bytes) noexcept {
  if (void* kept = keeper().take(bytes)) return kept;
  return fresh(bytes);
}

void release(void* block) noexcept {
  if (!keeper().keep(block, ::malloc_usable_size(block))) std::free(block);
}

std::size_t kept_bytes() { return keeper().kept_bytes(); }

}  // namespace even::long_blocks
