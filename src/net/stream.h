// One TCP connection, with or without TLS: what clients, peers and HTTP requests travel over.
// Models Asio's AsyncStream, so that Beast and the composed operations of Asio work on it.
//
// Used on the thread of its io_context only. Not movable: operations under way point into it.
#pragma once

#include <netinet/tcp.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <optional>
#include <utility>

namespace even {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// The concrete executor spares the type-erased one's indirections on every operation.
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;

inline void prepare_socket(Socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
}

class Stream {
 public:
  using executor_type = Executor;

  // Takes over `socket`. With `tls`, which is needed no longer than this call, a handshake has to
  // come first.
  Stream(Socket socket, asio::ssl::context* tls) : socket_(std::move(socket)) {
    prepare_socket(socket_);
    if (tls != nullptr) tls_.emplace(socket_, *tls);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  executor_type get_executor() { return socket_.get_executor(); }
  Socket& socket() { return socket_; }
  bool is_tls() const { return tls_.has_value(); }
  // Null: it is not TLS.
  SSL* tls() { return tls_ ? tls_->native_handle() : nullptr; }

  // Only with TLS.
  template <typename Handler>
  void async_handshake(bool as_server, Handler&& handler) {
    tls_->async_handshake(
        as_server ? asio::ssl::stream_base::server : asio::ssl::stream_base::client,
        std::forward<Handler>(handler));
  }

  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) {
      tls_->async_read_some(buffers, std::forward<Handler>(handler));
    } else {
      socket_.async_read_some(buffers, std::forward<Handler>(handler));
    }
  }

  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) {
      tls_->async_write_some(buffers, std::forward<Handler>(handler));
    } else {
      socket_.async_write_some(buffers, std::forward<Handler>(handler));
    }
  }

  // Ends the connection at once; operations under way end with an error. Safe to repeat.
  void close() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

 private:
  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
};

// "address:port" as CLIENT LIST prints it; "[address]:port" for IPv6.
inline std::string to_text(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

}  // namespace even
