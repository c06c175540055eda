// How many subscriptions the clients of each thread of a node have, and to what: so that the thread
// that publishes knows how many will receive a message and which threads to hand it to, and PUBSUB
// and INFO are answered without asking the threads. Where there are no subscriptions at all it is
// asked for one atomic number.
//
// Any thread. A change is seen by whatever is asked after it.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/ids.h"

namespace even {

// What clients subscribe to. Channels and shard channels are two namespaces; patterns are about
// channels.
enum class SubscriptionKind : std::uint8_t { kChannel, kPattern, kShardChannel };
inline constexpr std::size_t kSubscriptionKinds = 3;

// From names of channels or patterns.
struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const { return hash64(name); }
};
template <typename Value>
using ByName = absl::flat_hash_map<std::string, Value, NameHash, std::equal_to<>>;

class SubscriptionIndex {
 public:
  explicit SubscriptionIndex(ShardId threads) : threads_(threads) {}

  // A client of `thread` has subscribed, or has ended its subscription.
  void add(SubscriptionKind kind, std::string_view name, ShardId thread);
  void remove(SubscriptionKind kind, std::string_view name, ShardId thread);

  // There are subscriptions.
  bool any() const { return total_.load(std::memory_order_acquire) > 0; }
  // Which threads but `thread` have subscriptions that a message meets, into `others`, and how many
  // subscriptions those are. `kind`: kChannel or kShardChannel.
  std::uint64_t receivers_beside(ShardId thread, SubscriptionKind kind, std::string_view channel,
                                 std::vector<ShardId>& others) const;

  // Of all threads together.
  std::uint64_t count(SubscriptionKind kind, std::string_view name) const;
  // How many channels or patterns anybody is subscribed to, and those whose names match `pattern`,
  // or all.
  std::size_t names(SubscriptionKind kind) const;
  std::vector<std::string> names_matching(SubscriptionKind kind,
                                          std::optional<std::string_view> pattern) const;

 private:
  using ByThread = absl::InlinedVector<std::uint32_t, 4>;
  using Names = ByName<ByThread>;

  Names& of(SubscriptionKind kind) { return names_[static_cast<std::size_t>(kind)]; }
  const Names& of(SubscriptionKind kind) const { return names_[static_cast<std::size_t>(kind)]; }

  const ShardId threads_;
  mutable std::shared_mutex mutex_;
  std::array<Names, kSubscriptionKinds> names_;
  // Spares the lock where nobody is subscribed to anything.
  std::atomic<std::size_t> total_{0};
};

}  // namespace even
