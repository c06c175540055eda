// What a session has seen and written of eventual partitions, and that as bytes, with what it has
// seen of groups: for tokens, and for requests that one node has another one execute. See
// docs/sessions.md and docs/formats/session.md.
//
// Plain values.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "replica/peer_message.h"

namespace even {

class SessionReach {
 public:
  // Of these partitions, those of which the session has seen something. `partitions` ascend.
  PartitionReach of(std::span<const PartitionId> partitions) const;
  // Of all of them.
  PartitionReach all() const { return {seen_.begin(), seen_.end()}; }
  // What the states had seen that a request was executed on, afterwards.
  void note(const PartitionReach& seen, bool wrote);
  // All of it is the session's, too.
  void merge(const PartitionReach& seen);
  bool empty() const { return seen_.empty(); }

 private:
  absl::btree_map<PartitionId, VersionVector> seen_;
};

// What of it is of these partitions. Both ascend.
PartitionReach within(const PartitionReach& reach, std::span<const PartitionId> partitions);

// Of groups of strong keyspaces, ascending: up to which index.
using GroupReach = std::vector<std::pair<PartitionId, std::uint64_t>>;

struct SessionContent {
  PartitionReach seen;
  GroupReach groups;

  bool operator==(const SessionContent&) const = default;
};

std::string encode_session(const SessionContent& content);
// Safe for any bytes.
Result<SessionContent> decode_session(std::string_view bytes);

}  // namespace even
