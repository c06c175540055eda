#include "node/tls_contexts.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace even {

Result<TlsContexts> load_tls(const Config& config) {
  TlsContexts contexts;
  struct Port {
    TlsContext& context;
    const TlsFiles& files;
    std::string_view name;
    bool as_server;
  };
  std::vector<std::string> errors;
  for (const Port& port : {Port{contexts.client, config.tls.client, "client", true},
                           Port{contexts.peer_accept, config.tls.peer, "peer", true},
                           Port{contexts.peer_dial, config.tls.peer, "peer", false},
                           Port{contexts.http, config.tls.http, "http", true},
                           Port{contexts.kafka, config.tls.kafka, "kafka", true}}) {
    if (!port.files.enabled()) continue;
    if (auto context = load_tls(port.files, port.as_server)) {
      port.context = std::move(*context);
    } else {
      const std::string option = fmt::format("tls.{}_{}", port.name, context.error().which);
      std::string text =
          fmt::format("{}{}: {}", config.at({option}), option, context.error().message);
      // The files of peers are read twice.
      if (errors.empty() || errors.back() != text) errors.push_back(std::move(text));
    }
  }
  if (!errors.empty()) return fail(fmt::format("{}", fmt::join(errors, "\n")));
  return contexts;
}

}  // namespace even
