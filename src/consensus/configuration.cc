#include "consensus/configuration.h"

#include "base/bytes.h"

namespace even::consensus {
namespace {

constexpr std::size_t kHeaderBytes = 3;
constexpr std::size_t kChangeBytes = 9;

}  // namespace

std::string encode(const ConfigurationChange& change) {
  std::string bytes;
  if (change.leaves_joint() && change.context.empty()) return bytes;
  put_little_endian(bytes, static_cast<std::uint8_t>(change.transition));
  put_little_endian(bytes, static_cast<std::uint16_t>(change.changes.size()));
  for (const Change& one : change.changes) {
    put_little_endian(bytes, static_cast<std::uint8_t>(one.kind));
    put_little_endian(bytes, one.member);
  }
  bytes += change.context;
  return bytes;
}

std::optional<ConfigurationChange> decode_change(std::string_view bytes) {
  ConfigurationChange change;
  if (bytes.empty()) return change;
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  const auto transition = static_cast<std::uint8_t>(bytes[0]);
  if (transition > static_cast<std::uint8_t>(Transition::kJointExplicit)) return std::nullopt;
  change.transition = static_cast<Transition>(transition);
  const auto count = get_little_endian<std::uint16_t>(bytes.data() + 1);
  bytes.remove_prefix(kHeaderBytes);
  if (count > kMaxChanges || bytes.size() < count * kChangeBytes) return std::nullopt;
  for (std::uint16_t i = 0; i < count; ++i) {
    const auto kind = static_cast<std::uint8_t>(bytes[0]);
    if (kind > static_cast<std::uint8_t>(ChangeKind::kUpdate)) return std::nullopt;
    change.changes.push_back(
        {static_cast<ChangeKind>(kind), get_little_endian<MemberId>(bytes.data() + 1)});
    bytes.remove_prefix(kChangeBytes);
  }
  change.context = bytes;
  return change;
}

}  // namespace even::consensus
