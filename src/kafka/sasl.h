// How a client of Kafka's protocol logs in: SASL PLAIN (RFC 4616), SCRAM-SHA-256 and SCRAM-SHA-512,
// as the users that Even has. Knows nothing of sockets.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/scram.h"
#include "node/login.h"
#include "topic/kafka_error.h"

namespace even::kafka {

// Whom there is to log in as.
class SaslUsers {
 public:
  virtual ~SaslUsers() = default;
  // Why nobody can log in under this name; empty: the password decides.
  virtual std::string why_no_login(std::string_view /*name*/) { return {}; }
  virtual std::optional<Login> log_in(std::string_view name, std::string_view password) = 0;
  virtual std::optional<ScramLogin> find_scram(std::string_view name) = 0;
};

// Of one connection.
class Sasl {
 public:
  explicit Sasl(SaslUsers& users) : users_(users) {}

  static std::vector<std::string> mechanisms();
  // Begins a login; also after one that was begun and not gone on with.
  ErrorCode begin(std::string_view mechanism);
  bool begun() const { return mechanism_.has_value(); }

  struct Step {
    bool failed = false;
    std::optional<Login> login;  // it is done
    std::string token;           // for the client
    std::string error;           // for the client, if it failed
    std::string user;            // that was named, as far as it was
  };
  // Takes a token of the client, of a login that was begun. What failed or is done is over.
  Step take(std::string_view token);
  std::string_view mechanism_name() const;

 private:
  enum class Mechanism : std::uint8_t { kPlain, kScramSha256, kScramSha512 };

  Step take_plain(std::string_view token);
  Step take_first(std::string_view token);
  Step take_proof(std::string_view token);
  Step refuse(std::string user, std::string why = {}) const;

  SaslUsers& users_;
  std::optional<Mechanism> mechanism_;
  std::unique_ptr<scram::Exchange> exchange_;  // its second message is awaited
  std::string scram_user_;
};

}  // namespace even::kafka
