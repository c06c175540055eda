// Requests to strong partitions, as a shard executes them: see docs/groups.md, "Reads and writes".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/mutant.h"
#include "consensus/entry.h"
#include "engine/command.h"

namespace even {

// How a read is served. Writes go by the group's log in any case.
enum class StrongRead : std::uint8_t {
  kLinearizable,  // at the leader, which asks a majority whether it still is
  kSequential,    // here, once `after` has been applied
  kBounded,       // here, if it was confirmed within `bound_ms` what is committed
  kOne,           // here
};

// In place of a command, alone in a request to a topic's partition: a batch of records, checked,
// and topic::EventIds, or an empty word. Unlike StrongRequest::batch it may come from another node.
// The reply is ":7", the offset of the first record, or as topic_producers.h has it.
inline constexpr std::string_view kAppendCommand = "even.append";

// In place of a command, alone in a request, with the number of an attempt at dropping the
// keyspace (docs/groups.md, "Dropping a keyspace"). The first closes the group, which from then on
// refuses what may write keys, and replies ":0", or the number of keys that there are, and closes
// nothing. The second ends the attempt, and opens the group if it is closed for it or for an
// earlier one.
inline constexpr std::string_view kCloseCommand = "even.close";
inline constexpr std::string_view kOpenCommand = "even.open";
inline bool is_closing_command(Args words) {
  return words.size() == 2 && (words[0] == kCloseCommand || words[0] == kOpenCommand);
}

// The words stay valid until done() is called.
struct StrongRequest {
  PartitionId group = 0;
  bool resp3 = false;
  bool transaction = false;    // the reply is an array of the commands' replies
  std::vector<Args> commands;  // arity checked; one unless it is a transaction
  struct Watched {
    Args words;
    std::string_view reply;  // in RESP2
  };
  std::vector<Watched> watched;
  std::string_view once;     // EVEN.ONCE's id; empty: without
  std::int64_t once_ms = 0;  // how long the group keeps it: kept_ms()
  // In place of commands: a batch of records for a topic's partition, checked. The reply is the
  // offset of its first record, ":7". Not for other nodes: whoever asks goes to the leader.
  std::string_view batch;
  // In place of commands, likewise: the records of a topic's partition below this offset go. The
  // reply is where they begin then.
  std::optional<std::int64_t> trim_to;
  // Of requests that write nothing.
  StrongRead read = StrongRead::kLinearizable;
  std::int64_t bound_ms = 0;
  consensus::Index after = 0;  // kSequential
  // kLinearizable: after all that has been proposed here, since that may be this client's.
  bool behind = false;
};

struct StrongOutcome {
  enum class Kind : std::uint8_t {
    kReply,      // executed
    kElsewhere,  // nothing was done and nothing will be: ask `leader`, or, if that is 0, later
    kRefused,    // the same; `reply` is the error to show
    kStale,      // kBounded: not fresh enough here; nothing was done
    kUnknown,    // it may have been executed, or will be
  };
  Kind kind = Kind::kReply;
  std::string reply;           // RESP
  NodeNumber leader = 0;       // kElsewhere
  consensus::Index index = 0;  // kReply: what has been applied of the group
};

// What an attempt at a request means for the request, which may have been tried before.
enum class StrongNext : std::uint8_t {
  kAnswered,   // its outcome is the request's
  kAgain,      // it is to be tried again, as long as there is time
  kUncertain,  // what has become of the request is not known and will not be
};
// `unknown`: it is a write, and nobody knows what has become of an earlier attempt. Then a refusal
// says nothing of the request: this attempt has done nothing, but the earlier one may have been
// executed, or will be. `repeatable`: executing both does no harm.
inline StrongNext next_of(StrongOutcome::Kind kind, bool unknown, bool repeatable) {
  switch (kind) {
    case StrongOutcome::Kind::kReply:
      return StrongNext::kAnswered;
    case StrongOutcome::Kind::kRefused:
      return unknown && !EVEN_MUTANT(kRefusalOfRepetition) ? StrongNext::kAgain
                                                           : StrongNext::kAnswered;
    case StrongOutcome::Kind::kUnknown:
      return repeatable ? StrongNext::kAgain : StrongNext::kUncertain;
    case StrongOutcome::Kind::kElsewhere:
    case StrongOutcome::Kind::kStale:
      break;
  }
  return StrongNext::kAgain;
}

// By so much the clocks of a group's leaders may differ, one after the other, and what has been
// sent may be late, before a request that is repeated is executed twice: see kept_ms().
inline constexpr std::int64_t kOnceMarginMs = 5'000;
// How long a group keeps an id of EVEN.ONCE that is to be remembered for `once_ms`: who repeats the
// request does so until its deadline.
inline std::int64_t kept_ms(std::int64_t once_ms, std::int64_t deadline_ms) {
  if (EVEN_MUTANT(kOnceNoLongerThanAsked)) return once_ms;
  return once_ms + deadline_ms + kOnceMarginMs;
}

// Called once, on the shard's thread, in this turn or a later one: of what was proposed, when it is
// known what has become of it, however long that takes.
using StrongDone = std::move_only_function<void(StrongOutcome)>;

// A topic's partition as a member has it.
struct TopicStatus {
  bool leads = false;
  NodeNumber leader = 0;  // 0: none is known
  consensus::Term term = 0;
  std::int64_t start = 0;   // the first offset that there is
  std::int64_t end = 0;     // that the next record gets
  std::uint64_t bytes = 0;  // of the batches behind the last place below the start where it was cut
  std::int64_t stable = 0;  // the last stable offset: no transaction is open before it
  // Before this offset the member has compacted what it has stored, and what it has of that.
  std::int64_t compacted = 0;
  std::uint64_t compacted_bytes = 0;
};
// Of a topic's partition: records of this producer from `first` on, up to the marker at `last`.
struct AbortedTransaction {
  std::int64_t producer_id = 0;
  std::int64_t first = 0;
  std::int64_t last = 0;
  bool operator==(const AbortedTransaction&) const = default;
};

struct GroupStatus {
  PartitionId group = 0;
  NodeNumber leader = 0;  // 0: none is known
  bool leads = false;     // this node does
  consensus::Term term = 0;
  consensus::Index committed = 0;
  consensus::Index applied = 0;
  // It is not what the leader's was at the same entry: that must never be.
  bool diverged = false;
  std::vector<NodeNumber> voters;
  std::vector<NodeNumber> learners;
  // While members are being replaced: the former voters, of which a majority has to agree as well.
  std::vector<NodeNumber> outgoing;
  // Of a leader: per other member, entries that it has not acknowledged.
  std::vector<std::pair<NodeNumber, std::uint64_t>> lags;
};

// The partition of the group `meta`, which holds the keyspaces: the first that is not of the
// default keyspace.
constexpr PartitionId meta_partition(PartitionId default_partitions) { return default_partitions; }

}  // namespace even
