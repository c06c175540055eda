#include "script/interpreter.h"

#include <fmt/format.h>

#include "engine/text.h"
#include "lattice/types/scalar.h"
#include "script/host.h"
#include "script/lua_state.h"
#include "script/shebang.h"

namespace even {
namespace {

constexpr std::size_t kMostBytes = 256u << 20;  // of the memory of a Lua state
constexpr std::size_t kMostCompiled = 2000;
constexpr std::size_t kMostCompiledBytes = 64u << 20;  // of their text
// Of a script in a strong keyspace: about a second.
constexpr std::uint64_t kStrongBudget = 100'000'000;
constexpr char kChunk[] = "@user_script";
constexpr std::size_t kShaDigits = 40;
constexpr std::string_view kNoScriptError = "NOSCRIPT No matching script. Please use EVAL.";

// Of EVAL and its like: the words behind the script.
struct ScriptCall {
  std::string_view script;
  Args keys;
  Args arguments;
};

bool read_call(Args args, Reply& reply, ScriptCall& out) {
  const std::optional<std::int64_t> parsed = parse_integer(args[2]);
  if (!parsed) {
    reply.error(kNotInteger);
    return false;
  }
  const std::int64_t count = *parsed;
  if (count < 0) {
    reply.error("ERR Number of keys can't be negative");
    return false;
  }
  const Args behind = args.subspan(3);
  if (static_cast<std::uint64_t>(count) > behind.size()) {
    reply.error("ERR Number of keys can't be greater than number of args");
    return false;
  }
  const auto keys = static_cast<std::size_t>(count);
  out = {args[1], behind.first(keys), behind.subspan(keys)};
  return true;
}

// Without metamethods: the script is over, and nothing would catch what they raise, or end them.
std::string field_of_error(lua_State* lua, const char* name) {
  lua_pushstring(lua, name);
  lua_rawget(lua, -2);
  std::size_t size = 0;
  const char* text = lua_tolstring(lua, -1, &size);
  std::string out = text == nullptr ? std::string() : std::string(text, size);
  lua_pop(lua, 1);
  return out;
}

// What a client is told of the error on top of the stack.
std::string describe_error(lua_State* lua, std::string_view sha) {
  if (!lua_istable(lua, -1)) {
    const char* text = lua_isstring(lua, -1) != 0 ? lua_tostring(lua, -1) : "execution failure";
    return fmt::format("ERR Error running script {}, {:.100}", sha, text);
  }
  std::string message = field_of_error(lua, "err");
  if (message.empty()) message = "ERR unknown error";
  const std::string source = field_of_error(lua, "source");
  const std::string line = field_of_error(lua, "line");
  if (!source.empty() && !line.empty()) {
    message += fmt::format(" script: {}, on {}:{}.", sha, source, line);
  }
  return message;
}

// Returns Lua's status.
int compile_body(LuaState& state, const Script& script, const Shebang& shebang,
                 std::string& error) {
  const int status = state.compile(std::string_view(script.text).substr(shebang.length), kChunk);
  if (status == 0) return 0;
  const char* text = lua_tostring(state.lua(), -1);
  error = fmt::format("ERR Error compiling script (new function): {}", text == nullptr ? "" : text);
  lua_pop(state.lua(), 1);
  return status;
}

}  // namespace

struct Interpreter::Compiled {
  ScriptPointer script;
  Shebang shebang;
  int function = LUA_NOREF;
};

Interpreter::Interpreter(ScriptCache& cache, ShardId shard) : cache_(cache), shard_(shard) {}
Interpreter::~Interpreter() = default;

void Interpreter::forget_all() {
  for (const auto& [text, compiled] : by_text_) {
    luaL_unref(state_->lua(), LUA_REGISTRYINDEX, compiled->function);
  }
  by_sha_.clear();
  by_text_.clear();
  compiled_bytes_ = 0;
  // Lua itself does not when it has reached its limit.
  lua_gc(state_->lua(), LUA_GCCOLLECT, 0);
}

const Interpreter::Compiled* Interpreter::find(bool by_sha, std::string_view word) const {
  if (generation_ != cache_.generation()) return nullptr;
  if (!by_sha) {
    const auto found = by_text_.find(word);
    return found == by_text_.end() ? nullptr : found->second.get();
  }
  const auto found = by_sha_.find(word);
  return found == by_sha_.end() ? nullptr : found->second;
}

Result<const Interpreter::Compiled*> Interpreter::compile(ScriptPointer script) {
  // It may have been asked for in another way: by its SHA-1 in upper case.
  if (const Compiled* known = find(false, script->text)) return known;
  Result<Shebang> shebang = read_shebang(script->text);
  if (!shebang) return std::unexpected(shebang.error());
  if (!state_) state_ = std::make_unique<LuaState>(kMostBytes);
  if (by_text_.size() >= kMostCompiled ||
      compiled_bytes_ + script->text.size() > kMostCompiledBytes ||
      generation_ != cache_.generation()) {
    forget_all();
  }
  generation_ = cache_.generation();
  std::string error;
  int status = compile_body(*state_, *script, *shebang, error);
  if (status == LUA_ERRMEM) {  // of which others may have taken most
    forget_all();
    status = compile_body(*state_, *script, *shebang, error);
  }
  if (status != 0) return fail(std::move(error));
  compiled_bytes_ += script->text.size();
  auto compiled = std::make_unique<Compiled>(
      Compiled{std::move(script), *shebang, luaL_ref(state_->lua(), LUA_REGISTRYINDEX)});
  const Compiled* out = compiled.get();
  by_sha_.emplace(out->script->sha, out);
  by_text_.emplace(out->script->text, std::move(compiled));
  return out;
}

// The node's threads share what is known of a script.
ScriptPointer Interpreter::known_script(std::string_view text) const {
  auto script = std::make_shared<const Script>(std::string(text));
  const ScriptPointer known = cache_.find(script->sha);
  return known == nullptr ? script : known;
}

Result<std::string> Interpreter::load(std::string_view text) {
  const Compiled* compiled = find(false, text);
  if (compiled == nullptr) {
    const auto made = compile(known_script(text));
    if (!made) return std::unexpected(made.error());
    compiled = *made;
  }
  cache_.add(compiled->script, true);
  return compiled->script->sha;
}

bool Interpreter::stays_within(const Command& command, Args args) const {
  const Compiled* compiled = find(command.name.starts_with("evalsha"), args[1]);
  return compiled != nullptr && compiled->script->stays_within();
}

void Interpreter::run(const Command& command, Args args, Reply& reply, ScriptHost& host) {
  const bool by_sha = command.name.starts_with("evalsha");
  if (by_sha && args[1].size() != kShaDigits) return reply.error(kNoScriptError);
  ScriptCall call;
  if (!read_call(args, reply, call)) return;
  const bool own_state = host.same_everywhere();
  const Compiled* compiled = own_state ? nullptr : find(by_sha, call.script);
  Compiled fresh;
  std::unique_ptr<LuaState> fresh_state;
  if (own_state) {
    // Whether this node knows a script must not matter: who has led the call here has put its text
    // in the place of its SHA-1.
    if (by_sha) return reply.error(kNoScriptError);
    fresh.script = std::make_shared<const Script>(std::string(call.script));
    Result<Shebang> shebang = read_shebang(fresh.script->text);
    if (!shebang) return reply.error(shebang.error().message);
    fresh.shebang = *shebang;
    fresh_state = std::make_unique<LuaState>(kMostBytes);
    std::string error;
    if (compile_body(*fresh_state, *fresh.script, fresh.shebang, error) != 0) {
      return reply.error(error);
    }
    compiled = &fresh;
  } else if (compiled == nullptr) {
    const ScriptPointer script = by_sha ? cache_.find(call.script) : known_script(call.script);
    if (script == nullptr) return reply.error(kNoScriptError);
    const auto found = compile(script);
    if (!found) return reply.error(found.error().message);
    if (!by_sha) cache_.add(script, false);
    compiled = *found;
  }

  const bool read_only_command = (command.flags & kReadonly) != 0;
  if (read_only_command && compiled->shebang.present && !compiled->shebang.no_writes) {
    return reply.error("ERR Can not execute a script with write flag using *_ro command.");
  }
  LuaState& state = own_state ? *fresh_state : *state_;
  ScriptRun run{.host = host,
                .read_only = read_only_command || compiled->shebang.no_writes,
                .cache = &cache_,
                .execution = &cache_.execution(shard_),
                .budget = own_state ? kStrongBudget : 0};
  if (!state.seeded()) state.seed(host.seed());
  if (!own_state) lua_rawgeti(state.lua(), LUA_REGISTRYINDEX, compiled->function);
  const int status = state.call(run, call.keys, call.arguments, reply);
  compiled->script->note_execution(run.left);
  if (run.thrown) {
    lua_settop(state.lua(), 0);
    std::rethrow_exception(run.thrown);
  }
  if (status == 0) return;
  const std::string error = describe_error(state.lua(), compiled->script->sha);
  lua_settop(state.lua(), 0);
  reply.error(error);
}

}  // namespace even
