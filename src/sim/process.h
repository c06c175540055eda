// The process of a simulated node, which may be stopped for a while, as by SIGSTOP or on a machine
// that stalls: nothing of it is executed then. What comes for it waits where it would in the
// kernel, in sockets, timers and completions; when the process goes on, all that is there at once.
// What comes in one place keeps its order; of several places any may come first, clients before
// peers.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "env/random.h"
#include "env/sim_scheduler.h"

namespace even::sim {

class Process {
 public:
  using Work = std::move_only_function<void()>;
  // Where something waits for the process.
  struct Place {
    enum class Kind : std::uint8_t { kClient, kPeer, kTimer, kDisk } kind;
    std::uint64_t which = 0;
    auto operator<=>(const Place&) const = default;
  };

  Process(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}

  bool stopped() const { return stopped_us_.has_value(); }
  std::uint64_t stops() const { return stops_; }  // counts
  // Executes it now, unless the process is stopped, or something waits in the same place.
  void execute(Place place, Work work);
  // In a place of its own, as a request in the socket of a client that has sent no other.
  void execute_for_client(Work work) {
    execute({Place::Kind::kClient, ++requests_}, std::move(work));
  }

  void stop();
  // Nothing, if it is not stopped.
  void go_on();
  // It is killed: what waits is never executed.
  void end();

  // What a turn that is under way may have behind it: how long the process was stopped, if it has
  // gone on no longer ago than this.
  std::int64_t slept_us(std::int64_t ago_us) const;

 private:
  void drain(std::uint64_t run);
  std::map<Place, std::deque<Work>>::iterator next();

  Scheduler& scheduler_;
  Random& random_;
  std::optional<std::int64_t> stopped_us_;  // since then
  std::int64_t went_on_us_ = 0;
  std::int64_t slept_us_ = 0;
  std::map<Place, std::deque<Work>> waiting_;  // no queue is empty
  std::optional<Place::Kind> first_;           // what it comes to first
  std::uint64_t run_ = 0;                      // counts how often it has gone on or ended
  std::uint64_t stops_ = 0;
  std::uint64_t requests_ = 0;
};

}  // namespace even::sim
