// Library `cjson`: JSON, with the functions, rules and errors of Lua CJSON 2.1.0
// (https://kyne.au/~mark/software/lua-cjson-manual.html), whose settings hold for one execution.
// Why it is not that library: docs/decisions/0002-libraries-of-scripts.md.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/text.h"
#include "script/lua_state.h"

namespace even {
namespace {

JsonSettings& settings(lua_State* lua) { return LuaState::of(lua).json; }

// --- Encoding

class JsonEncoder {
 public:
  explicit JsonEncoder(lua_State* lua) : lua_(lua), settings_(settings(lua)), out_(lua) {}

  // The value on top of the stack, which stays.
  void append(int depth) {
    switch (lua_type(lua_, -1)) {
      case LUA_TSTRING:
        return append_string();
      case LUA_TNUMBER:
        return append_number();
      case LUA_TBOOLEAN:
        return add(lua_toboolean(lua_, -1) != 0 ? "true" : "false");
      case LUA_TTABLE:
        return append_table(depth + 1);
      case LUA_TNIL:
        return add("null");
      case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(lua_, -1) == nullptr) return add("null");
        [[fallthrough]];
      default:
        refuse(-1, "type not supported");
    }
  }
  void push() { out_.push(); }

 private:
  void refuse(int place, const char* why) {
    luaL_error(lua_, "Cannot serialise %s: %s", luaL_typename(lua_, place), why);
  }
  void add(std::string_view text) { out_.append(text); }
  void append_string() {
    std::size_t size = 0;
    const char* bytes = lua_tolstring(lua_, -1, &size);
    add("\"");
    const char* run = bytes;
    const char* const end = bytes + size;
    for (const char* at = bytes; at != end; ++at) {
      char escape[8];
      const std::string_view with = escaped(*at, escape);
      if (with.empty()) continue;
      add({run, static_cast<std::size_t>(at - run)});
      add(with);
      run = at + 1;
    }
    add({run, static_cast<std::size_t>(end - run)});
    add("\"");
  }
  // Empty: as it is.
  static std::string_view escaped(char c, char (&out)[8]) {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '/':
        return "\\/";
      case '\b':
        return "\\b";
      case '\t':
        return "\\t";
      case '\n':
        return "\\n";
      case '\f':
        return "\\f";
      case '\r':
        return "\\r";
      default:
        break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte != 127) return {};
    return {out, static_cast<std::size_t>(std::snprintf(out, sizeof out, "\\u%04x", byte))};
  }
  void append_number() {
    const lua_Number number = lua_tonumber(lua_, -1);
    if (!std::isfinite(number)) {
      if (settings_.encode_invalid == JsonSettings::Invalid::kNull) return add("null");
      if (settings_.encode_invalid == JsonSettings::Invalid::kRefused) {
        refuse(-1, "must not be NaN or Inf");
      }
    }
    char text[64];
    add({text, static_cast<std::size_t>(
                   std::snprintf(text, sizeof text, "%.*g", settings_.precision, number))});
  }
  // The highest index of what is an array, 0 of the empty table; -1: it is none.
  int array_length() {
    int most = 0;
    int count = 0;
    for (lua_pushnil(lua_); lua_next(lua_, -2) != 0; lua_pop(lua_, 1)) {
      if (lua_type(lua_, -2) == LUA_TNUMBER) {
        const lua_Number index = lua_tonumber(lua_, -2);
        if (index >= 1 && index < 2147483647 && std::floor(index) == index) {
          most = std::max(most, static_cast<int>(index));
          ++count;
          continue;
        }
      }
      lua_pop(lua_, 2);
      return -1;
    }
    const JsonSettings& s = settings_;
    if (s.sparse_ratio > 0 && most > static_cast<std::int64_t>(count) * s.sparse_ratio &&
        most > s.sparse_safe) {
      if (!s.sparse_convert) refuse(-1, "excessively sparse array");
      return -1;
    }
    return most;
  }
  void append_table(int depth) {
    if (depth > settings_.encode_depth || lua_checkstack(lua_, 4) == 0) {
      luaL_error(lua_, "Cannot serialise, excessive nesting (%d)", depth);
    }
    const int length = array_length();
    if (length > 0) return append_array(length, depth);
    append_object(depth);
  }
  void append_array(int length, int depth) {
    add("[");
    for (int i = 1; i <= length; ++i) {
      if (i > 1) add(",");
      lua_rawgeti(lua_, -1, i);
      append(depth);
      lua_pop(lua_, 1);
    }
    add("]");
  }
  void append_object(int depth) {
    add("{");
    bool first = true;
    for (lua_pushnil(lua_); lua_next(lua_, -2) != 0; lua_pop(lua_, 1)) {
      if (!first) add(",");
      first = false;
      append_key();
      append(depth);
    }
    add("}");
  }
  void append_key() {
    const int type = lua_type(lua_, -2);
    if (type != LUA_TNUMBER && type != LUA_TSTRING) {
      refuse(-2, "table key must be a number or string");
    }
    lua_pushvalue(lua_, -2);
    if (type == LUA_TNUMBER) {
      add("\"");
      append_number();
      add("\":");
    } else {
      append_string();
      add(":");
    }
    lua_pop(lua_, 1);
  }

  lua_State* lua_;
  const JsonSettings& settings_;
  LibraryBuffer out_;
};

int encode(lua_State* lua) {
  luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
  JsonEncoder encoder(lua);
  encoder.append(0);
  encoder.push();
  return 1;
}

// --- Decoding

class JsonDecoder {
 public:
  JsonDecoder(lua_State* lua, std::string_view text)
      : lua_(lua),
        settings_(settings(lua)),
        begin_(text.data()),
        at_(text.data()),
        end_(text.data() + text.size()) {}

  // Pushes the value.
  void decode() {
    next();
    push_value();
    next();
    if (token_ != Token::kEnd) refuse("the end");
  }

 private:
  enum class Token : std::uint8_t {
    kObjectBegin,
    kObjectEnd,
    kArrayBegin,
    kArrayEnd,
    kString,
    kNumber,
    kTrue,
    kFalse,
    kNull,
    kColon,
    kComma,
    kEnd,
    kError,
  };
  const char* name() const {
    constexpr const char* kNames[] = {"T_OBJ_BEGIN", "T_OBJ_END", "T_ARR_BEGIN", "T_ARR_END",
                                      "T_STRING",    "T_NUMBER",  "T_BOOLEAN",   "T_BOOLEAN",
                                      "T_NULL",      "T_COLON",   "T_COMMA",     "T_END"};
    return token_ == Token::kError ? error_ : kNames[static_cast<std::size_t>(token_)];
  }
  void refuse(const char* expected) {
    luaL_error(lua_, "Expected %s but found %s at character %d", expected, name(),
               static_cast<int>(token_at_ - begin_) + 1);
  }
  void found(Token token, std::size_t size) {
    token_ = token;
    at_ += size;
  }
  void fail_at(const char* why) {
    token_ = Token::kError;
    error_ = why;
    token_at_ = at_;
  }
  bool starts_with(std::string_view word) const {
    return std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word);
  }
  // The byte at a place; 0 behind the end, as Lua's strings have it.
  char byte(const char* place) const { return place < end_ ? *place : '\0'; }

  void next() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
    token_at_ = at_;
    if (at_ == end_) return found(Token::kEnd, 0);
    switch (*at_) {
      case '{':
        return found(Token::kObjectBegin, 1);
      case '}':
        return found(Token::kObjectEnd, 1);
      case '[':
        return found(Token::kArrayBegin, 1);
      case ']':
        return found(Token::kArrayEnd, 1);
      case ',':
        return found(Token::kComma, 1);
      case ':':
        return found(Token::kColon, 1);
      case '"':
        return read_string();
      default:
        break;
    }
    if (*at_ == '-' || (*at_ >= '0' && *at_ <= '9')) {
      if (!settings_.decode_invalid && is_invalid_number()) return fail_at("invalid number");
      return read_number();
    }
    if (starts_with("true")) return found(Token::kTrue, 4);
    if (starts_with("false")) return found(Token::kFalse, 5);
    if (starts_with("null")) return found(Token::kNull, 4);
    if (settings_.decode_invalid && is_invalid_number()) return read_number();
    fail_at("invalid token");
  }
  // What strtod() takes for a number and JSON does not.
  bool is_invalid_number() const {
    const char* p = at_;
    if (byte(p) == '+') return true;
    if (byte(p) == '-') ++p;
    if (byte(p) == '0') {
      const char c = byte(p + 1);
      return (c | 0x20) == 'x' || (c >= '0' && c <= '9');
    }
    if (byte(p) <= '9') return false;
    const std::string_view rest(p, std::min<std::size_t>(3, static_cast<std::size_t>(end_ - p)));
    return equals_ignore_case(rest, "inf") || equals_ignore_case(rest, "nan");
  }
  void read_number() {
    char* stop = nullptr;
    number_ = std::strtod(at_, &stop);  // a string of Lua's ends with a NUL byte
    if (stop == at_) return fail_at("invalid number");
    found(Token::kNumber, static_cast<std::size_t>(stop - at_));
  }
  void read_string() {
    string_.clear();
    const char* const opening = at_++;
    for (;;) {
      const char c = byte(at_);
      if (c == '"' && at_ < end_) break;
      if (c == '\0') return fail_at("unexpected end of string");
      if (c != '\\') {
        string_ += c;
        ++at_;
        continue;
      }
      if (byte(at_ + 1) == 'u') {
        if (!read_unicode()) return fail_at("invalid unicode escape code");
        continue;
      }
      constexpr std::string_view kEscapes = "\"\\/bfnrt";
      constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
      const char escape = byte(at_ + 1);
      const std::size_t place = escape == '\0' ? std::string_view::npos : kEscapes.find(escape);
      if (place == std::string_view::npos) return fail_at("invalid escape code");
      string_ += kMeant[place];
      at_ += 2;
    }
    ++at_;
    token_at_ = opening;
    token_ = Token::kString;
  }
  // Four hexadecimal digits; -1: they are not.
  int read_digits(const char* place) const {
    int value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = byte(place + i);
      const char lower = to_lower(c);
      const int digit = c >= '0' && c <= '9'           ? c - '0'
                        : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                       : -1;
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  }
  bool read_unicode() {
    int code = read_digits(at_ + 2);
    if (code < 0) return false;
    std::size_t size = 6;
    if ((code & 0xf800) == 0xd800) {
      // A pair of surrogates.
      if ((code & 0x400) != 0 || byte(at_ + 6) != '\\' || byte(at_ + 7) != 'u') return false;
      const int low = read_digits(at_ + 8);
      if (low < 0 || (low & 0xfc00) != 0xdc00) return false;
      code = (((code & 0x3ff) << 10) | (low & 0x3ff)) + 0x10000;
      size = 12;
    }
    at_ += size;
    const auto put = [this](int value) { string_ += static_cast<char>(value); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xc0 | code >> 6);
      put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      put(0xe0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3f));
      put(0x80 | (code & 0x3f));
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
      put(0x80 | (code >> 6 & 0x3f));
      put(0x80 | (code & 0x3f));
    }
    return true;
  }

  void push_value() {
    switch (token_) {
      case Token::kString:
        lua_pushlstring(lua_, string_.data(), string_.size());
        return;
      case Token::kNumber:
        return lua_pushnumber(lua_, number_);
      case Token::kTrue:
      case Token::kFalse:
        return lua_pushboolean(lua_, token_ == Token::kTrue ? 1 : 0);
      case Token::kNull:
        return lua_pushlightuserdata(lua_, nullptr);
      case Token::kObjectBegin:
        return push_object();
      case Token::kArrayBegin:
        return push_array();
      default:
        refuse("value");
    }
  }
  void descend() {
    if (++depth_ <= settings_.decode_depth && lua_checkstack(lua_, 4) != 0) return;
    luaL_error(lua_, "Found too many nested data structures (%d) at character %d", depth_,
               static_cast<int>(at_ - begin_));
  }
  void push_object() {
    descend();
    lua_newtable(lua_);
    next();
    if (token_ == Token::kObjectEnd) return ascend();
    for (;; next()) {
      if (token_ != Token::kString) refuse("object key string");
      lua_pushlstring(lua_, string_.data(), string_.size());
      next();
      if (token_ != Token::kColon) refuse("colon");
      next();
      push_value();
      lua_rawset(lua_, -3);
      next();
      if (token_ == Token::kObjectEnd) return ascend();
      if (token_ != Token::kComma) refuse("comma or object end");
    }
  }
  void push_array() {
    descend();
    lua_newtable(lua_);
    next();
    if (token_ == Token::kArrayEnd) return ascend();
    for (int i = 1;; ++i, next()) {
      push_value();
      lua_rawseti(lua_, -2, i);
      next();
      if (token_ == Token::kArrayEnd) return ascend();
      if (token_ != Token::kComma) refuse("comma or array end");
    }
  }
  void ascend() { --depth_; }

  lua_State* lua_;
  const JsonSettings& settings_;
  const char* const begin_;
  const char* at_;
  const char* const end_;
  Token token_ = Token::kEnd;
  const char* token_at_ = nullptr;
  const char* error_ = "";
  std::string string_;
  double number_ = 0;
  int depth_ = 0;
};

int decode(lua_State* lua) {
  luaL_argcheck(lua, lua_gettop(lua) == 1, 1, "expected 1 argument");
  std::size_t size = 0;
  const char* text = luaL_checklstring(lua, 1, &size);
  if (size >= 2 && (text[0] == '\0' || text[1] == '\0')) {
    return luaL_error(lua, "JSON parser does not support UTF-16 or UTF-32");
  }
  charge(lua, size);
  JsonDecoder(lua, {text, size}).decode();
  return 1;
}

// --- Settings

void take_integer(lua_State* lua, int place, int& setting, int least, int most) {
  if (!lua_isnoneornil(lua, place)) {
    const lua_Integer value = luaL_checkinteger(lua, place);
    if (value < least || value > most) {
      luaL_argerror(lua, place,
                    lua_pushfstring(lua, "expected integer between %d and %d", least, most));
    }
    setting = static_cast<int>(value);
  }
  lua_pushinteger(lua, setting);
}

void take_boolean(lua_State* lua, int place, bool& setting) {
  if (!lua_isnoneornil(lua, place)) {
    if (lua_type(lua, place) == LUA_TBOOLEAN) {
      setting = lua_toboolean(lua, place) != 0;
    } else {
      static const char* const kWords[] = {"off", "on", nullptr};
      setting = luaL_checkoption(lua, place, nullptr, kWords) == 1;
    }
  }
  lua_pushboolean(lua, setting ? 1 : 0);
}

int encode_sparse_array(lua_State* lua) {
  lua_settop(lua, 3);
  JsonSettings& s = settings(lua);
  take_boolean(lua, 1, s.sparse_convert);
  take_integer(lua, 2, s.sparse_ratio, 0, 2147483647);
  take_integer(lua, 3, s.sparse_safe, 0, 2147483647);
  return 3;
}
int encode_max_depth(lua_State* lua) {
  take_integer(lua, 1, settings(lua).encode_depth, 1, 2147483647);
  return 1;
}
int decode_max_depth(lua_State* lua) {
  take_integer(lua, 1, settings(lua).decode_depth, 1, 2147483647);
  return 1;
}
int encode_number_precision(lua_State* lua) {
  take_integer(lua, 1, settings(lua).precision, 1, 16);
  return 1;
}
int encode_keep_buffer(lua_State* lua) {
  take_boolean(lua, 1, settings(lua).keep_buffer);
  return 1;
}
int encode_invalid_numbers(lua_State* lua) {
  using Invalid = JsonSettings::Invalid;
  Invalid& setting = settings(lua).encode_invalid;
  if (lua_type(lua, 1) == LUA_TBOOLEAN) {
    setting = lua_toboolean(lua, 1) != 0 ? Invalid::kAllowed : Invalid::kRefused;
  } else if (!lua_isnoneornil(lua, 1)) {
    static const char* const kWords[] = {"off", "on", "null", nullptr};
    setting = static_cast<Invalid>(luaL_checkoption(lua, 1, nullptr, kWords));
  }
  if (setting == Invalid::kNull) {
    lua_pushliteral(lua, "null");
  } else {
    lua_pushboolean(lua, setting == Invalid::kAllowed ? 1 : 0);
  }
  return 1;
}
int decode_invalid_numbers(lua_State* lua) {
  take_boolean(lua, 1, settings(lua).decode_invalid);
  return 1;
}

// Settings end with the execution, so one library serves all.
int new_library(lua_State* lua) {
  lua_getglobal(lua, "cjson");
  return 1;
}

}  // namespace

void open_json_library(lua_State* lua) {
  constexpr luaL_Reg kJsonFunctions[] = {{"encode", encode},
                                         {"decode", decode},
                                         {"encode_sparse_array", encode_sparse_array},
                                         {"encode_max_depth", encode_max_depth},
                                         {"decode_max_depth", decode_max_depth},
                                         {"encode_number_precision", encode_number_precision},
                                         {"encode_keep_buffer", encode_keep_buffer},
                                         {"encode_invalid_numbers", encode_invalid_numbers},
                                         {"decode_invalid_numbers", decode_invalid_numbers},
                                         {"new", new_library},
                                         {nullptr, nullptr}};
  lua_newtable(lua);
  luaL_register(lua, nullptr, kJsonFunctions);
  lua_pushlightuserdata(lua, nullptr);
  lua_setfield(lua, -2, "null");
  lua_pushliteral(lua, "cjson");
  lua_setfield(lua, -2, "_NAME");
  lua_pushliteral(lua, "2.1.0");
  lua_setfield(lua, -2, "_VERSION");
  lua_setglobal(lua, "cjson");
}

}  // namespace even
