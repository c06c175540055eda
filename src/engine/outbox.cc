#include "engine/outbox.h"

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/reserved.h"
#include "cluster/placement.h"

namespace even {
namespace {

static_assert(is_reserved(kOutboxKey) && is_reserved(kFeedKey));

// The first free place among the events of one dot: they are numbered without gaps, and none of
// them is removed before its record is closed.
std::uint32_t free_place(const Object* outbox, topic::EventId id) {
  const auto is_taken = [&](std::uint32_t index) {
    id.index = index;
    std::string field;
    id.encode(field);
    return outbox->hash().find(field).live();
  };
  if (outbox == nullptr || !is_taken(0)) return 0;
  std::uint32_t taken = 0;
  std::uint32_t free = 1;
  for (; is_taken(free); free *= 2) taken = free;
  while (free - taken > 1) {
    const std::uint32_t middle = taken + (free - taken) / 2;
    (is_taken(middle) ? taken : free) = middle;
  }
  return free;
}

void outbox_command(Context& context, Args args) {
  const Object* outbox = context.find(args[1]);
  KeyWriter& writer = context.write(args[1]);
  topic::EventId id{writer.dot().replica.value, writer.dot().seq, 0};
  id.index = free_place(outbox, id);
  std::string field;
  id.encode(field);
  std::string value;
  put_little_endian(value, writer.time().value);
  value += args[2];
  writer.add_fresh_field(context.keep(std::move(field)), context.keep(std::move(value)));
  context.reply.ok();
}

void relayed_command(Context& context, Args args) {
  KeyWriter& writer = context.write(args[1]);
  for (const std::string_view field : args.subspan(2)) writer.remove_field(field);
  context.reply.ok();
}

void room_command(Context& context, Args args) {
  const std::string refusal = outbox_refusal(context.find(args[1]));
  refusal.empty() ? context.reply.ok() : context.reply.error(refusal);
}

constexpr Command kRelayedCommand = {.name = kRelayedCommandName,
                                     .group = "hash",
                                     .arity = -3,
                                     .flags = kWrite,
                                     .handler = relayed_command};

}  // namespace

constexpr Command kOutboxCommand = {.name = "even.outbox",
                                    .group = "hash",
                                    .arity = 3,
                                    .flags = kWrite | kDenyOom,
                                    .keys = kFirstWord,
                                    .handler = outbox_command,
                                    .elements = Elements::kFresh};
constexpr Command kStrongOutboxCommand = {.name = "even.outbox",
                                          .group = "hash",
                                          .arity = 3,
                                          .flags = kWrite | kDenyOom,
                                          .handler = outbox_command};
constexpr Command kOutboxRoomCommand = {.name = "even.outbox",
                                        .group = "hash",
                                        .arity = 3,
                                        .flags = kReadonly,
                                        .keys = kFirstWord,
                                        .handler = room_command};

bool is_outbox_command(const Command& command) {
  return &command == &kOutboxCommand || &command == &kStrongOutboxCommand;
}

const Command* find_outbox_command(Args words) {
  if (words.size() == 3 && words[0] == kStrongOutboxCommand.name) return &kStrongOutboxCommand;
  if (words.size() >= 3 && words[0] == kRelayedCommand.name) return &kRelayedCommand;
  return nullptr;
}

std::string outbox_refusal(const Object* outbox) {
  if (outbox == nullptr || outbox->hash().live() < kMostWaitingEvents) return {};
  return fmt::format(
      "OUTBOXFULL nothing was done: {} events of this partition wait to be relayed to their "
      "topics: "
      "see even_emit_relay_lag_seconds and EVEN.TOPIC INFO",
      outbox->hash().live());
}

std::optional<WaitingEvent> read_waiting_event(std::string_view field, std::string_view value) {
  const auto id = topic::EventId::decode(field);
  ByteReader in(value);
  const Hlc time{in.get<std::uint64_t>()};
  if (!id || !in.ok()) return std::nullopt;
  return WaitingEvent{*id, time, in.bytes(in.left())};
}

}  // namespace even
