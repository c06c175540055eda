// TLS contexts from files. With a CA, both sides must show a certificate that it signed.
#pragma once

#include <openssl/ssl.h>

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
// shown to nodes that ask for a certificate, and may be empty. `name`: what certificates must be
// for; empty: for the host that is connected to, see expect_host().
Result<TlsContext> load_dialing_tls(const TlsFiles& files, const std::string& name = {});

// Before the handshake, on a connection of a context of load_dialing_tls(): the server's
// certificate must have this host, a name or an address, among its subjectAltNames (RFC 6125; the
// common name is not looked at), unless the context has a name of its own.
void expect_host(SSL* connection, const std::string& host);
// After a handshake that failed: what was wrong with the server's certificate; empty: it was not
// that.
std::string certificate_problem(const SSL* connection);

}  // namespace even
