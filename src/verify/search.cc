#include "verify/search.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <numeric>

namespace even::verify {
namespace {

constexpr std::uint32_t kNotTaken = UINT32_MAX;
constexpr std::uint64_t kBetweenLooks = 4096;  // steps between looks at the clock

class Search {
 public:
  Search(const Problem& problem, const Limits& limits, std::span<const std::uint32_t> ranks,
         std::set<std::string>* results)
      : operations_(problem.operations),
        limits_(limits),
        results_(results),
        specification_(make_specification(problem)),
        class_seen_(specification_->classes()) {
    rank(ranks);
    link();
  }

  Verdict run() {
    if (waiting_ == 0) return Verdict::kHolds;
    enter();
    while (!frames_.empty()) {
      if (++steps_ % kBetweenLooks == 0 && out_of_time()) return Verdict::kUndecided;
      if (steps_ > limits_.most_steps || out_of_memory_) return Verdict::kUndecided;
      Frame& frame = frames_.back();
      if (frame.next == candidates_.size()) {
        leave();
        continue;
      }
      take(candidates_[frame.next++]);
      if (waiting_ > 0) {
        enter();
      } else if (results_ == nullptr) {
        return Verdict::kHolds;
      } else {
        if (any_taken_) results_->insert(any_text_);
        untake();
      }
    }
    return Verdict::kViolated;
  }

 private:
  // An event of an operation that has not taken effect yet, in a list by position. Even numbers are
  // invocations, odd ones completions; 2 * n is the list's head and end.
  using Event = std::uint32_t;

  // A configuration: what to try next from here, up to the end of the candidates of all frames.
  struct Frame {
    std::size_t begin;
    std::size_t next;
    std::uint32_t taken = kNotTaken;  // the operation that is being tried
    std::uint64_t token = 0;
    bool after_open = false;
  };

  void rank(std::span<const std::uint32_t> ranks) {
    const std::size_t n = operations_.size();
    ranks_.resize(n);
    if (!ranks.empty()) {
      std::ranges::copy(ranks, ranks_.begin());
      return;
    }
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, {}, [&](std::uint32_t i) { return operations_[i].completed; });
    for (std::uint32_t i = 0; i < n; ++i) ranks_[order[i]] = i;
  }

  Event end() const { return static_cast<Event>(2 * operations_.size()); }
  bool is_completion(Event event) const { return event % 2 == 1; }
  Position position(Event event) const {
    const Operation& operation = operations_[event / 2];
    return is_completion(event) ? operation.completed : operation.invoked;
  }

  // Open operations are in a list of their own: most of them are in nobody's way for long.
  void link() {
    std::vector<Event> events;
    std::vector<Event> open;
    for (std::uint32_t i = 0; i < operations_.size(); ++i) {
      if (operations_[i].open()) {
        open.push_back(2 * i);
        continue;
      }
      ++waiting_;
      events.push_back(2 * i);
      events.push_back(2 * i + 1);
    }
    total_ = waiting_;
    std::ranges::sort(events, {}, [&](Event event) { return position(event); });
    next_.resize(2 * operations_.size() + 2);
    previous_.resize(2 * operations_.size() + 2);
    chain(events, end());
    chain(open, end() + 1);
  }

  void chain(const std::vector<Event>& events, Event head) {
    Event last = head;
    for (const Event event : events) {
      next_[last] = event;
      previous_[event] = last;
      last = event;
    }
    next_[last] = head;
    previous_[head] = last;
  }

  void unlink(Event event) {
    next_[previous_[event]] = next_[event];
    previous_[next_[event]] = previous_[event];
  }
  void relink(Event event) { next_[previous_[event]] = previous_[next_[event]] = event; }

  // Opens a frame with what can be tried from here, which may be nothing.
  void enter() {
    const bool after_open = !frames_.empty() && operations_[frames_.back().taken].open();
    const std::size_t begin = candidates_.size();
    frames_.push_back({.begin = begin, .next = begin, .after_open = after_open});
    const auto consider = [&](std::uint32_t operation) {
      if (!specification_->allows(operation)) return false;
      if (specification_->harmless(operation)) {
        candidates_.resize(begin);
        candidates_.push_back(operation);
        return true;
      }
      if (!after_open || !specification_->blind(operation)) candidates_.push_back(operation);
      return false;
    };
    Event event = next_[end()];
    for (; !is_completion(event); event = next_[event]) {
      if (consider(event / 2)) return;
    }
    const Position first_completion = position(event);
    for (event = next_[end() + 1]; event != end() + 1; event = next_[event]) {
      if (position(event) > first_completion) break;
      if (consider(event / 2)) return;
    }
    // Nothing to choose, nothing to remember. (What follows one without a choice is remembered.)
    if (candidates_.size() == begin) return;
    if (!remember()) {
      candidates_.resize(begin);
      return;
    }
    std::sort(candidates_.begin() + static_cast<std::ptrdiff_t>(begin), candidates_.end(),
              [&](std::uint32_t x, std::uint32_t y) { return ranks_[x] < ranks_[y]; });
    ++epoch_;
    const auto same_effect = [&](std::uint32_t operation) {
      return std::exchange(class_seen_[specification_->effect_class(operation)], epoch_) == epoch_;
    };
    candidates_.erase(std::remove_if(candidates_.begin() + static_cast<std::ptrdiff_t>(begin),
                                     candidates_.end(), same_effect),
                      candidates_.end());
  }

  void leave() {
    candidates_.resize(frames_.back().begin);
    frames_.pop_back();
    if (!frames_.empty()) untake();
  }

  void take(std::uint32_t operation) {
    Frame& frame = frames_.back();
    const Operation& it = operations_[operation];
    if (it.any_result) {
      any_text_ = specification_->state_text();
      any_hash_ = specification_->state();
      any_hash_ ^= hash_of(0, 6);
      any_taken_ = true;
      taken_ ^= any_hash_;
    }
    frame.taken = operation;
    frame.token = specification_->apply(operation);
    taken_ ^= hash_of(operation, 5);
    unlink(2 * operation);
    if (!it.open()) {
      unlink(2 * operation + 1);
      if (--waiting_; waiting_ < least_waiting_) least_waiting_ = waiting_;
    }
  }

  void untake() {
    Frame& frame = frames_.back();
    const std::uint32_t operation = frame.taken;
    const Operation& it = operations_[operation];
    if (!it.open()) {
      relink(2 * operation + 1);
      ++waiting_;
    }
    relink(2 * operation);
    taken_ ^= hash_of(operation, 5);
    specification_->undo(operation, frame.token);
    frame.taken = kNotTaken;
    if (it.any_result) {
      taken_ ^= any_hash_;
      any_taken_ = false;
    }
  }

  // False if it was there already.
  bool remember() {
    Hash128 configuration = taken_;
    configuration ^= specification_->state();
    if (memory_.size() == memory_.capacity() - memory_.capacity() / 8 &&
        3 * memory_.capacity() * (sizeof(Hash128) + 1) > limits_.memory_bytes) {
      out_of_memory_ = true;
    }
    return memory_.insert(configuration).second;
  }

  bool out_of_time() {
    if (limits_.progress) limits_.progress(total_ - least_waiting_, total_);
    return std::chrono::steady_clock::now() >= limits_.deadline;
  }

  const std::vector<Operation>& operations_;
  const Limits& limits_;
  std::set<std::string>* results_;
  std::unique_ptr<Specification> specification_;
  std::vector<std::uint32_t> ranks_;
  std::vector<Event> next_;
  std::vector<Event> previous_;
  std::vector<Frame> frames_;
  std::vector<std::uint32_t> candidates_;  // of all frames, one behind the other
  std::vector<std::uint64_t> class_seen_;  // by class: the last epoch in which it was seen
  std::uint64_t epoch_ = 0;
  absl::flat_hash_set<Hash128> memory_;
  Hash128 taken_;
  Hash128 any_hash_;
  std::string any_text_;
  bool any_taken_ = false;
  std::size_t waiting_ = 0;  // completed operations that have not taken effect yet
  std::size_t total_ = 0;
  std::size_t least_waiting_ = SIZE_MAX;
  std::uint64_t steps_ = 0;
  bool out_of_memory_ = false;
};

}  // namespace

Verdict search(const Problem& problem, const Limits& limits, std::span<const std::uint32_t> ranks) {
  return Search(problem, limits, ranks, nullptr).run();
}

std::set<std::string> possible_results(const Problem& problem, const Limits& limits) {
  std::set<std::string> results;
  if (Search(problem, limits, {}, &results).run() == Verdict::kUndecided) return {};
  return results;
}

}  // namespace even::verify
