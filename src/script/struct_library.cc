// Library `struct`: numbers and strings as bytes in given layouts, as R. Ierusalimschy's library of
// that name has them (http://www.inf.puc-rio.br/~roberto/struct/).
#include <bit>
#include <cctype>
#include <climits>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "script/lua_state.h"

namespace even {
namespace {

constexpr int kMostIntegerBytes = 32;
constexpr int kNativeAlignment = 8;

// Goes through the options of a format.
class Layout {
 public:
  explicit Layout(lua_State* lua)
      : lua_(lua),
        at_(luaL_checkstring(lua, 1)),
        little_(std::endian::native == std::endian::little) {}

  // False: there is no more.
  bool next() {
    if (*at_ == '\0') return false;
    charge(lua_, 1);
    option_ = *at_++;
    size_ = read_size();
    return true;
  }
  char option() const { return option_; }
  std::size_t size() const { return size_; }
  bool little() const { return little_; }
  bool is_integer() const { return std::strchr("bBhHlLTiI", option_) != nullptr; }
  // How many bytes come before it at a place.
  std::size_t padding(std::size_t place) const {
    if (size_ == 0 || option_ == 'c') return 0;
    const std::size_t unit = std::min<std::size_t>(size_, static_cast<std::size_t>(alignment_));
    return (unit - (place & (unit - 1))) & (unit - 1);
  }
  // An option that is about those behind it.
  void apply() {
    switch (option_) {
      case ' ':
        return;
      case '>':
        little_ = false;
        return;
      case '<':
        little_ = true;
        return;
      case '!': {
        const int wanted = read_number(kNativeAlignment);
        if (wanted <= 0 || (wanted & (wanted - 1)) != 0) {
          luaL_error(lua_, "alignment %d is not a power of 2", wanted);
        }
        alignment_ = wanted;
        return;
      }
      default:
        luaL_argerror(lua_, 1, lua_pushfstring(lua_, "invalid format option '%c'", option_));
    }
  }

 private:
  int read_number(int otherwise) {
    if (std::isdigit(static_cast<unsigned char>(*at_)) == 0) return otherwise;
    int value = 0;
    while (std::isdigit(static_cast<unsigned char>(*at_)) != 0) {
      if (value > (INT_MAX - 9) / 10) luaL_error(lua_, "integral size overflow");
      value = value * 10 + (*at_++ - '0');
    }
    return value;
  }
  std::size_t read_size() {
    switch (option_) {
      case 'b':
      case 'B':
      case 'x':
        return 1;
      case 'h':
      case 'H':
        return sizeof(short);
      case 'l':
      case 'L':
        return sizeof(long);
      case 'T':
        return sizeof(std::size_t);
      case 'f':
        return sizeof(float);
      case 'd':
        return sizeof(double);
      case 'c':
        return static_cast<std::size_t>(read_number(1));
      case 'i':
      case 'I': {
        const int size = read_number(sizeof(int));
        if (size > kMostIntegerBytes) {
          luaL_error(lua_, "integral size %d is larger than limit of %d", size, kMostIntegerBytes);
        }
        return static_cast<std::size_t>(size);
      }
      default:
        return 0;
    }
  }

  lua_State* lua_;
  const char* at_;
  char option_ = '\0';
  std::size_t size_ = 0;
  bool little_;
  int alignment_ = 1;
};

void put_integer(LibraryBuffer& out, const Layout& layout, lua_Number number) {
  constexpr lua_Number kBound = 9223372036854775808.0;
  std::uint64_t value = 0;
  if (number < 0) {
    value = number >= -kBound ? static_cast<std::uint64_t>(static_cast<std::int64_t>(number))
                              : std::uint64_t{1} << 63;
  } else if (number < 2 * kBound) {
    value = static_cast<std::uint64_t>(number);
  }
  char bytes[kMostIntegerBytes];
  for (std::size_t i = 0; i < layout.size(); ++i, value >>= 8) {
    bytes[layout.little() ? i : layout.size() - 1 - i] = static_cast<char>(value & 0xff);
  }
  out.append({bytes, layout.size()});
}

lua_Number integer_of(std::string_view bytes, const Layout& layout) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char byte = bytes[layout.little() ? bytes.size() - 1 - i : i];
    value = value << 8 | static_cast<unsigned char>(byte);
  }
  if (std::islower(static_cast<unsigned char>(layout.option())) == 0) {
    return static_cast<lua_Number>(value);
  }
  const std::size_t bits = 8 * bytes.size();
  if (bits > 0 && bits < 64 && (value >> (bits - 1) & 1) != 0) value |= ~std::uint64_t{0} << bits;
  return static_cast<lua_Number>(static_cast<std::int64_t>(value));
}

template <typename Real>
void put_real(LibraryBuffer& out, bool little, Real number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  if (little != (std::endian::native == std::endian::little)) std::reverse(bytes, std::end(bytes));
  out.append({bytes, sizeof bytes});
}
template <typename Real>
lua_Number real_of(std::string_view from, bool little) {
  char bytes[sizeof(Real)];
  std::memcpy(bytes, from.data(), sizeof bytes);
  if (little != (std::endian::native == std::endian::little)) std::reverse(bytes, std::end(bytes));
  Real number;
  std::memcpy(&number, bytes, sizeof number);
  return static_cast<lua_Number>(number);
}

int pack_struct(lua_State* lua) {
  Layout layout(lua);
  lua_pushnil(lua);  // behind the arguments
  LibraryBuffer out(lua);
  int argument = 2;
  while (layout.next()) {
    out.append(layout.padding(out.size()), '\0');
    const char option = layout.option();
    if (layout.is_integer()) {
      put_integer(out, layout, luaL_checknumber(lua, argument++));
    } else if (option == 'x') {
      out.append(1, '\0');
    } else if (option == 'f') {
      put_real(out, layout.little(), static_cast<float>(luaL_checknumber(lua, argument++)));
    } else if (option == 'd') {
      put_real(out, layout.little(), luaL_checknumber(lua, argument++));
    } else if (option == 'c' || option == 's') {
      std::size_t length = 0;
      const char* text = luaL_checklstring(lua, argument++, &length);
      const std::size_t size = layout.size() == 0 ? length : layout.size();
      luaL_argcheck(lua, length >= size, argument, "string too short");
      out.append({text, size});
      if (option == 's') out.append(1, '\0');
    } else {
      layout.apply();
    }
  }
  out.push();
  return 1;
}

int unpack_struct(lua_State* lua) {
  Layout layout(lua);
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(lua, 2, &size);
  const std::string_view data(bytes, size);
  const lua_Integer from = luaL_optinteger(lua, 3, 1);
  luaL_argcheck(lua, from > 0, 3, "offset must be 1 or greater");
  auto place = static_cast<std::size_t>(from - 1);
  const auto need = [&](std::size_t length) {
    luaL_argcheck(lua, length <= data.size() && place <= data.size() - length, 2,
                  "data string too short");
  };
  int count = 0;
  lua_settop(lua, 2);
  while (layout.next()) {
    place += layout.padding(place);
    std::size_t length = layout.size();
    need(length);
    luaL_checkstack(lua, 2, "too many results");
    const char option = layout.option();
    if (layout.is_integer()) {
      lua_pushnumber(lua, integer_of(data.substr(place, length), layout));
      ++count;
    } else if (option == 'f' || option == 'd') {
      const std::string_view number = data.substr(place, length);
      lua_pushnumber(lua, option == 'f' ? real_of<float>(number, layout.little())
                                        : real_of<double>(number, layout.little()));
      ++count;
    } else if (option == 'c') {
      if (length == 0) {
        if (count == 0 || lua_isnumber(lua, -1) == 0) {
          return luaL_error(lua, "format 'c0' needs a previous size");
        }
        const lua_Number wanted = lua_tonumber(lua, -1);
        luaL_argcheck(lua, wanted >= 0 && wanted <= static_cast<lua_Number>(data.size()), 2,
                      "data string too short");
        length = static_cast<std::size_t>(wanted);
        lua_pop(lua, 1);
        --count;
        need(length);
      }
      charge(lua, cost_of_bytes(length));
      lua_pushlstring(lua, data.data() + place, length);
      ++count;
    } else if (option == 's') {
      const std::size_t end = data.find('\0', place);
      charge(lua, cost_of_bytes(std::min(end, data.size()) - place));
      if (end == std::string_view::npos) return luaL_error(lua, "unfinished string in data");
      lua_pushlstring(lua, data.data() + place, end - place);
      length = end - place + 1;
      ++count;
    } else if (option != 'x') {
      layout.apply();
    }
    place += length;
  }
  lua_pushinteger(lua, static_cast<lua_Integer>(place) + 1);
  return count + 1;
}

int struct_size(lua_State* lua) {
  Layout layout(lua);
  std::size_t place = 0;
  while (layout.next()) {
    place += layout.padding(place);
    if (layout.option() == 's') {
      return luaL_argerror(lua, 1, "option 's' has no fixed size");
    }
    if (layout.option() == 'c' && layout.size() == 0) {
      return luaL_argerror(lua, 1, "option 'c0' has no fixed size");
    }
    if (std::isalnum(static_cast<unsigned char>(layout.option())) == 0) layout.apply();
    place += layout.size();
  }
  lua_pushinteger(lua, static_cast<lua_Integer>(place));
  return 1;
}

}  // namespace

void open_struct_library(lua_State* lua) {
  constexpr luaL_Reg kStructFunctions[] = {
      {"pack", pack_struct}, {"unpack", unpack_struct}, {"size", struct_size}, {nullptr, nullptr}};
  lua_newtable(lua);
  luaL_register(lua, nullptr, kStructFunctions);
  lua_setglobal(lua, "struct");
}

}  // namespace even
