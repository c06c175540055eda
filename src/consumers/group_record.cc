#include "consumers/group_record.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>

#include "base/bytes.h"
#include "topic/crc32c.h"

namespace even::kafka {
namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kChecksumBytes = sizeof(std::uint32_t);

bool is_whole(const GroupRecord& record) {
  const auto by_id = [](const auto& a, const auto& b) { return a.id >= b.id; };
  if (std::ranges::adjacent_find(record.members, by_id) != record.members.end()) return false;
  absl::flat_hash_set<std::string_view> instances;
  for (const auto& member : record.members) {
    if (member.id.empty() || member.session_ms <= 0 || member.rebalance_ms <= 0) return false;
    if (member.instance && !instances.insert(*member.instance).second) return false;
  }
  return record.generation > 0 &&
         std::ranges::find(record.members, record.leader, &GroupRecord::Member::id) !=
             record.members.end();
}

}  // namespace

std::string GroupRecord::encode() const {
  std::string out;
  put_little_endian(out, kRecordVersion);
  write_message(*this, 0, out);
  put_little_endian(out, topic::crc32c(out));
  return out;
}

std::optional<GroupRecord> GroupRecord::decode(std::string_view bytes) {
  if (bytes.size() < 1 + kChecksumBytes) return std::nullopt;
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (get_little_endian<std::uint32_t>(body.data() + body.size()) != topic::crc32c(body) ||
      get_little_endian<std::uint8_t>(body.data()) != kRecordVersion) {
    return std::nullopt;
  }
  auto record = read_message<GroupRecord>(body.substr(1), 0);
  if (!record || !is_whole(*record)) return std::nullopt;
  return record;
}

}  // namespace even::kafka
