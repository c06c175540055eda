#include "lattice/object.h"

#include "base/mutant.h"

namespace even {
namespace {

void describe_scalar(const Scalar& scalar, LeafDelta& out) {
  for (const Sibling& sibling : scalar.siblings) {
    out.siblings.push_back({sibling.dot, sibling.time, sibling.value, 0});
  }
  if (!scalar.counters) return;
  const auto& integers = scalar.counters->integers.entries();
  const auto& reals = scalar.counters->reals.entries();
  out.integers.assign(integers.begin(), integers.end());
  out.reals.assign(reals.begin(), reals.end());
}

LeafDelta& add_leaf(KeyDelta& out, LeafKind kind, std::string_view field) {
  LeafDelta& leaf = out.leaves.emplace_back();
  leaf.kind = kind;
  leaf.field = field;
  return leaf;
}

void describe_expiry(const Object& object, KeyDelta& out) {
  if (!object.expiry) return;
  LeafDelta& leaf = add_leaf(out, LeafKind::kExpiry, {});
  for (const ExpirySibling& sibling : *object.expiry) {
    leaf.siblings.push_back({sibling.dot, sibling.time, {}, sibling.at_ms});
  }
}

}  // namespace

ObjectType Object::type() const {
  if (live_fields > 0) return ObjectType::kHash;
  if (set) return ObjectType::kSet;
  return string.live() ? ObjectType::kString : ObjectType::kNone;
}

bool Object::in_type_conflict() const {
  return int{live_fields > 0} + int{set != nullptr} + int{string.live()} > 1;
}

bool Object::has_residue() const {
  if (string.has_residue()) return true;
  if (!hash) return false;
  if (hash->size() != live_fields) return true;
  bool residue = false;
  hash->for_each([&](std::string_view, const Scalar& field) {
    residue = field.has_residue();
    return !residue;
  });
  return residue;
}

std::optional<std::int64_t> Object::expires_at_ms() const {
  if (!expiry) return std::nullopt;
  const ExpirySibling* best = nullptr;
  for (const ExpirySibling& sibling : *expiry) {
    if (best == nullptr || sibling.time > best->time ||
        (sibling.time == best->time && sibling.dot > best->dot)) {
      best = &sibling;
    }
  }
  return best->at_ms;
}

void Object::drop_residue() {
  string.drop_residue();
  if (hash) {
    hash->erase_if([](std::string_view, Scalar& field) {
      field.drop_residue();
      return field.empty();
    });
    if (hash->empty()) hash.reset();
  }
}

void remove_scalar(const Scalar* scalar, LeafDelta& out) {
  if (scalar == nullptr || !scalar->counters || EVEN_MUTANT(kDeleteForgetsCounters)) return;
  for (const auto& entry : scalar->counters->integers.entries()) {
    out.integers.push_back(Counter<std::int64_t>::removed(entry));
  }
  for (const auto& entry : scalar->counters->reals.entries()) {
    out.reals.push_back(Counter<Real>::removed(entry));
  }
}

void remove_all(const Object* object, KeyDelta& out) {
  out.full = true;
  if (object == nullptr) return;
  if (object->string.counters) {
    remove_scalar(&object->string, add_leaf(out, LeafKind::kString, {}));
  }
  if (object->hash) {
    object->hash->for_each([&out](std::string_view field, const Scalar& scalar) {
      if (scalar.counters) remove_scalar(&scalar, add_leaf(out, LeafKind::kField, field));
    });
  }
}

void purge_expired(const Object& object, KeyDelta& out) {
  remove_all(&object, out);
  if (!EVEN_MUTANT(kPurgeForgetsExpiry)) describe_expiry(object, out);
}

void remove_leftover_expiry(KeyDelta& out) { add_leaf(out, LeafKind::kExpiry, {}); }

void describe(const Object& object, KeyDelta& out) {
  out.full = true;
  if (!object.string.empty()) describe_scalar(object.string, add_leaf(out, LeafKind::kString, {}));
  if (object.set) {
    object.set->for_each([&out](std::string_view member, const DotStore<MemberDot>& dots) {
      LeafDelta& leaf = add_leaf(out, LeafKind::kMember, member);
      for (const MemberDot& entry : dots) leaf.siblings.push_back({entry.dot, {}, {}, 0});
    });
  }
  if (object.hash) {
    object.hash->for_each([&out](std::string_view field, const Scalar& scalar) {
      describe_scalar(scalar, add_leaf(out, LeafKind::kField, field));
    });
  }
  describe_expiry(object, out);
}

}  // namespace even
