// One HTTP request to a node, for commands and scripts; not for anything that is in a hurry.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace even::cli {

struct HttpReply {
  int status = 0;
  std::string body;
};

// GET http://host:port/path, or https:// with `tls`, blocking, at most `timeout` in all. The error
// says what failed, without the address.
Result<HttpReply> http_get(const std::string& host, uint16_t port, const std::string& path,
                           std::chrono::milliseconds timeout,
                           boost::asio::ssl::context* tls = nullptr);

}  // namespace even::cli
