// A blocking connection that sends many commands before it reads their replies: for imports, where
// a round trip per command would be what takes the time. One thread at a time.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace even::cli {

void append_command(std::string& out, std::span<const std::string_view> words);

class RespPipe {
 public:
  // Speaks TLS with a context, which must outlive this.
  explicit RespPipe(boost::asio::ssl::context* tls = nullptr);
  ~RespPipe();
  RespPipe(const RespPipe&) = delete;
  RespPipe& operator=(const RespPipe&) = delete;

  // Blocks for 5 s at most; and reads and writes, from then on, for `patience_s` each.
  Result<> connect(const std::string& host, std::uint16_t port, int patience_s);
  Result<> send(std::string_view bytes);
  // The bytes of the next reply, whole; they are valid until the next call.
  Result<std::string_view> reply();
  // Sends one command and reads its reply, which is an error if the server's is.
  Result<std::string> call(std::span<const std::string_view> words);
  Result<std::string> call(std::initializer_list<std::string_view> words) {
    return call(std::span(words.begin(), words.size()));
  }
  // What has come, at least a byte and at most `most` bytes; nothing when nothing has come within
  // `patience_ms`.
  Result<std::string> receive(std::size_t most, int patience_ms);
  void close();

 private:
  class Tls;

  Result<> shake_hands(const std::string& host);
  // As ::recv() does it, but goes on when it is interrupted.
  ssize_t receive_some(char* data, std::size_t size);

  boost::asio::ssl::context* const context_;
  std::unique_ptr<Tls> tls_;
  int socket_ = -1;
  std::string received_;
  std::size_t taken_ = 0;  // of it
};

}  // namespace even::cli
