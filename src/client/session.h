// What a client has said about itself and may do: the state that HELLO, AUTH, CLIENT and RESET
// change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/database.h"
#include "base/ids.h"
#include "cluster/level.h"
#include "engine/acl.h"
#include "engine/command.h"

namespace even {

// CLIENT TRACKING: see docs/tracking.md.
struct Tracking {
  bool on = false;
  bool broadcast = false;             // BCAST
  bool opt_in = false;                // only what follows CLIENT CACHING YES
  bool opt_out = false;               // not what follows CLIENT CACHING NO
  bool no_loop = false;               // NOLOOP
  bool caching = false;               // CLIENT CACHING has just been said
  std::uint64_t redirect = 0;         // the client that is told in its place; 0: itself is
  ShardId redirect_thread = 0;        // of that client
  bool redirect_broken = false;       // that client has gone
  std::vector<std::string> prefixes;  // of broadcasts, ascending
  // Whether the keys of a read are to be remembered, of broadcasts by their prefixes.
  bool wants_read() const { return on && (opt_in ? caching : !(opt_out && caching)); }
};

struct Session {
  std::uint64_t id = 0;
  std::string address;        // "host:port" of the client
  std::string local_address;  // and of this end
  int descriptor = -1;
  std::string name;
  std::string library_name;
  std::string library_version;
  bool authenticated = false;
  // Who has logged in, or who need not; null: `default`, as nobody has changed it.
  AclUserPointer user;
  // Whether what it asks for has to be checked: the user may not do everything.
  bool limited = false;
  void become(AclUserPointer who) {
    user = std::move(who);
    limited = user != nullptr && !user->may_all();
  }
  std::string_view user_name() const { return user == nullptr ? kDefaultUser : user->name(); }
  bool resp3 = false;
  DatabaseNumber database = 0;  // SELECT
  bool no_evict = false;        // taken note of; no client is evicted in this version
  bool no_touch = false;
  bool monitors = false;  // MONITOR
  Tracking tracking;
  // CLIENT REPLY: whether the reply to the request that is being executed is left out, to the one
  // behind it, and to all.
  bool skips_reply = false;
  bool skips_next_reply = false;
  bool no_replies = false;
  // EVEN.CONSISTENCY; kDefault: what the keyspace says.
  cluster::Level read_level;
  cluster::Level write_level;
  // A key that this node does not hold, of which WAIT knows nothing.
  bool wrote_elsewhere = false;
  bool has_levels() const {
    constexpr auto kDefault = cluster::Level::Kind::kDefault;
    return read_level.kind != kDefault || write_level.kind != kDefault;
  }
  std::int64_t created_us = 0;
  std::int64_t last_request_us = 0;
};

// What is measured about a connection for CLIENT LIST.
struct SessionUse {
  std::size_t query_bytes = 0;    // received and not executed
  std::size_t query_free = 0;     // room for more
  std::size_t output_bytes = 0;   // of replies that wait to be sent
  std::size_t output_blocks = 0;  // that they are in
  std::size_t output_memory = 0;  // what those take
  std::size_t pending_bytes = 0;  // of requests that other threads and nodes are at, and replies
  std::size_t pending_requests = 0;
  std::size_t channels = 0;  // that it is subscribed to
  std::size_t patterns = 0;
  std::size_t shard_channels = 0;
  bool blocked = false;  // it waits for something to take
  int queued = -1;       // commands since MULTI; -1: there is no transaction
  std::size_t transaction_bytes = 0;
  bool reading = false;
  bool writing = false;
};

// The line of CLIENT LIST and CLIENT INFO, with its line end. `command`: the last one.
std::string client_line(const Session& session, const SessionUse& use, std::string_view command,
                        std::int64_t now_us);

// Names of clients and libraries go into lines of words: printable ASCII without spaces.
bool valid_client_name(std::string_view name);
inline constexpr std::string_view kBadClientName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

}  // namespace even
