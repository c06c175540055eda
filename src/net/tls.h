// TLS contexts from files. With a CA, both sides must show a certificate that it signed.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/tls_files.h"

namespace even {

// Streams need it while they are made, and not after.
using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

struct TlsProblem {
  std::string_view which;  // did not do: "cert", "key" or "ca"
  std::string message;     // the file and OpenSSL's reason
};

std::expected<TlsContext, TlsProblem> load_tls(const TlsFiles& files, bool as_server);

// For a program that connects to a node. `files.ca` is needed; `files.cert` and `files.key` are
// shown to nodes that ask for a certificate, and may be empty.
Result<TlsContext> load_dialing_tls(const TlsFiles& files);

}  // namespace even
