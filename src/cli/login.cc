#include "cli/login.h"

#include <CLI/CLI.hpp>
#include <utility>

namespace even::cli {

std::vector<std::string> Login::auth() const {
  if (password.empty()) return {};
  if (user.empty()) return {"AUTH", password};
  return {"AUTH", user, password};
}

Result<TlsContext> Login::tls_context() const {
  if (tls.ca.empty()) return TlsContext();
  return load_dialing_tls(tls, tls_name);
}

void add_login_options(CLI::App& command, Login& login) {
  command.add_option("--user", login.user, "User to log in as, with --password")->type_name("NAME");
  command
      .add_option("--password", login.password,
                  "Password to log in with; other users of the machine do not see the variable")
      ->type_name("PASSWORD")
      ->envname("EVEN_PASSWORD");
  add_tls_options(command, login.tls, login.tls_name, "tls.client_ca");
}

void add_tls_options(CLI::App& command, TlsFiles& tls, std::string& tls_name,
                     const std::string& asked_for_by) {
  command
      .add_option("--ca", tls.ca,
                  "Speak TLS: the authority that signed the nodes' certificates (PEM)")
      ->type_name("FILE");
  CLI::Option* cert = command
                          .add_option("--cert", tls.cert,
                                      "Certificate to show to nodes that ask for one (" +
                                          asked_for_by + "); with --key")
                          ->type_name("FILE");
  CLI::Option* key = command.add_option("--key", tls.key, "Key of --cert")->type_name("FILE");
  command
      .add_option("--tls-name", tls_name,
                  "Host that the nodes' certificates must be for, if not the one connected to")
      ->type_name("NAME");
  cert->needs(key);
  key->needs(cert);
}

}  // namespace even::cli
