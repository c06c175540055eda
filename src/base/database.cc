#include "base/database.h"

namespace even {

std::string DatabaseMap::text() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (DatabaseNumber i = 0; i < kDatabases; ++i) out += kDigits[stored(i)];
  return out;
}

std::optional<DatabaseMap> DatabaseMap::parse(std::string_view text) {
  if (text.size() != kDatabases) return std::nullopt;
  std::uint64_t bits = 0;
  std::uint32_t seen = 0;
  for (std::size_t i = 0; i < kDatabases; ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    const auto stored = static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
    bits |= stored << (4 * i);
    seen |= 1u << stored;
  }
  if (seen != 0xffff) return std::nullopt;
  return DatabaseMap(bits);
}

}  // namespace even
