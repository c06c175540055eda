// RENAME, RENAMENX, COPY and MOVE: a key's content as a reader sees it, written under another name.
// It is written whole, as a new key, whatever the other name held before.
#include "engine/command.h"
#include "engine/databases.h"
#include "engine/list.h"
#include "engine/sorted_set.h"
#include "engine/string_value.h"
#include "engine/text.h"

namespace even {
namespace {

void copy_elements(Context& context, const Object& from, KeyWriter& to) {
  switch (from.type()) {
    case ObjectType::kString:
      if (const BoundedCounter* counter = from.bounded()) {
        return to.set_bounded(counter->number.is_max, counter->bound(), counter->value(), false);
      }
      return to.set_unbounded(kept_value(context, from.string()), false);
    case ObjectType::kSet:
      return from.set().for_each([&to](std::string_view member) { to.add_member(member); });
    case ObjectType::kHash: {
      const VisibleFields fields(from, context.now_ms);
      return fields.for_each([&](std::string_view field, const ScalarView& scalar) {
        to.set_field(field, kept_value(context, scalar));
        if (const auto at_ms = fields.expires_at_ms(field)) to.expire_field(field, *at_ms);
      });
    }
    case ObjectType::kSortedSet:
      return from.sorted_set().for_each([&to](std::string_view member, const ScalarView& scalar) {
        if (scalar.live()) to.set_score(member, score_of(scalar));
      });
    case ObjectType::kList: {
      const ListOrder order({from.list(), from.list().live()});
      std::string_view last;
      return order.visit(0, order.size(), false, [&](const ListItem& item) {
        last = to.insert_item(last, {}, item.value());
      });
    }
    case ObjectType::kStream:
      return from.stream().for_each([&to](std::string_view name, const ScalarView& scalar) {
        if (scalar.live()) to.set_stream_field(name, scalar.winner()->value);
      });
    case ObjectType::kNone:
      break;
  }
}

// What is written views `from`, so that no earlier part of the command's records may change it.
void copy_key(Context& context, const Object& from, std::string_view to) {
  KeyWriter& writer = context.write(to);
  writer.remove();
  copy_elements(context, from, writer);
  if (const auto at_ms = from.expires_at_ms()) writer.expire_at(*at_ms);
}

// Of which only one would be there under another name: then replies so.
bool has_several_values(Context& context, const Object& object, std::string_view key) {
  if (object.type() != ObjectType::kString || !context.keyspace().keeps_siblings(key) ||
      object.string().sibling_count() <= 1) {
    return false;
  }
  context.reply.error(
      "ERR the key holds several values that were written at the same time: EVEN.RESOLVE puts one "
      "in their place, and then it can be renamed");
  return true;
}

void rename_key(Context& context, Args args, bool if_absent) {
  const Object* object = context.find(args[1]);
  if (object == nullptr) return context.reply.error("ERR no such key");
  if (has_several_values(context, *object, args[1])) return;
  const bool same = args[1] == args[2];
  if (if_absent) {
    const bool moved = !same && context.find(args[2]) == nullptr;
    context.reply.integer(moved);
    if (!moved) return;
  } else {
    context.reply.ok();
    if (same) return;
  }
  copy_key(context, *object, args[2]);
  context.write(args[1]).remove();
}

void rename_command(Context& context, Args args) { rename_key(context, args, false); }
void renamenx_command(Context& context, Args args) { rename_key(context, args, true); }

// A word that names a database.
bool check_database(Context& context, std::string_view word) {
  std::int64_t number = 0;
  if (!read_integer(context, word, number)) return false;
  if (!read_database(word)) context.reply.error("ERR DB index is out of range");
  return read_database(word).has_value();
}

void copy_command(Context& context, Args args) {
  bool replace = false;
  for (std::size_t i = 3; i < args.size(); ++i) {
    if (equals_ignore_case(args[i], "replace")) {
      replace = true;
    } else if (equals_ignore_case(args[i], "db") && i + 1 < args.size()) {
      if (!check_database(context, args[++i])) return;
    } else {
      return context.reply.error(kSyntaxError);
    }
  }
  if (args[1] == args[2]) {
    return context.reply.error("ERR source and destination objects are the same");
  }
  const Object* object = context.find(args[1]);
  const bool copied = object != nullptr && (replace || context.find(args[2]) == nullptr);
  if (copied) copy_key(context, *object, args[2]);
  context.reply.integer(copied);
}

// The last word is the key's name in the other database, once store_words() has put it there: it
// knows which database is which. Else each is its own.
void move_command(Context& context, Args args) {
  if (!check_database(context, args[2])) return;
  const std::string_view to =
      args.size() == 4 ? args[3]
                       : context.keep(stored_key(*read_database(args[2]), user_key(args[1])));
  if (args[1] == to) {
    return context.reply.error("ERR source and destination objects are the same");
  }
  const Object* object = context.find(args[1]);
  const bool moved = object != nullptr && context.find(to) == nullptr;
  if (moved) {
    if (has_several_values(context, *object, args[1])) return;
    copy_key(context, *object, to);
    context.write(args[1]).remove();
  }
  context.reply.integer(moved);
}
const Command& row_of_move(const Command& command, Args args);

constexpr KeyPositions kFromAndTo = {.first = 1, .last = 2, .step = 1};
constexpr std::string_view kOfContent = "O(N) where N is the size of what the key holds";

constexpr Command kCopyCommands[] = {
    {.name = "rename",
     .group = "generic",
     .arity = 3,
     .flags = kWrite,
     .keys = kFromAndTo,
     .handler = rename_command,
     .moves = true,
     .docs = {.since = "1.0.0",
              .summary = "Give a key another name, in the place of what that name held",
              .complexity = kOfContent,
              .arguments = "key newkey:key",
              .key_spec = "RW access delete; OW update"}},
    {.name = "renamenx",
     .group = "generic",
     .arity = 3,
     .flags = kWrite | kFast,
     .keys = kFromAndTo,
     .handler = renamenx_command,
     .moves = true,
     .docs = {.since = "1.0.0",
              .summary = "Give a key another name, if there is no key of that name",
              .complexity = kOfContent,
              .arguments = "key newkey:key",
              .key_spec = "RW access delete; OW insert"}},
    {.name = "copy",
     .group = "generic",
     .arity = -3,
     .flags = kWrite | kDenyOom,
     .keys = kFromAndTo,
     .handler = copy_command,
     .docs = {.since = "6.2.0",
              .summary = "Copy a key",
              .complexity = kOfContent,
              .arguments = "source:key destination:key [DB destination-db:integer] [REPLACE]",
              .key_spec = "RO access; OW update"},
     .across_databases = true},
    {.name = "move",
     .group = "generic",
     .arity = 3,
     .flags = kWrite | kFast,
     .keys = kFirstWord,
     .handler = move_command,
     .docs = {.since = "1.0.0",
              .summary = "Move a key to another database, if there is none of its name there",
              .complexity = kOfContent,
              .arguments = "key db:integer",
              .key_spec = "RW access update"},
     .row_of = row_of_move,
     .across_databases = true},
};

constexpr Command stored_move_row() {
  Command row = kCopyCommands[3];
  row.arity = 4;
  row.keys = {.first = 1, .last = 3, .step = 2};
  row.of_stored_words = true;
  return row;
}
constexpr Command kStoredMove = stored_move_row();
static_assert(kStoredMove.name == "move");

const Command& row_of_move(const Command& command, Args args) {
  return args.size() == 4 ? kStoredMove : command;
}

}  // namespace

std::span<const Command> copy_commands() { return kCopyCommands; }

}  // namespace even
