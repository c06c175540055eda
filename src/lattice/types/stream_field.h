// What a stream is made of: fields of a hash whose names are in the order of their bytes. See
// docs/streams.md.
//
//   a                            value: how many entries there have been, if somebody has said so
//   d id                         an entry that was deleted by name; the greatest one counts
//   g length name b life             a consumer group; value: id, up to which it began with all
//                                    delivered
//   g length name c life consumer    a consumer; value: when it was last seen, milliseconds
//   g length name d life writer id   delivered of this writer's entries up to here; the greatest
//                                    counts
//   g length name p id writer life   pending; value: delivered when, how often, to whom
//   l id                             the last id is no less
//   x writer id                      an entry; value: its fields and values
//
// An id is 16 bytes, milliseconds and sequence. A writer is a replica id, 8 bytes; 0 where nobody
// else can write. A group's life, 8 bytes, is drawn when it is created, so that nothing of a group
// that was destroyed is taken for a later one's. The length of a name is four bytes. All are
// big-endian.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace even {

struct StreamId {
  std::uint64_t ms = 0;
  std::uint64_t seq = 0;
  constexpr auto operator<=>(const StreamId&) const = default;
  static constexpr StreamId least() { return {}; }
  static constexpr StreamId greatest() { return {UINT64_MAX, UINT64_MAX}; }
  std::string to_string() const;  // "1526919030474-55"
};

inline constexpr char kStreamAdded = 'a';
inline constexpr char kStreamDeleted = 'd';
inline constexpr char kStreamGroup = 'g';
inline constexpr char kStreamLast = 'l';
inline constexpr char kStreamEntry = 'x';
// Of a group.
inline constexpr char kGroupBase = 'b';
inline constexpr char kGroupConsumer = 'c';
inline constexpr char kGroupDelivered = 'd';
inline constexpr char kGroupPending = 'p';

std::string stream_mark(char kind, StreamId id);  // kStreamDeleted, kStreamLast
std::string stream_entry(ReplicaId writer, StreamId id);
// What the names of all fields of a group begin with, and no others.
std::string group_prefix(std::string_view group);
std::string group_base(std::string_view group, std::uint64_t life);
std::string group_consumer(std::string_view group, std::uint64_t life, std::string_view consumer);
std::string group_delivered(std::string_view group, std::uint64_t life, ReplicaId writer,
                            StreamId id);
std::string group_pending(std::string_view group, StreamId id, ReplicaId writer,
                          std::uint64_t life);
// What the names of all that is pending of a group from this id on are not less than.
std::string group_pending_from(std::string_view group, StreamId id);

struct StreamField {
  char kind = 0;
  char part = 0;  // of a group
  std::string_view group;
  std::uint64_t life = 0;  // of a group
  std::string_view consumer;
  ReplicaId writer;
  StreamId id;
};
// Nothing when it is no name of such a field.
std::optional<StreamField> parse_stream_field(std::string_view name);
// For people: "entry 1526919030474-55 of 2/00c0ffee1234".
std::string stream_field_text(std::string_view name);

std::string id_bytes(StreamId id);
// Of 16 bytes.
StreamId id_of(std::string_view bytes);

}  // namespace even
