// The file `identity` in a data directory: whose data it is. Written when a directory is first used
// and checked at every start, so that a node never serves another node's, another cluster's or a
// newer version's data. Text, one "name value" per line:
//   format 2
//   cluster <id>        empty for a single node
//   node <name>
//   number <n>
//   partitions <n>
//   shards <n>
// `even restore` writes it for data that come out of a backup.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "env/disk.h"

namespace even {

inline constexpr int kDataFormat = 2;

struct Identity {
  int format = kDataFormat;
  std::string cluster;
  std::string node;
  NodeNumber number = 0;
  std::uint16_t partitions = 0;
  ShardId shards = 0;

  bool operator==(const Identity&) const = default;
};

std::string encode_identity(const Identity& identity);
// Of a newer format, only `format` is read.
Result<Identity> decode_identity(std::string_view text);
// Errors say what differs and what to do. The number of shards may differ: see resharding.h.
Result<> check_identity(const Identity& found, const Identity& mine);
// A file that is in a directory while `even restore` fills it.
inline constexpr std::string_view kRestoreMark = "RESTORING";

// Reads and checks the file of a directory, or writes it when there is none. Returns what it says.
Result<Identity> claim_directory(Disk& disk, const Identity& mine);
// Replaces the file.
Result<> write_identity(Disk& disk, const Identity& identity);

}  // namespace even
