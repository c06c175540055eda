// The one command table: it drives dispatch, arity checks, key extraction, access flags, COMMAND
// and its subcommands, and help. Each family's file ends with its rows (cmd_string.cc, cmd_set.cc,
// ...); rows of commands that belong to a connection or a node have no handler here and are
// executed by the server under the same name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/context.h"

namespace even {

// Names as COMMAND INFO prints them, in the order in which it prints them.
enum CommandFlag : std::uint32_t {
  kWrite = 1u << 0,
  kReadonly = 1u << 1,
  kDenyOom = 1u << 2,
  kAdmin = 1u << 3,
  kPubsub = 1u << 4,
  kNoScript = 1u << 5,
  kBlocking = 1u << 6,
  kLoading = 1u << 7,
  kStale = 1u << 8,
  kSkipMonitor = 1u << 9,
  kSkipSlowlog = 1u << 10,
  kAsking = 1u << 11,
  kFast = 1u << 12,
  kNoAuth = 1u << 13,
  kMayReplicate = 1u << 14,
  kNoAsyncLoading = 1u << 15,
  kNoMulti = 1u << 16,
  kMovableKeys = 1u << 17,
  kAllowBusy = 1u << 18,
  kNoMandatoryKeys = 1u << 19,
};

// Of commands on one key. The words behind the key name all that is looked at and may be written of
// it: members or fields, each word or each second one; or each second one with its score before it,
// behind options. kFresh: none is named, and what is written are only elements that have never been
// there before; or it only removes.
enum class Elements : std::uint8_t { kUnknown, kEach, kEachSecond, kBehindScores, kFresh };

// What a command replies of each element of a collection, if it replies with all of them, or that
// it replies with a string; see listing.h.
enum class Lists : std::uint8_t { kNothing, kFields, kValues, kFieldsAndValues, kMembers, kString };

// What a command touches; decides where it runs.
enum class Scope : std::uint8_t {
  kKeys,        // the keys among its arguments
  kAll,         // every partition: DBSIZE, KEYS, SCAN, FLUSHALL, RANDOMKEY
  kConnection,  // the connection or the node; executed by the server
  kInner,       // what the command touches that is among its words
};

// How a command whose keys live on different nodes may be split into one command per node, and how
// the replies become one. Of scope kAll, each node is asked about some of the partitions.
enum class Split : std::uint8_t {
  kNever,        // kKeys: replies CROSSSLOT; kAll: is about the asked node alone
  kSum,          // integers are added: DEL, EXISTS, DBSIZE
  kGather,       // arrays are put together in the order of the keys: MGET
  kConcatenate,  // arrays are put one behind the other: KEYS
  kOk,           // +OK when all are: MSET, FLUSHALL
  kAny,          // nodes are asked in a random order, until one does not reply null: RANDOMKEY
  kCursor,       // the node that the cursor leads to is asked: SCAN
};

using Handler = void (*)(Context& context, Args args);

// What COMMAND DOCS, COMMAND INFO and help tell about a command, and execution does not need.
struct CommandDocs {
  std::string_view since;    // the version of Redis that introduced it, or of Even
  std::string_view summary;  // one line
  std::string_view complexity;
  std::string_view arguments;  // as in command_arguments.h: "key [COUNT count:integer]"
  // Flags of the key specification, "RW access update", or of several: "OW update; RO access". One
  // that ends with "@STORE" finds its key behind this word, one that ends with "@?" by other means.
  // Empty without keys.
  std::string_view key_spec;
  std::string_view tips;  // as COMMAND INFO prints them: "request_policy:all_shards"
};

// Which words of a request are keys, as COMMAND INFO says it: every `step`-th from `first` to
// `last`. All 0: none. A negative `last` counts from the end.
struct KeyPositions {
  int first = 0;
  int last = 0;
  int step = 0;
  // The word that says how many keys follow it, beside those above; 0: there is none.
  int count = 0;
  // In lower case: of the words behind the first such word, which is no option's, the first half
  // are keys. COMMAND INFO says that it comes from the word `from` on.
  std::string_view keyword = "";
  int from = 0;
  // From here on the word behind STORE or STOREDIST, the last one, is a key too; 0: none is.
  int store_from = 0;

  bool none() const { return first == 0 && count == 0 && keyword.empty(); }
  bool one() const {  // or none
    return first == last && count == 0 && store_from == 0 && keyword.empty();
  }
};
inline constexpr KeyPositions kFirstWord = {.first = 1, .last = 1, .step = 1};
inline constexpr KeyPositions kAllWords = {.first = 1, .last = -1, .step = 1};
inline constexpr KeyPositions kEverySecondWord = {.first = 1, .last = -1, .step = 2};

struct Command;

struct Subcommand {
  std::string_view name;  // lower case, "get" of "config get"
  int arity;              // counts both words
  std::uint32_t flags = 0;
  std::string_view acl = "";
  // Where it is about keys and its command is not: its own row, by which it is routed and executed.
  const Command* row = nullptr;
  CommandDocs docs;
};

struct Command {
  std::string_view name;  // lower case
  // "string", "bitmap", "hyperloglog", "set", "hash", "sorted-set", "geo", "list", "stream",
  // "generic", "connection", "server"
  std::string_view group;
  // Number of words including the name; negative: at least that many.
  int arity;
  std::uint32_t flags = 0;
  // Categories beyond those that follow from flags and group, and one of those that it has not:
  // "@admin -@keyspace".
  std::string_view acl = "";
  KeyPositions keys = {};
  Scope scope = Scope::kKeys;
  Split split = Split::kNever;
  Handler handler = nullptr;
  std::span<const Subcommand> subcommands = {};
  Elements elements = Elements::kUnknown;
  Lists lists = Lists::kNothing;
  // Runs a script, whose commands are found while it runs (src/script): it has no handler.
  bool script = false;
  // What it gives to its second key it takes from its first.
  bool moves = false;
  CommandDocs docs;
  // Where some requests touch other things than most: the row by which one is executed.
  const Command& (*row_of)(const Command& command, Args args) = nullptr;
  // Of databases (databases.h): it is put through store_words() whatever its keys are; and the row
  // is of what comes of that, with a word more than clients write.
  bool across_databases = false;
  bool of_stored_words = false;
};

// Whether executing it may write: of scripts it is not known before, unless they may not.
constexpr bool may_write(const Command& command) {
  return (command.flags & kWrite) != 0 || (command.script && (command.flags & kReadonly) == 0);
}

// The subcommand `name` that has a row of its own.
constexpr Subcommand subcommand_of(std::string_view name, const Command& row,
                                   std::string_view acl = "") {
  return {.name = name,
          .arity = row.arity,
          .flags = row.flags,
          .acl = acl,
          .row = &row,
          .docs = row.docs};
}

// Case-insensitive; null when there is no such command.
const Command* find_command(std::string_view name);
// The row by which a request is executed: its subcommand's, if that has one, or its command's, or
// the one that that chooses.
const Command* find_command(Args args);
// Case-insensitive; null when `command` has no such subcommand.
const Subcommand* find_subcommand(const Command& command, std::string_view name);
// All, sorted by name.
std::span<const Command* const> all_commands();

// The keys that a word of `args` gives the number of, or that are behind a keyword; none where that
// is not possible.
Args counted_keys(const Command& command, Args args);
// How many words belong to an option of a command whose keys are behind a keyword.
std::size_t words_of_option(std::string_view name);
// The place of the key behind STORE, where KeyPositions::store_from says that there may be one; 0:
// there is none.
std::size_t place_of_store_key(const Command& command, Args args);

// Calls visit(place) for the place of every key among `args` (args[0] is the name). Arity must have
// been checked.
template <typename Visit>
void for_each_key_place(const Command& command, Args args, Visit visit) {
  if (command.keys.none()) return;
  const int count = static_cast<int>(args.size());
  const int last = command.keys.last < 0 ? count + command.keys.last : command.keys.last;
  for (int i = command.keys.first; i > 0 && i <= last && i < count; i += command.keys.step) {
    visit(static_cast<std::size_t>(i));
  }
  const Args counted = counted_keys(command, args);
  for (std::size_t i = 0; i < counted.size(); ++i) {
    visit(static_cast<std::size_t>(counted.data() - args.data()) + i);
  }
  if (command.keys.store_from == 0) return;
  if (const std::size_t place = place_of_store_key(command, args); place != 0) visit(place);
}
// The same with visit(key).
template <typename Visit>
void for_each_key(const Command& command, Args args, Visit visit) {
  for_each_key_place(command, args, [&](std::size_t place) { visit(args[place]); });
}

// What Command::elements says of these words; nothing where it is kUnknown.
struct NamedElements {
  Args words;  // every `step`-th one
  std::size_t step = 1;
  bool fresh = false;  // kFresh
};
NamedElements elements_behind_scores(const Command& command, Args args);
inline NamedElements named_elements(const Command& command, Args args) {
  switch (command.elements) {
    case Elements::kUnknown:  // most of them
      break;
    case Elements::kEach:
      return {args.subspan(static_cast<std::size_t>(command.keys.first) + 1), 1};
    case Elements::kEachSecond:
      return {args.subspan(static_cast<std::size_t>(command.keys.first) + 1), 2};
    case Elements::kBehindScores:
      return elements_behind_scores(command, args);
    case Elements::kFresh:
      return {{}, 1, true};
  }
  return {};
}

// What a command will look at, as far as its words tell: a key, and elements of what that holds.
struct Need {
  std::string_view key;
  LeafKind kind = LeafKind::kString;  // of the elements, where there are any
  Args elements;                      // every `step`-th word
  std::size_t step = 1;
};
template <typename Visit>
void for_each_need(const Command& command, Args args, Visit visit) {
  for_each_key(command, args, [&](std::string_view key) {
    Need need{.key = key, .elements = {}};
    if (command.elements != Elements::kUnknown && command.elements != Elements::kFresh) {
      need.kind = command.group == "set"    ? LeafKind::kMember
                  : command.group == "hash" ? LeafKind::kField
                                            : LeafKind::kScore;
      const NamedElements named = named_elements(command, args);
      need.elements = named.words;
      need.step = named.step;
    }
    visit(need);
  });
}

// How a command, or one of its subcommands, is written, for help and errors:
// "EVEN.BACKUP START <directory> [KEEP <number>]".
std::string syntax(const Command& command, const Subcommand* subcommand);
// Checks the number of words of a command and of its subcommand, and that there is such a
// subcommand. Returns Redis's error message, or an empty string when all is well; of Even's own
// commands the message shows the syntax.
std::string check_arity(const Command& command, Args args);
// Redis's error for a name that is not in the table.
std::string unknown_command(Args args);
// The reply to a HELP subcommand, in the form of Redis's: the syntax of each subcommand, and its
// summary in a line of its own.
void reply_help(Reply& reply, const Command& command);

// The rows of each family, at the end of its file; see command.cc.
std::span<const Command> string_commands();
std::span<const Command> number_commands();
std::span<const Command> bound_commands();
std::span<const Command> sibling_commands();
std::span<const Command> generic_commands();
std::span<const Command> copy_commands();
std::span<const Command> expire_commands();
std::span<const Command> field_expiry_commands();
std::span<const Command> scan_commands();
std::span<const Command> set_commands();
std::span<const Command> set_algebra_commands();
std::span<const Command> bitmap_commands();
std::span<const Command> hyper_log_log_commands();
std::span<const Command> geo_commands();
std::span<const Command> geo_search_commands();
std::span<const Command> sort_commands();
std::span<const Command> lcs_commands();
std::span<const Command> dump_commands();
std::span<const Command> hash_commands();
std::span<const Command> sorted_set_commands();
std::span<const Command> sorted_set_pop_commands();
std::span<const Command> sorted_set_range_commands();
std::span<const Command> sorted_set_algebra_commands();
std::span<const Command> list_commands();
std::span<const Command> list_move_commands();
std::span<const Command> stream_commands();
std::span<const Command> stream_read_commands();
std::span<const Command> stream_group_commands();
std::span<const Command> stream_info_commands();
std::span<const Command> command_commands();
std::span<const Command> acl_commands();
std::span<const Command> connection_commands();
std::span<const Command> transaction_commands();
std::span<const Command> pubsub_commands();
std::span<const Command> object_commands();
std::span<const Command> server_commands();
std::span<const Command> cluster_commands();
std::span<const Command> memory_commands();
std::span<const Command> even_commands();
std::span<const Command> keyspace_commands();
std::span<const Command> script_commands();

}  // namespace even
