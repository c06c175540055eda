#include "replica/topic_transactions.h"

#include <algorithm>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "replica/topic_producers.h"
#include "topic/marker.h"

namespace even {
namespace {

using topic::Ended;
using topic::Marker;

// The name goes on with the producer's id.
constexpr std::string_view kEndedPrefix{"\0ended:", 7};
constexpr std::string_view kOpenKey{"\0open", 5};
// One name for the chunks that are full, and, with a number behind it, for each chunk.
constexpr std::string_view kAbortedKey{"\0aborted", 8};
constexpr std::size_t kChunkTransactions = 256;

struct OpenTransaction {
  std::int64_t first = 0;  // offset
  std::int64_t producer_id = 0;
  std::int16_t epoch = 0;

  static constexpr std::size_t kBytes = 8 + 8 + 2;
  void encode(std::string& out) const {
    put_little_endian(out, first);
    put_little_endian(out, producer_id);
    put_little_endian(out, epoch);
  }
  static OpenTransaction take(ByteReader& in) {
    OpenTransaction open;
    open.first = in.get<std::int64_t>();
    open.producer_id = in.get<std::int64_t>();
    open.epoch = in.get<std::int16_t>();
    return open;
  }
};

// Of a full chunk.
struct Chunk {
  std::int64_t last = 0;         // offset of the last marker
  std::int64_t least_first = 0;  // of any first offset

  static constexpr std::size_t kBytes = 8 + 8;
  void encode(std::string& out) const {
    put_little_endian(out, last);
    put_little_endian(out, least_first);
  }
  static Chunk take(ByteReader& in) {
    Chunk chunk;
    chunk.last = in.get<std::int64_t>();
    chunk.least_first = in.get<std::int64_t>();
    return chunk;
  }
};

struct Range : AbortedTransaction {
  static constexpr std::size_t kBytes = 8 + 8 + 8;
  void encode(std::string& out) const {
    put_little_endian(out, producer_id);
    put_little_endian(out, first);
    put_little_endian(out, last);
  }
  static Range take(ByteReader& in) {
    Range range;
    range.producer_id = in.get<std::int64_t>();
    range.first = in.get<std::int64_t>();
    range.last = in.get<std::int64_t>();
    return range;
  }
};

// The state is this partition's own: what cannot be decoded is not there.
template <typename Each>
std::vector<Each> decode_all(std::string_view bytes) {
  std::vector<Each> all;
  all.reserve(bytes.size() / Each::kBytes);
  for (ByteReader in(bytes); in.left() >= Each::kBytes;) all.push_back(Each::take(in));
  return all;
}

std::string string_of(const Object* object) {
  if (object == nullptr || !object->live()) return {};
  std::string scratch;
  return std::string(object->string().value(scratch));
}

std::string string_at(const PartitionState& state, std::string_view key) {
  return string_of(state.find(key, hash64(key)));
}

std::string chunk_key(std::size_t number) {
  std::string key(kAbortedKey);
  put_big_endian(key, static_cast<std::uint32_t>(number));
  return key;
}

Ended ended_of(const Context& context, std::int64_t producer_id) {
  return decode_ended(string_of(context.find(ended_transactions_key(producer_id))));
}

void write_string(Context& context, std::string key, std::string value) {
  context.write(context.keep(std::move(key))).set_string(context.keep(std::move(value)), false);
}

void write_open(Context& context, const std::vector<OpenTransaction>& all) {
  std::string value;
  for (const OpenTransaction& open : all) open.encode(value);
  write_string(context, std::string(kOpenKey), std::move(value));
}

void note_aborted(Context& context, const Range& range) {
  if (EVEN_MUTANT(kAbortedRangeForgotten)) return;
  std::string chunks = string_of(context.find(kAbortedKey));
  std::string key = chunk_key(chunks.size() / Chunk::kBytes);
  std::string ranges = string_of(context.find(key));
  range.encode(ranges);
  if (ranges.size() >= kChunkTransactions * Range::kBytes) {
    Chunk full{.last = range.last, .least_first = range.first};
    for (const Range& each : decode_all<Range>(ranges)) {
      full.least_first = std::min(full.least_first, each.first);
    }
    full.encode(chunks);
    write_string(context, std::string(kAbortedKey), std::move(chunks));
  }
  write_string(context, std::move(key), std::move(ranges));
}

}  // namespace

std::string ended_transactions_key(std::int64_t producer_id) {
  std::string key(kEndedPrefix);
  put_big_endian(key, producer_id);
  return key;
}

Ended decode_ended(std::string_view value) {
  ByteReader in(value);
  Ended ended;
  const auto epoch = in.get<std::int16_t>();
  const auto number = in.get<std::uint32_t>();
  if (in.ok()) ended = {epoch, number};
  return ended;
}

std::optional<std::string> refuse_by_transaction(const Context& context,
                                                 const topic::BatchHead& head) {
  const Ended ended = ended_of(context, head.producer_id);
  if (head.producer_epoch < ended.epoch) {
    return "-INVALID_PRODUCER_EPOCH the producer has a later epoch\r\n";
  }
  const auto number = static_cast<std::uint32_t>(head.base_offset);
  if (head.transactional() && number != 0 && ended.has(head.producer_epoch, number)) {
    return "-INVALID_TXN_STATE the transaction of this batch is over\r\n";
  }
  const auto all = decode_all<OpenTransaction>(string_of(context.find(kOpenKey)));
  const auto open = std::ranges::find(all, head.producer_id, &OpenTransaction::producer_id);
  if (open == all.end()) return std::nullopt;
  if (!head.transactional()) {
    return "-INVALID_TXN_STATE the producer has an open transaction in this partition\r\n";
  }
  if (open->epoch != head.producer_epoch) {
    return "-INVALID_TXN_STATE a transaction of another epoch of the producer is open\r\n";
  }
  return std::nullopt;
}

void note_transaction(Context& context, const topic::BatchHead& head, std::int64_t base) {
  if (!head.transactional()) return;
  auto all = decode_all<OpenTransaction>(string_of(context.find(kOpenKey)));
  const auto open = std::ranges::find(all, head.producer_id, &OpenTransaction::producer_id);
  if (open != all.end()) return;
  all.push_back({base, head.producer_id, head.producer_epoch});
  write_open(context, all);
}

std::optional<std::string> end_transaction(Context& context, std::string_view batch,
                                           std::int64_t base) {
  const auto marker = Marker::decode(batch);
  if (!marker) return "-ERR a control batch that is no marker\r\n";
  if (ended_of(context, marker->producer_id).has(marker->epoch, marker->number) &&
      !EVEN_MUTANT(kMarkerEndsNext)) {
    return std::string(kMarkedBefore);
  }
  std::string value;
  put_little_endian(value, marker->epoch);
  put_little_endian(value, marker->number);
  const std::string_view ended = context.keep(ended_transactions_key(marker->producer_id));
  if (context.find(ended) == nullptr) forget_a_producer(context);
  KeyWriter& writer = context.write(ended);
  writer.set_string(context.keep(std::move(value)), false);
  writer.expire_at(context.now_ms + kProducerExpiryMs);

  auto all = decode_all<OpenTransaction>(string_of(context.find(kOpenKey)));
  const auto open = std::ranges::find(all, marker->producer_id, &OpenTransaction::producer_id);
  if (open == all.end()) return std::nullopt;
  if (!marker->commits) note_aborted(context, {{marker->producer_id, open->first, base}});
  all.erase(open);
  write_open(context, all);
  return std::nullopt;
}

std::int64_t stable_offset(const PartitionState& state, std::int64_t end) {
  if (EVEN_MUTANT(kStableOffsetAhead)) return end;
  const std::string open = string_at(state, kOpenKey);
  if (open.size() < OpenTransaction::kBytes) return end;
  ByteReader in(open);
  return OpenTransaction::take(in).first;
}

Result<std::vector<AbortedTransaction>> aborted_transactions(const PartitionState& state,
                                                             std::int64_t from, std::int64_t to) {
  std::vector<AbortedTransaction> out;
  try {
    const auto full = decode_all<Chunk>(string_at(state, kAbortedKey));
    // Ascending in the offsets of markers, and so are the chunks.
    const auto first = std::ranges::lower_bound(full, from, {}, &Chunk::last);
    for (auto i = static_cast<std::size_t>(first - full.begin()); i <= full.size(); ++i) {
      if (i < full.size() && full[i].least_first >= to) continue;
      for (const Range& range : decode_all<Range>(string_at(state, chunk_key(i)))) {
        if (range.last >= from && range.first < to) out.push_back(range);
      }
    }
  } catch (const Unreadable& error) {
    return fail(error.what());
  }
  return out;
}

}  // namespace even
