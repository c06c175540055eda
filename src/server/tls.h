// TLS for the three ports. With a CA, both sides must show a certificate that it signed.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "base/result.h"
#include "server/config.h"

namespace even::server {

using TlsContext = std::unique_ptr<boost::asio::ssl::context>;

// Null where the port does without TLS.
struct TlsContexts {
  TlsContext client;
  TlsContext peer_accept;
  TlsContext peer_dial;
  TlsContext http;
};

// Reads the files. The error has a line for each port whose files do not do, which says where the
// option was given, its name, the file and OpenSSL's reason.
Result<TlsContexts> load_tls(const Config& config);

// For a program that connects to a node. `files.ca` is needed; `files.cert` and `files.key` are
// shown to nodes that ask for a certificate, and may be empty.
Result<TlsContext> load_dialing_tls(const TlsFiles& files);

}  // namespace even::server
