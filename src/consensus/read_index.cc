#include "consensus/read_index.h"

#include <utility>

namespace even::consensus {

std::uint64_t ReadIndex::begin_round(Index commit) {
  size_of_rounds_ += waiting_.size();
  rounds_.push_back({++last_round_, commit, std::exchange(waiting_, {})});
  return last_round_;
}

std::vector<ReadIndex::Round> ReadIndex::confirm(std::uint64_t round) {
  std::vector<Round> confirmed;
  std::size_t count = 0;
  while (count < rounds_.size() && rounds_[count].number <= round) {
    size_of_rounds_ -= rounds_[count].requests.size();
    confirmed.push_back(std::move(rounds_[count++]));
  }
  rounds_.erase(rounds_.begin(), rounds_.begin() + static_cast<std::ptrdiff_t>(count));
  return confirmed;
}

std::vector<ReadIndex::Request> ReadIndex::abandon() {
  std::vector<Request> abandoned = std::exchange(waiting_, {});
  for (Round& round : std::exchange(rounds_, {})) {
    abandoned.insert(abandoned.end(), round.requests.begin(), round.requests.end());
  }
  size_of_rounds_ = 0;
  return abandoned;
}

}  // namespace even::consensus
