#include "lattice/object.h"

#include "base/mutant.h"

namespace even {
namespace {

void describe_scalar(const ScalarView& scalar, LeafDelta& out) {
  scalar.for_each_sibling([&out](const SiblingView& view) { out.siblings.push_back(view); });
  const auto integers = scalar.integers().entries();
  const auto reals = scalar.reals().entries();
  out.integers.assign(integers.begin(), integers.end());
  out.reals.assign(reals.begin(), reals.end());
}

LeafDelta& add_leaf(KeyDelta& out, LeafKind kind, std::string_view field) {
  LeafDelta& leaf = out.leaves.emplace_back();
  leaf.kind = kind;
  leaf.field = field;
  return leaf;
}

void describe_member(const MemberDots& dots, LeafDelta& out) {
  for (const MemberDot& entry : dots) out.siblings.push_back({entry.dot, {}, {}, 0});
}

void describe_expiry(const Object& object, KeyDelta& out) {
  if (object.expiry() == nullptr) return;
  LeafDelta& leaf = add_leaf(out, LeafKind::kExpiry, {});
  for (const ExpirySibling& sibling : *object.expiry()) {
    leaf.siblings.push_back({sibling.dot, sibling.time, {}, sibling.at_ms});
  }
}

void describe_bounded(const Object& object, KeyDelta& out) {
  if (object.all_bounded() == nullptr) return;
  LeafDelta& leaf = add_leaf(out, LeafKind::kBound, {});
  for (const BoundedCounter& counter : *object.all_bounded()) {
    leaf.siblings.push_back(counter.view());
  }
}

void describe_parts(const Object& object, bool with_tables, KeyDelta& out) {
  out.full = true;
  if (const ScalarView string = object.plain_string(); !string.empty()) {
    describe_scalar(string, add_leaf(out, LeafKind::kString, {}));
  }
  if (with_tables || !object.has_table(LeafKind::kMember)) {
    object.set().for_each([&out](std::string_view member, const MemberDots& dots) {
      describe_member(dots, add_leaf(out, LeafKind::kMember, member));
    });
  }
  for (const LeafKind kind : kFieldKinds) {
    if (!with_tables && object.has_table(kind)) continue;
    object.fields(kind).for_each([&out, kind](std::string_view field, const ScalarView& scalar) {
      describe_scalar(scalar, add_leaf(out, kind, field));
    });
  }
  describe_expiry(object, out);
  describe_bounded(object, out);
}

// Of an object's parts: anything that is no string. Cheap, where each collection's view is not.
template <typename Compound>
bool has_collection(const Compound& all) {
  return !(all.set.empty() && all.hash.empty() && all.sorted_set.empty() && all.list.empty() &&
           all.stream.empty() && all.field_expiries.empty());
}

}  // namespace

Object::~Object() {
  if (is_compound()) {
    delete compound();
    cell_.pointer_ = {};
  } else if (is_set()) {
    (void)SetCell(std::exchange(cell_.pointer_, {}));
  } else if (is_fields()) {
    (void)HashCell(std::exchange(cell_.pointer_, {}));
  }
}

ScalarView Object::plain_string() const {
  if (is_scalar()) return cell_.view();
  return is_compound() ? compound()->string.view() : ScalarView();
}

SetView Object::set() const {
  if (is_compound()) return compound()->set.view();
  return is_set() ? SetCell::view(cell_.pointer_) : SetView();
}

HashView Object::fields(LeafKind kind) const {
  if (is_compound()) return compound()->fields(kind).view();
  return is(kind) ? HashCell::view(cell_.pointer_) : HashView();
}

bool Object::empty() const {
  if (!is_compound()) return cell_.empty();
  const Compound& all = *compound();
  return all.string.empty() && !has_collection(all) && !all.expiry && !all.bounded;
}

ObjectType Object::type() const {
  if (is_scalar()) return cell_.live() ? ObjectType::kString : ObjectType::kNone;
  if (is_set()) return ObjectType::kSet;
  if (is_fields()) return type_of_fields();
  if (!is_compound() || has_collection(*compound())) {
    if (stream().live() > 0) return ObjectType::kStream;
    if (list().live() > 0) return ObjectType::kList;
    if (sorted_set().live() > 0) return ObjectType::kSortedSet;
    if (hash().live() > 0) return ObjectType::kHash;
    if (set()) return ObjectType::kSet;
  }
  return all_bounded() != nullptr || plain_string().live() ? ObjectType::kString
                                                           : ObjectType::kNone;
}

// Of what is a hash or its like, and nothing else.
ObjectType Object::type_of_fields() const {
  if (HashCell::view(cell_.pointer_).live() == 0) return ObjectType::kNone;
  switch (cell_.size_) {
    case mark(LeafKind::kField):
      return ObjectType::kHash;
    case mark(LeafKind::kScore):
      return ObjectType::kSortedSet;
    case mark(LeafKind::kItem):
      return ObjectType::kList;
    case mark(LeafKind::kEntry):
      return ObjectType::kStream;
    default:
      return ObjectType::kNone;
  }
}

bool Object::in_type_conflict() const {
  if (!is_compound()) return false;
  if (!has_collection(*compound())) return plain_string().live() && all_bounded() != nullptr;
  return int{stream().live() > 0} + int{list().live() > 0} + int{sorted_set().live() > 0} +
             int{hash().live() > 0} + int{set().size() > 0} + int{plain_string().live()} +
             int{all_bounded() != nullptr} >
         1;
}

bool Object::has_residue() const {
  if (plain_string().has_residue()) return true;
  bool residue = false;
  for (const LeafKind kind : kFieldKinds) {
    if (residue) break;
    fields(kind).for_each_in_memory([&](std::string_view, const ScalarView& field) {
      residue = field.has_residue();
      return !residue;
    });
  }
  return residue;
}

std::optional<std::int64_t> Object::expires_at_ms() const {
  if (expiry() == nullptr) return std::nullopt;
  const ExpirySibling* best = nullptr;
  for (const ExpirySibling& sibling : *expiry()) {
    if (best == nullptr || sibling.time > best->time ||
        (sibling.time == best->time && sibling.dot > best->dot)) {
      best = &sibling;
    }
  }
  return best->at_ms;
}

std::optional<std::int64_t> Object::first_of_field_expiries() const {
  const HashView expiries = field_expiries();
  if (expiries.table() != nullptr) return expiries.table()->first_ms();
  std::optional<std::int64_t> first;
  expiries.for_each([&first](std::string_view, const ScalarView& expiry) {
    const std::int64_t at_ms = instant_of(expiry);
    if (!first || at_ms < *first) first = at_ms;
  });
  return first;
}

bool Object::find_first_field_expiry() {
  bool changed = false;
  with_table(LeafKind::kFieldExpiry, [&changed](auto& table) {
    if constexpr (requires { table.live; }) {
      const std::int64_t before = table.first_ms();
      (void)table.index(HashTable::Order::kScores);
      table.find_first_if_indexed();
      changed = table.first_ms() != before;
    }
  });
  return changed;
}

std::size_t Object::lapsed_fields(std::int64_t now_ms) const {
  const auto first = first_field_expiry_ms();
  if (!first || *first > now_ms) return 0;
  std::size_t lapsed = 0;
  const HashView fields = hash();
  for_each_lapsed_field(now_ms, [&](std::string_view field, std::int64_t) {
    if (fields.find(field).live()) ++lapsed;
    return true;
  });
  return lapsed;
}

// Of a hash. Looks at fields only where enough of them may have expired.
bool Object::all_fields_lapsed(std::int64_t now_ms) const {
  const auto first = first_field_expiry_ms();
  if (!first || *first > now_ms || type() != ObjectType::kHash) return false;
  const std::size_t live = hash().live();
  if (field_expiries().size() < live) return false;
  return lapsed_field_expiries(now_ms) >= live && lapsed_fields(now_ms) >= live;
}

std::size_t Object::lapsed_field_expiries(std::int64_t until_ms) const {
  const HashView expiries = field_expiries();
  if (expiries.table() != nullptr) {
    return expiries.table()
        ->index(HashTable::Order::kScores)
        .count_while([until_ms](double score, std::string_view) {
          return score <= static_cast<double>(until_ms);
        });
  }
  std::size_t count = 0;
  for_each_lapsed_field(until_ms, [&count](std::string_view, std::int64_t) {
    ++count;
    return true;
  });
  return count;
}

VisibleFields::VisibleFields(const Object& object, std::int64_t now_ms)
    : object_(&object),
      fields_(object.hash()),
      expiries_(object.field_expiries()),
      now_ms_(now_ms) {
  if (!expiries_) return;
  const auto first = object.first_field_expiry_ms();
  any_lapsed_ = *first <= now_ms;
}

std::size_t VisibleFields::size() const {
  return fields_.live() - (any_lapsed_ ? object_->lapsed_fields(now_ms_) : 0);
}

Footprint Object::footprint(std::size_t samples) const {
  if (is_set()) return SetCell::footprint(cell_.pointer_, samples);
  if (is_fields()) return HashCell::footprint(cell_.pointer_, samples);
  if (!is_compound()) return cell_.footprint();
  const Compound& parts = *compound();
  Footprint all{block_bytes(&parts), 0};
  all += parts.string.footprint();
  all += parts.set.footprint(samples);
  all += parts.hash.footprint(samples);
  all += parts.sorted_set.footprint(samples);
  all += parts.list.footprint(samples);
  all += parts.stream.footprint(samples);
  all += parts.field_expiries.footprint(samples);
  if (parts.expiry) {
    all += {block_bytes(parts.expiry.get()) + heap_bytes(*parts.expiry),
            parts.expiry->size() * (sizeof(Dot) + sizeof(Hlc))};
  }
  if (parts.bounded) {
    all += {block_bytes(parts.bounded.get()) + heap_bytes(*parts.bounded),
            parts.bounded->size() * (sizeof(Dot) + sizeof(Hlc))};
    for (const BoundedCounter& counter : *parts.bounded) {
      all.bytes += heap_bytes(counter.bytes) + heap_bytes(counter.number.entries);
      for (const BoundEntry& entry : counter.number.entries) all.bytes += heap_bytes(entry.gifts);
    }
  }
  return all;
}

std::string Object::form() const {
  std::string forms;
  const auto add = [&forms](std::string_view form) {
    if (!forms.empty()) forms += ", ";
    forms += form;
  };
  if (is_compound() ? !compound()->string.empty() : is_scalar()) {
    add(is_compound() ? compound()->string.form() : cell_.form());
  }
  if (all_bounded() != nullptr) add("bounded counter");
  if (set()) add(has_table(LeafKind::kMember) ? "table" : "packed");
  for (const LeafKind kind : kFieldKinds) {
    if (fields(kind)) add(has_table(kind) ? "table" : "packed");
  }
  return forms;
}

// What commands that name their elements are on.
template <typename Visit>
void Object::with_likely_collection(Visit visit) const {
  if (is_set()) return visit(SetCell::view(cell_.pointer_));
  if (is_fields()) return visit(HashCell::view(cell_.pointer_));
  if (!is_compound()) return;
  visit(set());
  visit(hash());
  visit(sorted_set());
}

void Object::prefetch_bucket(std::uint64_t field_hash) const {
  with_likely_collection([field_hash](const auto& view) { view.prefetch_bucket(field_hash); });
}

void Object::prefetch_node(std::uint64_t field_hash) const {
  with_likely_collection([field_hash](const auto& view) { view.prefetch_node(field_hash); });
}

void Object::prefetch_next(std::uint64_t field_hash) const {
  with_likely_collection([field_hash](const auto& view) { view.prefetch_next(field_hash); });
}

void Object::prefetch_value(std::uint64_t field_hash) const {
  with_likely_collection([field_hash](const auto& view) {
    if constexpr (requires { view.prefetch_value(field_hash); }) view.prefetch_value(field_hash);
  });
}

Object Object::take_table(LeafKind kind) {
  Object taken;
  if (kind == LeafKind::kMember) {
    change_set(
        [&](SetCell& from) { taken.change_set([&](SetCell& to) { to = std::move(from); }); });
  } else {
    change_fields(kind, [&](HashCell& from) {
      taken.change_fields(kind, [&](HashCell& to) { to = std::move(from); });
    });
  }
  return taken;
}

Object::Compound& Object::make_compound() {
  if (is_compound()) return *compound();
  auto* all = new Compound;
  if (is_set()) {
    all->set = SetCell(cell_.pointer_);
  } else if (is_fields()) {
    for (const LeafKind kind : kFieldKinds) {
      if (is(kind)) all->fields(kind) = HashCell(cell_.pointer_);
    }
  } else {
    all->string = std::move(cell_);
  }
  cell_.pointer_ = {all, kCompound};
  return *all;
}

void Object::settle_compound() {
  Compound& all = *compound();
  if (all.expiry || all.bounded || all.residue_generation != 0) return;
  const int parts = int{!all.string.empty()} + int{!all.set.empty()} + int{!all.hash.empty()} +
                    int{!all.sorted_set.empty()} + int{!all.list.empty()} +
                    int{!all.stream.empty()} + int{!all.field_expiries.empty()};
  if (parts > 1) return;
  const std::unique_ptr<Compound> old(&all);
  cell_.pointer_ = {};
  if (!all.set.empty()) return set_alone(LeafKind::kMember, all.set.release());
  for (const LeafKind kind : kFieldKinds) {
    if (!all.fields(kind).empty()) return set_alone(kind, all.fields(kind).release());
  }
  cell_ = std::move(all.string);
}

void Object::drop_residue(const std::function<void(LeafKind, std::uint64_t)>& list) {
  const auto without_residue = [](const ScalarView& now, auto store) {
    if (!now.has_residue()) return;
    Scalar scalar = now.copy();
    scalar.drop_residue();
    store(std::move(scalar));
  };
  const PackedElements::KeepReplaced keep;
  if (plain_string().has_residue()) {
    change_string([&](ScalarCell& cell) {
      without_residue(cell.view(), [&cell](Scalar&& scalar) { cell.assign(std::move(scalar)); });
    });
  }
  for (const LeafKind kind : kFieldKinds) {
    if (!fields(kind)) continue;
    change_fields(kind, [&](HashCell& cell) {
      cell.update_all(
          [&](std::string_view, const ScalarView& now, auto store) { without_residue(now, store); },
          [&](std::uint64_t field) { list(kind, field); });
    });
  }
}

void remove_scalar(const ScalarView& scalar, LeafDelta& out) {
  if (EVEN_MUTANT(kDeleteForgetsCounters)) return;
  for (const auto& entry : scalar.integers().entries()) {
    out.integers.push_back(CounterView<std::int64_t>::removed(entry));
  }
  for (const auto& entry : scalar.reals().entries()) {
    out.reals.push_back(CounterView<Real>::removed(entry));
  }
}

void remove_all(const Object* object, KeyDelta& out) {
  out.full = true;
  if (object == nullptr) return;
  const auto remove = [&out](LeafKind kind, std::string_view field, const ScalarView& scalar) {
    if (scalar.integers().empty() && scalar.reals().empty()) return;
    remove_scalar(scalar, add_leaf(out, kind, field));
  };
  remove(LeafKind::kString, {}, object->plain_string());
  if (object->only_string()) return;
  for (const LeafKind kind : kFieldKinds) {
    bool counters = true;
    object->with_table(kind, [&](const auto& fields) { counters = fields.summary.counters > 0; });
    if (!counters) continue;
    object->fields(kind).for_each(
        [&](std::string_view field, const ScalarView& scalar) { remove(kind, field, scalar); });
  }
}

void purge_expired(const Object& object, KeyDelta& out) {
  remove_all(&object, out);
  if (!EVEN_MUTANT(kPurgeForgetsExpiry)) describe_expiry(object, out);
}

void remove_leftover_expiry(KeyDelta& out) { add_leaf(out, LeafKind::kExpiry, {}); }

void remove_lapsed_field(const ScalarView& value, std::string_view field, bool keeps_expiry,
                         KeyDelta& out) {
  // Residue goes by itself.
  if (value.live()) remove_scalar(value, add_leaf(out, LeafKind::kField, field));
  if (!keeps_expiry || EVEN_MUTANT(kFieldGivenUpForgetsExpiry)) {
    add_leaf(out, LeafKind::kFieldExpiry, field);
  }
}

void describe(const Object& object, KeyDelta& out) { describe_parts(object, true, out); }

void describe_without_tables(const Object& object, KeyDelta& out) {
  describe_parts(object, false, out);
}

void describe_element(LeafKind kind, const SetTable::Node& member, std::vector<LeafDelta>& out) {
  LeafDelta& leaf = out.emplace_back();
  leaf.kind = kind;
  leaf.field = member.key();
  describe_member(member.value.dots(), leaf);
}

void describe_element(LeafKind kind, const HashTable::Node& field, std::vector<LeafDelta>& out) {
  LeafDelta& leaf = out.emplace_back();
  leaf.kind = kind;
  leaf.field = field.key();
  describe_scalar(field.value.view(), leaf);
}

void restore_leaf(Object& object, const LeafDelta& leaf) {
  switch (leaf.kind) {
    case LeafKind::kString:
      return object.change_string([&](ScalarCell& cell) { cell.assign(restored_scalar(leaf)); });
    case LeafKind::kMember:
      return object.change_set([&](SetCell& set) { set.restore(leaf.field, restored_dots(leaf)); });
    case LeafKind::kField:
    case LeafKind::kScore:
    case LeafKind::kItem:
    case LeafKind::kEntry:
    case LeafKind::kFieldExpiry:
      return object.change_fields(
          leaf.kind, [&](HashCell& hash) { hash.restore(leaf.field, restored_scalar(leaf)); });
    case LeafKind::kExpiry:
      return object.change_expiry([&](Expiry& expiry) {
        for (const SiblingView& view : leaf.siblings) expiry.emplace_back() = view;
      });
    case LeafKind::kBound:
      return object.change_bounded([&](BoundedCounters& counters) {
        for (const SiblingView& view : leaf.siblings) counters.emplace_back(view);
      });
  }
}

}  // namespace even
