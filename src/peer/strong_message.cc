#include "peer/strong_message.h"

#include <msgpack.hpp>

#include "base/messagepack_reader.h"

namespace even {
namespace {

using messagepack::Reader;

constexpr std::string_view kMalformed =
    "malformed: a request to a strong partition, or its outcome";

// What is packed goes to the end of a string.
struct Bytes {
  std::string& out;
  void write(const char* bytes, std::size_t size) { out.append(bytes, size); }
};
using StringPacker = msgpack::packer<Bytes>;

void put_binary(StringPacker& packer, std::string_view bytes) {
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

void put_words(StringPacker& packer, Args words) {
  packer.pack_array(static_cast<std::uint32_t>(words.size()));
  for (const std::string_view word : words) put_binary(packer, word);
}

// At least one word.
bool read_words(Reader& in, std::vector<std::string_view>& out) {
  out.resize(in.array());
  for (std::string_view& word : out) word = in.binary();
  return !out.empty() && in.ok();
}

// About how many bytes a message takes beside its words, and each word beside its bytes.
constexpr std::size_t kRequestBytes = 64;
constexpr std::size_t kWordBytes = 6;

std::size_t size_of(Args words) {
  std::size_t size = kWordBytes;
  for (const std::string_view word : words) size += word.size() + kWordBytes;
  return size;
}

}  // namespace

std::string encode_strong_request(std::uint64_t id, const StrongRequest& request) {
  std::string out;
  std::size_t size = kRequestBytes + request.once.size();
  for (const Args words : request.commands) size += size_of(words);
  for (const auto& watched : request.watched) size += size_of(watched.words) + watched.reply.size();
  out.reserve(size);
  Bytes bytes{out};
  StringPacker packer(bytes);
  packer.pack_array(12);
  packer.pack(id);
  packer.pack(request.group);
  packer.pack(request.resp3);
  packer.pack(request.transaction);
  packer.pack_array(static_cast<std::uint32_t>(request.commands.size()));
  for (const Args words : request.commands) put_words(packer, words);
  packer.pack_array(static_cast<std::uint32_t>(request.watched.size()));
  for (const StrongRequest::Watched& watched : request.watched) {
    packer.pack_array(2);
    put_words(packer, watched.words);
    put_binary(packer, watched.reply);
  }
  put_binary(packer, request.once);
  packer.pack(request.once_ms);
  packer.pack(static_cast<std::uint8_t>(request.read));
  packer.pack(request.bound_ms);
  packer.pack(request.after);
  packer.pack(request.behind);
  return out;
}

Result<std::shared_ptr<const StrongMessage>> decode_strong_request(std::string_view bytes) {
  auto message = std::make_shared<StrongMessage>();
  message->bytes_ = bytes;
  StrongRequest& request = message->request_;
  Reader in(message->bytes_);
  in.array_of(12);
  message->id_ = in.number<std::uint64_t>();
  request.group = in.number<PartitionId>();
  request.resp3 = in.boolean();
  request.transaction = in.boolean();
  std::vector<std::vector<std::string_view>>& words = message->words_;
  words.resize(in.array());
  bool whole = request.transaction || words.size() == 1;
  for (auto& command : words) whole = whole && read_words(in, command);
  const std::size_t commands = words.size();
  const std::size_t watched = in.array();
  whole = whole && (request.transaction || watched == 0);
  if (whole) words.resize(commands + watched);  // what views them is made when there are no more
  for (std::size_t i = 0; i < watched && whole; ++i) {
    in.array_of(2);
    whole = read_words(in, words[commands + i]);
    request.watched.emplace_back().reply = in.binary();
  }
  request.once = in.binary();
  request.once_ms = in.number<std::int64_t>();
  request.read = in.enumerator(StrongRead::kOne);
  request.bound_ms = in.number<std::int64_t>();
  request.after = in.number<consensus::Index>();
  request.behind = in.boolean();
  if (!whole || !in.ok() || !in.at_end()) return fail(std::string(kMalformed));
  request.commands.assign(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(commands));
  for (std::size_t i = 0; i < watched; ++i) request.watched[i].words = words[commands + i];
  return message;
}

std::string encode_strong_reply(std::uint64_t id, const StrongOutcome& outcome) {
  std::string out;
  out.reserve(kRequestBytes + outcome.reply.size());
  Bytes bytes{out};
  StringPacker packer(bytes);
  packer.pack_array(5);
  packer.pack(id);
  packer.pack(static_cast<std::uint8_t>(outcome.kind));
  put_binary(packer, outcome.reply);
  packer.pack(outcome.leader);
  packer.pack(outcome.index);
  return out;
}

Result<StrongReply> decode_strong_reply(std::string_view bytes) {
  StrongReply reply;
  Reader in(bytes);
  in.array_of(5);
  reply.id = in.number<std::uint64_t>();
  reply.outcome.kind = in.enumerator(StrongOutcome::Kind::kUnknown);
  reply.outcome.reply = in.binary();
  reply.outcome.leader = in.number<NodeNumber>();
  reply.outcome.index = in.number<consensus::Index>();
  if (!in.ok() || !in.at_end()) return fail(std::string(kMalformed));
  return reply;
}

std::string encode_serves_request(const ServesRequest& request) {
  std::string out;
  Bytes bytes{out};
  StringPacker packer(bytes);
  packer.pack_array(2);
  packer.pack(request.id);
  packer.pack(request.version);
  return out;
}

Result<ServesRequest> decode_serves_request(std::string_view bytes) {
  ServesRequest request;
  Reader in(bytes);
  in.array_of(2);
  request.id = in.number<std::uint64_t>();
  request.version = in.number<std::uint64_t>();
  if (!in.ok() || !in.at_end()) return fail(std::string(kMalformed));
  return request;
}

}  // namespace even
