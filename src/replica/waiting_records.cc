#include "replica/waiting_records.h"

#include "base/check.h"

namespace even {

void WaitingRecords::add(const Dot& dot, std::string_view bytes, Lacking lacking) {
  EVEN_CHECK(!lacking.empty(), "what lacks nothing need not wait");
  lacking_[lacking.back()].push_back(dot);
  const bool added =
      records_.try_emplace(dot, Record{std::string(bytes), std::move(lacking)}).second;
  EVEN_CHECK(added, "a record waits once");
  bytes_ += bytes.size();
}

void WaitingRecords::joined(const VersionVector& seen) {
  for (const VersionVector::Entry& entry : seen.entries()) {
    // What is folded has been seen, whatever its number.
    if (entry.folds) wake({entry.replica.first_of_line(), 0}, {entry.replica, 0}, seen);
    joined(entry.replica, entry.seq, seen);
  }
}

void WaitingRecords::wake(const Dot& first, const Dot& last, const VersionVector& seen) {
  std::vector<Dot> woken;
  auto at = lacking_.lower_bound(first);
  while (at != lacking_.end() && at->first <= last) {
    woken.insert(woken.end(), at->second.begin(), at->second.end());
    at = lacking_.erase(at);
  }
  for (const Dot& dot : woken) {
    Lacking& lacking = records_.at(dot).lacking;
    if (!seen.covers_entry(lacking.back())) ++looked_in_vain_;
    while (!lacking.empty() && seen.covers_entry(lacking.back())) lacking.pop_back();
    if (lacking.empty()) {
      ready_.push_back(dot);
    } else {
      lacking_[lacking.back()].push_back(dot);
    }
  }
}

void WaitingRecords::drop_before(ReplicaId replica) {
  const auto goes = [replica](const Dot& dot) { return dot.replica.precedes(replica); };
  absl::erase_if(records_, [&](const auto& record) {
    if (!goes(record.first)) return false;
    bytes_ -= record.second.bytes.size();
    return true;
  });
  absl::erase_if(lacking_, [&](auto& lacking) {
    std::erase_if(lacking.second, goes);
    return lacking.second.empty();
  });
  std::erase_if(ready_, goes);
}

std::pair<Dot, std::string> WaitingRecords::take_ready() {
  EVEN_CHECK(!ready_.empty(), "nothing is ready");
  const auto found = records_.find(ready_.front());
  std::pair<Dot, std::string> taken{found->first, std::move(found->second.bytes)};
  ready_.pop_front();
  records_.erase(found);
  bytes_ -= taken.second.size();
  return taken;
}

}  // namespace even
