// Makes the data directory of a node out of a backup, for `even restore`.
//
// What it holds is the store of the backup without the positions of logs, since there are no logs:
// a node that starts on it replays nothing, and calls everything before as not in its log, so that
// peers that lack something are given whole partitions. It writes under a new replica id, as after
// any start; what the old ids made after the backup comes back from peers that have it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "replica/identity.h"
#include "store/backup.h"

namespace even {

struct RestoreRequest {
  std::string backups;  // directory
  BackupId id = 0;      // 0: the newest
  std::string data;     // directory, which is empty or does not exist
  // In place of what the backup says.
  std::optional<std::string> cluster;
  std::optional<std::string> node;
  std::optional<NodeNumber> number;
};

struct Restored {
  BackupEntry backup;
  Identity identity;
};

// Blocks. After an error the directory is as it was; a process that dies in between leaves one that
// no node starts on.
Result<Restored> restore_data(const RestoreRequest& request, const CopyProgress& progress);

}  // namespace even
