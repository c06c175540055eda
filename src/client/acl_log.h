// What a node has refused of late, the latest first: ACL LOG, as in Redis 7. What repeats within a
// minute is one entry. No word of a request is kept but the name of a command, a key or a channel.
//
// One for all threads of a node, behind a lock: refusals are rare, or the node is being probed.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/acl.h"

namespace even {

class AclLog {
 public:
  enum class Where : std::uint8_t { kToplevel, kMulti, kLua };
  struct Entry {
    AclDenial::Reason reason = AclDenial::Reason::kCommand;
    Where where = Where::kToplevel;
    std::string object;
    std::string user;
    std::string client;  // its line of CLIENT LIST, or empty
    std::uint64_t count = 1;
    std::int64_t at_ms = 0;  // Unix time, of the latest
  };

  // Keeps no more than `max_len` entries.
  void add(Entry entry, std::uint64_t max_len);
  // Up to `count`, the latest first.
  std::vector<Entry> latest(std::size_t count) const;
  void reset();

 private:
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;
};

}  // namespace even
