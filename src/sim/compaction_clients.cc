#include "sim/compaction_clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "topic/keyed_records.h"
#include "topic/marker.h"
#include "topic/record_batch.h"

namespace even::sim {
namespace {

constexpr std::size_t kWriters = 2;
constexpr std::uint64_t kKeysOfWriter = 5;  // at a time
// After so many records a writer leaves a key alone, whose last one is then to stay.
constexpr std::uint64_t kRecordsOfKey = 4;
constexpr std::int64_t kFirstId = 2'000;
constexpr std::int64_t kFirstIdOfTransactions = 3'000;
constexpr std::int64_t kWriterPatienceUs = 300'000;
constexpr std::int64_t kAskWriterAgainUs = 10'000;
constexpr std::int64_t kHopOfWriterUs = 200;
// A transaction, at most; and some, so that what it has appended is stored, and compacted.
constexpr std::int64_t kOpenForUs = 200'000;
constexpr std::int64_t kOpenLongUs = 1'000'000;
constexpr double kOpenLong = 0.3;

}  // namespace

void CompactionClients::begin() {
  writers_.resize(kWriters);
  for (std::size_t i = 0; i < kWriters; ++i) rest(i);
}

void CompactionClients::rest(std::size_t writer) {
  run_.scheduler.after(run_.around(run_.options.topic_every_us), [this, writer] { act(writer); });
}

void CompactionClients::act(std::size_t w) {
  if (run_.settling) return;
  if (!tables_.compacted()) return rest(w);
  Writer& writer = writers_[w];
  ++under_way_;
  const bool transactional = random_.chance(0.3);
  if (transactional) {
    ++writer.transaction;
    writer.batches = static_cast<int>(1 + random_.below(2));
  }
  write(w, transactional);
}

void CompactionClients::write(std::size_t w, bool transactional) {
  Writer& writer = writers_[w];
  std::vector<KeyValue> records;
  for (std::uint64_t i = 1 + random_.below(3); i > 0; --i) {
    KeyValue record;
    const std::uint64_t first = writer.records++ / kRecordsOfKey;
    record.key = fmt::format("k{}.{}", w, first + random_.below(kKeysOfWriter));
    if (!random_.chance(0.25)) record.value = fmt::format("c{}", values_++);
    records.push_back(std::move(record));
  }
  std::int32_t& sequence = transactional ? writer.in_transactions : writer.sequence;
  auto asked = std::make_shared<Asked>();
  asked->batch = topic::test::make_keyed_batch(
      records,
      {.attributes = static_cast<std::int16_t>(random_.below(5) | (transactional ? 16u : 0u)),
       .producer_id =
           static_cast<std::int64_t>(w) + (transactional ? kFirstIdOfTransactions : kFirstId),
       .producer_epoch = 0,
       .base_sequence = sequence});
  sequence += static_cast<std::int32_t>(records.size());
  asked->done = [this, w, transactional, records](const std::string& reply) {
    std::int64_t offset = -1;
    if (reply.starts_with(':')) {
      std::from_chars(reply.data() + 1, reply.data() + reply.size(), offset);
    }
    if (offset < 0) violated(fmt::format("writer {} of keys is answered with {}", w, reply));
    ++run_.outcome.records_produced;
    Writer& writer = writers_[w];
    for (const KeyValue& record : records) {
      if (transactional) writer.open.push_back(offset);
      const Fate fate = transactional ? Fate::kOpen : Fate::kCommitted;
      const auto [known, first] = written_.try_emplace(
          offset, Written{record.key, record.value, fate, run_.scheduler.now_us()});
      if (!first) violated(fmt::format("two records have got the offset {}", offset));
      ++offset;
    }
    if (transactional && --writer.batches > 0) return write(w, true);
    if (transactional) {
      const std::int64_t open_us = random_.chance(kOpenLong) ? kOpenLongUs : kOpenForUs;
      run_.scheduler.after(
          1 + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(open_us))),
          [this, w] { end_transaction(w); });
      return;
    }
    --under_way_;
    rest(w);
  };
  send(std::move(asked));
}

void CompactionClients::end_transaction(std::size_t w) {
  const bool commits = random_.chance(0.5);
  topic::Marker marker;
  marker.producer_id = kFirstIdOfTransactions + static_cast<std::int64_t>(w);
  marker.epoch = 0;
  marker.number = writers_[w].transaction;
  marker.commits = commits;
  auto asked = std::make_shared<Asked>();
  asked->batch = marker.encode();
  asked->done = [this, w, commits](const std::string& reply) {
    if (reply.starts_with('-')) violated(fmt::format("a marker is answered with {}", reply));
    Writer& writer = writers_[w];
    for (const std::int64_t offset : writer.open) {
      written_.at(offset).fate = commits ? Fate::kCommitted : Fate::kAborted;
    }
    writer.open.clear();
    --under_way_;
    rest(w);
  };
  send(std::move(asked));
}

void CompactionClients::send(std::shared_ptr<Asked> asked) {
  run_.scheduler.after(run_.around(kWriterPatienceUs), [this, asked] {
    if (asked->done) send(asked);
  });
  ask(std::move(asked), any_node());
}

void CompactionClients::note_compacted() const {
  for (const auto& node : nodes_) {
    if (!node->up() || !tables_.compacted()) continue;
    const auto status = node->hosting(*tables_.compacted()).shard().topic(*tables_.compacted());
    if (status) most_compacted_ = std::max(most_compacted_, status->compacted);
  }
}

void CompactionClients::ask(std::shared_ptr<Asked> asked, NodeNumber to) {
  run_.scheduler.after(
      1 + static_cast<std::int64_t>(random_.below(2 * kHopOfWriterUs)),
      [this, asked = std::move(asked), to] {
        note_compacted();
        if (!asked->done) return;
        const auto again = [this, asked] {
          run_.scheduler.after(1 + static_cast<std::int64_t>(random_.below(2 * kAskWriterAgainUs)),
                               [this, asked] { ask(asked, any_node()); });
        };
        Node& node = *nodes_[to - 1u];
        if (!node.up()) return again();
        StrongRequest request;
        request.group = *tables_.compacted();
        request.batch = asked->batch;
        node.execute_strong(std::move(request), [this, asked, again](const StrongOutcome& outcome) {
          using Kind = StrongOutcome::Kind;
          if (outcome.kind == Kind::kUnknown || !asked->done) return;  // it is sent again
          if (outcome.kind != Kind::kReply) {
            return outcome.leader == 0 ? again() : ask(asked, outcome.leader);
          }
          // Not in the middle of the node's turn.
          run_.scheduler.after(1, [done = std::exchange(asked->done, nullptr),
                                   reply = outcome.reply] { done(reply); });
        });
      });
}

// --- In the end

// All that it has from the start on, of transactions that were aborted too.
std::map<std::int64_t, topic::test::KeyValue> CompactionClients::read_all(Node& node) const {
  std::map<std::int64_t, KeyValue> there;
  const PartitionId topic = *tables_.compacted();
  Shard& shard = node.hosting(topic).shard();
  const auto status = shard.topic(topic);
  if (!status) violated(fmt::format("n{} has not got the compacted topic", node.number));
  for (std::int64_t offset = status->start; offset < status->end;) {
    auto bytes = std::make_shared<std::optional<Result<std::string>>>();
    shard.read_topic(topic, offset, 1 << 12,
                     [bytes](Result<std::string> given) { *bytes = std::move(given); });
    while (!*bytes && run_.scheduler.step(run_.scheduler.now_us() + 1'000'000)) {
    }
    if (!*bytes || !**bytes) {
      violated(fmt::format("n{}: compacted records from {} on cannot be read: {}", node.number,
                           offset, *bytes ? (**bytes).error().message : "no answer"));
    }
    std::string_view rest = ***bytes;
    const std::int64_t before = offset;
    while (!rest.empty()) {
      const std::string_view batch = rest.substr(0, topic::batch_bytes(rest));
      rest.remove_prefix(batch.size());
      const auto head = topic::read_head(batch);
      if (!head || head->base_offset + head->offsets() <= offset) {
        violated(fmt::format("n{}: what is at {} is no batch behind it", node.number, offset));
      }
      offset = head->base_offset + head->offsets();
      if (head->control()) continue;
      const auto records = topic::KeyedRecords::read(batch);
      if (!records) violated(fmt::format("n{}: {}", node.number, records.error().message));
      for (const auto& record : records->all()) {
        there[head->base_offset + record.delta] = {std::string(record.key.value_or("")),
                                                   topic::test::value_of(record)};
      }
    }
    if (offset == before) violated(fmt::format("n{}: nothing is at {}", node.number, offset));
  }
  // What was not compacted when it was read is not before this.
  note_compacted();
  return there;
}

void CompactionClients::check(const char* when, const Node& node,
                              const std::map<std::int64_t, KeyValue>& there) const {
  for (const auto& [offset, record] : there) {
    const auto known = written_.find(offset);
    if (known == written_.end() || known->second.key != record.key ||
        known->second.value != record.value) {
      violated(fmt::format("{}: n{} has {} = {} at {}, where that was not written", when,
                           node.number, record.key, record.value.value_or("deleted"), offset));
    }
  }
  std::map<std::string, std::int64_t> latest;   // committed, by key
  std::map<std::string, std::int64_t> visible;  // the same of what is there
  for (const auto& [offset, written] : written_) {
    if (offset >= most_compacted_ && !there.contains(offset)) {
      violated(fmt::format("{}: n{} lacks the record at {}, and nobody has compacted beyond {}",
                           when, node.number, offset, most_compacted_));
    }
    if (written.fate == Fate::kOpen) violated("a transaction is open in the end");
    if (written.fate == Fate::kAborted) continue;
    latest[written.key] = offset;
    if (there.contains(offset)) visible[written.key] = offset;
  }
  for (const auto& [key, offset] : latest) {
    const Written& last = written_.at(offset);
    const auto found = visible.find(key);
    // By the clock that is ahead, of a leader whose clock was behind.
    const std::int64_t age_us =
        run_.scheduler.now_us() - last.at_us + 2 * run_.options.skew_ms * 1'000;
    const bool may_be_gone = !last.value && (run_.options.clock_jump_every_us > 0 ||
                                             age_us >= run_.options.tombstones_ms * 1'000);
    if (found == visible.end() && may_be_gone) continue;
    if (found != visible.end() && found->second == offset) continue;
    violated(
        fmt::format("{}: the last record of {} is {} at {}; n{} shows {}", when, key,
                    last.value.value_or("a deletion"), offset, node.number,
                    found == visible.end() ? "none" : fmt::format("that at {}", found->second)));
  }
}

void CompactionClients::check(const char* when) const {
  if (!tables_.compacted()) return;
  for (const auto& node : nodes_) {
    const PartitionId topic = *tables_.compacted();
    if (!node->hosting(topic).shard().topic(topic)) continue;
    check(when, *node, read_all(*node));
    run_.outcome.compactions += node->hosting(topic).shard().stats().topic_compactions;
  }
}

}  // namespace even::sim
