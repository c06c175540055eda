// The compressions of Kafka's record batches: gzip, snappy (with or without the framing of
// snappy-java, which most clients put around it), lz4 (frames) and zstd.
// Source: https://kafka.apache.org/documentation/#recordbatch.
//
// Functions, on any thread. Decompressing is safe for any input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace even::topic {

// As the lowest bits of a batch's attributes say.
enum class Compression : std::uint8_t { kNone, kGzip, kSnappy, kLz4, kZstd };
inline constexpr int kCompressionMask = 7;

// The error says that it is malformed, or that it becomes more than `most` bytes.
Result<std::string> decompress(Compression compression, std::string_view bytes, std::size_t most);
Result<std::string> compress(Compression compression, std::string_view bytes);

}  // namespace even::topic
