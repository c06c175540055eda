// Simulated time: a queue of events in the order of their instants. Two events of one instant run
// in the order in which they were scheduled, so a run is a function of its seed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace even::sim {

class Scheduler {
 public:
  // Microseconds since the start of the run.
  std::int64_t now_us() const { return now_us_; }

  void at(std::int64_t time_us, std::function<void()> event) {
    events_.emplace(std::pair{std::max(time_us, now_us_), next_++}, std::move(event));
  }
  void after(std::int64_t delay_us, std::function<void()> event) {
    at(now_us_ + delay_us, std::move(event));
  }

  // Runs the next event unless it lies after `until_us`; false when there is none.
  bool step(std::int64_t until_us) {
    if (events_.empty() || events_.begin()->first.first > until_us) {
      now_us_ = std::max(now_us_, until_us);
      return false;
    }
    auto event = events_.extract(events_.begin());
    now_us_ = event.key().first;
    event.mapped()();
    return true;
  }

 private:
  std::int64_t now_us_ = 0;
  std::uint64_t next_ = 0;
  std::map<std::pair<std::int64_t, std::uint64_t>, std::function<void()>> events_;
};

}  // namespace even::sim
