// The latest offset of each key in a stretch of a topic's partition: what compaction by key decides
// by. Of bounded size, 24 bytes a slot: of a key only a hash of 128 bits is kept, as
// Kafka's cleaner does. With a random seed, so that nobody can make keys that collide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace even::topic {

class LatestOffsets {
 public:
  LatestOffsets(std::uint64_t seed, std::size_t most_bytes);

  // Whether another key can be added.
  bool full() const { return size_ >= most_keys_; }
  std::size_t room() const { return most_keys_ - size_; }
  std::size_t size() const { return size_; }
  std::size_t most_keys() const { return most_keys_; }
  std::size_t bytes() const { return slots_.size() * sizeof(Slot); }

  // Offsets ascend. Not if it is full and the key a new one.
  void put(std::string_view key, std::int64_t offset);
  std::optional<std::int64_t> find(std::string_view key) const;

 private:
  struct Slot {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::int64_t offset = -1;  // none: the slot is free
  };
  Slot hash(std::string_view key) const;
  // Where the key is, or is to be.
  std::size_t place(const std::vector<Slot>& slots, const Slot& key) const;
  void grow();

  const std::uint64_t seed_;
  const std::size_t most_slots_;
  const std::size_t most_keys_;
  std::size_t size_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace even::topic
