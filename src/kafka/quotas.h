// Quotas as a node enforces them: how much has been taken by those who share one, and for how long
// they are to wait. See docs/topics.md, "Quotas".
//
// All of it may be called from any thread. Times are monotonic microseconds of the node's clock.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/client_quota.h"
#include "cluster/keyspace_table.h"

namespace even::kafka {

// Bytes that may be taken: `rate` a second, and ten seconds' worth at once after a rest. What is
// taken beyond that is owed: it is paid for by the rate, an hour of it at most.
class ByteRateBucket {
 public:
  explicit ByteRateBucket(std::int64_t rate) : rate_(rate) {}

  // Until nothing is owed; 0: nothing is.
  std::int64_t wait_us(std::int64_t now_us) const;
  // How long to wait afterwards.
  std::int64_t take(std::size_t bytes, std::int64_t now_us);
  // It is as a new one.
  bool full(std::int64_t now_us) const;
  // What one request should take at most: what is not owed then, or a second's worth.
  std::int64_t portion(std::int64_t now_us) const;

 private:
  const std::int64_t rate_;  // bytes a second, from 1 on
  // When all that was taken will have been paid for, in nanoseconds.
  std::atomic<std::int64_t> paid_at_ns_{INT64_MIN / 2};
};

// Of one quota, since this node was started.
struct QuotaCounters {
  std::atomic<std::uint64_t> bytes{0};      // of those who have it
  std::atomic<std::uint64_t> throttled{0};  // requests that were followed by a wait
  std::atomic<std::uint64_t> throttled_us{0};
};

// What is taken by all who share a quota.
class QuotaMeter {
 public:
  QuotaMeter(cluster::QuotaFound found, std::shared_ptr<QuotaCounters> counters)
      : found_(std::move(found)), counters_(std::move(counters)), bucket_(found_.rate) {}

  const cluster::QuotaFound& found() const { return found_; }
  const ByteRateBucket& bucket() const { return bucket_; }
  // Takes so much; how long the client is to wait then. 0: not at all.
  std::int64_t charge(std::size_t bytes, std::int64_t now_us);
  // How long a request that comes now is to wait, and is counted as one that does.
  std::int64_t hold_back(std::int64_t now_us);

 private:
  std::int64_t counted(std::int64_t wait_us);

  const cluster::QuotaFound found_;
  const std::shared_ptr<QuotaCounters> counters_;
  ByteRateBucket bucket_;
};

class Quotas {
 public:
  // Changes with them; 0: there are none.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  // These are in force from now on. Of a quota that stays as it is, what was taken stays too.
  void set(const cluster::Definitions& quotas);
  // None: there is no quota of this kind for the client. What is found holds for this version.
  std::shared_ptr<QuotaMeter> find(cluster::QuotaKind kind, std::string_view user,
                                   std::string_view client_id, std::int64_t now_us);
  // What there is in memory of those who share quotas.
  std::size_t meters() const;

  struct Row {
    cluster::QuotaEntity entity;
    cluster::QuotaKind kind;
    std::shared_ptr<const QuotaCounters> counters;
  };
  std::vector<Row> rows() const;

 private:
  using Key = std::pair<cluster::QuotaKind, std::string>;
  void forget_full(std::int64_t now_us);

  std::atomic<std::uint64_t> version_{0};
  mutable std::mutex mutex_;  // of all below
  std::uint64_t changes_ = 0;
  cluster::ClientQuotas quotas_;
  std::map<std::pair<cluster::QuotaEntity, cluster::QuotaKind>, std::shared_ptr<QuotaCounters>>
      counters_;
  absl::flat_hash_map<Key, std::shared_ptr<QuotaMeter>> meters_;  // by who shares it
  std::size_t forget_at_ = 0;                                     // so many of them
};

}  // namespace even::kafka
