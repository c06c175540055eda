// What a client has said about itself and may do: the state that HELLO, AUTH, CLIENT and RESET
// change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/command.h"

namespace even::server {

struct Session {
  std::uint64_t id = 0;
  std::string address;        // "host:port" of the client
  std::string local_address;  // and of this end
  int descriptor = -1;
  std::string name;
  std::string library_name;
  std::string library_version;
  bool authenticated = false;
  bool resp3 = false;
  bool no_evict = false;  // taken note of; no client is evicted in this version
  bool no_touch = false;
  std::int64_t created_us = 0;
  std::int64_t last_request_us = 0;
  std::string subcommand;  // of the last command, if it has subcommands
};

// What is measured about a connection for CLIENT LIST.
struct SessionUse {
  std::size_t query_bytes = 0;
  std::size_t query_free = 0;
  std::size_t output_bytes = 0;
};

// The line of CLIENT LIST and CLIENT INFO, with its line end.
std::string describe(const Session& session, const SessionUse& use, std::string_view command,
                     std::int64_t now_us);

// Names of clients and libraries go into lines of words: printable ASCII without spaces.
bool valid_client_name(std::string_view name);

}  // namespace even::server
