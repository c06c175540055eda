#include "kafka/sasl.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace even::kafka {
namespace {

// In the order of Sasl::Mechanism.
constexpr std::string_view kMechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
constexpr std::size_t kNonceBytes = 24;
// None that is meant well comes near.
constexpr std::size_t kMostTokenBytes = 16 << 10;
constexpr std::size_t kMostNamed = 256;  // of a user's name, in what is noted of it

}  // namespace

std::vector<std::string> Sasl::mechanisms() {
  return {std::begin(kMechanisms), std::end(kMechanisms)};
}

std::string_view Sasl::mechanism_name() const {
  return mechanism_ ? kMechanisms[static_cast<std::size_t>(*mechanism_)] : std::string_view();
}

ErrorCode Sasl::begin(std::string_view mechanism) {
  mechanism_.reset();
  exchange_.reset();
  const auto* found = std::ranges::find(kMechanisms, mechanism);
  if (found == std::end(kMechanisms)) return ErrorCode::kUnsupportedSaslMechanism;
  mechanism_ = static_cast<Mechanism>(found - std::begin(kMechanisms));
  return ErrorCode::kNone;
}

Sasl::Step Sasl::take(std::string_view token) {
  Step step = token.size() > kMostTokenBytes     ? refuse({}, "the token is too long")
              : *mechanism_ == Mechanism::kPlain ? take_plain(token)
              : exchange_ == nullptr             ? take_first(token)
                                                 : take_proof(token);
  if (step.failed || step.login) {
    mechanism_.reset();
    exchange_.reset();
  }
  return step;
}

// Whether there is such a user is not told.
Sasl::Step Sasl::refuse(std::string user, std::string why) const {
  if (why.empty()) why = users_.why_no_login(user);
  if (why.empty()) {
    why = *mechanism_ == Mechanism::kPlain
              ? "wrong user or password, or the user is disabled"
              : "wrong user or password, or the user is disabled, or its password was given as a "
                "hash (#...), which does for PLAIN only: set it by ACL SETUSER name >password";
  }
  user.resize(std::min(user.size(), kMostNamed));
  return {.failed = true,
          .login = std::nullopt,
          .token = {},
          .error = fmt::format("Authentication failed with SASL mechanism {}: {}", mechanism_name(),
                               why),
          .user = std::move(user)};
}

// [whom to act for] NUL user NUL password
Sasl::Step Sasl::take_plain(std::string_view token) {
  const std::size_t first = token.find('\0');
  const std::size_t second = first == std::string_view::npos ? first : token.find('\0', first + 1);
  if (second == std::string_view::npos) return refuse({}, "the message is none of PLAIN");
  const std::string_view acts_for = token.substr(0, first);
  const std::string_view user = token.substr(first + 1, second - first - 1);
  if (!acts_for.empty() && acts_for != user) {
    return refuse(std::string(user), "a user acts for itself only");
  }
  auto login = users_.log_in(user, token.substr(second + 1));
  if (!login) return refuse(std::string(user));
  Step step;
  step.login = std::move(login);
  step.user = user;
  return step;
}

Sasl::Step Sasl::take_first(std::string_view token) {
  const auto nonce = scram::draw_bytes(kNonceBytes);
  if (!nonce) return refuse({}, nonce.error().message);
  auto exchange = std::make_unique<scram::Exchange>(
      *mechanism_ == Mechanism::kScramSha256 ? scram::Hash::kSha256 : scram::Hash::kSha512,
      scram::to_base64(*nonce));
  Result<std::string> user = exchange->begin(token);
  if (!user) return refuse({}, "the client's first message: " + user.error().message);
  const auto found = users_.find_scram(*user);
  if (!found) return refuse(std::move(*user));
  Step step;
  step.token =
      exchange->challenge(found->credentials.front().salt, found->credentials.front().iterations);
  step.user = *user;
  exchange_ = std::move(exchange);
  scram_user_ = std::move(*user);
  return step;
}

// The user is looked up again: it may have another password by now, or be gone.
Sasl::Step Sasl::take_proof(std::string_view token) {
  auto found = users_.find_scram(scram_user_);
  auto answer = found ? exchange_->finish(token, found->credentials) : std::nullopt;
  if (!answer) return refuse(scram_user_);
  Step step;
  step.login = std::move(found->login);
  step.token = std::move(*answer);
  step.user = scram_user_;
  return step;
}

}  // namespace even::kafka
