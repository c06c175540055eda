#include "topic/producer_state.h"

#include <limits>

#include "base/byte_reader.h"
#include "base/bytes.h"

namespace even::topic {
namespace {

// Sequence numbers go on with 0 behind the greatest one.
std::int32_t sequence_after(std::int32_t sequence, std::int64_t steps) {
  constexpr std::int64_t kCount = std::int64_t{std::numeric_limits<std::int32_t>::max()} + 1;
  return static_cast<std::int32_t>((sequence + steps) % kCount);
}

std::int32_t last_sequence(const BatchHead& batch) {
  return sequence_after(batch.base_sequence, batch.last_offset_delta);
}

}  // namespace

ProducerState::Checked ProducerState::check(const std::optional<ProducerState>& known,
                                            const BatchHead& batch, bool any_sequence) {
  if (!known || known->batches_.empty()) {
    return {batch.base_sequence == 0 || any_sequence ? Verdict::kNext : Verdict::kUnknown};
  }
  if (batch.producer_epoch < known->epoch_) return {Verdict::kOldEpoch};
  if (batch.producer_epoch > known->epoch_) {
    return {batch.base_sequence == 0 ? Verdict::kNext : Verdict::kOutOfOrder};
  }
  for (const Batch& there : known->batches_) {
    if (there.first == batch.base_sequence && there.last == last_sequence(batch)) {
      return {Verdict::kDuplicate, there.base};
    }
  }
  const bool follows = batch.base_sequence == sequence_after(known->batches_.back().last, 1);
  return {follows ? Verdict::kNext : Verdict::kOutOfOrder};
}

void ProducerState::note(const BatchHead& batch, std::int64_t base) {
  if (batch.producer_epoch != epoch_) batches_.clear();
  epoch_ = batch.producer_epoch;
  if (batches_.size() == kRemembered) batches_.erase(batches_.begin());
  batches_.push_back({batch.base_sequence, last_sequence(batch), base});
}

std::string ProducerState::encode() const {
  std::string out;
  put_little_endian(out, epoch_);
  for (const Batch& batch : batches_) {
    put_little_endian(out, batch.first);
    put_little_endian(out, batch.last);
    put_little_endian(out, batch.base);
  }
  return out;
}

std::optional<ProducerState> ProducerState::decode(std::string_view bytes) {
  ByteReader in(bytes);
  ProducerState state;
  state.epoch_ = in.get<std::int16_t>();
  while (in.ok() && !in.at_end()) {
    Batch& batch = state.batches_.emplace_back();
    batch.first = in.get<std::int32_t>();
    batch.last = in.get<std::int32_t>();
    batch.base = in.get<std::int64_t>();
  }
  if (!in.ok() || state.batches_.size() > kRemembered) return std::nullopt;
  return state;
}

}  // namespace even::topic
