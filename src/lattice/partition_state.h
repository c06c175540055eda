// The state of one partition: a version vector and the objects whose causal context it is.
//
// Invariants: the vector covers every dot in every object; the digest is the sum of the hashes of
// all live elements, so two replicas with equal vectors have equal digests; nothing but join
// changes the state of an object as a reader sees it.
#pragma once

#include <absl/container/btree_set.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lattice/object.h"

namespace even {

struct JoinStats {
  std::uint64_t conflicts =
      0;  // concurrent writes of one register, or types of one key, that met in this join
  std::uint64_t type_conflicts = 0;  // the latter alone
};

class PartitionState {
 public:
  // Joins a delta whose maker had seen `context`, and takes over what the context covers. For a
  // record, the caller has made sure that this state has seen all of its context but the record
  // itself (causal delivery); for a full delta there is no precondition.
  JoinStats join(const Delta& delta, const VersionVector& context);
  // The same in two steps, for a delta that comes in parts: until cover(), the state holds a part
  // of what its vector does not cover yet.
  JoinStats join_part(const Delta& part, const VersionVector& context);
  void cover(const VersionVector& context) { vector_.merge(context); }

  const VersionVector& vector() const { return vector_; }
  std::uint64_t digest() const { return digest_; }
  // Computed anew from the objects; for checks.
  std::uint64_t recompute_digest() const;

  // The object of `key`, which may be mere residue or expired; null when there is none.
  const Object* find(std::string_view key, std::uint64_t hash) const {
    return objects_.find(key, hash);
  }
  const HashOrderedMap<Object>& objects() const { return objects_; }
  // Number of keys with content.
  std::size_t live_keys() const { return live_keys_; }
  std::size_t keys_with_expiry() const { return expiries_.size(); }
  std::size_t residue_keys() const { return old_residue_.keys.size() + new_residue_.keys.size(); }

  // Objects without content that still have an expiry: keys that were purged.
  std::size_t leftover_expiries() const { return leftovers_.size(); }

  // Calls visit(key, object) for up to `limit` live keys that have expired by `now_ms`, earliest
  // first, and for as many objects whose expiry is left over and had come by `leftover_ms`.
  void expired(std::int64_t now_ms, std::int64_t leftover_ms, std::size_t limit,
               const std::function<void(std::string_view, const Object&)>& visit) const;

  // Drops residue that no replica can need any more. `stable`: every replica of the partition has
  // seen all of it, and this one has seen all that any of them had seen when it said so. Invisible
  // to readers and to the digest.
  void collect_residue(const VersionVector& stable);

  // Everything, as one full delta. Views this state.
  Delta describe() const;

 private:
  // Keys that may hold residue, and what this replica had seen when the generation was closed.
  struct Generation {
    std::uint32_t number = 0;
    std::vector<std::string> keys;
    VersionVector closed_at;
  };

  void join_key(const KeyDelta& delta, const VersionVector& context, JoinStats& stats);
  void join_leaf(Object& object, std::uint64_t key_hash, const LeafDelta& leaf, bool full,
                 const VersionVector& context, JoinStats& stats);
  template <typename Store>
  void join_scalar(const ScalarView& now, std::uint64_t seed, const LeafDelta& leaf, bool full,
                   const VersionVector& context, JoinStats& stats, Store store);
  bool overwrites(const ScalarView& now, const Dot& dot, const VersionVector& context) const;
  void remove_unmentioned(Object& object, std::uint64_t key_hash, const KeyDelta& delta,
                          const VersionVector& context, JoinStats& stats);
  void note_residue(std::string_view key, Object& object);

  VersionVector vector_;
  HashOrderedMap<Object> objects_;
  std::uint64_t digest_ = 0;
  std::size_t live_keys_ = 0;
  // (instant, hash of key)
  using Expiries = absl::btree_set<std::pair<std::int64_t, std::uint64_t>>;
  Expiries expiries_;   // of live keys
  Expiries leftovers_;  // of objects without content
  Generation old_residue_{0, {}, {}};
  Generation new_residue_{1, {}, {}};
};

}  // namespace even
