#include "lattice/codec.h"

#include <fmt/format.h>

#include <bit>
#include <msgpack.hpp>

#include "base/bytes.h"
#include "base/check.h"
#include "lattice/types/bound.h"
#include "lattice/types/position.h"
#include "lattice/types/score.h"
#include "lattice/types/stream_field.h"

namespace even {
namespace {

constexpr std::uint8_t kPartialBit = 0x10;
constexpr std::size_t kKeyHeader = 2;  // key, full; then leaves
// The second part of a body.
constexpr std::uint8_t kFull = 1;
constexpr std::uint8_t kOwnFolds = 2;  // the context's entry of the record's origin folds

// Appends to a string, which has all of it when this is destroyed: a record is packed in many
// pieces of a few bytes, which are gathered here as each append() costs more than they do.
class StringBuffer {
 public:
  explicit StringBuffer(std::string& out) : out_(out) {}
  StringBuffer(const StringBuffer&) = delete;
  StringBuffer& operator=(const StringBuffer&) = delete;
  ~StringBuffer() { flush(); }

  // Inline, as most sizes are known where it is called.
  [[gnu::always_inline]] void write(const char* data, std::size_t size) {
    if (size > sizeof gathered_ - size_) return write_through(data, size);
    std::memcpy(gathered_ + size_, data, size);
    size_ += size;
  }

 private:
  [[gnu::noinline]] void write_through(const char* data, std::size_t size) {
    flush();
    out_.append(data, size);
  }
  void flush() {
    out_.append(gathered_, size_);
    size_ = 0;
  }

  std::string& out_;
  std::size_t size_ = 0;
  char gathered_[128];
};
using Packer = msgpack::packer<StringBuffer>;

void pack_bytes(Packer& packer, std::string_view bytes) {
  packer.pack_bin(static_cast<std::uint32_t>(bytes.size()));
  // Views of nothing may be null.
  if (!bytes.empty()) packer.pack_bin_body(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
}

void pack_number(Packer& packer, std::int64_t value) { packer.pack_int64(value); }
// The two halves of its bits: doubles could not hold what lies beyond their exponents, which long
// doubles reach.
void pack_number(Packer& packer, Real value) {
  const auto bits = std::bit_cast<RealBits>(value);
  packer.pack_array(2);
  packer.pack_uint64(static_cast<std::uint64_t>(bits >> 64));
  packer.pack_uint64(static_cast<std::uint64_t>(bits));
}

template <typename Entries>
void pack_counter(Packer& packer, const Entries& entries, const Dot& own) {
  packer.pack_array(static_cast<std::uint32_t>(entries.size()));
  for (const auto& entry : entries) {
    if (entry.before) {
      EVEN_CHECK((Dot{entry.replica, entry.seq} == own), "an increment is its maker's");
      packer.pack_array(4);
      pack_number(packer, *entry.before);
    } else {
      packer.pack_array(5);
      packer.pack_uint64(entry.replica.value);
      packer.pack_uint64(entry.seq);
    }
    pack_number(packer, entry.sum);
    packer.pack_uint64(entry.removed_seq);
    pack_number(packer, entry.removed_sum);
  }
}

void pack_content(Packer& packer, LeafKind kind, const SiblingView& sibling) {
  switch (kind) {
    case LeafKind::kString:
    case LeafKind::kField:
    case LeafKind::kScore:
    case LeafKind::kItem:
    case LeafKind::kEntry:
    case LeafKind::kBound:
    case LeafKind::kFieldExpiry:
      pack_bytes(packer, sibling.value);
      return;
    case LeafKind::kMember:
      packer.pack_nil();
      return;
    case LeafKind::kExpiry:
      packer.pack_int64(sibling.at_ms);
      return;
  }
}

// Of a buffer that is used again: what it grew beyond this is given back.
constexpr std::size_t kKeptCapacity = 256 << 10;

void pack_leaf(Packer& packer, const LeafDelta& leaf, const Dot& dot, Hlc time) {
  const std::uint32_t size = !leaf.reals.empty() ? 5 : !leaf.integers.empty() ? 4 : 3;
  packer.pack_array(size);
  packer.pack_uint8(static_cast<std::uint8_t>(static_cast<std::uint8_t>(leaf.kind) |
                                              (leaf.partial ? kPartialBit : 0)));
  pack_bytes(packer, leaf.field);
  packer.pack_array(static_cast<std::uint32_t>(leaf.siblings.size()));
  for (const SiblingView& sibling : leaf.siblings) {
    if (sibling.dot == dot && (sibling.time == time || leaf.kind == LeafKind::kMember)) {
      pack_content(packer, leaf.kind, sibling);
      continue;
    }
    packer.pack_array(4);
    packer.pack_uint64(sibling.dot.replica.value);
    packer.pack_uint64(sibling.dot.seq);
    packer.pack_uint64(sibling.time.value);
    pack_content(packer, leaf.kind, sibling);
  }
  if (size > 3) pack_counter(packer, leaf.integers, dot);
  if (size > 4) pack_counter(packer, leaf.reals, dot);
}

struct Malformed {
  std::string_view what;
};

std::uint64_t unsigned_of(const msgpack::object& object) {
  if (object.type != msgpack::type::POSITIVE_INTEGER)
    throw Malformed{"an unsigned integer was expected"};
  return object.via.u64;
}
void get_number(const msgpack::object& object, std::int64_t& out) {
  if (object.type == msgpack::type::NEGATIVE_INTEGER) {
    out = object.via.i64;
  } else {
    const std::uint64_t value = unsigned_of(object);
    if (value > INT64_MAX) throw Malformed{"an integer is out of range"};
    out = static_cast<std::int64_t>(value);
  }
}
const msgpack::object_array& array_of(const msgpack::object& object) {
  if (object.type != msgpack::type::ARRAY) throw Malformed{"an array was expected"};
  return object.via.array;
}
void get_number(const msgpack::object& object, Real& out) {
  const auto& parts = array_of(object);
  if (parts.size != 2) throw Malformed{"a real number has two parts"};
  const RealBits bits = RealBits{unsigned_of(parts.ptr[0])} << 64 | unsigned_of(parts.ptr[1]);
  constexpr RealBits kExponent = RealBits{0x7fff} << 112;  // all ones: infinite, or not a number
  if ((bits & kExponent) == kExponent) throw Malformed{"a real number is not finite"};
  out = std::bit_cast<Real>(bits);
}
std::string_view bytes_of(const msgpack::object& object) {
  if (object.type != msgpack::type::BIN) throw Malformed{"bytes were expected"};
  return {object.via.bin.ptr, object.via.bin.size};
}
bool bool_of(const msgpack::object& object) {
  if (object.type != msgpack::type::BOOLEAN) throw Malformed{"a boolean was expected"};
  return object.via.boolean;
}
Dot dot_of(const msgpack::object& replica, const msgpack::object& seq) {
  const Dot dot{{unsigned_of(replica)}, unsigned_of(seq)};
  if (dot.replica.value == 0 || dot.seq == 0) throw Malformed{"a dot has no replica or no number"};
  if (dot.seq > VersionVector::kMaxSeq) throw Malformed{"the number of a dot is out of range"};
  return dot;
}

// What leaves are a part of: a record, or (without a dot) a state.
struct Whole {
  Dot dot;
  Hlc time;
  const VersionVector* context;  // null: not known
  bool covers(const Dot& part) const { return context == nullptr || context->covers(part); }
};

template <typename Entries>
void get_counter(const msgpack::object& object, const Whole& whole, Entries& out) {
  const auto& entries = array_of(object);
  out.reserve(entries.size);
  for (std::uint32_t i = 0; i < entries.size; ++i) {
    const auto& parts = array_of(entries.ptr[i]);
    if (parts.size != 4 && parts.size != 5) throw Malformed{"a counter entry has 4 or 5 parts"};
    const bool increment = parts.size == 4;
    if (increment && whole.dot.seq == 0) throw Malformed{"a state makes no increments"};
    const msgpack::object* number = parts.ptr + (parts.size - 3);
    const Dot dot = increment ? whole.dot : dot_of(parts.ptr[0], parts.ptr[1]);
    auto& entry = out.emplace_back();
    if (increment) get_number(parts.ptr[0], entry.before.emplace());
    entry.replica = dot.replica;
    entry.seq = dot.seq;
    get_number(number[0], entry.sum);
    entry.removed_seq = unsigned_of(number[1]);
    get_number(number[2], entry.removed_sum);
    if (entry.removed_seq > entry.seq) throw Malformed{"a counter entry is removed beyond its end"};
    if (!whole.covers(dot)) throw Malformed{"the context does not cover a counter entry"};
  }
}

void get_content(const msgpack::object& object, LeafKind kind, SiblingView& out) {
  switch (kind) {
    case LeafKind::kString:
    case LeafKind::kField:
    case LeafKind::kItem:
    case LeafKind::kEntry:
    case LeafKind::kBound:
      out.value = bytes_of(object);
      return;
    case LeafKind::kScore:
    case LeafKind::kFieldExpiry:
      out.value = bytes_of(object);
      if (!is_score(out.value)) throw Malformed{"a score was expected"};
      return;
    case LeafKind::kExpiry:
      get_number(object, out.at_ms);
      return;
    case LeafKind::kMember:
      if (object.type != msgpack::type::NIL) throw Malformed{"a set member has no content"};
      return;
  }
}

void check_bounded(const LeafDelta& leaf, const Whole& whole) {
  for (const SiblingView& sibling : leaf.siblings) {
    BoundedNumber number;
    if (!decode_bounded(sibling.value, number)) throw Malformed{"a bounded counter was expected"};
    for (const BoundEntry& entry : number.entries) {
      if (!whole.covers({entry.replica, entry.seq})) {
        throw Malformed{"the context does not cover an entry of a bounded counter"};
      }
    }
  }
}

void get_leaf(const msgpack::object& object, const Whole& whole, LeafDelta& out) {
  const auto& items = array_of(object);
  if (items.size < 3 || items.size > 5) throw Malformed{"a leaf has three to five parts"};
  const std::uint64_t tag = unsigned_of(items.ptr[0]);
  const std::uint64_t kind = tag & ~std::uint64_t{kPartialBit};
  if (kind >= kLeafKinds) throw Malformed{"a leaf is of an unknown kind"};
  out.kind = static_cast<LeafKind>(kind);
  out.partial = (tag & kPartialBit) != 0;
  out.field = bytes_of(items.ptr[1]);
  const bool may_count = is_scalar(out.kind) && out.kind != LeafKind::kItem &&
                         out.kind != LeafKind::kEntry && out.kind != LeafKind::kFieldExpiry;
  const bool may_be_partial = may_count || out.kind == LeafKind::kBound;
  if ((!may_count && items.size > 3) || (!may_be_partial && out.partial)) {
    throw Malformed{"a leaf has counters that its kind does not have"};
  }
  if (out.kind == LeafKind::kItem && !is_position(out.field)) {
    throw Malformed{"a position was expected"};
  }
  if (out.kind == LeafKind::kEntry && !parse_stream_field(out.field)) {
    throw Malformed{"a field of a stream was expected"};
  }
  if (!is_element(out.kind) && !out.field.empty()) {
    throw Malformed{"a leaf has a field that its kind does not have"};
  }
  const auto& siblings = array_of(items.ptr[2]);
  for (std::uint32_t i = 0; i < siblings.size; ++i) {
    const msgpack::object& item = siblings.ptr[i];
    SiblingView& sibling = out.siblings.emplace_back();
    if (item.type == msgpack::type::ARRAY) {
      const auto& parts = item.via.array;
      if (parts.size != 4) throw Malformed{"a sibling has four parts"};
      sibling.dot = dot_of(parts.ptr[0], parts.ptr[1]);
      sibling.time.value = unsigned_of(parts.ptr[2]);
      get_content(parts.ptr[3], out.kind, sibling);
      if (!whole.covers(sibling.dot)) throw Malformed{"the context does not cover a sibling"};
    } else {
      if (whole.dot.seq == 0) throw Malformed{"a state has siblings without dots"};
      sibling.dot = whole.dot;
      sibling.time = whole.time;
      get_content(item, out.kind, sibling);
    }
  }
  if (out.kind == LeafKind::kBound) check_bounded(out, whole);
  if (items.size > 3) get_counter(items.ptr[3], whole, out.integers);
  if (items.size > 4) get_counter(items.ptr[4], whole, out.reals);
}

void get_body(const msgpack::object& object, Record& out) {
  const auto& items = array_of(object);
  if (items.size != 3) throw Malformed{"a record's body has three parts"};
  const auto& context = array_of(items.ptr[0]);
  if (context.size % 2 != 0) throw Malformed{"a context has pairs"};
  for (std::uint32_t i = 0; i < context.size; i += 2) {
    const msgpack::object& number = context.ptr[i + 1];
    const bool folds = number.type == msgpack::type::NEGATIVE_INTEGER;
    if (folds && number.via.i64 == INT64_MIN)
      throw Malformed{"the number of a dot is out of range"};
    const Dot dot = folds ? dot_of(context.ptr[i], msgpack::object(-number.via.i64))
                          : dot_of(context.ptr[i], number);
    if (out.context[dot.replica] != 0) throw Malformed{"a context names a replica twice"};
    out.context.add(dot);
    if (folds) out.context.fold(dot.replica);
  }
  const std::uint64_t flags = unsigned_of(items.ptr[1]);
  if (flags > (kFull | kOwnFolds)) throw Malformed{"a flag is not known"};
  out.delta.full = (flags & kFull) != 0;
  if ((flags & kOwnFolds) != 0) {
    if (out.origin.value == 0) throw Malformed{"a state has no origin"};
    if (out.folds) throw Malformed{"a record folds what has been folded"};
    out.context.fold(out.origin);
  }
  if (out.origin.value == 0 && !out.delta.full) throw Malformed{"a state is not full"};
  const auto& keys = array_of(items.ptr[2]);
  const Whole whole{out.dot(), out.time, &out.context};
  out.delta.keys.reserve(keys.size);
  for (std::uint32_t i = 0; i < keys.size; ++i) {
    const auto& parts = array_of(keys.ptr[i]);
    if (parts.size < kKeyHeader) throw Malformed{"a key has at least two parts"};
    KeyDelta& key = out.delta.keys.emplace_back();
    key.key = bytes_of(parts.ptr[0]);
    key.full = bool_of(parts.ptr[1]);
    key.leaves.reserve(parts.size - kKeyHeader);
    for (std::uint32_t j = kKeyHeader; j < parts.size; ++j) {
      get_leaf(parts.ptr[j], whole, key.leaves.emplace_back());
    }
  }
}

}  // namespace

namespace {

// In little-endian order, as put_little_endian().
template <typename T>
void put(StringBuffer& buffer, T value) {
  buffer.write(reinterpret_cast<const char*>(&value), sizeof value);
}

// All before the keys, of which there are `keys`. Flattened, as what a packer writes are constants
// of one to nine bytes, each a call where it is not inlined.
[[gnu::flatten]] void pack_front(const Record& record, bool full, std::size_t keys,
                                 std::string& out) {
  const Dot own = record.dot();
  StringBuffer buffer(out);
  put(buffer, record.partition);
  put(buffer, own.replica.value);
  put(buffer, own.seq | (record.folds ? VersionVector::kFoldsBit : 0));
  put(buffer, record.time.value);
  Packer packer(buffer);
  packer.pack_array(3);
  const std::size_t others = record.context.entries().size() - (own.seq != 0 ? 1 : 0);
  packer.pack_array(static_cast<std::uint32_t>(others * 2));
  bool own_folds = false;
  for (const VersionVector::Entry& entry : record.context.entries()) {
    if (entry.replica == own.replica) {
      own_folds = entry.folds;
      continue;
    }
    packer.pack_uint64(entry.replica.value);
    const auto seq = static_cast<std::int64_t>(entry.seq);
    packer.pack_int64(entry.folds ? -seq : seq);
  }
  packer.pack_uint8(static_cast<std::uint8_t>((full ? kFull : 0) | (own_folds ? kOwnFolds : 0)));
  packer.pack_array(static_cast<std::uint32_t>(keys));
}

[[gnu::flatten]] void pack_key(Packer& packer, const KeyDelta& key, const Dot& own, Hlc time) {
  packer.pack_array(static_cast<std::uint32_t>(kKeyHeader + key.leaves.size()));
  pack_bytes(packer, key.key);
  key.full ? packer.pack_true() : packer.pack_false();
  for (const LeafDelta& leaf : key.leaves) pack_leaf(packer, leaf, own, time);
}

std::size_t bytes_of_values(const KeyDelta& key) {
  std::size_t bytes = 0;
  for (const LeafDelta& leaf : key.leaves) {
    for (const SiblingView& sibling : leaf.siblings) bytes += sibling.value.size();
  }
  return bytes;
}

std::size_t array_header_bytes(std::size_t size) { return size < 16 ? 1 : size < 65536 ? 3 : 5; }

}  // namespace

void encode_record(const Record& record, std::string& out) {
  pack_front(record, record.delta.full, record.delta.keys.size(), out);
  StringBuffer buffer(out);
  Packer packer(buffer);
  for (const KeyDelta& key : record.delta.keys) pack_key(packer, key, record.dot(), record.time);
}

void RecordBuilder::add(const KeyDelta& key, const Dot& dot, Hlc time) {
  begun_ = true;
  // A buffer that grows by doubling would be copied, and take up to twice the memory.
  if (const std::size_t values = bytes_of_values(key); values >= kKeptCapacity) {
    keys_.reserve(keys_.size() + values + key.key.size() + kKeptCapacity / 2);
  }
  if (!key.full && last_leaves_ > 0 &&
      std::string_view(keys_).substr(last_key_, last_key_bytes_) == key.key) {
    std::string header;
    const std::size_t before = array_header_bytes(kKeyHeader + last_leaves_);
    last_leaves_ += key.leaves.size();
    {
      StringBuffer header_buffer(header);
      Packer(header_buffer).pack_array(static_cast<std::uint32_t>(kKeyHeader + last_leaves_));
    }
    keys_.replace(last_, before, header);
    last_key_ += header.size() - before;
    StringBuffer buffer(keys_);
    Packer packer(buffer);
    for (const LeafDelta& leaf : key.leaves) pack_leaf(packer, leaf, dot, time);
    return;
  }
  ++count_;
  last_ = keys_.size();
  last_leaves_ = key.full ? 0 : key.leaves.size();
  StringBuffer buffer(keys_);
  Packer packer(buffer);
  pack_key(packer, key, dot, time);
  last_key_bytes_ = key.key.size();
  const std::size_t bin_header = last_key_bytes_ < 256 ? 2 : last_key_bytes_ < 65536 ? 3 : 5;
  last_key_ = last_ + array_header_bytes(kKeyHeader + key.leaves.size()) + bin_header;
}

void RecordBuilder::finish(const Record& head, bool full, std::string& out) {
  pack_front(head, full, count_, out);
  out += keys_;
  keys_.clear();
  if (keys_.capacity() > kKeptCapacity) keys_.shrink_to_fit();
  count_ = last_leaves_ = 0;
  begun_ = false;
}

void encode_leaves(std::span<const LeafDelta> leaves, std::string& out) {
  StringBuffer buffer(out);
  Packer packer(buffer);
  packer.pack_array(static_cast<std::uint32_t>(leaves.size()));
  for (const LeafDelta& leaf : leaves) pack_leaf(packer, leaf, {}, {});
}

namespace {

// Calls use(object) with what the bytes hold, all of them.
template <typename Use>
Result<> unpack(std::string_view bytes, msgpack::zone& zone, std::string_view what, Use use) {
  try {
    zone.clear();
    std::size_t offset = 0;
    bool referenced = false;
    // Sizes are bounded by the input: every element takes at least one byte of it.
    const std::size_t limit = bytes.size();
    const msgpack::object object = msgpack::unpack(
        zone, bytes.data(), bytes.size(), offset, referenced,
        [](msgpack::type::object_type, std::size_t, void*) { return true; }, nullptr,
        msgpack::unpack_limit(limit, 0, limit, limit, 0, 8));
    if (offset != bytes.size()) return fail(fmt::format("malformed {}: bytes are left over", what));
    use(object);
  } catch (const Malformed& error) {
    return fail(fmt::format("malformed {}: {}", what, error.what));
  } catch (const std::exception& error) {
    return fail(fmt::format("malformed {}: {}", what, error.what()));
  }
  return {};
}

}  // namespace

struct LeavesDecoder::Impl {
  msgpack::zone zone;
  std::vector<LeafDelta> leaves;
};

LeavesDecoder::LeavesDecoder() : impl_(std::make_unique<Impl>()) {}
LeavesDecoder::~LeavesDecoder() = default;

Result<std::span<const LeafDelta>> LeavesDecoder::decode(std::string_view bytes) {
  auto& leaves = impl_->leaves;
  leaves.clear();
  const auto unpacked = unpack(bytes, impl_->zone, "leaves", [&](const msgpack::object& object) {
    const auto& items = array_of(object);
    leaves.reserve(items.size);
    for (std::uint32_t i = 0; i < items.size; ++i) {
      get_leaf(items.ptr[i], {{}, {}, nullptr}, leaves.emplace_back());
    }
  });
  if (!unpacked) return std::unexpected(unpacked.error());
  return leaves;
}

struct RecordDecoder::Impl {
  msgpack::zone zone;
};

RecordDecoder::RecordDecoder() : impl_(std::make_unique<Impl>()) {}
RecordDecoder::~RecordDecoder() = default;

std::optional<RecordHead> decode_record_head(std::string_view bytes) {
  if (bytes.size() < kRecordHeadBytes) return std::nullopt;
  RecordHead head;
  head.partition = get_little_endian<std::uint16_t>(bytes.data());
  head.dot.replica.value = get_little_endian<std::uint64_t>(bytes.data() + 2);
  const auto seq = get_little_endian<std::uint64_t>(bytes.data() + 10);
  head.dot.seq = seq & VersionVector::kMaxSeq;
  head.folds = (seq & VersionVector::kFoldsBit) != 0;
  head.time.value = get_little_endian<std::uint64_t>(bytes.data() + 18);
  if ((head.dot.replica.value == 0) != (head.dot.seq == 0)) return std::nullopt;
  if (head.folds && head.dot.seq == 0) return std::nullopt;
  return head;
}

Result<Record> RecordDecoder::decode(std::string_view bytes) {
  Record record;
  const auto head = decode_record_head(bytes);
  if (!head) return fail("malformed record: its head is cut off or names no dot");
  record.partition = head->partition;
  record.origin = head->dot.replica;
  record.folds = head->folds;
  record.time = head->time;
  record.context.add(head->dot);
  bytes.remove_prefix(kRecordHeadBytes);
  const auto unpacked = unpack(bytes, impl_->zone, "record",
                               [&](const msgpack::object& object) { get_body(object, record); });
  if (!unpacked) return std::unexpected(unpacked.error());
  return record;
}

}  // namespace even
