// What SCAN, SSCAN and HSCAN share. A cursor is a position in the order of hashes (see
// lattice/collection.h), which stays valid however the collection changes: what is there from
// the beginning to the end of a scan is returned, and once only. 0 begins and ends.
//
// A hash or a set that Redis 7.0 would keep in its compact form, which has no positions, is
// returned whole, whatever the cursor and COUNT; one that becomes that small during a scan is
// returned once more.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/context.h"
#include "engine/glob.h"

namespace even {

struct ScanOptions {
  std::uint64_t cursor = 0;
  std::int64_t count = 10;
  std::string_view pattern;
  std::string_view type;  // SCAN only; empty for any
  bool has_pattern = false;
  bool has_type = false;
  // In lower case, the option that leaves out what is not a name: NOVALUES, NOSCORES; or empty.
  std::string_view names_only_option;
  bool names_only = false;

  bool matches(std::string_view text) const { return !has_pattern || glob_match(pattern, text); }
};

// The partition in which a SCAN with this cursor goes on; nothing when it is not a cursor.
std::optional<PartitionId> scan_partition_of(std::string_view cursor);
// With which SCAN begins a partition, which is not the first.
std::uint64_t scan_cursor_of(PartitionId partition);

// These reply an error and return false on bad input.
bool read_cursor(Context& context, std::string_view text, std::uint64_t& cursor);
bool read_scan_options(Context& context, Args args, std::size_t first, bool with_type,
                       ScanOptions& out);

// The limits of Redis's compact forms: hash-max-listpack-entries, hash-max-listpack-value and
// set-max-intset-entries.
inline constexpr std::size_t kMaxCompactFields = 128;
inline constexpr std::size_t kMaxCompactFieldBytes = 64;
inline constexpr std::size_t kMaxCompactIntegers = 512;

// Makes the scan of a SetView or HashView return everything if it has at most `most` entries and
// fits(entry) holds for each, and returns whether that is so.
template <typename View, typename Fits>
bool scan_compact_whole(const View& view, std::size_t most, Fits fits, ScanOptions& options) {
  if (view.size() > most) return false;
  bool compact = true;
  view.scan(0, [&](const auto& entry) { return compact = compact && fits(entry); });
  if (!compact) return false;
  options.cursor = 0;
  options.count = std::numeric_limits<std::int64_t>::max();
  return true;
}

// Calls visit(entry) for about options.count entries of a SetView or HashView from options.cursor
// on. Returns the next cursor.
template <typename View, typename Visit>
std::uint64_t scan_elements(const View& view, const ScanOptions& options, Visit visit) {
  std::int64_t left = options.count;
  const auto [more, next] = view.scan(options.cursor, [&](const auto& entry) {
    visit(entry);
    return --left > 0;
  });
  return more ? next : 0;
}

void reply_scan(Context& context, std::uint64_t next, std::span<const std::string_view> found);

std::string_view type_name(ObjectType type);

}  // namespace even
