#include "peer/publish_message.h"

#include "base/byte_reader.h"
#include "base/bytes.h"

namespace even {
namespace {

enum class Kind : std::uint8_t { kChannel = 0, kShardChannel = 1 };

}  // namespace

void append_published(const Published& published, std::string& out) {
  const bool shard = published.kind == SubscriptionKind::kShardChannel;
  out += static_cast<char>(shard ? Kind::kShardChannel : Kind::kChannel);
  put_little_endian(out, static_cast<std::uint32_t>(published.channel.size()));
  put_little_endian(out, static_cast<std::uint32_t>(published.message.size()));
  out.append(published.channel);
  out.append(published.message);
}

Result<std::vector<Published>> decode_published(std::string_view bytes) {
  std::vector<Published> messages;
  ByteReader in(bytes);
  while (in.ok() && !in.at_end()) {
    Published& message = messages.emplace_back();
    switch (static_cast<Kind>(in.get<std::uint8_t>())) {
      case Kind::kChannel:
        message.kind = SubscriptionKind::kChannel;
        break;
      case Kind::kShardChannel:
        message.kind = SubscriptionKind::kShardChannel;
        break;
      default:
        return fail("malformed publication: an unknown kind of channel");
    }
    const auto channel_bytes = in.get<std::uint32_t>();
    const auto message_bytes = in.get<std::uint32_t>();
    message.channel = in.bytes(channel_bytes);
    message.message = in.bytes(message_bytes);
  }
  if (!in.ok()) return fail("malformed publication: it is cut off");
  return messages;
}

}  // namespace even
