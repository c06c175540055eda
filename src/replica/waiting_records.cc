#include "replica/waiting_records.h"

#include "base/check.h"

namespace even {

void WaitingRecords::add(const Dot& dot, std::string_view bytes, const Dot& lacking) {
  const bool added = records_.try_emplace(dot, bytes).second;
  EVEN_CHECK(added, "a record waits once");
  lacking_[lacking].push_back(dot);
  bytes_ += bytes.size();
}

void WaitingRecords::drop_before(ReplicaId replica) {
  const auto goes = [replica](const Dot& dot) { return dot.replica.precedes(replica); };
  absl::erase_if(records_, [&](const auto& record) {
    if (!goes(record.first)) return false;
    bytes_ -= record.second.size();
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
  std::pair<Dot, std::string> taken{found->first, std::move(found->second)};
  ready_.pop_front();
  records_.erase(found);
  bytes_ -= taken.second.size();
  return taken;
}

}  // namespace even
