#include "peer/forward_message.h"

#include "base/messagepack.h"

namespace even {
namespace {

using messagepack::is_array;
using messagepack::pack_binary;
using messagepack::read;

template <typename Message, typename Read>
Result<Message> decode(std::string_view bytes, Read read_message) {
  Message message;
  Result<> decoded = messagepack::unpack(
      bytes, 3, "a forwarded request or reply",
      [&](const msgpack::object& object) { return read_message(object, message); });
  if (!decoded) return std::unexpected(std::move(decoded).error());
  return message;
}

}  // namespace

std::string encode_forward_request(std::uint64_t id, bool resp3, Args args,
                                   std::span<const PartitionId> within, cluster::Level level,
                                   bool in_session, std::string_view session) {
  msgpack::sbuffer buffer;
  msgpack::packer packer(buffer);
  packer.pack_array(7);
  packer.pack(id);
  packer.pack(resp3);
  packer.pack_array(static_cast<std::uint32_t>(args.size()));
  for (std::string_view arg : args) pack_binary(packer, arg);
  packer.pack_array(static_cast<std::uint32_t>(within.size()));
  for (const PartitionId partition : within) packer.pack(partition);
  packer.pack_array(2);
  packer.pack(static_cast<std::uint8_t>(level.kind));
  packer.pack(level.number);
  packer.pack(in_session);
  pack_binary(packer, session);
  return messagepack::bytes_of(buffer);
}

Result<ForwardRequest> decode_forward_request(std::string_view bytes) {
  return decode<ForwardRequest>(bytes, [](const msgpack::object& object, ForwardRequest& request) {
    if (!is_array(object, 7) || !is_array(object.via.array.ptr[4], 2)) return false;
    const msgpack::object* part = object.via.array.ptr;
    if (!read(part[0], request.id) || !read(part[1], request.resp3) ||
        part[2].type != msgpack::type::ARRAY || part[3].type != msgpack::type::ARRAY) {
      return false;
    }
    const msgpack::object_array& words = part[2].via.array;
    for (std::uint32_t i = 0; i < words.size; ++i) {
      if (!read(words.ptr[i], request.args.emplace_back())) return false;
    }
    const msgpack::object_array& within = part[3].via.array;
    for (std::uint32_t i = 0; i < within.size; ++i) {
      PartitionId id = 0;
      if (!read(within.ptr[i], id)) return false;
      if (!request.within.empty() && id <= request.within.back()) return false;
      request.within.push_back(id);
    }
    const msgpack::object* level = part[4].via.array.ptr;
    std::uint8_t kind = 0;
    if (!read(level[0], kind) || !read(level[1], request.level.number)) return false;
    if (kind > static_cast<std::uint8_t>(cluster::Level::Kind::kLinearizable)) return false;
    request.level.kind = static_cast<cluster::Level::Kind>(kind);
    if (!read(part[5], request.in_session) || !read(part[6], request.session)) return false;
    return !request.args.empty();
  });
}

std::string encode_forward_reply(std::uint64_t id, std::string_view reply,
                                 std::string_view session) {
  msgpack::sbuffer buffer;
  msgpack::packer packer(buffer);
  packer.pack_array(3);
  packer.pack(id);
  pack_binary(packer, reply);
  pack_binary(packer, session);
  return messagepack::bytes_of(buffer);
}

Result<ForwardReply> decode_forward_reply(std::string_view bytes) {
  return decode<ForwardReply>(bytes, [](const msgpack::object& object, ForwardReply& reply) {
    if (!is_array(object, 3)) return false;
    const msgpack::object* part = object.via.array.ptr;
    return read(part[0], reply.id) && read(part[1], reply.bytes) && read(part[2], reply.session);
  });
}

}  // namespace even
