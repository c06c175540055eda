// A command as a script that does nothing else: so scripts are held to what commands are held to.
#pragma once

#include <string>
#include <vector>

#include "engine/command.h"

namespace even::sim {

// Of a command of scope kKeys: the words of an EVAL, or EVAL_RO, with the same effects and reply.
inline std::vector<std::string> scripted(const Command& command, Args words) {
  const bool reads = !may_write(command);
  std::vector<std::string> out{reads ? "EVAL_RO" : "EVAL", "return redis.pcall(unpack(ARGV))", ""};
  for_each_key(command, words, [&out](std::string_view key) { out.emplace_back(key); });
  out[2] = std::to_string(out.size() - 3);
  out.insert(out.end(), words.begin(), words.end());
  return out;
}

}  // namespace even::sim
