#include "engine/scram.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "base/check.h"

namespace even::scram {
namespace {

const EVP_MD* digest_of(Hash hash) { return hash == Hash::kSha256 ? EVP_sha256() : EVP_sha512(); }

const unsigned char* unsigned_bytes(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* unsigned_bytes(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

std::string hmac(Hash hash, std::string_view key, std::string_view message) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  const bool made =
      HMAC(digest_of(hash), key.data(), static_cast<int>(key.size()), unsigned_bytes(message),
           message.size(), unsigned_bytes(out), &size) != nullptr;
  EVEN_CHECK(made, "OpenSSL has HMAC of SHA-2");
  out.resize(size);
  return out;
}

std::string digest(Hash hash, std::string_view bytes) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  const bool made = EVP_Digest(bytes.data(), bytes.size(), unsigned_bytes(out), &size,
                               digest_of(hash), nullptr) == 1;
  EVEN_CHECK(made, "OpenSSL has SHA-2");
  out.resize(size);
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// "=2C" is a comma, "=3D" an equals sign; none: it is no name.
std::optional<std::string> decode_name(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      name.push_back(text[i]);
    } else if (text.substr(i, 3) == "=2C" || text.substr(i, 3) == "=3D") {
      name.push_back(text[i + 1] == '2' ? ',' : '=');
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return name;
}

bool is_nonce(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != ','; });
}

// The value of an attribute such as "r=..."; none: it is another one.
std::optional<std::string_view> value_of(std::string_view part, char name) {
  if (part.size() < 2 || part[0] != name || part[1] != '=') return std::nullopt;
  return part.substr(2);
}

bool proves(Hash hash, const Keys& keys, std::string_view proof, std::string_view message) {
  std::string client_key = hmac(hash, keys.stored, message);
  if (proof.size() != client_key.size()) return false;
  for (std::size_t i = 0; i < proof.size(); ++i) {
    client_key[i] = static_cast<char>(client_key[i] ^ proof[i]);
  }
  const std::string stored = digest(hash, client_key);
  return stored.size() == keys.stored.size() &&
         CRYPTO_memcmp(stored.data(), keys.stored.data(), stored.size()) == 0;
}

}  // namespace

Keys derive_keys(Hash hash, std::string_view password, std::string_view salt,
                 std::uint32_t iterations) {
  std::string salted(static_cast<std::size_t>(EVP_MD_size(digest_of(hash))), '\0');
  const bool made = PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                                      unsigned_bytes(salt), static_cast<int>(salt.size()),
                                      static_cast<int>(iterations), digest_of(hash),
                                      static_cast<int>(salted.size()), unsigned_bytes(salted)) == 1;
  EVEN_CHECK(made, "OpenSSL has PBKDF2");
  return {digest(hash, hmac(hash, salted, "Client Key")), hmac(hash, salted, "Server Key")};
}

std::string Credentials::encode() const {
  return fmt::format("{}:{}:{}:{}:{}:{}:{}", password_hash, iterations, to_base64(salt),
                     to_base64(sha256.stored), to_base64(sha256.server), to_base64(sha512.stored),
                     to_base64(sha512.server));
}

std::optional<Credentials> Credentials::decode(std::string_view text) {
  constexpr std::size_t kHashDigits = 64;
  constexpr std::size_t kSha256Bytes = 32;
  constexpr std::size_t kSha512Bytes = 64;
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 7 || parts[0].size() != kHashDigits) return std::nullopt;
  Credentials out;
  out.password_hash = parts[0];
  const char* end = parts[1].data() + parts[1].size();
  const auto [stop, error] = std::from_chars(parts[1].data(), end, out.iterations);
  if (error != std::errc() || stop != end || out.iterations == 0) return std::nullopt;
  std::string* const fields[] = {&out.salt, &out.sha256.stored, &out.sha256.server,
                                 &out.sha512.stored, &out.sha512.server};
  for (std::size_t i = 0; i < std::size(fields); ++i) {
    auto bytes = from_base64(parts[i + 2]);
    if (!bytes) return std::nullopt;
    *fields[i] = std::move(*bytes);
  }
  const bool whole = !out.salt.empty() && out.sha256.stored.size() == kSha256Bytes &&
                     out.sha256.server.size() == kSha256Bytes &&
                     out.sha512.stored.size() == kSha512Bytes &&
                     out.sha512.server.size() == kSha512Bytes;
  return whole ? std::optional(std::move(out)) : std::nullopt;
}

Credentials derive_credentials(std::string password_hash, std::string_view password,
                               std::string_view salt) {
  return {std::move(password_hash), std::string(salt), kIterations,
          derive_keys(Hash::kSha256, password, salt, kIterations),
          derive_keys(Hash::kSha512, password, salt, kIterations)};
}

Result<std::string> draw_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(unsigned_bytes(bytes), static_cast<int>(count)) != 1) {
    return fail("the system gives no random numbers");
  }
  return bytes;
}

std::string to_base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // it ends what it writes with a zero
  const int size =
      EVP_EncodeBlock(unsigned_bytes(out), unsigned_bytes(bytes), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string out(text.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(unsigned_bytes(out), unsigned_bytes(text), static_cast<int>(text.size()));
  if (size < 0 || static_cast<std::size_t>(size) < padding) return std::nullopt;
  out.resize(static_cast<std::size_t>(size) - padding);
  // OpenSSL skips what surrounds it, and takes any bits beyond the end.
  return to_base64(out) == text ? std::optional(std::move(out)) : std::nullopt;
}

Result<std::string> Exchange::begin(std::string_view message) {
  // "n" or "y": the client binds to no channel. Then whom it wants to act for, which has to be
  // itself.
  const std::size_t flag_end = message.find(',');
  if (flag_end == std::string_view::npos) return fail("it does not begin as SCRAM does");
  const std::string_view flag = message.substr(0, flag_end);
  if (flag != "n" && flag != "y") return fail("there is no channel binding");
  const std::size_t header_end = message.find(',', flag_end + 1);
  if (header_end == std::string_view::npos) return fail("it does not begin as SCRAM does");
  const std::string_view acts_for = message.substr(flag_end + 1, header_end - flag_end - 1);
  binding_ = message.substr(0, header_end + 1);
  first_bare_ = message.substr(header_end + 1);
  const std::vector<std::string_view> parts = split(first_bare_, ',');
  const auto name = value_of(parts[0], 'n');
  const auto nonce = parts.size() < 2 ? std::nullopt : value_of(parts[1], 'r');
  const auto user = name ? decode_name(*name) : std::nullopt;
  if (!user || user->empty()) return fail("it names no user, or needs what is not known here");
  if (!nonce || !is_nonce(*nonce)) return fail("it has no nonce");
  if (!acts_for.empty() && acts_for != "a=" + std::string(*name)) {
    return fail("a user acts for itself only");
  }
  nonce_.insert(0, *nonce);
  return *user;
}

std::string Exchange::challenge(std::string_view salt, std::uint32_t iterations) {
  challenge_ = fmt::format("r={},s={},i={}", nonce_, to_base64(salt), iterations);
  return challenge_;
}

std::optional<std::string> Exchange::finish(std::string_view message,
                                            std::span<const Credentials> credentials) const {
  const std::size_t proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return std::nullopt;
  const std::string_view without_proof = message.substr(0, proof_at);
  const auto proof = from_base64(message.substr(proof_at + 3));
  const std::vector<std::string_view> parts = split(without_proof, ',');
  const auto nonce = parts.size() < 2 ? std::nullopt : value_of(parts[1], 'r');
  // librdkafka before 2.6.1 puts its own part ahead of both once more, and Kafka lets it. What is
  // signed has this side's part in any case.
  if (!proof || value_of(parts[0], 'c') != to_base64(binding_) || !nonce ||
      !nonce->ends_with(nonce_)) {
    return std::nullopt;
  }
  const std::string signed_text = fmt::format("{},{},{}", first_bare_, challenge_, without_proof);
  for (const Credentials& each : credentials) {
    const Keys& keys = each.keys(hash_);
    if (!proves(hash_, keys, *proof, signed_text)) continue;
    return "v=" + to_base64(hmac(hash_, keys.server, signed_text));
  }
  return std::nullopt;
}

}  // namespace even::scram
