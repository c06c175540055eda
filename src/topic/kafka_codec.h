// Kafka's messages as bytes. A message is a struct that lists its fields once (messages.h); that
// list drives reading, writing and printing. Source: https://kafka.apache.org/protocol.
//
//   struct Heartbeat {
//     std::string group_id;
//     std::int32_t generation_id = 0;
//     template <typename Codec, typename Self>
//     static void fields(Codec& c, Self& m) {
//       c("group_id", m.group_id);
//       c("generation_id", m.generation_id, since(1));
//     }
//   };
//
// Reading is safe for any input, and takes no more memory than a multiple of it. What is read may
// view the input (Blob).
#pragma once

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"

namespace even::kafka {

// The versions of a message that have a field. In others it is neither read nor written.
struct Versions {
  int first = 0;
  int last = std::numeric_limits<int>::max();
  bool has(int version) const { return version >= first && version <= last; }
};
constexpr Versions since(int version) { return {version}; }
constexpr Versions between(int first, int last) { return {first, last}; }

// Bytes that may be null. When read, they view the input; to be written, they may be its own.
struct Blob {
  bool null = true;
  std::string_view view;
  std::string own;

  static Blob of(std::string bytes) { return {.null = false, .own = std::move(bytes)}; }
  static Blob empty() { return {.null = false}; }
  std::string_view bytes() const { return own.empty() ? view : std::string_view(own); }
};

template <typename T>
inline constexpr bool is_vector = false;
template <typename T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;

// Elements of arrays in one message.
inline constexpr std::size_t kMostElements = 200'000;

class Reader {
 public:
  // `flexible`: with compact lengths and tagged fields, which are passed over.
  Reader(std::string_view bytes, int version, bool flexible)
      : rest_(bytes), version_(version), flexible_(flexible) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

  template <typename T>
  void operator()(std::string_view, T& value, Versions versions = {}) {
    if (versions.has(version_)) read(value);
  }
  template <typename T>
  void read(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = integer<std::int8_t>() != 0;
    } else if constexpr (std::is_integral_v<T>) {
      value = integer<T>();
    } else if constexpr (std::is_same_v<T, double>) {
      value = std::bit_cast<double>(integer<std::uint64_t>());
    } else if constexpr (std::is_same_v<T, std::string>) {
      std::optional<std::string_view> text = bytes(length<std::int16_t>());
      if (!text) return fail();
      value = *text;
    } else if constexpr (std::is_same_v<T, std::optional<std::string>>) {
      const std::optional<std::string_view> text = bytes(length<std::int16_t>());
      value.reset();
      if (text) value = std::string(*text);
    } else if constexpr (std::is_same_v<T, Blob>) {
      const std::optional<std::string_view> text = bytes(length<std::int32_t>());
      value = {.null = !text, .view = text.value_or(std::string_view())};
    } else if constexpr (is_optional<T>) {
      const std::int64_t count = length<std::int32_t>();
      value.reset();
      if (count >= 0 && ok_) elements(value.emplace(), count);
    } else if constexpr (is_vector<T>) {
      const std::int64_t count = length<std::int32_t>();
      if (count < 0) return fail();
      elements(value, count);
    } else {
      T::fields(*this, value);
      tags();
    }
  }
  // Passes over tagged fields, where there are any.
  void tags() {
    if (!flexible_) return;
    for (std::uint64_t left = varint(); left > 0 && ok_; --left) {
      varint();
      const std::uint64_t size = varint();
      if (size > rest_.size()) return fail();
      rest_.remove_prefix(size);
    }
  }

 private:
  void fail() {
    ok_ = false;
    rest_ = {};
  }
  template <typename T>
  T integer() {
    if (rest_.size() < sizeof(T)) {
      fail();
      return 0;
    }
    const T value = get_big_endian<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 35 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    fail();
    return 0;
  }
  // -1 is null.
  template <typename T>
  std::int64_t length() {
    if (!flexible_) return integer<T>();
    return static_cast<std::int64_t>(varint()) - 1;
  }
  std::optional<std::string_view> bytes(std::int64_t size) {
    if (size == -1 && ok_) return std::nullopt;
    if (size < 0 || static_cast<std::uint64_t>(size) > rest_.size()) {
      fail();
      return std::string_view();
    }
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return taken;
  }
  template <typename T>
  void elements(std::vector<T>& values, std::int64_t count) {
    values.clear();
    if (static_cast<std::uint64_t>(count) > rest_.size()) return fail();
    elements_ += static_cast<std::size_t>(count);
    if (elements_ > kMostElements) return fail();
    for (; count > 0 && ok_; --count) read(values.emplace_back());
  }

  std::string_view rest_;
  const int version_;
  const bool flexible_;
  bool ok_ = true;
  std::size_t elements_ = 0;
};

class Writer {
 public:
  // Appends to `out`, which outlives this.
  Writer(std::string& out, int version, bool flexible)
      : out_(out), version_(version), flexible_(flexible) {}

  template <typename T>
  void operator()(std::string_view, const T& value, Versions versions = {}) {
    if (versions.has(version_)) write(value);
  }
  template <typename T>
  void write(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      put_big_endian<std::int8_t>(out_, value ? 1 : 0);
    } else if constexpr (std::is_integral_v<T>) {
      put_big_endian(out_, value);
    } else if constexpr (std::is_same_v<T, double>) {
      put_big_endian(out_, std::bit_cast<std::uint64_t>(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      length<std::int16_t>(static_cast<std::int64_t>(value.size()));
      out_ += value;
    } else if constexpr (std::is_same_v<T, std::optional<std::string>>) {
      length<std::int16_t>(value ? static_cast<std::int64_t>(value->size()) : -1);
      if (value) out_ += *value;
    } else if constexpr (std::is_same_v<T, Blob>) {
      length<std::int32_t>(value.null ? -1 : static_cast<std::int64_t>(value.bytes().size()));
      out_ += value.bytes();
    } else if constexpr (is_optional<T>) {
      if (!value) return length<std::int32_t>(-1);
      write(*value);
    } else if constexpr (is_vector<T>) {
      length<std::int32_t>(static_cast<std::int64_t>(value.size()));
      for (const auto& element : value) write(element);
    } else {
      T::fields(*this, value);
      tags();
    }
  }
  // There are none.
  void tags() {
    if (flexible_) out_.push_back(0);
  }

 private:
  template <typename T>
  void length(std::int64_t size) {
    if (!flexible_) return put_big_endian(out_, static_cast<T>(size));
    for (auto left = static_cast<std::uint64_t>(size + 1);; left >>= 7) {
      if (left < 0x80) return out_.push_back(static_cast<char>(left));
      out_.push_back(static_cast<char>((left & 0x7f) | 0x80));
    }
  }

  std::string& out_;
  const int version_;
  const bool flexible_;
};

// For people: "{group_id: g, generation_id: 7}".
class Printer {
 public:
  explicit Printer(int version) : version_(version) {}

  template <typename T>
  void operator()(std::string_view name, const T& value, Versions versions = {}) {
    if (!versions.has(version_)) return;
    if (!out_.ends_with('{')) out_ += ", ";
    out_ += name;
    out_ += ": ";
    print(value);
  }
  template <typename T>
  void print(const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      out_ += fmt::format("{}", value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      out_ += value;
    } else if constexpr (std::is_same_v<T, Blob>) {
      out_ += value.null ? "null" : fmt::format("{} bytes", value.bytes().size());
    } else if constexpr (is_optional<T>) {
      value ? print(*value) : void(out_ += "null");
    } else if constexpr (is_vector<T>) {
      out_ += '[';
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out_ += ", ";
        print(value[i]);
      }
      out_ += ']';
    } else {
      out_ += '{';
      T::fields(*this, value);
      out_ += '}';
    }
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  const int version_;
};

// The message that `bytes` are, all of them; none if they are not.
template <typename Message>
std::optional<Message> read_message(std::string_view bytes, int version, bool flexible = false) {
  Reader reader(bytes, version, flexible);
  Message message;
  reader.read(message);
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return message;
}

template <typename Message>
void write_message(const Message& message, int version, std::string& out, bool flexible = false) {
  Writer(out, version, flexible).write(message);
}

template <typename Message>
std::string print_message(const Message& message, int version) {
  Printer printer(version);
  printer.print(message);
  return printer.take();
}

}  // namespace even::kafka
