#include "lattice/types/stream_field.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace even {
namespace {

constexpr std::size_t kIdBytes = 16;

void put_id(StreamId id, std::string& out) {
  put_big_endian(out, id.ms);
  put_big_endian(out, id.seq);
}

std::string group_field(std::string_view group, char part) {
  std::string out = group_prefix(group);
  out.push_back(part);
  return out;
}

// Takes a part off the front; nothing when there is less.
std::optional<std::string_view> take(std::string_view& bytes, std::size_t size) {
  if (bytes.size() < size) return std::nullopt;
  const std::string_view out = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return out;
}

bool take_id(std::string_view& bytes, StreamId& out) {
  const auto id = take(bytes, kIdBytes);
  if (id) out = id_of(*id);
  return id.has_value();
}

bool take_number(std::string_view& bytes, std::uint64_t& out) {
  const auto number = take(bytes, sizeof out);
  if (number) out = get_big_endian<std::uint64_t>(number->data());
  return number.has_value();
}

bool take_group(std::string_view& rest, StreamField& out) {
  const auto length = take(rest, sizeof(std::uint32_t));
  if (!length) return false;
  const auto name = take(rest, get_big_endian<std::uint32_t>(length->data()));
  const auto part = name ? take(rest, 1) : std::nullopt;
  if (!part) return false;
  out.group = *name;
  out.part = part->front();
  switch (out.part) {
    case kGroupBase:
      return take_number(rest, out.life);
    case kGroupConsumer:
      if (!take_number(rest, out.life)) return false;
      out.consumer = rest;
      rest = {};
      return true;
    case kGroupDelivered:
      return take_number(rest, out.life) && take_number(rest, out.writer.value) &&
             take_id(rest, out.id);
    case kGroupPending:
      return take_id(rest, out.id) && take_number(rest, out.writer.value) &&
             take_number(rest, out.life);
    default:
      return false;
  }
}

}  // namespace

std::string StreamId::to_string() const {
  const fmt::format_int first(ms);
  const fmt::format_int second(seq);
  std::string out;
  out.reserve(first.size() + 1 + second.size());
  out.append(first.data(), first.size()).push_back('-');
  return out.append(second.data(), second.size());
}

std::string id_bytes(StreamId id) {
  std::string out;
  put_id(id, out);
  return out;
}

StreamId id_of(std::string_view bytes) {
  return {get_big_endian<std::uint64_t>(bytes.data()),
          get_big_endian<std::uint64_t>(bytes.data() + sizeof(std::uint64_t))};
}

std::string stream_mark(char kind, StreamId id) {
  std::string out(1, kind);
  put_id(id, out);
  return out;
}

std::string stream_entry(ReplicaId writer, StreamId id) {
  std::string out;
  out.reserve(1 + sizeof writer.value + kIdBytes);
  out.push_back(kStreamEntry);
  put_big_endian(out, writer.value);
  put_id(id, out);
  return out;
}

std::string group_prefix(std::string_view group) {
  std::string out(1, kStreamGroup);
  put_big_endian(out, static_cast<std::uint32_t>(group.size()));
  out += group;
  return out;
}
std::string group_base(std::string_view group, std::uint64_t life) {
  std::string out = group_field(group, kGroupBase);
  put_big_endian(out, life);
  return out;
}
std::string group_consumer(std::string_view group, std::uint64_t life, std::string_view consumer) {
  std::string out = group_field(group, kGroupConsumer);
  put_big_endian(out, life);
  return out.append(consumer);
}
std::string group_delivered(std::string_view group, std::uint64_t life, ReplicaId writer,
                            StreamId id) {
  std::string out = group_field(group, kGroupDelivered);
  put_big_endian(out, life);
  put_big_endian(out, writer.value);
  put_id(id, out);
  return out;
}
std::string group_pending_from(std::string_view group, StreamId id) {
  std::string out = group_field(group, kGroupPending);
  put_id(id, out);
  return out;
}
std::string group_pending(std::string_view group, StreamId id, ReplicaId writer,
                          std::uint64_t life) {
  std::string out = group_pending_from(group, id);
  put_big_endian(out, writer.value);
  put_big_endian(out, life);
  return out;
}

std::optional<StreamField> parse_stream_field(std::string_view name) {
  if (name.empty()) return std::nullopt;
  StreamField out{.kind = name.front()};
  std::string_view rest = name.substr(1);
  bool is_one = false;
  switch (out.kind) {
    case kStreamAdded:
      is_one = true;
      break;
    case kStreamDeleted:
    case kStreamLast:
      is_one = take_id(rest, out.id);
      break;
    case kStreamEntry:
      is_one = take_number(rest, out.writer.value) && take_id(rest, out.id);
      break;
    case kStreamGroup:
      is_one = take_group(rest, out);
      break;
    default:
      break;
  }
  return is_one && rest.empty() ? std::optional(out) : std::nullopt;
}

std::string stream_field_text(std::string_view name) {
  const auto field = parse_stream_field(name);
  if (!field) return fmt::format("no field of a stream: {} bytes", name.size());
  switch (field->kind) {
    case kStreamAdded:
      return "added";
    case kStreamDeleted:
      return "deleted " + field->id.to_string();
    case kStreamLast:
      return "last " + field->id.to_string();
    case kStreamEntry:
      return fmt::format("entry {} of {}", field->id.to_string(), field->writer.to_string());
    default:
      break;
  }
  std::string out = fmt::format("group '{}'", field->group);
  switch (field->part) {
    case kGroupConsumer:
      return out + fmt::format(" consumer '{}'", field->consumer);
    case kGroupDelivered:
      return out +
             fmt::format(" delivered {} of {}", field->id.to_string(), field->writer.to_string());
    case kGroupPending:
      return out +
             fmt::format(" pending {} of {}", field->id.to_string(), field->writer.to_string());
    default:
      return out;
  }
}

}  // namespace even
