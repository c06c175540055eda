// Library `bit` as of Lua BitOp (https://bitop.luajit.org/api.html): operations on numbers as 32
// bits, with results in the range of signed ones.
#include <bit>
#include <cmath>
#include <cstdint>

#include "script/lua_state.h"

namespace even {
namespace {

// Numbers wrap around, as whole ones. Beyond 2^51, for which the library promises nothing, as in
// its own form: the sum with 1.5 * 2^52 has the number's lowest bits for its own.
std::uint32_t bits_of(lua_State* lua, int place) {
  const lua_Number number = luaL_checknumber(lua, place);
  if (!std::isfinite(number)) return 0;
  return static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(number + 0x1.8p52));
}

int push_bits(lua_State* lua, std::uint32_t bits) {
  lua_pushnumber(lua, static_cast<lua_Number>(static_cast<std::int32_t>(bits)));
  return 1;
}

int to_bits(lua_State* lua) { return push_bits(lua, bits_of(lua, 1)); }
int complement(lua_State* lua) { return push_bits(lua, ~bits_of(lua, 1)); }
int swap_bytes(lua_State* lua) { return push_bits(lua, __builtin_bswap32(bits_of(lua, 1))); }

template <typename Combine>
int combine(lua_State* lua, Combine with) {
  std::uint32_t bits = bits_of(lua, 1);
  for (int i = 2; i <= lua_gettop(lua); ++i) bits = with(bits, bits_of(lua, i));
  return push_bits(lua, bits);
}
int bits_and(lua_State* lua) {
  return combine(lua, [](std::uint32_t a, std::uint32_t b) { return a & b; });
}
int bits_or(lua_State* lua) {
  return combine(lua, [](std::uint32_t a, std::uint32_t b) { return a | b; });
}
int bits_xor(lua_State* lua) {
  return combine(lua, [](std::uint32_t a, std::uint32_t b) { return a ^ b; });
}

template <typename Shift>
int shift(lua_State* lua, Shift by) {
  return push_bits(lua, by(bits_of(lua, 1), static_cast<int>(bits_of(lua, 2) & 31)));
}
int shift_left(lua_State* lua) {
  return shift(lua, [](std::uint32_t bits, int n) { return bits << n; });
}
int shift_right(lua_State* lua) {
  return shift(lua, [](std::uint32_t bits, int n) { return bits >> n; });
}
int shift_arithmetically(lua_State* lua) {
  return shift(lua, [](std::uint32_t bits, int n) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(bits) >> n);
  });
}
int rotate_left(lua_State* lua) {
  return shift(lua, [](std::uint32_t bits, int n) { return std::rotl(bits, n); });
}
int rotate_right(lua_State* lua) {
  return shift(lua, [](std::uint32_t bits, int n) { return std::rotr(bits, n); });
}

// So many digits, at most 8; a negative number of them: in upper case. The least of all numbers has
// no absolute value (CVE-2024-31449).
int to_hexadecimal(lua_State* lua) {
  std::uint32_t bits = bits_of(lua, 1);
  std::int64_t digits = 8;
  if (!lua_isnone(lua, 2)) digits = static_cast<std::int32_t>(bits_of(lua, 2));
  const char* names = digits < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
  const std::size_t count = static_cast<std::size_t>(std::min<std::int64_t>(std::abs(digits), 8));
  char text[8];
  for (std::size_t i = count; i-- > 0; bits >>= 4) text[i] = names[bits & 15];
  lua_pushlstring(lua, text, count);
  return 1;
}

}  // namespace

void open_bit_library(lua_State* lua) {
  constexpr luaL_Reg kBitFunctions[] = {{"tobit", to_bits},      {"bnot", complement},
                                        {"band", bits_and},      {"bor", bits_or},
                                        {"bxor", bits_xor},      {"lshift", shift_left},
                                        {"rshift", shift_right}, {"arshift", shift_arithmetically},
                                        {"rol", rotate_left},    {"ror", rotate_right},
                                        {"bswap", swap_bytes},   {"tohex", to_hexadecimal},
                                        {nullptr, nullptr}};
  lua_newtable(lua);
  luaL_register(lua, nullptr, kBitFunctions);
  lua_setglobal(lua, "bit");
}

}  // namespace even
