#include "sim/pauses.h"

#include <algorithm>

namespace even::sim {
namespace {

// The longest of any kind; and that of a leader that waits for its successor.
constexpr std::int64_t kLongestUs = 10'000'000;
constexpr std::int64_t kSuccessionUs = 6'000'000;
constexpr std::int64_t kLookUs = 10'000;
constexpr std::int64_t kLongerUs = 2'000'000;
// Who does not know of a later generation asks on.
constexpr std::int64_t kAskOnUs = 400'000;
constexpr std::int64_t kSuccessorUs = 50'000;
// Mostly the kernel goes on to acknowledge what comes, and no link ends.
constexpr double kLinksEnd = 0.3;

}  // namespace

bool Pauses::all_serve() const {
  return std::ranges::all_of(cluster_.nodes, [](const auto& n) { return n->serves(); });
}

void Pauses::begin() {
  if (cluster_.groups != nullptr && all_serve() && run_.random.chance(0.5)) {
    const auto& groups = cluster_.groups->groups();
    // Who leads the last one coordinates consumers.
    const bool coordinates = run_.options.consumers && run_.random.chance(0.7);
    return succeed(coordinates ? groups.back() : groups[run_.random.below(groups.size())]);
  }
  Node& node = *cluster_.nodes[run_.random.below(cluster_.nodes.size())];
  const std::int64_t length_us = std::min(run_.around(run_.options.pause_us), kLongestUs);
  begin(node, {.until_us = run_.scheduler.now_us() + length_us});
}

void Pauses::succeed(PartitionId group) {
  const auto leader = cluster_.groups->leader(group);
  if (!leader || run_.settling || !all_serve()) return;
  Pause pause{.until_us = run_.scheduler.now_us() + kSuccessionUs,
              .group = group,
              .leader = leader,
              .longer_us = run_.random.chance(0.5) ? 0 : run_.around(kLongerUs)};
  const bool coordinates = cluster_.generation && group == cluster_.groups->groups().back();
  if (coordinates && run_.random.chance(0.7)) pause.generation = cluster_.generation();
  begin(cluster_.node(leader->node), pause);
}

void Pauses::begin(Node& node, Pause pause) {
  if (!node.serves()) return;
  node.stop_process();
  pause.node = &node;
  pause.number = node.process.stops();
  if (run_.random.chance(kLinksEnd)) {
    const std::int64_t length_us = pause.until_us - run_.scheduler.now_us();
    const auto after_us = run_.random.below(static_cast<std::uint64_t>(length_us) + 1);
    run_.scheduler.after(static_cast<std::int64_t>(after_us), [this, pause] {
      if (!is_over(pause)) cluster_.network.end_sessions(pause.node->number);
    });
  }
  follow(pause);
}

bool Pauses::is_over(const Pause& pause) const {
  const Process& process = pause.node->process;
  return !process.stopped() || process.stops() != pause.number;
}

void Pauses::follow(Pause pause) {
  if (is_over(pause)) return;
  const std::int64_t now_us = run_.scheduler.now_us();
  if (pause.generation) {
    if (cluster_.generation() > *pause.generation) {
      pause.generation.reset();
      pause.leader.reset();
      pause.until_us = std::min(pause.until_us, now_us + run_.around(kAskOnUs));
    }
  } else if (pause.leader) {
    const auto now = cluster_.groups->leader(pause.group);
    if (now && now->term > pause.leader->term && !pause.until_index) {
      pause.until_index = now->committed + (run_.random.chance(0.4) ? 0 : run_.random.below(20));
    }
    if (pause.until_index && now && now->committed >= *pause.until_index) {
      pause.leader.reset();
      // It does not know yet that it does not lead any more.
      if (run_.random.chance(0.3)) cluster_.burst(pause.group, pause.node->number);
      pause.until_us = std::min(pause.until_us, now_us + pause.longer_us);
    }
  }
  if (now_us >= pause.until_us) return go_on(pause);
  const std::int64_t rest_us = pause.until_us - now_us;
  run_.scheduler.after(pause.leader ? std::min(rest_us, run_.around(kLookUs)) : rest_us,
                       [this, pause] { follow(pause); });
}

void Pauses::go_on(const Pause& pause) {
  pause.node->continue_process();
  // Its successor in its turn, which may bring it back.
  if (!pause.until_index || !run_.random.chance(0.5)) return;
  run_.scheduler.after(run_.around(kSuccessorUs), [this, group = pause.group] { succeed(group); });
}

}  // namespace even::sim
