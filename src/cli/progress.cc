#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace even::cli {
namespace {

constexpr std::chrono::seconds kQuiet{2};
constexpr std::chrono::milliseconds kBetweenLines{200};
constexpr std::uint64_t kWidth = 30;

}  // namespace

Progress::Progress()
    : on_terminal_(::isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + kQuiet) {}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
}

void Progress::show(std::uint64_t done, std::uint64_t all) {
  if (!due(all)) return;
  done = std::min(done, all);
  draw(done, all, fmt::format("{} of {} MiB", done >> 20, all >> 20));
}

void Progress::show_share(std::uint64_t done, std::uint64_t all, std::string_view what) {
  if (!due(all)) return;
  done = std::min(done, all);
  draw(done, all, fmt::format("{} of {} {}", done, all, what));
}

bool Progress::due(std::uint64_t all) {
  const auto now = std::chrono::steady_clock::now();
  if (!on_terminal_ || all == 0 || now < next_) return false;
  next_ = now + kBetweenLines;
  return true;
}

void Progress::draw(std::uint64_t done, std::uint64_t all, std::string_view text) {
  drawn_ = true;
  fmt::print(stderr, "\r[{:<{}}] {} ({} %)", std::string(done * kWidth / all, '#'), kWidth, text,
             done * 100 / all);
  std::fflush(stderr);
}

}  // namespace even::cli
