#include "kafka/sasl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace even::kafka {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::Not;

class FakeUsers final : public SaslUsers {
 public:
  std::optional<Login> log_in(std::string_view name, std::string_view password) override {
    const auto user = users.find(std::string(name));
    if (user == users.end() || !user->second->password_matches(password)) return std::nullopt;
    return Login{user->second};
  }
  std::optional<ScramLogin> find_scram(std::string_view name) override {
    const auto user = users.find(std::string(name));
    if (user == users.end() || user->second->scram_credentials().empty()) return std::nullopt;
    return ScramLogin{{user->second}, user->second->scram_credentials()};
  }
  void set(const std::string& name, const std::string& password, bool as_hash = false) {
    AclUser user(name);
    EXPECT_TRUE(user.apply(as_hash ? "#" + password_hash(password) : ">" + password));
    if (!as_hash) {
      EXPECT_TRUE(user.apply(*scram_rule(user, password)));
    }
    users[name] = std::make_shared<const AclUser>(std::move(user));
  }

  std::map<std::string, AclUserPointer> users;
};

class SaslLogin : public testing::Test {
 protected:
  SaslLogin() { users_.set("alice", "secret"); }

  Sasl::Step plain(const std::string& token) {
    EXPECT_EQ(sasl_.begin("PLAIN"), ErrorCode::kNone);
    return sasl_.take(token);
  }

  FakeUsers users_;
  Sasl sasl_{users_};
};

TEST_F(SaslLogin, PlainTakesAUserWithItsPassword) {
  for (const std::string& token : {"\0alice\0secret"s, "alice\0alice\0secret"s}) {
    const Sasl::Step step = plain(token);
    ASSERT_TRUE(step.login);
    EXPECT_EQ(step.login->user->name(), "alice");
    EXPECT_FALSE(step.failed);
    EXPECT_EQ(step.token, "");
  }
  EXPECT_FALSE(sasl_.begun()) << "a login is taken once";
}

TEST_F(SaslLogin, PlainRefusesAllElseAndTellsNoPassword) {
  for (const std::string& token :
       {""s, "\0"s, "alice"s, "alice\0secret"s, "\0alice\0secret\0"s, "\0alice\0wrong"s,
        "\0alice\0"s, "\0bob\0secret"s, "bob\0alice\0secret"s, "\0\0"s}) {
    const Sasl::Step step = plain(token);
    EXPECT_TRUE(step.failed) << token;
    EXPECT_FALSE(step.login);
    EXPECT_THAT(step.error, Not(HasSubstr("secret")));
    EXPECT_THAT(step.user, Not(HasSubstr("secret")));
    EXPECT_FALSE(sasl_.begun());
  }
  EXPECT_EQ(plain("\0alice\0wrong"s).error, plain("\0bob\0wrong"s).error);
  EXPECT_EQ(plain("\0"s + std::string(5'000, 'x') + "\0y"s).user.size(), 256U);
}

TEST_F(SaslLogin, ATokenThatIsTooLongIsNotLookedInto) {
  for (const std::string& mechanism : Sasl::mechanisms()) {
    ASSERT_EQ(sasl_.begin(mechanism), ErrorCode::kNone);
    const Sasl::Step step = sasl_.take("n,,n=alice,r=x" + std::string(16 << 10, ','));
    EXPECT_TRUE(step.failed);
    EXPECT_THAT(step.error, HasSubstr("too long"));
    EXPECT_FALSE(sasl_.begun());
  }
}

TEST_F(SaslLogin, ThereAreThreeMechanisms) {
  EXPECT_EQ(sasl_.begin("GSSAPI"), ErrorCode::kUnsupportedSaslMechanism);
  EXPECT_FALSE(sasl_.begun());
  EXPECT_EQ(sasl_.begin("plain"), ErrorCode::kUnsupportedSaslMechanism);
  for (const std::string& mechanism : Sasl::mechanisms()) {
    EXPECT_EQ(sasl_.begin(mechanism), ErrorCode::kNone);
    EXPECT_EQ(sasl_.mechanism_name(), mechanism);
  }
}

TEST_F(SaslLogin, ScramSaysWhyAHashDoesNotDo) {
  users_.set("hashed", "secret", true);
  ASSERT_EQ(sasl_.begin("SCRAM-SHA-512"), ErrorCode::kNone);
  const Sasl::Step step = sasl_.take("n,,n=hashed,r=x");
  EXPECT_TRUE(step.failed);
  EXPECT_EQ(step.user, "hashed");
  EXPECT_THAT(step.error, HasSubstr("given as a hash"));
  EXPECT_TRUE(plain("\0hashed\0secret"s).login);
}

TEST_F(SaslLogin, ScramLooksTheUserUpAgain) {
  ASSERT_EQ(sasl_.begin("SCRAM-SHA-256"), ErrorCode::kNone);
  const Sasl::Step first = sasl_.take("n,,n=alice,r=x");
  ASSERT_FALSE(first.failed);
  ASSERT_FALSE(first.login);
  EXPECT_THAT(first.token, testing::StartsWith("r=x"));
  users_.users.clear();
  EXPECT_TRUE(sasl_.take("c=biws," + first.token.substr(0, 34) + ",p=AAAA").failed);
  EXPECT_FALSE(sasl_.begun());
}

}  // namespace
}  // namespace even::kafka
