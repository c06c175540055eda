// The output side of a connection: what waits for the client, how it leaves, and when there is too
// much of it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include "client/connection.h"
#include "node/shard_thread.h"

namespace even {
namespace {

// That are encrypted at a time.
constexpr std::size_t kMostTlsBytes = 256 * 1024;

}  // namespace

bool Connection::too_much_waits() const {
  if (pending_ >= most_pending_ || replies_.slots() >= kMostPending) return true;
  const OutputLimit& limit = thread_.node().options.output_limit(ClientClass::kNormal);
  const std::uint64_t most = limit.hard.load(std::memory_order_relaxed);
  return most != 0 && replies_.size() + pending_bytes_ + pending_ * expected_reply_ > most / 2;
}

void Connection::note_dirty() {
  if (dirty_ || closed_) return;
  dirty_ = true;
  thread_.mark_dirty(shared_from_this());
}

void Connection::receive(MessageFrame& frame) {
  if (closing_) return;
  note_dirty();
  const OutputLimit& limit = thread_.node().options.output_limit(ClientClass::kPubsub);
  // It will be closed in the end of the turn.
  if (limit.exceeded_by(replies_.size() + held_pushes_.size())) return;
  pushes_wait_ = true;
  if (in_exec_) return held_pushes_.add(frame.in(false), frame.in(true));
  replies_.begin_reply();
  replies_.tail() += frame.in(session_.resp3);
  mark_pushes();
}

void Connection::mark_pushes() {
  pushes_wait_ = true;
  if (!in_exec_) reply_begin_ = replies_.tail().size();
}

void Connection::release_pushes() {
  if (held_pushes_.size() == 0) return;
  const HeldPushes held = std::exchange(held_pushes_, {});
  replies_.begin_reply();
  replies_.tail() += held.in(session_.resp3);
}

bool Connection::close_if_slow() {
  const ClientClass which = subscribed()        ? ClientClass::kPubsub
                            : session_.monitors ? ClientClass::kReplica
                                                : ClientClass::kNormal;
  const OutputLimit& limit = thread_.node().options.output_limit(which);
  const std::size_t bytes = replies_.size();
  const bool hard = limit.exceeded_by(bytes);
  if (!hard && !soft_limit_.exceeded_by(bytes, limit, thread_.turn_time_us())) return false;
  spdlog::warn("client {} ({}): {} bytes of {} wait, more than {}: closed", session_.id,
               session_.address, bytes, subscribed() ? "messages" : "replies",
               subscribed() ? hard ? "client.pubsub_buffer_bytes"
                                   : "client.pubsub_buffer_soft_bytes, for too long"
                            : "client.output_buffer_bytes");
  close("more waits for it than its class may have");
  return true;
}

bool Connection::flush(LogPosition released, const std::optional<std::string>& release_error) {
  dirty_ = false;
  if (closed_) return false;
  // Before anything is sent, so that what the kernel's buffers happen to take makes no difference.
  if (close_if_slow()) return false;
  std::string_view bytes = replies_.ready(released);
  if (release_error && replies_.waits_for(released)) {
    // There is no telling which of them are replies.
    if (pushes_wait_) {
      close("replies that cannot be given are amid messages");
      return false;
    }
    std::string error;
    Reply(error, false).error(*release_error);
    replies_.fail_waiting(error);
    bytes = replies_.ready(released);
  }
  for (; !bytes.empty() && !writing_; bytes = replies_.ready(released)) {
    if (!(tls_ ? flush_tls(bytes) : flush_plain(bytes))) return false;  // closed
  }
  pushes_wait_ = pushes_wait_ && replies_.size() > 0;
  if (closing_ && replies_.size() == 0 && !replies_.has_open_slots() && !writing_ && !executing_) {
    close("done");
    return false;
  }
  if (!too_much_waits()) unblock(Block::kOutput);
  if (!replies_.waits_for(released)) return false;
  dirty_ = true;  // stays in the thread's list
  return true;
}

bool Connection::flush_plain(std::string_view bytes) {
  const std::string_view all = std::exchange(bytes, bytes.substr(0, kMostPlainBytes));
  const ssize_t sent = ::send(plain_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    close(std::strerror(errno));
    return false;
  }
  const std::size_t count = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
  thread_.traffic().output_bytes += count;
  replies_.consume(count);
  if (count == all.size()) return true;
  writing_ = true;
  thread_.poller().watch(plain_, session_.id, reading_, writing_);
  return true;
}

bool Connection::flush_tls(std::string_view bytes) {
  bytes = bytes.substr(0, kMostTlsBytes);
  tls_output_.assign(bytes);
  thread_.traffic().output_bytes += bytes.size();
  replies_.consume(bytes.size());
  writing_ = true;
  asio::async_write(*tls_, asio::buffer(tls_output_),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      self->writing_ = false;
                      if (self->closed_) return;
                      if (error) return self->close(error.message());
                      self->tls_output_.clear();
                      if (self->tls_output_.capacity() > kKeptCapacity) {
                        self->tls_output_.shrink_to_fit();
                      }
                      self->note_dirty();
                    });
  return true;
}

}  // namespace even
