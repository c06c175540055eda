// The half of PartitionState that is about the store: what has changed, leaves memory, comes back.
#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/mutant.h"
#include "lattice/partition_state.h"

namespace even {
namespace {

// To read row after row takes a fraction of the time that each takes alone.
constexpr std::size_t kScanGain = 20;

}  // namespace

void PartitionState::attach(StoredObjects& stored, const Summary& summary) {
  EVEN_CHECK(objects_.empty() && vector_.empty(), "only a new state is filled from a store");
  stored_ = &stored;
  vector_ = summary.vector;
  digest_ = summary.digest;
  error_ = 0;
  cold_ = summary.objects;
  live_keys_ = summary.live_keys;
  databases_.reset();
  if (summary.databases.keys_beside_0() > 0) {
    databases_ = std::make_unique<DatabaseCounts>(summary.databases);
  }
}

void PartitionState::attach(StoredObjects& stored, PartitionState& other) {
  EVEN_CHECK(other.objects_.empty() && other.changes_.empty(), "what is taken over is stored");
  attach(stored, other.summary());
  const auto take = [](ExpiryIndex& to, ExpiryIndex& from) { to = std::exchange(from, {}); };
  take(expiries_, other.expiries_);
  take(lapsed_, other.lapsed_);
  take(leftovers_, other.leftovers_);
  take(field_expiries_, other.field_expiries_);
  fields_lapsed_ms_ = other.fields_lapsed_ms_;
  changed_ = true;
}

void PartitionState::cool() {
  EVEN_CHECK(changes_.empty() && readers_.all.empty(),
             "what leaves memory is stored, and nobody reads it");
  cold_ += objects_.size() - gone_;
  gone_ = 0;
  objects_.clear();
  partial_ = false;
  absent_.clear();
  old_residue_ = {0, {}, {}};
  new_residue_ = {1, {}, {}};
  ++epoch_;
}

PartitionState::Summary PartitionState::summary() const {
  return {vector_, digest_, object_count(), live_keys_,
          databases_ ? *databases_ : DatabaseCounts()};
}

void PartitionState::forget() {
  const std::uint64_t epoch = epoch_ + 1;
  const UseCounts counts = use_counts_;
  KeyChangeObserver* const observer = observer_;
  if (is_observed()) observer->all_changed();
  HashOrderedMap<Object> former = std::move(objects_);
  std::destroy_at(this);
  std::construct_at(this);
  former_ = std::move(former);
  epoch_ = epoch;
  use_counts_ = counts;
  observer_ = observer;
}

void PartitionState::restore_expiry(const Changes::Expiry& entry, const StoredExpiry& of) {
  if (of.live_key) expiries_.insert({entry.at_ms, entry.key});
  if (of.left_over) leftovers_.insert({entry.at_ms, entry.key});
  if (of.fields) field_expiries_.insert({entry.at_ms, entry.key});
}

// `was_gone`: it was an empty object.
void PartitionState::note_changed(HashOrderedMap<Object>::Node& node, bool was_gone) {
  if (stored_ == nullptr) return;
  if (was_gone) --gone_;
  if (node.value.empty()) ++gone_;
  if (node.dirty() || EVEN_MUTANT(kChangeNotNoted)) return;
  node.set_dirty(true);
  changes_.keys.push_back(node.hash());
}

Changes PartitionState::take_changes(ChangeVisitor& visitor, Summary& summary) {
  const auto in_order = [](auto& list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  };
  Changes taken = std::exchange(changes_, {});
  changed_ = false;
  in_order(taken.keys);
  in_order(taken.elements);
  in_order(taken.dropped);
  in_order(taken.expiries);
  for (const Changes::Expiry& entry : taken.expiries) {
    const std::pair key{entry.at_ms, entry.key};
    visitor.expiry(entry, {.live_key = expiries_.contains(key) || lapsed_.contains(key),
                           .left_over = leftovers_.contains(key),
                           .fields = field_expiries_.contains(key)});
  }
  auto element = taken.elements.begin();
  auto dropped = taken.dropped.begin();
  std::vector<HashOrderedMap<Object>::Node*> nodes;
  std::vector<ChangeVisitor::Named> objects;
  for (const std::uint64_t hash : taken.keys) {
    nodes.clear();
    objects.clear();
    objects_.for_each_of_hash(hash, [&](auto& node) {
      node.set_dirty(false);
      nodes.push_back(&node);
      if (!node.value.empty()) objects.push_back({node.key(), &node.value});
    });
    visitor.key(hash, objects);

    const auto elements = element;
    while (element != taken.elements.end() && element->key == hash) ++element;
    const auto tables = dropped;
    while (dropped != taken.dropped.end() && dropped->key == hash) ++dropped;
    if (elements == element && tables == dropped) continue;
    std::sort(nodes.begin(), nodes.end(), [](const auto* a, const auto* b) {
      return std::pair(a->key().size(), a->key()) < std::pair(b->key().size(), b->key());
    });
    for (auto* node : nodes) {
      for (const LeafKind kind : kElementKinds) {
        const bool anew = std::binary_search(tables, dropped, Changes::Element{hash, kind, 0});
        if (anew) visitor.dropped(node->key(), hash, kind);
        show_elements(*node, kind, anew, {elements, element}, visitor);
      }
    }
  }
  summary = this->summary();
  return taken;
}

// Shows the elements of a table that are among `changed`, or all of them.
void PartitionState::show_elements(HashOrderedMap<Object>::Node& node, LeafKind kind, bool all,
                                   std::span<const Changes::Element> changed,
                                   ChangeVisitor& visitor) {
  node.value.with_table(kind, [&](auto& table) {
    table.attach(*this, node.key(), node.hash(), kind);
    table.take();
    std::vector<LeafDelta> leaves;
    const auto show = [&](std::uint64_t hash) {
      leaves.clear();
      table.for_each_of_hash(hash, [&](auto& found) {
        found.set_dirty(false);
        describe_element(kind, found, leaves);
      });
      visitor.element(node.key(), {node.hash(), kind, hash}, leaves);
    };
    if (!all) {
      for (const Changes::Element& element : changed) {
        if (element.kind == kind) show(element.element);
      }
      return;
    }
    EVEN_CHECK(table.cold() == 0, "a table that has never been stored is in memory");
    std::vector<std::uint64_t> hashes;
    for (const auto* each = table.in_memory().first_from(0); each != nullptr;
         each = table.in_memory().next(each)) {
      if (hashes.empty() || hashes.back() != each->hash()) hashes.push_back(each->hash());
    }
    for (const std::uint64_t hash : hashes) show(hash);
  });
}

// Calls visit(kind, table) for the tables of a key's hash.
template <typename Visit>
void PartitionState::with_tables_of(std::uint64_t key_hash, Visit visit) {
  objects_.for_each_of_hash(key_hash, [&](auto& node) {
    for (const LeafKind kind : kElementKinds) {
      node.value.with_table(kind, [&](auto& table) { visit(kind, table); });
    }
  });
}

void PartitionState::stored(const Changes& changes) {
  bool forgotten = false;
  std::optional<std::uint64_t> last;
  for (const Changes::Element& element : changes.elements) {
    if (std::exchange(last, element.key) == element.key) continue;
    with_tables_of(element.key,
                   [&](LeafKind, auto& table) { forgotten = table.stored() || forgotten; });
  }
  if (forgotten) ++epoch_;
  if (gone_ == 0) return;
  std::vector<std::string> gone;
  for (const std::uint64_t hash : changes.keys) {
    gone.clear();
    objects_.for_each_of_hash(hash, [&](const auto& node) {
      if (node.value.empty() && !node.dirty()) gone.emplace_back(node.key());
    });
    for (const std::string& key : gone) objects_.erase(key, hash);
    gone_ -= gone.size();
    if (!gone.empty()) ++epoch_;
  }
}

void PartitionState::not_stored(const Changes& changes) {
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  changed_ = true;
  append(changes_.keys, changes.keys);
  append(changes_.elements, changes.elements);
  append(changes_.dropped, changes.dropped);
  append(changes_.expiries, changes.expiries);
  for (const std::uint64_t hash : changes.keys) {
    objects_.for_each_of_hash(hash, [](auto& node) { node.set_dirty(true); });
  }
  const auto set_dirty = [](auto& node) {
    if (!EVEN_MUTANT(kElementEvictedUnstored)) node.set_dirty(true);
    return true;
  };
  for (const Changes::Element& element : changes.elements) {
    with_tables_of(element.key, [&](LeafKind kind, auto& table) {
      if (kind == element.kind) table.for_each_of_hash(element.element, set_dirty);
      table.not_stored();
    });
  }
  for (const Changes::Element& dropped : changes.dropped) {
    with_tables_of(dropped.key, [&](LeafKind kind, auto& table) {
      if (kind == dropped.kind) table.update_all(set_dirty);
    });
  }
}

void PartitionState::count_use(const HashOrderedMap<Object>::Node& node) const {
  const unsigned uses = node.uses();
  if (uses < use_counts_.first) return node.set_uses(use_counts_.first);
  // A linear congruential generator, of whose numbers the upper bits are good.
  draws_ = draws_ * 1664525 + 1013904223;
  const unsigned zero_bits = 1 + uses - use_counts_.first;
  if (draws_ >> (32 - zero_bits) == 0) node.set_uses(uses + 1);
}

std::size_t PartitionState::evict(std::uint64_t& hand, std::size_t limit) {
  std::size_t evicted = 0;
  const auto* node = objects_.first_from(hand);
  while (node != nullptr && limit > 0) {
    --limit;
    const std::uint64_t hash = node->hash();
    if (!evict_elements(hash, limit, evicted)) break;
    const auto* const first = node;
    bool may_go = true;
    for (; node != nullptr && node->hash() == hash; node = objects_.next(node)) {
      const bool clean = !node->dirty() || EVEN_MUTANT(kEvictChanged);
      if (!clean || node->uses() != 0 || node->value.empty() ||
          node->value.residue_generation() != 0) {
        may_go = false;
      }
      if (node->uses() != 0) node->set_uses(node->uses() - 1);
    }
    if (!may_go) continue;
    for (const auto* each = first; each != nullptr && each->hash() == hash;
         each = objects_.first_of(hash)) {
      objects_.erase(each->key(), hash);
      ++cold_;
      ++evicted;
    }
    absent_.erase(hash);
    ++epoch_;
  }
  hand = node == nullptr ? 0 : node->hash();
  return evicted;
}

std::size_t PartitionState::unused(
    std::uint64_t& hand, std::size_t limit, bool expiring,
    const std::function<bool(std::string_view, const Object&)>& visit) const {
  std::size_t seen = 0;
  bool more = true;
  std::uint64_t last = 0;
  const auto* node = objects_.first_from(hand);
  for (; node != nullptr; node = objects_.next(node)) {
    // The hand is a hash: those of one hash are not parted.
    if ((limit == 0 || !more) && node->hash() != last) break;
    last = node->hash();
    if (limit > 0) --limit;
    if (!node->value.live() || (expiring && node->value.expiry() == nullptr)) continue;
    ++seen;
    if (node->uses() != 0) {
      node->set_uses(node->uses() - 1);
    } else {
      more = visit(node->key(), node->value) && more;
    }
  }
  hand = node == nullptr ? 0 : node->hash();
  return seen;
}

// Of the tables of a key's hash; see Table::evict(). Returns whether it has come to their end.
bool PartitionState::evict_elements(std::uint64_t key_hash, std::size_t& limit,
                                    std::size_t& evicted) {
  const std::size_t before = evicted;
  bool at_end = true;
  with_tables_of(key_hash,
                 [&](LeafKind, auto& table) { at_end = table.evict(limit, evicted) && at_end; });
  if (evicted > before) {
    partial_ = true;
    ++epoch_;
  }
  return at_end;
}

void PartitionState::warm(std::vector<std::uint64_t> hashes) const {
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  std::erase_if(hashes, [this](std::uint64_t hash) { return !is_cold(hash); });
  if (hashes.size() <= cold_ / kScanGain) {
    for (const std::uint64_t hash : hashes) (void)load(hash);
    return;
  }
  stored_->load(hashes, [&](std::uint64_t hash, std::string_view key, Object& object) {
    admit(hash, key, std::move(object));
    return true;
  });
}

void PartitionState::prepare(const Delta& delta, const VersionVector& context) const {
  if (!any_cold()) return;
  if (delta.full) return load_all();
  for (const KeyDelta& key : delta.keys) load_elements(key, context);
}

// Those that a join of this would look at.
void PartitionState::load_elements(const KeyDelta& named, const VersionVector& context) const {
  const Object* object = find(named.key, named.key_hash());
  if (object == nullptr || object->cold() == 0) return;
  const auto load = [&](LeafKind kind) {
    object->with_table(kind, [&](const auto& table) {
      if (named.full && !named.mentions(kind) && table.summary.removed_by(context)) return;
      std::size_t count = 0;
      for (const LeafDelta& leaf : named.leaves) count += leaf.kind == kind ? 1 : 0;
      if (named.full || count > table.cold() / kScanGain) return table.load_all();
      for (const LeafDelta& leaf : named.leaves) {
        if (leaf.kind == kind) table.load(leaf.field_hash());
      }
    });
  };
  for (const LeafKind kind : kElementKinds) load(kind);
}

bool PartitionState::load(std::uint64_t hash) const {
  if (!is_cold(hash)) return true;
  bool found = false;
  stored_->load(hash, [&](std::uint64_t, std::string_view key, Object& object) {
    admit(hash, key, std::move(object));
    return found = true;
  });
  if (!found) admit_absence(hash);
  return found;
}

void PartitionState::warm_elements(std::vector<Changes::Element> elements) const {
  std::sort(elements.begin(), elements.end());
  elements.erase(std::unique(elements.begin(), elements.end()), elements.end());
  for (auto first = elements.begin(); first != elements.end();) {
    const auto end = std::find_if(first, elements.end(), [&](const Changes::Element& element) {
      return element.key != first->key || element.kind != first->kind;
    });
    objects_.for_each_of_hash(first->key, [&](auto& node) {
      node.value.with_table(first->kind, [&](auto& table) {
        if (static_cast<std::size_t>(end - first) > table.cold() / kScanGain) {
          return table.load_all();
        }
        for (auto each = first; each != end; ++each) table.load(each->element);
      });
    });
    first = end;
  }
}

void PartitionState::load_all() const {
  load_objects();
  objects_.for_each([](std::string_view, const Object& object) {
    object.with_tables([](const auto& table) { table.load_all(); });
  });
}

void PartitionState::load_objects() const {
  if (cold_ == 0) return;
  std::optional<std::uint64_t> last;  // hash that was taken in; there may be more objects of it
  stored_->scan(0, [&](std::uint64_t hash, std::string_view key, Object& object) {
    if (last != hash && objects_.first_of(hash) != nullptr) return true;  // newer, or gone
    last = hash;
    admit(hash, key, std::move(object));
    return true;
  });
  EVEN_CHECK(cold_ == 0, "the store does not hold what it should");
}

void PartitionState::admit(std::uint64_t hash, std::string_view key, Object&& object) const {
  auto& node = objects_.get_node(key, hash);
  EVEN_CHECK(node.value.empty() && !node.dirty() && cold_ > 0, "an object is in memory already");
  node.value = std::move(object);
  node.value.attach_tables(*this, node.key(), hash);
  summarize_tables(hash, node.value);
  node.set_uses(use_counts_.first);
  --cold_;
  if (node.value.cold() > 0) partial_ = true;
  if (node.value.has_residue()) note_residue(key, node.value);
  // Of a hash that is nothing but residue, all of it can go.
  if (!node.value.live()) {
    node.value.with_tables([](const auto& table) { table.load_all(); });
  }
}

bool PartitionState::is_cold(std::string_view key, const Changes::Element& element) const {
  const Object* object = objects_.find(key, element.key);
  return object != nullptr && object->is_cold(element.kind, element.element);
}

void PartitionState::admit_elements(std::string_view key, const Changes::Element& element,
                                    std::span<const LeafDelta> leaves) const {
  objects_.find(key, element.key)->with_table(element.kind, [&](const auto& table) {
    table.admit(element.element, leaves);
  });
}

void PartitionState::admit_absence(std::uint64_t hash) const {
  constexpr std::size_t kMaxAbsent = 4096;
  if (absent_.size() >= kMaxAbsent) absent_.clear();
  absent_.insert(hash);
}

void PartitionState::scan_cold(
    std::uint64_t first,
    const std::function<bool(std::uint64_t, std::string_view, const Object&)>& visit) const {
  if (cold_ == 0) return;
  stored_->scan(first, [&](std::uint64_t hash, std::string_view key, Object& object) {
    if (objects_.first_of(hash) != nullptr) return true;  // newer in memory, or gone
    object.attach_tables(*this, key, hash);
    return visit(hash, key, object);
  });
}

}  // namespace even
