// The few settings that CONFIG SET may change while the node runs. Read by all threads on every
// request, hence atomics; the password, read at authentication only, is behind a lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "client/output_limit.h"
#include "engine/acl.h"
#include "engine/scram.h"
#include "node/config.h"

namespace even {

class RuntimeOptions {
 public:
  explicit RuntimeOptions(const ClientConfig& client, const SlowLogConfig& slow_log = {},
                          const MemoryConfig& memory = {})
      : max_clients(client.max_clients),
        max_request_bytes(client.max_request_bytes),
        query_buffer_bytes(client.query_buffer_bytes),
        slow_log_us(slow_log.log_slower_than_us),
        slow_log_length(slow_log.max_len),
        max_memory(memory.max_memory),
        cache_policy(memory.policy),
        output_limits_{{client.output_buffer_bytes, 0, 0},
                       {std::uint64_t{256} << 20, std::uint64_t{64} << 20, 60},
                       {client.pubsub_buffer_bytes, client.pubsub_buffer_soft_bytes,
                        client.pubsub_buffer_soft_seconds}} {
    set_password(client.password);
  }

  std::atomic<std::uint32_t> max_clients;
  std::atomic<std::uint64_t> max_request_bytes;
  std::atomic<std::uint64_t> query_buffer_bytes;
  // Seconds without a request after which a client is closed; 0: never.
  std::atomic<std::int32_t> idle_timeout{0};
  // Commands that take as long or longer go to the slow log; negative: none does.
  std::atomic<std::int64_t> slow_log_us;
  std::atomic<std::uint64_t> slow_log_length;
  // Milliseconds; what takes as long or longer is kept for LATENCY. 0: nothing is.
  std::atomic<std::int64_t> latency_threshold_ms{0};
  // The least time that anything is kept of, in microseconds; negative: of none.
  std::int64_t least_slow_us() const {
    const std::int64_t log_us = slow_log_us.load(std::memory_order_relaxed);
    const std::int64_t threshold_us = 1000 * latency_threshold_ms.load(std::memory_order_relaxed);
    if (threshold_us == 0) return log_us;
    return log_us < 0 ? threshold_us : std::min(log_us, threshold_us);
  }
  // Entries of ACL LOG.
  std::atomic<std::uint64_t> acl_log_length{128};
  // Bytes; 0: no limit.
  std::atomic<std::uint64_t> max_memory;
  std::atomic<CachePolicy> cache_policy;
  // Keyspace events that are published (KeyEventFlag).
  std::atomic<std::uint32_t> key_events{0};

  const OutputLimit& output_limit(ClientClass of) const {
    return output_limits_[static_cast<std::size_t>(of)];
  }
  OutputLimit& output_limit(ClientClass of) { return output_limits_[static_cast<std::size_t>(of)]; }

  bool has_password() const { return has_password_.load(std::memory_order_relaxed); }
  std::string password() const {
    std::lock_guard lock(mutex_);
    return password_;
  }
  void set_password(std::string password) {
    std::lock_guard lock(mutex_);
    password_ = std::move(password);
    has_password_ = !password_.empty();
    scram_.reset();
  }
  // Of the password, derived when they are first asked for, with a salt of this process; none:
  // there is no password.
  std::optional<scram::Credentials> scram_credentials() const {
    std::lock_guard lock(mutex_);
    if (password_.empty()) return std::nullopt;
    if (!scram_) {
      const auto salt = scram::draw_bytes(scram::kSaltBytes);
      if (!salt) return std::nullopt;
      scram_ = scram::derive_credentials(password_hash(password_), password_, *salt);
    }
    return scram_;
  }

  // A parameter that CONFIG SET accepts and that means nothing here (recorded_parameters.h).
  std::string recorded(std::string_view name, std::string_view initial) const {
    std::lock_guard lock(mutex_);
    const auto found = recorded_.find(name);
    return found == recorded_.end() ? std::string(initial) : found->second;
  }
  void record(std::string_view name, std::string value) {
    std::lock_guard lock(mutex_);
    recorded_.insert_or_assign(std::string(name), std::move(value));
  }

  // Takes the same time wherever the first difference is.
  bool password_matches(std::string_view given) const {
    std::lock_guard lock(mutex_);
    unsigned char difference = given.size() == password_.size() ? 0 : 1;
    for (std::size_t i = 0; i < given.size() && !password_.empty(); ++i) {
      difference |= static_cast<unsigned char>(given[i] ^ password_[i % password_.size()]);
    }
    return difference == 0;
  }

 private:
  mutable std::mutex mutex_;
  std::string password_;
  mutable std::optional<scram::Credentials> scram_;  // of it
  std::map<std::string, std::string, std::less<>> recorded_;
  std::atomic<bool> has_password_{false};
  OutputLimit output_limits_[kClientClasses];
};

}  // namespace even
