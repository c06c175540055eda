// The sandbox: what there is in the state of a script, and what is made safe of it.
//
// Stock Lua 5.1 has no read-only tables, as Redis's own copy of it has. In their place scripts see
// an empty table for each library and for the globals, whose metatable reads from the real one and
// refuses writes; what would go around a metatable (rawset, table.insert and others) looks whether
// it is given such a table.
#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "script/lua_state.h"

namespace even {

const char kRealGlobals = 0;

namespace {

// The key in the registry of a table from each protecting table to the real one.
const char kProtected = 0;
constexpr std::size_t kMostRepeated = 256u << 20;
constexpr std::ptrdiff_t kMostNested = 200;  // of what a pattern has of repetitions and parentheses
// Of an error that is raised and caught, in instructions; and of a coroutine that is begun.
constexpr std::uint64_t kThrownCost = 1000;

void push_registered(lua_State* lua, const char& key) {
  lua_pushlightuserdata(lua, const_cast<char*>(&key));
  lua_rawget(lua, LUA_REGISTRYINDEX);
}

// Pushes the real table of a protecting one. False, and nothing is pushed: it is none.
bool push_real(lua_State* lua, int place) {
  push_registered(lua, kProtected);
  lua_pushvalue(lua, place);
  lua_rawget(lua, -2);
  lua_remove(lua, -2);
  if (!lua_isnil(lua, -1)) return true;
  lua_pop(lua, 1);
  return false;
}

int refuse_write(lua_State* lua) { return luaL_error(lua, "Attempt to modify a readonly table"); }

// Calls the function of Lua's that upvalue 1 is, with all arguments.
int call_wrapped(lua_State* lua) {
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
  return lua_gettop(lua);
}

// A function of Lua's that changes the table which is its first argument; upvalue 1: the function.
int change_table(lua_State* lua) {
  if (lua_istable(lua, 1) && push_real(lua, 1)) return refuse_write(lua);
  return call_wrapped(lua);
}

// Where Lua's function moves elements, each counts.
int insert_item(lua_State* lua) {
  if (lua_gettop(lua) == 3 && lua_istable(lua, 1)) {
    const lua_Integer size = static_cast<lua_Integer>(lua_objlen(lua, 1));
    const lua_Integer place = luaL_checkint(lua, 2);
    // Lua would move what lies between it and the table's end, though there is nothing.
    luaL_argcheck(lua, place >= 0, 2, "position out of bounds");
    if (place <= size) charge(lua, static_cast<std::uint64_t>(size - place));
  }
  return change_table(lua);
}
int remove_item(lua_State* lua) {
  if (lua_gettop(lua) >= 2 && lua_istable(lua, 1)) {
    const lua_Integer size = static_cast<lua_Integer>(lua_objlen(lua, 1));
    const lua_Integer place = luaL_checkint(lua, 2);
    if (place >= 1 && place <= size) charge(lua, static_cast<std::uint64_t>(size - place));
  }
  return change_table(lua);
}
int sort_items(lua_State* lua) {
  if (lua_istable(lua, 1)) {
    const std::size_t size = lua_objlen(lua, 1);
    charge(lua, size * static_cast<std::size_t>(std::bit_width(size)));
  }
  return change_table(lua);
}

int raw_get(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_checkany(lua, 2);
  lua_settop(lua, 2);
  if (push_real(lua, 1)) lua_replace(lua, 1);
  lua_rawget(lua, 1);
  return 1;
}

int missing_global(lua_State* lua) {
  const char* name = lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?";
  return luaL_error(lua, "Script attempted to access nonexistent global variable '%s'", name);
}

// As in Redis, of a table with `err` only that comes back.
int protected_call(lua_State* lua) {
  luaL_checkany(lua, 1);
  const int arguments = lua_gettop(lua) - 1;
  const int status = lua_pcall(lua, arguments, LUA_MULTRET, 0);
  if (status != 0) {
    charge(lua, kThrownCost);
    // Of an exception that is none of Lua's there is no value.
    if (lua_gettop(lua) == 0) lua_pushliteral(lua, "execution failure");
    if (lua_istable(lua, -1)) {
      lua_pushliteral(lua, "err");
      lua_rawget(lua, -2);
      lua_isstring(lua, -1) ? lua_replace(lua, -2) : lua_pop(lua, 1);
    }
  }
  lua_pushboolean(lua, status == 0 ? 1 : 0);
  lua_insert(lua, 1);
  return lua_gettop(lua);
}

// What memory there is, and when it is collected, differs from node to node.
int collect_garbage(lua_State* lua) {
  static const char* const kOptions[] = {"stop", "restart",  "collect",    "count",
                                         "step", "setpause", "setstepmul", nullptr};
  constexpr int kStep = 4;
  if (luaL_checkoption(lua, 1, "collect", kOptions) == kStep) {
    lua_pushboolean(lua, 0);
  } else {
    lua_pushinteger(lua, 0);
  }
  return 1;
}

int gc_info(lua_State* lua) {
  lua_pushinteger(lua, 0);
  return 1;
}

// As Lua's own, but where several members execute the script, addresses are no part of it.
int to_string(lua_State* lua) {
  luaL_checkany(lua, 1);
  if (luaL_callmeta(lua, 1, "__tostring") != 0) return 1;
  switch (lua_type(lua, 1)) {
    case LUA_TNUMBER:
      lua_pushstring(lua, lua_tostring(lua, 1));
      break;
    case LUA_TSTRING:
      lua_pushvalue(lua, 1);
      break;
    case LUA_TBOOLEAN:
      lua_pushstring(lua, lua_toboolean(lua, 1) != 0 ? "true" : "false");
      break;
    case LUA_TNIL:
      lua_pushliteral(lua, "nil");
      break;
    default: {
      const ScriptRun* run = LuaState::of(lua).run;
      const bool same = run != nullptr && run->host.same_everywhere();
      lua_pushfstring(lua, "%s: %p", luaL_typename(lua, 1), same ? nullptr : lua_topointer(lua, 1));
    }
  }
  return 1;
}

int load_chunk(lua_State* lua, std::string_view text, const char* name) {
  if (LuaState::of(lua).compile(text, name) == 0) return 1;
  lua_pushnil(lua);
  lua_insert(lua, -2);
  return 2;
}

int load_string(lua_State* lua) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(lua, 1, &size);
  return load_chunk(lua, {text, size}, luaL_optstring(lua, 2, text));
}

// Calls the function until it has no more, and compiles all of that.
int load_pieces(lua_State* lua) {
  const char* name = luaL_optstring(lua, 2, "=(load)");
  luaL_checktype(lua, 1, LUA_TFUNCTION);
  std::string text;
  for (;;) {
    lua_pushvalue(lua, 1);
    lua_call(lua, 0, 1);
    std::size_t size = 0;
    if (lua_isnil(lua, -1)) break;
    if (!lua_isstring(lua, -1)) return luaL_error(lua, "reader function must return a string");
    const char* piece = lua_tolstring(lua, -1, &size);
    if (size == 0) break;
    if (text.size() + size > kMostRepeated) return luaL_error(lua, "the chunk is too long");
    text.append(piece, size);
    lua_pop(lua, 1);
  }
  return load_chunk(lua, text, name);
}

// Without Lua's overflow of the number of values (CVE-2025-46817).
int unpack(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  const lua_Integer from = luaL_optinteger(lua, 2, 1);
  const lua_Integer to = lua_isnoneornil(lua, 3) ? static_cast<lua_Integer>(lua_objlen(lua, 1))
                                                 : luaL_checkinteger(lua, 3);
  if (from > to) return 0;
  constexpr lua_Integer kBound = 1'000'000'000;
  const bool sane = from > -kBound && to < kBound;
  if (!sane || to - from >= LUAI_MAXCSTACK ||
      lua_checkstack(lua, static_cast<int>(to - from + 1)) == 0) {
    return luaL_error(lua, "too many results to unpack");
  }
  for (lua_Integer i = from; i <= to; ++i) lua_rawgeti(lua, 1, static_cast<int>(i));
  return static_cast<int>(to - from + 1);
}

// Lua's own takes as many steps as it is asked for, even of nothing.
int repeat(lua_State* lua) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(lua, 1, &size);
  const lua_Number count = luaL_checknumber(lua, 2);
  if (size == 0 || !(count >= 1)) {
    lua_pushliteral(lua, "");
    return 1;
  }
  if (static_cast<lua_Number>(size) * std::floor(count) > static_cast<lua_Number>(kMostRepeated)) {
    return luaL_error(lua, "resulting string too large");
  }
  const auto times = static_cast<std::size_t>(count);
  charge(lua, times + cost_of_bytes(size * times));
  std::string out;
  out.reserve(size * times);
  for (std::size_t i = 0; i < times; ++i) out.append(text, size);
  lua_pushlstring(lua, out.data(), out.size());
  return 1;
}

int random(lua_State* lua) {
  constexpr std::uint32_t kMost = 2147483647;
  const lua_Number r = static_cast<lua_Number>(LuaState::of(lua).random() % kMost) / kMost;
  switch (lua_gettop(lua)) {
    case 0:
      lua_pushnumber(lua, r);
      return 1;
    case 1: {
      const int upper = luaL_checkint(lua, 1);
      luaL_argcheck(lua, 1 <= upper, 1, "interval is empty");
      lua_pushnumber(lua, std::floor(r * upper) + 1);
      return 1;
    }
    case 2: {
      const lua_Integer lower = luaL_checkint(lua, 1);
      const lua_Integer upper = luaL_checkint(lua, 2);
      luaL_argcheck(lua, lower <= upper, 2, "interval is empty");
      lua_pushnumber(lua, std::floor(r * static_cast<lua_Number>(upper - lower + 1)) +
                              static_cast<lua_Number>(lower));
      return 1;
    }
    default:
      return luaL_error(lua, "wrong number of arguments");
  }
}

int seed_random(lua_State* lua) {
  LuaState::of(lua).seed(static_cast<std::uint32_t>(luaL_checkint(lua, 1)));
  return 0;
}

// The handler of xpcall(); upvalue 1: the script's. What ends an execution is raised within a hook,
// where no other hook would end a handler.
int handle_error(lua_State* lua) {
  const ScriptRun* run = LuaState::of(lua).run;
  lua_settop(lua, 1);
  if (run != nullptr && !run->end.empty()) return 1;
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, 1, 1);
  return 1;
}

int protected_call_with_handler(lua_State* lua) {
  luaL_checkany(lua, 2);
  charge(lua, kThrownCost);
  lua_settop(lua, 2);
  if (lua_isfunction(lua, 2)) lua_pushcclosure(lua, handle_error, 1);
  lua_insert(lua, 1);
  const int status = lua_pcall(lua, 0, LUA_MULTRET, 1);
  lua_pushboolean(lua, status == 0 ? 1 : 0);
  lua_replace(lua, 1);
  return lua_gettop(lua);
}

// A coroutine counts its own instructions, fewer than the hook's interval of which nobody would
// see: so its creation counts as that many. Upvalue 1: Lua's function.
int call_dearly(lua_State* lua) {
  charge(lua, kThrownCost);
  return call_wrapped(lua);
}

// A function that goes through a string by a pattern. Lua's matcher calls itself for each item that
// repeats and for each parenthesis, however many there are. Upvalue 1: Lua's function.
int search_string(lua_State* lua) {
  std::size_t size = 0;
  luaL_checklstring(lua, 1, &size);
  std::size_t pattern_size = 0;
  const char* bytes = luaL_checklstring(lua, 2, &pattern_size);
  const std::string_view pattern(bytes, pattern_size);
  charge(lua, 1 + cost_of_bytes(size + pattern_size));
  const auto nests = [](char c) { return std::string_view("*+-?()").contains(c); };
  if (std::ranges::count_if(pattern, nests) > kMostNested) {
    return luaL_error(lua, "pattern too complex");
  }
  return call_wrapped(lua);
}

int find_in_string(lua_State* lua) {
  // Then the pattern is none.
  if (lua_toboolean(lua, 4) == 0) return search_string(lua);
  charge(lua, 1 + cost_of_bytes(lua_objlen(lua, 1) + lua_objlen(lua, 2)));
  return call_wrapped(lua);
}

// Replaces library[name] by `function`, which gets it as its upvalue.
void wrap(lua_State* lua, const char* library, const char* name, lua_CFunction function) {
  lua_getglobal(lua, library);
  lua_getfield(lua, -1, name);
  lua_pushcclosure(lua, function, 1);
  lua_setfield(lua, -2, name);
  lua_pop(lua, 1);
}

void set(lua_State* lua, const char* library, const char* name, lua_CFunction function) {
  lua_getglobal(lua, library);
  lua_pushcfunction(lua, function);
  lua_setfield(lua, -2, name);
  lua_pop(lua, 1);
}

// Replaces the table on top by a protecting one.
void protect(lua_State* lua) {
  lua_newtable(lua);
  lua_newtable(lua);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, refuse_write);
  lua_setfield(lua, -2, "__newindex");
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -2);
  push_registered(lua, kProtected);
  lua_pushvalue(lua, -2);
  lua_pushvalue(lua, -4);
  lua_rawset(lua, -3);
  lua_pop(lua, 1);
  lua_remove(lua, -2);
}

void open(lua_State* lua, lua_CFunction library, const char* name) {
  lua_pushcfunction(lua, library);
  lua_pushstring(lua, name);
  lua_call(lua, 1, 0);
}

}  // namespace

void open_base_libraries(lua_State* lua) {
  open(lua, luaopen_base, "");
  open(lua, luaopen_table, LUA_TABLIBNAME);
  open(lua, luaopen_string, LUA_STRLIBNAME);
  open(lua, luaopen_math, LUA_MATHLIBNAME);
  // What reaches beyond the state, or into another function's environment.
  for (const char* name : {"dofile", "loadfile", "newproxy", "print", "getfenv", "setfenv"}) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  set(lua, "_G", "pcall", protected_call);
  set(lua, "_G", "xpcall", protected_call_with_handler);
  set(lua, "_G", "collectgarbage", collect_garbage);
  set(lua, "_G", "gcinfo", gc_info);
  set(lua, "_G", "tostring", to_string);
  set(lua, "_G", "loadstring", load_string);
  set(lua, "_G", "load", load_pieces);
  set(lua, "_G", "unpack", unpack);
  set(lua, "_G", "rawget", raw_get);
  set(lua, "string", "rep", repeat);
  set(lua, "math", "random", random);
  set(lua, "math", "randomseed", seed_random);
  wrap(lua, "_G", "rawset", change_table);
  wrap(lua, "_G", "setmetatable", change_table);
  wrap(lua, "table", "insert", insert_item);
  wrap(lua, "table", "remove", remove_item);
  wrap(lua, "table", "sort", sort_items);
  wrap(lua, "table", "setn", change_table);
  for (const char* name : {"match", "gsub", "gmatch", "gfind"}) {
    wrap(lua, "string", name, search_string);
  }
  wrap(lua, "string", "find", find_in_string);
  wrap(lua, "coroutine", "create", call_dearly);
  wrap(lua, "coroutine", "wrap", call_dearly);
}

void protect_globals(lua_State* lua) {
  lua_pushlightuserdata(lua, const_cast<char*>(&kProtected));
  lua_newtable(lua);
  lua_rawset(lua, LUA_REGISTRYINDEX);
  for (const char* name :
       {"string", "table", "math", "coroutine", "redis", "bit", "cjson", "cmsgpack", "struct"}) {
    lua_getglobal(lua, name);
    protect(lua);
    lua_setglobal(lua, name);
  }
  lua_getglobal(lua, "redis");
  lua_setglobal(lua, "server");  // as Valkey calls it too
  // All strings share a metatable (CVE-2025-46818): who asks for it gets nothing to change.
  lua_pushliteral(lua, "");
  lua_getmetatable(lua, -1);
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pop(lua, 2);

  lua_pushlightuserdata(lua, const_cast<char*>(&kRealGlobals));
  lua_pushvalue(lua, LUA_GLOBALSINDEX);
  lua_rawset(lua, LUA_REGISTRYINDEX);
  lua_pushvalue(lua, LUA_GLOBALSINDEX);
  lua_newtable(lua);
  lua_pushcfunction(lua, missing_global);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, -2);
  lua_pushvalue(lua, -1);
  protect(lua);
  lua_pushvalue(lua, -1);
  lua_setfield(lua, -3, "_G");
  lua_replace(lua, LUA_GLOBALSINDEX);
  lua_pop(lua, 1);
}

}  // namespace even
