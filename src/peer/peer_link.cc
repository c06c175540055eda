#include "peer/peer_link.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "node/shard_thread.h"
#include "peer/peer_hub.h"

namespace even {
namespace {

constexpr std::chrono::seconds kHandshakeTimeout{5};
constexpr std::size_t kHeaderBytes = 5;
constexpr std::size_t kMaxHandshakeFrame = 64 * 1024;
constexpr std::size_t kMaxFrame = std::size_t{1} << 31;
// The core bounds what it has in flight, but for one record that may be as long as a request.
// Behind a queue of this size nothing more is put: the other side does not take even that.
constexpr std::size_t kMaxQueue = std::size_t{512} << 20;
constexpr std::size_t kKeptCapacity = 1 << 20;
constexpr std::size_t kLongBody = 64 << 10;  // is not copied
constexpr std::size_t kKeptQueue = 2 * kLongBody;
constexpr std::size_t kBlocksAtOnce = 8;
// For a long one: a frame of the log and what is kept.
constexpr std::size_t kBlocksToTake = 3;
constexpr std::string_view kPreambleMagic{"EVENP\0", 6};

void detect_dead_peers(Socket& socket) {
  // A machine that vanished sends no reset. The values bound how long the link seems to be up.
  const int fd = socket.native_handle();
  const int on = 1, idle_s = 3, interval_s = 1, count = 5;
  const unsigned unacknowledged_ms = 8000;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
}

// Puts a frame behind those that are in `out`.
void append_frame(std::vector<std::string>& out, FrameType type, std::string body) {
  if (out.empty() || out.back().size() >= kLongBody) out.emplace_back();
  std::string& last = out.back();
  const auto length = static_cast<std::uint32_t>(body.size() + 1);
  for (int shift = 0; shift < 32; shift += 8) last += static_cast<char>(length >> shift);
  last += static_cast<char>(type);
  if (body.size() < kLongBody) {
    last += body;
  } else {
    out.emplace_back().swap(body);
  }
}

std::uint32_t read_u32(const char* bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

std::array<char, kPreambleBytes> encode_preamble(ShardId shard) {
  std::array<char, kPreambleBytes> bytes;
  std::memcpy(bytes.data(), kPreambleMagic.data(), kPreambleMagic.size());
  bytes[6] = static_cast<char>(shard);
  bytes[7] = static_cast<char>(shard >> 8);
  return bytes;
}

Result<ShardId> decode_preamble(const std::array<char, kPreambleBytes>& bytes) {
  if (std::string_view(bytes.data(), kPreambleMagic.size()) != kPreambleMagic) {
    return fail("the other side is not a node of Even");
  }
  return static_cast<ShardId>(static_cast<unsigned char>(bytes[6]) |
                              static_cast<unsigned char>(bytes[7]) << 8);
}

PeerLink::PeerLink(PeerHub& hub, Socket socket, NodeNumber dialed)
    : hub_(hub),
      stream_(std::move(socket), dialed != 0 ? hub.thread().node().tls.get()->peer_dial.get()
                                             : hub.thread().node().tls.get()->peer_accept.get()),
      dialed_(dialed),
      node_(dialed),
      delay_timer_(hub.thread().io()),
      handshake_timer_(hub.thread().io()) {
  error_code error;
  const tcp::endpoint endpoint = stream_.socket().remote_endpoint(error);
  remote_ = error ? "?" : to_text(endpoint);
}

std::string PeerLink::describe() const {
  const cluster::Node* known = hub_.thread().node().config.cluster.find(node_);
  return known == nullptr ? remote_ : fmt::format("{} ({})", known->name, remote_);
}

void PeerLink::start() {
  detect_dead_peers(stream_.socket());
  handshake_timer_.expires_after(kHandshakeTimeout);
  handshake_timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && !self->in_session_) self->end("no handshake within 5 s");
  });
  if (!dialed()) return secure();
  auto preamble =
      std::make_shared<std::array<char, kPreambleBytes>>(encode_preamble(hub_.thread().id()));
  asio::async_write(stream_.socket(), asio::buffer(*preamble),
                    [self = shared_from_this(), preamble](error_code error, std::size_t) {
                      if (self->ended_) return;
                      error ? self->end(error.message()) : self->secure();
                    });
}

void PeerLink::secure() {
  if (!stream_.is_tls()) return begin();
  stream_.async_handshake(!dialed(), [self = shared_from_this()](error_code error) {
    if (self->ended_) return;
    error ? self->end("TLS handshake: " + error.message()) : self->begin();
  });
}

void PeerLink::begin() {
  enqueue(FrameType::kHello, encode_hello(hub_.hello()));
  flush();
  read();
}

void PeerLink::read() {
  stream_.async_read_some(asio::buffer(chunk_),
                          [self = shared_from_this()](error_code error, std::size_t bytes) {
                            if (self->ended_) return;
                            if (error) return self->end(error.message());
                            self->in_.append(self->chunk_.data(), bytes);
                            self->take_and_read();
                          });
}

void PeerLink::take_and_read() {
  const bool taken = take_frames();
  if (ended_) return;
  if (taken) return read();
  hub_.thread().when_ready(pages_.latest(), [self = shared_from_this()] {
    if (!self->ended_) self->take_and_read();
  });
}

bool PeerLink::take_frames() {
  while (!ended_ && !ending_ && in_.size() - in_begin_ >= kHeaderBytes) {
    const std::size_t length = read_u32(in_.data() + in_begin_);
    if (length == 0 || length > (in_session_ ? kMaxFrame : kMaxHandshakeFrame)) {
      end(fmt::format("a frame of {} bytes", length));
      return true;
    }
    if (in_.size() - in_begin_ < length + 4) {
      // All at once: a buffer that grows by doubling would be copied again and again. The last
      // piece may have some of the next frame, too.
      if (in_.capacity() - in_begin_ < length + 4 + chunk_.size()) {
        in_.erase(0, std::exchange(in_begin_, 0));
        in_.reserve(length + 4 + chunk_.size());
        pages_.expect(length, kBlocksToTake);
      }
      break;
    }
    if (!pages_.there(kBlocksToTake)) return false;
    pages_ = {};
    const auto type = static_cast<FrameType>(in_[in_begin_ + 4]);
    const std::string_view body(in_.data() + in_begin_ + kHeaderBytes, length - 1);
    in_begin_ += length + 4;
    if (!in_session_) {
      take_handshake_frame(type, body);
    } else if (passes_faults(&LinkFault::in, delayed_in_, type, body)) {
      take_session_frame(type, body);
    }
  }
  if (in_begin_ == in_.size()) {
    in_.clear();
    in_begin_ = 0;
    if (in_.capacity() > kKeptCapacity) in_.shrink_to_fit();
  } else if (in_begin_ > in_.size() / 2) {
    in_.erase(0, in_begin_);
    in_begin_ = 0;
  }
  return true;
}

void PeerLink::take_handshake_frame(FrameType type, std::string_view body) {
  switch (type) {
    case FrameType::kHello: {
      const Result<Hello> hello = decode_hello(body);
      if (!hello) return end(hello.error().message);
      Result<> accepted = check_hello(*hello, hub_.hello(), hub_.thread().node().config.cluster);
      if (accepted && dialed() && hello->node != dialed_) {
        accepted =
            fail(fmt::format("node '{}' answers where '{}' should: check the addresses in "
                             "the [[cluster.node]] entries",
                             hello->node_name, describe()));
      }
      // Silently, as a cut cable would: the other side goes on trying.
      if (accepted && hub_.thread().node().faults.get(hello->node).down) {
        return end("the link is cut by EVEN.FAULT");
      }
      if (!accepted) return refuse(accepted.error().message);
      node_ = hello->node;
      replica_ = hello->replica;
      hello_accepted_ = true;
      enqueue(FrameType::kWelcome, encode_welcome());
      flush();
      break;
    }
    case FrameType::kWelcome:
      welcome_received_ = true;
      abilities_ = decode_welcome(body);
      break;
    case FrameType::kRefuse: {
      const Result<std::string> reason = decode_refusal(body);
      refused_ = true;
      return end(reason ? "the other node refuses: " + *reason : reason.error().message);
    }
    default:
      return end("a frame of a session before the handshake");
  }
  if (!hello_accepted_ || !welcome_received_) return;
  in_session_ = true;
  handshake_timer_.cancel();
  hub_.link_begins(*this);
}

void PeerLink::take_session_frame(FrameType type, std::string_view body) {
  switch (type) {
    case FrameType::kShard:
    case FrameType::kForwardRequest:
    case FrameType::kForwardReply:
    case FrameType::kStrongRequest:
    case FrameType::kStrongReply:
    case FrameType::kServesRequest:
    case FrameType::kPublished:
      return hub_.receive(*this, type, body);
    default:
      return end(fmt::format("a frame of type {} in a session", static_cast<int>(type)));
  }
}

void PeerLink::refuse(const std::string& reason) {
  refused_ = true;
  enqueue(FrameType::kRefuse, encode_refusal(reason));
  ending_ = true;
  end_reason_ = "refused: " + reason;
  flush();
}

void PeerLink::send(FrameType type, std::string body) {
  if (ended_ || !in_session_ || !passes_faults(&LinkFault::out, delayed_out_, type, body)) return;
  enqueue(type, std::move(body));
}

namespace {

std::size_t bytes_of(const std::vector<std::string>& blocks) {
  std::size_t bytes = 0;
  for (const std::string& block : blocks) bytes += block.size();
  return bytes;
}

}  // namespace

std::size_t PeerLink::waiting() const { return bytes_of(out_) + bytes_of(sending_); }

void PeerLink::enqueue(FrameType type, std::string body) {
  if (ended_) return;
  if (bytes_of(out_) > kMaxQueue) {
    // Not at once: the core may be in the midst of its turn.
    asio::post(stream_.get_executor(), [self = shared_from_this()] {
      self->end("too much waits to be sent: the other node is too slow");
    });
    return;
  }
  if (out_.empty()) out_.push_back(std::exchange(spare_, {}));
  append_frame(out_, type, std::move(body));
}

// What the kernel takes without waiting; that is all, as a rule, and then there is no handler to
// run. Of an error, whoever sends the rest learns.
std::size_t PeerLink::send_at_once() {
  if (!in_session_ || ending_ || stream_.is_tls()) return 0;
  iovec blocks[kBlocksAtOnce];
  msghdr message{};
  message.msg_iov = blocks;
  for (const std::string& block : sending_) {
    if (message.msg_iovlen == kBlocksAtOnce) break;
    blocks[message.msg_iovlen++] = {const_cast<char*>(block.data()), block.size()};
  }
  const ssize_t sent =
      ::sendmsg(stream_.socket().native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  return static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
}

void PeerLink::flush() {
  if (ended_ || out_.empty() || !sending_.empty()) return;
  sending_.swap(out_);
  const std::size_t bytes = bytes_of(sending_);
  if (in_session_) hub_.note_sent(node_, bytes);
  std::size_t sent = send_at_once();
  if (sent == bytes) {
    if (sending_.front().capacity() <= kKeptQueue) {
      spare_.swap(sending_.front());
      spare_.clear();
    }
    return sending_.clear();
  }
  std::vector<asio::const_buffer> blocks;
  for (const std::string& block : sending_) {
    const std::size_t skipped = std::min(sent, block.size());
    sent -= skipped;
    if (skipped < block.size()) blocks.push_back(asio::buffer(block) + skipped);
  }
  asio::async_write(stream_, blocks, [self = shared_from_this()](error_code error, std::size_t) {
    if (self->ended_) return;
    if (error) return self->end(error.message());
    self->sending_.clear();
    if (!self->out_.empty()) return self->flush();
    if (self->ending_) self->end(self->end_reason_);
  });
}

void PeerLink::end(const std::string& reason) {
  if (ended_) return;
  ended_ = true;
  const auto keep_alive = shared_from_this();
  delay_timer_.cancel();
  handshake_timer_.cancel();
  stream_.close();
  hub_.link_ends(*this, reason);
}

bool PeerLink::passes_faults(LinkFault::Direction LinkFault::* direction,
                             std::deque<Delayed>& queue, FrameType type, std::string_view body) {
  const LinkFault::Direction fault = hub_.thread().node().faults.get(node_).*direction;
  if (!fault.any() && queue.empty()) return true;
  if (fault.drop > 0 && hub_.thread().random().chance(fault.drop)) return false;
  if (fault.delay_ms == 0 && queue.empty()) return true;
  std::int64_t due_us = hub_.thread().clock().monotonic_us() + fault.delay_ms * std::int64_t{1000};
  if (!queue.empty()) due_us = std::max(due_us, queue.back().due_us);  // a link keeps the order
  queue.push_back({due_us, type, std::string(body)});
  if (queue.size() == 1) schedule_delayed();
  return false;
}

void PeerLink::schedule_delayed() {
  std::int64_t due_us = std::numeric_limits<std::int64_t>::max();
  for (const auto* queue : {&delayed_in_, &delayed_out_}) {
    if (!queue->empty()) due_us = std::min(due_us, queue->front().due_us);
  }
  if (due_us == std::numeric_limits<std::int64_t>::max()) return;
  delay_timer_.expires_after(
      std::chrono::microseconds(due_us - hub_.thread().clock().monotonic_us()));
  delay_timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && !self->ended_) self->release_delayed();
  });
}

void PeerLink::release_delayed() {
  const std::int64_t now_us = hub_.thread().clock().monotonic_us();
  while (!ended_ && !delayed_out_.empty() && delayed_out_.front().due_us <= now_us) {
    enqueue(delayed_out_.front().type, std::move(delayed_out_.front().body));
    delayed_out_.pop_front();
  }
  flush();
  while (!ended_ && !delayed_in_.empty() && delayed_in_.front().due_us <= now_us) {
    const Delayed frame = std::move(delayed_in_.front());
    delayed_in_.pop_front();
    take_session_frame(frame.type, frame.body);
  }
  if (!ended_) schedule_delayed();
}

}  // namespace even
