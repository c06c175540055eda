// What executes the commands of a script: a shard, or a group of a strong keyspace. One for each
// execution; on the shard's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/acl.h"
#include "engine/command.h"

namespace even {

class ScriptHost {
 public:
  virtual ~ScriptHost() = default;

  // Why this command cannot be executed here, as an error's text; empty: it can. `left` is set when
  // it is about a key that does not lie with those that the script was given.
  virtual std::string refusal(const Command& command, Args args, bool& left) = 0;
  // Executes a command about keys and commits what it writes, so that the next one sees it. What it
  // throws ends the script, and is thrown by Interpreter::run().
  virtual void execute(const Command& command, Args args, Reply& reply) = 0;
  // How many subscribers there were, as far as that may be told.
  virtual std::int64_t publish(std::string_view channel, std::string_view message,
                               bool to_shard_channel) = 0;
  // Unix time of the execution.
  virtual std::int64_t now_ms() const = 0;
  // Of math.random(), when a Lua state is new.
  virtual std::uint32_t seed() = 0;
  virtual std::int64_t monotonic_us() const = 0;
  // Called now and then while the script takes longer than it should.
  virtual void while_busy() {}
  // A call was refused since the script's user may not make it.
  virtual void denied(const AclUser&, const AclDenial&) {}
  // `level`: of redis.log(), 0 to 3.
  virtual void log(int level, std::string_view text) = 0;
  // The script is executed by several members, each on its own: it must come to the same
  // everywhere.
  virtual bool same_everywhere() const { return false; }
};

}  // namespace even
