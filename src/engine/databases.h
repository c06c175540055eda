// The one place where what a client writes becomes what is stored, as far as databases are
// concerned (base/database.h, docs/databases.md): the words of a request, before it is routed. From
// there on, keys among words are stored names. The way back is Reply::key(), and user_words() for
// the logs that show requests.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/database.h"
#include "base/stable_list.h"
#include "engine/command.h"

namespace even {

// Whether store_words() would change anything. Of a request whose arity has been checked, as the
// client has written it.
inline bool needs_stored_words(const Command& command, Args args, DatabaseNumber stored_database) {
  if (command.scope != Scope::kKeys && command.scope != Scope::kAll) return false;
  if (stored_database != 0 || command.across_databases) return true;
  if (command.keys.one()) {  // most of them
    const auto place = static_cast<std::size_t>(command.keys.first);
    return place != 0 && looks_stored(args[place]);
  }
  bool any = false;
  for_each_key(command, args, [&any](std::string_view key) { any |= looks_stored(key); });
  return any;
}

struct StoredWords {
  const Command* command = nullptr;
  std::vector<std::string_view> words;  // views of the client's, and of `kept`
  StableList<std::string> kept;
};
// The words by which a request of a client in `database` is executed. A bad number of a database is
// left to the command to refuse.
void store_words(const Command& command, Args args, const Database& database, StoredWords& out);

// What the client has written, as nearly as it can be told.
std::vector<std::string_view> user_words(const Command& command, Args args);

// Of a command about all keys: which stored database it is about, and its words without the one
// that says so, if its row is one of stored words.
inline constexpr DatabaseNumber kAnyDatabase = 0xff;
struct DatabaseOfAll {
  DatabaseNumber number = 0;
  Args words;
  bool has(std::string_view stored) const {
    return number == kAnyDatabase || database_of(stored) == number;
  }
};
DatabaseOfAll database_of_all(Args args, bool of_stored_words);
// That word.
std::string_view database_word(DatabaseNumber stored_database);
// Whether such a word may be the last one of `args`.
bool ends_with_database_word(Args args);

// As SELECT reads it: nothing, if there is no such database.
std::optional<DatabaseNumber> read_database(std::string_view word);

// --- Scripts: their own commands are put through store_words() when they are called, so that the
// database goes with them, in the word of EVEN.AS that has the rights of their user (acl.h), unless
// it is plain.

std::string with_database(const Database& database, std::string_view rights);
struct ScriptDatabase {
  Database database;
  std::string_view rights;  // empty: of nobody who is limited
};
// Nothing, if it cannot be read.
std::optional<ScriptDatabase> database_of_script(std::string_view word);

}  // namespace even
