// SORT and SORT_RO: the elements of a list, a set or a sorted set, sorted by themselves or by what
// other keys hold, whose names follow from a pattern and an element. What these are is known only
// when the command is executed, so a request with patterns is one about all partitions.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "engine/command.h"
#include "engine/list.h"
#include "engine/sorted_set.h"
#include "engine/string_value.h"
#include "engine/text.h"

namespace even {
namespace {

struct SortRequest {
  bool descending = false;
  bool alphabetic = false;
  std::int64_t offset = 0;
  std::int64_t count = -1;
  std::optional<std::string_view> by;
  std::vector<std::string_view> get;
  std::optional<std::string_view> store;

  bool keeps_order() const { return by && by->find('*') == std::string_view::npos; }
};

struct SortElement {
  std::string_view text;
  double number = 0;
  std::optional<std::string_view> weight;  // null: the key that the pattern names is not there
};

// False, after an error, when the words are no options.
bool read_sort_options(Context& context, Args args, bool may_store, SortRequest& out) {
  for (std::size_t i = 2; i < args.size(); ++i) {
    const std::size_t behind = args.size() - i - 1;
    if (equals_ignore_case(args[i], "asc")) {
      out.descending = false;
    } else if (equals_ignore_case(args[i], "desc")) {
      out.descending = true;
    } else if (equals_ignore_case(args[i], "alpha")) {
      out.alphabetic = true;
    } else if (equals_ignore_case(args[i], "limit") && behind >= 2) {
      if (!read_integer(context, args[i + 1], out.offset)) return false;
      if (!read_integer(context, args[i + 2], out.count)) return false;
      i += 2;
    } else if (may_store && equals_ignore_case(args[i], "store") && behind >= 1) {
      out.store = args[++i];
    } else if (equals_ignore_case(args[i], "by") && behind >= 1) {
      out.by = args[++i];
    } else if (equals_ignore_case(args[i], "get") && behind >= 1) {
      out.get.push_back(args[++i]);
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
  }
  return true;
}

// A key that the request does not name is one of a partition that may not be here.
struct OutOfReach {};

const Object* find_in_reach(Context& context, std::string_view key) {
  const Keyspace& keyspace = context.keyspace();
  if (!std::ranges::binary_search(keyspace.partitions(), keyspace.partition_of(key))) {
    throw OutOfReach();
  }
  return context.find(key);
}

// What a pattern leads to from an element: the string of the key with the element in the place of
// '*', or the field of a hash, "key_*->field".
std::optional<std::string_view> look_up(Context& context, std::string_view pattern,
                                        std::string_view element) {
  if (pattern == "#") return element;
  // What an element makes of it is a key of the same database, whatever it looks like.
  const DatabaseNumber database = database_of(pattern);
  pattern = user_key(pattern);
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return std::nullopt;
  const std::size_t arrow = pattern.find("->", star + 1);
  const bool of_hash = arrow != std::string_view::npos && arrow + 2 < pattern.size();
  std::string key(pattern.substr(0, star));
  key.append(element);
  key.append(pattern.substr(star + 1, of_hash ? arrow - star - 1 : std::string_view::npos));
  const Object* object = find_in_reach(context, context.keep(stored_key(database, key)));
  if (object == nullptr) return std::nullopt;
  if (of_hash ? object->type() != ObjectType::kHash : object->type() != ObjectType::kString) {
    return std::nullopt;
  }
  const ScalarView scalar =
      of_hash ? VisibleFields(*object, context.now_ms).find(pattern.substr(arrow + 2))
              : object->string();
  return scalar.live() ? std::optional(kept_value(context, scalar)) : std::nullopt;
}

std::vector<SortElement> elements_of(const Object* object) {
  std::vector<SortElement> out;
  const auto add = [&out](std::string_view text) { out.push_back({.text = text}); };
  if (object == nullptr) return out;
  if (object->type() == ObjectType::kSet) {
    object->set().for_each(add);
  } else if (object->type() == ObjectType::kList) {
    const ListOrder order({object->list(), object->list().live()});
    order.visit(0, order.size(), false, [&add](const ListItem& item) { add(item.value()); });
  } else {
    const SortedSet set{object->sorted_set(), object->sorted_set().live()};
    const ScoreOrder order(set);
    order.visit(0, order.size(), false, [&add](std::string_view name, double) { add(name); });
  }
  return out;
}

// As strtod reads it; false when that is not all of it, or out of range.
bool read_weight(std::string_view text, double& out) {
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  out = std::strtod(copy.c_str(), &end);
  return *end == '\0' && errno != ERANGE && !std::isnan(out);
}

// False when a number is wanted where there is none.
bool weigh(Context& context, const SortRequest& request, std::vector<SortElement>& elements) {
  bool all_numbers = true;
  for (SortElement& element : elements) {
    element.weight =
        request.by ? look_up(context, *request.by, element.text) : std::optional(element.text);
    if (!request.alphabetic && element.weight) {
      all_numbers = read_weight(*element.weight, element.number) && all_numbers;
    }
  }
  return all_numbers;
}

void sort_elements(const SortRequest& request, std::vector<SortElement>& elements) {
  const auto before = [&request](const SortElement& a, const SortElement& b) {
    if (request.alphabetic) return a.weight < b.weight;
    return a.number != b.number ? a.number < b.number : a.text < b.text;
  };
  std::ranges::stable_sort(elements, [&](const SortElement& a, const SortElement& b) {
    return request.descending ? before(b, a) : before(a, b);
  });
}

// What LIMIT leaves.
std::span<const SortElement> limited(const SortRequest& request,
                                     const std::vector<SortElement>& elements) {
  const auto size = static_cast<std::int64_t>(elements.size());
  const std::int64_t first = std::clamp<std::int64_t>(request.offset, 0, size);
  const std::int64_t rest = size - first;
  const std::int64_t count = request.count < 0 ? rest : std::min(request.count, rest);
  return std::span(elements).subspan(static_cast<std::size_t>(first),
                                     static_cast<std::size_t>(count));
}

std::vector<std::optional<std::string_view>> sort_outcome(Context& context,
                                                          const SortRequest& request,
                                                          std::span<const SortElement> elements) {
  std::vector<std::optional<std::string_view>> out;
  for (const SortElement& element : elements) {
    if (request.get.empty()) out.emplace_back(element.text);
    for (const std::string_view pattern : request.get) {
      out.push_back(look_up(context, pattern, element.text));
    }
  }
  return out;
}

void store_list(Context& context, std::string_view key,
                std::span<const std::optional<std::string_view>> values) {
  if (!values.empty() || context.find(key) != nullptr) {
    KeyWriter& writer = context.write(key);
    writer.remove();
    std::string_view last;
    for (const auto& value : values) {
      // A copy, as it may be part of what the key has held.
      last = writer.insert_item(last, {}, context.keep(std::string(value.value_or(""))));
    }
  }
  context.reply.integer(static_cast<std::int64_t>(values.size()));
}

void sort_key(Context& context, SortRequest request, const Object* object) {
  if (object != nullptr && object->type() != ObjectType::kSet &&
      object->type() != ObjectType::kList && object->type() != ObjectType::kSortedSet) {
    return context.reply.error(kWrongType);
  }
  bool keeps_order = request.keeps_order();
  // Of a set there is no order to keep: what is stored must be the same everywhere.
  if (keeps_order && request.store && object != nullptr && object->type() == ObjectType::kSet) {
    keeps_order = false;
    request.alphabetic = true;
    request.by.reset();
  }
  std::vector<SortElement> elements = elements_of(object);
  if (object != nullptr && object->type() == ObjectType::kSet &&
      context.keyspace().draws_by_content()) {
    std::ranges::sort(elements, {}, &SortElement::text);
  }
  if (!keeps_order) {
    if (!weigh(context, request, elements)) {
      return context.reply.error("ERR One or more scores can't be converted into double");
    }
    sort_elements(request, elements);
  } else if (request.descending && object != nullptr && object->type() != ObjectType::kSet) {
    std::ranges::reverse(elements);
  }
  const auto outcome = sort_outcome(context, request, limited(request, elements));
  if (request.store) return store_list(context, *request.store, outcome);
  context.reply.array(outcome.size());
  for (const auto& value : outcome) value ? context.reply.bulk(*value) : context.reply.null();
}

template <bool kMayStore>
void sort_command(Context& context, Args args) {
  SortRequest request;
  if (!read_sort_options(context, args, kMayStore, request)) return;
  sort_key(context, std::move(request), context.find(args[1]));
}

template <bool kMayStore>
void sort_by_pattern_command(Context& context, Args args) {
  SortRequest request;
  if (!read_sort_options(context, args, kMayStore, request)) return;
  try {
    const Object* object = find_in_reach(context, args[1]);
    if (request.store) find_in_reach(context, *request.store);
    sort_key(context, std::move(request), object);
  } catch (const OutOfReach&) {
    context.reply.error(
        "CROSSSLOT SORT with a pattern of keys needs all of them at this node, and in eventual "
        "keyspaces: one of them is not");
  }
}

const Command& sort_row_of(const Command& command, Args args);

constexpr std::string_view kSortComplexity =
    "O(N*log(N)) where N is the number of elements, and the keys that patterns lead to";
constexpr std::string_view kSortArguments =
    "key [BY pattern:pattern] [LIMIT offset_count(offset:integer count:integer)] [GET "
    "pattern:pattern....] [order(ASC|DESC)] [sorting=ALPHA] [STORE destination:key]";
constexpr std::string_view kSortReadOnlyArguments =
    "key [BY pattern:pattern] [LIMIT offset_count(offset:integer count:integer)] [GET "
    "pattern:pattern....] [order(ASC|DESC)] [sorting=ALPHA]";

constexpr Command sort_row() {
  return {.name = "sort",
          .group = "generic",
          .arity = -2,
          .flags = kWrite | kDenyOom | kMovableKeys,
          .acl = "-@keyspace @set @sortedset @list @dangerous",
          .keys = {.first = 1, .last = 1, .step = 1, .store_from = 2},
          .handler = sort_command<true>,
          .docs = {.since = "1.0.0",
                   .summary = "Elements of a list, a set or a sorted set, sorted",
                   .complexity = kSortComplexity,
                   .arguments = kSortArguments,
                   .key_spec = "RO access; RO access@?; OW update@?"},
          .row_of = sort_row_of,
          .across_databases = true};
}
constexpr Command sort_read_only_row() {
  Command row = sort_row();
  row.name = "sort_ro";
  row.flags = kReadonly | kMovableKeys;
  row.keys = kFirstWord;
  row.handler = sort_command<false>;
  row.docs.since = "7.0.0";
  row.docs.arguments = kSortReadOnlyArguments;
  row.docs.key_spec = "RO access; RO access@?";
  return row;
}
constexpr Command by_pattern(Command row, Handler handler) {
  row.scope = Scope::kAll;
  row.handler = handler;
  return row;
}

constexpr Command kSortCommands[] = {sort_row(), sort_read_only_row()};
constexpr Command kSortByPattern[] = {
    by_pattern(sort_row(), sort_by_pattern_command<true>),
    by_pattern(sort_read_only_row(), sort_by_pattern_command<false>)};

const Command& sort_row_of(const Command& command, Args args) {
  for (std::size_t i = 2; i + 1 < args.size(); ++i) {
    if (!equals_ignore_case(args[i], "by") && !equals_ignore_case(args[i], "get")) continue;
    if (args[i + 1].find('*') == std::string_view::npos) continue;
    return kSortByPattern[&command == &kSortCommands[0] ? 0 : 1];
  }
  return command;
}

}  // namespace

std::span<const Command> sort_commands() { return kSortCommands; }

}  // namespace even
