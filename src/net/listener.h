// Takes connections on the addresses of one service and hands the sockets on. Runs on the main
// thread's event loop.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/stream.h"

namespace even {

// The endpoint of an address, which may be a host name, for listening.
Result<tcp::endpoint> resolve_bind(const std::string& address, std::uint16_t port);

class Listener {
 public:
  using OnSocket = std::function<void(Socket socket, const tcp::endpoint& remote)>;

  // `service` is the configuration's section: it names the options in errors and logs.
  Listener(asio::io_context& io, std::string service, OnSocket on_socket)
      : io_(io), service_(std::move(service)), on_socket_(std::move(on_socket)) {}

  // Takes the ports, so that a conflict shows early. See resolve_bind().
  Result<> bind(const std::vector<std::string>& addresses, std::uint16_t port);
  // Begins to accept.
  Result<> listen();
  void close();

 private:
  struct Entrance {
    Acceptor acceptor;
    asio::steady_timer retry;
    tcp::endpoint endpoint;
  };
  void accept(Entrance& entrance);

  asio::io_context& io_;
  const std::string service_;
  const OnSocket on_socket_;
  std::vector<std::unique_ptr<Entrance>> entrances_;
};

}  // namespace even
