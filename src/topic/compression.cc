#include "topic/compression.h"

#include <fmt/format.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/bytes.h"

namespace even::topic {
namespace {

// What is decompressed at a time.
constexpr std::size_t kStepBytes = 64 << 10;
// The head of what snappy-java writes: a magic number and two versions; then blocks behind their
// lengths.
constexpr std::string_view kSnappyMagic{"\x82SNAPPY\0", 8};
constexpr std::size_t kSnappyHead = 16;
constexpr int kGzipWindow = 15 + 16;  // the largest, with gzip's head

std::unexpected<Error> malformed_compression(std::string_view name) {
  return fail(fmt::format("what is to be {} cannot be decompressed", name));
}
std::unexpected<Error> too_long(std::size_t most) {
  return fail(fmt::format("decompressed it has more than {} bytes", most));
}

Result<std::string> gunzip(std::string_view bytes, std::size_t most) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) return fail("no memory for gzip");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    const std::size_t before = out.size();
    if (before > most) return too_long(most);
    out.resize(before + kStepBytes);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = static_cast<uInt>(kStepBytes);
    status = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (status != Z_OK && status != Z_STREAM_END) return malformed_compression("gzip");
    if (status == Z_OK && stream.avail_in == 0 && stream.avail_out > 0) {
      return malformed_compression("gzip");
    }
  }
  if (out.size() > most) return too_long(most);
  return out;
}

Result<std::string> gzip(std::string_view bytes) {
  z_stream stream{};
  constexpr int kMemoryLevel = 8;
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return fail("no memory for gzip");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, deflateEnd);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return fail("gzip has failed");
  out.resize(out.size() - stream.avail_out);
  return out;
}

Result<> unsnap_block(std::string_view block, std::size_t most, std::string& out) {
  std::size_t size = 0;
  if (snappy_uncompressed_length(block.data(), block.size(), &size) != SNAPPY_OK) {
    return malformed_compression("snappy");
  }
  if (size > most - std::min(most, out.size())) return too_long(most);
  const std::size_t before = out.size();
  out.resize(before + size);
  if (snappy_uncompress(block.data(), block.size(), out.data() + before, &size) != SNAPPY_OK) {
    return malformed_compression("snappy");
  }
  return {};
}

Result<std::string> unsnap(std::string_view bytes, std::size_t most) {
  std::string out;
  if (!bytes.starts_with(kSnappyMagic)) {
    if (const Result<> block = unsnap_block(bytes, most, out); !block) {
      return std::unexpected(block.error());
    }
    return out;
  }
  if (bytes.size() < kSnappyHead) return malformed_compression("snappy");
  bytes.remove_prefix(kSnappyHead);
  while (!bytes.empty()) {
    constexpr std::size_t kLength = sizeof(std::uint32_t);
    if (bytes.size() < kLength) return malformed_compression("snappy");
    const std::size_t size = get_big_endian<std::uint32_t>(bytes.data());
    bytes.remove_prefix(kLength);
    if (size > bytes.size()) return malformed_compression("snappy");
    if (const Result<> block = unsnap_block(bytes.substr(0, size), most, out); !block) {
      return std::unexpected(block.error());
    }
    bytes.remove_prefix(size);
  }
  return out;
}

// As one block with the framing, which every client reads.
Result<std::string> snap(std::string_view bytes) {
  constexpr std::uint32_t kVersion = 1;
  std::string out(kSnappyMagic);
  put_big_endian(out, kVersion);
  put_big_endian(out, kVersion);
  std::size_t size = snappy_max_compressed_length(bytes.size());
  std::string block(size, '\0');
  if (snappy_compress(bytes.data(), bytes.size(), block.data(), &size) != SNAPPY_OK) {
    return fail("snappy has failed");
  }
  put_big_endian(out, static_cast<std::uint32_t>(size));
  return out.append(block, 0, size);
}

Result<std::string> unlz4(std::string_view bytes, std::size_t most) {
  LZ4F_dctx* context = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) != 0) {
    return fail("no memory for lz4");
  }
  const std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> end(
      context, LZ4F_freeDecompressionContext);
  std::string out;
  std::size_t wants = 1;
  while (wants != 0) {
    const std::size_t before = out.size();
    if (before > most) return too_long(most);
    out.resize(before + kStepBytes);
    std::size_t written = kStepBytes;
    std::size_t read = bytes.size();
    wants = LZ4F_decompress(context, out.data() + before, &written, bytes.data(), &read, nullptr);
    out.resize(before + written);
    if (LZ4F_isError(wants) != 0) return malformed_compression("lz4");
    bytes.remove_prefix(read);
    if (wants != 0 && read == 0 && written == 0) return malformed_compression("lz4");
  }
  if (out.size() > most) return too_long(most);
  return out;
}

Result<std::string> lz4(std::string_view bytes) {
  std::string out(LZ4F_compressFrameBound(bytes.size(), nullptr), '\0');
  const std::size_t size =
      LZ4F_compressFrame(out.data(), out.size(), bytes.data(), bytes.size(), nullptr);
  if (LZ4F_isError(size) != 0) return fail("lz4 has failed");
  out.resize(size);
  return out;
}

Result<std::string> unzstd(std::string_view bytes, std::size_t most) {
  const std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                             ZSTD_freeDStream);
  if (!stream) return fail("no memory for zstd");
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::string out;
  std::size_t wants = 1;
  while (wants != 0) {
    const std::size_t before = out.size();
    if (before > most) return too_long(most);
    out.resize(before + kStepBytes);
    ZSTD_outBuffer to{out.data() + before, kStepBytes, 0};
    const std::size_t at = in.pos;
    wants = ZSTD_decompressStream(stream.get(), &to, &in);
    out.resize(before + to.pos);
    if (ZSTD_isError(wants) != 0) return malformed_compression("zstd");
    if (wants != 0 && in.pos == at && to.pos == 0) return malformed_compression("zstd");
  }
  if (out.size() > most) return too_long(most);
  return out;
}

Result<std::string> zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size =
      ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), ZSTD_CLEVEL_DEFAULT);
  if (ZSTD_isError(size) != 0) return fail("zstd has failed");
  out.resize(size);
  return out;
}

}  // namespace

Result<std::string> decompress(Compression compression, std::string_view bytes, std::size_t most) {
  switch (compression) {
    case Compression::kNone:
      if (bytes.size() > most) return too_long(most);
      return std::string(bytes);
    case Compression::kGzip:
      return gunzip(bytes, most);
    case Compression::kSnappy:
      return unsnap(bytes, most);
    case Compression::kLz4:
      return unlz4(bytes, most);
    case Compression::kZstd:
      return unzstd(bytes, most);
  }
  return fail("an unknown compression");
}

Result<std::string> compress(Compression compression, std::string_view bytes) {
  switch (compression) {
    case Compression::kNone:
      return std::string(bytes);
    case Compression::kGzip:
      return gzip(bytes);
    case Compression::kSnappy:
      return snap(bytes);
    case Compression::kLz4:
      return lz4(bytes);
    case Compression::kZstd:
      return zstd(bytes);
  }
  return fail("an unknown compression");
}

}  // namespace even::topic
