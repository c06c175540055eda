#include "engine/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "engine/command_arguments.h"
#include "engine/text.h"

namespace even {
namespace {

// Open addressing over a table that is at most a quarter full: nearly every lookup is one
// comparison.
class CommandIndex {
 public:
  CommandIndex() {
    for (const auto& family : {string_commands(),
                               number_commands(),
                               bound_commands(),
                               sibling_commands(),
                               generic_commands(),
                               copy_commands(),
                               expire_commands(),
                               field_expiry_commands(),
                               scan_commands(),
                               set_commands(),
                               set_algebra_commands(),
                               bitmap_commands(),
                               hyper_log_log_commands(),
                               lcs_commands(),
                               sort_commands(),
                               dump_commands(),
                               geo_commands(),
                               geo_search_commands(),
                               hash_commands(),
                               sorted_set_commands(),
                               sorted_set_pop_commands(),
                               sorted_set_range_commands(),
                               sorted_set_algebra_commands(),
                               list_commands(),
                               list_move_commands(),
                               stream_commands(),
                               stream_read_commands(),
                               stream_group_commands(),
                               stream_info_commands(),
                               command_commands(),
                               acl_commands(),
                               connection_commands(),
                               transaction_commands(),
                               object_commands(),
                               server_commands(),
                               cluster_commands(),
                               memory_commands(),
                               even_commands(),
                               keyspace_commands(),
                               pubsub_commands(),
                               script_commands()}) {
      for (const Command& command : family) sorted_.push_back(&command);
    }
    std::sort(sorted_.begin(), sorted_.end(),
              [](const Command* a, const Command* b) { return a->name < b->name; });
    EVEN_CHECK(sorted_.size() * 4 <= slots_.size(), "the index of commands needs more slots");
    for (const Command* command : sorted_) {
      std::size_t slot = hash(command->name);
      while (slots_[slot] != nullptr) slot = next(slot);
      slots_[slot] = command;
    }
  }

  const Command* find(std::string_view name) const {
    for (std::size_t slot = hash(name); slots_[slot] != nullptr; slot = next(slot)) {
      if (equals_ignore_case(name, slots_[slot]->name)) return slots_[slot];
    }
    return nullptr;
  }
  std::span<const Command* const> sorted() const { return sorted_; }

 private:
  static constexpr std::size_t kSlots = 2048;

  static std::size_t next(std::size_t slot) { return (slot + 1) % kSlots; }
  // FNV-1a, which is short enough for such short names.
  static std::size_t hash(std::string_view name) {
    std::uint32_t sum = 2166136261u;
    for (char c : name) sum = (sum ^ static_cast<unsigned char>(to_lower(c))) * 16777619u;
    return (sum ^ sum >> 15) % kSlots;
  }

  std::array<const Command*, kSlots> slots_{};
  std::vector<const Command*> sorted_;
};

const CommandIndex& index() {
  static const CommandIndex instance;
  return instance;
}

bool arity_fits(int arity, std::size_t words) {
  return arity >= 0 ? words == static_cast<std::size_t>(arity)
                    : words >= static_cast<std::size_t>(-arity);
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

constexpr std::size_t kQuoteLimit = 128;

// Those of ZADD. None of them is a number.
constexpr std::string_view kScoreOptions[] = {"nx", "xx", "gt", "lt", "ch", "incr"};

// What Redis knows, its users know.
std::string with_syntax(std::string error, const Command& command, const Subcommand* subcommand) {
  if (!command.name.starts_with("even.")) return error;
  return !command.subcommands.empty() && subcommand == nullptr
             ? fmt::format("{}. Try {} HELP.", error, upper(command.name))
             : fmt::format("{}: {}", error, syntax(command, subcommand));
}

}  // namespace

const Command* find_command(std::string_view name) { return index().find(name); }
std::span<const Command* const> all_commands() { return index().sorted(); }

const Command* find_command(Args args) {
  const Command* command = find_command(args[0]);
  if (command == nullptr || args.size() < 2) return command;
  if (command->row_of != nullptr) return &command->row_of(*command, args);
  if (command->subcommands.empty()) return command;
  const Subcommand* subcommand = find_subcommand(*command, args[1]);
  return subcommand == nullptr || subcommand->row == nullptr ? command : subcommand->row;
}

const Subcommand* find_subcommand(const Command& command, std::string_view name) {
  for (const Subcommand& subcommand : command.subcommands) {
    if (equals_ignore_case(name, subcommand.name)) return &subcommand;
  }
  return nullptr;
}

std::size_t words_of_option(std::string_view name) {
  if (equals_ignore_case(name, "group")) return 2;
  return equals_ignore_case(name, "count") || equals_ignore_case(name, "block") ? 1 : 0;
}

Args counted_keys(const Command& command, Args args) {
  if (!command.keys.keyword.empty()) {
    std::size_t i = 1;
    while (i < args.size() && !equals_ignore_case(args[i], command.keys.keyword)) {
      i += 1 + words_of_option(args[i]);
    }
    if (i >= args.size()) return {};
    const Args behind = args.subspan(i + 1);
    return behind.size() % 2 == 0 ? behind.first(behind.size() / 2) : Args();
  }
  const auto place = static_cast<std::size_t>(command.keys.count);
  if (place == 0 || place >= args.size()) return {};
  const std::optional<std::int64_t> count = parse_integer(args[place]);
  const Args behind = args.subspan(place + 1);
  if (!count || *count < 1 || static_cast<std::uint64_t>(*count) > behind.size()) return {};
  return behind.first(static_cast<std::size_t>(*count));
}

std::size_t place_of_store_key(const Command& command, Args args) {
  // Those of SORT, as no other command with STORE has an option of these names.
  constexpr std::pair<std::string_view, std::size_t> kWordsOfOption[] = {
      {"limit", 2}, {"get", 1}, {"by", 1}};
  std::size_t place = 0;
  for (auto i = static_cast<std::size_t>(command.keys.store_from); i + 1 < args.size(); ++i) {
    if (equals_ignore_case(args[i], "store") || equals_ignore_case(args[i], "storedist")) {
      place = ++i;
      continue;
    }
    const auto option = std::ranges::find_if(kWordsOfOption, [&](const auto& known) {
      return equals_ignore_case(args[i], known.first);
    });
    if (option != std::end(kWordsOfOption)) i += option->second;
  }
  return place;
}

NamedElements elements_behind_scores(const Command& command, Args args) {
  std::size_t first = static_cast<std::size_t>(command.keys.first) + 1;
  const auto is_option = [](std::string_view word) {
    return std::ranges::any_of(kScoreOptions, [word](std::string_view option) {
      return equals_ignore_case(word, option);
    });
  };
  while (first < args.size() && is_option(args[first])) ++first;
  return {args.subspan(std::min(first + 1, args.size())), 2};
}

std::string syntax(const Command& command, const Subcommand* subcommand) {
  std::string out = upper(command.name);
  if (subcommand != nullptr) out += " " + upper(subcommand->name);
  const std::string arguments = written(
      parse_arguments(subcommand != nullptr ? subcommand->docs.arguments : command.docs.arguments));
  if (!arguments.empty()) out += " " + arguments;
  return out;
}

std::string check_arity(const Command& command, Args args) {
  if (!command.subcommands.empty() && args.size() > 1) {
    const Subcommand* subcommand = find_subcommand(command, args[1]);
    if (subcommand == nullptr) {
      return fmt::format("ERR unknown subcommand '{}'. Try {} HELP.",
                         quotable(args[1], kQuoteLimit), upper(command.name));
    }
    if (arity_fits(subcommand->arity, args.size())) return {};
    return with_syntax(wrong_arity(fmt::format("{}|{}", command.name, subcommand->name)), command,
                       subcommand);
  }
  return arity_fits(command.arity, args.size())
             ? std::string()
             : with_syntax(wrong_arity(command.name), command, nullptr);
}

std::string unknown_command(Args args) {
  std::string shown;
  for (std::size_t i = 1; i < args.size() && shown.size() < kQuoteLimit; ++i) {
    shown += fmt::format("'{}' ", quotable(args[i], kQuoteLimit - shown.size()));
  }
  return fmt::format("ERR unknown command '{}', with args beginning with: {}",
                     quotable(args[0], kQuoteLimit), shown);
}

void reply_help(Reply& reply, const Command& command) {
  reply.array(1 + 2 * command.subcommands.size());
  const std::string name = upper(command.name);
  reply.simple(fmt::format("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name));
  for (const Subcommand& subcommand : command.subcommands) {
    reply.simple(syntax(command, &subcommand).substr(name.size() + 1));
    reply.simple(fmt::format("    {}.", subcommand.docs.summary));
  }
}

}  // namespace even
