#include "replica/waiting_records.h"

#include "base/check.h"

namespace even {

void WaitingRecords::add(const Dot& dot, std::string_view bytes, const Dot& lacking) {
  const bool added = records_.try_emplace(dot, bytes).second;
  EVEN_CHECK(added, "a record waits once");
  lacking_[lacking].push_back(dot);
  bytes_ += bytes.size();
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
