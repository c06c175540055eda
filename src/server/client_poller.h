// Watches the sockets of a thread's clients. Asio arms a socket anew after each event, which is a
// system call per request; here they stay armed, in an epoll instance of their own, which Asio
// watches as a whole.
//
// Level-triggered: what is not read or written yet is reported again. Used on the thread of its
// io_context only.
#pragma once

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <vector>

#include "server/stream.h"

namespace even::server {

struct Readiness {
  bool readable = false;
  bool writable = false;
  bool broken = false;  // the peer is gone, both ways
};

class ClientPoller {
 public:
  // on_ready(client, what) is called in handlers of `io`. It may add, change and remove sockets.
  // `now_us`: a monotonic clock; after `turn_us` of events a handler ends, and another one follows.
  ClientPoller(asio::io_context& io, std::function<void(std::uint64_t, Readiness)> on_ready,
               std::function<std::int64_t()> now_us, std::int64_t turn_us);

  void start() { wait(); }
  void stop() { epoll_.close(); }

  // Watches a socket for reading; `client` names it in on_ready. False, with errno, when the kernel
  // refuses.
  bool add(int socket, std::uint64_t client);
  void watch(int socket, std::uint64_t client, bool reading, bool writing);
  // Before the socket is closed. Events that were reported already may still come.
  void remove(int socket);

 private:
  struct Event {
    std::uint64_t client;
    Readiness what;
  };
  void wait();
  void collect();
  void dispatch();

  asio::posix::basic_stream_descriptor<Executor> epoll_;
  std::function<void(std::uint64_t, Readiness)> on_ready_;
  std::function<std::int64_t()> now_us_;
  const std::int64_t turn_us_;
  std::vector<Event> events_;  // reported; those before next_ have been dealt with
  std::size_t next_ = 0;
};

}  // namespace even::server
