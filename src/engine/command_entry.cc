#include "engine/command_entry.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/text.h"

namespace even {
namespace {

// What a request does to its key, of a command whose options change that.
std::string_view flags_by_options(const Command& command, Args args) {
  const bool is_set = command.name == "set";
  const Args options = args.subspan(is_set ? 3 : 2);
  const auto has = [options](std::string_view name) {
    return std::ranges::any_of(
        options, [name](std::string_view word) { return equals_ignore_case(word, name); });
  };
  if (is_set) return has("get") ? "RW access update" : "OW update";
  return has("set") || has("incrby") ? "RW access update" : "RO access";  // of BITFIELD
}

}  // namespace

std::string CommandEntry::name() const {
  return subcommand == nullptr ? std::string(command.name)
                               : fmt::format("{}|{}", command.name, subcommand->name);
}

std::vector<std::string_view> CommandEntry::categories() const {
  std::vector<std::string_view> has = split_words(acl());
  if (flags() & kWrite) has.push_back("@write");
  // As in Redis, a script only has its own category.
  if ((flags() & kReadonly) && !command.script) has.push_back("@read");
  if (flags() & kPubsub) has.push_back("@pubsub");
  if (flags() & kBlocking) has.push_back("@blocking");
  has.push_back(flags() & kFast ? "@fast" : "@slow");
  if (flags() & kAdmin) {
    has.push_back("@admin");
    has.push_back("@dangerous");
  }
  // As in Redis, a container has no category of what its subcommands are about.
  if (subcommand == nullptr && command.subcommands.empty()) {
    const bool excepted = std::ranges::find(has, "-@keyspace") != has.end();
    if (command.group == "generic" && command.scope != Scope::kConnection && !excepted)
      has.push_back("@keyspace");
    if (command.group == "string") has.push_back("@string");
    if (command.group == "set") has.push_back("@set");
    if (command.group == "hash") has.push_back("@hash");
    if (command.group == "sorted-set") has.push_back("@sortedset");
    if (command.group == "list") has.push_back("@list");
    if (command.group == "stream") has.push_back("@stream");
    if (command.group == "bitmap") has.push_back("@bitmap");
    if (command.group == "hyperloglog") has.push_back("@hyperloglog");
    if (command.group == "geo") has.push_back("@geo");
  }
  std::vector<std::string_view> out;
  for (std::string_view category : kCategories) {
    if (std::find(has.begin(), has.end(), category) != has.end()) out.push_back(category);
  }
  return out;
}

std::optional<CommandEntry> find_command_entry(std::string_view name) {
  const std::size_t bar = name.find('|');
  const Command* command = find_command(name.substr(0, bar));
  if (command == nullptr) return std::nullopt;
  if (bar == std::string_view::npos) return CommandEntry{*command};
  const Subcommand* subcommand = find_subcommand(*command, name.substr(bar + 1));
  if (subcommand == nullptr) return std::nullopt;
  return CommandEntry{*command, subcommand};
}

std::optional<CommandEntry> entry_of_request(Args args) {
  const Command* command = args.empty() ? nullptr : find_command(args[0]);
  if (command == nullptr) return std::nullopt;
  return CommandEntry{*command, command->subcommands.empty() || args.size() < 2
                                    ? nullptr
                                    : find_subcommand(*command, args[1])};
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    if (space > 0) out.push_back(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out;
}

std::vector<std::string_view> key_specs(const Command& command) {
  std::vector<std::string_view> out;
  for (std::string_view rest = command.docs.key_spec; !rest.empty();) {
    const std::size_t end = std::min(rest.find(';'), rest.size());
    out.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 2, rest.size()));
  }
  return out;
}

std::string_view flags_of_key(const Command& command, Args args, std::size_t i) {
  const std::vector<std::string_view> specs = key_specs(command);
  if (specs.empty()) return {};
  // The first key has the first specification; those behind it have the last.
  std::string_view flags = i == 0 ? specs.front() : specs.back();
  flags = flags.substr(0, flags.find('@'));
  return flags.ends_with("variable_flags") ? flags_by_options(command, args) : flags;
}

}  // namespace even
