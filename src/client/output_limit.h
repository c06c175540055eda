// When a client that does not take its output is closed: at once beyond one size, or when it has
// been beyond another one for some time, as Redis's client-output-buffer-limit has it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace even {

// Of clients, by what they are. There are no replicas among Even's clients: what is set for them
// is kept, for CONFIG GET, and does nothing.
enum class ClientClass : std::uint8_t { kNormal, kReplica, kPubsub };
inline constexpr std::size_t kClientClasses = 3;

// May change while it is in use; any thread.
struct OutputLimit {
  // Bytes; 0: no limit.
  std::atomic<std::uint64_t> hard;
  std::atomic<std::uint64_t> soft;
  std::atomic<std::int64_t> soft_seconds;

  // At once.
  bool exceeded_by(std::size_t bytes) const {
    const std::uint64_t most = hard.load(std::memory_order_relaxed);
    return most != 0 && bytes > most;
  }
};

// For how long a client has been beyond the soft limit.
class SoftLimit {
 public:
  // `bytes` wait now. Whether they have been too many for too long.
  bool exceeded_by(std::size_t bytes, const OutputLimit& limit, std::int64_t now_us) {
    const std::uint64_t most = limit.soft.load(std::memory_order_relaxed);
    if (most == 0 || bytes <= most) {
      since_us_ = -1;
      return false;
    }
    if (since_us_ < 0) since_us_ = now_us;
    return now_us - since_us_ >
           limit.soft_seconds.load(std::memory_order_relaxed) * std::int64_t{1'000'000};
  }

 private:
  std::int64_t since_us_ = -1;  // negative: it is not
};

}  // namespace even
