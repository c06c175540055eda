// TLS for the four ports of a node. With a CA, both sides must show a certificate that it signed.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/tls.h"
#include "node/config.h"

namespace even {

// By what a file is recognised that has been changed or replaced; all 0: there is none.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::int64_t changed_ns = 0;
  auto operator<=>(const FileStamp&) const = default;
};

// Null where the port does without TLS.
struct TlsContexts {
  TlsContext client;
  TlsContext peer_accept;
  TlsContext peer_dial;
  TlsContext http;
  TlsContext kafka;
  std::vector<FileStamp> files;  // as they were before they were read
};

// Reads the files. The error has a line for each port whose files do not do, which says where the
// option was given, its name, the file and OpenSSL's reason.
Result<TlsContexts> load_tls(const Config& config);
// Of all files that load_tls() reads.
std::vector<FileStamp> stamp_tls_files(const Config& config);

// Those of a node at present. Which ports speak TLS does not change. Thread-safe.
class CurrentTls {
 public:
  explicit CurrentTls(TlsContexts contexts)
      : contexts_(std::make_shared<const TlsContexts>(std::move(contexts))) {}

  // A connection keeps what it began with.
  std::shared_ptr<const TlsContexts> get() const {
    const std::lock_guard lock(mutex_);
    return contexts_;
  }
  void replace(TlsContexts contexts) {
    auto next = std::make_shared<const TlsContexts>(std::move(contexts));
    const std::lock_guard lock(mutex_);
    contexts_.swap(next);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsContexts> contexts_;
};

}  // namespace even
