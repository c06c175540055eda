#include "kafka/connection.h"

#include <spdlog/spdlog.h>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "base/bytes.h"
#include "kafka/apis.h"

namespace even::kafka {
namespace {

// As Kafka's socket.request.max.bytes.
constexpr std::size_t kMostFrameBytes = 100 << 20;
// No more is read while so much is under way.
constexpr std::size_t kMostRequests = 64;
constexpr std::size_t kMostBytes = 32 << 20;

}  // namespace

Connection::Connection(ShardThread& thread, Socket socket)
    : thread_(thread), stream_(std::move(socket), nullptr) {}

Connection::~Connection() { --thread_.node().connected_kafka_clients; }

void Connection::start() { read(); }

void Connection::close() {
  const auto self = shared_from_this();
  thread_.remove_kafka_client(this);
  if (std::exchange(closed_, true)) return;
  stream_.close();
  work_.clear();
}

void Connection::read() {
  if (closed_ || reading_ || slots_.size() >= kMostRequests ||
      bytes_under_way_ + writing_.size() >= kMostBytes) {
    return;
  }
  reading_ = true;
  asio::async_read(stream_, asio::buffer(size_),
                   [self = shared_from_this()](error_code error, std::size_t) {
                     if (error || self->closed_) return self->close();
                     const auto size = get_big_endian<std::uint32_t>(self->size_.data());
                     if (size > kMostFrameBytes) {
                       spdlog::warn("kafka port: a request of {} bytes, which is more than {}",
                                    size, kMostFrameBytes);
                       return self->close();
                     }
                     self->read_body(size);
                   });
}

// Memory is taken as bytes come: a length alone costs nothing.
void Connection::read_body(std::size_t size) {
  struct Body {
    std::string bytes;
    std::size_t size;
  };
  auto body = std::make_shared<Body>(Body{{}, size});
  auto next = std::make_shared<std::function<void()>>();
  *next = [self = shared_from_this(), body, weak = std::weak_ptr(next)] {
    constexpr std::size_t kFirstStep = 16 << 10;
    constexpr std::size_t kMostStep = 1 << 20;
    const std::size_t had = body->bytes.size();
    const std::size_t step = std::min(std::clamp(had, kFirstStep, kMostStep), body->size - had);
    body->bytes.resize(had + step);
    asio::async_read(self->stream_, asio::buffer(body->bytes.data() + had, step),
                     [self, body, next = weak.lock()](error_code error, std::size_t) {
                       if (error || self->closed_) return self->close();
                       if (body->bytes.size() < body->size) return (*next)();
                       self->reading_ = false;
                       auto frame = std::make_shared<const std::string>(std::move(body->bytes));
                       if (!self->serve(std::move(frame))) return self->close();
                       self->read();
                     });
  };
  (*next)();
}

bool Connection::serve(std::shared_ptr<const std::string> frame) {
  auto slot = std::make_shared<Slot>();
  slot->bytes = frame->size();
  slots_.push_back(slot);
  bytes_under_way_ += slot->bytes;
  return even::kafka::serve(*this, std::move(frame),
                            [weak = weak_from_this(),
                             weak_slot = std::weak_ptr(slot)](std::optional<std::string> answer) {
                              const auto self = weak.lock();
                              const auto slot = weak_slot.lock();
                              if (!self || !slot) return;
                              slot->answer = std::move(answer);
                              if (slot->answer) {
                                slot->bytes += slot->answer->size();
                                self->bytes_under_way_ += slot->answer->size();
                              }
                              slot->done = true;
                              self->answered();
                            });
}

void Connection::answered() {
  if (closed_ || !writing_.empty()) return;
  while (!slots_.empty() && slots_.front()->done) {
    const std::shared_ptr<Slot> slot = std::move(slots_.front());
    slots_.pop_front();
    bytes_under_way_ -= slot->bytes;
    if (!slot->answer) continue;
    put_big_endian(writing_, static_cast<std::uint32_t>(slot->answer->size()));
    writing_ += *slot->answer;
  }
  if (!writing_.empty()) write();
  read();
}

void Connection::write() {
  asio::async_write(stream_, asio::buffer(writing_),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      if (error || self->closed_) return self->close();
                      self->writing_.clear();
                      self->answered();
                    });
}

}  // namespace even::kafka
