// The file `identity` in a data directory: whose data it is. Written when a directory is first used
// and checked at every start, so that a node never serves another node's, another cluster's or a
// newer version's data. It also says which run of a process it was last used by, so that every
// start gets a replica id that no other has had. Text, one "name value" per line:
//   format 3
//   cluster <id>        empty for a single node
//   node <name>
//   number <n>
//   partitions <n>
//   shards <n>
//   line <n>            of replica ids (base/ids.h); 0: it is yet to be drawn
//   run <n>             the last one, from 1; 0 with line 0
// `even restore` writes it for data that come out of a backup.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/random.h"

namespace even {

inline constexpr int kDataFormat = 3;

struct Identity {
  int format = kDataFormat;
  std::string cluster;
  std::string node;
  NodeNumber number = 0;
  std::uint16_t partitions = 0;
  ShardId shards = 0;
  std::uint16_t line = 0;
  std::uint32_t run = 0;

  // Of the last run.
  ReplicaId replica() const { return ReplicaId::make(number, run, line); }
  bool operator==(const Identity&) const = default;
};

std::string encode_identity(const Identity& identity);
// Of another format, only `format` is read.
Result<Identity> decode_identity(std::string_view text);
// Errors say what differs and what to do. The number of shards may differ: see resharding.h.
Result<> check_identity(const Identity& found, const Identity& mine);
// A file that is in a directory while `even restore` fills it.
inline constexpr std::string_view kRestoreMark = "RESTORING";

// Reads and checks the file of a directory, or makes one when there is none, and begins a run:
// notes it durably before anybody can learn of it. Returns what the file says then. `mine` has no
// line.
//
// Within a line each run has a higher number than the one before, however the clock jumps. It is no
// less than the time in seconds since 2020, so that it is also higher, if the clock is right, than
// those that somebody has made the file forget by putting back an earlier image of the disk.
Result<Identity> claim_directory(Disk& disk, const Identity& mine, const Clock& clock,
                                 Random& random);
// Replaces the file.
Result<> write_identity(Disk& disk, const Identity& identity);

}  // namespace even
