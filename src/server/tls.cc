#include "server/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>
#include <expected>
#include <vector>

namespace even::server {
namespace {

namespace ssl = boost::asio::ssl;

// OpenSSL 3 has no text of its own for what the operating system reports.
std::string reason(const boost::system::error_code& error) {
  const auto code = static_cast<unsigned long>(error.value());
  return ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : error.message();
}

// What did not do: "cert", "key" or "ca", and why.
struct Problem {
  std::string_view which;
  std::string message;
};

std::expected<TlsContext, Problem> load(const TlsFiles& files, bool as_server) {
  auto context = std::make_unique<ssl::context>(as_server ? ssl::context::tls_server
                                                          : ssl::context::tls_client);
  boost::system::error_code error;
  auto failed = [&](std::string_view which, const std::string& path) {
    return std::unexpected(Problem{which, fmt::format("cannot use {}: {}", path, reason(error))});
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

}  // namespace

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
                           Port{contexts.http, config.tls.http, "http", true}}) {
    if (!port.files.enabled()) continue;
    if (auto context = load(port.files, port.as_server)) {
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

Result<TlsContext> load_dialing_tls(const TlsFiles& files) {
  auto context = load(files, false);
  if (!context) return fail(context.error().message);
  return std::move(*context);
}

}  // namespace even::server
