// Between replies and Lua's values:
// https://redis.io/docs/latest/develop/interact/programmability/lua-api/
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "script/lua_state.h"

namespace even {
namespace {

// Beyond it a reply is an error: a table may hold itself many times over.
constexpr std::size_t kMostReplyBytes = 512u << 20;
// Each level takes some of the thread's stack.
constexpr int kMostReplyDepth = 1000;

// What the engine has written, so its form is known.
class ReplyReader {
 public:
  ReplyReader(lua_State* lua, std::string_view reply) : lua_(lua), rest_(reply) {}

  void push() {
    luaL_checkstack(lua_, 4, "the reply is too deep");
    const char type = rest_.front();
    const std::string_view line = take_line();
    switch (type) {
      case ':':
        return lua_pushnumber(lua_, static_cast<lua_Number>(number(line)));
      case '+':
        return push_field("ok", line);
      case '-':
        push_field("err", line);
        lua_pushboolean(lua_, 1);
        return lua_setfield(lua_, -2, "ignore_error_stats_update");
      case '$':
        if (line == "-1") return lua_pushboolean(lua_, 0);
        return push_string(take_bytes(line));
      case '*':
        if (line == "-1") return lua_pushboolean(lua_, 0);
        return push_array(number(line));
      case '_':
        return lua_pushnil(lua_);
      case '#':
        return lua_pushboolean(lua_, line == "t" ? 1 : 0);
      case ',':
        lua_createtable(lua_, 0, 1);
        lua_pushnumber(lua_, real(line));
        return lua_setfield(lua_, -2, "double");
      case '(':
        return push_field("big_number", line);
      case '=':
        return push_verbatim(take_bytes(line));
      case '%':
        return push_map(number(line));
      case '~':
        return push_set(number(line));
      default:
        luaL_error(lua_, "a reply of an unknown type");
    }
  }

 private:
  std::string_view take_line() {
    const std::size_t end = rest_.find('\r');
    const std::string_view line = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 2);
    return line;
  }
  std::string_view take_bytes(std::string_view length) {
    const std::string_view bytes = rest_.substr(0, static_cast<std::size_t>(number(length)));
    rest_.remove_prefix(bytes.size() + 2);
    return bytes;
  }
  static std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }
  static double real(std::string_view text) {
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }
  void push_string(std::string_view bytes) { lua_pushlstring(lua_, bytes.data(), bytes.size()); }
  void push_field(const char* name, std::string_view value) {
    lua_createtable(lua_, 0, 2);
    push_string(value);
    lua_setfield(lua_, -2, name);
  }
  void push_array(std::int64_t length) {
    lua_createtable(lua_, static_cast<int>(length), 0);
    for (int i = 1; i <= length; ++i) {
      push();
      lua_rawseti(lua_, -2, i);
    }
  }
  void push_map(std::int64_t pairs) {
    lua_createtable(lua_, 0, 1);
    lua_createtable(lua_, 0, static_cast<int>(pairs));
    for (std::int64_t i = 0; i < pairs; ++i) {
      push();
      push();
      lua_rawset(lua_, -3);
    }
    lua_setfield(lua_, -2, "map");
  }
  void push_set(std::int64_t length) {
    lua_createtable(lua_, 0, 1);
    lua_createtable(lua_, 0, static_cast<int>(length));
    for (std::int64_t i = 0; i < length; ++i) {
      push();
      lua_pushboolean(lua_, 1);
      lua_rawset(lua_, -3);
    }
    lua_setfield(lua_, -2, "set");
  }
  void push_verbatim(std::string_view bytes) {
    lua_createtable(lua_, 0, 1);
    lua_createtable(lua_, 0, 2);
    push_string(bytes.substr(0, 3));
    lua_setfield(lua_, -2, "format");
    push_string(bytes.substr(4));
    lua_setfield(lua_, -2, "string");
    lua_setfield(lua_, -2, "verbatim_string");
  }

  lua_State* lua_;
  std::string_view rest_;
};

class ReplyWriter {
 public:
  ReplyWriter(lua_State* lua, Reply& reply, bool script_resp3)
      : lua_(lua), reply_(reply), script_resp3_(script_resp3), begin_(reply.position()) {}

  void write() {
    switch (lua_type(lua_, -1)) {
      case LUA_TSTRING:
        reply_.bulk(text());
        break;
      case LUA_TBOOLEAN:
        write_boolean(lua_toboolean(lua_, -1) != 0);
        break;
      case LUA_TNUMBER:
        reply_.integer(truncated(lua_tonumber(lua_, -1)));
        break;
      case LUA_TTABLE:
        write_table();
        break;
      default:
        reply_.null();
    }
    lua_pop(lua_, 1);
  }
  bool too_long() const { return reply_.position() - begin_ > kMostReplyBytes; }

 private:
  std::string_view text() {
    std::size_t size = 0;
    const char* bytes = lua_tolstring(lua_, -1, &size);
    return {bytes, size};
  }
  // As C does it on x86.
  static std::int64_t truncated(lua_Number number) {
    constexpr lua_Number kBound = 9223372036854775808.0;
    if (!(number >= -kBound && number < kBound)) return std::numeric_limits<std::int64_t>::min();
    return static_cast<std::int64_t>(number);
  }
  void write_boolean(bool value) {
    if (script_resp3_) return reply_.boolean(value);
    value ? reply_.integer(1) : reply_.null();
  }
  // Whether the table on top has such a field, which is pushed then.
  bool has(const char* name, int type) {
    lua_pushstring(lua_, name);
    lua_rawget(lua_, -2);
    if (lua_type(lua_, -1) == type) return true;
    lua_pop(lua_, 1);
    return false;
  }
  bool has_text(const char* name) { return has(name, LUA_TSTRING); }

  void write_table() {
    if (depth_ == kMostReplyDepth || lua_checkstack(lua_, 6) == 0) {
      return reply_.error("ERR reached lua stack limit");
    }
    ++depth_;
    write_fields();
    --depth_;
  }
  void write_fields() {
    if (has_text("err")) {
      reply_.error(text());
    } else if (has_text("ok")) {
      std::string line(text());
      for (char& c : line) {
        if (c == '\r' || c == '\n') c = ' ';
      }
      reply_.simple(line);
    } else if (has("double", LUA_TNUMBER)) {
      reply_.real(lua_tonumber(lua_, -1));
    } else if (has("map", LUA_TTABLE)) {
      write_map();
    } else if (has("set", LUA_TTABLE)) {
      write_set();
    } else if (has_text("big_number")) {
      std::string digits(text());
      for (char& c : digits) {
        if (c == '\r' || c == '\n') c = ' ';
      }
      reply_.big_number(digits);
    } else if (has("verbatim_string", LUA_TTABLE)) {
      write_verbatim();
    } else {
      return write_array();
    }
    lua_pop(lua_, 1);
  }
  void write_array() {
    std::size_t length = 0;
    for (bool more = true; more; length += more ? 1 : 0) {
      lua_rawgeti(lua_, -1, static_cast<int>(length) + 1);
      more = !lua_isnil(lua_, -1);
      lua_pop(lua_, 1);
    }
    reply_.array(length);
    for (std::size_t i = 1; i <= length && !too_long(); ++i) {
      lua_rawgeti(lua_, -1, static_cast<int>(i));
      write();
    }
  }
  std::size_t count() {
    std::size_t count = 0;
    for (lua_pushnil(lua_); lua_next(lua_, -2) != 0; lua_pop(lua_, 1)) ++count;
    return count;
  }
  void write_map() {
    reply_.map(count());
    for (lua_pushnil(lua_); lua_next(lua_, -2) != 0 && !too_long();) {
      lua_pushvalue(lua_, -2);
      write();
      write();
    }
  }
  void write_set() {
    reply_.set(count());
    for (lua_pushnil(lua_); lua_next(lua_, -2) != 0 && !too_long();) {
      lua_pop(lua_, 1);
      lua_pushvalue(lua_, -1);
      write();
    }
  }
  void write_verbatim() {
    if (!has_text("format")) return reply_.null();
    const std::string format(text());
    lua_pop(lua_, 1);
    if (!has_text("string")) return reply_.null();
    reply_.verbatim((format + "   ").substr(0, 3), text());
    lua_pop(lua_, 1);
  }

  lua_State* lua_;
  Reply& reply_;
  const bool script_resp3_;
  const std::size_t begin_;
  int depth_ = 0;
};

}  // namespace

void push_reply(lua_State* lua, std::string_view reply) { ReplyReader(lua, reply).push(); }

void write_value(lua_State* lua, Reply& reply, bool script_resp3) {
  const int below = lua_gettop(lua) - 1;
  const std::size_t begin = reply.position();
  ReplyWriter writer(lua, reply, script_resp3);
  writer.write();
  lua_settop(lua, below);
  if (!writer.too_long()) return;
  reply.cut(begin);
  reply.error("ERR the reply of the script is too long");
}

}  // namespace even
