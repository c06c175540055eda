// What the state of a topic's partition has of transactions, as strings like those of producers
// (topic_producers.h): how far the transactions of each producer are over, which are open, and
// which were aborted. See docs/topic-transactions.md.
//
// Functions of an entry's execution (see group.h), and of who reads the state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/context.h"
#include "lattice/partition_state.h"
#include "replica/strong.h"
#include "topic/marker.h"
#include "topic/record_batch.h"

namespace even {

// Replied to a marker that has been there before, or was overtaken by a later one: nothing is
// appended.
inline constexpr std::string_view kMarkedBefore = "+MARKED\r\n";

// Where the state has how far the transactions of a producer are over, and what it has there.
std::string ended_transactions_key(std::int64_t producer_id);
topic::Ended decode_ended(std::string_view value);

// What is replied in place of appending the batch of a producer; none: as far as transactions are
// concerned it may be appended. A transactional batch has, in place of its offset, the number of
// the transaction that it was found to belong to; 0: nobody has looked.
std::optional<std::string> refuse_by_transaction(const Context& context,
                                                 const topic::BatchHead& head);
// It is to be appended, from this offset on.
void note_transaction(Context& context, const topic::BatchHead& head, std::int64_t base);
// The same of a control batch; what is replied in place of appending it.
std::optional<std::string> end_transaction(Context& context, std::string_view batch,
                                           std::int64_t base);

// Before it no transaction is open. `end`: of the partition. Like the next one, it throws
// Unreadable.
std::int64_t stable_offset(const PartitionState& state, std::int64_t end);
// See Shard::topic_aborted().
Result<std::vector<AbortedTransaction>> aborted_transactions(const PartitionState& state,
                                                             std::int64_t from, std::int64_t to);

}  // namespace even
