#include "cli/address.h"

#include <charconv>

namespace even::cli {

std::optional<Address> parse_address(const std::string& text) {
  const auto colon = text.rfind(':');
  Address address{.text = text, .host = {}, .port = 0};
  const char* end = text.data() + text.size();
  if (colon == std::string::npos ||
      std::from_chars(text.data() + colon + 1, end, address.port).ptr != end || address.port == 0) {
    return {};
  }
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  return address;
}

}  // namespace even::cli
