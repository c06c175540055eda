#include "client/session_token.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <cstdint>
#include <stdexcept>

namespace even {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kKeyIdBytes = 4;
constexpr std::size_t kSealBytes = 16;
constexpr std::size_t kLeastBytes = 1 + kKeyIdBytes + kSealBytes;
// Of a token; all partitions of a large cluster take a tenth of this.
constexpr std::size_t kMostBytes = 4 << 20;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kNameOfKey = "which key of sessions";

std::string authenticate(std::string_view key, std::string_view bytes, std::size_t length) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data, bytes.size(),
           digest.data(), &size) == nullptr) {
    throw std::runtime_error("OpenSSL cannot compute HMAC-SHA-256");
  }
  return std::string(reinterpret_cast<const char*>(digest.data()), length);
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char byte : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(byte);
    for (count += 8; count >= 6;) out += kAlphabet[bits >> (count -= 6) & 63];
  }
  if (count > 0) out += kAlphabet[bits << (6 - count) & 63];
  return out;
}

// Of each bytes there is one text.
Result<std::string> from_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return fail("");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if ((count += 6) < 8) continue;
    out += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  if (count >= 6 || (bits & ((1u << count) - 1)) != 0) return fail("");
  return out;
}

}  // namespace

std::string make_session_key() {
  std::string key(kSessionKeyBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kSessionKeyBytes) != 1) {
    throw std::runtime_error("the system has no random numbers for a key of session tokens");
  }
  return key;
}

std::string seal_session(std::string_view key, const SessionContent& content) {
  std::string bytes(1, kVersion);
  bytes += authenticate(key, kNameOfKey, kKeyIdBytes);
  bytes += encode_session(content);
  bytes += authenticate(key, bytes, kSealBytes);
  return to_base64(bytes);
}

Result<SessionContent> open_session(std::string_view key, std::string_view token) {
  const auto no_token = [] {
    return fail("this is no session token, or not all of it: pass on what EVEN.SESSION replies");
  };
  if (token.size() > kMostBytes) return no_token();
  const Result<std::string> bytes = from_base64(token);
  if (!bytes || bytes->empty()) return no_token();
  if (bytes->front() != kVersion) {
    return fail(fmt::format("this session token is of version {}, or none; this node knows {}",
                            static_cast<unsigned char>(bytes->front()), int{kVersion}));
  }
  if (bytes->size() < kLeastBytes) return no_token();
  std::string_view rest = *bytes;
  const std::string_view seal = rest.substr(rest.size() - kSealBytes);
  rest.remove_suffix(kSealBytes);
  if (!equal(rest.substr(1, kKeyIdBytes), authenticate(key, kNameOfKey, kKeyIdBytes))) {
    return fail("this session token is of another cluster");
  }
  if (!equal(seal, authenticate(key, rest, kSealBytes))) {
    return fail("this session token is damaged or forged");
  }
  rest.remove_prefix(1 + kKeyIdBytes);
  Result<SessionContent> content = decode_session(rest);
  if (!content) return no_token();
  return content;
}

}  // namespace even
