// A Lua state with the sandbox of Redis: its libraries and no others, globals that scripts cannot
// change, memory within a limit. docs/scripting.md
//
// The Lua library is the one that Debian compiles as C++, so errors are thrown and functions that
// Lua calls may have objects with destructors on the stack.
//
// Used by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <lua.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/acl.h"
#include "engine/command.h"
#include "engine/library.h"
#include "script/host.h"
#include "script/script_cache.h"

namespace even {

// The execution under way.
struct ScriptRun {
  ScriptHost& host;
  bool read_only = false;
  ScriptCache* cache = nullptr;                 // with how long is too long; or null, as is:
  ScriptCache::Execution* execution = nullptr;  // where others see it once it takes long
  std::uint64_t budget = 0;                     // of instructions; 0: without

  const AclUser* user = nullptr;  // whose calls are checked; null: nobody's
  Database database = {};         // in which they are, until SELECT says otherwise

  bool resp3 = false;  // what redis.setresp() has chosen
  bool wrote = false;
  bool left = false;  // it has touched a key that does not lie with those it was given
  // Executed, and what takes as long as so many.
  std::uint64_t instructions = 0;
  std::uint64_t looked_at = 0;  // of these: when the clock was looked at last
  std::int64_t began_us = 0;    // 0: it has not taken long
  std::int64_t served_us = 0;   // when others were last served meanwhile
  // Why it is being ended; once it is set, no pcall() of the script keeps it from ending.
  std::string end;
  std::exception_ptr thrown;  // by the host
};

// Of library cjson, as they are when an execution begins.
struct JsonSettings {
  enum class Invalid : std::uint8_t { kRefused, kAllowed, kNull };  // NaN and infinities
  bool sparse_convert = false;
  int sparse_ratio = 2;
  int sparse_safe = 10;
  int encode_depth = 1000;
  int decode_depth = 1000;
  int precision = 14;
  bool keep_buffer = true;
  Invalid encode_invalid = Invalid::kRefused;
  bool decode_invalid = true;
};

class LuaState {
 public:
  explicit LuaState(std::size_t most_bytes);
  ~LuaState();
  LuaState(const LuaState&) = delete;
  LuaState& operator=(const LuaState&) = delete;

  lua_State* lua() { return lua_; }
  // That a function is called in.
  static LuaState& of(lua_State* lua);

  std::size_t bytes() const { return bytes_; }

  // Compiles a script, and leaves a function on the stack, or a message. Returns Lua's status, 0
  // with a function. `name`: as in "@user_script".
  int compile(std::string_view text, const char* name);
  // Calls the function on top of the stack, which is removed, and replies what it returns. Returns
  // Lua's status; of errors, nothing is replied, and what was raised is on the stack.
  int call(ScriptRun& run, Args keys, Args arguments, Reply& reply);
  // The same of a function of a library, which gets both as arguments.
  int call_function(ScriptRun& run, Args keys, Args arguments, Reply& reply);
  // Calls the function on top of the stack, which is all of a library; of what it registers the
  // functions are in `registered`. Returns as call() does.
  struct Registered {
    LibraryFunction about;
    int function = LUA_NOREF;
  };
  int load(ScriptRun& run, std::vector<Registered>& registered);
  // While there is a limit, what would exceed it is an error of Lua; else it is there for what must
  // not fail.
  void limit_memory(bool limited) { limited_ = limited; }

  // Of math.random(): numbers as those of Redis.
  void seed(std::uint32_t seed) { random_ = (std::uint64_t{seed} << 16) | 0x330e; }
  bool seeded() const { return random_ != 0; }
  std::uint32_t random();

  ScriptRun* run = nullptr;
  std::vector<Registered>* registered = nullptr;  // while a library is loaded
  JsonSettings json;
  // Of the call under way of redis.call(): kept for their memory.
  std::string reply;
  std::vector<std::string_view> words;
  std::vector<std::string> numbers;
  std::string words_of_denial;  // of the last call that was refused

 private:
  int call(ScriptRun& run, Args keys, Args arguments, Reply& reply, bool as_arguments);
  int finish_call(ScriptRun& run, int handler, int status);
  static void* allocate(void* self, void* block, std::size_t before, std::size_t size);

  const std::size_t most_bytes_;
  std::size_t bytes_ = 0;
  bool limited_ = false;
  std::uint64_t random_ = 0;
  lua_State* lua_ = nullptr;
};

// --- What a state is made of.

// The libraries of Lua that scripts may use, without what reaches beyond the state or outlives an
// execution (sandbox.cc, as what is below).
void open_base_libraries(lua_State* lua);
// Puts what is global now out of scripts' reach: reads go on, writes are errors.
void protect_globals(lua_State* lua);
// The key in the registry of the table of what is really global.
extern const char kRealGlobals;

// Library `redis` (redis_library.cc).
void open_redis_library(lua_State* lua);
// bit_library.cc, json_library.cc, messagepack_library.cc, struct_library.cc.
void open_bit_library(lua_State* lua);
void open_json_library(lua_State* lua);
void open_messagepack_library(lua_State* lua);
void open_struct_library(lua_State* lua);

// What goes through so many bytes takes as long as so many instructions.
constexpr std::uint64_t cost_of_bytes(std::size_t bytes) { return bytes / 16; }
// What a library does takes as long as so many instructions: to be called before it is done, since
// it ends an execution that has no more of them.
void charge(lua_State* lua, std::uint64_t instructions);
// The bytes of a string that a library makes: charged, and within a limit, as Lua counts them only
// once they are a string of its own.
class LibraryBuffer {
 public:
  explicit LibraryBuffer(lua_State* lua) : lua_(lua) {}

  // Error of Lua: there would be too many.
  void append(std::string_view bytes);
  void append(std::size_t count, char byte);
  std::size_t size() const { return bytes_.size(); }
  void push() { lua_pushlstring(lua_, bytes_.data(), bytes_.size()); }

 private:
  void make_room(std::size_t bytes);

  lua_State* lua_;
  std::string bytes_;
};
// Leaves {err = ...} on the stack, of an error's text with its code.
void push_error(lua_State* lua, std::string_view message);
// Ends the execution as run->end or run->thrown say.
[[noreturn]] void end_execution(lua_State* lua, ScriptRun& run);

// --- Values (values.cc).

// Pushes a reply as the value that Redis has for it.
void push_reply(lua_State* lua, std::string_view reply);
// Replies the value on top of the stack, and removes it.
void write_value(lua_State* lua, Reply& reply, bool script_resp3);

}  // namespace even
