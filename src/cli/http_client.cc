#include "cli/http_client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace even::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

// Large clusters have a long /status: one line for each of up to 16384 partitions.
constexpr uint64_t kMaxBody = uint64_t{256} << 20;

}  // namespace

// Beast applies time limits to asynchronous operations only, so the request is a chain of those,
// driven to its end here.
Result<HttpReply> http_get(const std::string& host, uint16_t port, const std::string& path,
                           std::chrono::milliseconds timeout) {
  asio::io_context context(1);
  asio::ip::tcp::resolver resolver(context);
  beast::tcp_stream stream(context);
  beast::flat_buffer buffer;
  http::request<http::empty_body> request(http::verb::get, path, 11);
  request.set(http::field::host, host);
  request.set(http::field::connection, "close");
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxBody);

  error_code failure;
  bool done = false;
  auto go_on = [&](error_code error) {
    failure = error;
    return !error;
  };
  resolver.async_resolve(
      host, std::to_string(port),
      [&](error_code error, const asio::ip::tcp::resolver::results_type& endpoints) {
        if (!go_on(error)) return;
        stream.async_connect(endpoints, [&](error_code connect_error, const auto&) {
          if (!go_on(connect_error)) return;
          http::async_write(stream, request, [&](error_code write_error, size_t) {
            if (!go_on(write_error)) return;
            http::async_read(stream, buffer, parser,
                             [&](error_code read_error, size_t) { done = go_on(read_error); });
          });
        });
      });
  context.run_for(timeout);
  if (done)
    return HttpReply{static_cast<int>(parser.get().result_int()), std::move(parser.get().body())};
  return fail(failure ? failure.message()
                      : "no answer in " + std::to_string(timeout.count()) + " ms");
}

}  // namespace even::cli
