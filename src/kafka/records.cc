// Produce, Fetch and ListOffsets: records into partitions, and out of them.
#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "kafka/apis.h"
#include "kafka/coordinator.h"
#include "kafka/epochs.h"
#include "kafka/partitions.h"
#include "kafka/rights.h"
#include "topic/kafka_error.h"
#include "topic/keyed_records.h"
#include "topic/record_batch.h"

namespace even::kafka {
namespace {

// As Kafka's message.max.bytes.
constexpr std::size_t kMostBatchBytes = 1'048'588;
constexpr std::int32_t kMostWaitMs = 600'000;
// What one partition adds to an answer at most, if it has more than one batch.
constexpr std::int32_t kMostPartitionBytes = 16 << 20;
// Times that ListOffsets has names for.
constexpr std::int64_t kLatest = -1;
constexpr std::int64_t kEarliest = -2;
constexpr int kFirstOfBatches = 3;  // versions of Produce before it send the older formats

// --- Produce

struct Appended {
  ErrorCode error = ErrorCode::kNone;
  std::int64_t base = -1;
  std::int64_t start = -1;  // of the partition's log
};

// What a partition replies in place of an offset; see replica/topic_producers.h.
constexpr std::pair<std::string_view, ErrorCode> kRefusals[] = {
    {"-OUT_OF_ORDER_SEQUENCE_NUMBER ", ErrorCode::kOutOfOrderSequenceNumber},
    {"-INVALID_PRODUCER_EPOCH ", ErrorCode::kInvalidProducerEpoch},
    {"-UNKNOWN_PRODUCER_ID ", ErrorCode::kUnknownProducerId},
    {"-TRYAGAIN ", ErrorCode::kNotEnoughReplicas},
    {"-INVALID_TXN_STATE ", ErrorCode::kInvalidTxnState},
    {"-INVALID_PRODUCER_ID_MAPPING ", ErrorCode::kInvalidProducerIdMapping},
};

Appended appended(const StrongOutcome& outcome) {
  switch (outcome.kind) {
    case StrongOutcome::Kind::kReply: {
      Appended result;
      const std::string& reply = outcome.reply;
      for (const auto& [name, error] : kRefusals) {
        if (reply.starts_with(name)) return {error};
      }
      if (!reply.starts_with(':')) return {ErrorCode::kUnknownServerError};
      std::from_chars(reply.data() + 1, reply.data() + reply.size(), result.base);
      return result;
    }
    case StrongOutcome::Kind::kRefused:
      return {outcome.reply.starts_with("-UNAVAILABLE group") ? ErrorCode::kNotEnoughReplicas
                                                              : ErrorCode::kKafkaStorageError};
    case StrongOutcome::Kind::kUnknown:
      return {ErrorCode::kRequestTimedOut};
    default:
      return {ErrorCode::kNotLeaderOrFollower};
  }
}

// `keyed`: records without a key are refused.
ErrorCode fault_of(const Blob& records, int version, bool in_transaction, bool keyed) {
  if (version < kFirstOfBatches) return ErrorCode::kUnsupportedForMessageFormat;
  if (records.bytes().size() > kMostBatchBytes) return ErrorCode::kMessageTooLarge;
  switch (topic::check_batch(records.bytes())) {
    case topic::BatchFault::kNone:
      break;
    case topic::BatchFault::kOldFormat:
      return ErrorCode::kUnsupportedForMessageFormat;
    case topic::BatchFault::kCorrupt:
      return ErrorCode::kCorruptMessage;
    case topic::BatchFault::kInvalid:
      return ErrorCode::kInvalidRecord;
  }
  if (keyed && !topic::all_have_keys(records.bytes())) return ErrorCode::kInvalidRecord;
  const auto head = topic::read_head(records.bytes());
  if (head->transactional() && head->producer_id < 0) return ErrorCode::kInvalidRecord;
  return head->transactional() && !in_transaction ? ErrorCode::kInvalidRequest : ErrorCode::kNone;
}

}  // namespace

void handle(const Call& call, const ProduceRequest& request, Done<ProduceResponse> done) {
  ShardThread& thread = call.connection.thread();
  call.connection.charge(cluster::QuotaKind::kProduce, call.client_id, call.frame->size());
  ProduceResponse response;
  std::size_t count = 0;
  for (const auto& topic : request.topics) {
    auto& out = response.responses.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      out.partitions.emplace_back().index = partition.index;
      ++count;
    }
  }
  const bool may_transact = !request.transactional_id ||
                            may_use_transactional_id(call.connection, *request.transactional_id);
  const bool valid_acks = request.acks >= -1 && request.acks <= 1;
  auto timer = std::make_shared<asio::steady_timer>(thread.io());
  auto gather = Gather<Appended>::begin(
      call.connection, count,
      [response = std::move(response), done = std::move(done), timer,
       client =
           call.connection.weak_from_this()](std::vector<std::optional<Appended>> results) mutable {
        timer->cancel();
        if (const auto connection = client.lock()) {
          response.throttle_time_ms = connection->throttle_time_ms();
        }
        std::size_t place = 0;
        for (auto& topic : response.responses) {
          for (auto& partition : topic.partitions) {
            const Appended result =
                results[place++].value_or(Appended{ErrorCode::kRequestTimedOut});
            partition.error_code = code(result.error);
            partition.base_offset = result.base;
            partition.log_start_offset = result.start;
          }
        }
        done(std::move(response));
      });
  for_each_partition(
      request.topics, [&](const auto& topic, const auto& partition, std::size_t place) {
        const auto id = find_partition(thread, topic.name, partition.index);
        const cluster::Keyspace* found = thread.keyspaces().find_topic(topic.name);
        const bool keyed = found != nullptr && found->cleanup.compacts;
        const ErrorCode fault = !may_transact ? ErrorCode::kTransactionalIdAuthorizationFailed
                                : !may_produce(call.connection, topic.name)
                                    ? ErrorCode::kTopicAuthorizationFailed
                                : !valid_acks ? ErrorCode::kInvalidRequest
                                : !id         ? ErrorCode::kUnknownTopicOrPartition
                                              : fault_of(partition.records, call.version,
                                                         request.transactional_id.has_value(), keyed);
        if (fault != ErrorCode::kNone) return gather->take(place, {fault});
        gather->ask(thread, *id, place,
                    [id = *id, batch = partition.records.bytes(), frame = call.frame,
                     transactional_id = request.transactional_id](
                        ShardThread& owner, Gather<Appended>::Reply reply) mutable {
                      auto take = [id = id, &owner,
                                   reply = std::move(reply)](const StrongOutcome& outcome) mutable {
                        Appended result = appended(outcome);
                        const auto status = owner.shard().topic(id);
                        if (result.error == ErrorCode::kNone && status) {
                          result.start = status->start;
                        }
                        reply(result);
                      };
                      if (!topic::read_head(batch)->transactional()) {
                        return owner.topics().append(id, batch, std::move(frame), std::move(take));
                      }
                      owner.coordinator().transactions().verification().append(
                          id, *transactional_id, batch, std::move(take));
                    });
      });
  // Before the end, which may be right here, and cancels it.
  timer->expires_after(
      std::chrono::milliseconds(std::clamp(request.timeout_ms, std::int32_t{1}, kMostWaitMs)));
  timer->async_wait([timer, weak = std::weak_ptr(gather)](error_code error) {
    if (error) return;
    if (const auto waiting = weak.lock()) waiting->finish();
  });
  gather->asked();
}

// --- Fetch

namespace {

struct Fetched {
  ErrorCode error = ErrorCode::kNone;
  std::int64_t start = -1;
  std::int64_t end = -1;
  std::int64_t stable = -1;
  std::string records;
  std::vector<AbortedTransaction> aborted;  // kReadCommitted: that may have some of these
  bool awaits = false;                      // for records
};

constexpr std::int8_t kReadCommitted = 1;  // an isolation level

// Leaves of whole batches those before `end`, which is where one begins. What is behind the last
// of these.
std::int64_t cut_off(std::string& batches, std::int64_t end) {
  std::int64_t next = 0;
  std::size_t at = 0;
  while (batches.size() - at >= topic::kBatchHeadBytes) {
    const std::string_view rest = std::string_view(batches).substr(at);
    const std::size_t size = topic::batch_bytes(rest);
    const auto head = topic::read_head(rest.substr(0, size));
    if (!head || head->base_offset >= end) break;
    next = head->base_offset + head->offsets();
    at += size;
  }
  batches.resize(at);
  return next;
}

class FetchWork : public std::enable_shared_from_this<FetchWork> {
 public:
  FetchWork(const Call& call, const FetchRequest& request, Done<FetchResponse> done)
      : connection_(call.connection.weak_from_this()),
        thread_(call.connection.thread()),
        client_id_(call.client_id),
        request_(request),
        most_bytes_(static_cast<std::int32_t>(std::min<std::int64_t>(
            std::max(request.max_bytes, 0),
            call.connection.portion(cluster::QuotaKind::kFetch, client_id_)))),
        done_(std::move(done)),
        timer_(thread_.io()) {
    for_each_partition(request_.topics,
                       [this](auto&, auto&, std::size_t) { awaits_.push_back(false); });
  }

  void start() {
    if (const auto connection = connection_.lock()) connection->keep(shared_from_this());
    const std::int32_t wait_ms = std::clamp(request_.max_wait_ms, 0, kMostWaitMs);
    over_ = wait_ms == 0;
    if (!over_) {
      timer_.expires_after(std::chrono::milliseconds(wait_ms));
      timer_.async_wait([weak = weak_from_this()](error_code error) {
        const auto self = weak.lock();
        if (error || !self) return;
        self->over_ = true;
        if (!self->reading_) self->answer();
      });
    }
    read();
  }

 private:
  void read() {
    const auto connection = connection_.lock();
    if (!connection || answered_) return;
    reading_ = true;
    woken_ = false;
    auto gather = Gather<Fetched>::begin(
        *connection, awaits_.size(),
        [weak = weak_from_this()](std::vector<std::optional<Fetched>> results) {
          if (const auto self = weak.lock()) self->take(std::move(results));
        });
    for_each_partition(request_.topics, [&](const auto& topic, const auto& partition,
                                            std::size_t place) {
      if (!may_fetch(*connection, topic.name)) {
        return gather->take(place, {ErrorCode::kTopicAuthorizationFailed});
      }
      const auto id = find_partition(thread_, topic.name, partition.partition);
      if (!id) return gather->take(place, {ErrorCode::kUnknownTopicOrPartition});
      gather->ask(thread_, *id, place,
                  [asked = Asked{*id, partition.fetch_offset, partition.current_leader_epoch,
                                 bytes_of(partition), request_.isolation_level == kReadCommitted,
                                 !awaits_[place], thread_.id(), place},
                   weak = weak_from_this()](ShardThread& owner, auto reply) mutable {
                    fetch(owner, asked, std::move(weak), std::move(reply));
                  });
    });
    gather->asked();
  }

  std::size_t bytes_of(const FetchRequest::Topic::Partition& partition) const {
    // All together may have max_bytes; they are asked beside each other.
    const std::int32_t share =
        std::max<std::int32_t>(most_bytes_ / static_cast<std::int32_t>(awaits_.size()), 1);
    return static_cast<std::size_t>(
        std::max(std::min({partition.partition_max_bytes, share, kMostPartitionBytes}), 1));
  }

  struct Asked {
    PartitionId id = 0;
    std::int64_t offset = 0;
    std::int32_t epoch = 0;
    std::size_t bytes = 0;
    bool committed = false;  // nothing of transactions that are open or were aborted
    bool await = false;
    ShardId from = 0;
    std::size_t place = 0;
  };

  // Of what has been read, what is committed; or why it could not be read.
  static void finish(Shard& shard, const Asked& asked, Result<std::string> records, Fetched& out) {
    if (!records) {
      // They may have been trimmed meanwhile.
      const auto now = shard.topic(asked.id);
      const bool trimmed = now && asked.offset < now->start;
      if (trimmed) out.start = now->start;
      out.error = trimmed ? ErrorCode::kOffsetOutOfRange : ErrorCode::kKafkaStorageError;
      return;
    }
    out.records = std::move(*records);
    if (!asked.committed) return;
    const std::int64_t next = cut_off(out.records, out.stable);
    auto aborted = shard.topic_aborted(asked.id, asked.offset, next);
    if (aborted) {
      out.aborted = std::move(*aborted);
      return;
    }
    out.records.clear();
    out.error = ErrorCode::kKafkaStorageError;
  }

  // On the thread of the partition.
  static void fetch(ShardThread& owner, const Asked& asked, std::weak_ptr<FetchWork> weak,
                    Gather<Fetched>::Reply reply) {
    const auto& [id, offset, epoch, bytes, committed, await, from, place] = asked;
    const auto status = owner.shard().topic(id);
    Fetched out;
    if (!status || !status->leads) {
      out.error = ErrorCode::kNotLeaderOrFollower;
      return reply(std::move(out));
    }
    out.start = status->start;
    out.end = status->end;
    out.stable = status->stable;
    const std::int64_t readable = committed ? out.stable : out.end;
    out.error = check_epoch(epoch, status->term);
    if (out.error == ErrorCode::kNone && (offset < status->start || offset > status->end)) {
      out.error = ErrorCode::kOffsetOutOfRange;
    }
    if (out.error != ErrorCode::kNone) return reply(std::move(out));
    if (offset >= readable) {
      out.awaits = true;
      if (await) {
        const std::weak_ptr<const void> asker = weak;
        owner.topics().await(id, offset, committed, asker,
                             [&owner, from, place, weak = std::move(weak)] {
                               owner.send_to(from, [place, weak](ShardThread&) {
                                 if (const auto self = weak.lock()) self->wake(place);
                               });
                             });
      }
      return reply(std::move(out));
    }
    owner.shard().read_topic(id, offset, bytes,
                             [&owner, asked, out = std::move(out),
                              reply = std::move(reply)](Result<std::string> records) mutable {
                               owner.lease().when_free([&owner, asked, out = std::move(out),
                                                        records = std::move(records),
                                                        reply = std::move(reply)]() mutable {
                                 finish(owner.shard(), asked, std::move(records), out);
                                 reply(std::move(out));
                               });
                             });
  }

  void wake(std::size_t place) {
    awaits_[place] = false;
    woken_ = true;
    if (!reading_) read();
  }

  void take(std::vector<std::optional<Fetched>> results) {
    reading_ = false;
    results_ = std::move(results);
    std::int64_t bytes = 0;
    bool failed = false;
    for (std::size_t i = 0; i < results_.size(); ++i) {
      bytes += static_cast<std::int64_t>(results_[i]->records.size());
      failed = failed || results_[i]->error != ErrorCode::kNone;
      if (results_[i]->awaits) awaits_[i] = true;
    }
    const std::int32_t enough = std::min(request_.min_bytes, most_bytes_);
    if (over_ || failed || results_.empty() || bytes >= enough) return answer();
    if (woken_) read();
  }

  void answer() {
    if (std::exchange(answered_, true)) return;
    timer_.cancel();
    const auto self = shared_from_this();
    const auto connection = connection_.lock();
    if (!connection) return;
    FetchResponse response;
    // What has been read by then costs nothing: the client asks for it again.
    const bool held_back = connection->hold_back(cluster::QuotaKind::kFetch, client_id_);
    if (!held_back) {
      const std::size_t bytes = fill(response);
      connection->charge(cluster::QuotaKind::kFetch, client_id_, bytes);
    }
    response.throttle_time_ms = connection->throttle_time_ms();
    connection->release(self);
    done_(std::move(response));
  }

  // What it has in bytes, about.
  std::size_t fill(FetchResponse& response) {
    constexpr std::size_t kAround = 64;  // of a partition, beside its records
    refuse_what_may_not_be_read();
    std::size_t place = 0;
    std::size_t bytes = 0;
    for (const auto& topic : request_.topics) {
      auto& out = response.responses.emplace_back();
      out.name = topic.name;
      for (const auto& partition : topic.partitions) {
        Fetched& result = *results_[place++];
        auto& each = out.partitions.emplace_back();
        each.partition_index = partition.partition;
        each.error_code = code(result.error);
        each.high_watermark = result.end;
        each.last_stable_offset = result.stable;
        each.log_start_offset = result.start;
        if (request_.isolation_level == kReadCommitted) {
          each.aborted_transactions.emplace();
          std::ranges::sort(result.aborted, {}, &AbortedTransaction::first);
          for (const AbortedTransaction& aborted : result.aborted) {
            each.aborted_transactions->push_back({aborted.producer_id, aborted.first});
          }
        }
        // Beyond what it may be as a whole, only the first partition gets its one batch.
        const bool fits =
            bytes == 0 || bytes + result.records.size() <= static_cast<std::size_t>(most_bytes_);
        if (!fits) result.records.clear();
        bytes += result.records.size();
        each.records = Blob::of(std::move(result.records));
      }
    }
    return bytes + place * kAround;
  }

  // The user's rights may have been taken away while it waited.
  void refuse_what_may_not_be_read() {
    const auto connection = connection_.lock();
    if (!connection) return;
    for_each_partition(request_.topics, [&](const auto& topic, const auto&, std::size_t place) {
      if (!may_fetch(*connection, topic.name)) {
        results_[place] = Fetched{ErrorCode::kTopicAuthorizationFailed};
      }
    });
  }

  const std::weak_ptr<Connection> connection_;
  ShardThread& thread_;
  const std::string client_id_;
  const FetchRequest request_;
  const std::int32_t most_bytes_;  // of an answer, beyond its first batch
  Done<FetchResponse> done_;
  asio::steady_timer timer_;
  bool over_ = false;  // no more is waited for
  bool reading_ = false;
  bool woken_ = false;  // since it was read last
  bool answered_ = false;
  std::vector<bool> awaits_;  // by place: its thread will wake this
  std::vector<std::optional<Fetched>> results_;
};

}  // namespace

void handle(const Call& call, const FetchRequest& request, Done<FetchResponse> done) {
  if (repeats(request.topics, [](const auto& each) { return each.partition; })) {
    return done({.error_code = code(ErrorCode::kInvalidRequest)});
  }
  // There are no sessions: a client that asks for one is given none and says all each time.
  if (request.session_id != 0) {
    return done({.error_code = code(ErrorCode::kFetchSessionIdNotFound)});
  }
  if (call.connection.hold_back(cluster::QuotaKind::kFetch, call.client_id)) {
    return done({.throttle_time_ms = call.connection.throttle_time_ms()});
  }
  std::make_shared<FetchWork>(call, request, std::move(done))->start();
}

// --- ListOffsets

void handle(const Call& call, const ListOffsetsRequest& request, Done<ListOffsetsResponse> done) {
  struct Found {
    ErrorCode error = ErrorCode::kNone;
    std::int64_t offset = -1;
    std::int64_t timestamp = -1;
    std::int32_t epoch = -1;
  };
  ShardThread& thread = call.connection.thread();
  const bool invalid =
      repeats(request.topics, [](const auto& each) { return each.partition_index; });
  ListOffsetsResponse response;
  std::size_t count = 0;
  for (const auto& topic : request.topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      out.partitions.emplace_back().partition_index = partition.partition_index;
      ++count;
    }
  }
  auto gather = Gather<Found>::begin(call.connection, count,
                                     [response = std::move(response), done = std::move(done)](
                                         std::vector<std::optional<Found>> results) mutable {
                                       std::size_t place = 0;
                                       for (auto& topic : response.topics) {
                                         for (auto& partition : topic.partitions) {
                                           const Found& found = *results[place++];
                                           partition.error_code = code(found.error);
                                           partition.offset = found.offset;
                                           partition.timestamp = found.timestamp;
                                           partition.leader_epoch = found.epoch;
                                         }
                                       }
                                       done(std::move(response));
                                     });
  for_each_partition(
      request.topics, [&](const auto& topic, const auto& partition, std::size_t place) {
        if (invalid) return gather->take(place, {ErrorCode::kInvalidRequest});
        if (!may_fetch(call.connection, topic.name)) {
          return gather->take(place, {ErrorCode::kTopicAuthorizationFailed});
        }
        const auto id = find_partition(thread, topic.name, partition.partition_index);
        if (!id) return gather->take(place, {ErrorCode::kUnknownTopicOrPartition});
        gather->ask(thread, *id, place,
                    [id = *id, time = partition.timestamp, epoch = partition.current_leader_epoch,
                     committed = request.isolation_level == kReadCommitted](
                        ShardThread& owner, Gather<Found>::Reply reply) mutable {
                      const auto status = owner.shard().topic(id);
                      if (!status || !status->leads)
                        return reply({ErrorCode::kNotLeaderOrFollower});
                      Found found;
                      found.error = check_epoch(epoch, status->term);
                      if (found.error != ErrorCode::kNone) return reply(found);
                      if (time == kLatest) {
                        found.offset = committed ? status->stable : status->end;
                        found.epoch = static_cast<std::int32_t>(status->term);
                        return reply(found);
                      }
                      if (time == kEarliest) {
                        found.offset = status->start;
                      } else {
                        const auto at = owner.shard().topic_at_time(id, time);
                        if (!at) return reply({ErrorCode::kKafkaStorageError});
                        if (!*at) return reply(found);
                        found.offset = (*at)->first;
                        found.timestamp = (*at)->second;
                      }
                      find_epoch_at(owner, id, found.offset,
                                    [found, reply = std::move(reply)](EpochEnd its) mutable {
                                      // The offset holds, be it known who wrote there or not.
                                      if (its.error == ErrorCode::kNotLeaderOrFollower) {
                                        return reply({its.error});
                                      }
                                      found.epoch = its.epoch;
                                      reply(found);
                                    });
                    });
      });
  gather->asked();
}

}  // namespace even::kafka
