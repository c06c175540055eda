#include "rdb/lzf.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/byte_reader.h"

namespace even::rdb {
namespace {

constexpr std::size_t kMostLiterals = 32;   // in one run
constexpr std::size_t kMostBack = 1 << 13;  // how far back a copy may begin
constexpr std::size_t kMostCopied = 264;
constexpr unsigned kPlaceBits = 16;
constexpr std::uint32_t kPlaces = 1u << kPlaceBits;

// Where each three bytes of one string were seen last, by a hash of them. One at a time per thread:
// the table, which is long beside most strings, is the thread's. Positions go on from string to
// string, so that nothing needs to be cleared between them: what is from before `base_` is nothing.
class LastPlaces {
 public:
  explicit LastPlaces(std::string_view bytes) : bytes_(bytes), table_(table()), base_(table_.end) {
    table_.end += bytes.size();
  }

  static constexpr std::size_t kNone = SIZE_MAX;

  // Notes `at`, and returns where the same hash was before.
  std::size_t note(std::size_t at) {
    const std::uint32_t three = byte(at) << 16 | byte(at + 1) << 8 | byte(at + 2);
    const std::uint32_t hash = ((three >> (24 - kPlaceBits)) - three * 5) % kPlaces;
    const std::uint64_t before = std::exchange(table_.places[hash], base_ + at);
    return before < base_ ? kNone : before - base_;
  }

 private:
  struct Table {
    std::vector<std::uint64_t> places = std::vector<std::uint64_t>(kPlaces);
    std::uint64_t end = 1;  // behind all strings so far
  };
  static Table& table() {
    thread_local Table table;
    return table;
  }
  std::uint32_t byte(std::size_t at) const { return static_cast<unsigned char>(bytes_[at]); }

  const std::string_view bytes_;
  Table& table_;
  const std::uint64_t base_;
};

// Runs of literals, each behind its length, and copies.
class LzfWriter {
 public:
  void literal(char c) {
    if (run_ == 0) out_ += '\0';
    out_ += c;
    if (++run_ == kMostLiterals) end_run();
  }
  void copy(std::size_t back, std::size_t length) {
    end_run();
    const std::size_t code = length - 2;
    out_ += static_cast<char>((back - 1) >> 8 | std::min<std::size_t>(code, 7) << 5);
    if (code >= 7) out_ += static_cast<char>(code - 7);
    out_ += static_cast<char>((back - 1) & 0xff);
  }
  void end_run() {
    if (run_ > 0) out_[out_.size() - run_ - 1] = static_cast<char>(run_ - 1);
    run_ = 0;
  }
  std::size_t size() const { return out_.size(); }
  // With the length of the run that comes next, if none has begun.
  std::size_t size_with_run() const { return out_.size() + (run_ == 0 ? 1 : 0); }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  std::size_t run_ = 0;  // literals of the run that is being written
};

}  // namespace

// Gives up and ends a copy where liblzf does, which looks a few bytes ahead.
std::string compress_lzf(std::string_view bytes, std::size_t most) {
  LastPlaces places(bytes);
  LzfWriter out;
  std::size_t at = 0;
  while (at + 2 < bytes.size()) {
    const std::size_t before = places.note(at);
    const bool found = before != LastPlaces::kNone && before > 0 && at - before <= kMostBack &&
                       bytes.substr(before, 3) == bytes.substr(at, 3);
    if (!found) {
      if (out.size_with_run() >= most) return {};
      out.literal(bytes[at++]);
      continue;
    }
    if (out.size() + 4 >= most) return {};
    const std::size_t longest = std::min(bytes.size() - at - 2, kMostCopied);
    std::size_t length = 3;
    while (length < longest && bytes[before + length] == bytes[at + length]) ++length;
    out.copy(at - before, length);
    at += length;
    if (at + 2 >= bytes.size()) break;
    places.note(at - 2);
    places.note(at - 1);
  }
  if (out.size_with_run() + 3 > most) return {};
  while (at < bytes.size()) out.literal(bytes[at++]);
  out.end_run();
  return out.take();
}

Result<std::string> decompress_lzf(std::string_view bytes, std::size_t size) {
  // Three bytes become 264 at most.
  if (size > bytes.size() * 264) return fail("a compressed string that is too short for its size");
  std::string out;
  out.reserve(size);
  ByteReader in(bytes);
  while (!in.at_end()) {
    const unsigned control = in.get<std::uint8_t>();
    if (control < 32) {
      const std::string_view literal = in.bytes(control + 1);
      if (!in.ok() || out.size() + literal.size() > size) break;
      out.append(literal);
      continue;
    }
    std::size_t length = control >> 5;
    if (length == 7) length += in.get<std::uint8_t>();
    length += 2;
    const std::size_t back = ((control & 31) << 8 | in.get<std::uint8_t>()) + 1;
    if (!in.ok() || back > out.size() || out.size() + length > size) {
      return fail("a compressed string that is damaged");
    }
    // What is copied may reach into what it makes.
    for (std::size_t i = 0; i < length; ++i) out += out[out.size() - back];
  }
  if (!in.ok() || !in.at_end() || out.size() != size) {
    return fail("a compressed string that is damaged");
  }
  return out;
}

}  // namespace even::rdb
