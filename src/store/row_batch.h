// Changes of rows, in blocks of memory. Made by a shard, taken in by a RowStore.
//
// A row and its value lie in one block. Behind so much in one a new one is begun, so that what is
// long is not copied again with what comes after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace even {

class RowBatch {
 public:
  enum class Kind : std::uint8_t {
    kPut,          // row, value
    kRemove,       // row, which may not be there
    kRemoveRange,  // every row from `row` on and before `value`, but those that the pass itself
                   // puts
    kForget,       // rows from `row` on and before `value` that nobody will read or put again: they
                   // may go or stay, and need not be readable
    kReplace,      // as kPut, of a topic's row that is there, among others that stay
  };
  struct Change {
    Kind kind;
    std::string_view row;
    std::string_view value;
  };

  void put(std::string_view row, std::string_view value) { add(Kind::kPut, row, value); }
  // The same of a value that write(out) appends to `out`, of about so many bytes.
  template <typename Write>
  void put(std::string_view row, std::size_t bytes, Write write) {
    add(Kind::kPut, row, bytes, write);
  }
  void replace(std::string_view row, std::string_view value) { add(Kind::kReplace, row, value); }
  void remove(std::string_view row) { add(Kind::kRemove, row, {}); }
  void remove_range(std::string_view first, std::string_view end) {
    add(Kind::kRemoveRange, first, end);
  }

  void forget(std::string_view first, std::string_view end) { add(Kind::kForget, first, end); }

  bool empty() const { return places_.empty(); }
  std::size_t size() const { return places_.size(); }
  std::size_t bytes() const {
    std::size_t bytes = places_.size() * sizeof(Place);
    for (const std::string& block : blocks_) bytes += block.size();
    return bytes;
  }
  Change operator[](std::size_t index) const {
    const Place& place = places_[index];
    const std::string_view row(blocks_[place.block].data() + place.at, place.row_bytes);
    return {place.kind, row, {row.data() + row.size(), place.value_bytes}};
  }

 private:
  static constexpr std::size_t kBlockBytes = 1 << 20;

  struct Place {
    std::size_t block;
    std::uint64_t at;
    std::uint32_t row_bytes;
    std::uint32_t value_bytes;
    Kind kind;
  };
  void add(Kind kind, std::string_view row, std::string_view value) {
    add(kind, row, value.size(), [value](std::string& out) { out += value; });
  }
  template <typename Write>
  void add(Kind kind, std::string_view row, std::size_t bytes, Write write) {
    if (blocks_.empty() || blocks_.back().size() + bytes > kBlockBytes) blocks_.emplace_back();
    std::string& block = blocks_.back();
    // A block that grows by doubling would be copied, and take up to twice the memory.
    if (bytes > kBlockBytes) block.reserve(row.size() + bytes);
    const std::size_t at = block.size();
    block += row;
    write(block);
    places_.push_back({blocks_.size() - 1, at, static_cast<std::uint32_t>(row.size()),
                       static_cast<std::uint32_t>(block.size() - at - row.size()), kind});
  }

  std::vector<std::string> blocks_;
  std::vector<Place> places_;
};

}  // namespace even
