#include "lattice/types/packed_elements.h"

#include <cstring>
#include <new>

#include "base/check.h"

namespace even {
namespace {

constexpr std::uint8_t kKindBits = 3;
constexpr std::uint8_t kSameRecord = 4;
constexpr std::uint8_t kSameReplica = 8;
constexpr std::size_t kMostBesideNameAndValue = 1 + 4 * 10 + 8 + 2 * 10;

std::uint64_t zigzag(std::int64_t value) {
  return static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
}
std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
}

char* put_varint(char* out, std::uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}
std::uint64_t get_varint(const char*& at) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<std::uint8_t>(*at++);
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
}

std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  while (value >>= 7) ++size;
  return size;
}

char* put_bytes(char* out, std::string_view bytes) {
  out = put_varint(out, bytes.size());
  return out + bytes.copy(out, bytes.size());
}
std::string_view get_bytes(const char*& at) {
  const std::size_t size = get_varint(at);
  const std::string_view bytes(at, size);
  at += size;
  return bytes;
}

std::int64_t difference(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::int64_t>(a - b);
}

thread_local int keepers = 0;
thread_local std::vector<char*> replaced;

}  // namespace

ScalarView PackedElement::scalar() const {
  if (kind == kTally) {
    return CounterEntry<std::int64_t>{dot.replica, dot.seq, sum, removed_seq, removed_sum};
  }
  return SiblingView{dot, time, value, 0};
}

PackedElements::Reader::Reader(const PackedElements& elements)
    : at(elements.block_), end(elements.block_) {
  if (elements.block_ == nullptr) return;
  at += sizeof(Header);
  end = at + elements.header().bytes;
}

bool PackedElements::Reader::next() {
  if (at == end) return false;
  begin = at;
  dot_before = dot;
  time_before = time;
  const auto flags = static_cast<std::uint8_t>(*at++);
  element.kind = static_cast<PackedElement::Kind>(flags & kKindBits);
  element.name = get_bytes(at);
  if ((flags & kSameRecord) == 0) {
    if ((flags & kSameReplica) != 0) {
      dot.seq += static_cast<std::uint64_t>(unzigzag(get_varint(at)));
    } else {
      std::memcpy(&dot.replica.value, at, sizeof dot.replica.value);
      at += sizeof dot.replica.value;
      dot.seq = get_varint(at);
    }
  }
  element.dot = dot;
  if (element.kind == PackedElement::kValue) {
    if ((flags & kSameRecord) == 0) {
      time.value += static_cast<std::uint64_t>(unzigzag(get_varint(at)));
    }
    element.time = time;
    element.value = get_bytes(at);
  } else if (element.kind == PackedElement::kTally) {
    element.sum = unzigzag(get_varint(at));
    element.removed_seq = get_varint(at);
    element.removed_sum = unzigzag(get_varint(at));
  }
  return true;
}

bool PackedElements::Reader::find(std::string_view name) {
  while (next()) {
    if (element.name == name) return true;
  }
  return false;
}

// Appends elements to a buffer that is large enough.
struct PackedElements::Writer {
  // What a reader has not come to yet: anew until it follows on the same as before, and then as it
  // is. False when there is not enough room.
  bool put_rest(Reader& reader, const char* limit) {
    const auto room = [&] { return static_cast<std::size_t>(limit - out); };
    while (dot != reader.dot || time != reader.time) {
      if (!reader.next()) return true;
      const PackedElement& next = reader.element;
      if (next.name.size() + next.value.size() + kMostBesideNameAndValue > room()) return false;
      put(next);
    }
    const auto rest = static_cast<std::size_t>(reader.end - reader.at);
    if (rest > room()) return false;
    std::memcpy(out, reader.at, rest);
    out += rest;
    return true;
  }

  void put(const PackedElement& element) {
    const bool timed = element.kind == PackedElement::kValue;
    const bool same_replica = element.dot.replica == dot.replica;
    const bool same_record = element.dot == dot && (!timed || element.time == time);
    *out++ = static_cast<char>(element.kind | (same_record    ? kSameRecord
                                               : same_replica ? kSameReplica
                                                              : 0));
    out = put_bytes(out, element.name);
    if (!same_record) {
      if (same_replica) {
        out = put_varint(out, zigzag(difference(element.dot.seq, dot.seq)));
      } else {
        std::memcpy(out, &element.dot.replica.value, sizeof element.dot.replica.value);
        out = put_varint(out + sizeof element.dot.replica.value, element.dot.seq);
      }
      dot = element.dot;
    }
    if (timed) {
      if (!same_record) {
        out = put_varint(out, zigzag(difference(element.time.value, time.value)));
        time = element.time;
      }
      out = put_bytes(out, element.value);
    } else if (element.kind == PackedElement::kTally) {
      out = put_varint(out, zigzag(element.sum));
      out = put_varint(out, element.removed_seq);
      out = put_varint(out, zigzag(element.removed_sum));
    }
  }

  char* out;
  Dot dot{};
  Hlc time{};
};

std::optional<PackedElement> PackedElements::find(std::string_view name) const {
  Reader reader(*this);
  return reader.find(name) ? std::optional(reader.element) : std::nullopt;
}

PackedElement PackedElements::at(std::size_t index) const {
  EVEN_CHECK(index < size(), "no such element");
  Reader reader(*this);
  for (std::size_t i = 0; i <= index; ++i) reader.next();
  return reader.element;
}

Footprint PackedElements::footprint() const {
  Footprint all{block_bytes(block_), 0};
  // A reader needs flags, name and value; the rest is dots, times and what counters have removed.
  const auto bytes_size = [](std::string_view bytes) {
    return varint_size(bytes.size()) + bytes.size();
  };
  Reader reader(*this);
  while (reader.next()) {
    const PackedElement& element = reader.element;
    std::size_t content = 1 + bytes_size(element.name);
    if (element.kind == PackedElement::kValue) content += bytes_size(element.value);
    if (element.kind == PackedElement::kTally) content += varint_size(zigzag(element.sum));
    all.metadata += static_cast<std::size_t>(reader.at - reader.begin) - content;
  }
  return all;
}

void PackedElements::replace(char* block) {
  if (block_ != nullptr) {
    if (keepers > 0) {
      replaced.push_back(block_);
    } else {
      ::operator delete(block_);
    }
  }
  block_ = block;
}

void PackedElements::release() { replace(nullptr); }

bool PackedElements::put(const PackedElement& element) {
  const std::size_t room = element.name.size() + element.value.size() + kMostBesideNameAndValue;
  if (room > kMaxBytes) return false;
  Header now = block_ == nullptr ? Header{} : header();

  Reader reader(*this);
  char buffer[2 * kMaxBytes];
  Writer writer{buffer};
  if (!reader.find(element.name)) {
    if (now.count == kMaxElements) return false;
    writer.dot = reader.dot;
    writer.time = reader.time;
    writer.put(element);
    const auto added = static_cast<std::size_t>(writer.out - buffer);
    if (now.bytes + added > kMaxBytes) return false;
    if (block_ == nullptr || capacity(now.bytes + added) != capacity(now.bytes)) {
      char* block = static_cast<char*>(::operator new(capacity(now.bytes + added)));
      if (block_ != nullptr) std::memcpy(block, block_, sizeof(Header) + now.bytes);
      replace(block);
    }
    std::memcpy(block_ + sizeof(Header) + now.bytes, buffer, added);
    now = {static_cast<std::uint32_t>(now.bytes + added), static_cast<std::uint16_t>(now.count + 1),
           static_cast<std::uint16_t>(now.live + element.live())};
    std::memcpy(block_, &now, sizeof now);
    return true;
  }

  // The block up to the element as it is, the element, and the rest.
  const char* const elements = block_ + sizeof(Header);
  const bool was_live = reader.element.live();
  const auto before = static_cast<std::size_t>(reader.begin - elements);
  if (before + room > sizeof buffer) return false;
  std::memcpy(buffer, elements, before);
  writer.out += before;
  writer.dot = reader.dot_before;
  writer.time = reader.time_before;
  writer.put(element);
  if (!writer.put_rest(reader, buffer + sizeof buffer)) return false;
  const auto bytes = static_cast<std::size_t>(writer.out - buffer);
  if (bytes > kMaxBytes) return false;
  char* block = static_cast<char*>(::operator new(capacity(bytes)));
  now.bytes = static_cast<std::uint32_t>(bytes);
  now.live = static_cast<std::uint16_t>(now.live - was_live + element.live());
  std::memcpy(block, &now, sizeof now);
  std::memcpy(block + sizeof now, buffer, bytes);
  replace(block);
  return true;
}

void PackedElements::erase(std::string_view name) {
  Reader reader(*this);
  if (!reader.find(name)) return;
  Header now = header();
  --now.count;
  now.live = static_cast<std::uint16_t>(now.live - reader.element.live());
  if (now.count == 0) return release();
  const char* const elements = block_ + sizeof(Header);
  const auto before = static_cast<std::size_t>(reader.begin - elements);
  char buffer[2 * kMaxBytes];
  std::memcpy(buffer, elements, before);
  Writer writer{buffer + before, reader.dot_before, reader.time_before};
  EVEN_CHECK(writer.put_rest(reader, buffer + sizeof buffer), "fewer elements take more room");
  const auto bytes = static_cast<std::size_t>(writer.out - buffer);
  char* block = static_cast<char*>(::operator new(capacity(bytes)));
  now.bytes = static_cast<std::uint32_t>(bytes);
  std::memcpy(block, &now, sizeof now);
  std::memcpy(block + sizeof now, buffer, bytes);
  replace(block);
}

PackedElements::KeepReplaced::KeepReplaced() { ++keepers; }

PackedElements::KeepReplaced::~KeepReplaced() {
  if (--keepers > 0) return;
  for (char* block : replaced) ::operator delete(block);
  replaced.clear();
}

}  // namespace even
