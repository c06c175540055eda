// Databases 0 to 15, as SELECT knows them, and the names under which their keys are stored
// (docs/databases.md).
//
// A key of stored database 0 is stored as it is; one of any other, and one of 0 that would look
// like such or like one of the database itself (base/reserved.h), behind a header: kDatabaseMark
// and the database's number, a byte. So every pair of stored database and key has one stored name,
// no two have the same, and no key of a client is one of the database itself. What is told of where
// a key lives (slot, keyspace) is told of the key as its user writes it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/reserved.h"

namespace even {

inline constexpr std::size_t kDatabases = 16;
using DatabaseNumber = std::uint8_t;

inline constexpr std::string_view kDatabaseMark{"\0db:", 4};
inline constexpr std::size_t kDatabaseHeader = kDatabaseMark.size() + 1;

constexpr bool has_database_mark(std::string_view word) {
  return !word.empty() && word.front() == '\0' && word.starts_with(kDatabaseMark);
}
constexpr bool has_database_header(std::string_view stored) {
  return has_database_mark(stored) && stored.size() >= kDatabaseHeader &&
         static_cast<unsigned char>(stored[kDatabaseMark.size()]) < kDatabases;
}
// The stored database of a stored name.
constexpr DatabaseNumber database_of(std::string_view stored) {
  return has_database_header(stored) ? static_cast<DatabaseNumber>(stored[kDatabaseMark.size()])
                                     : DatabaseNumber{0};
}
// The key in it, as its user writes it.
constexpr std::string_view user_key(std::string_view stored) {
  return has_database_header(stored) ? stored.substr(kDatabaseHeader) : stored;
}
constexpr std::array<char, kDatabaseHeader> database_header(DatabaseNumber stored_database) {
  return {'\0', 'd', 'b', ':', static_cast<char>(stored_database)};
}
// Whether a client's key looks like a stored name that is not its own.
constexpr bool looks_stored(std::string_view key) {
  return !key.empty() && key.front() == '\0' &&
         (key.starts_with(kDatabaseMark) || is_reserved(key) || key.starts_with(kOncePrefix));
}
// Whether the stored name of a key is another one than the key.
constexpr bool needs_header(DatabaseNumber stored_database, std::string_view key) {
  return stored_database != 0 || looks_stored(key);
}
inline std::string stored_key(DatabaseNumber stored_database, std::string_view key) {
  std::string out;
  if (needs_header(stored_database, key)) {
    const auto header = database_header(stored_database);
    out.append(header.data(), header.size());
  }
  return out.append(key);
}

// Which stored database each database is: a permutation, which SWAPDB changes. Fits into a word, so
// that a node changes it at one instant for all of its threads.
class DatabaseMap {
 public:
  constexpr DatabaseMap() = default;
  constexpr explicit DatabaseMap(std::uint64_t bits) : bits_(bits) {}

  constexpr DatabaseNumber stored(DatabaseNumber database) const {
    return static_cast<DatabaseNumber>(bits_ >> (4 * database) & 0xf);
  }
  constexpr DatabaseNumber database(DatabaseNumber stored_database) const {
    for (DatabaseNumber i = 0; i < kDatabases; ++i) {
      if (stored(i) == stored_database) return i;
    }
    return 0;  // not of a permutation
  }
  constexpr void swap(DatabaseNumber a, DatabaseNumber b) {
    const std::uint64_t differs = stored(a) ^ stored(b);
    bits_ ^= differs << (4 * a);
    bits_ ^= differs << (4 * b);
  }
  constexpr bool is_identity() const { return bits_ == kIdentity; }
  constexpr std::uint64_t bits() const { return bits_; }
  constexpr bool operator==(const DatabaseMap&) const = default;

  // 16 hexadecimal digits: of each database in turn, the stored one.
  std::string text() const;
  // Nothing, if it is not one.
  static std::optional<DatabaseMap> parse(std::string_view text);

 private:
  static constexpr std::uint64_t kIdentity = 0xfedcba9876543210;
  std::uint64_t bits_ = kIdentity;
};

// The same, for several threads.
class SharedDatabaseMap {
 public:
  DatabaseMap load() const { return DatabaseMap(bits_.load(std::memory_order_acquire)); }
  void store(DatabaseMap map) { bits_.store(map.bits(), std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> bits_{DatabaseMap().bits()};
};

// A client's database by that of its node.
struct Database {
  DatabaseMap map;
  DatabaseNumber number = 0;

  constexpr DatabaseNumber stored() const { return map.stored(number); }
  // Neither the number nor what another one would stand for needs to be said.
  constexpr bool is_plain() const { return number == 0 && map.is_identity(); }
};

}  // namespace even
