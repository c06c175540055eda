#include "kafka/epochs.h"

#include <algorithm>
#include <memory>

#include "kafka/apis.h"
#include "kafka/partitions.h"
#include "kafka/rights.h"
#include "topic/record_batch.h"

namespace even::kafka {

ErrorCode check_epoch(std::int32_t epoch, consensus::Term term) {
  if (epoch < 0) return ErrorCode::kNone;
  const auto ours = static_cast<std::int32_t>(term);
  return epoch < ours   ? ErrorCode::kFencedLeaderEpoch
         : epoch > ours ? ErrorCode::kUnknownLeaderEpoch
                        : ErrorCode::kNone;
}

void EpochSearch::take(std::int64_t base, std::int64_t behind, std::int32_t epoch) {
  const std::int64_t asked = *next();
  if (epoch > epoch_) {
    end_ = std::max(base, start_);
    high_ = std::min(asked, base);
  } else {
    found_ = epoch;
    low_ = behind;
  }
}

namespace {

// One batch of a partition, the first one that has records at an offset or behind it.
struct BatchAt {
  ErrorCode error = ErrorCode::kNone;
  std::int64_t base = 0;
  std::int64_t behind = 0;
  std::int32_t epoch = -1;
  std::int64_t start = 0;  // of the log by now
};

void read_batch_at(ShardThread& owner, PartitionId id, std::int64_t offset,
                   std::move_only_function<void(BatchAt)> done) {
  constexpr std::size_t kOneBatch = 1;
  owner.shard().read_topic(
      id, offset, kOneBatch,
      [&owner, id, offset, done = std::move(done)](Result<std::string> records) mutable {
        owner.lease().when_free(
            [&owner, id, offset, records = std::move(records), done = std::move(done)]() mutable {
              const auto status = owner.shard().topic(id);
              if (!status || !status->leads) return done({ErrorCode::kNotLeaderOrFollower});
              BatchAt at{.start = status->start};
              const std::string_view bytes = records ? std::string_view(*records) : "";
              const auto head = bytes.size() < topic::kBatchHeadBytes
                                    ? std::nullopt
                                    : topic::read_head(bytes.substr(0, topic::batch_bytes(bytes)));
              if (head) {
                at.base = head->base_offset;
                at.behind = head->base_offset + head->offsets();
                at.epoch = head->leader_epoch;
              } else {
                at.error = offset < at.start ? ErrorCode::kOffsetOutOfRange
                                             : ErrorCode::kKafkaStorageError;
              }
              done(at);
            });
      });
}

// Source: LeaderEpochFileCache.endOffsetFor of Kafka, which forgets an epoch without records with
// the next one, so that only that of the leader may have none.
class EpochEndWork : public std::enable_shared_from_this<EpochEndWork> {
 public:
  EpochEndWork(ShardThread& owner, PartitionId id, std::int32_t epoch, EpochFound done)
      : owner_(owner), id_(id), epoch_(epoch), done_(std::move(done)) {}

  void begin() {
    const auto status = owner_.shard().topic(id_);
    if (!status || !status->leads) return done_({ErrorCode::kNotLeaderOrFollower});
    const auto ours = static_cast<std::int32_t>(status->term);
    if (epoch_ < 0 || epoch_ > ours) return done_({});
    if (epoch_ == ours) return done_({ErrorCode::kNone, epoch_, status->end});
    search_.emplace(epoch_, status->start, status->end);
    go_on();
  }

 private:
  void go_on() {
    const auto offset = search_->next();
    if (!offset) {
      // Where none of it is there, what is there comes later.
      return done_({ErrorCode::kNone, search_->epoch().value_or(epoch_), search_->end()});
    }
    read_batch_at(owner_, id_, *offset, [self = shared_from_this()](const BatchAt& at) {
      // Records below the start have gone meanwhile.
      if (at.error == ErrorCode::kOffsetOutOfRange) return self->begin();
      if (at.error != ErrorCode::kNone) return self->done_({at.error});
      self->search_->take(at.base, at.behind, at.epoch);
      self->go_on();
    });
  }

  ShardThread& owner_;
  const PartitionId id_;
  const std::int32_t epoch_;
  EpochFound done_;
  std::optional<EpochSearch> search_;
};

}  // namespace

void find_epoch_end(ShardThread& owner, PartitionId id, std::int32_t epoch, EpochFound done) {
  std::make_shared<EpochEndWork>(owner, id, epoch, std::move(done))->begin();
}

void find_epoch_at(ShardThread& owner, PartitionId id, std::int64_t offset, EpochFound done) {
  const auto status = owner.shard().topic(id);
  if (!status || !status->leads) return done({ErrorCode::kNotLeaderOrFollower});
  if (offset >= status->end) {
    return done({ErrorCode::kNone, static_cast<std::int32_t>(status->term), status->end});
  }
  read_batch_at(owner, id, std::max(offset, status->start),
                [done = std::move(done)](const BatchAt& at) mutable {
                  done({at.error, at.epoch, at.behind});
                });
}

// --- OffsetForLeaderEpoch

void handle(const Call& call, const OffsetForLeaderEpochRequest& request,
            Done<OffsetForLeaderEpochResponse> done) {
  ShardThread& thread = call.connection.thread();
  const bool invalid = repeats(request.topics, [](const auto& each) { return each.partition; });
  OffsetForLeaderEpochResponse response;
  std::size_t count = 0;
  for (const auto& topic : request.topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      out.partitions.emplace_back().partition = partition.partition;
      ++count;
    }
  }
  auto gather = Gather<EpochEnd>::begin(call.connection, count,
                                        [response = std::move(response), done = std::move(done)](
                                            std::vector<std::optional<EpochEnd>> results) mutable {
                                          std::size_t place = 0;
                                          for (auto& topic : response.topics) {
                                            for (auto& partition : topic.partitions) {
                                              const EpochEnd& result = *results[place++];
                                              partition.error_code = code(result.error);
                                              if (result.error != ErrorCode::kNone) continue;
                                              partition.leader_epoch = result.epoch;
                                              partition.end_offset = result.end;
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
        const auto id = find_partition(thread, topic.name, partition.partition);
        if (!id) return gather->take(place, {ErrorCode::kUnknownTopicOrPartition});
        gather->ask(
            thread, *id, place,
            [id = *id, current = partition.current_leader_epoch, epoch = partition.leader_epoch](
                ShardThread& owner, Gather<EpochEnd>::Reply reply) mutable {
              const auto status = owner.shard().topic(id);
              if (!status || !status->leads) return reply({ErrorCode::kNotLeaderOrFollower});
              const ErrorCode error = check_epoch(current, status->term);
              if (error != ErrorCode::kNone) return reply({error});
              find_epoch_end(owner, id, epoch,
                             [reply = std::move(reply)](EpochEnd end) mutable { reply(end); });
            });
      });
  gather->asked();
}

}  // namespace even::kafka
