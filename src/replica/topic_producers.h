// Who has produced what into a partition of a topic, as strings of the partition's state: so it is
// stored, recovered, moved and forgotten like everything else, and follows from the entries alone.
// Two kinds: idempotent producers of Kafka's protocol, by their ids, which expire by the entries'
// own time; and the events of partitions of keyspaces (docs/emit.md), by origin.
//
// Functions of an entry's execution: see group.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/context.h"
#include "topic/record_batch.h"

namespace even {

// How long nothing may come of an idempotent producer before it is forgotten, as by default in
// Kafka (producer.id.expiration.ms), and how many are remembered: beyond that the one that expires
// next goes.
inline constexpr std::int64_t kProducerExpiryMs = 86'400'000;
inline constexpr std::size_t kMostProducers = 65'536;

// What is replied in place of appending a batch that gets the offset `base`; none: it is to be
// appended, and that has been noted. `events`: topic::EventIds, or empty.
//   ":7"     it is there already, from this offset on
//   "-OUT_OF_ORDER_SEQUENCE_NUMBER ..." and others: Kafka's names
//   "+0110"  of a batch of events: some (1) are there already, and none has been appended
// `any_sequence`: of a producer of whom nothing is remembered it may be any batch, unless too many
// are remembered. The state of the context's keyspace has been told of what has lapsed.
std::optional<std::string> refuse_batch(Context& context, const topic::BatchHead& head,
                                        std::string_view events, std::int64_t base,
                                        bool any_sequence);
inline constexpr std::string_view kUnknownProducer =
    "-UNKNOWN_PRODUCER_ID nothing is remembered of this producer\r\n";

// Whether whoever is not remembered has sent nothing for kProducerExpiryMs: none of those who have
// has had to go for others since. For whoever goes is the one that would expire next, so that of as
// many as are remembered then some stay until it would have expired.
bool remembers_all_producers(const PartitionState& state);

// Makes room for another key that expires, if there are too many.
void forget_a_producer(Context& context);

}  // namespace even
