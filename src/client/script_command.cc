// SCRIPT: the scripts that this node knows. docs/scripting.md
#include "client/connection_commands.h"
#include "engine/text.h"
#include "node/shard_thread.h"
#include "script/interpreter.h"

namespace even {
namespace {

void load_script(Connection& connection, Args args) {
  if (const std::string refusal = refusal_of_script(args[2]); !refusal.empty()) {
    return connection.reply().error(refusal);
  }
  const Result<std::string> sha = connection.thread().shard().scripts().load(args[2]);
  sha ? connection.reply().bulk(*sha) : connection.reply().error(sha.error().message);
}

void flush_scripts(Connection& connection, Args args) {
  const bool good = args.size() == 2 ||
                    (args.size() == 3 &&
                     (equals_ignore_case(args[2], "sync") || equals_ignore_case(args[2], "async")));
  if (!good) return connection.reply().error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  connection.thread().node().scripts.flush();
  connection.reply().ok();
}

void exist_scripts(Connection& connection, Args shas) {
  const ScriptCache& scripts = connection.thread().node().scripts;
  Reply reply = connection.reply();
  reply.array(shas.size());
  for (const std::string_view sha : shas) reply.integer(scripts.find(sha) != nullptr ? 1 : 0);
}

void show_script(Connection& connection, std::string_view sha) {
  const ScriptPointer script = connection.thread().node().scripts.find(sha);
  script != nullptr ? connection.reply().bulk(script->text)
                    : connection.reply().error("NOSCRIPT No matching script. Please use EVAL.");
}

// There is no debugger, which would keep a shard waiting for a person.
void debug_scripts(Connection& connection, Args args) {
  if (equals_ignore_case(args[2], "no")) return connection.reply().ok();
  const bool known = equals_ignore_case(args[2], "yes") || equals_ignore_case(args[2], "sync");
  connection.reply().error(known ? "ERR SCRIPT DEBUG is not supported"
                                 : "ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

}  // namespace

std::string refusal_of_script(std::string_view text) {
  return text.starts_with(kFunctionPrefix) ? "ERR Unexpected engine in script shebang: #!function"
                                           : std::string();
}

void execute_script(Connection& connection, Args args) {
  const auto is = [&](std::string_view name) { return equals_ignore_case(args[1], name); };
  if (is("load")) return load_script(connection, args);
  if (is("exists")) return exist_scripts(connection, args.subspan(2));
  if (is("show")) return show_script(connection, args[2]);
  if (is("flush")) return flush_scripts(connection, args);
  if (is("debug")) return debug_scripts(connection, args);
  if (is("kill")) {
    const std::string text = connection.thread().node().scripts.kill();
    return text == "OK" ? connection.reply().ok() : connection.reply().error(text);
  }
  if (is("help")) return reply_help(connection, "SCRIPT");
  reply_unknown_subcommand(connection, "SCRIPT", args[1]);
}

}  // namespace even
