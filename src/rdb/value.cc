#include "rdb/value.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <unordered_set>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "rdb/crc64.h"
#include "rdb/length.h"
#include "rdb/lzf.h"
#include "rdb/packed.h"

namespace even::rdb {
namespace {

// The types of values that are known here, by their bytes.
enum ValueByte : std::uint8_t {
  kStringByte = 0,
  kListByte = 1,
  kSetByte = 2,
  kScoresInTextByte = 3,
  kHashByte = 4,
  kScoresByte = 5,
  kListZiplistByte = 10,
  kIntsetByte = 11,
  kScoresZiplistByte = 12,
  kHashZiplistByte = 13,
  kQuicklistByte = 14,
  kHashListpackByte = 16,
  kScoresListpackByte = 17,
  kQuicklist2Byte = 18,
  kSetListpackByte = 20,  // Redis 7.2
  // Redis 7.4: hashes with fields that expire.
  kHashMetadataByte = 24,
  kHashListpackExByte = 25,
};
// Of a node of a quicklist2.
constexpr std::uint64_t kPlainNode = 1;
constexpr std::uint64_t kPackedNode = 2;
// In the place of the length of a score in text.
constexpr unsigned kNanText = 253;
constexpr unsigned kInfinityText = 254;
constexpr unsigned kMinusInfinityText = 255;

// Redis's default configuration.
constexpr std::size_t kMostListpackNode = 8192;
constexpr std::size_t kMostIntset = 512;
constexpr std::size_t kMostListpackFields = 512;
constexpr std::size_t kMostListpackScores = 128;
constexpr std::size_t kLongestInListpack = 64;

constexpr std::int64_t kLastExpiryMs = (std::int64_t{1} << 48) - 1;

// As strtod reads a score, all of the text, and not NaN.
bool parse_number(const std::string& text, double& out) {
  if (text.empty() || text.find('\0') != std::string::npos) return false;
  char* end = nullptr;
  out = std::strtod(text.c_str(), &end);
  return *end == '\0' && !std::isnan(out);
}

class ValueReader {
 public:
  ValueReader(std::string_view bytes, Budget& budget) : in_(bytes), budget_(budget) {}

  // An error that has been met is in the outcome; what was read then means nothing.
  Result<Value> read(std::uint8_t type) {
    Value out;
    read_content(type, out);
    if (!in_.ok() && error_.empty()) error_ = "a value that ends too early";
    if (error_.empty()) check(out);
    if (!error_.empty()) return fail(error_);
    return out;
  }
  std::size_t left() const { return in_.left(); }

 private:
  void refuse(std::string why) {
    if (error_.empty()) error_ = std::move(why);
  }
  bool good() const { return in_.ok() && error_.empty(); }

  std::uint64_t length() {
    std::uint64_t out = 0;
    if (!read_length(in_, out)) refuse("a length in an unknown form");
    return out;
  }
  // The number of elements of so many bytes or more each.
  std::size_t count(std::size_t least_bytes) {
    const std::uint64_t number = length();
    if (number <= in_.left() / least_bytes) return static_cast<std::size_t>(number);
    refuse("fewer elements than announced");
    return 0;
  }

  std::string string() {
    std::string out;
    if (!good()) return out;
    if (!read_string(in_, budget_, out)) {
      refuse(budget_.exceeded() ? "a string that there may be no memory for"
                                : "a string that ends too early, or in an unknown form");
    }
    return out;
  }

  template <typename T>
  T taken(Result<T> result) {
    if (result) return std::move(*result);
    refuse(result.error().message);
    return {};
  }

  void read_item(Value& out) {
    if (!budget_.take_element()) return refuse("more elements than there may be memory for");
    out.items.push_back(string());
  }
  void read_items(std::size_t number, Value& out) {
    for (std::size_t i = 0; i < number && good(); ++i) read_item(out);
  }

  double text_score() {
    const unsigned size = in_.get<std::uint8_t>();
    if (size == kInfinityText) return std::numeric_limits<double>::infinity();
    if (size == kMinusInfinityText) return -std::numeric_limits<double>::infinity();
    double out = 0;
    if (size == kNanText || !parse_number(std::string(in_.bytes(size)), out)) {
      refuse("a score that is no number");
    }
    return out;
  }
  double binary_score() {
    const double out = std::bit_cast<double>(in_.get<std::uint64_t>());
    if (std::isnan(out)) refuse("a score that is no number");
    return out;
  }

  void append(std::vector<std::string> more, std::vector<std::string>& out) {
    std::ranges::move(more, std::back_inserter(out));
  }
  // Members with their scores behind them.
  void split_scores(std::vector<std::string> all, Value& out) {
    if (all.size() % 2 != 0) return refuse("a member without a score");
    for (std::size_t i = 0; i < all.size() && good(); i += 2) {
      double score = 0;
      if (!parse_number(all[i + 1], score)) return refuse("a score that is no number");
      out.items.push_back(std::move(all[i]));
      out.scores.push_back(score);
    }
  }

  void add_expiry(std::int64_t at_ms, Value& out) {
    if (at_ms < 0 || at_ms > kLastExpiryMs) return refuse("an expiry of a field that is none");
    out.expiries_ms.push_back(at_ms);
  }
  // The first expiry, then each field behind its own as what it is later than that, plus one; 0: it
  // has none.
  void read_expiring_fields(Value& out) {
    const auto first_ms = static_cast<std::int64_t>(in_.get<std::uint64_t>());
    if (first_ms < 0 || first_ms > kLastExpiryMs)
      return refuse("an expiry of a field that is none");
    for (std::size_t fields = count(3); fields > 0 && good(); --fields) {
      const std::uint64_t later = length();
      if (later > static_cast<std::uint64_t>(kLastExpiryMs)) {
        return refuse("an expiry of a field that is none");
      }
      add_expiry(later == 0 ? kNoExpiry : first_ms + static_cast<std::int64_t>(later) - 1, out);
      read_items(2, out);
    }
  }
  // Fields, values and expiries, one after the other.
  void split_expiries(std::vector<std::string> all, Value& out) {
    if (all.size() % 3 != 0) return refuse("a field without an expiry");
    for (std::size_t i = 0; i < all.size() && good(); i += 3) {
      std::int64_t at_ms = 0;
      if (!parse_canonical(all[i + 2], at_ms)) return refuse("an expiry of a field that is none");
      add_expiry(at_ms, out);
      out.items.push_back(std::move(all[i]));
      out.items.push_back(std::move(all[i + 1]));
    }
  }

  void read_content(unsigned type, Value& out) {
    switch (type) {
      case kStringByte:
        return read_item(out);
      case kListByte:
        out.type = Type::kList;
        return read_items(count(1), out);
      case kListZiplistByte:
        out.type = Type::kList;
        return append(taken(read_ziplist(string(), budget_)), out.items);
      case kQuicklistByte:
        out.type = Type::kList;
        for (std::size_t nodes = count(1); nodes > 0 && good(); --nodes) {
          append(taken(read_ziplist(string(), budget_)), out.items);
        }
        return;
      case kQuicklist2Byte:
        out.type = Type::kList;
        for (std::size_t nodes = count(2); nodes > 0 && good(); --nodes) read_node(out);
        return;
      case kSetByte:
        out.type = Type::kSet;
        return read_items(count(1), out);
      case kIntsetByte:
        out.type = Type::kSet;
        return append(taken(read_intset(string(), budget_)), out.items);
      case kSetListpackByte:
        out.type = Type::kSet;
        return append(taken(read_listpack(string(), budget_)), out.items);
      case kHashByte:
        out.type = Type::kHash;
        return read_items(2 * count(2), out);
      case kHashZiplistByte:
        out.type = Type::kHash;
        return append(taken(read_ziplist(string(), budget_)), out.items);
      case kHashListpackByte:
        out.type = Type::kHash;
        return append(taken(read_listpack(string(), budget_)), out.items);
      case kHashMetadataByte:
        out.type = Type::kHash;
        return read_expiring_fields(out);
      case kHashListpackExByte: {
        out.type = Type::kHash;
        (void)in_.get<std::uint64_t>();  // the first expiry
        return split_expiries(taken(read_listpack(string(), budget_)), out);
      }
      case kScoresByte:
      case kScoresInTextByte:
        out.type = Type::kSortedSet;
        for (std::size_t members = count(2); members > 0 && good(); --members) {
          read_item(out);
          out.scores.push_back(type == kScoresByte ? binary_score() : text_score());
        }
        return;
      case kScoresZiplistByte:
        out.type = Type::kSortedSet;
        return split_scores(taken(read_ziplist(string(), budget_)), out);
      case kScoresListpackByte:
        out.type = Type::kSortedSet;
        return split_scores(taken(read_listpack(string(), budget_)), out);
      default:
        refuse("a value of an unknown type");
    }
  }

  void read_node(Value& out) {
    const std::uint64_t container = length();
    if (container == kPlainNode) {
      read_item(out);
    } else if (container == kPackedNode) {
      append(taken(read_listpack(string(), budget_)), out.items);
    } else {
      refuse("a node of a list in an unknown form");
    }
  }

  void check(const Value& value) {
    if (value.items.empty()) return refuse("a collection without elements");
    if (value.type == Type::kString || value.type == Type::kList) return;
    const std::size_t step = value.type == Type::kHash ? 2 : 1;
    if (value.items.size() % step != 0) return refuse("a field without a value");
    std::unordered_set<std::string_view> names;
    for (std::size_t i = 0; i < value.items.size(); i += step) {
      if (!names.insert(value.items[i]).second) return refuse("two elements of one name");
    }
  }

  ByteReader in_;
  Budget& budget_;
  std::string error_;
};

// --- Writing.

std::string score_in_text(double score) {
  constexpr double kExact = 4503599627370496;  // 2^52
  char buffer[40];
  const bool whole = score > -kExact && score < kExact && score == std::trunc(score);
  const int size = whole
                       ? std::snprintf(buffer, sizeof buffer, "%lld", static_cast<long long>(score))
                       : std::snprintf(buffer, sizeof buffer, "%.17g", score);
  return {buffer, static_cast<std::size_t>(size)};
}

bool all_short(const Value& value) {
  return std::ranges::all_of(
      value.items, [](const std::string& item) { return item.size() <= kLongestInListpack; });
}

void write_string_or_list(const Value& value, std::string& out) {
  if (value.type == Type::kString) {
    out += static_cast<char>(kStringByte);
    return put_string(out, value.items.front());
  }
  out += static_cast<char>(kQuicklist2Byte);
  std::string nodes;
  std::uint64_t number = 0;
  ListpackWriter packed;
  const auto end_packed = [&] {
    if (packed.size() == 0) return;
    put_length(nodes, kPackedNode);
    put_string(nodes, packed.finish());
    ++number;
  };
  for (const std::string& item : value.items) {
    if (packed.bytes() + item.size() > kMostListpackNode) end_packed();
    if (item.size() < kMostListpackNode) {
      packed.add(item);
      continue;
    }
    put_length(nodes, kPlainNode);
    put_string(nodes, item);
    ++number;
  }
  end_packed();
  put_length(out, number);
  out += nodes;
}

void write_set(const Value& value, std::string& out) {
  std::vector<std::int64_t> numbers;
  for (const std::string& item : value.items) {
    std::int64_t number;
    if (numbers.size() == kMostIntset || !parse_canonical(item, number)) break;
    numbers.push_back(number);
  }
  if (numbers.size() == value.items.size()) {
    out += static_cast<char>(kIntsetByte);
    return put_string(out, write_intset(std::move(numbers)));
  }
  out += static_cast<char>(kSetByte);
  put_length(out, value.items.size());
  for (const std::string& item : value.items) put_string(out, item);
}

// What Redis 7.4 reads where fields expire; it makes of it the form that it keeps.
void write_expiring_hash(const Value& value, std::string& out) {
  std::int64_t first_ms = kLastExpiryMs;
  for (const std::int64_t at_ms : value.expiries_ms) {
    if (at_ms != kNoExpiry) first_ms = std::min(first_ms, at_ms);
  }
  out += static_cast<char>(kHashMetadataByte);
  put_little_endian(out, static_cast<std::uint64_t>(first_ms));
  put_length(out, value.expiries_ms.size());
  for (std::size_t i = 0; i < value.expiries_ms.size(); ++i) {
    const std::int64_t at_ms = value.expiries_ms[i];
    put_length(out, at_ms == kNoExpiry ? 0 : static_cast<std::uint64_t>(at_ms - first_ms + 1));
    put_string(out, value.items[2 * i]);
    put_string(out, value.items[2 * i + 1]);
  }
}

void write_hash(const Value& value, std::string& out) {
  if (!value.expiries_ms.empty()) return write_expiring_hash(value, out);
  const std::size_t fields = value.items.size() / 2;
  if (fields <= kMostListpackFields && all_short(value)) {
    ListpackWriter packed;
    for (const std::string& item : value.items) packed.add(item);
    out += static_cast<char>(kHashListpackByte);
    return put_string(out, packed.finish());
  }
  out += static_cast<char>(kHashByte);
  put_length(out, fields);
  for (const std::string& item : value.items) put_string(out, item);
}

void write_scores(const Value& value, std::string& out) {
  const std::size_t size = value.items.size();
  if (size <= kMostListpackScores && all_short(value)) {
    ListpackWriter packed;
    for (std::size_t i = 0; i < size; ++i) {
      packed.add(value.items[i]);
      packed.add(score_in_text(value.scores[i]));
    }
    out += static_cast<char>(kScoresListpackByte);
    return put_string(out, packed.finish());
  }
  out += static_cast<char>(kScoresByte);
  put_length(out, size);
  for (std::size_t i = size; i-- > 0;) {  // as Redis does, so that it inserts at one end
    put_string(out, value.items[i]);
    put_little_endian(out, std::bit_cast<std::uint64_t>(value.scores[i]));
  }
}

// With its byte of type before it.
Result<AnyValue> read_any(std::string_view& bytes, Budget& budget) {
  const auto type = static_cast<std::uint8_t>(bytes.empty() ? '\0' : bytes.front());
  if (!is_stream_type(type)) return read_value(bytes, budget);
  bytes.remove_prefix(1);
  return read_stream(type, bytes, budget);
}

}  // namespace

Result<Value> read_value(std::uint8_t type, std::string_view& content, Budget& budget) {
  ValueReader reader(content, budget);
  Result<Value> out = reader.read(type);
  if (out) content.remove_prefix(content.size() - reader.left());
  return out;
}

Result<Value> read_value(std::string_view& bytes, Budget& budget) {
  if (bytes.empty()) return fail("a value that ends too early");
  std::string_view content = bytes.substr(1);
  Result<Value> out = read_value(static_cast<std::uint8_t>(bytes.front()), content, budget);
  if (out) bytes = content;
  return out;
}

std::string write_value(const Value& value) {
  std::string out;
  switch (value.type) {
    case Type::kString:
    case Type::kList:
      write_string_or_list(value, out);
      break;
    case Type::kSet:
      write_set(value, out);
      break;
    case Type::kHash:
      write_hash(value, out);
      break;
    case Type::kSortedSet:
      write_scores(value, out);
      break;
  }
  return out;
}

std::expected<AnyValue, PayloadError> read_payload(std::string_view payload, Budget& budget) {
  constexpr std::size_t kFooter = sizeof(std::uint16_t) + sizeof(std::uint64_t);
  if (payload.size() < kFooter) return std::unexpected(PayloadError::kVersionOrChecksum);
  std::string_view content = payload.substr(0, payload.size() - kFooter);
  ByteReader footer(payload.substr(content.size()));
  const std::uint16_t version = footer.get<std::uint16_t>();
  const std::uint64_t checksum = footer.get<std::uint64_t>();
  const std::string_view covered = payload.substr(0, content.size() + sizeof version);
  if (version > kLastVersion || crc64(covered) != checksum) {
    return std::unexpected(PayloadError::kVersionOrChecksum);
  }
  Result<AnyValue> value = read_any(content, budget);
  if (budget.exceeded()) return std::unexpected(PayloadError::kMemory);
  if (!value || !content.empty()) return std::unexpected(PayloadError::kFormat);
  return std::move(*value);
}

std::string write_payload(const AnyValue& any) {
  if (const auto* stream = std::get_if<StreamValue>(&any)) return payload_of(write_stream(*stream));
  const auto& value = std::get<Value>(any);
  return payload_of(write_value(value), value.expiries_ms.empty() ? kVersion : kLastVersion);
}

std::string payload_of(std::string value, std::uint16_t version) {
  put_little_endian(value, version);
  put_little_endian(value, crc64(value));
  return value;
}

}  // namespace even::rdb
