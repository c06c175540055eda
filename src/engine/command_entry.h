// A command or a subcommand, as far as COMMAND and ACL tell of them alike.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"

namespace even {

// In the order in which Redis lists them.
inline constexpr std::string_view kCategories[] = {
    "@keyspace",   "@read",        "@write",    "@set",         "@sortedset", "@list",
    "@hash",       "@string",      "@bitmap",   "@hyperloglog", "@geo",       "@stream",
    "@pubsub",     "@admin",       "@fast",     "@slow",        "@blocking",  "@dangerous",
    "@connection", "@transaction", "@scripting"};

struct CommandEntry {
  const Command& command;
  const Subcommand* subcommand = nullptr;

  // "config" or "config|get".
  std::string name() const;
  int arity() const { return subcommand == nullptr ? command.arity : subcommand->arity; }
  std::uint32_t flags() const { return subcommand == nullptr ? command.flags : subcommand->flags; }
  std::string_view acl() const { return subcommand == nullptr ? command.acl : subcommand->acl; }
  const CommandDocs& docs() const {
    return subcommand == nullptr ? command.docs : subcommand->docs;
  }
  // The access categories: those that follow from flags and group, and those that the row adds.
  std::vector<std::string_view> categories() const;
};

// "config" or "config|get"; nothing when there is no such thing.
std::optional<CommandEntry> find_command_entry(std::string_view name);
// What a request names. Nothing where there is no such command; of a subcommand that there is not,
// the command.
std::optional<CommandEntry> entry_of_request(Args args);

std::vector<std::string_view> split_words(std::string_view text);
// The flags of each key specification of a row.
std::vector<std::string_view> key_specs(const Command& command);
// What a request does to its `i`-th key: "RW access update".
std::string_view flags_of_key(const Command& command, Args args, std::size_t i);

}  // namespace even
