// Which clients of a node may have cached which keys (CLIENT TRACKING), and the invalidations on
// their way to them. docs/tracking.md says what is promised and why it holds.
//
// The node's threads share one. A client's thread says what the client is about to read; the thread
// that has a shard tells, as a KeyChangeObserver, what changes; what the latter finds is put into a
// box for the client's thread, which empties it within its turn. While nobody tracks, a change
// costs one look at a number.
//
// All calls from any thread.
#pragma once

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/ids.h"
#include "lattice/partition_state.h"

namespace even {

class TrackingTable final : public KeyChangeObserver {
 public:
  // A client, and the thread that it lives on.
  struct Client {
    std::uint64_t id = 0;
    ShardId thread = 0;
    bool no_loop = false;  // its own changes of keys do not count, as if they had not been made
  };
  // What a client is to be told.
  struct Invalidation {
    std::uint64_t client = 0;
    std::string key;
    bool broadcast = false;  // since it has one of the client's prefixes, which is this:
    std::string prefix = {};
    bool own = false;  // the client's own command has changed it
  };
  struct Box {
    bool all = false;  // everything that any client has cached; `some` is empty then
    std::vector<Invalidation> some;
  };

  explicit TrackingTable(ShardId threads);
  // `wake` has a thread take what is in its box, soon. Before any client.
  void on_mail(std::function<void(ShardId thread)> wake) { wake_ = std::move(wake); }

  // A client begins to track, or to track these prefixes as well; and ends it.
  void add(const Client& client);
  void add_prefixes(const Client& client, std::span<const std::string> prefixes);
  void remove(const Client& client, std::span<const std::string> prefixes);
  // The client is about to read the key, and to be told when it changes: the place of the reply
  // among what is sent to it is before that of anything that is taken from its thread's box later.
  void remember(const Client& client, std::string_view key);

  // 0: no bound. Beyond it, keys are invalidated though they have not changed.
  void set_most_keys(std::uint64_t most) { most_keys_ = most; }
  std::uint64_t most_keys() const { return most_keys_; }
  // Lets go of up to `limit` keys, as far as there are more than there may be.
  void keep_bound(std::size_t limit);

  // KeyChangeObserver: on the thread that has the shard.
  bool wanted() const override { return clients_.load(std::memory_order_relaxed) > 0; }
  void key_changed(std::string_view stored) override;
  void all_changed() override;

  // Which client's command is being executed on this thread while this lives; 0: nobody's.
  class Writer {
   public:
    explicit Writer(std::uint64_t client) : before_(std::exchange(current_, client)) {}
    ~Writer() { current_ = before_; }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

   private:
    friend TrackingTable;
    static thread_local std::uint64_t current_;
    const std::uint64_t before_;
  };

  bool has_mail(ShardId thread) const {
    return boxes_[thread].full.load(std::memory_order_relaxed);
  }
  Box take(ShardId thread);

  // For INFO: clients that track, keys, pairs of a key and a client, prefixes.
  std::uint64_t clients() const { return clients_.load(std::memory_order_relaxed); }
  std::uint64_t keys() const { return keys_.load(std::memory_order_relaxed); }
  std::uint64_t items() const { return items_.load(std::memory_order_relaxed); }
  std::uint64_t prefixes() const;

 private:
  using Clients = absl::InlinedVector<Client, 1>;
  struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return hash64(key); }
  };
  using Keys = absl::flat_hash_map<std::string, Clients, KeyHash, std::equal_to<>>;
  static constexpr std::size_t kStripes = 64;
  struct alignas(64) Stripe {
    std::mutex mutex;
    Keys keys;
  };
  struct alignas(64) Mail {
    std::mutex mutex;
    Box box;
    std::atomic<bool> full{false};
  };

  Stripe& stripe_of(std::string_view key) { return stripes_[(hash64(key) >> 48) % kStripes]; }
  void forget_keys();
  void drop_gone(Clients& clients);
  void tell(const Client& client, Invalidation invalidation);
  template <typename What>
  void put(ShardId thread, What what);

  const ShardId threads_;
  std::function<void(ShardId)> wake_;
  std::atomic<std::uint64_t> most_keys_{1'000'000};
  std::atomic<std::uint64_t> clients_{0};
  std::atomic<std::uint64_t> keys_{0};
  std::atomic<std::uint64_t> items_{0};
  std::atomic<std::size_t> next_stripe_{0};  // that something is let go from
  std::array<Stripe, kStripes> stripes_;
  const std::unique_ptr<Mail[]> boxes_;  // by thread

  mutable std::shared_mutex clients_mutex_;  // of what follows
  absl::flat_hash_set<std::uint64_t> ids_;
  absl::flat_hash_map<std::string, absl::flat_hash_map<std::uint64_t, ShardId>, KeyHash,
                      std::equal_to<>>
      prefixes_;
  // Of prefixes: by length, how many.
  absl::flat_hash_map<std::size_t, std::size_t> lengths_;
  std::atomic<std::size_t> prefix_count_{0};
};

}  // namespace even
