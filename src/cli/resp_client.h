// A client of a node's port for clients, for commands and scripts; not for anything that is in a
// hurry.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace even::cli {

// A reply that is no error: one text, or the texts of an array of them.
using RespReply = std::vector<std::string>;

// Of a whole reply of RESP2 that is not nested. An error is the node's own, or that the bytes are
// none.
Result<RespReply> decode_reply(std::string_view bytes);

class RespClient {
 public:
  // Speaks TLS with a context, which must outlive this.
  explicit RespClient(boost::asio::ssl::context* tls = nullptr);
  ~RespClient();

  // They block, at most for the time that is given. Errors say what failed, without the address;
  // those of call() may be the node's. After any other error the connection is of no use.
  Result<> connect(const std::string& host, std::uint16_t port, std::chrono::milliseconds timeout);
  Result<RespReply> call(const std::vector<std::string>& words, std::chrono::milliseconds timeout);
  // The bytes of the reply, of whatever kind; an error is then one of the connection, and whether
  // the command was carried out is not known.
  Result<std::string> exchange(const std::vector<std::string>& words,
                               std::chrono::milliseconds timeout);

 private:
  class Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace even::cli
