#include "replica/transaction_coordinator.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/mutant.h"
#include "base/reserved.h"
#include "replica/strong.h"
#include "replica/topic_transactions.h"

namespace even {
namespace {

using topic::PendingOffsets;

// Which transactional ids of a group have a transaction that is not over: fields of a hash.
constexpr std::string_view kUnderWayKey{"\0even:transactions", 18};
constexpr std::string_view kPendingPrefix{"\0even:offsets:", 14};
static_assert(is_reserved(kUnderWayKey) && is_reserved(kPendingPrefix));

// As by default in Kafka (transactional.id.expiration.ms).
constexpr std::int64_t kRowExpiryMs = 7LL * 86'400'000;
// How long a client waits for what was decided to reach all that take part.
constexpr std::int64_t kPatienceMs = 1'000;
constexpr std::int64_t kTellAgainMs = 100;
constexpr std::int64_t kForgottenMs = 60'000;
constexpr std::int64_t kLoadAgainMs = 5'000;
// What could not be read is read again.
constexpr std::int64_t kReadAgainMs = 1'000;
// An operation that others come before so many times in a row.
constexpr int kMostTries = 10;

std::string bulk(std::string_view text) { return fmt::format("${}\r\n{}\r\n", text.size(), text); }

// Those of a reply that is an array of strings.
std::vector<std::string> take_bulks(std::string_view reply) {
  std::vector<std::string> all;
  if (!reply.starts_with('*')) return all;
  reply.remove_prefix(std::min(reply.find("\r\n") + 2, reply.size()));
  while (reply.starts_with('$')) {
    const std::size_t end = reply.find("\r\n");
    std::size_t size = 0;
    std::from_chars(reply.data() + 1, reply.data() + end, size);
    if (end + 2 + size + 2 > reply.size()) break;
    all.emplace_back(reply.substr(end + 2, size));
    reply.remove_prefix(end + 2 + size + 2);
  }
  return all;
}

std::string producer_name(std::int64_t producer_id) {
  std::string out;
  put_big_endian(out, producer_id);
  return out;
}

}  // namespace

bool take_string_reply(std::string_view reply, std::optional<std::string>& out) {
  out.reset();
  if (reply == "$-1\r\n") return true;
  const std::size_t end = reply.find("\r\n");
  std::size_t size = 0;
  if (!reply.starts_with('$') || end == std::string_view::npos) return false;
  const auto parsed = std::from_chars(reply.data() + 1, reply.data() + end, size);
  if (parsed.ec != std::errc() || reply.size() != end + 2 + size + 2) return false;
  out.emplace(reply.substr(end + 2, size));
  return true;
}

std::string pending_offsets_key(std::string_view consumer_group) {
  return std::string(kPendingPrefix).append(consumer_group);
}

// --- Operations

void TransactionCoordinator::give_id(const std::string& transactional_id, std::int32_t timeout_ms,
                                     std::optional<Producer> itself, Given done) {
  Operation operation;
  operation.done = std::move(done);
  operation.decide = [timeout_ms, itself](const std::optional<Row>& row,
                                          std::optional<std::int64_t> fresh_id) -> Decision {
    using Kind = Decision::Kind;
    if (row && row->is_prepared()) return {.kind = Kind::kAwaitEnd, .row = {}};
    if (itself && (!row || row->producer.id != itself->id)) {
      return {.error = Error::kUnknownProducer, .row = {}};
    }
    if (itself && row->producer.epoch != itself->epoch) {
      // It may have asked before, and not have heard the answer.
      const bool again = row->is_over() && row->former_epoch == itself->epoch;
      if (!again) return {.error = Error::kFenced, .row = {}};
      // There is none behind it by which it could be fenced: then it gets another id.
      if (row->producer.epoch <= topic::kLastEpoch) return {.error = Error::kNone, .row = {}};
    }
    if (row && row->state == Row::State::kOpen) {
      return {.kind = Kind::kWrite, .row = topic::fence(*row, itself.has_value())};
    }
    auto next = topic::renewed(row.value_or(Row{}), timeout_ms, itself.has_value(), fresh_id);
    if (!next) return {.kind = Kind::kNeedId, .row = {}};
    return {.kind = Kind::kWrite, .row = std::move(*next)};
  };
  submit(transactional_id, std::move(operation));
}

void TransactionCoordinator::add(const std::string& transactional_id, Producer producer,
                                 std::vector<PartitionId> partitions,
                                 std::vector<std::string> groups, Done done) {
  Operation operation;
  operation.done = [done = std::move(done)](Error error, Producer) mutable { done(error); };
  operation.decide = [this, producer, partitions = std::move(partitions),
                      groups = std::move(groups)](const std::optional<Row>& row,
                                                  std::optional<std::int64_t>) -> Decision {
    using Kind = Decision::Kind;
    if (!row) return {.error = Error::kUnknownProducer, .row = {}};
    auto next = topic::add(*row, producer, partitions, groups, world_.now_ms());
    if (next) return {.kind = *next == *row ? Kind::kAnswer : Kind::kWrite, .row = *next};
    if (next.error() == Error::kConcurrent) return {.kind = Kind::kAwaitEnd, .row = {}};
    return {.error = next.error(), .row = {}};
  };
  submit(transactional_id, std::move(operation));
}

void TransactionCoordinator::end(const std::string& transactional_id, Producer producer,
                                 bool commit, Done done) {
  Operation operation;
  operation.answers_decision = true;
  operation.done = [done = std::move(done)](Error error, Producer) mutable { done(error); };
  operation.decide = [producer, commit](const std::optional<Row>& row,
                                        std::optional<std::int64_t>) -> Decision {
    using Kind = Decision::Kind;
    if (!row) return {.error = Error::kUnknownProducer, .row = {}};
    auto next = topic::end(*row, producer, commit);
    if (next) return {.kind = *next == *row ? Kind::kAnswer : Kind::kWrite, .row = *next};
    if (next.error() == Error::kConcurrent) return {.kind = Kind::kAwaitEnd, .row = {}};
    return {.error = next.error(), .row = {}};
  };
  submit(transactional_id, std::move(operation));
}

// Goes on with what is prepared, and ends what has been open for too long.
void TransactionCoordinator::look(const std::string& id) {
  Operation operation;
  operation.done = [](Error, Producer) {};
  operation.decide = [this](const std::optional<Row>& row,
                            std::optional<std::int64_t>) -> Decision {
    using Kind = Decision::Kind;
    if (row && row->is_prepared()) return {.kind = Kind::kAwaitEnd, .row = {}};
    const bool late = row && row->state == Row::State::kOpen &&
                      world_.now_ms() - row->begun_ms >= row->timeout_ms;
    if (late) return {.kind = Kind::kWrite, .row = topic::fence(*row, false)};
    return {.row = {}};
  };
  submit(id, std::move(operation));
}

void TransactionCoordinator::submit(const std::string& id, Operation operation) {
  operation.deadline_ms = world_.now_ms() + kPatienceMs;
  EntryPointer& found = entries_[id];
  if (found == nullptr) {
    found = std::make_shared<Entry>();
    found->id = id;
  }
  const EntryPointer entry = found;
  if (const auto at = world_.row_of(id)) {
    entry->at = *at;
  } else {
    return operation.done(Error::kUnavailable, {});
  }
  entry->used_ms = world_.now_ms();
  entry->queue.push_back(std::move(operation));
  if (entry->queue.size() == 1) {
    entry->fresh = false;
    advance(entry);
  }
}

void TransactionCoordinator::answer(const EntryPointer& entry, Error error) {
  Operation operation = std::move(entry->queue.front());
  entry->queue.pop_front();
  entry->fresh = false;
  operation.done(error, entry->row ? entry->row->producer : Producer{});
}

void TransactionCoordinator::advance(const EntryPointer& entry) {
  using Kind = Decision::Kind;
  while (!entry->busy && !entry->ending && !entry->queue.empty()) {
    if (!entry->known) return read(entry);
    Operation& operation = entry->queue.front();
    const Decision decision = operation.decide(entry->row, operation.fresh_id);
    switch (decision.kind) {
      case Kind::kAnswer:
        // What another coordinator has done meanwhile may make this another answer.
        if (!entry->fresh) return read(entry);
        answer(entry, decision.error);
        break;
      case Kind::kAwaitEnd:
        return tell_all(entry);
      case Kind::kNeedId:
        entry->busy = true;
        return world_.take_producer_id(
            [this, weak = std::weak_ptr(entry)](std::optional<std::int64_t> id) {
              const EntryPointer entry = weak.lock();
              if (!entry) return;
              entry->busy = false;
              if (!id) {
                answer(entry, Error::kUnavailable);
              } else {
                entry->queue.front().fresh_id = id;
              }
              advance(entry);
            });
      case Kind::kWrite:
        operation.decided = decision.row.is_prepared();
        if (EVEN_MUTANT(kMarkerBeforeDecision) && decision.row.is_prepared()) {
          const topic::Marker marker = decision.row.marker(world_.now_ms());
          for (const PartitionId partition : decision.row.partitions) {
            world_.ask({.group = partition,
                        .commands = {{std::string(kAppendCommand), marker.encode(), {}}},
                        .watched = {},
                        .watched_reply = {}},
                       [](const std::string&) {});
          }
        }
        entry->busy = true;
        return write(entry, decision.row,
                     [this, weak = std::weak_ptr(entry)](bool known, bool written) {
                       if (const EntryPointer entry = weak.lock()) {
                         take_written(entry, known, written);
                       }
                     });
    }
  }
}

void TransactionCoordinator::take_written(const EntryPointer& entry, bool known, bool written) {
  entry->busy = false;
  if (!known || (!written && ++entry->queue.front().tries >= kMostTries)) {
    answer(entry, Error::kUnavailable);
  } else if (written && !entry->row->is_prepared()) {
    answer(entry, Error::kNone);
  }
  // What is prepared is to be ended first, and then decided upon anew.
  if (written && entry->row->is_prepared()) return tell_all(entry);
  advance(entry);
}

void TransactionCoordinator::read(const EntryPointer& entry) {
  entry->busy = true;
  entry->known = false;
  world_.ask({.group = entry->at.group,
              .commands = {{"get", entry->at.key}},
              .watched = {},
              .watched_reply = {}},
             [this, weak = std::weak_ptr(entry)](std::string reply) {
               const EntryPointer entry = weak.lock();
               if (!entry) return;
               entry->busy = false;
               std::optional<std::string> text;
               entry->row.reset();
               if (take_string_reply(reply, text)) {
                 if (text) entry->row = Row::decode(*text);
                 entry->known = !text || entry->row;
               }
               if (!entry->known) {
                 answer(entry, Error::kUnavailable);
                 return advance(entry);
               }
               entry->seen = std::move(reply);
               entry->fresh = true;
               advance(entry);
             });
}

// done(whether it is known what has become of it, whether the row is this one now).
void TransactionCoordinator::write(const EntryPointer& entry, const Row& row,
                                   std::move_only_function<void(bool, bool)> done) {
  const std::string bytes = row.encode();
  TransactionWorld::Request request;
  request.group = entry->at.group;
  request.watched = {"get", entry->at.key};
  request.watched_reply = entry->seen;
  const std::string under_way(kUnderWayKey);
  if (row.is_over()) {
    request.commands.push_back({"set", entry->at.key, bytes, "px", std::to_string(kRowExpiryMs)});
    request.commands.push_back({"hdel", under_way, entry->id});
  } else {
    request.commands.push_back({"set", entry->at.key, bytes});
    request.commands.push_back({"hset", under_way, entry->id, "1"});
  }
  world_.ask(std::move(request), [weak = std::weak_ptr(entry), row, bytes,
                                  done = std::move(done)](const std::string& reply) mutable {
    const EntryPointer entry = weak.lock();
    if (!entry) return;
    const bool known = reply.starts_with('*');
    const bool written = known && !reply.starts_with("*-1");
    entry->known = written;
    entry->fresh = written;
    if (written) {
      entry->row = std::move(row);
      entry->seen = bulk(bytes);
    }
    done(known, written);
  });
}

// --- The end of a transaction: the row is prepared, and known to be so.

void TransactionCoordinator::tell_all(const EntryPointer& entry) {
  entry->ending = true;
  const topic::Marker marker = entry->row->marker(world_.now_ms());
  const std::string bytes = marker.encode();
  const std::vector<PartitionId> partitions = entry->row->partitions;
  const std::vector<std::string> groups = entry->row->groups;
  entry->missing = partitions.size() + groups.size() + 1;
  for (const PartitionId partition : partitions) tell_partition(entry, partition, bytes);
  for (const std::string& group : groups) tell_group(entry, group, marker);
  told(entry);
}

void TransactionCoordinator::tell_partition(const std::weak_ptr<Entry>& weak, PartitionId partition,
                                            std::string marker) {
  const EntryPointer entry = weak.lock();
  if (!entry) return;
  // A partition that was dropped has nothing left to be ended.
  if (world_.is_dropped(partition)) return told(entry);
  world_.ask({.group = partition,
              .commands = {{std::string(kAppendCommand), marker, {}}},
              .watched = {},
              .watched_reply = {}},
             [this, weak, partition, marker](const std::string& reply) {
               const EntryPointer entry = weak.lock();
               if (!entry) return;
               if (reply.starts_with(':') || reply == kMarkedBefore) return told(entry);
               later(kTellAgainMs,
                     [this, weak, partition, marker] { tell_partition(weak, partition, marker); });
             });
}

void TransactionCoordinator::tell_group(const std::weak_ptr<Entry>& weak, const std::string& group,
                                        const topic::Marker& marker) {
  if (weak.expired()) return;
  const auto again = [this, weak, group, marker] {
    later(kTellAgainMs, [this, weak, group, marker] { tell_group(weak, group, marker); });
  };
  const auto at = world_.offsets_of(group);
  if (!at) return again();
  auto changing = std::make_shared<Changing>(
      [marker, at = *at, group](const PendingOffsets& pending) -> Change {
        if (pending.ended.has(marker.epoch, marker.number)) return {};
        Change change;
        const bool of_this = pending.epoch == marker.epoch && pending.number == marker.number;
        if (marker.commits && of_this && !pending.offsets.empty()) {
          TransactionWorld::Words& words = change.commands.emplace_back();
          words = {"hset", at.key};
          for (const auto& [field, value] : pending.offsets) {
            words.push_back(field);
            words.push_back(value);
          }
        }
        PendingOffsets next;
        next.ended = {marker.epoch, marker.number};
        change.commands.push_back(
            {"hset", pending_offsets_key(group), producer_name(marker.producer_id), next.encode()});
        return change;
      });
  change_pending(*at, group, marker.producer_id, std::move(changing),
                 [this, weak, again](Error error) {
                   const EntryPointer entry = weak.lock();
                   if (!entry) return;
                   if (error != Error::kNone) return again();
                   told(entry);
                 });
}

void TransactionCoordinator::told(const EntryPointer& entry) {
  if (--entry->missing > 0) return;
  write(entry, topic::completed(*entry->row),
        [this, weak = std::weak_ptr(entry)](bool, bool written) {
          const EntryPointer entry = weak.lock();
          if (!entry) return;
          entry->ending = false;
          // Somebody else may have noted it, or nobody may have.
          if (!written && entry->queue.empty()) {
            later(kTellAgainMs, [this, weak] {
              if (const EntryPointer entry = weak.lock()) look(entry->id);
            });
          }
          advance(entry);
        });
}

// --- Offsets

void TransactionCoordinator::add_offsets(const std::string& transactional_id, Producer producer,
                                         const std::string& consumer_group, Offsets offsets,
                                         std::function<bool()> may, Done done) {
  const auto row = world_.row_of(transactional_id);
  const auto at = world_.offsets_of(consumer_group);
  if (!row || !at) return done(Error::kUnavailable);
  world_.ask(
      {.group = row->group, .commands = {{"get", row->key}}, .watched = {}, .watched_reply = {}},
      [this, alive = std::weak_ptr(alive_), producer, consumer_group, at = *at,
       offsets = std::move(offsets), may = std::move(may),
       done = std::move(done)](const std::string& reply) mutable {
        if (alive.expired()) return;
        std::optional<std::string> text;
        if (!take_string_reply(reply, text)) return done(Error::kUnavailable);
        const auto row = text ? Row::decode(*text) : std::nullopt;
        if (!row || row->producer.id != producer.id) return done(Error::kUnknownProducer);
        if (row->producer.epoch != producer.epoch) return done(Error::kFenced);
        if (row->is_prepared()) return done(Error::kConcurrent);
        if (row->state != Row::State::kOpen ||
            !std::ranges::binary_search(row->groups, consumer_group)) {
          return done(Error::kInvalidState);
        }
        auto changing = std::make_shared<Changing>(
            [producer, number = row->number, consumer_group, offsets = std::move(offsets),
             may = std::move(may)](const PendingOffsets& pending) -> Change {
              PendingOffsets next = pending;
              Change change{.commands = {}, .here = true};
              if (!may()) {
                change.error = Error::kNotMember;
                return change;
              }
              change.error = next.add(producer.epoch, number, offsets);
              if (change.error != Error::kNone) return change;
              change.commands.push_back({"hset", pending_offsets_key(consumer_group),
                                         producer_name(producer.id), next.encode()});
              return change;
            });
        change_pending(at, consumer_group, producer.id, std::move(changing), std::move(done));
      });
}

void TransactionCoordinator::change_pending(const GroupKey& at, const std::string& group,
                                            std::int64_t producer_id,
                                            std::shared_ptr<Changing> changing, Done done,
                                            int tries) {
  TransactionWorld::Words words = {"hget", pending_offsets_key(group), producer_name(producer_id)};
  world_.ask({.group = at.group, .commands = {words}, .watched = {}, .watched_reply = {}},
             [this, alive = std::weak_ptr(alive_), at, group, producer_id, words, tries,
              changing = std::move(changing), done = std::move(done)](std::string reply) mutable {
               if (alive.expired()) return;
               std::optional<std::string> text;
               if (!take_string_reply(reply, text)) return done(Error::kUnavailable);
               const auto pending = text ? PendingOffsets::decode(*text) : PendingOffsets{};
               if (!pending) return done(Error::kUnavailable);
               Change change = (*changing)(*pending);
               if (change.error != Error::kNone || change.commands.empty())
                 return done(change.error);
               world_.ask(
                   {.group = at.group,
                    .commands = std::move(change.commands),
                    .here = change.here,
                    .watched = std::move(words),
                    .watched_reply = std::move(reply)},
                   [this, alive, at, group, producer_id, tries, changing = std::move(changing),
                    done = std::move(done)](const std::string& reply) mutable {
                     if (alive.expired()) return;
                     if (!reply.starts_with('*')) return done(Error::kUnavailable);
                     if (!reply.starts_with("*-1")) return done(Error::kNone);
                     if (tries + 1 == kMostTries) return done(Error::kUnavailable);
                     change_pending(at, group, producer_id, std::move(changing), std::move(done),
                                    tries + 1);
                   });
             });
}

// --- Leading

void TransactionCoordinator::lead(PartitionId group, consensus::Term term) {
  const std::int64_t now_ms = world_.now_ms();
  const auto [led, first] = led_.try_emplace(group, Led{term, now_ms});
  // From time to time again: a former coordinator's write may have come late.
  const bool recent = now_ms - led->second.loaded_ms < kLoadAgainMs;
  if (!first && led->second.term == term && recent) return;
  led->second = {term, now_ms};
  world_.ask({.group = group,
              .commands = {{"hkeys", std::string(kUnderWayKey)}},
              .watched = {},
              .watched_reply = {}},
             [this, alive = std::weak_ptr(alive_), group, term](const std::string& reply) {
               if (alive.expired()) return;
               const auto led = led_.find(group);
               if (led == led_.end() || led->second.term != term) return;
               if (!reply.starts_with('*')) {
                 led_.erase(led);  // asked again
                 return;
               }
               for (const std::string& id : take_bulks(reply)) look(id);
             });
}

void TransactionCoordinator::leave(PartitionId group) {
  if (led_.erase(group) == 0) return;
  std::vector<EntryPointer> gone;
  absl::erase_if(entries_, [&](const auto& each) {
    if (each.second->at.group != group) return false;
    gone.push_back(each.second);
    return true;
  });
  for (const EntryPointer& entry : gone) {
    while (!entry->queue.empty()) answer(entry, Error::kUnavailable);
  }
}

// Who waits for an end that does not come is answered.
void TransactionCoordinator::expire(const EntryPointer& entry) {
  const std::int64_t now_ms = world_.now_ms();
  std::vector<Operation> due;
  std::size_t place = 0;
  std::erase_if(entry->queue, [&](Operation& operation) {
    const bool in_work = place++ == 0 && entry->busy;
    if (in_work || now_ms < operation.deadline_ms) return false;
    due.push_back(std::move(operation));
    return true;
  });
  for (Operation& operation : due) {
    const bool done = operation.decided && operation.answers_decision && entry->ending;
    operation.done(done ? Error::kNone : Error::kConcurrent, {});
  }
}

void TransactionCoordinator::later(std::int64_t ms, std::move_only_function<void()> what) {
  later_.emplace_back(world_.now_ms() + ms, std::move(what));
}

void TransactionCoordinator::tick() {
  const std::int64_t now_ms = world_.now_ms();
  std::vector<std::move_only_function<void()>> due;
  std::erase_if(later_, [&](auto& each) {
    if (now_ms < each.first) return false;
    due.push_back(std::move(each.second));
    return true;
  });
  for (auto& what : due) what();
  std::vector<EntryPointer> all;
  all.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) all.push_back(entry);
  for (const EntryPointer& entry : all) {
    expire(entry);
    const bool open = entry->known && entry->row && entry->row->state == Row::State::kOpen;
    const bool idle = entry->queue.empty() && !entry->busy && !entry->ending;
    const bool late = open && now_ms - entry->row->begun_ms >= entry->row->timeout_ms;
    const bool unknown = !entry->known && now_ms - entry->used_ms >= kReadAgainMs;
    if (idle && (late || unknown)) {
      look(entry->id);
    } else if (idle && !open && now_ms - entry->used_ms >= kForgottenMs) {
      entries_.erase(entry->id);
    }
  }
}

}  // namespace even
