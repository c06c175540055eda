// COMMAND: the command table, described to clients in the form that Redis 7 gives it.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string>

#include "engine/command.h"
#include "engine/command_arguments.h"
#include "engine/command_entry.h"
#include "engine/glob.h"
#include "engine/text.h"

namespace even {
namespace {

struct FlagName {
  std::uint32_t flag;
  std::string_view name;
};
constexpr FlagName kFlagNames[] = {
    {kWrite, "write"},
    {kReadonly, "readonly"},
    {kDenyOom, "denyoom"},
    {kAdmin, "admin"},
    {kPubsub, "pubsub"},
    {kNoScript, "noscript"},
    {kBlocking, "blocking"},
    {kLoading, "loading"},
    {kStale, "stale"},
    {kSkipMonitor, "skip_monitor"},
    {kSkipSlowlog, "skip_slowlog"},
    {kAsking, "asking"},
    {kFast, "fast"},
    {kNoAuth, "no_auth"},
    {kMayReplicate, "may_replicate"},
    {kNoAsyncLoading, "no_async_loading"},
    {kNoMulti, "no_multi"},
    {kNoMandatoryKeys, "no_mandatory_keys"},
    {kMovableKeys, "movablekeys"},
    {kAllowBusy, "allow_busy"},
};

using Entry = CommandEntry;

void reply_flags(Reply& reply, std::uint32_t flags) {
  reply.set(static_cast<std::size_t>(std::popcount(flags)));
  for (const FlagName& entry : kFlagNames) {
    if (flags & entry.flag) reply.simple(entry.name);
  }
}

void reply_simple_set(Reply& reply, std::span<const std::string_view> items) {
  reply.set(items.size());
  for (std::string_view item : items) reply.simple(item);
}

void reply_field(Reply& reply, std::string_view name, std::string_view value) {
  reply.bulk(name);
  reply.bulk(value);
}

void reply_number(Reply& reply, std::string_view name, int value) {
  reply.bulk(name);
  reply.integer(value);
}

std::string upper_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

void begin_key_spec(Reply& reply, std::string_view flags, const KeyPositions& keys, int index,
                    std::string_view find) {
  reply.map(3);
  reply.bulk("flags");
  reply_simple_set(reply, split_words(flags));
  reply.bulk("begin_search");
  reply.map(2);
  reply_field(reply, "type", keys.keyword.empty() ? "index" : "keyword");
  reply.bulk("spec");
  if (keys.keyword.empty()) {
    reply.map(1);
    reply_number(reply, "index", index);
  } else {
    reply.map(2);
    reply_field(reply, "keyword", upper_case(keys.keyword));
    reply_number(reply, "startfrom", keys.from);
  }
  reply.bulk("find_keys");
  reply.map(2);
  reply_field(reply, "type", find);
  reply.bulk("spec");
  reply.map(3);
}

// `last` is counted from the first key, unless from the end.
void reply_key_range(Reply& reply, std::string_view flags, int first, int last, int step) {
  begin_key_spec(reply, flags, {}, first, "range");
  reply_number(reply, "lastkey", last);
  reply_number(reply, "keystep", step);
  reply_number(reply, "limit", 0);
}

void reply_unknown_search(Reply& reply, std::string_view name) {
  reply.bulk(name);
  reply.map(2);
  reply_field(reply, "type", "unknown");
  reply.bulk("spec");
  reply.map(0);
}

// One whose key is found by other means than its place: `how` is "?" or the word before it.
void reply_found_key_spec(Reply& reply, std::string_view flags, std::string_view how, int from) {
  reply.map(3);
  reply.bulk("flags");
  reply_simple_set(reply, split_words(flags));
  if (how == "?") {
    reply_unknown_search(reply, "begin_search");
    return reply_unknown_search(reply, "find_keys");
  }
  reply.bulk("begin_search");
  reply.map(2);
  reply_field(reply, "type", "keyword");
  reply.bulk("spec");
  reply.map(2);
  reply_field(reply, "keyword", how);
  reply_number(reply, "startfrom", from);
  reply.bulk("find_keys");
  reply.map(2);
  reply_field(reply, "type", "range");
  reply.bulk("spec");
  reply.map(3);
  reply_number(reply, "lastkey", 0);
  reply_number(reply, "keystep", 1);
  reply_number(reply, "limit", 0);
}

void reply_key_spec(Reply& reply, const Command& command, std::string_view flags, bool first,
                    bool only) {
  const KeyPositions& keys = command.keys;
  const std::size_t at = flags.find('@');
  if (at != std::string_view::npos) {
    return reply_found_key_spec(reply, flags.substr(0, at), flags.substr(at + 1), -command.arity);
  }
  if (!keys.keyword.empty()) {
    begin_key_spec(reply, flags, keys, 0, "range");
    reply_number(reply, "lastkey", -1);
    reply_number(reply, "keystep", 1);
    return reply_number(reply, "limit", 2);
  }
  if (first && !only) return reply_key_range(reply, flags, keys.first, 0, keys.step);
  if (keys.count > 0) {
    begin_key_spec(reply, flags, keys, keys.count, "keynum");
    reply_number(reply, "keynumidx", 0);
    reply_number(reply, "firstkey", 1);
    reply_number(reply, "keystep", 1);
    return;
  }
  const bool to_end = keys.last < 0;
  const int begin = only ? keys.first : to_end ? keys.first + 1 : keys.last;
  reply_key_range(reply, flags, begin, to_end ? keys.last : keys.last - begin, keys.step);
}

void reply_key_specs(Reply& reply, const Command& command) {
  const std::vector<std::string_view> specs = key_specs(command);
  reply.set(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    reply_key_spec(reply, command, specs[i], i == 0, specs.size() == 1);
  }
}

void reply_info(Reply& reply, const Entry& entry) {
  const Command& command = entry.command;
  const bool whole = entry.subcommand == nullptr;
  reply.array(10);
  reply.bulk(entry.name());
  reply.integer(entry.arity());
  reply_flags(reply, entry.flags());
  const Command* row = whole ? &command : entry.subcommand->row;
  reply.integer(row != nullptr ? row->keys.first : 0);
  reply.integer(row != nullptr ? row->keys.last : 0);
  reply.integer(row != nullptr ? row->keys.step : 0);
  reply_simple_set(reply, entry.categories());
  const std::vector<std::string_view> tips = split_words(entry.docs().tips);
  reply.set(tips.size());
  for (std::string_view tip : tips) reply.bulk(tip);
  row != nullptr ? reply_key_specs(reply, *row) : reply.set(0);
  if (!whole) return reply.set(0);
  reply.set(command.subcommands.size());
  for (const Subcommand& subcommand : command.subcommands) {
    reply_info(reply, {command, &subcommand});
  }
}

// Where a command has several key specifications, each of its keys has one of its own; so have all
// its patterns of keys together.
void reply_arguments(Reply& reply, std::span<const Argument> arguments, bool several_specs) {
  constexpr int kSpecOfPatterns = 1;
  int spec = 0;
  reply.array(arguments.size());
  for (const Argument& argument : arguments) {
    const bool pattern = several_specs && argument.type == "pattern";
    const bool key = argument.type == "key" || pattern;
    const std::size_t flags = (argument.optional ? 1 : 0) + (argument.multiple ? 1 : 0) +
                              (argument.multiple_token ? 1 : 0);
    reply.map(2 + (key ? 1 : 0) + (argument.token.empty() ? 0 : 1) + (flags > 0 ? 1 : 0) +
              (argument.arguments.empty() ? 0 : 1));
    reply_field(reply, "name", argument.name);
    reply_field(reply, "type", argument.type);
    if (pattern) spec = kSpecOfPatterns;
    if (key) reply_number(reply, "key_spec_index", several_specs ? spec : 0);
    if (key) ++spec;
    if (!argument.token.empty()) reply_field(reply, "token", argument.token);
    if (flags > 0) {
      reply.bulk("flags");
      reply.set(flags);
      if (argument.optional) reply.simple("optional");
      if (argument.multiple) reply.simple("multiple");
      if (argument.multiple_token) reply.simple("multiple_token");
    }
    if (argument.arguments.empty()) continue;
    reply.bulk("arguments");
    reply_arguments(reply, argument.arguments, several_specs);
  }
}

// What Redis adds on top is of no use to programs: the history of a command, and what replaces it.
void reply_docs(Reply& reply, const Entry& entry) {
  reply.bulk(entry.name());
  const bool container = entry.subcommand == nullptr && !entry.command.subcommands.empty();
  const std::vector<Argument> arguments = parse_arguments(entry.docs().arguments);
  const bool complexity = !entry.docs().complexity.empty();
  reply.map(3 + (complexity ? 1 : 0) + (arguments.empty() ? 0 : 1) + (container ? 1 : 0));
  reply_field(reply, "summary", entry.docs().summary);
  reply_field(reply, "since", entry.docs().since);
  reply_field(reply, "group", entry.command.group);
  if (complexity) reply_field(reply, "complexity", entry.docs().complexity);
  if (!arguments.empty()) {
    reply.bulk("arguments");
    reply_arguments(reply, arguments,
                    entry.subcommand == nullptr && key_specs(entry.command).size() > 1);
  }
  if (!container) return;
  reply.bulk("subcommands");
  reply.map(entry.command.subcommands.size());
  for (const Subcommand& subcommand : entry.command.subcommands) {
    reply_docs(reply, {entry.command, &subcommand});
  }
}

void info_subcommand(Context& context, Args names) {
  if (names.empty()) {
    context.reply.array(all_commands().size());
    for (const Command* command : all_commands()) reply_info(context.reply, {*command});
    return;
  }
  context.reply.array(names.size());
  for (std::string_view name : names) {
    if (const std::optional<Entry> entry = find_command_entry(name)) {
      reply_info(context.reply, *entry);
    } else {
      context.reply.null();
    }
  }
}

void docs_subcommand(Context& context, Args names) {
  std::vector<Entry> entries;
  if (names.empty()) {
    for (const Command* command : all_commands()) entries.push_back({*command});
  }
  for (std::string_view name : names) {
    if (const std::optional<Entry> entry = find_command_entry(name)) entries.push_back(*entry);
  }
  context.reply.map(entries.size());
  for (const Entry& entry : entries) reply_docs(context.reply, entry);
}

// The keys of a request, and the command that it is of. Nothing, after an error, where there are
// none.
struct KeysOfRequest {
  const Command& command;
  std::vector<std::string_view> keys;
};
std::optional<KeysOfRequest> read_keys(Context& context, Args args) {
  const Command* command = find_command(args);
  if (command == nullptr || (!command->subcommands.empty() && args.size() > 1 &&
                             find_subcommand(*command, args[1]) == nullptr)) {
    context.reply.error("ERR Invalid command specified");
    return std::nullopt;
  }
  // Shard channels are where keys are, and are none.
  if (command->keys.none() || command->docs.key_spec == "not_key") {
    context.reply.error("ERR The command has no key arguments");
    return std::nullopt;
  }
  if (!check_arity(*command, args).empty()) {
    context.reply.error("ERR Invalid number of arguments specified for command");
    return std::nullopt;
  }
  const bool counted = command->keys.count > 0 || !command->keys.keyword.empty();
  KeysOfRequest out{*command, {}};
  for_each_key(*command, args, [&](std::string_view key) { out.keys.push_back(key); });
  if (!counted || !counted_keys(*command, args).empty()) return out;
  if (command->script) return out;  // which may have none
  context.reply.error("ERR Invalid arguments specified for command");
  return std::nullopt;
}

void getkeys_subcommand(Context& context, Args args) {
  const std::optional<KeysOfRequest> found = read_keys(context, args);
  if (!found) return;
  context.reply.array(found->keys.size());
  for (std::string_view key : found->keys) context.reply.bulk(key);
}

void getkeysandflags_subcommand(Context& context, Args args) {
  const std::optional<KeysOfRequest> found = read_keys(context, args);
  if (!found) return;
  context.reply.array(found->keys.size());
  for (std::size_t i = 0; i < found->keys.size(); ++i) {
    context.reply.array(2);
    context.reply.bulk(found->keys[i]);
    reply_simple_set(context.reply, split_words(flags_of_key(found->command, args, i)));
  }
}

void list_subcommand(Context& context, Args args) {
  const bool filtered = args.size() == 3 && equals_ignore_case(args[0], "filterby");
  const bool by_module = filtered && equals_ignore_case(args[1], "module");
  const bool by_category = filtered && equals_ignore_case(args[1], "aclcat");
  const bool by_pattern = filtered && equals_ignore_case(args[1], "pattern");
  if (!args.empty() && !by_module && !by_category && !by_pattern) {
    return context.reply.error(kSyntaxError);
  }
  const auto included = [&](const Entry& entry) {
    if (args.empty()) return true;
    if (by_module) return false;  // there are none
    if (by_pattern) return glob_match(args[2], entry.name(), true);
    const auto all = entry.categories();
    return std::any_of(all.begin(), all.end(), [&](std::string_view category) {
      return equals_ignore_case(args[2], category.substr(1));
    });
  };
  std::vector<std::string> names;
  for (const Command* command : all_commands()) {
    if (included({*command})) names.push_back(std::string(command->name));
    for (const Subcommand& subcommand : command->subcommands) {
      const Entry entry{*command, &subcommand};
      if (included(entry)) names.push_back(entry.name());
    }
  }
  context.reply.array(names.size());
  for (const std::string& name : names) context.reply.bulk(name);
}

void command_command(Context& context, Args args) {
  if (args.size() == 1) return info_subcommand(context, {});
  const Args rest = args.subspan(2);
  const std::string_view name = find_subcommand(*find_command("command"), args[1])->name;
  if (name == "count") {
    context.reply.integer(static_cast<std::int64_t>(all_commands().size()));
  } else if (name == "docs") {
    docs_subcommand(context, rest);
  } else if (name == "getkeys") {
    getkeys_subcommand(context, rest);
  } else if (name == "getkeysandflags") {
    getkeysandflags_subcommand(context, rest);
  } else if (name == "info") {
    info_subcommand(context, rest);
  } else if (name == "list") {
    list_subcommand(context, rest);
  } else {
    reply_help(context.reply, *find_command("command"));
  }
}

constexpr Subcommand kCommandSubcommands[] = {
    {.name = "count",
     .arity = 2,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .docs = {.since = "2.8.13", .summary = "Number of commands", .complexity = "O(1)"}},
    {.name = "docs",
     .arity = -2,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .docs = {.since = "7.0.0",
              .summary = "What commands are for",
              .complexity = "O(N) where N is the number of commands asked for",
              .arguments = "[command-name...]",
              .tips = "nondeterministic_output_order"}},
    {.name = "getkeys",
     .arity = -4,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .docs = {.since = "2.8.13",
              .summary = "The keys among the words of a command",
              .complexity = "O(N) where N is the number of arguments"}},
    {.name = "getkeysandflags",
     .arity = -4,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .docs = {.since = "7.0.0",
              .summary = "The keys among the words of a command, and what it does to them",
              .complexity = "O(N) where N is the number of arguments"}},
    {.name = "info",
     .arity = -2,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .docs = {.since = "2.8.13",
              .summary = "Arity, flags, key positions and access categories of commands",
              .complexity = "O(N) where N is the number of commands asked for",
              .arguments = "[command-name...]",
              .tips = "nondeterministic_output_order"}},
    {.name = "list",
     .arity = -2,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .docs = {.since = "7.0.0",
              .summary = "Names of commands, optionally filtered",
              .complexity = "O(N) where N is the number of commands",
              .arguments = "[FILTERBY filterby(MODULE module-name|ACLCAT category|PATTERN "
                           "pattern:pattern)]",
              .tips = "nondeterministic_output_order"}},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .docs = {.since = "5.0.0", .summary = "Prints this help", .complexity = "O(1)"}},
};
constexpr Command kCommandCommands[] = {
    {.name = "command",
     .group = "server",
     .arity = -1,
     .flags = kLoading | kStale,
     .acl = "@connection",
     .handler = command_command,
     .subcommands = kCommandSubcommands,
     .docs = {.since = "2.8.13",
              .summary = "Describe the commands of this server",
              .complexity = "O(N) where N is the number of commands",
              .tips = "nondeterministic_output_order"}},
};

}  // namespace

std::span<const Command> command_commands() { return kCommandCommands; }

}  // namespace even
