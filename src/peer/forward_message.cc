#include "peer/forward_message.h"

#include <msgpack.hpp>

namespace even {
namespace {

void pack_binary(msgpack::packer<msgpack::sbuffer>& packer, std::string_view bytes) {
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

bool is_array(const msgpack::object& object, std::size_t size) {
  return object.type == msgpack::type::ARRAY && object.via.array.size == size;
}

// Binary parts stay where they are: the object refers to `bytes`.
bool refer(msgpack::type::object_type, std::size_t, void*) { return true; }

template <typename Message, typename Read>
Result<Message> decode(std::string_view bytes, Read read) {
  try {
    std::size_t offset = 0;
    bool referenced = false;
    // An element takes at least one byte: a larger count is a lie that must not be allocated for.
    const msgpack::object_handle handle =
        msgpack::unpack(bytes.data(), bytes.size(), offset, referenced, refer, nullptr,
                        msgpack::unpack_limit(bytes.size(), 0, 0, UINT32_MAX, 0, 3));
    Message message;
    if (offset == bytes.size() && read(*handle, message)) return message;
    return fail("a malformed forwarded request or reply");
  } catch (const std::exception& error) {
    return fail(std::string("a malformed forwarded request or reply: ") + error.what());
  }
}

}  // namespace

std::string encode_forward_request(std::uint64_t id, bool resp3, Args args,
                                   std::span<const PartitionId> within) {
  msgpack::sbuffer buffer;
  msgpack::packer packer(buffer);
  packer.pack_array(4);
  packer.pack(id);
  packer.pack(resp3);
  packer.pack_array(static_cast<std::uint32_t>(args.size()));
  for (std::string_view arg : args) pack_binary(packer, arg);
  packer.pack_array(static_cast<std::uint32_t>(within.size()));
  for (const PartitionId partition : within) packer.pack(partition);
  return std::string(buffer.data(), buffer.size());
}

Result<ForwardRequest> decode_forward_request(std::string_view bytes) {
  return decode<ForwardRequest>(bytes, [](const msgpack::object& object, ForwardRequest& request) {
    if (!is_array(object, 4)) return false;
    const msgpack::object* part = object.via.array.ptr;
    if (part[0].type != msgpack::type::POSITIVE_INTEGER || part[1].type != msgpack::type::BOOLEAN ||
        part[2].type != msgpack::type::ARRAY || part[3].type != msgpack::type::ARRAY) {
      return false;
    }
    request.id = part[0].via.u64;
    request.resp3 = part[1].via.boolean;
    const msgpack::object_array& words = part[2].via.array;
    for (std::uint32_t i = 0; i < words.size; ++i) {
      if (words.ptr[i].type != msgpack::type::BIN) return false;
      request.args.emplace_back(words.ptr[i].via.bin.ptr, words.ptr[i].via.bin.size);
    }
    const msgpack::object_array& within = part[3].via.array;
    for (std::uint32_t i = 0; i < within.size; ++i) {
      const msgpack::object& partition = within.ptr[i];
      if (partition.type != msgpack::type::POSITIVE_INTEGER || partition.via.u64 > UINT16_MAX) {
        return false;
      }
      const auto id = static_cast<PartitionId>(partition.via.u64);
      if (!request.within.empty() && id <= request.within.back()) return false;
      request.within.push_back(id);
    }
    return !request.args.empty();
  });
}

std::string encode_forward_reply(std::uint64_t id, std::string_view reply) {
  msgpack::sbuffer buffer;
  msgpack::packer packer(buffer);
  packer.pack_array(2);
  packer.pack(id);
  pack_binary(packer, reply);
  return std::string(buffer.data(), buffer.size());
}

Result<ForwardReply> decode_forward_reply(std::string_view bytes) {
  return decode<ForwardReply>(bytes, [](const msgpack::object& object, ForwardReply& reply) {
    if (!is_array(object, 2)) return false;
    const msgpack::object* part = object.via.array.ptr;
    if (part[0].type != msgpack::type::POSITIVE_INTEGER || part[1].type != msgpack::type::BIN) {
      return false;
    }
    reply.id = part[0].via.u64;
    reply.bytes.assign(part[1].via.bin.ptr, part[1].via.bin.size);
    return true;
  });
}

}  // namespace even
