#include "net/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cstring>

namespace even {
namespace {

namespace ssl = boost::asio::ssl;

// OpenSSL 3 has no text of its own for what the operating system reports.
std::string reason(const boost::system::error_code& error) {
  const auto code = static_cast<unsigned long>(error.value());
  return ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : error.message();
}

bool want_certificate_for(X509_VERIFY_PARAM* param, const std::string& host) {
  return ::X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1 ||
         ::X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1;
}

bool wants_address(X509_VERIFY_PARAM* param) {
  char* text = ::X509_VERIFY_PARAM_get1_ip_asc(param);
  const bool wants = text != nullptr;
  ::OPENSSL_free(text);
  return wants;
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

Result<TlsContext> load_dialing_tls(const TlsFiles& files, const std::string& name) {
  auto context = load_tls(files, false);
  if (!context) return fail(context.error().message);
  X509_VERIFY_PARAM* wanted = ::SSL_CTX_get0_param((*context)->native_handle());
  ::X509_VERIFY_PARAM_set_hostflags(
      wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (!name.empty() && !want_certificate_for(wanted, name)) {
    return fail(fmt::format("'{}' is no name that a certificate can be for", name));
  }
  return std::move(*context);
}

void expect_host(SSL* connection, const std::string& host) {
  X509_VERIFY_PARAM* wanted = ::SSL_get0_param(connection);
  const char* name = ::X509_VERIFY_PARAM_get0_host(wanted, 0);
  if (name == nullptr && !wants_address(wanted)) {
    // A certificate for what no certificate can be for is refused as any other that is not.
    if (!want_certificate_for(wanted, host)) ::X509_VERIFY_PARAM_set1_host(wanted, "invalid", 0);
    name = ::X509_VERIFY_PARAM_get0_host(wanted, 0);
  }
  // Addresses are not asked for by name (RFC 6066, 3).
  if (name != nullptr) SSL_set_tlsext_host_name(connection, name);
}

std::string certificate_problem(const SSL* connection) {
  const long verified = ::SSL_get_verify_result(connection);
  if (verified == X509_V_OK) return {};
  std::string text = ::X509_verify_cert_error_string(verified);
  if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    text +=
        " (the host that is connected to must be among the certificate's subjectAltNames; if it "
        "is for another one, --tls-name NAME says which)";
  }
  return "the server's certificate: " + text;
}

}  // namespace even
