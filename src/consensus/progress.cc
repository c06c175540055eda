#include "consensus/progress.h"

#include "base/check.h"

namespace even::consensus {

void Inflight::add(Index last, std::uint64_t bytes) {
  EVEN_CHECK(begin_ == sent_.size() || sent_.back().last < last, "messages are sent in order");
  sent_.push_back({last, bytes});
  bytes_ += bytes;
}

void Inflight::free_to(Index index) {
  while (begin_ < sent_.size() && sent_[begin_].last <= index) bytes_ -= sent_[begin_++].bytes;
  if (begin_ == sent_.size()) {
    sent_.clear();
    begin_ = 0;
  } else if (begin_ > sent_.size() / 2) {
    sent_.erase(sent_.begin(), sent_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
}

void Inflight::clear() { *this = {}; }

void Progress::enter(ProgressState entered) {
  state = entered;
  paused = false;
  pending_snapshot = 0;
  inflight.clear();
}

void Progress::probe() {
  // A snapshot that was sent may have arrived, so what follows it is the best guess.
  const Index after_snapshot = state == ProgressState::kSnapshot ? pending_snapshot + 1 : 0;
  enter(ProgressState::kProbe);
  next = std::max(match + 1, after_snapshot);
  sent_commit = std::min(sent_commit, next - 1);
}

void Progress::replicate() {
  enter(ProgressState::kReplicate);
  next = match + 1;
}

void Progress::await_snapshot(Index index) {
  enter(ProgressState::kSnapshot);
  pending_snapshot = index;
  next = index + 1;
  sent_commit = index;
}

void Progress::sent_entries(std::size_t entries, std::uint64_t bytes,
                            const Inflight::Limits& limits) {
  EVEN_CHECK(state != ProgressState::kSnapshot, "nothing is sent while a snapshot is on its way");
  if (state == ProgressState::kProbe) {
    if (entries > 0) paused = true;
    return;
  }
  if (entries > 0) {
    next += entries;
    inflight.add(next - 1, bytes);
  }
  paused = inflight.full(limits);
}

bool Progress::acknowledge(Index index) {
  if (index <= match) return false;
  match = index;
  next = std::max(next, index + 1);
  paused = false;
  return true;
}

bool Progress::refuse(Index refused, Index hint) {
  if (state == ProgressState::kReplicate) {
    if (refused <= match) return false;  // sent before what it has acknowledged since
    next = match + 1;
    sent_commit = std::min(sent_commit, next - 1);
    return true;
  }
  if (next - 1 != refused) return false;
  next = std::max(std::min(refused, hint + 1), match + 1);
  sent_commit = std::min(sent_commit, next - 1);
  paused = false;
  return true;
}

Progress* ProgressTable::find(MemberId member) {
  for (Row& row : rows_) {
    if (row.first == member) return &row.second;
  }
  return nullptr;
}

const Progress* ProgressTable::find(MemberId member) const {
  return const_cast<ProgressTable*>(this)->find(member);
}

Progress& ProgressTable::add(MemberId member) {
  const auto place = std::lower_bound(rows_.begin(), rows_.end(), member,
                                      [](const Row& row, MemberId m) { return row.first < m; });
  EVEN_CHECK(place == rows_.end() || place->first != member, "a member has one progress");
  return rows_.emplace(place, member, Progress{})->second;
}

void ProgressTable::remove(MemberId member) {
  std::erase_if(rows_, [member](const Row& row) { return row.first == member; });
}

}  // namespace even::consensus
