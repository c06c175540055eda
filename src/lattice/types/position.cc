#include "lattice/types/position.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mutant.h"

namespace even {
namespace {

// Behind a segment.
constexpr char kBefore = 0x40;
constexpr auto kEnd = static_cast<char>(0x80);
constexpr auto kBehind = static_cast<char>(0xc0);

// How many bytes an integer takes, by the ones at the beginning of its first byte, and how many
// bits of that one are its own. The bytes are in the order of the integers.
struct Width {
  unsigned bytes;
  unsigned bits;  // in all
  std::uint8_t mark;
};
constexpr Width kWidths[] = {{1, 6, 0x80},  {2, 13, 0xc0}, {3, 20, 0xe0}, {4, 27, 0xf0},
                             {5, 34, 0xf8}, {6, 41, 0xfc}, {7, 48, 0xfe}, {9, 64, 0xff}};

constexpr std::size_t kMostIntegerBytes = 9;

// A negative one has the bytes of its complement, each complemented. Returns where it ends.
char* put_integer(std::int64_t value, char* out) {
  const std::uint64_t sign = value < 0 ? ~std::uint64_t{0} : 0;
  const std::uint64_t magnitude = static_cast<std::uint64_t>(value) ^ sign;
  const Width* width = kWidths;
  while (width->bits < 64 && magnitude >> width->bits != 0) ++width;
  std::uint8_t mark = width->mark;
  unsigned left = width->bytes;
  if (width->bits == 64) {  // the first byte has no room for any of it
    *out++ = static_cast<char>(mark ^ sign);
    mark = 0;
    --left;
  }
  for (; left > 0; --left, mark = 0) {
    const std::uint64_t byte = magnitude >> (8 * (left - 1)) | mark;
    *out++ = static_cast<char>(byte ^ sign);
  }
  return out;
}

// Moves `at` behind the integer; nothing when there is none.
std::optional<std::int64_t> get_integer(std::string_view bytes, std::size_t& at) {
  if (at == bytes.size()) return std::nullopt;
  const bool negative = (static_cast<std::uint8_t>(bytes[at]) & 0x80) == 0;
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint8_t>(negative ? ~bytes[i] : bytes[i]);
  };
  const std::uint8_t first = byte(at);
  const Width* width = std::end(kWidths) - 1;
  while (first < width->mark) --width;
  if (bytes.size() - at < width->bytes) return std::nullopt;
  std::uint64_t magnitude = width->bits == 64 ? 0 : first & ~width->mark;
  for (unsigned i = 1; i < width->bytes; ++i) magnitude = magnitude << 8 | byte(at + i);
  at += width->bytes;
  if (magnitude > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) return std::nullopt;
  const auto value = static_cast<std::int64_t>(magnitude);
  return negative ? ~value : value;
}

struct Segment {
  std::size_t begin = 0;  // in the position
  ReplicaId replica;
  std::int64_t number = 0;  // of the record; negative: made to stand before its neighbour
  std::int64_t index = 0;   // among what that record has made
  std::size_t end = 0;      // of its byte behind it
};

// Walks the segments of a position.
class Path {
 public:
  explicit Path(std::string_view position) : position_(position) {}

  // Nothing at the end, or where the bytes are none of a segment.
  std::optional<Segment> next() {
    Segment segment;
    segment.begin = segment.end = at_;
    std::size_t& at = segment.end;
    std::optional<std::int64_t> index;
    if (EVEN_MUTANT(kRunsInterleave)) index = get_integer(position_, at);
    if (position_.size() - at < sizeof(std::uint64_t)) return {};
    segment.replica = {get_big_endian<std::uint64_t>(position_.data() + at)};
    at += sizeof(std::uint64_t);
    const auto number = get_integer(position_, at);
    if (!number) return {};
    if (!EVEN_MUTANT(kRunsInterleave)) index = get_integer(position_, at);
    if (!index || at == position_.size()) return {};
    segment.number = *number;
    segment.index = *index;
    at_ = ++at;
    return segment;
  }
  bool at_end() const { return at_ == position_.size(); }

 private:
  std::string_view position_;
  std::size_t at_ = 0;
};

void put_segment(const Segment& segment, char behind, std::string& out) {
  char bytes[sizeof(std::uint64_t) + 2 * kMostIntegerBytes + 1];
  char* end = bytes;
  if (EVEN_MUTANT(kRunsInterleave)) end = put_integer(segment.index, end);
  const std::uint64_t replica = std::byteswap(segment.replica.value);
  std::memcpy(end, &replica, sizeof replica);
  end = put_integer(segment.number, end + sizeof replica);
  if (!EVEN_MUTANT(kRunsInterleave)) end = put_integer(segment.index, end);
  *end++ = behind;
  out.append(bytes, static_cast<std::size_t>(end - bytes));
}

Segment last_segment(std::string_view position) {
  Segment last;
  for (Path path(position); const auto segment = path.next();) last = *segment;
  return last;
}

// Makes positions between two neighbours.
class Between {
 public:
  Between(std::string_view left, std::string_view right, const Dot& maker)
      : left_(left),
        right_(right),
        replica_(maker.replica),
        number_(EVEN_MUTANT(kPositionTakenAgain) ? 1 : static_cast<std::int64_t>(maker.seq)) {}

  std::string position() const {
    for (const bool from_left : {true, false}) {
      const std::string_view neighbour = from_left ? left_ : right_;
      if (neighbour.empty()) continue;
      const Segment last = last_segment(neighbour);
      if (last.replica != replica_) continue;
      if (auto next = beside(neighbour, last, from_left)) return *next;
    }
    if (auto inner = shortest()) return *inner;
    return child();
  }

 private:
  // In the place of a segment of a neighbour. Nothing if that is not between the two.
  std::optional<std::string> beside(std::string_view neighbour, const Segment& segment,
                                    bool from_left) const {
    Segment own{.replica = replica_, .number = from_left ? number_ : -number_};
    // Of the same record: on its side, whatever has been there before is on the other one.
    if (segment.replica == replica_ && (segment.number == number_ || segment.number == -number_)) {
      own.number = segment.number;
      const std::int64_t most = from_left ? std::numeric_limits<std::int64_t>::max()
                                          : std::numeric_limits<std::int64_t>::min();
      if (segment.index == most) return {};
      own.index = segment.index + (from_left ? 1 : -1);
    }
    std::string made(neighbour.substr(0, segment.begin));
    put_segment(own, kEnd, made);
    if (made <= left_ || (!right_.empty() && made >= right_)) return {};
    return made;
  }

  std::optional<std::string> shortest() const {
    std::optional<std::string> best;
    for (const bool from_left : {true, false}) {
      const std::string_view neighbour = from_left ? left_ : right_;
      for (Path path(neighbour); const auto segment = path.next();) {
        auto made = beside(neighbour, *segment, from_left);
        if (!made) continue;
        if (!best || made->size() < best->size()) best = std::move(made);
        break;
      }
    }
    return best;
  }

  std::string child() const {
    std::string made;
    if (!left_.empty()) {
      made = left_;
      made.back() = kBehind;
      // Then it is hung there already.
      if (right_.starts_with(made)) made.clear();
    }
    if (made.empty() && !right_.empty()) {
      made = right_;
      made.back() = kBefore;
    }
    put_segment({.replica = replica_, .number = number_}, kEnd, made);
    return made;
  }

  const std::string_view left_;
  const std::string_view right_;
  const ReplicaId replica_;
  const std::int64_t number_;
};

}  // namespace

std::string position_between(std::string_view left, std::string_view right, const Dot& maker) {
  std::string made = Between(left, right, maker).position();
  EVEN_CHECK(left < made && (right.empty() || made < right),
             "a new position is between its neighbours");
  return made;
}

bool is_position(std::string_view bytes) {
  std::string canonical;
  Path path(bytes);
  while (const auto segment = path.next()) {
    const char behind = bytes[segment->end - 1];
    const bool last = path.at_end();
    if (last ? behind != kEnd : behind != kBefore && behind != kBehind) return false;
    if (segment->replica.value == 0 || segment->number == 0) return false;
    canonical.clear();
    put_segment(*segment, behind, canonical);
    if (bytes.substr(segment->begin, segment->end - segment->begin) != canonical) return false;
  }
  return path.at_end() && !bytes.empty();
}

std::string position_text(std::string_view position) {
  std::string text;
  for (Path path(position); const auto segment = path.next();) {
    text += fmt::format("{}:{}.{}", segment->replica.to_string(), segment->number, segment->index);
    const char behind = position[segment->end - 1];
    if (behind != kEnd) text += behind == kBehind ? " > " : " < ";
  }
  return text;
}

}  // namespace even
