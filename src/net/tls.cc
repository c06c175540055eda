#include "net/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>

namespace even {
namespace {

namespace ssl = boost::asio::ssl;

// OpenSSL 3 has no text of its own for what the operating system reports.
std::string reason(const boost::system::error_code& error) {
  const auto code = static_cast<unsigned long>(error.value());
  return ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : error.message();
}

}  // namespace

std::expected<TlsContext, TlsProblem> load_tls(const TlsFiles& files, bool as_server) {
  auto context = std::make_shared<ssl::context>(as_server ? ssl::context::tls_server
                                                          : ssl::context::tls_client);
  boost::system::error_code error;
  auto failed = [&](std::string_view which, const std::string& path) {
    return std::unexpected(
        TlsProblem{which, fmt::format("cannot use {}: {}", path, reason(error))});
  };
  ::SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  ::SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  if (!files.cert.empty()) {
    context->use_certificate_chain_file(files.cert, error);
    if (error) return failed("cert", files.cert);
    context->use_private_key_file(files.key, ssl::context::pem, error);
    if (error) return failed("key", files.key);
  }
  if (files.ca.empty()) {
    context->set_verify_mode(ssl::verify_none);
    return context;
  }
  context->load_verify_file(files.ca, error);
  if (error) return failed("ca", files.ca);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
  return context;
}

Result<TlsContext> load_dialing_tls(const TlsFiles& files) {
  auto context = load_tls(files, false);
  if (!context) return fail(context.error().message);
  return std::move(*context);
}

}  // namespace even
