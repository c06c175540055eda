// Executes EVAL, EVALSHA and their read-only forms: docs/scripting.md. One per shard, on its
// thread. Functions are compiled once and kept; a script in a strong keyspace gets a Lua state of
// its own, since its members have to come to the same whatever they have executed before.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/acl.h"
#include "engine/command.h"
#include "engine/library.h"
#include "script/script_cache.h"

namespace even {

class LuaState;
class ScriptHost;

class Interpreter {
 public:
  // `cache`: what the node knows; it must outlive this. `shard`: whose executions these are.
  Interpreter(ScriptCache& cache, ShardId shard);
  ~Interpreter();

  // Executes one of the commands with Command::script, whose arity has been checked, and replies.
  // Throws what the host throws, and has replied nothing then.
  void run(const Command& command, Args args, Reply& reply, ScriptHost& host);

  // SCRIPT LOAD: the script's SHA-1, or the error to reply, of what does not compile.
  Result<std::string> load(std::string_view text);

  // FUNCTION LOAD: what is in a library, or the error to reply, of one that cannot be loaded.
  static Result<Library> examine(std::string_view code);

  // Whether a script is known to touch no keys but those it is given; see Script::stays_within().
  bool stays_within(const Command& command, Args args) const;

 private:
  struct Compiled;
  struct Loaded;

  void run(const Command& command, Args args, const AclUser* user, const Database& database,
           Reply& reply, ScriptHost& host);
  // Error: its text is none.
  Result<AclUserPointer> find_user(std::string_view rights);
  const Compiled* find(bool by_sha, std::string_view word) const;
  // Error: the one to reply.
  Result<const Compiled*> compile(ScriptPointer script);
  Result<const Compiled*> compile_function(ScriptPointer script, std::string_view function,
                                           std::string_view code);
  void forget_all();
  ScriptPointer known_script(std::string_view text) const;

  ScriptCache& cache_;
  const ShardId shard_;
  std::uint64_t generation_ = 0;  // of the cache, that by_text_ is of
  std::unique_ptr<LuaState> state_;
  std::size_t compiled_bytes_ = 0;  // of the text of all in by_text_
  // By views into the scripts.
  absl::flat_hash_map<std::string_view, std::unique_ptr<Compiled>> by_text_;
  absl::flat_hash_map<std::string_view, const Compiled*> by_sha_;
  // The functions of libraries, by their code.
  absl::flat_hash_map<std::string, std::unique_ptr<Loaded>> libraries_;
  // Of late, by the texts of their rights.
  absl::flat_hash_map<std::string, AclUserPointer> users_;
};

}  // namespace even
