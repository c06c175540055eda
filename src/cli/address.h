// HOST:PORT on a command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace even::cli {

struct Address {
  std::string text;  // as it was given
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;
};

// Nothing: it is none.
std::optional<Address> parse_address(const std::string& text);

}  // namespace even::cli
