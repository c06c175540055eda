#include "script/lua_state.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "base/check.h"

namespace even {
namespace {

// Between two looks at whether the execution is to end, in instructions, and between two looks at
// the clock.
constexpr int kHookInterval = 1000;
constexpr std::uint64_t kClockInterval = 100'000;
constexpr std::int64_t kServeIntervalUs = 10'000;
// Memory of this size is counted as instructions, too.
constexpr std::size_t kLargeBytes = 4096;

void add_instructions(lua_State* lua, ScriptRun& run, std::uint64_t instructions) {
  if (!run.end.empty()) end_execution(lua, run);
  run.instructions += instructions;
  if (run.budget == 0 || run.instructions <= run.budget) return;
  run.end =
      "ERR the script has been ended: it has executed more instructions than a script in a "
      "strong keyspace may";
  end_execution(lua, run);
}

void look(lua_State* lua, lua_Debug*) {
  ScriptRun* run = LuaState::of(lua).run;
  if (run == nullptr) return;
  add_instructions(lua, *run, kHookInterval);
  if (run->execution == nullptr || run->instructions - run->looked_at < kClockInterval) return;
  run->looked_at = run->instructions;
  ScriptCache::Execution& seen = *run->execution;
  if (run->began_us == 0) {
    run->began_us = run->host.monotonic_us();
    seen.wrote.store(run->wrote);
    seen.strong.store(run->host.same_everywhere());
    seen.began_us.store(run->began_us);
    return;
  }
  const std::int64_t now_us = run->host.monotonic_us();
  if (now_us - run->began_us >= 1000 * run->cache->busy_ms.load(std::memory_order_relaxed) &&
      now_us - run->served_us >= kServeIntervalUs) {
    run->served_us = now_us;
    run->host.while_busy();
  }
  if (seen.kill_begun.load(std::memory_order_relaxed) == run->began_us && !run->wrote &&
      !run->host.same_everywhere()) {
    run->end = "ERR Script killed by user with SCRIPT KILL...";
    end_execution(lua, *run);
  }
}

// Of an error that nothing catches: each call of Lua has to be protected.
int end_unprotected(lua_State* lua) {
  const char* text = lua_tostring(lua, -1);
  check_failed(__FILE__, __LINE__, "lua_pcall", text == nullptr ? "an error of Lua" : text);
}

// Puts an error, with the place where it was raised, into a table of its own, as Redis tells it to
// clients. What was raised may have any metamethods, or be a library, and is left as it is.
int locate_error(lua_State* lua) {
  lua_Debug place;
  bool known = lua_getstack(lua, 1, &place) != 0 && lua_getinfo(lua, "nSl", &place) != 0;
  if (known && std::string_view(place.what) == "C") {
    known = lua_getstack(lua, 2, &place) != 0 && lua_getinfo(lua, "nSl", &place) != 0;
  }
  if (!lua_istable(lua, 1)) {
    const char* text = lua_tostring(lua, 1);
    push_error(lua, std::string("ERR ") + (text != nullptr ? text : luaL_typename(lua, 1)));
  } else {
    lua_createtable(lua, 0, 3);
    lua_pushliteral(lua, "err");
    lua_pushvalue(lua, -1);
    lua_rawget(lua, 1);
    lua_rawset(lua, -3);
  }
  lua_replace(lua, 1);
  lua_settop(lua, 1);
  if (known) {
    lua_pushstring(lua, place.source);
    lua_setfield(lua, 1, "source");
    lua_pushinteger(lua, place.currentline);
    lua_setfield(lua, 1, "line");
  }
  return 1;
}

}  // namespace

LuaState::LuaState(std::size_t most_bytes)
    : most_bytes_(most_bytes), lua_(lua_newstate(allocate, this)) {
  if (lua_ == nullptr) throw std::bad_alloc();
  lua_atpanic(lua_, end_unprotected);
  open_base_libraries(lua_);
  open_redis_library(lua_);
  open_bit_library(lua_);
  open_json_library(lua_);
  open_messagepack_library(lua_);
  open_struct_library(lua_);
  protect_globals(lua_);
  lua_settop(lua_, 0);
  lua_sethook(lua_, look, LUA_MASKCOUNT, kHookInterval);
}

LuaState::~LuaState() { lua_close(lua_); }

LuaState& LuaState::of(lua_State* lua) {
  void* self = nullptr;
  lua_getallocf(lua, &self);
  return *static_cast<LuaState*>(self);
}

void* LuaState::allocate(void* self, void* block, std::size_t before, std::size_t size) {
  LuaState& state = *static_cast<LuaState*>(self);
  if (size == 0) {
    std::free(block);
    state.bytes_ -= before;
    return nullptr;
  }
  if (state.limited_ && size > before && state.bytes_ + (size - before) > state.most_bytes_) {
    return nullptr;
  }
  if (size >= kLargeBytes && state.run != nullptr) state.run->instructions += cost_of_bytes(size);
  void* out = std::realloc(block, size);
  if (out != nullptr) state.bytes_ += size - before;
  return out;
}

int LuaState::compile(std::string_view text, const char* name) {
  if (text.starts_with(LUA_SIGNATURE[0])) {
    lua_pushliteral(lua_, "binary chunks are refused");
    return LUA_ERRSYNTAX;
  }
  // Lua 5.1's parser does not hold on to the name of the chunk while it may collect garbage
  // (CVE-2025-49844).
  lua_gc(lua_, LUA_GCSTOP, 0);
  const bool before = std::exchange(limited_, true);
  const int status = luaL_loadbuffer(lua_, text.data(), text.size(), name);
  limited_ = before;
  lua_gc(lua_, LUA_GCRESTART, 0);
  return status;
}

namespace {

struct Call {
  Args keys;
  Args arguments;
  Reply& reply;
  ScriptRun& run;
  bool as_arguments = false;
};

void push_words(lua_State* lua, Args values) {
  lua_createtable(lua, static_cast<int>(values.size()), 0);
  int place = 0;
  for (const std::string_view value : values) {
    lua_pushlstring(lua, value.data(), value.size());
    lua_rawseti(lua, -2, ++place);
  }
}

void set_global_words(lua_State* lua, const char* name, Args values) {
  lua_pushstring(lua, name);
  push_words(lua, values);
  lua_rawset(lua, -3);
}

// That a script before has left.
void forget_global(lua_State* lua, const char* name) {
  lua_pushstring(lua, name);
  lua_pushnil(lua);
  lua_rawset(lua, -3);
}

// Takes a function and a Call, and replies what the function returns. Whatever may run out of
// memory is done in here.
int call_and_reply(lua_State* lua) {
  const Call& call = *static_cast<const Call*>(lua_touserdata(lua, 2));
  LuaState::of(lua).limit_memory(true);
  lua_settop(lua, 1);
  lua_pushlightuserdata(lua, const_cast<char*>(&kRealGlobals));
  lua_rawget(lua, LUA_REGISTRYINDEX);
  if (call.as_arguments) {
    forget_global(lua, "KEYS");
    forget_global(lua, "ARGV");
  } else {
    set_global_words(lua, "KEYS", call.keys);
    set_global_words(lua, "ARGV", call.arguments);
  }
  lua_settop(lua, 1);
  if (call.as_arguments) {
    push_words(lua, call.keys);
    push_words(lua, call.arguments);
  }
  lua_call(lua, call.as_arguments ? 2 : 0, 1);
  write_value(lua, call.reply, call.run.resp3);
  return 0;
}

}  // namespace

int LuaState::call(ScriptRun& current, Args keys, Args arguments, Reply& out) {
  return call(current, keys, arguments, out, false);
}

int LuaState::call_function(ScriptRun& current, Args keys, Args arguments, Reply& out) {
  return call(current, keys, arguments, out, true);
}

int LuaState::load(ScriptRun& current, std::vector<Registered>& into) {
  json = {};
  run = &current;
  registered = &into;
  lua_pushcfunction(lua_, locate_error);
  lua_insert(lua_, -2);
  const int handler = lua_gettop(lua_) - 1;
  limit_memory(true);
  const int status = lua_pcall(lua_, 0, 0, handler);
  registered = nullptr;
  return finish_call(current, handler, status);
}

int LuaState::call(ScriptRun& current, Args keys, Args arguments, Reply& out, bool as_arguments) {
  json = {};
  run = &current;
  const Call what{keys, arguments, out, current, as_arguments};
  const std::size_t begin = out.position();
  lua_pushcfunction(lua_, locate_error);
  lua_insert(lua_, -2);
  lua_pushcfunction(lua_, call_and_reply);
  lua_insert(lua_, -2);
  lua_pushlightuserdata(lua_, const_cast<Call*>(&what));
  const int handler = lua_gettop(lua_) - 3;
  const int status = lua_pcall(lua_, 2, 0, handler);
  if (status != 0) out.cut(begin);
  return finish_call(current, handler, status);
}

int LuaState::finish_call(ScriptRun& current, int handler, int status) {
  limit_memory(false);
  lua_remove(lua_, handler);
  run = nullptr;
  if (current.began_us != 0) {
    current.execution->began_us.store(0);
    current.execution->kill_begun.store(0);
  }
  if (!current.end.empty()) lua_sethook(lua_, look, LUA_MASKCOUNT, kHookInterval);
  // What has been left of one that took much is not kept until another one needs it.
  if (bytes_ > most_bytes_ / 4) lua_gc(lua_, LUA_GCCOLLECT, 0);
  return status;
}

// drand48's generator, as Redis has it, so that scripts draw the same numbers.
std::uint32_t LuaState::random() {
  random_ = (random_ * 0x5deece66dull + 0xb) & ((std::uint64_t{1} << 48) - 1);
  return static_cast<std::uint32_t>(random_ >> 17);
}

void charge(lua_State* lua, std::uint64_t instructions) {
  if (ScriptRun* run = LuaState::of(lua).run) add_instructions(lua, *run, instructions);
}

void LibraryBuffer::make_room(std::size_t bytes) {
  constexpr std::size_t kMostBytes = 128u << 20;
  if (bytes > kMostBytes - bytes_.size()) luaL_error(lua_, "not enough memory");
  charge(lua_, 1 + cost_of_bytes(bytes));
}
void LibraryBuffer::append(std::string_view bytes) {
  make_room(bytes.size());
  bytes_.append(bytes);
}
void LibraryBuffer::append(std::size_t count, char byte) {
  make_room(count);
  bytes_.append(count, byte);
}

void push_error(lua_State* lua, std::string_view message) {
  lua_createtable(lua, 0, 1);
  lua_pushlstring(lua, message.data(), message.size());
  lua_setfield(lua, -2, "err");
}

void end_execution(lua_State* lua, ScriptRun& run) {
  // Whatever the script catches, the next instruction ends it again.
  lua_sethook(lua, look, LUA_MASKCOUNT, 1);
  push_error(lua, run.end);
  lua_error(lua);
  std::abort();  // lua_error() does not return
}

}  // namespace even
