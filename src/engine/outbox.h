// The outbox of a partition: the events that its transactions have emitted and that no relay has
// removed yet, as fields of one hash. See docs/emit.md.
//
// Its commands are not in the command table: clients do not name them. EVEN.EMIT within MULTI
// becomes the first, a relay's word to a strong partition the second:
//
//   even.outbox key event      adds an event (topic::Event); replies +OK
//   even.relayed key field...  removes events by their ids
//
// Two more are a leader's word to its strong partition about its change feed (docs/feeds.md), which
// the group executes itself; both reply +OK:
//
//   even.feed epoch topic keyspace snapshot  changes are told from here on; no topic: they are not.
//                                            snapshot: 1: all keys are to be told as well
//   even.feed.step epoch cursor              tells some of these, from the cursor on
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/command.h"
#include "lattice/hlc.h"
#include "topic/event_id.h"

namespace even {

// In a strong partition; in those of the default keyspace, the name of ReservedKeys.
inline constexpr std::string_view kOutboxKey{"\0even:outbox", 12};

// How a transaction adds an event in an eventual keyspace, where the key leads to the partition,
// and in a strong one, where it does not count.
extern const Command kOutboxCommand;
extern const Command kStrongOutboxCommand;
bool is_outbox_command(const Command& command);
// Replies +OK, or why the partition takes no transaction with an event; the words of
// kOutboxCommand.
extern const Command kOutboxRoomCommand;

inline constexpr std::string_view kRelayedCommandName = "even.relayed";
// For strong partitions: null if it is none of the commands above.
const Command* find_outbox_command(Args words);

inline constexpr std::string_view kFeedCommandName = "even.feed";
inline constexpr std::string_view kFeedStepCommandName = "even.feed.step";
// What a partition remembers of its feed: fields of a hash. As for kOutboxKey.
inline constexpr std::string_view kFeedKey{"\0even:feed", 10};

// Events that wait in a partition at most.
inline constexpr std::size_t kMostWaitingEvents = 10'000;
// Why a partition takes none; an error's text, or empty.
std::string outbox_refusal(const Object* outbox);

// A field of it.
struct WaitingEvent {
  topic::EventId id;
  Hlc time;  // of the record in which it was made
  std::string_view event;
};
std::optional<WaitingEvent> read_waiting_event(std::string_view field, std::string_view value);

}  // namespace even
