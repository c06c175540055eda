#include "client/acl_log.h"

#include <algorithm>

namespace even {
namespace {

constexpr std::int64_t kSameWithinMs = 60'000;
constexpr std::size_t kMostObjectBytes = 1024;

}  // namespace

void AclLog::add(Entry entry, std::uint64_t max_len) {
  entry.object.resize(std::min(entry.object.size(), kMostObjectBytes));
  const std::lock_guard lock(mutex_);
  const auto same = std::ranges::find_if(entries_, [&entry](const Entry& known) {
    return known.reason == entry.reason && known.where == entry.where && known.user == entry.user &&
           known.object == entry.object && entry.at_ms - known.at_ms <= kSameWithinMs;
  });
  if (same != entries_.end()) {
    entry.count += same->count;
    entries_.erase(same);
  }
  entries_.push_front(std::move(entry));
  while (entries_.size() > max_len) entries_.pop_back();
}

std::vector<AclLog::Entry> AclLog::latest(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(count, entries_.size()));
  return {entries_.begin(), end};
}

void AclLog::reset() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

}  // namespace even
