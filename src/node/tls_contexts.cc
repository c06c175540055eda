#include "node/tls_contexts.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

namespace even {

std::vector<FileStamp> stamp_tls_files(const Config& config) {
  std::vector<FileStamp> stamps;
  for (const TlsFiles* files :
       {&config.tls.client, &config.tls.peer, &config.tls.http, &config.tls.kafka}) {
    for (const std::string* path : {&files->cert, &files->key, &files->ca}) {
      FileStamp& stamp = stamps.emplace_back();
      struct stat found;
      if (path->empty() || ::stat(path->c_str(), &found) != 0) continue;
      stamp = {.device = found.st_dev,
               .inode = found.st_ino,
               .bytes = static_cast<std::uint64_t>(found.st_size),
               .changed_ns = found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec};
    }
  }
  return stamps;
}

Result<TlsContexts> load_tls(const Config& config) {
  TlsContexts contexts;
  contexts.files = stamp_tls_files(config);
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
