// Watches the sockets of a thread's clients. Asio arms a socket anew after each event, which is a
// system call per request; here they stay armed, in an epoll instance of their own, which Asio
// watches as a whole while there is nothing else to do.
//
// Level-triggered: what is not read or written yet is reported again. Used on the thread of its
// io_context only. While the thread sleeps, Asio wakes it: arm(). While it does not, it calls
// poll().
#pragma once

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <vector>

#include "net/stream.h"

namespace even {

struct Readiness {
  bool readable = false;
  bool writable = false;
  bool broken = false;  // the peer is gone, both ways
};

class ClientPoller {
 public:
  // on_ready(client, what) is called from poll(). It may add, change and remove sockets.
  ClientPoller(asio::io_context& io, std::function<void(std::uint64_t, Readiness)> on_ready);
  ~ClientPoller();
  ClientPoller(const ClientPoller&) = delete;
  ClientPoller& operator=(const ClientPoller&) = delete;

  // From now on `io` has a handler to run, which does nothing, as soon as there is something to
  // poll; until it has run.
  void arm();
  // Calls on_ready for what is ready now, at most kAtOnce, until `expired()` says that it has taken
  // long enough.
  enum class Found {
    kNothing,  // nothing was ready
    kAll,      // on_ready was called for all that was
    kMore,     // there may be more that was: for the next call
  };
  template <typename Expired>
  Found poll(Expired expired) {
    if (next_ == events_.size()) collect();
    if (events_.empty()) return Found::kNothing;
    while (next_ < events_.size()) {
      const Event event = events_[next_++];
      on_ready_(event.client, event.what);
      if (expired()) break;
    }
    return next_ < events_.size() || events_.size() == kAtOnce ? Found::kMore : Found::kAll;
  }

  // Watches a socket for reading; `client` names it in on_ready. False, with errno, when the kernel
  // refuses.
  bool add(int socket, std::uint64_t client);
  void watch(int socket, std::uint64_t client, bool reading, bool writing);
  // Before the socket is closed. Events that were reported already may still come.
  void remove(int socket);

 private:
  // So few that sockets which are always ready cannot keep others from being reported: what has
  // been reported goes to the end of the kernel's list.
  static constexpr std::size_t kAtOnce = 32;

  struct Event {
    std::uint64_t client;
    Readiness what;
  };
  void collect();

  const int epoll_;
  // Has epoll_ while it is armed and only then: while Asio watches it, too, each send() of a client
  // has the kernel wake both.
  asio::posix::basic_stream_descriptor<Executor> waker_;
  std::function<void(std::uint64_t, Readiness)> on_ready_;
  std::vector<Event> events_;  // reported; those before next_ have been dealt with
  std::size_t next_ = 0;
};

}  // namespace even
