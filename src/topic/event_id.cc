#include "topic/event_id.h"

#include <map>

namespace even::topic {

std::optional<EventIds> EventIds::decode(std::string_view bytes) {
  ByteReader in(bytes);
  EventIds out;
  out.partition = in.get<PartitionId>();
  if (!in.ok() || in.at_end() || in.left() % EventId::kBytes != 0) return std::nullopt;
  std::map<std::uint64_t, EventId> latest;  // by origin
  while (!in.at_end()) {
    const EventId id = *EventId::decode(in.bytes(EventId::kBytes));
    const auto [known, first] = latest.emplace(id.origin, id);
    if (!first && id <= known->second) return std::nullopt;
    known->second = id;
    out.ids.push_back(id);
  }
  return out;
}

}  // namespace even::topic
