// Bitmaps and bitfields: strings as arrays of bits, of which the first is the highest of the first
// byte. Like SETRANGE, what changes a bit writes the whole string; see docs/consistency.md.
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/command.h"
#include "engine/string_value.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::string_view kNotBitOffset = "ERR bit offset is not an integer or out of range";
constexpr std::string_view kNotBit = "ERR bit is not an integer or out of range";

using Bits = std::uint64_t;  // counts bits, or is some

Bits bit_at(std::string_view bytes, Bits offset) {
  const Bits byte = offset / 8;
  if (byte >= bytes.size()) return 0;
  return static_cast<unsigned char>(bytes[byte]) >> (7 - offset % 8) & 1;
}

void set_bit(std::string& bytes, Bits offset, bool on) {
  const auto mask = static_cast<unsigned char>(0x80u >> offset % 8);
  auto byte = static_cast<unsigned char>(bytes[offset / 8]);
  byte = static_cast<unsigned char>(on ? byte | mask : byte & ~mask);
  bytes[offset / 8] = static_cast<char>(byte);
}

// Replies an error and returns false when it is not the offset of a bit. "#2" counts fields of
// `width` bits.
bool read_bit_offset(Context& context, std::string_view text, Bits width, Bits& out) {
  const bool counts_fields = width > 0 && text.starts_with('#');
  const std::optional<std::int64_t> number = parse_integer(text.substr(counts_fields ? 1 : 0));
  const Bits unit = counts_fields ? width : 1;
  // Of a field, the first bit: the last field may go beyond.
  constexpr Bits kLastBit = kMaxStringBytes * 8 - 1;
  if (!number || *number < 0 || static_cast<Bits>(*number) > kLastBit / unit) {
    context.reply.error(kNotBitOffset);
    return false;
  }
  out = static_cast<Bits>(*number) * unit;
  return true;
}

// A string's bytes that can be changed, with room for bit `last`.
std::string with_room(std::string_view old, Bits last) {
  std::string out;
  const std::size_t size = std::max<std::size_t>(old.size(), last / 8 + 1);
  out.reserve(size);
  out.append(old);
  out.resize(size);
  return out;
}

void write_bits(Context& context, std::string_view key, std::string_view old, std::string changed) {
  if (changed == old) return;
  context.write(key).set_string(context.keep(std::move(changed)), true);
}

void setbit_command(Context& context, Args args) {
  Bits offset;
  std::int64_t on;
  if (!read_bit_offset(context, args[2], 0, offset)) return;
  if (!read_integer(context, args[3], on, kNotBit)) return;
  if (on != 0 && on != 1) return context.reply.error(kNotBit);
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  const std::string_view old = bytes_of(object, scratch);
  const Bits before = bit_at(old, offset);
  context.reply.integer(static_cast<std::int64_t>(before));
  if (before == static_cast<Bits>(on) && offset / 8 < old.size()) return;
  std::string changed = with_room(old, offset);
  set_bit(changed, offset, on == 1);
  write_bits(context, args[1], old, std::move(changed));
}

void getbit_command(Context& context, Args args) {
  Bits offset;
  if (!read_bit_offset(context, args[2], 0, offset)) return;
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  context.reply.integer(static_cast<std::int64_t>(bit_at(bytes_of(object, scratch), offset)));
}

// Bits from `first` to `last`; none when first > last.
struct BitRange {
  std::int64_t first = 0;
  std::int64_t last = -1;
};

// Of `start` and `end` in bits or bytes, which count from the end where they are negative.
BitRange bit_range(std::int64_t start, std::int64_t end, bool in_bits, std::size_t bytes) {
  const std::int64_t unit = in_bits ? 1 : 8;
  const auto length = static_cast<std::int64_t>(bytes) * 8 / unit;
  if (start < 0) start = std::max<std::int64_t>(start + length, 0);
  if (end < 0) end = std::max<std::int64_t>(end + length, 0);
  end = std::min(end, length - 1);
  if (start > end) return {};
  return {start * unit, end * unit + unit - 1};
}

// False, after an error, when it is neither.
bool read_unit(Context& context, std::string_view word, bool& in_bits) {
  in_bits = equals_ignore_case(word, "bit");
  if (in_bits || equals_ignore_case(word, "byte")) return true;
  context.reply.error(kSyntaxError);
  return false;
}

std::int64_t count_in_bytes(std::string_view bytes) {
  std::int64_t count = 0;
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= bytes.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    count += std::popcount(word);
  }
  for (; at < bytes.size(); ++at) count += std::popcount(static_cast<unsigned char>(bytes[at]));
  return count;
}

std::int64_t count_bits(std::string_view bytes, BitRange range) {
  std::int64_t count = 0;
  const auto one = [&](std::int64_t bit) {
    count += static_cast<std::int64_t>(bit_at(bytes, static_cast<Bits>(bit)));
  };
  while (range.first <= range.last && range.first % 8 != 0) one(range.first++);
  while (range.first <= range.last && range.last % 8 != 7) one(range.last--);
  if (range.first > range.last) return count;
  return count +
         count_in_bytes(bytes.substr(static_cast<std::size_t>(range.first / 8),
                                     static_cast<std::size_t>((range.last - range.first + 1) / 8)));
}

void bitcount_command(Context& context, Args args) {
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  if (object == nullptr) return context.reply.integer(0);
  std::string scratch;
  const std::string_view bytes = bytes_of(object, scratch);
  if (args.size() == 2) return context.reply.integer(count_in_bytes(bytes));
  if (args.size() < 4 || args.size() > 5) return context.reply.error(kSyntaxError);
  std::int64_t start;
  std::int64_t end;
  bool in_bits = false;
  if (!read_integer(context, args[2], start) || !read_integer(context, args[3], end)) return;
  if (start < 0 && end < 0 && start > end) return context.reply.integer(0);
  if (args.size() == 5 && !read_unit(context, args[4], in_bits)) return;
  context.reply.integer(count_bits(bytes, bit_range(start, end, in_bits, bytes.size())));
}

// The first bit in a range that is `wanted`; -1: there is none.
std::int64_t find_bit(std::string_view bytes, BitRange range, Bits wanted) {
  const char skipped = wanted == 1 ? '\0' : '\xff';
  for (std::int64_t bit = range.first; bit <= range.last; ++bit) {
    if (bit % 8 == 0) {
      const std::size_t at = bytes.find_first_not_of(skipped, static_cast<std::size_t>(bit / 8));
      if (at == std::string_view::npos) return -1;
      bit = static_cast<std::int64_t>(at * 8);
      if (bit > range.last) return -1;
    }
    if (bit_at(bytes, static_cast<Bits>(bit)) == wanted) return bit;
  }
  return -1;
}

void bitpos_command(Context& context, Args args) {
  std::int64_t wanted;
  if (!read_integer(context, args[2], wanted)) return;
  if (wanted != 0 && wanted != 1) {
    return context.reply.error("ERR The bit argument must be 1 or 0.");
  }
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  if (object == nullptr) return context.reply.integer(wanted == 1 ? -1 : 0);
  if (args.size() > 6) return context.reply.error(kSyntaxError);
  std::int64_t start = 0;
  std::int64_t end = -1;
  bool in_bits = false;
  if (args.size() > 3 && !read_integer(context, args[3], start)) return;
  if (args.size() > 5 && !read_unit(context, args[5], in_bits)) return;
  if (args.size() > 4 && !read_integer(context, args[4], end)) return;
  std::string scratch;
  const std::string_view bytes = bytes_of(object, scratch);
  const BitRange range = bit_range(start, end, in_bits, bytes.size());
  const std::int64_t found = find_bit(bytes, range, static_cast<Bits>(wanted));
  // Without an end the string goes on, with zeros.
  const bool behind = found < 0 && wanted == 0 && args.size() <= 4 && range.first <= range.last;
  context.reply.integer(behind ? static_cast<std::int64_t>(bytes.size() * 8) : found);
}

void bitop_command(Context& context, Args args) {
  const std::string_view name = args[1];
  const bool inverts = equals_ignore_case(name, "not");
  const bool adds = equals_ignore_case(name, "or");
  const bool differs = equals_ignore_case(name, "xor");
  if (!inverts && !adds && !differs && !equals_ignore_case(name, "and")) {
    return context.reply.error(kSyntaxError);
  }
  if (inverts && args.size() != 4) {
    return context.reply.error("ERR BITOP NOT must be called with a single source key.");
  }
  const Args keys = args.subspan(3);
  std::vector<std::string> computed(keys.size());
  std::vector<std::string_view> inputs;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Object* object;
    if (!context.find(keys[i], ObjectType::kString, object)) return;
    inputs.push_back(bytes_of(object, computed[i]));
    longest = std::max(longest, inputs.back().size());
  }
  std::string out(inputs.front());
  out.resize(longest);
  for (const std::string_view input : std::span(inputs).subspan(1)) {
    for (std::size_t i = 0; i < longest; ++i) {
      const char other = i < input.size() ? input[i] : '\0';
      const char now = out[i];
      out[i] = static_cast<char>(adds ? now | other : differs ? now ^ other : now & other);
    }
  }
  if (inverts) {
    for (char& byte : out) byte = static_cast<char>(~byte);
  }
  context.reply.integer(static_cast<std::int64_t>(longest));
  if (longest > 0) {
    context.write(args[2]).set_string(context.keep(std::move(out)), false);
  } else if (context.find(args[2]) != nullptr) {
    context.write(args[2]).remove();
  }
}

// --- Bitfields.

enum class Overflow : std::uint8_t { kWrap, kSaturate, kFail };

struct FieldType {
  bool with_sign = false;
  unsigned width = 0;  // bits; 64 only with sign

  std::uint64_t mask() const { return width == 64 ? ~0ull : (1ull << width) - 1; }
  // Of bits of this type as a 64-bit integer.
  std::int64_t extended(std::uint64_t bits) const {
    bits &= mask();
    const bool negative = with_sign && (bits >> (width - 1) & 1) != 0;
    return static_cast<std::int64_t>(negative ? bits | ~mask() : bits);
  }
  std::int64_t least() const {
    if (!with_sign) return 0;
    return width == 64 ? std::numeric_limits<std::int64_t>::min() : -(1ll << (width - 1));
  }
  std::int64_t most() const {
    if (width == 64) return std::numeric_limits<std::int64_t>::max();
    return static_cast<std::int64_t>(with_sign ? mask() >> 1 : mask());
  }
};

struct FieldStep {
  enum class Kind : std::uint8_t { kGet, kSet, kIncrease } kind = Kind::kGet;
  FieldType type;
  Bits offset = 0;
  std::int64_t operand = 0;
  Overflow overflow = Overflow::kWrap;
};

std::int64_t read_field(std::string_view bytes, const FieldStep& step) {
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < step.type.width; ++i) bits = bits << 1 | bit_at(bytes, step.offset + i);
  return step.type.extended(bits);
}

void write_field(std::string& bytes, const FieldStep& step, std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  for (unsigned i = 0; i < step.type.width; ++i) {
    set_bit(bytes, step.offset + i, (bits >> (step.type.width - 1 - i) & 1) != 0);
  }
}

// `value` + `by` as a field can hold it; nothing: it cannot, and is to fail then.
std::optional<std::int64_t> fitted(const FieldStep& step, std::int64_t value, std::int64_t by) {
  std::int64_t sum;
  const bool beyond = __builtin_add_overflow(value, by, &sum);
  const bool too_high = beyond ? by > 0 : sum > step.type.most();
  const bool too_low = beyond ? by < 0 : sum < step.type.least();
  if (!too_high && !too_low) return sum;
  switch (step.overflow) {
    case Overflow::kWrap:
      return step.type.extended(static_cast<std::uint64_t>(value) + static_cast<std::uint64_t>(by));
    case Overflow::kSaturate:
      return too_high ? step.type.most() : step.type.least();
    case Overflow::kFail:
      break;
  }
  return std::nullopt;
}

bool read_field_type(Context& context, std::string_view text, FieldType& out) {
  const std::optional<std::int64_t> width = parse_integer(text.substr(text.empty() ? 0 : 1));
  out.with_sign = text.starts_with('i');
  const bool known = out.with_sign || text.starts_with('u');
  if (!known || !width || *width < 1 || *width > (out.with_sign ? 64 : 63)) {
    context.reply.error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but "
        "i64 is.");
    return false;
  }
  out.width = static_cast<unsigned>(*width);
  return true;
}

bool read_overflow(Context& context, std::string_view word, Overflow& out) {
  if (equals_ignore_case(word, "wrap")) {
    out = Overflow::kWrap;
  } else if (equals_ignore_case(word, "sat")) {
    out = Overflow::kSaturate;
  } else if (equals_ignore_case(word, "fail")) {
    out = Overflow::kFail;
  } else {
    context.reply.error("ERR Invalid OVERFLOW type specified");
    return false;
  }
  return true;
}

// False, after an error, when the words are not steps.
bool read_steps(Context& context, Args words, std::vector<FieldStep>& out) {
  Overflow overflow = Overflow::kWrap;
  for (std::size_t i = 0; i < words.size();) {
    const std::size_t behind = words.size() - i - 1;
    if (equals_ignore_case(words[i], "overflow") && behind >= 1) {
      if (!read_overflow(context, words[i + 1], overflow)) return false;
      i += 2;
      continue;
    }
    using Kind = FieldStep::Kind;
    FieldStep step{.type = {}, .overflow = overflow};
    if (equals_ignore_case(words[i], "get") && behind >= 2) {
      step.kind = Kind::kGet;
    } else if (equals_ignore_case(words[i], "set") && behind >= 3) {
      step.kind = Kind::kSet;
    } else if (equals_ignore_case(words[i], "incrby") && behind >= 3) {
      step.kind = Kind::kIncrease;
    } else {
      context.reply.error(kSyntaxError);
      return false;
    }
    if (!read_field_type(context, words[i + 1], step.type)) return false;
    if (!read_bit_offset(context, words[i + 2], step.type.width, step.offset)) return false;
    const bool writes = step.kind != Kind::kGet;
    if (writes && !read_integer(context, words[i + 3], step.operand)) return false;
    out.push_back(step);
    i += writes ? 4 : 3;
  }
  return true;
}

void execute_step(Context& context, const FieldStep& step, std::string& bytes) {
  const std::int64_t old = read_field(bytes, step);
  const bool sets = step.kind == FieldStep::Kind::kSet;
  // As in Redis, where what is set is negative and the field has no sign, it is a large number.
  const bool large = sets && !step.type.with_sign && step.operand < 0;
  std::optional<std::int64_t> fits;
  if (!large) {
    fits = sets ? fitted(step, step.operand, 0) : fitted(step, old, step.operand);
  } else if (step.overflow != Overflow::kFail) {
    fits = step.overflow == Overflow::kSaturate
               ? step.type.most()
               : step.type.extended(static_cast<std::uint64_t>(step.operand));
  }
  if (!fits) return context.reply.null();
  context.reply.integer(sets ? old : *fits);
  write_field(bytes, step, *fits);
}

void reply_fields(Context& context, std::span<const FieldStep> steps, std::string_view bytes) {
  context.reply.array(steps.size());
  for (const FieldStep& step : steps) context.reply.integer(read_field(bytes, step));
}

bool only_gets(std::span<const FieldStep> steps) {
  return std::ranges::all_of(
      steps, [](const FieldStep& step) { return step.kind == FieldStep::Kind::kGet; });
}

void bitfield_command(Context& context, Args args) {
  std::vector<FieldStep> steps;
  if (!read_steps(context, args.subspan(2), steps)) return;
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  const std::string_view old = bytes_of(object, scratch);
  if (only_gets(steps)) return reply_fields(context, steps, old);
  Bits last = 0;
  for (const FieldStep& step : steps) {
    if (step.kind != FieldStep::Kind::kGet)
      last = std::max(last, step.offset + step.type.width - 1);
  }
  if (last / 8 >= kMaxStringBytes) return context.reply.error(kStringTooLong);
  std::string changed = with_room(old, last);
  context.reply.array(steps.size());
  for (const FieldStep& step : steps) {
    if (step.kind == FieldStep::Kind::kGet) {
      context.reply.integer(read_field(changed, step));
    } else {
      execute_step(context, step, changed);
    }
  }
  write_bits(context, args[1], old, std::move(changed));
}

void bitfield_ro_command(Context& context, Args args) {
  std::vector<FieldStep> steps;
  if (!read_steps(context, args.subspan(2), steps)) return;
  if (!only_gets(steps)) {
    return context.reply.error("ERR BITFIELD_RO only supports the GET subcommand");
  }
  const Object* object;
  if (!context.find(args[1], ObjectType::kString, object)) return;
  std::string scratch;
  reply_fields(context, steps, bytes_of(object, scratch));
}

constexpr Command kBitmapCommands[] = {
    {.name = "setbit",
     .group = "bitmap",
     .arity = 4,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = setbit_command,
     .docs = {.since = "2.2.0",
              .summary = "Set or clear a bit of a string",
              .complexity = "O(N) where N is the length of the whole string",
              .arguments = "key offset:integer value:integer",
              .key_spec = "RW access update"}},
    {.name = "getbit",
     .group = "bitmap",
     .arity = 3,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = getbit_command,
     .docs = {.since = "2.2.0",
              .summary = "A bit of a string",
              .complexity = "O(1)",
              .arguments = "key offset:integer",
              .key_spec = "RO access"}},
    {.name = "bitcount",
     .group = "bitmap",
     .arity = -2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = bitcount_command,
     .docs = {.since = "2.6.0",
              .summary = "Count the bits of a string that are set",
              .complexity = "O(N) where N is the length of the range",
              .arguments = "key [index(start:integer end:integer [index_unit(BYTE|BIT)])]",
              .key_spec = "RO access"}},
    {.name = "bitpos",
     .group = "bitmap",
     .arity = -3,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = bitpos_command,
     .docs = {.since = "2.8.7",
              .summary = "Find the first bit of a string that is set or clear",
              .complexity = "O(N) where N is the length of the range",
              .arguments = "key bit:integer [index(start:integer [end_index(end:integer "
                           "[index_unit(BYTE|BIT)])])]",
              .key_spec = "RO access"}},
    {.name = "bitop",
     .group = "bitmap",
     .arity = -4,
     .flags = kWrite | kDenyOom,
     .keys = {.first = 2, .last = -1, .step = 1},
     .handler = bitop_command,
     .docs = {.since = "2.6.0",
              .summary = "Store the outcome of a bitwise operation on strings",
              .complexity = "O(N) where N is the sum of the strings' lengths",
              .arguments = "operation destkey:key key...",
              .key_spec = "OW update; RO access"}},
    {.name = "bitfield",
     .group = "bitmap",
     .arity = -2,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = bitfield_command,
     .docs = {.since = "3.2.0",
              .summary = "Read and write integers of any width in a string",
              .complexity = "O(N) where N is the length of the whole string, if it is written",
              .arguments =
                  "key [operation(GET encoding_offset(encoding offset:integer)|write([OVERFLOW "
                  "wrap_sat_fail(WRAP|SAT|FAIL)] write_operation(SET "
                  "encoding_offset_value(encoding offset:integer value:integer)|INCRBY "
                  "encoding_offset_increment(encoding offset:integer increment:integer))))...]",
              .key_spec = "RW access update variable_flags"}},
    {.name = "bitfield_ro",
     .group = "bitmap",
     .arity = -2,
     .flags = kReadonly | kFast,
     .keys = kFirstWord,
     .handler = bitfield_ro_command,
     .docs = {.since = "6.0.0",
              .summary = "Read integers of any width in a string",
              .complexity = "O(N) where N is the number of them",
              .arguments = "key [GET encoding_offset(encoding offset:integer)....]",
              .key_spec = "RO access"}},
};

}  // namespace

std::span<const Command> bitmap_commands() { return kBitmapCommands; }

}  // namespace even
