// Changes of rows, in one piece of memory each. Made by a shard, taken in by a RowStore.
#pragma once

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
  };
  struct Change {
    Kind kind;
    std::string_view row;
    std::string_view value;
  };

  void put(std::string_view row, std::string_view value) { add(Kind::kPut, row, value); }
  void remove(std::string_view row) { add(Kind::kRemove, row, {}); }
  void remove_range(std::string_view first, std::string_view end) {
    add(Kind::kRemoveRange, first, end);
  }

  void forget(std::string_view first, std::string_view end) { add(Kind::kForget, first, end); }

  bool empty() const { return places_.empty(); }
  std::size_t size() const { return places_.size(); }
  std::size_t bytes() const { return bytes_.size() + places_.size() * sizeof(Place); }
  Change operator[](std::size_t index) const {
    const Place& place = places_[index];
    const std::string_view row(bytes_.data() + place.at, place.row_bytes);
    return {place.kind, row, {row.data() + row.size(), place.value_bytes}};
  }

 private:
  struct Place {
    std::uint64_t at;
    std::uint32_t row_bytes;
    std::uint32_t value_bytes;
    Kind kind;
  };
  void add(Kind kind, std::string_view row, std::string_view value) {
    places_.push_back({bytes_.size(), static_cast<std::uint32_t>(row.size()),
                       static_cast<std::uint32_t>(value.size()), kind});
    bytes_ += row;
    bytes_ += value;
  }

  std::string bytes_;
  std::vector<Place> places_;
};

}  // namespace even
