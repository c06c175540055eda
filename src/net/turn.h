// One turn of a thread's loop: what is ready of its clients, then what is ready of all else (peers,
// other threads, timers, what was put off). Each of the two has a time of its own, so that neither
// keeps the other waiting however much there is of it; what is left is for the next turn.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>

#include "env/clock.h"
#include "net/client_poller.h"

namespace even {

// `limit_us`: the time of each. False: there was nothing to do.
inline bool take_turn(ClientPoller& clients, asio::io_context& others, const Clock& clock,
                      std::int64_t limit_us) {
  std::int64_t deadline_us = clock.monotonic_us() + limit_us;
  const auto expired = [&] { return clock.monotonic_us() > deadline_us; };
  ClientPoller::Found found = clients.poll(expired);
  bool any = found != ClientPoller::Found::kNothing;
  while (found == ClientPoller::Found::kMore && !expired()) found = clients.poll(expired);
  deadline_us = clock.monotonic_us() + limit_us;
  while (others.poll_one() > 0) {
    any = true;
    if (expired()) break;
  }
  return any;
}

}  // namespace even
