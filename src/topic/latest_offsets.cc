#include "topic/latest_offsets.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "base/hash.h"

namespace even::topic {
namespace {

constexpr std::size_t kFirstSlots = 1024;
// Of four slots, so many are used at most.
constexpr std::size_t kUsedOfFour = 3;

}  // namespace

LatestOffsets::LatestOffsets(std::uint64_t seed, std::size_t most_bytes)
    : seed_(seed),
      most_slots_(std::bit_floor(std::max<std::size_t>(most_bytes / sizeof(Slot), 4))),
      most_keys_(most_slots_ / 4 * kUsedOfFour),
      slots_(std::min(kFirstSlots, most_slots_)) {}

LatestOffsets::Slot LatestOffsets::hash(std::string_view key) const {
  return {hash64(key, seed_), hash64(key, ~seed_), 0};
}

std::size_t LatestOffsets::place(const std::vector<Slot>& slots, const Slot& key) const {
  const std::size_t mask = slots.size() - 1;
  std::size_t at = key.low & mask;
  while (slots[at].offset >= 0 && (slots[at].low != key.low || slots[at].high != key.high)) {
    at = (at + 1) & mask;
  }
  return at;
}

void LatestOffsets::grow() {
  std::vector<Slot> larger(std::min(2 * slots_.size(), most_slots_));
  for (const Slot& slot : slots_) {
    if (slot.offset >= 0) larger[place(larger, slot)] = slot;
  }
  slots_ = std::move(larger);
}

void LatestOffsets::put(std::string_view key, std::int64_t offset) {
  EVEN_CHECK(offset >= 0, "offsets are not negative");
  Slot slot = hash(key);
  std::size_t at = place(slots_, slot);
  if (slots_[at].offset < 0) {
    if (full()) return;
    if (size_ >= slots_.size() / 4 * kUsedOfFour && slots_.size() < most_slots_) {
      grow();
      at = place(slots_, slot);
    }
    ++size_;
  }
  slot.offset = offset;
  slots_[at] = slot;
}

std::optional<std::int64_t> LatestOffsets::find(std::string_view key) const {
  const Slot& slot = slots_[place(slots_, hash(key))];
  return slot.offset < 0 ? std::nullopt : std::optional(slot.offset);
}

}  // namespace even::topic
