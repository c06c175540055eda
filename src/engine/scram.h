// SCRAM, by which a client shows that it knows a password without saying it, and the server that it
// knows the user: RFC 5802, with SHA-256 (RFC 7677) or SHA-512. Without channel binding. Bytes of
// passwords are taken as they are, as Kafka's clients do (no SASLprep).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace even::scram {

enum class Hash : std::uint8_t { kSha256, kSha512 };

// What Kafka asks for at least, and uses by default.
inline constexpr std::uint32_t kIterations = 4'096;
inline constexpr std::size_t kSaltBytes = 16;

// What a server has to know; neither the password nor what a client needs follows from it.
struct Keys {
  std::string stored;  // bytes, as all below
  std::string server;
  bool operator==(const Keys&) const = default;
};
Keys derive_keys(Hash hash, std::string_view password, std::string_view salt,
                 std::uint32_t iterations);

// Of one password of a user.
struct Credentials {
  std::string password_hash;  // as password_hash() of acl.h gives it: whose these are
  std::string salt;
  std::uint32_t iterations = 0;
  Keys sha256;
  Keys sha512;

  const Keys& keys(Hash hash) const { return hash == Hash::kSha256 ? sha256 : sha512; }
  // One word, without the hash of the password in it being told from others: see decode().
  std::string encode() const;
  static std::optional<Credentials> decode(std::string_view text);
  bool operator==(const Credentials&) const = default;
};
// Takes milliseconds. With the salt given all of it is decided.
Credentials derive_credentials(std::string password_hash, std::string_view password,
                               std::string_view salt);

// From the system's generator; error: it gives none.
Result<std::string> draw_bytes(std::size_t count);
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

// The server's side of one login: begin(), challenge(), finish(), each once.
class Exchange {
 public:
  // `nonce`: this side's part of it, which no other login has: printable, without a comma.
  Exchange(Hash hash, std::string nonce) : hash_(hash), nonce_(std::move(nonce)) {}

  // Takes the client's first message: the name that it says. Error: it is none.
  Result<std::string> begin(std::string_view message);
  // The answer to it.
  std::string challenge(std::string_view salt, std::uint32_t iterations);
  // Takes the client's second message. The answer, if it knows the password of one of these, which
  // all have the salt and the iterations of the challenge.
  std::optional<std::string> finish(std::string_view message,
                                    std::span<const Credentials> credentials) const;

 private:
  const Hash hash_;
  std::string nonce_;  // both parts, from begin() on
  std::string binding_;
  std::string first_bare_;
  std::string challenge_;
};

}  // namespace even::scram
