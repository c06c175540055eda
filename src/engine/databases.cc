#include "engine/databases.h"

#include <algorithm>
#include <array>

#include "engine/text.h"

namespace even {
namespace {

// By number, for views that live on.
constexpr auto kDatabaseHeaders = [] {
  std::array<std::array<char, kDatabaseHeader>, kDatabases> out{};
  for (std::size_t i = 0; i < kDatabases; ++i) {
    out[i] = database_header(static_cast<DatabaseNumber>(i));
  }
  return out;
}();
constexpr std::array<char, kDatabaseHeader> kAnyHeader = {'\0', 'd', 'b', ':', '\xff'};

// Commands about all keys that are about those of one database.
constexpr std::string_view kOfOneDatabase[] = {"dbsize", "flushdb", "keys", "randomkey", "scan"};

// The first bytes of a script's word with a database: no user's name has the first.
constexpr std::string_view kScriptMark{"\0in:", 4};

std::size_t words_of_sort_option(std::string_view name) {
  if (equals_ignore_case(name, "limit")) return 2;
  if (equals_ignore_case(name, "store")) return 1;
  return 0;
}

class Writer {
 public:
  explicit Writer(StoredWords& out) : out_(out) {}
  void store(std::size_t place, DatabaseNumber stored_database) {
    std::string_view& word = out_.words[place];
    if (needs_header(stored_database, word)) {
      word = out_.kept.emplace_back(stored_key(stored_database, word));
    }
  }

 private:
  StoredWords& out_;
};

// The database of COPY's destination.
DatabaseNumber destination_of_copy(Args args, const Database& database) {
  DatabaseNumber number = database.number;
  for (std::size_t i = 3; i + 1 < args.size(); ++i) {
    if (!equals_ignore_case(args[i], "db")) continue;
    if (const auto read = read_database(args[++i])) number = *read;
  }
  return database.map.stored(number);
}

// The patterns of keys among SORT's words.
template <typename Visit>
void for_each_sort_pattern(Args args, Visit visit) {
  for (std::size_t i = 2; i + 1 < args.size(); ++i) {
    if (equals_ignore_case(args[i], "by") || equals_ignore_case(args[i], "get")) {
      if (args[++i] != "#") visit(i);
    } else {
      i += words_of_sort_option(args[i]);
    }
  }
}

bool is_sort(const Command& command) { return command.name == "sort" || command.name == "sort_ro"; }

}  // namespace

void store_words(const Command& command, Args args, const Database& database, StoredWords& out) {
  const DatabaseNumber stored = database.stored();
  out.command = &command;
  out.words.assign(args.begin(), args.end());
  Writer writer(out);
  if (is_sort(command)) {
    for_each_sort_pattern(args, [&](std::size_t place) { writer.store(place, stored); });
  } else if (command.scope == Scope::kAll) {
    const auto* const known = std::ranges::find(kOfOneDatabase, command.name);
    if (stored == 0 || known == std::end(kOfOneDatabase)) return;
    out.words.push_back(database_word(stored));
    out.command = find_command(out.words);
    return;
  }
  if (command.name == "copy") {
    writer.store(1, stored);
    return writer.store(2, destination_of_copy(args, database));
  }
  if (command.name == "move") {
    out.words.push_back(args[1]);
    writer.store(1, stored);
    const auto to = read_database(args[2]);
    writer.store(3, to ? database.map.stored(*to) : stored);
    out.command = find_command(out.words);
    return;
  }
  for_each_key_place(command, args, [&](std::size_t place) { writer.store(place, stored); });
}

std::vector<std::string_view> user_words(const Command& command, Args args) {
  std::vector<std::string_view> out(args.begin(), args.end());
  if (out.empty()) return out;
  for_each_key_place(command, args, [&](std::size_t place) { out[place] = user_key(out[place]); });
  if (is_sort(command)) {
    for_each_sort_pattern(args, [&](std::size_t place) { out[place] = user_key(out[place]); });
  }
  if (command.of_stored_words) out.pop_back();
  return out;
}

DatabaseOfAll database_of_all(Args args, bool of_stored_words) {
  if (!of_stored_words) return {0, args};
  const auto number = static_cast<DatabaseNumber>(args.back()[kDatabaseMark.size()]);
  return {number, args.first(args.size() - 1)};
}

std::string_view database_word(DatabaseNumber stored_database) {
  const auto& header =
      stored_database == kAnyDatabase ? kAnyHeader : kDatabaseHeaders[stored_database];
  return {header.data(), header.size()};
}

bool ends_with_database_word(Args args) {
  const std::string_view last = args.back();
  return last.size() == kDatabaseHeader && has_database_mark(last) &&
         (has_database_header(last) || last == database_word(kAnyDatabase));
}

std::optional<DatabaseNumber> read_database(std::string_view word) {
  const std::optional<std::int64_t> number = parse_integer(word);
  if (!number || *number < 0 || *number >= static_cast<std::int64_t>(kDatabases)) {
    return std::nullopt;
  }
  return static_cast<DatabaseNumber>(*number);
}

std::string with_database(const Database& database, std::string_view rights) {
  if (database.is_plain()) return std::string(rights);
  std::string out(kScriptMark);
  out += database.map.text();
  out += static_cast<char>('a' + database.number);
  return out.append(rights);
}

std::optional<ScriptDatabase> database_of_script(std::string_view word) {
  if (!word.starts_with(kScriptMark)) return ScriptDatabase{{}, word};
  word.remove_prefix(kScriptMark.size());
  if (word.size() <= kDatabases) return std::nullopt;
  const auto map = DatabaseMap::parse(word.substr(0, kDatabases));
  const auto number = static_cast<DatabaseNumber>(word[kDatabases] - 'a');
  if (!map || number >= kDatabases) return std::nullopt;
  return ScriptDatabase{{*map, number}, word.substr(kDatabases + 1)};
}

}  // namespace even
