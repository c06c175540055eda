// operator new and delete on top of malloc and free, counting what is allocated: a limit on memory
// needs the sum of all objects, which neither the system's figures (they hold what was freed, too)
// nor mimalloc's give.
//
// Long blocks are asked for in huge pages (Linux, Documentation/admin-guide/mm/transhuge.rst). The
// first touch of 64 MB is 16,384 page faults otherwise, which take several times as long as it
// takes to copy as much, and clients wait meanwhile.
#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "base/memory.h"

namespace {

constexpr std::int64_t kBatch = 64 << 10;
// mimalloc gives a longer block a mapping of its own, so that the advice goes with it.
constexpr std::size_t kLongBlock = 16 << 20;
constexpr std::uintptr_t kHugePage = 2 << 20;

// constinit: threads allocate before and after everything else that is thread-local.
constinit thread_local std::int64_t t_uncounted = 0;

void count(std::int64_t bytes) {
  t_uncounted += bytes;
  if (t_uncounted < kBatch && t_uncounted > -kBatch) return;
  const std::int64_t now =
      even::g_allocated_bytes.fetch_add(t_uncounted, std::memory_order_relaxed) + t_uncounted;
  t_uncounted = 0;
  auto& peak = even::g_allocated_peak_bytes;
  std::int64_t most = peak.load(std::memory_order_relaxed);
  while (now > most && !peak.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
  }
}

// Only what lies in the block as a whole: what it takes in memory is no more than its size.
void advise(void* memory, std::size_t bytes) noexcept {
  const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + kHugePage - 1) & ~(kHugePage - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) & ~(kHugePage - 1);
  // Where there are none, small ones do.
  (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

void* counted(void* memory) noexcept {
  if (memory == nullptr) return nullptr;
  const std::size_t bytes = ::malloc_usable_size(memory);
  count(static_cast<std::int64_t>(bytes));
  if (bytes > kLongBlock) advise(memory, bytes);
  return memory;
}

void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* aligned(std::size_t size, std::align_val_t alignment) noexcept {
  const auto to = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(to, (size + to - 1) & ~(to - 1)));
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  count(-static_cast<std::int64_t>(::malloc_usable_size(memory)));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return or_throw(counted(std::malloc(size))); }
void* operator new[](std::size_t size) { return or_throw(counted(std::malloc(size))); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size));
}
void* operator new(std::size_t size, std::align_val_t to) { return or_throw(aligned(size, to)); }
void* operator new[](std::size_t size, std::align_val_t to) { return or_throw(aligned(size, to)); }
void* operator new(std::size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return aligned(size, to);
}
void* operator new[](std::size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return aligned(size, to);
}

void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
