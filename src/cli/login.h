// How a command of `even` gets into nodes: what it shows them, and whether it speaks TLS.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "net/tls.h"
#include "net/tls_files.h"

namespace CLI {
class App;
}

namespace even::cli {

struct Login {
  std::string user;  // empty: the default user
  std::string password;
  TlsFiles tls;  // with a CA, TLS is spoken
  std::string tls_name;

  // The words of AUTH; none where there is no password.
  std::vector<std::string> auth() const;
  // Null: TLS is not spoken. Errors name the file.
  Result<TlsContext> tls_context() const;
};

// --user, --password (or EVEN_PASSWORD), and those of add_tls_options(). `login` must live until
// the command has been parsed, and after.
void add_login_options(CLI::App& command, Login& login);
// --ca, --cert, --key and --tls-name. `asked_for_by`: the setting that makes nodes ask for a
// certificate.
void add_tls_options(CLI::App& command, TlsFiles& tls, std::string& tls_name,
                     const std::string& asked_for_by);

}  // namespace even::cli
