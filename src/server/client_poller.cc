#include "server/client_poller.h"

#include <sys/epoll.h>

#include <cerrno>

#include "base/check.h"

namespace even::server {
namespace {

// So few that sockets which are always ready cannot keep others from being reported: what has been
// reported goes to the end of the kernel's list.
constexpr int kEventsAtOnce = 32;

epoll_event event_for(std::uint64_t client, bool reading, bool writing) {
  epoll_event event{};
  event.events = (reading ? EPOLLIN : 0u) | (writing ? EPOLLOUT : 0u);
  event.data.u64 = client;
  return event;
}

int create_epoll() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  EVEN_CHECK(fd >= 0, "epoll_create1 failed");
  return fd;
}

}  // namespace

ClientPoller::ClientPoller(asio::io_context& io,
                           std::function<void(std::uint64_t, Readiness)> on_ready,
                           std::function<std::int64_t()> now_us, std::int64_t turn_us)
    : epoll_(io.get_executor(), create_epoll()),
      on_ready_(std::move(on_ready)),
      now_us_(std::move(now_us)),
      turn_us_(turn_us) {}

bool ClientPoller::add(int socket, std::uint64_t client) {
  epoll_event event = event_for(client, true, false);
  return ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, socket, &event) == 0;
}

void ClientPoller::watch(int socket, std::uint64_t client, bool reading, bool writing) {
  epoll_event event = event_for(client, reading, writing);
  const int failed = ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_MOD, socket, &event);
  EVEN_CHECK(failed == 0, "a socket that is not watched");
}

void ClientPoller::remove(int socket) {
  ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, socket, nullptr);
}

void ClientPoller::wait() {
  epoll_.async_wait(asio::posix::descriptor_base::wait_read, [this](error_code error) {
    if (error) return;
    dispatch();
    wait();
  });
}

void ClientPoller::collect() {
  events_.clear();
  next_ = 0;
  epoll_event found[kEventsAtOnce];
  const int count = ::epoll_wait(epoll_.native_handle(), found, kEventsAtOnce, 0);
  for (int i = 0; i < count; ++i) {
    const std::uint32_t bits = found[i].events;
    events_.push_back({found[i].data.u64,
                       {.readable = (bits & EPOLLIN) != 0,
                        .writable = (bits & EPOLLOUT) != 0,
                        .broken = (bits & (EPOLLERR | EPOLLHUP)) != 0}});
  }
}

void ClientPoller::dispatch() {
  if (next_ == events_.size()) collect();
  const std::int64_t deadline_us = now_us_() + turn_us_;
  while (next_ < events_.size()) {
    const Event event = events_[next_++];
    on_ready_(event.client, event.what);
    if (now_us_() > deadline_us) return;
  }
}

}  // namespace even::server
