#include "server/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>

namespace even::server {
namespace {

namespace ssl = boost::asio::ssl;

using Context = std::unique_ptr<ssl::context>;

// OpenSSL 3 has no text of its own for what the operating system reports.
std::string reason(const boost::system::error_code& error) {
  const auto code = static_cast<unsigned long>(error.value());
  return ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : error.message();
}

Result<Context> load(const TlsFiles& files, std::string_view port, bool as_server) {
  if (!files.enabled()) return Context();
  auto context = std::make_unique<ssl::context>(as_server ? ssl::context::tls_server
                                                          : ssl::context::tls_client);
  boost::system::error_code error;
  auto failed = [&](std::string_view option, const std::string& path) {
    return fail(fmt::format("tls.{}_{}: cannot use {}: {}", port, option, path, reason(error)));
  };
  ::SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  ::SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  context->use_certificate_chain_file(files.cert, error);
  if (error) return failed("cert", files.cert);
  context->use_private_key_file(files.key, ssl::context::pem, error);
  if (error) return failed("key", files.key);
  if (files.ca.empty()) {
    context->set_verify_mode(ssl::verify_none);
    return context;
  }
  context->load_verify_file(files.ca, error);
  if (error) return failed("ca", files.ca);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
  return context;
}

}  // namespace

Result<TlsContexts> load_tls(const TlsOptions& options) {
  TlsContexts contexts;
  struct Port {
    Context& context;
    const TlsFiles& files;
    std::string_view name;
    bool as_server;
  };
  for (const Port& port : {Port{contexts.client, options.client, "client", true},
                           Port{contexts.peer_accept, options.peer, "peer", true},
                           Port{contexts.peer_dial, options.peer, "peer", false},
                           Port{contexts.http, options.http, "http", true}}) {
    Result<Context> context = load(port.files, port.name, port.as_server);
    if (!context) return std::unexpected(context.error());
    port.context = std::move(*context);
  }
  return contexts;
}

}  // namespace even::server
