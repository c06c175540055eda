#include "kafka/verification.h"

#include <algorithm>

#include "node/shard_thread.h"
#include "replica/topic_transactions.h"

namespace even::kafka {
namespace {

constexpr std::int64_t kSlotForgottenUs = 60'000'000;

void refuse_batch_with(StrongDone& done, std::string_view error) {
  done({StrongOutcome::Kind::kReply, std::string(error), 0, 0});
}

}  // namespace

// As far as this node knows: if it is wrong, the entry is refused when it is applied.
bool Verification::is_open(const Key& key, const Slot& slot, std::int16_t epoch) {
  if (slot.epoch != epoch) return false;
  const std::string name = ended_transactions_key(key.producer);
  const std::string_view words[] = {"get", name};
  auto reply = std::make_shared<std::string>();
  StrongRequest request;
  request.group = key.partition;
  request.read = StrongRead::kOne;
  request.commands.emplace_back(words);
  thread_.shard().execute_strong(std::move(request),
                                 [reply](StrongOutcome outcome) { *reply = outcome.reply; });
  std::optional<std::string> ended;
  if (!take_string_reply(*reply, ended)) return false;
  return !ended || !decode_ended(*ended).has(slot.epoch, slot.number);
}

void Verification::append(PartitionId partition, const std::string& transactional_id,
                          std::string_view batch, StrongDone done) {
  const auto head = topic::read_head(batch);
  const Key key{partition, head->producer_id, transactional_id};
  Slot& slot = slots_[key];
  slot.used_us = thread_.clock().monotonic_us();
  Waiting waiting{std::make_shared<std::string>(batch), head->producer_epoch, std::move(done)};
  if (!slot.asking && is_open(key, slot, head->producer_epoch)) {
    return forward(key, slot.number, std::move(waiting));
  }
  slot.waiting.push_back(std::move(waiting));
  if (!slot.asking) ask(key);
}

void Verification::ask(const Key& key) {
  slots_[key].asking = true;
  const auto row = world_.row_of(key.transactional_id);
  if (!row) return take(key, {});
  world_.ask(
      {.group = row->group, .commands = {{"get", row->key}}, .watched = {}, .watched_reply = {}},
      [this, key](std::string reply) {
        thread_.lease().when_free([this, key, reply = std::move(reply)] { take(key, reply); });
      });
}

void Verification::take(const Key& key, const std::string& reply) {
  Slot& slot = slots_[key];
  slot.asking = false;
  std::deque<Waiting> waiting = std::exchange(slot.waiting, {});
  std::optional<std::string> text;
  const bool known = take_string_reply(reply, text);
  const auto row = text ? topic::Transaction::decode(*text) : std::nullopt;
  const bool is_its = row && row->producer.id == key.producer;
  const bool takes_part = is_its && row->state == topic::Transaction::State::kOpen &&
                          std::ranges::binary_search(row->partitions, key.partition);
  if (takes_part) {
    slot.epoch = row->producer.epoch;
    slot.number = row->number;
  }
  for (Waiting& each : waiting) {
    if (!known) {
      each.done({StrongOutcome::Kind::kUnknown});
    } else if (!is_its) {
      refuse_batch_with(
          each.done, "-INVALID_PRODUCER_ID_MAPPING the transactional id has another producer\r\n");
    } else if (row->producer.epoch != each.epoch) {
      refuse_batch_with(each.done, "-INVALID_PRODUCER_EPOCH the producer has a later epoch\r\n");
    } else if (!takes_part) {
      refuse_batch_with(each.done,
                        "-INVALID_TXN_STATE no transaction with this partition is open\r\n");
    } else {
      forward(key, row->number, std::move(each));
    }
  }
}

void Verification::forward(const Key& key, std::uint32_t number, Waiting batch) {
  topic::set_place(*batch.batch, 0, number, -1);
  thread_.topics().append(key.partition, *batch.batch, batch.batch, std::move(batch.done));
}

void Verification::forget(std::int64_t now_us) {
  absl::erase_if(slots_, [now_us](const auto& each) {
    return !each.second.asking && now_us - each.second.used_us >= kSlotForgottenUs;
  });
}

}  // namespace even::kafka
