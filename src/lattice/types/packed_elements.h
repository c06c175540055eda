// The elements of a small set or hash in one piece of memory, one after the other, in the order in
// which they came. What neighbours have in common is left out: an element of the same record as the
// one before it has no dot of its own, one of the same replica only the difference.
//
// It holds what nearly all elements are: members with one dot, fields with one value and no
// counters, and fields with one entry of integers. Anything else, and collections that grow beyond
// the limits below, belong into a table (see collection.h).
//
// An element:
//   flags    1 byte: kind in bits 0 and 1, kSameRecord, kSameReplica
//   name     length (varint), bytes
//   dot      nothing with kSameRecord; zigzag varint of the difference of the sequence numbers with
//            kSameReplica; else 8 bytes of replica, varint
//   time     of a value: nothing with kSameRecord; else zigzag varint of the difference
//   content  of a value: length (varint), bytes. Of a tally: zigzag varint of the sum, varint of
//            removed_seq, zigzag varint of the removed sum
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lattice/types/scalar.h"

namespace even {

struct PackedElement {
  enum Kind : std::uint8_t { kMember = 0, kValue = 1, kTally = 2 };

  std::string_view name;
  Kind kind = kMember;
  Dot dot;
  Hlc time;                // kValue
  std::string_view value;  // kValue
  std::int64_t sum = 0;    // kTally, as are the next two
  std::uint64_t removed_seq = 0;
  std::int64_t removed_sum = 0;

  // Of a field.
  ScalarView scalar() const;
  bool live() const { return kind != kTally || dot.seq > removed_seq; }
};

// One block, which its owner frees with release(). Null is one without elements.
class PackedElements {
 public:
  static constexpr std::size_t kMaxElements = 64;
  static constexpr std::size_t kMaxBytes = 4096;

  PackedElements() = default;
  explicit PackedElements(char* block) : block_(block) {}
  char* block() const { return block_; }

  std::size_t size() const { return block_ == nullptr ? 0 : header().count; }
  std::size_t live() const { return block_ == nullptr ? 0 : header().live; }
  Footprint footprint() const;

  std::optional<PackedElement> find(std::string_view name) const;
  PackedElement at(std::size_t index) const;  // index < size()
  // Calls visit(element) for each, until it returns false.
  template <typename Visit>
  void for_each(Visit visit) const {
    Reader reader(*this);
    while (reader.next()) {
      if (!visit(reader.element)) return;
    }
  }

  // Puts an element in the place of that of its name, or at the end. False, and nothing is changed,
  // when it does not fit any more.
  bool put(const PackedElement& element);
  void erase(std::string_view name);
  void release();

  // While one exists, blocks that are replaced on its thread are kept, so that what views them
  // stays readable.
  class KeepReplaced {
   public:
    KeepReplaced();
    ~KeepReplaced();
    KeepReplaced(const KeepReplaced&) = delete;
    KeepReplaced& operator=(const KeepReplaced&) = delete;
  };

 private:
  struct Header {
    std::uint32_t bytes;  // of the elements
    std::uint16_t count;
    std::uint16_t live;
  };
  // Walks the elements.
  struct Reader {
    explicit Reader(const PackedElements& elements);
    bool next();
    bool find(std::string_view name);  // the next one of this name
    const char* at;
    const char* end;
    const char* begin = nullptr;  // of `element`
    PackedElement element;
    Dot dot;  // of the last element that had one written out
    Hlc time;
    Dot dot_before;  // the same before `element`
    Hlc time_before;
  };
  struct Writer;

  static std::size_t capacity(std::size_t bytes) {
    return (sizeof(Header) + bytes + 15) & ~std::size_t{15};
  }
  const Header& header() const { return *reinterpret_cast<const Header*>(block_); }
  void replace(char* block);

  char* block_ = nullptr;
};

}  // namespace even
