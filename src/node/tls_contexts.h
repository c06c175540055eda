// TLS for the four ports of a node. With a CA, both sides must show a certificate that it signed.
#pragma once

#include "base/result.h"
#include "net/tls.h"
#include "node/config.h"

namespace even {

// Null where the port does without TLS.
struct TlsContexts {
  TlsContext client;
  TlsContext peer_accept;
  TlsContext peer_dial;
  TlsContext http;
  TlsContext kafka;
};

// Reads the files. The error has a line for each port whose files do not do, which says where the
// option was given, its name, the file and OpenSSL's reason.
Result<TlsContexts> load_tls(const Config& config);

}  // namespace even
