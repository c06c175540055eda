#include "node/topic_requests.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "node/shard_thread.h"

namespace even {

void TopicRequests::append(PartitionId partition, std::string_view batch,
                           std::shared_ptr<const void> owner, StrongDone done) {
  Append append{partition, batch, std::move(owner), std::move(done)};
  if (!paused_.empty() || thread_.must_wait_for_store()) {
    paused_.push_back(std::move(append));
    return;
  }
  execute(std::move(append));
}

void TopicRequests::execute(Append append) {
  StrongRequest request;
  request.group = append.partition;
  request.batch = append.batch;
  thread_.shard().execute_strong(std::move(request),
                                 [owner = std::move(append.owner), done = std::move(append.done)](
                                     StrongOutcome outcome) mutable { done(std::move(outcome)); });
}

void TopicRequests::append_events(PartitionId partition, const std::vector<std::string>& words,
                                  std::move_only_function<void(std::string reply)> done) {
  constexpr std::int64_t kDeadlineMs = 5'000;
  const std::vector<std::string_view> views(words.begin(), words.end());
  StrongCall call{.group = partition, .writes = true, .deadline_ms = kDeadlineMs};
  call.request = OwnedRequest::copy(*find_command("even.topic"), views, false, {});
  thread_.strong().submit(std::move(call),
                          [done = std::move(done)](std::string reply, consensus::Index) mutable {
                            done(std::move(reply));
                          });
}

void TopicRequests::await(PartitionId partition, std::int64_t offset, bool stable,
                          std::weak_ptr<const void> asker, Wake wake, bool of_any_member) {
  waiting_[partition].push_back({offset, stable, std::move(asker), std::move(wake), of_any_member});
}

void TopicRequests::changed(PartitionId partition) {
  if (!waiting_.contains(partition)) return;
  changed_.push_back(partition);
  if (changed_.size() > 1) return;
  // Not in the middle of the shard's work.
  asio::post(thread_.io(), [this] {
    thread_.lease().when_free([this] {
      for (const PartitionId each : std::exchange(changed_, {})) look(each);
    });
  });
}

void TopicRequests::look(PartitionId partition) {
  const auto found = waiting_.find(partition);
  if (found == waiting_.end()) return;
  const auto status = thread_.shard().topic(partition);
  std::vector<Wake> due;
  std::erase_if(found->second, [&](Waiting& waiting) {
    const bool serves = status && (status->leads || waiting.of_any_member);
    const std::int64_t end = !serves ? 0 : waiting.stable ? status->stable : status->end;
    if (serves && end <= waiting.offset && waiting.offset >= status->start) return false;
    if (!waiting.asker.expired()) due.push_back(std::move(waiting.wake));
    return true;
  });
  if (found->second.empty()) waiting_.erase(found);
  for (Wake& wake : due) wake();
}

// Whoever has had its answer, or went away, of partitions in which nothing happens.
void TopicRequests::forget_gone() {
  absl::erase_if(waiting_, [](auto& partition) {
    std::erase_if(partition.second, [](const Waiting& waiting) { return waiting.asker.expired(); });
    return partition.second.empty();
  });
}

void TopicRequests::tick() {
  constexpr std::uint32_t kForgetTicks = 20;
  if (++ticks_ % kForgetTicks == 0) forget_gone();
  if (thread_.lease().lent()) return;
  while (!paused_.empty() && !thread_.must_wait_for_store()) {
    Append append = std::move(paused_.front());
    paused_.pop_front();
    execute(std::move(append));
  }
}

}  // namespace even
