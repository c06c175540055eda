// HTTP for operators: GET /healthz, /readyz, /metrics and /status.
//
// Runs on the main thread's event loop, so that it answers while a shard thread is busy or
// recovering. What needs the shard threads is answered with 503 when they do not report in time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "net/listener.h"
#include "node/node_context.h"

namespace even {

class HttpServer {
 public:
  HttpServer(asio::io_context& io, NodeContext& node);
  // Takes the addresses of the configuration, if it has a port.
  Result<> listen();
  void close() { listener_.close(); }

 private:
  NodeContext& node_;
  Listener listener_;
};

}  // namespace even
