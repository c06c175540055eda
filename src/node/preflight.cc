#include "node/preflight.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "net/listener.h"
#include "node/tls_contexts.h"

namespace even {

Result<> preflight(const Config& config) {
  std::vector<std::string> errors;
  if (const Result<TlsContexts> tls = load_tls(config); !tls) errors.push_back(tls.error().message);
  struct Service {
    std::string key;
    const std::vector<std::string>& bind;
    uint16_t port;
  };
  for (const Service& service : {Service{"client.bind", config.client.bind, config.client.port},
                                 Service{"peer.bind", config.peer.bind, config.peer.port},
                                 Service{"http.bind", config.http.bind, config.http.port},
                                 Service{"kafka.bind", config.kafka.bind, config.kafka.port}}) {
    if (service.port == 0) continue;
    for (const std::string& address : service.bind) {
      const auto endpoint = resolve_bind(address, service.port);
      if (endpoint) continue;
      errors.push_back(fmt::format("{}{}: '{}' is not an address of a machine: {}",
                                   config.at({service.key}), service.key, address,
                                   endpoint.error().message));
    }
  }
  if (!errors.empty()) return fail(fmt::format("{}", fmt::join(errors, "\n")));
  return {};
}

}  // namespace even
