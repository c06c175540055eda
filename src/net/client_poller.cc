#include "net/client_poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace even {
namespace {

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
                           std::function<void(std::uint64_t, Readiness)> on_ready)
    : epoll_(create_epoll()), waker_(io), on_ready_(std::move(on_ready)) {}

ClientPoller::~ClientPoller() {
  if (waker_.is_open()) waker_.release();
  ::close(epoll_);
}

bool ClientPoller::add(int socket, std::uint64_t client) {
  epoll_event event = event_for(client, true, false);
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) == 0;
}

void ClientPoller::watch(int socket, std::uint64_t client, bool reading, bool writing) {
  epoll_event event = event_for(client, reading, writing);
  const int failed = ::epoll_ctl(epoll_, EPOLL_CTL_MOD, socket, &event);
  EVEN_CHECK(failed == 0, "a socket that is not watched");
}

void ClientPoller::remove(int socket) { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr); }

void ClientPoller::arm() {
  if (waker_.is_open()) return;
  error_code error;
  waker_.assign(epoll_, error);
  // The kernel may be out of room for what is watched. The thread's next tick polls as well.
  if (error) return;
  waker_.async_wait(asio::posix::descriptor_base::wait_read,
                    [this](error_code) { waker_.release(); });
}

void ClientPoller::collect() {
  events_.clear();
  next_ = 0;
  epoll_event found[kAtOnce];
  const int count = ::epoll_wait(epoll_, found, kAtOnce, 0);
  for (int i = 0; i < count; ++i) {
    const std::uint32_t bits = found[i].events;
    events_.push_back({found[i].data.u64,
                       {.readable = (bits & EPOLLIN) != 0,
                        .writable = (bits & EPOLLOUT) != 0,
                        .broken = (bits & (EPOLLERR | EPOLLHUP)) != 0}});
  }
}

}  // namespace even
