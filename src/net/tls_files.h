// Which files TLS takes its keys and certificates from.
#pragma once

#include <string>

namespace even {

// Paths of PEM files; all empty: no TLS. With `ca`, the other side must show a certificate that it
// signed.
struct TlsFiles {
  std::string cert;
  std::string key;
  std::string ca;
  bool enabled() const { return !cert.empty(); }
};

}  // namespace even
