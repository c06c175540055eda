#include "lattice/types/collection.h"

#include "lattice/compact_dot.h"

namespace even {
namespace {

constexpr std::uint64_t kPointerMark = std::uint64_t{0xffff} << 48;  // no CompactDot has it

}  // namespace

MemberDots MemberCell::dots() const {
  const std::uint64_t word = this->word();
  if (word == 0) return {};
  if ((word & kPointerMark) == kPointerMark) {
    return *reinterpret_cast<const MemberDots*>(word & ~kPointerMark);
  }
  return {{CompactDot::from_bits(word).dot()}};
}

Footprint MemberCell::footprint() const {
  const std::uint64_t word = this->word();
  if ((word & kPointerMark) != kPointerMark) return {0, sizeof word};
  const auto* dots = reinterpret_cast<const MemberDots*>(word & ~kPointerMark);
  return {block_bytes(dots) + heap_bytes(*dots), sizeof word + dots->size() * sizeof(MemberDot)};
}

void MemberCell::clear() {
  if ((word() & kPointerMark) == kPointerMark) {
    delete reinterpret_cast<MemberDots*>(word() & ~kPointerMark);
  }
  set_word(0);
}

void MemberCell::assign(const MemberDots& dots) {
  clear();
  if (dots.empty()) return;
  if (dots.size() == 1) {
    if (const auto dot = CompactDot::make(dots[0].dot)) return set_word(dot->bits());
  }
  set_word(reinterpret_cast<std::uint64_t>(new MemberDots(dots)) | kPointerMark);
}

MemberDots restored_dots(const LeafDelta& leaf) {
  MemberDots dots;
  for (const SiblingView& view : leaf.siblings) dots.emplace_back() = view;
  return dots;
}

Scalar restored_scalar(const LeafDelta& leaf) {
  Scalar scalar;
  for (const SiblingView& view : leaf.siblings) scalar.siblings.emplace_back() = view;
  scalar.integers = Counter<std::int64_t>(leaf.integers);
  scalar.reals = Counter<Real>(leaf.reals);
  return scalar;
}

Footprint SetCell::footprint(TaggedPointer pointer, std::size_t samples) {
  if (pointer.tag() != kTable) return PackedElements(pointer.get<char>()).footprint();
  const auto* table = pointer.get<SetTable>();
  Footprint all =
      table->footprint(samples, [](const MemberCell& cell) { return cell.footprint(); });
  all.bytes += block_bytes(table);
  return all;
}

Footprint HashCell::footprint(TaggedPointer pointer, std::size_t samples) {
  if (pointer.tag() != kTable) return PackedElements(pointer.get<char>()).footprint();
  const auto* table = pointer.get<HashTable>();
  Footprint all =
      table->footprint(samples, [](const ScalarCell& cell) { return cell.footprint(); });
  all.bytes += block_bytes(table);
  return all;
}

bool SetView::contains(std::string_view member) const {
  return table_ != nullptr ? contains(member, hash64(member)) : packed_.find(member).has_value();
}

bool SetView::contains(std::string_view member, std::uint64_t hash) const {
  return table_ != nullptr ? table_->find(member, hash) != nullptr : contains(member);
}

MemberDots SetView::find(std::string_view member) const {
  if (table_ != nullptr) {
    const MemberCell* cell = table_->find(member, hash64(member));
    return cell == nullptr ? MemberDots() : cell->dots();
  }
  const auto element = packed_.find(member);
  return element ? MemberDots{{element->dot}} : MemberDots();
}

SetView::Entry SetView::random(Random& random) const {
  if (table_ != nullptr) return {table_->random(random)->key()};
  return {packed_.at(random.below(packed_.size())).name};
}

ScalarView HashView::find(std::string_view field) const {
  if (table_ != nullptr) return find(field, hash64(field));
  const auto element = packed_.find(field);
  return element ? element->scalar() : ScalarView();
}

ScalarView HashView::find(std::string_view field, std::uint64_t hash) const {
  if (table_ == nullptr) return find(field);
  const ScalarCell* cell = table_->find(field, hash);
  return cell == nullptr ? ScalarView() : cell->view();
}

HashView::Entry HashView::random(Random& random) const {
  if (table_ != nullptr) {
    const auto* node = table_->random(random);
    return {node->key(), node->value.view()};
  }
  const PackedElement element = packed_.at(random.below(packed_.size()));
  return {element.name, element.scalar()};
}

const ScoreIndex& HashTable::index(Order order) const {
  if (index_ == nullptr) {
    load_all();
    order_ = static_cast<std::uint64_t>(order);
    std::vector<ScoreIndex::Entry> entries;
    entries.reserve(live);
    for (const Node* node = in_memory().first_from(0); node != nullptr;
         node = in_memory().next(node)) {
      if (const auto score = score_of_live(node->value)) entries.push_back({*score, node});
    }
    index_ = std::make_unique<ScoreIndex>(std::move(entries));
  }
  index_->note_use();
  return *index_;
}

void HashTable::find_first_if_indexed() {
  if (index_ == nullptr) return;
  set_first(kNoFirst);
  if (index_->size() == 0) return;
  index_->visit(0, 1, false, [this](const ScoreIndex::Entry& entry) {
    set_first(instant_of(entry.member->value.view()));
  });
}

SetView SetCell::view(TaggedPointer pointer) {
  if (pointer.tag() == kTable) return SetView(pointer.get<const SetTable>());
  return SetView(PackedElements(pointer.get<char>()));
}

void SetCell::clear() {
  if (SetTable* all = table()) {
    delete all;
  } else {
    PackedElements(pointer_.get<char>()).release();
  }
  pointer_ = {};
}

void SetCell::drop_if_empty() {
  if (table()->empty()) clear();
}

// Into a packed set.
void SetCell::store(std::string_view member, const MemberDots& dots) {
  if (table() == nullptr) {
    PackedElements packed(pointer_.get<char>());
    bool fits = dots.size() <= 1;
    if (dots.empty()) packed.erase(member);
    if (dots.size() == 1) fits = packed.put({.name = member, .dot = dots[0].dot});
    if (fits) {
      pointer_ =
          packed.block() == nullptr ? TaggedPointer() : TaggedPointer(packed.block(), kPacked);
      return;
    }
    const PackedElements::KeepReplaced keep;  // `member` may view it
    spill().get(member, hash64(member)).assign(dots);
    return;
  }
  // It became a table while all of its members were being changed.
  const std::uint64_t hash = hash64(member);
  table()->get(member, hash).assign(dots);
  if (dots.empty()) table()->erase(member, hash);
  drop_if_empty();
}

SetTable& SetCell::spill() {
  if (table() != nullptr) return *table();
  PackedElements packed(pointer_.get<char>());
  auto* all = new SetTable;
  packed.for_each([all](const PackedElement& element) {
    all->get(element.name, hash64(element.name)).assign({{element.dot}});
    return true;
  });
  packed.release();
  pointer_ = {all, kTable};
  return *all;
}

HashView HashCell::view(TaggedPointer pointer) {
  if (pointer.tag() == kTable) return HashView(pointer.get<const HashTable>());
  return HashView(PackedElements(pointer.get<char>()));
}

void HashCell::clear() {
  if (HashTable* all = table()) {
    delete all;
  } else {
    PackedElements(pointer_.get<char>()).release();
  }
  pointer_ = {};
}

void HashCell::drop_if_empty() {
  if (table()->empty()) clear();
}

HashTable& HashCell::spill() {
  if (table() != nullptr) return *table();
  PackedElements packed(pointer_.get<char>());
  auto* all = new HashTable;
  packed.for_each([all](const PackedElement& element) {
    ScalarCell& cell = all->get(element.name, hash64(element.name));
    if (element.kind == PackedElement::kTally) {
      cell.assign(element.scalar().copy());
    } else {
      cell.assign(SiblingView{element.dot, element.time, element.value, 0});
    }
    all->live += element.live();
    all->summary.counters += element.kind == PackedElement::kTally;
    return true;
  });
  packed.release();
  pointer_ = {all, kTable};
  return *all;
}

bool HashCell::pack(const PackedElement& element) {
  if (table() != nullptr) return false;
  PackedElements packed(pointer_.get<char>());
  if (!packed.put(element)) return false;
  pointer_ = {packed.block(), kPacked};
  return true;
}

void HashCell::store(std::string_view field, const SiblingView& value) {
  if (pack({.name = field,
            .kind = PackedElement::kValue,
            .dot = value.dot,
            .time = value.time,
            .value = value.value})) {
    return;
  }
  const PackedElements::KeepReplaced keep;  // `field` and `value` may view it
  ScalarCell& cell = spill().get(field, hash64(field));
  change_cell(cell, [&](const ScalarView&, auto store) { store(value); });
}

void HashCell::store(std::string_view field, Scalar&& scalar) {
  const std::size_t counters = scalar.integers.entries().size() + 2 * scalar.reals.entries().size();
  if (scalar.siblings.size() == 1 && counters == 0) {
    const Sibling& only = scalar.siblings[0];
    return store(field, SiblingView{only.dot, only.time, only.value, 0});
  }
  if (scalar.siblings.empty() && counters == 1) {
    const auto& entry = scalar.integers.entries()[0];
    if (pack({.name = field,
              .kind = PackedElement::kTally,
              .dot = {entry.replica, entry.seq},
              .sum = entry.sum,
              .removed_seq = entry.removed_seq,
              .removed_sum = entry.removed_sum})) {
      return;
    }
  }
  if (scalar.empty() && table() == nullptr) {
    PackedElements packed(pointer_.get<char>());
    packed.erase(field);
    pointer_ = packed.block() == nullptr ? TaggedPointer() : TaggedPointer(packed.block(), kPacked);
    return;
  }
  const PackedElements::KeepReplaced keep;
  const std::uint64_t hash = hash64(field);
  ScalarCell& cell = spill().get(field, hash);
  change_cell(cell, [&](const ScalarView&, auto store) { store(std::move(scalar)); });
  if (cell.empty()) table()->erase(field, hash);
  drop_if_empty();
}

}  // namespace even
