#include "rdb/file.h"

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "rdb/crc64.h"
#include "rdb/length.h"

namespace even::rdb {
namespace {

constexpr std::string_view kMagic = "REDIS";
constexpr std::size_t kHead = 9;
constexpr unsigned kNewest = 12;    // of Redis 7.4; Valkey 8 writes 11
constexpr unsigned kChecksums = 5;  // from this version on

enum Code : std::uint8_t {
  kSlotInfo = 244,
  kFunction2 = 245,
  kFunctionPreview = 246,
  kModuleAux = 247,
  kIdle = 248,
  kFrequency = 249,
  kAux = 250,
  kResize = 251,
  kExpiryMs = 252,
  kExpirySeconds = 253,
  kDatabase = 254,
  kFileEnd = 255,
};

}  // namespace

std::unexpected<Error> FileReader::wrong(std::string_view what) const {
  return fail(fmt::format("at byte {}: {}", place_.offset, what));
}

Result<> FileReader::begin() {
  if (!bytes_.starts_with(kMagic) || bytes_.size() < kHead) {
    return fail("this is no RDB file: it does not begin with REDIS and a version");
  }
  for (const char digit : bytes_.substr(kMagic.size(), kHead - kMagic.size())) {
    if (digit < '0' || digit > '9') return fail("this is no RDB file: its version is no number");
    version_ = 10 * version_ + static_cast<unsigned>(digit - '0');
  }
  if (version_ == 0 || version_ > kNewest) {
    return fail(fmt::format("version {} of RDB files is not known here: there are 1 to {}",
                            version_, kNewest));
  }
  place_.offset = kHead;
  return {};
}

Result<> FileReader::begin(Place place) {
  if (const Result<> begun = begin(); !begun) return begun;
  if (place.offset < kHead || place.offset > bytes_.size()) {
    return fail("the file is shorter than where it is to be gone on with");
  }
  place_ = place;
  return {};
}

Result<bool> FileReader::next(FileKey& out) {
  out.expires_at_ms.reset();
  for (;;) {
    Budget budget(value_bytes_);
    const std::string_view rest = bytes_.substr(place_.offset);
    ByteReader in(rest);
    const auto code = in.get<std::uint8_t>();
    const auto taken = [&] { place_.offset += rest.size() - in.left(); };
    std::string text;
    std::uint64_t number = 0;
    bool good = in.ok();
    switch (code) {
      case kAux:
        good = good && read_string(in, budget, text) && read_string(in, budget, text);
        break;
      case kResize:
        good = good && read_length(in, number) && read_length(in, number);
        break;
      case kSlotInfo:
        for (int i = 0; i < 3; ++i) good = good && read_length(in, number);
        break;
      case kDatabase:
        good = good && read_length(in, place_.database);
        break;
      case kExpirySeconds:
        out.expires_at_ms = std::int64_t{in.get<std::int32_t>()} * 1000;
        good = in.ok();
        break;
      case kExpiryMs:
        out.expires_at_ms = in.get<std::int64_t>();
        good = in.ok();
        break;
      case kIdle:
        good = good && read_length(in, number);
        break;
      case kFrequency:
        in.get<std::uint8_t>();
        good = in.ok();
        break;
      case kFunction2:
        good = good && read_string(in, budget, text);
        if (good) functions_.push_back(std::move(text));
        break;
      case kFunctionPreview:
      case kModuleAux:
        return wrong("data of a module, which only that module can read");
      case kFileEnd: {
        taken();
        if (const Result<> right = check_end(); !right) return std::unexpected(right.error());
        return false;
      }
      default: {
        if (!good) break;
        // A key: the byte of type, its name, its value.
        if (!read_string(in, budget, out.key)) return wrong("a key that ends too early");
        const std::string_view behind = in.bytes(in.left());
        std::string_view left = behind;
        const auto bad = [&](const Error& error) {
          return wrong("the key that begins here: " + error.message);
        };
        if (is_stream_type(code)) {
          Result<StreamValue> read = read_stream(code, left, budget);
          if (!read) return bad(read.error());
          out.value = std::move(*read);
        } else {
          Result<Value> read = read_value(code, left, budget);
          if (!read) return bad(read.error());
          out.value = std::move(*read);
        }
        out.type = code;
        out.content = behind.substr(0, behind.size() - left.size());
        out.database = place_.database;
        place_.offset += rest.size() - left.size();
        return true;
      }
    }
    if (!good) return wrong("the file ends too early, or what stands here is none of its parts");
    taken();
  }
}

Result<> FileReader::check_end() {
  if (version_ < kChecksums) return {};
  ByteReader in(bytes_.substr(place_.offset));
  const auto checksum = in.get<std::uint64_t>();
  if (!in.ok()) return wrong("the file ends before its checksum");
  if (checksum != 0 && crc64(bytes_.substr(0, place_.offset)) != checksum) {
    return fail("the file's checksum is wrong: it was cut or changed");
  }
  place_.offset += sizeof checksum;
  return {};
}

}  // namespace even::rdb
