// LATENCY, as in Redis 7: of each kind of event that took as long as latency-monitor-threshold or
// longer, the latest samples, one for each second. The events are "command" and "fast-command", by
// the flag of the command; what is measured is what the slow log measures.
//
// One for all threads of a node, behind a lock: events are rare, or the threshold is too low.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace even {

class LatencyMonitor {
 public:
  static constexpr std::size_t kMostSamples = 160;
  struct Sample {
    std::int64_t at_s = 0;  // Unix time
    std::int64_t ms = 0;    // the longest of that second
  };
  struct Event {
    std::deque<Sample> samples;  // the earliest first
    std::int64_t longest_ms = 0;
  };

  void add(std::string_view event, std::int64_t at_s, std::int64_t ms);
  std::map<std::string, Event, std::less<>> events() const;
  std::optional<Event> find(std::string_view event) const;
  // How many of these there were; all, if none is named.
  std::size_t reset(std::span<const std::string_view> events);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Event, std::less<>> events_;
};

// Samples as columns of characters, as LATENCY GRAPH shows them.
std::string latency_graph(std::string_view event, const LatencyMonitor::Event& samples,
                          std::int64_t now_s);

}  // namespace even
