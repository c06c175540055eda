// OBJECT: how the value of a key is kept, in Redis's terms. What Redis calls an encoding is a form
// in its memory that programs have come to tell types of values by; the reply names the form that
// Redis would have chosen for such a value when it was written. EVEN.MEMORY tells Even's own.
#include <charconv>
#include <string>

#include "engine/command.h"
#include "engine/text.h"

namespace even {
namespace {

// Redis's limits with its default configuration (set-max-intset-entries, hash-max-listpack-entries,
// hash-max-listpack-value), and the longest string that it keeps in one block with its header.
constexpr std::size_t kMostIntsetEntries = 512;
constexpr std::size_t kMostListpackEntries = 512;
constexpr std::size_t kMostListpackMembers = 128;  // zset-max-listpack-entries
constexpr std::size_t kLongestListpackValue = 64;
constexpr std::size_t kLongestEmbedded = 44;

bool is_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (text == "0") return true;
  if (text.size() <= (negative ? 1u : 0u) || text[negative ? 1 : 0] == '0') return false;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view encoding_of(const ScalarView& string) {
  std::string scratch;
  const std::string_view value = string.value(scratch);
  if (is_integer(value)) return "int";
  return value.size() <= kLongestEmbedded ? "embstr" : "raw";
}

std::string_view encoding_of(const SetView& set) {
  bool integers = set.size() <= kMostIntsetEntries;
  if (integers) {
    set.for_each([&integers](std::string_view member) {
      integers = is_integer(member);
      return integers;
    });
  }
  return integers ? "intset" : "hashtable";
}

std::string_view encoding_of_scores(const HashView& members) {
  bool is_short = members.live() <= kMostListpackMembers;
  if (is_short) {
    members.for_each([&is_short](std::string_view member, const ScalarView& scalar) {
      is_short = !scalar.live() || member.size() <= kLongestListpackValue;
      return is_short;
    });
  }
  return is_short ? "listpack" : "skiplist";
}

std::string_view encoding_of(const HashView& hash) {
  bool is_short = hash.live() <= kMostListpackEntries;
  if (is_short) {
    hash.for_each([&is_short](std::string_view field, const ScalarView& scalar) {
      if (!scalar.live()) return true;
      std::string scratch;
      is_short = field.size() <= kLongestListpackValue &&
                 scalar.value(scratch).size() <= kLongestListpackValue;
      return is_short;
    });
  }
  return is_short ? "listpack" : "hashtable";
}

// Redis 7.4 keeps expiries of fields beside them.
std::string_view encoding_of_hash(const Object& object) {
  const std::string_view encoding = encoding_of(object.hash());
  return object.field_expiries() && encoding == "listpack" ? "listpackex" : encoding;
}

// Redis 7.0 keeps lists in this form only.
constexpr std::string_view kListEncoding = "quicklist";

void object_encoding_command(Context& context, Args args) {
  const Object* object = context.find(args[2]);
  if (object == nullptr) return context.reply.null();
  switch (object->type()) {
    case ObjectType::kString:
      return context.reply.bulk(encoding_of(object->string()));
    case ObjectType::kSet:
      return context.reply.bulk(encoding_of(object->set()));
    case ObjectType::kHash:
      return context.reply.bulk(encoding_of_hash(*object));
    case ObjectType::kSortedSet:
      return context.reply.bulk(encoding_of_scores(object->sorted_set()));
    case ObjectType::kList:
      return context.reply.bulk(kListEncoding);
    case ObjectType::kStream:
      return context.reply.bulk("stream");
    case ObjectType::kNone:
      break;
  }
  context.reply.null();
}

// No value is shared by several keys.
void object_refcount_command(Context& context, Args args) {
  context.find(args[2]) == nullptr ? context.reply.null() : context.reply.integer(1);
}

bool counts_by_logarithm(const Context& context, std::string_view key) {
  const Keyspace& keyspace = context.keyspace();
  return keyspace.state(keyspace.partition_of(key)).counts_by_logarithm();
}

void object_idletime_command(Context& context, Args args) {
  if (context.find(args[2]) == nullptr) return context.reply.null();
  if (counts_by_logarithm(context, args[2])) {
    return context.reply.error(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
        "switching between policies at runtime LRU and LFU data will take some time to adjust.");
  }
  context.reply.error("ERR idle time not tracked: keys have a count of uses, and no time of use");
}

void object_freq_command(Context& context, Args args) {
  if (context.find(args[2]) == nullptr) return context.reply.null();
  if (!counts_by_logarithm(context, args[2])) {
    return context.reply.error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
        "that when switching between policies at runtime LRU and LFU data will take some time to "
        "adjust.");
  }
  const Keyspace& keyspace = context.keyspace();
  const PartitionState& state = keyspace.state(keyspace.partition_of(args[2]));
  context.reply.integer(state.in_memory().find_node(args[2], hash64(args[2]))->uses());
}

constexpr Command row(std::string_view name, std::string_view since, std::string_view summary,
                      Handler handler) {
  return {.name = name,
          .group = "generic",
          .arity = 3,
          .flags = kReadonly,
          .keys = {.first = 2, .last = 2, .step = 1},
          .handler = handler,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = "O(1)",
                   .arguments = "key",
                   .key_spec = "RO",
                   .tips = "nondeterministic_output"}};
}

constexpr Command kRows[] = {
    row("object|encoding", "2.2.3", "The form in which Redis would keep the value of a key",
        object_encoding_command),
    row("object|freq", "4.0.0", "How often a key is used, by the count of an LFU cache policy",
        object_freq_command),
    row("object|idletime", "2.2.3", "Time since a key was used, which no cache policy keeps",
        object_idletime_command),
    row("object|refcount", "2.2.3", "Number of references to the value of a key",
        object_refcount_command),
};
constexpr Subcommand kObjectSubcommands[] = {
    subcommand_of("encoding", kRows[0], "@keyspace"),
    subcommand_of("freq", kRows[1], "@keyspace"),
    subcommand_of("idletime", kRows[2], "@keyspace"),
    subcommand_of("refcount", kRows[3], "@keyspace"),
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .acl = "@keyspace",
     .docs = {.since = "6.2.0", .summary = "Prints this help", .complexity = "O(1)"}},
};
constexpr Command kObjectCommands[] = {
    {.name = "object",
     .group = "generic",
     .arity = -2,
     .scope = Scope::kConnection,
     .subcommands = kObjectSubcommands,
     .docs = {.since = "2.2.3",
              .summary = "How the value of a key is kept",
              .complexity = "Depends on the subcommand"}},
};

}  // namespace

std::span<const Command> object_commands() { return kObjectCommands; }

}  // namespace even
