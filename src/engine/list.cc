#include "engine/list.h"

#include <algorithm>
#include <optional>

#include "base/prefetch.h"

namespace even {

bool find_list(Context& context, std::string_view key, List& out) {
  const Object* object;
  if (!context.find(key, ObjectType::kList, object)) return false;
  if (object != nullptr) out = {object->list(), object->list().live()};
  return true;
}

ListOrder::ListOrder(const List& list) {
  if (list.items.table() != nullptr) {
    table_ = list.items.table();
    index_ = &table_->index(HashTable::Order::kNames);
    return;
  }
  list.items.for_each([this](std::string_view position, const ScalarView& scalar) {
    if (scalar.live()) sorted_.emplace_back(position, scalar.winner()->value);
  });
  std::sort(sorted_.begin(), sorted_.end(),
            [](const ListItem& a, const ListItem& b) { return a.position() < b.position(); });
}

ListItem ListOrder::at(std::size_t index) const {
  if (index_ == nullptr) return sorted_[index];
  std::optional<ListItem> found;
  visit(index, 1, false, [&found](const ListItem& item) { found = item; });
  return *found;
}

// Elements lie in the table in the order of their hashes, so each is a few cache misses; in a
// pipeline of pops they are waited for together.
void ListOrder::look_ahead(bool left) const {
  if (index_ == nullptr) return;
  const auto entry = [&](std::size_t distance) { return index_->near_edge(left, distance); };
  const HashOrderedMap<ScalarCell>& elements = table_->in_memory();
  if (const auto* next = entry(2)) elements.prefetch_node(next->member->hash());
  if (const auto* next = entry(4)) {
    elements.prefetch_bucket(next->member->hash());
    next->member->value.prefetch();
  }
  if (const auto* next = entry(8)) prefetch(next->member);
}

ListItem end_of(const List& list, bool left) {
  if (list.items.table() != nullptr) return ListOrder(list).edge(left);
  std::optional<ListItem> end;
  list.items.for_each([&](std::string_view position, const ScalarView& scalar) {
    if (end && (position < end->position()) != left) return;
    if (scalar.live()) end.emplace(position, scalar.winner()->value);
  });
  return *end;
}

void push_items(Context& context, std::string_view key, const List& list, bool left, Args values) {
  std::string_view edge;
  if (list.size > 0) edge = end_of(list, left).position();
  KeyWriter& writer = context.write(key);
  for (const std::string_view value : values) {
    edge = left ? writer.insert_item({}, edge, value) : writer.insert_item(edge, {}, value);
  }
}

void remove_items(Context& context, std::string_view key, const ListOrder& order, std::size_t first,
                  std::size_t count) {
  if (count == 0) return;
  KeyWriter& writer = context.write(key);
  const bool all = count == order.size();
  if (all && !writer.object()->in_type_conflict()) return writer.remove();
  order.visit(first, count, false,
              [&writer](const ListItem& item) { writer.remove_item(item.position()); });
  if (all) writer.persist();
}

void pop_items(Context& context, std::string_view key, const List& list, bool left,
               std::size_t count) {
  if (count == 1 && list.size > 1) {
    const ListItem item = end_of(list, left);
    if (list.items.table() != nullptr) ListOrder(list).look_ahead(left);
    context.reply.bulk(item.value());
    return context.write(key).remove_item(item.position());
  }
  const ListOrder order(list);
  order.visit(left ? 0 : order.size() - 1, count, !left,
              [&context](const ListItem& item) { context.reply.bulk(item.value()); });
  remove_items(context, key, order, left ? 0 : order.size() - count, count);
}

}  // namespace even
