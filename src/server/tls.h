// TLS for the three ports. With a CA, both sides must show a certificate that it signed.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "base/result.h"
#include "server/config.h"

namespace even::server {

// Null where the port does without TLS.
struct TlsContexts {
  std::unique_ptr<boost::asio::ssl::context> client;
  std::unique_ptr<boost::asio::ssl::context> peer_accept;
  std::unique_ptr<boost::asio::ssl::context> peer_dial;
  std::unique_ptr<boost::asio::ssl::context> http;
};

// Reads the files. Errors name the option, the file and OpenSSL's reason.
Result<TlsContexts> load_tls(const TlsOptions& options);

}  // namespace even::server
