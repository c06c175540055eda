#include "script/interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/command_entry.h"
#include "engine/databases.h"
#include "engine/text.h"
#include "lattice/types/scalar.h"
#include "script/host.h"
#include "script/lua_state.h"
#include "script/shebang.h"

namespace even {
namespace {

constexpr std::size_t kMostBytes = 256u << 20;  // of the memory of a Lua state
constexpr std::size_t kMostCompiled = 2000;
constexpr std::size_t kMostUsers = 256;
constexpr std::size_t kMostCompiledBytes = 64u << 20;  // of their text
// Of a script in a strong keyspace: about a second.
constexpr std::uint64_t kStrongBudget = 100'000'000;
constexpr char kChunk[] = "@user_script";
constexpr std::size_t kShaDigits = 40;
// Of the loading of a library.
constexpr std::uint64_t kLoadBudget = 10'000'000;
constexpr char kLibraryChunk[] = "@user_function";
constexpr std::string_view kNoFunction = "ERR Function not found";
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

// --- Libraries of functions

// What a library is loaded by: nothing can be done to keys meanwhile.
class LoadingHost final : public ScriptHost {
 public:
  std::string refusal(const Command&, Args, bool&) override { return "ERR not while loading"; }
  void execute(const Command&, Args, Reply&) override {}
  std::int64_t publish(std::string_view, std::string_view, bool) override { return 0; }
  std::int64_t now_ms() const override { return 0; }
  std::uint32_t seed() override { return 0; }
  std::int64_t monotonic_us() const override { return 0; }
  void log(int, std::string_view) override {}
};

// Of "#!lua name=lib", the first line.
Result<std::string_view> read_library_name(std::string_view code) {
  const std::size_t end = code.find('\n');
  if (!code.starts_with("#!")) return fail("ERR Missing library metadata");
  if (end == std::string_view::npos) return fail("ERR Invalid library metadata");
  const std::vector<std::string_view> words = split_words(code.substr(0, end));
  const std::string_view engine = words[0].substr(2);
  std::optional<std::string_view> name;
  for (std::string_view word : std::span(words).subspan(1)) {
    while (word.ends_with('\r')) word.remove_suffix(1);
    if (!word.starts_with("name=")) {
      return fail(fmt::format("ERR Invalid metadata value given: {}", word));
    }
    if (name) return fail("ERR Invalid metadata value, name argument was given multiple times");
    name = word.substr(5);
  }
  if (!name) return fail("ERR Library name was not given");
  if (!valid_library_name(*name)) return fail(fmt::format("ERR Library {}", kLibraryNameRule));
  if (!equals_ignore_case(engine, "lua")) {
    return fail(fmt::format("ERR Engine '{}' not found", engine));
  }
  return *name;
}

// Leaves its functions in the state's registry.
Result<> load_library(LuaState& state, std::string_view code,
                      std::vector<LuaState::Registered>& functions) {
  const std::string_view body = code.substr(std::min(code.find('\n'), code.size()));
  if (state.compile(body, kLibraryChunk) != 0) {
    const char* text = lua_tostring(state.lua(), -1);
    std::string error =
        fmt::format("ERR Error compiling function: {}", text == nullptr ? "" : text);
    lua_settop(state.lua(), 0);
    return fail(std::move(error));
  }
  LoadingHost host;
  ScriptRun run{.host = host, .read_only = true, .budget = kLoadBudget};
  if (state.load(run, functions) == 0) return {};
  for (const LuaState::Registered& each : functions) {
    luaL_unref(state.lua(), LUA_REGISTRYINDEX, each.function);
  }
  functions.clear();
  std::string message = "execution failure";
  if (lua_istable(state.lua(), -1)) {
    message = field_of_error(state.lua(), "err");
  } else if (lua_isstring(state.lua(), -1) != 0) {
    message = lua_tostring(state.lua(), -1);
  }
  lua_settop(state.lua(), 0);
  if (!message.starts_with("ERR ")) message.insert(0, "ERR ");
  return fail(fmt::format("ERR Error registering functions: {}", message));
}

const LuaState::Registered* find_registered(const std::vector<LuaState::Registered>& functions,
                                            std::string_view name) {
  const auto found = std::ranges::find_if(
      functions, [name](const LuaState::Registered& each) { return each.about.name == name; });
  return found == functions.end() ? nullptr : &*found;
}

Shebang shebang_of(const LuaState::Registered& function) {
  return {.present = true,
          .no_writes =
              std::ranges::find(function.about.flags, "no-writes") != function.about.flags.end()};
}

}  // namespace

struct Interpreter::Compiled {
  ScriptPointer script;
  Shebang shebang;
  int function = LUA_NOREF;
  std::string name;  // of a function of a library; empty: it is a script
};

// A library that has been loaded into a state.
struct Interpreter::Loaded {
  std::vector<LuaState::Registered> functions;
};

Interpreter::Interpreter(ScriptCache& cache, ShardId shard) : cache_(cache), shard_(shard) {}
Interpreter::~Interpreter() = default;

void Interpreter::forget_all() {
  for (const auto& [text, compiled] : by_text_) {
    luaL_unref(state_->lua(), LUA_REGISTRYINDEX, compiled->function);
  }
  for (const auto& [code, loaded] : libraries_) {
    for (const LuaState::Registered& each : loaded->functions) {
      luaL_unref(state_->lua(), LUA_REGISTRYINDEX, each.function);
    }
  }
  libraries_.clear();
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
  const auto function = read_function_text(script->text);
  Result<Shebang> shebang = function ? Shebang() : read_shebang(script->text);
  if (!shebang) return std::unexpected(shebang.error());
  if (!state_) state_ = std::make_unique<LuaState>(kMostBytes);
  if (by_text_.size() >= kMostCompiled ||
      compiled_bytes_ + script->text.size() > kMostCompiledBytes ||
      generation_ != cache_.generation()) {
    forget_all();
  }
  generation_ = cache_.generation();
  if (function) return compile_function(std::move(script), function->first, function->second);
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

// The functions of a library share what it keeps between calls.
Result<const Interpreter::Compiled*> Interpreter::compile_function(ScriptPointer script,
                                                                   std::string_view function,
                                                                   std::string_view code) {
  auto library = libraries_.find(std::string(code));
  if (library == libraries_.end()) {
    auto loaded = std::make_unique<Loaded>();
    Result<> done = load_library(*state_, code, loaded->functions);
    if (!done && done.error().message.find("not enough memory") != std::string::npos) {
      forget_all();  // others may have taken most of it
      loaded = std::make_unique<Loaded>();
      done = load_library(*state_, code, loaded->functions);
    }
    if (!done) return std::unexpected(done.error());
    compiled_bytes_ += code.size();
    library = libraries_.emplace(std::string(code), std::move(loaded)).first;
  }
  const LuaState::Registered* found = find_registered(library->second->functions, function);
  if (found == nullptr) return fail(std::string(kNoFunction));
  compiled_bytes_ += script->text.size();
  lua_rawgeti(state_->lua(), LUA_REGISTRYINDEX, found->function);
  auto compiled = std::make_unique<Compiled>(Compiled{std::move(script), shebang_of(*found),
                                                      luaL_ref(state_->lua(), LUA_REGISTRYINDEX),
                                                      found->about.name});
  const Compiled* out = compiled.get();
  by_text_.emplace(out->script->text, std::move(compiled));
  return out;
}

Result<Library> Interpreter::examine(std::string_view code) {
  const Result<std::string_view> name = read_library_name(code);
  if (!name) return std::unexpected(name.error());
  LuaState state(kMostBytes);
  std::vector<LuaState::Registered> functions;
  if (Result<> loaded = load_library(state, code, functions); !loaded) {
    return std::unexpected(loaded.error());
  }
  if (functions.empty()) return fail("ERR No functions registered");
  Library library{.name = std::string(*name), .code = std::string(code), .functions = {}};
  for (LuaState::Registered& each : functions) {
    library.functions.push_back(std::move(each.about));
  }
  return library;
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
  const Args words = words_of_script(command, args);
  const Compiled* compiled =
      find(equals_ignore_case(words[0], "evalsha") || equals_ignore_case(words[0], "evalsha_ro"),
           words[1]);
  return compiled != nullptr && compiled->script->stays_within();
}

Result<AclUserPointer> Interpreter::find_user(std::string_view rights) {
  const std::string key(rights);
  const auto known = users_.find(key);
  if (known != users_.end()) return known->second;
  Result<AclUser> user = user_of_rights(rights);
  if (!user) return std::unexpected(user.error());
  if (users_.size() >= kMostUsers) users_.clear();
  return users_.emplace(key, std::make_shared<const AclUser>(std::move(*user))).first->second;
}

void Interpreter::run(const Command& command, Args args, Reply& reply, ScriptHost& host) {
  if (!is_as_user(command)) return run(command, args, nullptr, {}, reply, host);
  const auto as = database_of_script(args[1]);
  if (!as) return reply.error("ERR the database of a script cannot be read here");
  const Args words = words_of_script(command, args);
  if (as->rights.empty()) {
    return run(*find_command(words[0]), words, nullptr, as->database, reply, host);
  }
  const Result<AclUserPointer> user = find_user(as->rights);
  // Who cannot tell what may be done lets nothing be done.
  if (!user) {
    return reply.error(
        fmt::format("NOPERM the rights of the user cannot be read here: {}", user.error().message));
  }
  run(*find_command(words[0]), words, user->get(), as->database, reply, host);
}

void Interpreter::run(const Command& command, Args args, const AclUser* user,
                      const Database& database, Reply& reply, ScriptHost& host) {
  // Who has read it has put the function's text in the place of its name, if there is one.
  if (command.name.starts_with("fcall")) return reply.error(kNoFunction);
  const bool by_sha = command.name.starts_with("evalsha");
  if (by_sha && args[1].size() != kShaDigits) return reply.error(kNoScriptError);
  ScriptCall call;
  if (!read_call(args, reply, call)) return;
  std::vector<std::string_view> keys(call.keys.begin(), call.keys.end());
  for (std::string_view& key : keys) key = user_key(key);
  call.keys = keys;
  const bool own_state = host.same_everywhere();
  const Compiled* compiled = own_state ? nullptr : find(by_sha, call.script);
  Compiled fresh;
  std::unique_ptr<LuaState> fresh_state;
  if (own_state) {
    // Whether this node knows a script must not matter: who has led the call here has put its text
    // in the place of its SHA-1.
    if (by_sha) return reply.error(kNoScriptError);
    fresh.script = std::make_shared<const Script>(std::string(call.script));
    fresh_state = std::make_unique<LuaState>(kMostBytes);
    if (const auto function = read_function_text(fresh.script->text)) {
      std::vector<LuaState::Registered> functions;
      const Result<> loaded = load_library(*fresh_state, function->second, functions);
      if (!loaded) return reply.error(loaded.error().message);
      const LuaState::Registered* found = find_registered(functions, function->first);
      if (found == nullptr) return reply.error(kNoFunction);
      fresh.shebang = shebang_of(*found);
      fresh.name = found->about.name;
      lua_rawgeti(fresh_state->lua(), LUA_REGISTRYINDEX, found->function);
    } else {
      Result<Shebang> shebang = read_shebang(fresh.script->text);
      if (!shebang) return reply.error(shebang.error().message);
      fresh.shebang = *shebang;
      std::string error;
      if (compile_body(*fresh_state, *fresh.script, fresh.shebang, error) != 0) {
        return reply.error(error);
      }
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
                .budget = own_state ? kStrongBudget : 0,
                .user = user,
                .database = database};
  if (!state.seeded()) state.seed(host.seed());
  if (!own_state) lua_rawgeti(state.lua(), LUA_REGISTRYINDEX, compiled->function);
  const int status = compiled->name.empty()
                         ? state.call(run, call.keys, call.arguments, reply)
                         : state.call_function(run, call.keys, call.arguments, reply);
  compiled->script->note_execution(run.left);
  if (run.thrown) {
    lua_settop(state.lua(), 0);
    std::rethrow_exception(run.thrown);
  }
  if (status == 0) return;
  const std::string error =
      describe_error(state.lua(), compiled->name.empty() ? compiled->script->sha : compiled->name);
  lua_settop(state.lua(), 0);
  reply.error(error);
}

}  // namespace even
