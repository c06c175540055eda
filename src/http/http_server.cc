#include "http/http_server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <memory>
#include <optional>

#include "base/version.h"
#include "http/metrics.h"
#include "node/gather.h"
#include "node/report.h"

namespace even {
namespace {

namespace http = boost::beast::http;

constexpr std::chrono::seconds kIdleTimeout{30};
constexpr std::chrono::seconds kReportTimeout{2};
constexpr std::uint64_t kMaxHeaderBytes = 16 * 1024;

// One connection, for as long as the client keeps it. Owned by its operations under way.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(asio::io_context& io, NodeContext& node, Socket socket)
      : io_(io), node_(node), stream_(std::move(socket), node.tls.get()->http.get()), timer_(io) {}

  void start() {
    watch(kIdleTimeout);
    if (!stream_.is_tls()) return read();
    stream_.async_handshake(true, [self = shared_from_this()](error_code error) {
      error ? self->close() : self->read();
    });
  }

 private:
  using Request = http::request<http::empty_body>;
  using Response = http::response<http::string_body>;

  // Closes the connection unless something happens before the time is over.
  void watch(std::chrono::seconds time) {
    timer_.expires_after(time);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->stream_.close();
    });
  }

  void close() {
    timer_.cancel();
    stream_.close();
  }

  void read() {
    watch(kIdleTimeout);
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) {
                       error ? self->close() : self->handle(self->parser_->get());
                     });
  }

  void handle(const Request& request) {
    keep_alive_ = request.keep_alive();
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      return reply(http::status::method_not_allowed, "text/plain", "only GET and HEAD\n");
    }
    only_head_ = request.method() == http::verb::head;
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/healthz") return reply(http::status::ok, "text/plain", "ok\n");
    if (path == "/readyz") return readyz();
    if (path == "/metrics") {
      return with_reports(false, [this](std::vector<ThreadReport> reports) {
        reply(http::status::ok, "text/plain; version=0.0.4", render_metrics(node_, reports));
      });
    }
    if (path == "/status") {
      return with_reports(true, [this](std::vector<ThreadReport> reports) {
        reply(http::status::ok, "application/json", render_status(node_, reports));
      });
    }
    reply(http::status::not_found, "text/plain",
          "no such page: there are /healthz, /readyz, /metrics and /status\n");
  }

  void readyz() {
    if (!node_.ready) {
      return reply(http::status::service_unavailable, "text/plain",
                   fmt::format("not ready: {} of {} bytes of the log recovered\n",
                               node_.recovered_bytes.load(), node_.bytes_to_recover.load()));
    }
    if (!node_.users_known) {
      return reply(http::status::service_unavailable, "text/plain",
                   "not ready: it does not know the cluster's users, so nobody can log in; its log "
                   "says why\n");
    }
    with_reports(false, [this](std::vector<ThreadReport> reports) {
      for (const ThreadReport& report : reports) {
        if (!report.write_error) continue;
        return reply(http::status::service_unavailable, "text/plain",
                     fmt::format("not ready: shard {} refuses writes: {}\n", report.shard,
                                 *report.write_error));
      }
      std::uint64_t left = 0;
      for (const ThreadReport& report : reports) left += report.replay.bytes - report.replay.done;
      reply(http::status::ok, "text/plain",
            left == 0 ? "ready\n"
                      : fmt::format("ready; {} bytes of the log are to be replayed yet\n", left));
    });
  }

  // Calls use(reports) in time, or replies 503. While the node is not ready, there are no reports.
  template <typename Use>
  void with_reports(bool with_partitions, Use use) {
    if (!node_.ready) return use({});
    auto answered = std::make_shared<bool>(false);
    auto timer = std::make_shared<asio::steady_timer>(io_, kReportTimeout);
    timer->async_wait([self = shared_from_this(), answered](error_code error) {
      if (error || std::exchange(*answered, true)) return;
      self->reply(http::status::service_unavailable, "text/plain",
                  "the shard threads do not answer\n");
    });
    gather<ThreadReport>(
        node_,
        [with_partitions](ShardThread& thread) { return make_report(thread, with_partitions); },
        [&io = io_](auto task) { asio::post(io, std::move(task)); },
        [self = shared_from_this(), answered, timer,
         use = std::move(use)](std::vector<ThreadReport> reports) mutable {
          if (std::exchange(*answered, true)) return;
          timer->cancel();
          use(std::move(reports));
        });
  }

  void reply(http::status status, std::string_view type, std::string body) {
    response_.emplace(status, 11);
    response_->set(http::field::server, fmt::format("even/{}", version()));
    response_->set(http::field::content_type, boost::string_view(type.data(), type.size()));
    response_->set(http::field::cache_control, "no-store");
    response_->keep_alive(keep_alive_);
    response_->content_length(body.size());
    if (!only_head_) response_->body() = std::move(body);
    http::async_write(stream_, *response_,
                      [self = shared_from_this()](error_code error, std::size_t) {
                        error || !self->keep_alive_ ? self->close() : self->read();
                      });
  }

  asio::io_context& io_;
  NodeContext& node_;
  Stream stream_;
  asio::steady_timer timer_;
  boost::beast::flat_buffer buffer_{kMaxHeaderBytes * 2};
  std::optional<http::request_parser<http::empty_body>> parser_;
  std::optional<Response> response_;
  bool keep_alive_ = false;
  bool only_head_ = false;
};

}  // namespace

HttpServer::HttpServer(asio::io_context& io, NodeContext& node)
    : node_(node), listener_(io, "http", [&io, &node](Socket socket, const tcp::endpoint&) {
        std::make_shared<HttpSession>(io, node, std::move(socket))->start();
      }) {}

Result<> HttpServer::listen() {
  const ListenConfig& options = node_.config.http;
  if (options.port == 0) return {};
  if (Result<> bound = listener_.bind(options.bind, options.port); !bound) return bound;
  return listener_.listen();
}

}  // namespace even
