// Expiries while an import is under way. A replica of Redis lets no key expire by itself: it waits
// for its master's DEL, as the master may have prolonged the expiry meanwhile. Even's clock would
// not wait. So an import *holds* the expiries of what commands follow: it sets them at the target
// so far ahead that they do not come, and they are *settled*, set as they are at the source, once
// there are no more commands. The target itself keeps them until then, whatever becomes of the
// import and of its source; and RENAME, COPY, PERSIST and their like treat them as they should.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/import_source.h"
#include "rdb/value.h"

namespace even::cli {

// Instants, Unix time in ms, and those by which they are held: `far` later. Instants that are as
// late as that by themselves stay what they are, but for those that would look held: these become
// the last before them.
struct HeldExpiry {
  std::int64_t far;

  constexpr bool is_held(std::int64_t at_ms) const { return far <= at_ms && at_ms < far + far / 2; }
  constexpr std::int64_t hold(std::int64_t at_ms) const {
    if (at_ms < far / 2) return far + (at_ms < 0 ? 0 : at_ms);
    return is_held(at_ms) ? far - 1 : at_ms;
  }
  // Nothing: it is not held.
  constexpr std::optional<std::int64_t> held(std::int64_t at_ms) const {
    return is_held(at_ms) ? std::optional(at_ms - far) : std::nullopt;
  }
};
inline constexpr HeldExpiry kHeldKey{std::int64_t{1} << 61};
inline constexpr HeldExpiry kHeldField{std::int64_t{1} << 45};  // Redis's last is before 1 << 46

// A command with the expiries that it sets held.
struct HeldCommand {
  std::vector<std::string> words;
  bool keys = false;    // those of keys
  bool fields = false;  // those of fields of hashes
};
// Nothing: it sets none.
std::optional<HeldCommand> hold_expiries(std::span<const std::string_view> words,
                                         std::int64_t now_ms);
// False: none of its fields expires.
bool hold_expiries(rdb::Value& value);

// Settles the expiries of all keys in the target's databases before that number, and of their
// fields if `fields`. `stopped`: whether it is to be given up.
Result<> settle_expiries(const ServerAddress& target, std::uint64_t databases, bool fields,
                         const std::function<bool()>& stopped);

}  // namespace even::cli
