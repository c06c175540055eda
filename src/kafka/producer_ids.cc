#include "kafka/producer_ids.h"

#include <charconv>

#include "engine/cmd_meta.h"
#include "kafka/apis.h"
#include "kafka/connection.h"
#include "kafka/coordinator.h"
#include "kafka/rights.h"
#include "node/shard_thread.h"
#include "topic/kafka_error.h"

namespace even::kafka {
namespace {

constexpr std::int64_t kBlock = 1'000;
static_assert(kBlock <= kMostProducerIds);
constexpr std::int64_t kPatienceMs = 5'000;

}  // namespace

void ProducerIds::take(Taken taken) {
  if (next_ < end_) return taken(next_++);
  waiting_.push_back(std::move(taken));
  if (waiting_.size() == 1) ask();
}

void ProducerIds::ask() {
  const std::string count = std::to_string(kBlock);
  const std::vector<std::string_view> words = {kMetaCommand, "PRODUCERS", count};
  StrongCall call{.group = meta_partition(thread_.node().placement.partitions()),
                  .writes = true,
                  .deadline_ms = kPatienceMs};
  call.request = OwnedRequest::copy(*find_command("even.topic"), words, false, {});
  thread_.strong().submit(std::move(call), [this](const std::string& reply, consensus::Index) {
    std::int64_t first = -1;
    if (reply.starts_with(':')) {
      std::from_chars(reply.data() + 1, reply.data() + reply.size(), first);
    }
    std::vector<Taken> waiting = std::exchange(waiting_, {});
    if (first < 0) {
      for (Taken& taken : waiting) taken(std::nullopt);
      return;
    }
    next_ = first;
    end_ = first + kBlock;
    for (Taken& taken : waiting) take(std::move(taken));
  });
}

void handle(const Call& call, const InitProducerIdRequest& request,
            Done<InitProducerIdResponse> done) {
  if (request.transactional_id) return give_transactional_id(call, request, std::move(done));
  if (!may_produce_somewhere(call.connection)) {
    return done({.error_code = code(ErrorCode::kClusterAuthorizationFailed)});
  }
  // The block may come when the connection has gone.
  call.connection.thread().coordinator().producer_ids().take(
      [weak = call.connection.weak_from_this(),
       done = std::move(done)](std::optional<std::int64_t> id) mutable {
        if (weak.expired()) return;
        if (!id) return done({.error_code = code(ErrorCode::kCoordinatorNotAvailable)});
        done({.producer_id = *id, .producer_epoch = 0});
      });
}

}  // namespace even::kafka
