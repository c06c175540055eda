// operator new and delete on top of malloc and free, counting what is allocated: a limit on memory
// needs the sum of all objects, which neither the system's figures (they hold what was freed, too)
// nor mimalloc's give.
#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "base/long_blocks.h"
#include "base/memory.h"

namespace {

namespace long_blocks = even::long_blocks;

constexpr std::int64_t kBatch = 64 << 10;
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

void* counted(void* memory) noexcept {
  if (memory == nullptr) return nullptr;
  count(static_cast<std::int64_t>(::malloc_usable_size(memory)));
  return memory;
}

void* allocate(std::size_t size) noexcept {
  return counted(size < long_blocks::kLeast ? std::malloc(size) : long_blocks::allocate(size));
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
  const std::size_t bytes = ::malloc_usable_size(memory);
  count(-static_cast<std::int64_t>(bytes));
  bytes < long_blocks::kLeast ? std::free(memory) : long_blocks::release(memory);
}

}  // namespace

void* operator new(std::size_t size) { return or_throw(allocate(size)); }
void* operator new[](std::size_t size) { return or_throw(allocate(size)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
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
