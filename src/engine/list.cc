#include "engine/list.h"

#include <algorithm>
#include <optional>

namespace even {

bool find_list(Context& context, std::string_view key, List& out) {
  const Object* object;
  if (!context.find(key, ObjectType::kList, object)) return false;
  if (object != nullptr) out = {object->list(), object->list().live()};
  return true;
}

ListOrder::ListOrder(const List& list) {
  if (list.items.table() != nullptr) {
    index_ = &list.items.table()->index(HashTable::Order::kNames);
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

void push_items(Context& context, std::string_view key, const List& list, bool left, Args values) {
  std::string_view edge;
  if (list.size > 0) edge = ListOrder(list).edge(left).position();
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

void pop_items(Context& context, std::string_view key, const ListOrder& order, bool left,
               std::size_t count) {
  order.visit(left ? 0 : order.size() - 1, count, !left,
              [&context](const ListItem& item) { context.reply.bulk(item.value()); });
  remove_items(context, key, order, left ? 0 : order.size() - count, count);
}

}  // namespace even
