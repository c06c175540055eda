#include "cli/resp_pipe.h"

#include <fmt/format.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "net/tls.h"
#include "resp/resp_merge.h"

namespace even::cli {
namespace {

Result<> failed(std::string_view what) {
  if (errno == EAGAIN || errno == EWOULDBLOCK)
    return fail(fmt::format("{}: it does not answer", what));
  return fail(fmt::format("{}: {}", what, std::strerror(errno)));
}

void set_patience(int socket, int seconds) {
  const timeval time{.tv_sec = seconds, .tv_usec = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

Result<> send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return failed("cannot send");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

ssize_t receive_any(int socket, char* data, std::size_t size) {
  while (true) {
    const ssize_t received = ::recv(socket, data, size, 0);
    if (received >= 0 || errno != EINTR) return received;
  }
}

}  // namespace

// OpenSSL between two buffers: what it writes by itself raises SIGPIPE.
class RespPipe::Tls {
 public:
  Tls(SSL_CTX* context, int socket, const std::string& host)
      : socket_(socket),
        ssl_(::SSL_new(context), &::SSL_free),
        in_(::BIO_new(::BIO_s_mem())),
        out_(::BIO_new(::BIO_s_mem())) {
    ::SSL_set_bio(ssl_.get(), in_, out_);  // which owns them from now on
    expect_host(ssl_.get(), host);
  }

  Result<> shake_hands() {
    while (true) {
      const int done = ::SSL_connect(ssl_.get());
      const int error = ::SSL_get_error(ssl_.get(), done);
      if (const Result<> sent = flush(); !sent) return sent;
      if (done == 1) return {};
      if (error != SSL_ERROR_WANT_READ) return fail("TLS handshake: " + reason());
      const ssize_t size = take();
      if (size == 0) return fail("TLS handshake: it hung up");
      if (size < 0) return failed("TLS handshake");
    }
  }
  Result<> send(std::string_view bytes) {
    constexpr std::size_t kPiece = 16 << 10;  // as in a record of TLS
    while (!bytes.empty()) {
      const std::string_view piece = bytes.substr(0, kPiece);
      if (::SSL_write(ssl_.get(), piece.data(), static_cast<int>(piece.size())) <= 0) {
        return fail("cannot send: " + reason());
      }
      if (const Result<> sent = flush(); !sent) return sent;
      bytes.remove_prefix(piece.size());
    }
    return {};
  }
  ssize_t receive(char* data, std::size_t size) {
    while (true) {
      const int done = ::SSL_read(ssl_.get(), data, static_cast<int>(size));
      if (done > 0) return done;
      const int error = ::SSL_get_error(ssl_.get(), done);
      if (!flush()) return -1;
      if (error == SSL_ERROR_ZERO_RETURN) return 0;
      if (error != SSL_ERROR_WANT_READ) {
        errno = EPROTO;
        return -1;
      }
      const ssize_t taken = take();
      if (taken <= 0) return taken;
    }
  }

 private:
  std::string reason() const {
    if (std::string problem = certificate_problem(ssl_.get()); !problem.empty()) return problem;
    const char* text = ::ERR_reason_error_string(::ERR_get_error());
    return text == nullptr ? "it broke off" : text;
  }
  Result<> flush() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out_, &data);
    if (size <= 0) return {};
    const Result<> sent = send_all(socket_, {data, static_cast<std::size_t>(size)});
    BIO_reset(out_);
    return sent;
  }
  ssize_t take() {
    std::array<char, 16 << 10> buffer;
    const ssize_t size = receive_any(socket_, buffer.data(), buffer.size());
    if (size > 0) ::BIO_write(in_, buffer.data(), static_cast<int>(size));
    return size;
  }

  const int socket_;
  const std::unique_ptr<SSL, decltype(&::SSL_free)> ssl_;
  BIO* const in_;
  BIO* const out_;
};

RespPipe::RespPipe(boost::asio::ssl::context* tls) : context_(tls) {}
RespPipe::~RespPipe() { close(); }

void append_command(std::string& out, std::span<const std::string_view> words) {
  fmt::format_to(std::back_inserter(out), "*{}\r\n", words.size());
  for (const std::string_view word : words) {
    fmt::format_to(std::back_inserter(out), "${}\r\n", word.size());
    out.append(word).append("\r\n");
  }
}

Result<> RespPipe::connect(const std::string& host, std::uint16_t port, int patience_s) {
  close();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found)) {
    return fail(fmt::format("{}: {}", host, ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    socket_ = ::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol);
    if (socket_ < 0) continue;
    set_patience(socket_, 5);
    if (::connect(socket_, each->ai_addr, each->ai_addrlen) == 0) {
      set_patience(socket_, patience_s);
      return shake_hands(host);
    }
    const int error = errno;
    close();
    errno = error;
  }
  return failed(fmt::format("cannot connect to {}:{}", host, port));
}

Result<> RespPipe::shake_hands(const std::string& host) {
  if (context_ == nullptr) return {};
  tls_ = std::make_unique<Tls>(context_->native_handle(), socket_, host);
  return tls_->shake_hands();
}

Result<> RespPipe::send(std::string_view bytes) {
  return tls_ ? tls_->send(bytes) : send_all(socket_, bytes);
}

ssize_t RespPipe::receive_some(char* data, std::size_t size) {
  return tls_ ? tls_->receive(data, size) : receive_any(socket_, data, size);
}

Result<std::string> RespPipe::receive(std::size_t most, int patience_ms) {
  if (taken_ < received_.size()) {
    std::string bytes = received_.substr(taken_, most);
    taken_ += bytes.size();
    return bytes;
  }
  pollfd wanted{.fd = socket_, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&wanted, 1, patience_ms);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return std::string();
  std::string bytes(most, '\0');
  const ssize_t size = receive_some(bytes.data(), bytes.size());
  if (size == 0) return fail("it hung up");
  if (size < 0) return std::unexpected(failed("cannot receive").error());
  bytes.resize(static_cast<std::size_t>(size));
  return bytes;
}

Result<std::string_view> RespPipe::reply() {
  received_.erase(0, taken_);
  taken_ = 0;
  std::array<char, 64 << 10> buffer;
  // Of long ones, what there is is not looked through again for every piece of it.
  for (std::size_t looked = 0;;) {
    if (received_.size() >= looked) {
      const std::size_t size = reply_length(received_);
      if (size > 0) {
        taken_ = size;
        return std::string_view(received_).substr(0, size);
      }
      looked = received_.size() + received_.size() / 4;
    }
    const ssize_t size = receive_some(buffer.data(), buffer.size());
    if (size == 0) return fail("it hung up");
    if (size < 0) return std::unexpected(failed("cannot receive").error());
    received_.append(buffer.data(), static_cast<std::size_t>(size));
    looked = std::min(looked, received_.size());
  }
}

Result<std::string> RespPipe::call(std::span<const std::string_view> words) {
  std::string bytes;
  append_command(bytes, words);
  if (const Result<> sent = send(bytes); !sent) return std::unexpected(sent.error());
  const Result<std::string_view> answer = reply();
  if (!answer) return std::unexpected(answer.error());
  if (answer->starts_with('-')) return fail(std::string(answer->substr(1, answer->size() - 3)));
  return std::string(*answer);
}

void RespPipe::close() {
  tls_.reset();
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  received_.clear();
  taken_ = 0;
}

}  // namespace even::cli
