#include "peer/strong_message.h"

#include "base/messagepack.h"

namespace even {
namespace {

using messagepack::bytes_of;
using messagepack::is_array;
using messagepack::pack_binary;
using messagepack::Packer;
using messagepack::read;
using messagepack::read_enum;

void pack_words(Packer& packer, Args words) {
  packer.pack_array(static_cast<std::uint32_t>(words.size()));
  for (const std::string_view word : words) pack_binary(packer, word);
}

// At least one word.
bool read_words(const msgpack::object& object, std::vector<std::string_view>& out) {
  if (object.type != msgpack::type::ARRAY || object.via.array.size == 0) return false;
  for (std::uint32_t i = 0; i < object.via.array.size; ++i) {
    if (!read(object.via.array.ptr[i], out.emplace_back())) return false;
  }
  return true;
}

template <typename Read>
Result<> decode_part(std::string_view bytes, Read read_message) {
  return messagepack::unpack(bytes, 6, "a request to a strong partition, or its outcome",
                             read_message);
}

}  // namespace

std::string encode_strong_request(std::uint64_t id, const StrongRequest& request) {
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  packer.pack_array(12);
  packer.pack(id);
  packer.pack(request.group);
  packer.pack(request.resp3);
  packer.pack(request.transaction);
  packer.pack_array(static_cast<std::uint32_t>(request.commands.size()));
  for (const Args words : request.commands) pack_words(packer, words);
  packer.pack_array(static_cast<std::uint32_t>(request.watched.size()));
  for (const StrongRequest::Watched& watched : request.watched) {
    packer.pack_array(2);
    pack_words(packer, watched.words);
    pack_binary(packer, watched.reply);
  }
  pack_binary(packer, request.once);
  packer.pack(request.once_ms);
  packer.pack(static_cast<std::uint8_t>(request.read));
  packer.pack(request.bound_ms);
  packer.pack(request.after);
  packer.pack(request.behind);
  return bytes_of(buffer);
}

Result<std::shared_ptr<const StrongMessage>> decode_strong_request(std::string_view bytes) {
  auto message = std::make_shared<StrongMessage>();
  message->bytes_ = bytes;
  StrongRequest& request = message->request_;
  Result<> decoded = decode_part(message->bytes_, [&](const msgpack::object& object) {
    if (!is_array(object, 12)) return false;
    const msgpack::object* field = object.via.array.ptr;
    const msgpack::object& commands = field[4];
    const msgpack::object& watched = field[5];
    if (!read(field[0], message->id_) || !read(field[1], request.group) ||
        !read(field[2], request.resp3) || !read(field[3], request.transaction) ||
        commands.type != msgpack::type::ARRAY || watched.type != msgpack::type::ARRAY ||
        !read(field[6], request.once) || !read(field[7], request.once_ms) ||
        !read_enum(field[8], StrongRead::kOne, request.read) || !read(field[9], request.bound_ms) ||
        !read(field[10], request.after) || !read(field[11], request.behind)) {
      return false;
    }
    if (!request.transaction && (commands.via.array.size != 1 || watched.via.array.size != 0)) {
      return false;
    }
    std::vector<std::vector<std::string_view>>& words = message->words_;
    words.resize(std::size_t{commands.via.array.size} + watched.via.array.size);
    std::size_t next = 0;
    for (std::uint32_t i = 0; i < commands.via.array.size; ++i, ++next) {
      if (!read_words(commands.via.array.ptr[i], words[next])) return false;
      request.commands.emplace_back(words[next]);
    }
    for (std::uint32_t i = 0; i < watched.via.array.size; ++i, ++next) {
      const msgpack::object& each = watched.via.array.ptr[i];
      StrongRequest::Watched& out = request.watched.emplace_back();
      if (!is_array(each, 2) || !read_words(each.via.array.ptr[0], words[next]) ||
          !read(each.via.array.ptr[1], out.reply)) {
        return false;
      }
      out.words = words[next];
    }
    return true;
  });
  if (!decoded) return std::unexpected(decoded.error());
  return message;
}

std::string encode_strong_reply(std::uint64_t id, const StrongOutcome& outcome) {
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  packer.pack_array(5);
  packer.pack(id);
  packer.pack(static_cast<std::uint8_t>(outcome.kind));
  pack_binary(packer, outcome.reply);
  packer.pack(outcome.leader);
  packer.pack(outcome.index);
  return bytes_of(buffer);
}

Result<StrongReply> decode_strong_reply(std::string_view bytes) {
  StrongReply reply;
  Result<> decoded = decode_part(bytes, [&](const msgpack::object& object) {
    if (!is_array(object, 5)) return false;
    const msgpack::object* field = object.via.array.ptr;
    std::string_view text;
    if (!read(field[0], reply.id) ||
        !read_enum(field[1], StrongOutcome::Kind::kUnknown, reply.outcome.kind) ||
        !read(field[2], text) || !read(field[3], reply.outcome.leader) ||
        !read(field[4], reply.outcome.index)) {
      return false;
    }
    reply.outcome.reply = text;
    return true;
  });
  if (!decoded) return std::unexpected(decoded.error());
  return reply;
}

std::string encode_serves_request(const ServesRequest& request) {
  msgpack::sbuffer buffer;
  Packer packer(buffer);
  packer.pack_array(2);
  packer.pack(request.id);
  packer.pack(request.version);
  return bytes_of(buffer);
}

Result<ServesRequest> decode_serves_request(std::string_view bytes) {
  ServesRequest request;
  Result<> decoded = decode_part(bytes, [&](const msgpack::object& object) {
    return is_array(object, 2) && read(object.via.array.ptr[0], request.id) &&
           read(object.via.array.ptr[1], request.version);
  });
  if (!decoded) return std::unexpected(decoded.error());
  return request;
}

}  // namespace even
