#include "client/latency_monitor.h"

#include <fmt/format.h>

#include <algorithm>

namespace even {
namespace {

constexpr std::size_t kColumns = 80;
constexpr int kRows = 4;
// What stands at the top of a column, by how much of the row it fills.
constexpr std::string_view kTops = "_o#";

std::string age_of(std::int64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

// Some columns: rows of characters, and the ages of the samples below them, from top to bottom.
std::string columns_of(std::span<const LatencyMonitor::Sample> samples, std::int64_t least,
                       std::int64_t most, std::int64_t now_s) {
  const int steps = static_cast<int>(kTops.size()) * kRows;
  std::vector<int> heights;
  std::vector<std::string> ages;
  std::size_t longest_age = 0;
  for (const LatencyMonitor::Sample& sample : samples) {
    const double share =
        most == least ? 0
                      : static_cast<double>(sample.ms - least) / static_cast<double>(most - least);
    heights.push_back(std::min(static_cast<int>(share * steps), steps - 1));
    ages.push_back(age_of(now_s - sample.at_s));
    longest_age = std::max(longest_age, ages.back().size());
  }
  std::string out;
  for (int row = kRows - 1; row >= 0; --row) {
    for (const int height : heights) {
      const int top = height - row * static_cast<int>(kTops.size());
      out += top < 0                                ? ' '
             : top < static_cast<int>(kTops.size()) ? kTops[static_cast<std::size_t>(top)]
                                                    : '|';
    }
    out += '\n';
  }
  out.append(samples.size(), ' ').append("\n");
  for (std::size_t line = 0; line < longest_age; ++line) {
    for (const std::string& age : ages) out += line < age.size() ? age[line] : ' ';
    out += '\n';
  }
  return out;
}

}  // namespace

void LatencyMonitor::add(std::string_view event, std::int64_t at_s, std::int64_t ms) {
  const std::lock_guard lock(mutex_);
  Event& known = events_.try_emplace(std::string(event)).first->second;
  known.longest_ms = std::max(known.longest_ms, ms);
  if (!known.samples.empty() && known.samples.back().at_s == at_s) {
    known.samples.back().ms = std::max(known.samples.back().ms, ms);
    return;
  }
  known.samples.push_back({at_s, ms});
  if (known.samples.size() > kMostSamples) known.samples.pop_front();
}

std::map<std::string, LatencyMonitor::Event, std::less<>> LatencyMonitor::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::optional<LatencyMonitor::Event> LatencyMonitor::find(std::string_view event) const {
  const std::lock_guard lock(mutex_);
  const auto found = events_.find(event);
  return found == events_.end() ? std::nullopt : std::optional(found->second);
}

std::size_t LatencyMonitor::reset(std::span<const std::string_view> events) {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  if (events.empty()) {
    count = events_.size();
    events_.clear();
  }
  for (const std::string_view event : events) {
    const auto found = events_.find(event);
    if (found == events_.end()) continue;
    events_.erase(found);
    ++count;
  }
  return count;
}

std::string latency_graph(std::string_view event, const LatencyMonitor::Event& samples,
                          std::int64_t now_s) {
  std::int64_t least = INT64_MAX, most = 0;
  for (const LatencyMonitor::Sample& sample : samples.samples) {
    least = std::min(least, sample.ms);
    most = std::max(most, sample.ms);
  }
  std::string out =
      fmt::format("{} - high {} ms, low {} ms (all time high {} ms)\n{:-<80}\n", event, most,
                  samples.samples.empty() ? 0 : least, samples.longest_ms, "");
  const std::vector<LatencyMonitor::Sample> all(samples.samples.begin(), samples.samples.end());
  for (std::size_t i = 0; i < all.size(); i += kColumns) {
    if (i > 0) out += '\n';
    const std::size_t count = std::min(kColumns, all.size() - i);
    out += columns_of(std::span(all).subspan(i, count), least, most, now_s);
  }
  return out;
}

}  // namespace even
