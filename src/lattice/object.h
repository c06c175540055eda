// What one key holds: the product of one lattice per type, and its expiry. Normally only one type
// has content. When two types were created concurrently both are kept; a reader sees the highest of
// them (hash over set over string) until that one is deleted or the key is overwritten.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "lattice/delta.h"
#include "lattice/dot_store.h"
#include "lattice/hash_ordered_map.h"
#include "lattice/scalar.h"

namespace even {

enum class ObjectType : std::uint8_t { kNone = 0, kString, kSet, kHash };

// A set member: present while it has a dot.
struct MemberDot {
  Dot dot;
  MemberDot& operator=(const SiblingView& view) {
    dot = view.dot;
    return *this;
  }
};
using SetValue = HashOrderedMap<DotStore<MemberDot>>;
using HashValue = HashOrderedMap<Scalar>;

struct ExpirySibling {
  Dot dot;
  Hlc time;
  std::int64_t at_ms = 0;  // Unix time; the key is gone from this instant on
  ExpirySibling& operator=(const SiblingView& view) {
    dot = view.dot;
    time = view.time;
    at_ms = view.at_ms;
    return *this;
  }
};

class Object {
 public:
  // The type that a reader sees; kNone when there is only what was left of one (removed counters,
  // the expiry of a purged key), which is not a key to anybody.
  ObjectType type() const;
  bool live() const { return type() != ObjectType::kNone; }
  bool empty() const { return string.empty() && !set && !hash && !expiry; }
  // More than one type has content.
  bool in_type_conflict() const;
  bool has_residue() const;

  // The instant that wins among the expiry's siblings: the one set last.
  std::optional<std::int64_t> expires_at_ms() const;
  bool expired(std::int64_t now_ms) const {
    if (!expiry) return false;
    const auto at = expires_at_ms();
    return at && *at <= now_ms;
  }

  void drop_residue();

  Scalar string;
  std::unique_ptr<SetValue> set;         // null when empty
  std::unique_ptr<HashValue> hash;       // null when empty; may hold fields that are only residue
  std::uint32_t live_fields = 0;         // fields of `hash` that are live
  std::uint32_t residue_generation = 0;  // owned by PartitionState
  std::unique_ptr<DotStore<ExpirySibling>> expiry;
};

// Delta mutators that work on any object.

// Makes `out` a full delta that removes all that `object` holds: what is not mentioned is removed
// by the context; counters must be mentioned with the point up to which they are removed. Null is
// an absent key.
void remove_all(const Object* object, KeyDelta& out);
// The same for one scalar: an empty leaf plus its counters' points.
void remove_scalar(const Scalar* scalar, LeafDelta& out);
// Removes the content and keeps the expiry, so that a concurrent update which arrives later expires
// as well.
void purge_expired(const Object& object, KeyDelta& out);
// Removes the expiry that is left over of a purged key.
void remove_leftover_expiry(KeyDelta& out);
// All of an object, for snapshots and checkpoints. Views `object`.
void describe(const Object& object, KeyDelta& out);

}  // namespace even
