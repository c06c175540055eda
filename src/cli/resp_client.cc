#include "cli/resp_client.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <charconv>

#include "net/stream.h"
#include "net/tls.h"
#include "resp/resp_merge.h"

namespace even::cli {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// The text of the element at the start of `bytes`, which it is taken from; of an array, the number
// of its elements. The bytes are known to be a whole reply.
std::string take_text(std::string_view& bytes) {
  const char type = bytes[0];
  const std::size_t end = bytes.find("\r\n");
  std::string_view text = bytes.substr(1, end - 1);
  bytes.remove_prefix(end + 2);
  if (type != '$') return std::string(text);
  std::int64_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  if (length < 0) return {};
  text = bytes.substr(0, static_cast<std::size_t>(length));
  bytes.remove_prefix(text.size() + 2);
  return std::string(text);
}

std::string encode(const std::vector<std::string>& words) {
  std::string bytes = fmt::format("*{}\r\n", words.size());
  for (const std::string& word : words) bytes += fmt::format("${}\r\n{}\r\n", word.size(), word);
  return bytes;
}

}  // namespace

Result<RespReply> decode_reply(std::string_view bytes) {
  if (bytes.empty() || reply_length(bytes) != bytes.size() ||
      std::string_view("+-:$*").find(bytes[0]) == std::string_view::npos) {
    return fail("the answer makes no sense");
  }
  const char type = bytes[0];
  std::string text = take_text(bytes);
  if (type == '-') return fail(std::move(text));
  if (type != '*') return RespReply{std::move(text)};
  RespReply elements;
  while (!bytes.empty()) {
    if (std::string_view("+:$").find(bytes[0]) == std::string_view::npos) {
      return fail("the answer makes no sense");
    }
    elements.push_back(take_text(bytes));
  }
  return elements;
}

// A chain of asynchronous operations, which alone can be given up in time.
class RespClient::Connection {
 public:
  explicit Connection(asio::ssl::context* tls)
      : resolver_(io_.get_executor()), stream_(Socket(io_.get_executor()), tls) {}

  Result<> connect(const std::string& host, std::uint16_t port, std::chrono::milliseconds timeout) {
    if (stream_.is_tls()) expect_host(stream_.tls(), host);
    resolver_.async_resolve(host, std::to_string(port), [this](error_code error, auto endpoints) {
      if (!go_on(error)) return;
      asio::async_connect(stream_.socket(), endpoints,
                          [this](error_code error, const tcp::endpoint&) {
                            if (!go_on(error)) return;
                            if (!stream_.is_tls()) return finish();
                            stream_.async_handshake(false, [this](error_code error) {
                              if (go_on(error)) finish();
                            });
                          });
    });
    return wait(timeout);
  }

  Result<std::string> call(const std::string& request, std::chrono::milliseconds timeout) {
    asio::async_write(stream_, asio::buffer(request), [this](error_code error, std::size_t) {
      if (go_on(error)) read();
    });
    if (const auto answered = wait(timeout); !answered) return std::unexpected(answered.error());
    return std::exchange(answer_, {});
  }

 private:
  Result<> wait(std::chrono::milliseconds timeout) {
    done_ = false;
    failure_ = {};
    io_.restart();
    io_.run_for(timeout);
    if (done_) return {};
    if (!failure_) return fail(fmt::format("no answer in {} ms", timeout.count()));
    const bool hung_up = failure_ == asio::error::eof || failure_ == asio::error::connection_reset;
    if (hung_up && !stream_.is_tls() && !has_answered_) {
      return fail("it hangs up; if its port for clients takes TLS, give --ca FILE");
    }
    if (const std::string problem = stream_.is_tls() ? certificate_problem(stream_.tls()) : "";
        !problem.empty()) {
      return fail("TLS handshake: " + problem);
    }
    if (hung_up) return fail("it hung up");
    return fail(failure_.message());
  }

  void read() {
    stream_.async_read_some(asio::buffer(buffer_), [this](error_code error, std::size_t size) {
      if (!go_on(error)) return;
      answer_.append(buffer_.data(), size);
      has_answered_ = true;
      reply_length(answer_) != 0 ? finish() : read();
    });
  }

  bool go_on(error_code error) {
    failure_ = error;
    return !error;
  }
  void finish() { done_ = true; }

  asio::io_context io_{1};
  asio::ip::basic_resolver<tcp, Executor> resolver_;
  Stream stream_;
  std::array<char, 4096> buffer_;
  std::string answer_;
  error_code failure_;
  bool done_ = false;
  bool has_answered_ = false;  // on this connection, at any time
};

RespClient::RespClient(asio::ssl::context* tls) : connection_(std::make_unique<Connection>(tls)) {}
RespClient::~RespClient() = default;

Result<> RespClient::connect(const std::string& host, std::uint16_t port,
                             std::chrono::milliseconds timeout) {
  return connection_->connect(host, port, timeout);
}

Result<RespReply> RespClient::call(const std::vector<std::string>& words,
                                   std::chrono::milliseconds timeout) {
  const auto answer = exchange(words, timeout);
  if (!answer) return std::unexpected(answer.error());
  return decode_reply(*answer);
}

Result<std::string> RespClient::exchange(const std::vector<std::string>& words,
                                         std::chrono::milliseconds timeout) {
  return connection_->call(encode(words), timeout);
}

}  // namespace even::cli
