// One TCP connection to another node, for one shard: from the handshake to the end of the session.
//
// What travels: the dialer first sends the preamble of 8 bytes, "EVENP", 0 and the number of its
// shard (two bytes, little-endian), in the clear; it tells the acceptor which of its threads the
// link belongs to. With TLS, the TLS handshake follows. Then both sides send frames: length of the
// rest (four bytes, little-endian), type (one byte, see FrameType), body. The first frame of each
// side is its Hello (see peer_hello.h), the second Welcome when it accepts the other's Hello, or
// Refuse. The session has begun when a side has sent and received Welcome.
//
// Owned by its hub and by its operations under way; used on the hub's thread only. Faults of
// EVEN.FAULT (see link_faults.h) act here, on the frames of a session.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/long_blocks.h"
#include "base/result.h"
#include "net/stream.h"
#include "peer/link_faults.h"
#include "peer/peer_hello.h"

namespace even {

class PeerHub;

enum class FrameType : std::uint8_t {
  kHello = 1,
  kWelcome = 2,
  kRefuse = 3,
  kShard = 4,           // a message of the core, opaque here
  kForwardRequest = 5,  // see forward_message.h
  kForwardReply = 6,
  kStrongRequest = 7,  // see strong_message.h
  kStrongReply = 8,
  kServesRequest = 9,
  kPublished = 10,  // see publish_message.h
};

inline constexpr std::size_t kPreambleBytes = 8;
std::array<char, kPreambleBytes> encode_preamble(ShardId shard);
// The error says that this is no node of Even.
Result<ShardId> decode_preamble(const std::array<char, kPreambleBytes>& bytes);

class PeerLink : public std::enable_shared_from_this<PeerLink> {
 public:
  // `dialed` is the node that this one called; 0: the other side called, and says who it is.
  PeerLink(PeerHub& hub, Socket socket, NodeNumber dialed);

  // Begins with the preamble (dialer) or behind it (acceptor).
  void start();
  // Queues a frame of the session; flush() sends what is queued.
  void send(FrameType type, std::string body);
  void flush();
  // Ends the link; the hub is told why, once.
  void end(const std::string& reason);

  NodeNumber node() const { return node_; }
  // Which run of it, once its hello has come.
  ReplicaId replica() const { return replica_; }
  // What it knows: see encode_welcome().
  std::uint8_t abilities() const { return abilities_; }
  bool dialed() const { return dialed_ != 0; }
  bool in_session() const { return in_session_; }
  bool has_queued() const { return !out_.empty(); }
  // Bytes that have been queued and not been sent.
  std::size_t waiting() const;
  // The other side (or this one) does not accept the link, as opposed to not being reachable.
  bool refused() const { return refused_; }
  std::string describe() const;

 private:
  struct Delayed {
    std::int64_t due_us;
    FrameType type;
    std::string body;
  };

  void secure();
  void begin();
  void read();
  void take_and_read();
  // False: a frame is there as a whole, and waits for its pages_.
  bool take_frames();
  void take_handshake_frame(FrameType type, std::string_view body);
  void take_session_frame(FrameType type, std::string_view body);
  void refuse(const std::string& reason);
  void enqueue(FrameType type, std::string body);
  std::size_t send_at_once();
  // False: the frame is lost or will come later.
  bool passes_faults(LinkFault::Direction LinkFault::* direction, std::deque<Delayed>& queue,
                     FrameType type, std::string_view body);
  void schedule_delayed();
  void release_delayed();

  PeerHub& hub_;
  Stream stream_;
  const NodeNumber dialed_;
  NodeNumber node_;
  ReplicaId replica_;
  std::string remote_;
  bool in_session_ = false;
  bool hello_accepted_ = false;
  bool welcome_received_ = false;
  std::uint8_t abilities_ = 0;
  bool refused_ = false;
  bool ended_ = false;
  bool ending_ = false;  // when the queue has been sent
  std::string end_reason_;

  std::string in_;
  std::size_t in_begin_ = 0;
  long_blocks::Expected pages_;  // for a long frame at its front
  std::array<char, 64 * 1024> chunk_;
  // Frames, short ones together, long ones in two blocks: up to the body, and the body.
  std::vector<std::string> out_;
  std::vector<std::string> sending_;
  std::string spare_;  // empty, with memory for what is queued next

  std::deque<Delayed> delayed_in_;
  std::deque<Delayed> delayed_out_;
  asio::steady_timer delay_timer_;
  asio::steady_timer handshake_timer_;
};

}  // namespace even
