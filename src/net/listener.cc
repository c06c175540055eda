#include "net/listener.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>

namespace even {
namespace {

constexpr int kBacklog = 511;
// After an error such as "too many open files", which trying at once would only repeat.
constexpr std::chrono::milliseconds kRetry{100};

}  // namespace

Result<tcp::endpoint> resolve_bind(const std::string& address, std::uint16_t port) {
  asio::io_context io;
  asio::ip::basic_resolver<tcp, Executor> resolver(io.get_executor());
  error_code error;
  const auto found =
      resolver.resolve(address, std::to_string(port),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) return fail(error.message());
  if (found.empty()) return fail("it has no address");
  return found.begin()->endpoint();
}

Result<> Listener::bind(const std::vector<std::string>& addresses, std::uint16_t port) {
  for (const std::string& address : addresses) {
    const Result<tcp::endpoint> endpoint = resolve_bind(address, port);
    if (!endpoint) {
      return fail(fmt::format("cannot listen on {} ({}.bind): {}", address, service_,
                              endpoint.error().message));
    }
    error_code error;
    auto entrance = std::make_unique<Entrance>(
        Entrance{Acceptor(io_.get_executor()), asio::steady_timer(io_), *endpoint});
    Acceptor& acceptor = entrance->acceptor;
    acceptor.open(entrance->endpoint.protocol(), error);
    if (!error) acceptor.set_option(Acceptor::reuse_address(true), error);
    if (!error && entrance->endpoint.address().is_v6()) {
      acceptor.set_option(asio::ip::v6_only(true), error);
    }
    if (!error) acceptor.bind(entrance->endpoint, error);
    if (error) {
      return fail(fmt::format("cannot listen on {} ({}.bind, {}.port): {}",
                              to_text(entrance->endpoint), service_, service_, error.message()));
    }
    entrances_.push_back(std::move(entrance));
  }
  return {};
}

Result<> Listener::listen() {
  for (const auto& entrance : entrances_) {
    error_code error;
    entrance->acceptor.listen(kBacklog, error);
    if (error) {
      return fail(fmt::format("cannot listen on {} ({}.bind, {}.port): {}",
                              to_text(entrance->endpoint), service_, service_, error.message()));
    }
    accept(*entrance);
  }
  return {};
}

void Listener::accept(Entrance& entrance) {
  entrance.acceptor.async_accept([this, &entrance](error_code error, Socket socket) {
    if (error == asio::error::operation_aborted || !entrance.acceptor.is_open()) return;
    if (error) {
      spdlog::warn("{}: cannot accept a connection: {}", service_, error.message());
      entrance.retry.expires_after(kRetry);
      entrance.retry.async_wait([this, &entrance](error_code error) {
        if (!error) accept(entrance);
      });
      return;
    }
    const tcp::endpoint remote = socket.remote_endpoint(error);
    if (!error) on_socket_(std::move(socket), remote);
    accept(entrance);
  });
}

void Listener::close() {
  for (const auto& entrance : entrances_) {
    error_code ignored;
    entrance->acceptor.close(ignored);
    entrance->retry.cancel();
  }
}

}  // namespace even
