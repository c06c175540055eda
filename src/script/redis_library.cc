// Library `redis`: calls of commands, and the few other things that scripts ask of a server. Errors
// are those of Redis 7.0.
#include <charconv>
#include <cmath>
#include <cstdio>

#include "engine/blocking.h"
#include "engine/databases.h"
#include "engine/text.h"
#include "script/fixed_replies.h"
#include "script/lua_state.h"

namespace even {
namespace {

constexpr std::size_t kMostDescribedBytes = 1 << 20;  // of all functions of a library
constexpr std::uint64_t kCallCost = 100;              // of a command, in instructions
constexpr std::size_t kMostWordBytes = 512u << 20;    // of the words of a call together
constexpr std::size_t kMostLoggedBytes = 1024;        // of a line
constexpr double kWhole = 1e17;                       // whole numbers below it are written as such

[[noreturn]] void raise(lua_State* lua, std::string_view message) {
  push_error(lua, std::string("ERR ").append(message));
  lua_error(lua);
  std::abort();  // lua_error() does not return
}

// Error: there is none, as where what a script has left is looked at.
ScriptRun& running(lua_State* lua) {
  ScriptRun* run = LuaState::of(lua).run;
  if (run == nullptr) luaL_error(lua, "no script is being executed");
  return *run;
}

std::string_view text_of(lua_State* lua, int place) {
  std::size_t size = 0;
  const char* bytes = lua_tolstring(lua, place, &size);
  return {bytes, size};
}

// As printf("%.17g") does.
std::string_view number_text(double number, std::string& out) {
  char bytes[32];
  if (std::abs(number) < kWhole && number == std::floor(number) &&
      !(number == 0 && std::signbit(number))) {
    const auto end =
        std::to_chars(bytes, bytes + sizeof bytes, static_cast<std::int64_t>(number)).ptr;
    out.assign(bytes, end);
  } else {
    out.assign(bytes,
               static_cast<std::size_t>(std::snprintf(bytes, sizeof bytes, "%.17g", number)));
  }
  return out;
}

// The words of a call, which are the arguments on the stack. An error's text if they are none.
std::string_view take_words(lua_State* lua, LuaState& state) {
  const int count = lua_gettop(lua);
  if (count == 0) return "ERR Please specify at least one argument for this redis lib call";
  std::size_t bytes = 0;
  state.words.clear();
  if (state.numbers.size() < static_cast<std::size_t>(count)) {
    state.numbers.resize(static_cast<std::size_t>(count));
  }
  for (int i = 1; i <= count; ++i) {
    switch (lua_type(lua, i)) {
      case LUA_TSTRING:
        state.words.push_back(text_of(lua, i));
        break;
      case LUA_TNUMBER:
        state.words.push_back(
            number_text(lua_tonumber(lua, i), state.numbers[static_cast<std::size_t>(i) - 1]));
        break;
      default:
        return "ERR Lua redis lib command arguments must be strings or integers";
    }
    bytes += state.words.back().size();
  }
  // A string may be among them many times over.
  if (bytes > kMostWordBytes) return "ERR the arguments of a command of a script are too long";
  charge(lua, cost_of_bytes(bytes));
  return {};
}

// Commands that are not about keys and that scripts may use. False: it is none of them.
bool execute_without_keys(const Command& command, Args words, ScriptRun& run, Reply& reply) {
  const std::string_view name = command.name;
  if (name == "time") {
    const std::int64_t now_ms = run.host.now_ms();
    reply.array(2);
    reply.bulk(std::to_string(now_ms / 1000));
    reply.bulk(std::to_string(now_ms % 1000 * 1000));
  } else if (name == "ping") {
    if (words.size() > 2) {
      reply.error(wrong_arity("ping"));
    } else {
      words.size() == 2 ? reply.bulk(words[1]) : reply.simple("PONG");
    }
  } else if (name == "echo") {
    reply.bulk(words[1]);
  } else if (name == "select") {
    const auto database = read_database(words[1]);
    if (database) {
      run.database.number = *database;
      reply.ok();
    } else {
      reply.error(parse_integer(words[1]) ? "ERR DB index is out of range" : kNotInteger);
    }
  } else if (name == "publish" || name == "spublish") {
    reply.integer(run.host.publish(words[1], words[2], name == "spublish"));
  } else {
    return false;
  }
  return true;
}

// Pushes the reply. Errors come back as text, unless the command has replied them.
std::string_view execute(lua_State* lua, LuaState& state) {
  ScriptRun& run = running(lua);
  if (state.registered != nullptr) {
    return "ERR redis.call() and redis.pcall() are for functions, not for the loading of a library";
  }
  charge(lua, kCallCost);
  if (const std::string_view error = take_words(lua, state); !error.empty()) return error;
  const Args words = state.words;
  const Command* command = find_command(words);
  if (command == nullptr) return "ERR Unknown Redis command called from script";
  std::uint32_t flags = command->flags;
  if (!command->subcommands.empty() && words.size() > 1) {
    const Subcommand* subcommand = find_subcommand(*command, words[1]);
    if (subcommand == nullptr) return "ERR Unknown Redis command called from script";
    flags = subcommand->flags;
  }
  if (!check_arity(*command, words).empty() || command->of_stored_words) {
    return "ERR Wrong number of args calling Redis command from script";
  }
  constexpr std::string_view kNotAllowed = "ERR This Redis command is not allowed from script";
  if ((flags & kNoScript) != 0 || command->scope == Scope::kInner) return kNotAllowed;
  // Others that wait take nothing instead, as they do in MULTI.
  if ((command->name == "xread" || command->name == "xreadgroup") && may_block(*command, words)) {
    return command->name == "xread"
               ? "ERR xread command is not allowed with BLOCK option from scripts"
               : "ERR xreadgroup command is not allowed with BLOCK option from scripts";
  }
  if (run.user != nullptr) {
    if (const std::optional<AclDenial> denial = run.user->check(words)) {
      run.host.denied(*run.user, *denial);
      state.words_of_denial = denial->reply_to_script();
      return state.words_of_denial;
    }
  }
  const bool writes = may_write(*command);
  const bool publishes = command->name == "publish" || command->name == "spublish";
  if ((writes || publishes) && run.read_only) {
    return "ERR Write commands are not allowed from read-only scripts.";
  }
  state.reply.clear();
  Reply reply(state.reply, run.resp3);
  if (command->scope == Scope::kConnection) {
    if (!execute_without_keys(*command, words, run, reply)) return kNotAllowed;
  } else {
    StoredWords stored;
    const Command* executed = command;
    Args executed_words = words;
    if (needs_stored_words(*command, words, run.database.stored())) {
      store_words(*command, words, run.database, stored);
      executed = stored.command;
      executed_words = stored.words;
    }
    if (executed->handler == nullptr) return kNotAllowed;
    const std::string refusal = run.host.refusal(*executed, executed_words, run.left);
    if (!refusal.empty()) {
      reply.error(refusal);
    } else if (run.host.same_everywhere() && differs_between_members(*command)) {
      return "ERR This Redis command is not allowed from scripts in strong keyspaces: what it "
             "replies differs between replicas";
    } else {
      if (writes) {
        run.wrote = true;
        if (run.began_us != 0) run.execution->wrote.store(true);
      }
      try {
        run.host.execute(*executed, executed_words, reply);
      } catch (...) {
        run.thrown = std::current_exception();
        run.end = "ERR the data cannot be read";
        end_execution(lua, run);
      }
    }
  }
  charge(lua, cost_of_bytes(state.reply.size()));
  if (run.host.same_everywhere()) put_in_order(*command, state.reply);
  push_reply(lua, state.reply);
  return {};
}

int call(lua_State* lua, bool raises) {
  LuaState& state = LuaState::of(lua);
  state.reply.clear();
  const std::string_view error = execute(lua, state);
  if (!error.empty()) {
    push_error(lua, error);
    lua_pushboolean(lua, 1);
    lua_setfield(lua, -2, "ignore_error_stats_update");
  }
  if (raises && (!error.empty() || state.reply.starts_with('-'))) return lua_error(lua);
  return 1;
}

int redis_call(lua_State* lua) { return call(lua, true); }
int redis_pcall(lua_State* lua) { return call(lua, false); }

int sha1hex(lua_State* lua) {
  if (lua_gettop(lua) != 1) raise(lua, "wrong number of arguments");
  const std::string_view bytes = lua_isstring(lua, 1) != 0 ? text_of(lua, 1) : std::string_view();
  charge(lua, 2 * cost_of_bytes(bytes.size()));
  const std::string hex = sha1_hex(bytes);
  lua_pushlstring(lua, hex.data(), hex.size());
  return 1;
}

bool takes_one_string(lua_State* lua) {
  if (lua_gettop(lua) == 1 && lua_type(lua, 1) == LUA_TSTRING) return true;
  push_error(lua, "ERR wrong number or type of arguments");
  return false;
}

int status_reply(lua_State* lua) {
  if (!takes_one_string(lua)) return 1;
  lua_createtable(lua, 0, 1);
  lua_pushvalue(lua, 1);
  lua_setfield(lua, -2, "ok");
  return 1;
}

// The first word is the error's code, if there are several.
int error_reply(lua_State* lua) {
  if (!takes_one_string(lua)) return 1;
  std::string_view message = text_of(lua, 1);
  if (message.starts_with('-')) message.remove_prefix(1);
  std::string out;
  if (message.find(' ') == std::string_view::npos) out = "ERR ";
  out.append(message);
  while (out.ends_with('\r') || out.ends_with('\n')) out.pop_back();
  push_error(lua, out);
  return 1;
}

int log(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count < 2) raise(lua, "redis.log() requires two arguments or more.");
  if (lua_isnumber(lua, 1) == 0) raise(lua, "First argument must be a number (log level).");
  const lua_Number level = std::trunc(lua_tonumber(lua, 1));
  if (!(level >= 0 && level <= 3)) raise(lua, "Invalid debug level.");
  std::string text;
  for (int i = 2; i <= count && text.size() < kMostLoggedBytes; ++i) {
    if (lua_isstring(lua, i) == 0) continue;
    if (i > 2) text += ' ';
    text.append(text_of(lua, i).substr(0, kMostLoggedBytes - text.size()));
  }
  running(lua).host.log(static_cast<int>(level), text);
  return 0;
}

int setresp(lua_State* lua) {
  if (lua_gettop(lua) != 1) raise(lua, "redis.setresp() requires one argument.");
  const lua_Number version = lua_tonumber(lua, 1);
  if (version != 2 && version != 3) raise(lua, "RESP version must be 2 or 3.");
  running(lua).resp3 = version == 3;
  return 0;
}

// Everything that a script writes goes to all replicas: nothing else can be asked for.
int set_repl(lua_State* lua) {
  if (lua_gettop(lua) != 1) raise(lua, "redis.set_repl() requires two arguments.");
  const lua_Number flags = lua_tonumber(lua, 1);
  if (flags != std::floor(flags) || flags < 0 || flags > 3) {
    raise(lua, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
  }
  if (flags != 3) raise(lua, "redis.set_repl(): what a script writes goes to all replicas");
  return 0;
}

int replicate_commands(lua_State* lua) {
  lua_pushboolean(lua, 1);
  return 1;
}
// There is no debugger.
int breakpoint(lua_State* lua) {
  lua_pushboolean(lua, 0);
  return 1;
}
int debug(lua_State*) { return 0; }

// --- Functions of libraries

[[noreturn]] void refuse_registration(lua_State* lua, const char* message) {
  push_error(lua, message);
  lua_error(lua);
  std::abort();  // lua_error() does not return
}

constexpr std::string_view kFunctionFlags[] = {"no-writes", "allow-oom", "allow-stale",
                                               "no-cluster", "allow-cross-slot-keys"};

std::vector<std::string> read_function_flags(lua_State* lua) {
  std::vector<std::string> flags;
  for (int i = 1;; ++i) {
    lua_rawgeti(lua, -1, i);
    if (lua_isnil(lua, -1)) break;
    const bool known =
        lua_isstring(lua, -1) != 0 &&
        std::ranges::find(kFunctionFlags, text_of(lua, -1)) != std::end(kFunctionFlags);
    if (!known) {
      flags = {};
      refuse_registration(lua, "unknown flag given");
    }
    flags.emplace_back(text_of(lua, -1));
    lua_pop(lua, 1);
  }
  lua_pop(lua, 1);
  return flags;
}

// A table of named arguments, on top of the stack. Leaves the callback there.
void read_named_arguments(lua_State* lua, LibraryFunction& out) {
  bool named = false, called = false;
  lua_pushnil(lua);  // the callback's place, above the table
  lua_insert(lua, 1);
  lua_pushnil(lua);
  while (lua_next(lua, 2) != 0) {
    if (lua_type(lua, -2) != LUA_TSTRING) {
      refuse_registration(lua,
                          "named argument key given to redis.register_function is not a string");
    }
    const std::string_view key = text_of(lua, -2);
    if (key == "function_name") {
      if (lua_isstring(lua, -1) == 0) {
        refuse_registration(
            lua, "function_name argument given to redis.register_function must be a string");
      }
      out.name = text_of(lua, -1);
      named = true;
    } else if (key == "description") {
      if (lua_isstring(lua, -1) == 0) {
        refuse_registration(
            lua, "description argument given to redis.register_function must be a string");
      }
      out.description = text_of(lua, -1);
    } else if (key == "callback") {
      if (!lua_isfunction(lua, -1)) {
        refuse_registration(
            lua, "callback argument given to redis.register_function must be a function");
      }
      lua_pushvalue(lua, -1);
      lua_replace(lua, 1);
      called = true;
    } else if (key == "flags") {
      if (!lua_istable(lua, -1)) {
        refuse_registration(lua,
                            "flags argument to redis.register_function must be a table "
                            "representing function flags");
      }
      out.flags = read_function_flags(lua);
    } else {
      refuse_registration(lua, "unknown argument given to redis.register_function");
    }
    lua_pop(lua, 1);
  }
  lua_settop(lua, 1);
  if (!named) {
    refuse_registration(lua, "redis.register_function must get a function name argument");
  }
  if (!called) {
    refuse_registration(lua, "redis.register_function must get a callback argument");
  }
}

std::size_t bytes_of_description(const LibraryFunction& about) {
  return about.description ? about.description->size() : 0;
}

int register_function(lua_State* lua) {
  LuaState& state = LuaState::of(lua);
  if (state.registered == nullptr) {
    refuse_registration(lua, "redis.register_function can only be called on FUNCTION LOAD command");
  }
  LibraryFunction about;
  const int count = lua_gettop(lua);
  if (count < 1 || count > 2) {
    refuse_registration(lua, "wrong number of arguments to redis.register_function");
  }
  if (count == 1) {
    if (!lua_istable(lua, 1)) {
      refuse_registration(lua,
                          "calling redis.register_function with a single argument is only "
                          "applicable to Lua table (representing named arguments).");
    }
    read_named_arguments(lua, about);
  } else {
    if (lua_isstring(lua, 1) == 0) {
      refuse_registration(lua, "first argument to redis.register_function must be a string");
    }
    if (!lua_isfunction(lua, 2)) {
      refuse_registration(lua, "second argument to redis.register_function must be a function");
    }
    about.name = text_of(lua, 1);
  }
  if (!valid_library_name(about.name)) {
    refuse_registration(lua,
                        "Library names can only contain letters, numbers, or underscores(_) and "
                        "must be at least one character long");
  }
  if (std::ranges::any_of(*state.registered, [&about](const LuaState::Registered& other) {
        return other.about.name == about.name;
      })) {
    refuse_registration(lua, "Function already exists in the library");
  }
  charge(lua, kCallCost + cost_of_bytes(about.name.size() + bytes_of_description(about)));
  // These are beside what Lua may take.
  std::size_t bytes = about.name.size() + bytes_of_description(about);
  for (const LuaState::Registered& other : *state.registered) {
    bytes += other.about.name.size() + bytes_of_description(other.about);
  }
  if (bytes > kMostDescribedBytes) {
    refuse_registration(lua, "the names and descriptions of a library's functions are too long");
  }
  const int function = luaL_ref(lua, LUA_REGISTRYINDEX);
  state.registered->push_back({std::move(about), function});
  return 0;
}

int acl_check_cmd(lua_State* lua) {
  LuaState& state = LuaState::of(lua);
  if (lua_gettop(lua) == 0) {
    raise(lua, "Please specify at least one argument for this redis.acl_check_cmd() call");
  }
  if (const std::string_view error = take_words(lua, state); !error.empty()) {
    raise(lua, "redis.acl_check_cmd() arguments must be strings or integers");
  }
  const Command* command = find_command(Args(state.words));
  if (command == nullptr || !check_arity(*command, state.words).empty()) {
    raise(lua, "Invalid command passed to redis.acl_check_cmd()");
  }
  const AclUser* user = running(lua).user;
  lua_pushboolean(lua, user == nullptr || !user->check(state.words) ? 1 : 0);
  return 1;
}

}  // namespace

void open_redis_library(lua_State* lua) {
  constexpr luaL_Reg kFunctions[] = {{"call", redis_call},
                                     {"pcall", redis_pcall},
                                     {"sha1hex", sha1hex},
                                     {"status_reply", status_reply},
                                     {"error_reply", error_reply},
                                     {"log", log},
                                     {"setresp", setresp},
                                     {"set_repl", set_repl},
                                     {"replicate_commands", replicate_commands},
                                     {"breakpoint", breakpoint},
                                     {"debug", debug},
                                     {"acl_check_cmd", acl_check_cmd},
                                     {"register_function", register_function},
                                     {nullptr, nullptr}};
  constexpr std::pair<const char*, int> kNumbers[] = {
      {"LOG_DEBUG", 0},    {"LOG_VERBOSE", 1},
      {"LOG_NOTICE", 2},   {"LOG_WARNING", 3},
      {"REPL_NONE", 0},    {"REPL_AOF", 1},
      {"REPL_REPLICA", 2}, {"REPL_SLAVE", 2},
      {"REPL_ALL", 3},     {"REDIS_VERSION_NUM", 0x0007000f}};
  lua_newtable(lua);
  luaL_register(lua, nullptr, kFunctions);
  for (const auto& [name, number] : kNumbers) {
    lua_pushinteger(lua, number);
    lua_setfield(lua, -2, name);
  }
  lua_pushliteral(lua, "7.0.15");
  lua_setfield(lua, -2, "REDIS_VERSION");
  lua_setglobal(lua, "redis");
}

}  // namespace even
