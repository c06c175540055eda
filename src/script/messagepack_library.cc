// Library `cmsgpack`: MessagePack, with the functions, rules and errors of lua-cmsgpack 0.4.0
// (https://github.com/antirez/lua-cmsgpack). The format: https://msgpack.org
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "script/lua_state.h"

namespace even {
namespace {

constexpr int kMostPackedDepth = 16;  // tables that lie deeper are packed as nil

class Packer {
 public:
  explicit Packer(lua_State* lua) : lua_(lua), out_(lua) {}

  // The value on top of the stack, which is removed.
  void pack(int depth) {
    const int type = lua_type(lua_, -1);
    switch (type == LUA_TTABLE && depth == kMostPackedDepth ? LUA_TNIL : type) {
      case LUA_TSTRING:
        pack_string();
        break;
      case LUA_TBOOLEAN:
        put(lua_toboolean(lua_, -1) != 0 ? 0xc3 : 0xc2);
        break;
      case LUA_TNUMBER:
        pack_number(lua_tonumber(lua_, -1));
        break;
      case LUA_TTABLE:
        pack_table(depth);
        break;
      default:
        put(0xc0);
    }
    lua_pop(lua_, 1);
  }
  void push() { out_.push(); }

 private:
  void put(unsigned byte) { out_.append(1, static_cast<char>(byte)); }
  template <typename Number>
  void put_big_endian(unsigned type, Number number) {
    char bytes[1 + sizeof number] = {static_cast<char>(type)};
    for (std::size_t i = sizeof number; i > 0; --i) {
      bytes[i] = static_cast<char>(number & 0xff);
      number = static_cast<Number>(std::uint64_t{number} >> 8);
    }
    out_.append({bytes, sizeof bytes});
  }
  void pack_string() {
    std::size_t size = 0;
    const char* bytes = lua_tolstring(lua_, -1, &size);
    if (size < 32) {
      put(0xa0 | static_cast<unsigned>(size));
    } else if (size <= 0xff) {
      put_big_endian(0xd9, static_cast<std::uint8_t>(size));
    } else if (size <= 0xffff) {
      put_big_endian(0xda, static_cast<std::uint16_t>(size));
    } else {
      put_big_endian(0xdb, static_cast<std::uint32_t>(size));
    }
    out_.append({bytes, size});
  }
  void pack_number(lua_Number number) {
    constexpr lua_Number kBound = 9223372036854775808.0;
    if (number >= -kBound && number < kBound && number == std::floor(number)) {
      return pack_integer(static_cast<std::int64_t>(number));
    }
    const auto narrow = static_cast<float>(number);
    if (static_cast<lua_Number>(narrow) == number) {
      put_big_endian(0xca, std::bit_cast<std::uint32_t>(narrow));
    } else {
      put_big_endian(0xcb, std::bit_cast<std::uint64_t>(number));
    }
  }
  void pack_integer(std::int64_t n) {
    if (n >= 0) {
      if (n <= 127) {
        put(static_cast<unsigned>(n));
      } else if (n <= 0xff) {
        put_big_endian(0xcc, static_cast<std::uint8_t>(n));
      } else if (n <= 0xffff) {
        put_big_endian(0xcd, static_cast<std::uint16_t>(n));
      } else if (n <= 0xffffffff) {
        put_big_endian(0xce, static_cast<std::uint32_t>(n));
      } else {
        put_big_endian(0xcf, static_cast<std::uint64_t>(n));
      }
    } else if (n >= -32) {
      put(static_cast<std::uint8_t>(n));
    } else if (n >= -128) {
      put_big_endian(0xd0, static_cast<std::uint8_t>(n));
    } else if (n >= -32768) {
      put_big_endian(0xd1, static_cast<std::uint16_t>(n));
    } else if (n >= INT32_MIN) {
      put_big_endian(0xd2, static_cast<std::uint32_t>(n));
    } else {
      put_big_endian(0xd3, static_cast<std::uint64_t>(n));
    }
  }
  // Keys 1 to their number and no others.
  bool is_array(std::size_t& count) {
    lua_Number most = 0;
    count = 0;
    bool whole = true;
    for (lua_pushnil(lua_); lua_next(lua_, -2) != 0; lua_pop(lua_, 1)) {
      ++count;
      const lua_Number index = lua_type(lua_, -2) == LUA_TNUMBER ? lua_tonumber(lua_, -2) : 0;
      whole = whole && index >= 1 && index == std::floor(index);
      most = std::max(most, index);
    }
    return whole && most == static_cast<lua_Number>(count);
  }
  void put_length(std::size_t length, unsigned few, unsigned type) {
    if (length < 16) {
      put(few | static_cast<unsigned>(length));
    } else if (length <= 0xffff) {
      put_big_endian(type, static_cast<std::uint16_t>(length));
    } else {
      put_big_endian(type + 1, static_cast<std::uint32_t>(length));
    }
  }
  void pack_table(int depth) {
    luaL_checkstack(lua_, 4, "in function mp_encode_lua_table_as_map");
    std::size_t count = 0;
    if (is_array(count)) {
      put_length(count, 0x90, 0xdc);
      for (std::size_t i = 1; i <= count; ++i) {
        lua_rawgeti(lua_, -1, static_cast<int>(i));
        pack(depth + 1);
      }
      return;
    }
    put_length(count, 0x80, 0xde);
    for (lua_pushnil(lua_); lua_next(lua_, -2) != 0;) {
      lua_pushvalue(lua_, -2);
      pack(depth + 1);
      pack(depth + 1);
    }
  }

  lua_State* lua_;
  LibraryBuffer out_;
};

class Unpacker {
 public:
  Unpacker(lua_State* lua, std::string_view rest) : lua_(lua), rest_(rest) {}

  std::size_t left() const { return rest_.size(); }
  // Pushes the next value.
  void push() {
    luaL_checkstack(lua_, 4, "too many nested values");
    charge(lua_, 1);
    const unsigned type = take<std::uint8_t>();
    if (type < 0x80) return lua_pushnumber(lua_, type);
    if (type >= 0xe0) return lua_pushnumber(lua_, static_cast<int>(type) - 0x100);
    if (type < 0x90) return push_map(type & 15);
    if (type < 0xa0) return push_array(type & 15);
    if (type < 0xc0) return push_string(type & 31);
    switch (type) {
      case 0xc0:
        return lua_pushnil(lua_);
      case 0xc2:
      case 0xc3:
        return lua_pushboolean(lua_, type == 0xc3 ? 1 : 0);
      case 0xca:
        return lua_pushnumber(lua_,
                              static_cast<lua_Number>(std::bit_cast<float>(take<std::uint32_t>())));
      case 0xcb:
        return lua_pushnumber(lua_, std::bit_cast<double>(take<std::uint64_t>()));
      case 0xcc:
        return lua_pushnumber(lua_, take<std::uint8_t>());
      case 0xcd:
        return lua_pushnumber(lua_, take<std::uint16_t>());
      case 0xce:
        return lua_pushnumber(lua_, take<std::uint32_t>());
      case 0xcf:
        return lua_pushnumber(lua_, static_cast<lua_Number>(take<std::uint64_t>()));
      case 0xd0:
        return lua_pushnumber(lua_, static_cast<std::int8_t>(take<std::uint8_t>()));
      case 0xd1:
        return lua_pushnumber(lua_, static_cast<std::int16_t>(take<std::uint16_t>()));
      case 0xd2:
        return lua_pushnumber(lua_, static_cast<std::int32_t>(take<std::uint32_t>()));
      case 0xd3:
        return lua_pushnumber(
            lua_, static_cast<lua_Number>(static_cast<std::int64_t>(take<std::uint64_t>())));
      case 0xc4:
      case 0xd9:
        return push_string(take<std::uint8_t>());
      case 0xc5:
      case 0xda:
        return push_string(take<std::uint16_t>());
      case 0xc6:
      case 0xdb:
        return push_string(take<std::uint32_t>());
      case 0xdc:
        return push_array(take<std::uint16_t>());
      case 0xdd:
        return push_array(take<std::uint32_t>());
      case 0xde:
        return push_map(take<std::uint16_t>());
      case 0xdf:
        return push_map(take<std::uint32_t>());
      default:
        luaL_error(lua_, "Bad data format in input.");
    }
  }

 private:
  void need(std::size_t bytes) {
    if (rest_.size() < bytes) luaL_error(lua_, "Missing bytes in input.");
  }
  template <typename Number>
  Number take() {
    need(sizeof(Number));
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      number = number << 8 | static_cast<unsigned char>(rest_[i]);
    }
    rest_.remove_prefix(sizeof(Number));
    return static_cast<Number>(number);
  }
  void push_string(std::size_t size) {
    need(size);
    charge(lua_, cost_of_bytes(size));
    lua_pushlstring(lua_, rest_.data(), size);
    rest_.remove_prefix(size);
  }
  // Tables grow with what comes, not with what is announced.
  void push_array(std::uint32_t length) {
    lua_newtable(lua_);
    for (std::uint32_t i = 1; i <= length; ++i) {
      push();
      lua_rawseti(lua_, -2, static_cast<int>(i));
    }
  }
  void push_map(std::uint32_t pairs) {
    lua_newtable(lua_);
    for (std::uint32_t i = 0; i < pairs; ++i) {
      push();
      push();
      // Of a key that Lua has no place for.
      const bool is_nan = lua_type(lua_, -2) == LUA_TNUMBER && std::isnan(lua_tonumber(lua_, -2));
      if (lua_isnil(lua_, -2) || is_nan) luaL_error(lua_, "Bad data format in input.");
      lua_rawset(lua_, -3);
    }
  }

  lua_State* lua_;
  std::string_view rest_;
};

int pack_values(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count == 0) return luaL_argerror(lua, 0, "MessagePack pack needs input.");
  luaL_checkstack(lua, 4, "Too many arguments for MessagePack pack.");
  Packer packer(lua);
  for (int i = 1; i <= count; ++i) {
    lua_pushvalue(lua, i);
    packer.pack(0);
  }
  packer.push();
  return 1;
}

int unpack_values(lua_State* lua, lua_Integer limit, lua_Integer offset) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(lua, 1, &size);
  const auto length = static_cast<lua_Integer>(size);
  const bool all = limit == 0 && offset == 0;
  if (offset < 0 || limit < 0) {
    return luaL_error(lua, "Invalid request to unpack with offset of %d and limit of %d.",
                      static_cast<int>(offset), static_cast<int>(length));
  }
  if (offset > length) {
    return luaL_error(lua, "Start offset %d greater than input length %d.",
                      static_cast<int>(offset), static_cast<int>(length));
  }
  Unpacker unpacker(lua, std::string_view(bytes, size).substr(static_cast<std::size_t>(offset)));
  int count = 0;
  for (; unpacker.left() > 0 && (all || count < limit); ++count) {
    luaL_checkstack(lua, 4, "too many values");
    unpacker.push();
  }
  if (all) return count;
  const lua_Integer next =
      unpacker.left() == 0 ? -1 : length - static_cast<lua_Integer>(unpacker.left());
  lua_pushinteger(lua, next);
  lua_insert(lua, -count - 1);
  return count + 1;
}

int unpack_all(lua_State* lua) { return unpack_values(lua, 0, 0); }
int unpack_one(lua_State* lua) {
  const lua_Integer offset = luaL_optinteger(lua, 2, 0);
  lua_settop(lua, 1);
  return unpack_values(lua, 1, offset);
}
int unpack_limit(lua_State* lua) {
  const lua_Integer limit = luaL_checkinteger(lua, 2);
  const lua_Integer offset = luaL_optinteger(lua, 3, 0);
  lua_settop(lua, 1);
  return unpack_values(lua, limit, offset);
}

}  // namespace

void open_messagepack_library(lua_State* lua) {
  constexpr luaL_Reg kPackFunctions[] = {{"pack", pack_values},
                                         {"unpack", unpack_all},
                                         {"unpack_one", unpack_one},
                                         {"unpack_limit", unpack_limit},
                                         {nullptr, nullptr}};
  lua_newtable(lua);
  luaL_register(lua, nullptr, kPackFunctions);
  lua_pushliteral(lua, "cmsgpack");
  lua_setfield(lua, -2, "_NAME");
  lua_pushliteral(lua, "lua-cmsgpack 0.4.0");
  lua_setfield(lua, -2, "_VERSION");
  lua_setglobal(lua, "cmsgpack");
}

}  // namespace even
