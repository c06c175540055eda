#include "sim/process.h"

#include <iterator>
#include <utility>

namespace even::sim {
namespace {

// Between two things that have waited: turns end and others begin meanwhile.
constexpr std::uint64_t kBetweenUs = 20;

}  // namespace

void Process::execute(Place place, Work work) {
  const auto waiting = waiting_.find(place);
  if (!stopped() && waiting == waiting_.end()) return work();
  waiting_[place].push_back(std::move(work));
}

void Process::stop() {
  if (stopped()) return;
  stopped_us_ = scheduler_.now_us();
  ++stops_;
}

void Process::go_on() {
  if (!stopped()) return;
  went_on_us_ = scheduler_.now_us();
  slept_us_ = went_on_us_ - *std::exchange(stopped_us_, std::nullopt);
  first_.reset();
  const std::uint64_t chosen = random_.below(8);
  if (chosen < 4) first_ = static_cast<Place::Kind>(chosen);
  if (chosen == 4 || chosen == 5) first_ = Place::Kind::kClient;
  drain(++run_);
}

void Process::end() {
  ++run_;
  stopped_us_.reset();
  slept_us_ = 0;
  // What they hold may look at this.
  const auto gone = std::exchange(waiting_, {});
}

std::map<Process::Place, std::deque<Process::Work>>::iterator Process::next() {
  if (first_) {
    const auto begin = waiting_.lower_bound({*first_, 0});
    const auto end = waiting_.upper_bound({*first_, UINT64_MAX});
    const auto count = static_cast<std::uint64_t>(std::distance(begin, end));
    if (count > 0) return std::next(begin, static_cast<std::ptrdiff_t>(random_.below(count)));
  }
  return std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(random_.below(waiting_.size())));
}

void Process::drain(std::uint64_t run) {
  if (run_ != run || stopped() || waiting_.empty()) return;
  const auto place = next();
  Work work = std::move(place->second.front());
  place->second.pop_front();
  if (place->second.empty()) waiting_.erase(place);
  // By itself it comes to it once it has begun.
  scheduler_.after(1 + static_cast<std::int64_t>(random_.below(kBetweenUs)),
                   [this, run] { drain(run); });
  work();
}

std::int64_t Process::slept_us(std::int64_t ago_us) const {
  return scheduler_.now_us() - went_on_us_ < ago_us ? slept_us_ : 0;
}

}  // namespace even::sim
