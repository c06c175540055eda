// A command as a script that does nothing else: so scripts are held to what commands are held to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/acl.h"
#include "engine/command.h"
#include "engine/databases.h"

namespace even::sim {

// Of a command of scope kKeys: the words of an EVAL, or EVAL_RO, with the same effects and reply;
// of one in another database than 0, as a node sends it. Empty: it names keys of several databases.
inline std::vector<std::string> scripted(const Command& command, Args words) {
  const bool reads = !may_write(command);
  std::optional<DatabaseNumber> database;
  bool several = false;
  for_each_key(command, words, [&](std::string_view key) {
    several |= database.value_or(database_of(key)) != database_of(key);
    database = database_of(key);
  });
  if (several) return {};
  if (database.value_or(0) != 0) {
    const std::vector<std::string_view> asked = user_words(command, words);
    std::vector<std::string> out{
        std::string(kAsUserName), with_database({DatabaseMap(), *database}, {}),
        reads ? "EVAL_RO" : "EVAL", "return redis.pcall(unpack(ARGV))", ""};
    for_each_key(command, words, [&out](std::string_view key) { out.emplace_back(key); });
    out[4] = std::to_string(out.size() - 5);
    out.insert(out.end(), asked.begin(), asked.end());
    return out;
  }
  std::vector<std::string> out{reads ? "EVAL_RO" : "EVAL", "return redis.pcall(unpack(ARGV))", ""};
  for_each_key(command, words, [&out](std::string_view key) { out.emplace_back(key); });
  out[2] = std::to_string(out.size() - 3);
  out.insert(out.end(), words.begin(), words.end());
  return out;
}

}  // namespace even::sim
