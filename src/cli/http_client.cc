#include "cli/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "net/stream.h"
#include "net/tls.h"

namespace even::cli {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

// Large clusters have a long /status: one line for each of up to 16384 partitions.
constexpr uint64_t kMaxBody = uint64_t{256} << 20;

// One request on its way, as a chain of asynchronous operations, which alone can be given up in
// time.
class Request {
 public:
  Request(asio::io_context& io, asio::ssl::context* tls)
      : resolver_(io.get_executor()), stream_(Socket(io.get_executor()), tls) {
    parser_.body_limit(kMaxBody);
  }

  void start(const std::string& host, uint16_t port, const std::string& path) {
    host_ = host;
    request_ = {http::verb::get, path, 11};
    request_.set(http::field::host, host);
    request_.set(http::field::connection, "close");
    resolver_.async_resolve(host, std::to_string(port), [this](error_code error, auto endpoints) {
      if (!go_on(error)) return;
      asio::async_connect(stream_.socket(), endpoints,
                          [this](error_code error, const tcp::endpoint&) {
                            if (go_on(error)) connected();
                          });
    });
  }

  Result<HttpReply> result(std::chrono::milliseconds timeout) {
    if (done_) {
      return HttpReply{static_cast<int>(parser_.get().result_int()),
                       std::move(parser_.get().body())};
    }
    if (!failure_) return fail("no answer in " + std::to_string(timeout.count()) + " ms");
    // A port that takes TLS only hangs up on everything else.
    const bool hung_up = failure_ == http::error::end_of_stream ||
                         failure_ == asio::error::connection_reset ||
                         failure_ == http::error::bad_version;
    if (sent_ && hung_up && !stream_.is_tls()) {
      return fail("it hangs up without an answer; if its HTTP port takes TLS, give --ca FILE");
    }
    if (!in_handshake_) return fail(failure_.message());
    const std::string problem = certificate_problem(stream_.tls());
    return fail("TLS handshake: " + (problem.empty() ? failure_.message() : problem));
  }

 private:
  bool go_on(error_code error) {
    failure_ = error;
    return !error;
  }

  void connected() {
    if (!stream_.is_tls()) return send();
    in_handshake_ = true;
    expect_host(stream_.tls(), host_);
    stream_.async_handshake(false, [this](error_code error) {
      if (!go_on(error)) return;
      in_handshake_ = false;
      send();
    });
  }

  void send() {
    http::async_write(stream_, request_, [this](error_code error, size_t) {
      if (!go_on(error)) return;
      sent_ = true;
      http::async_read(stream_, buffer_, parser_,
                       [this](error_code error, size_t) { done_ = go_on(error); });
    });
  }

  asio::ip::basic_resolver<tcp, Executor> resolver_;
  Stream stream_;
  boost::beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response_parser<http::string_body> parser_;
  std::string host_;
  error_code failure_;
  bool in_handshake_ = false;
  bool sent_ = false;
  bool done_ = false;
};

}  // namespace

Result<HttpReply> http_get(const std::string& host, uint16_t port, const std::string& path,
                           std::chrono::milliseconds timeout, asio::ssl::context* tls) {
  asio::io_context io(1);
  Request request(io, tls);
  request.start(host, port, path);
  io.run_for(timeout);
  return request.result(timeout);
}

}  // namespace even::cli
