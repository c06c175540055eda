// Scripts in the format of the "datadriven" tests of etcd's raft library: a command, what it takes,
// a line of dashes, and what it is expected to print.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "consensus/configuration.h"

namespace even::consensus {

struct ScriptArgument {
  std::string key;
  std::vector<std::string> values;  // of key=value, key=(value, value)
};

struct ScriptCase {
  int line = 0;
  std::string command;
  std::vector<ScriptArgument> arguments;
  std::string input;
  std::string expected;

  const ScriptArgument* find(std::string_view key) const {
    for (const ScriptArgument& argument : arguments) {
      if (argument.key == key) return &argument;
    }
    return nullptr;
  }
  std::string value(std::string_view key, std::string otherwise) const {
    const ScriptArgument* argument = find(key);
    return argument == nullptr || argument->values.empty() ? otherwise : argument->values[0];
  }
};

inline std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while ((begin = text.find_first_not_of(separators, begin)) != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return parts;
}

// "v1 l2 r3 u4": a voter, a learner, one that is removed, one that stays as it is.
inline std::vector<Change> parse_changes(std::string_view text) {
  std::vector<Change> changes;
  for (const std::string& word : split(text, " \n")) {
    const auto kind = static_cast<ChangeKind>(std::string_view("vlru").find(word[0]));
    changes.push_back({kind, std::stoull(word.substr(1))});
  }
  return changes;
}

inline void parse_command(std::string_view line, ScriptCase& parsed) {
  std::size_t at = 0;
  bool first = true;
  while ((at = line.find_first_not_of(' ', at)) != std::string_view::npos) {
    const std::size_t end = std::min(line.find_first_of(" =", at), line.size());
    std::string key(line.substr(at, end - at));
    ScriptArgument argument{std::move(key), {}};
    at = end;
    if (at < line.size() && line[at] == '=') {
      ++at;
      if (at < line.size() && line[at] == '(') {
        const std::size_t close = line.find(')', at);
        argument.values = split(line.substr(at + 1, close - at - 1), ", ");
        at = close + 1;
      } else {
        const std::size_t stop = std::min(line.find(' ', at), line.size());
        argument.values = {std::string(line.substr(at, stop - at))};
        at = stop;
      }
    }
    if (first) {
      parsed.command = argument.key;
      first = false;
    } else {
      parsed.arguments.push_back(std::move(argument));
    }
  }
}

// What is expected ends at an empty line; where it has empty lines itself, it stands between pairs
// of lines of dashes.
inline std::vector<ScriptCase> read_script(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<ScriptCase> cases;
  std::string line;
  int number = 0;
  const auto next = [&] { return ++number, static_cast<bool>(std::getline(file, line)); };
  while (next()) {
    if (line.empty() || line[0] == '#') continue;
    ScriptCase read;
    read.line = number;
    parse_command(line, read);
    while (next() && line != "----") read.input += line + "\n";
    bool fenced = false;
    while (next()) {
      if (line == "----" && read.expected.empty() && !fenced) {
        fenced = true;
      } else if (fenced ? line == "----" : line.empty()) {
        break;
      } else {
        read.expected += line + "\n";
      }
    }
    cases.push_back(std::move(read));
  }
  return cases;
}

// Where the scripts are: EVEN_CONFORMANCE, or shared/conformance beside the source tree or above
// it.
inline std::optional<std::filesystem::path> conformance_folder(const std::string& name) {
  const auto scripts = [&](const std::filesystem::path& conformance) {
    std::optional<std::filesystem::path> found = conformance / "raft" / name;
    return std::filesystem::is_directory(*found) ? found : std::nullopt;
  };
  if (const char* set = std::getenv("EVEN_CONFORMANCE")) return scripts(set);
  for (std::filesystem::path above(EVEN_SOURCE_DIR); above != above.root_path();) {
    above = above.parent_path();
    if (const auto found = scripts(above / "shared" / "conformance")) return found;
  }
  return std::nullopt;
}

inline std::vector<std::filesystem::path> scripts_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace even::consensus

#define EVEN_SKIP_WITHOUT_CONFORMANCE(folder, name)                                             \
  const auto folder = ::even::consensus::conformance_folder(name);                              \
  if (!folder) {                                                                                \
    GTEST_SKIP() << "no scripts: the folder raft/" << name                                      \
                 << " of shared/conformance is not beside the source tree, and the environment" \
                    " variable EVEN_CONFORMANCE does not say where it is";                      \
  }
