#include "engine/scram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/acl.h"

namespace even::scram {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

std::string pencil_salt() { return *from_base64("W22ZaJ0SNY7soEsUEjb6gQ=="); }

Credentials pencil() {
  return derive_credentials(password_hash("pencil"), "pencil", pencil_salt());
}

// RFC 7677, 3.
TEST(Scram, IsAsTheExampleOfItsStandard) {
  Exchange exchange(Hash::kSha256, std::string(kServerNonce));
  EXPECT_EQ(exchange.begin(kFirst), "user");
  const Credentials known[] = {pencil()};
  EXPECT_EQ(exchange.challenge(known[0].salt, known[0].iterations),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  EXPECT_EQ(exchange.finish("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                            "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                            known),
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Scram, RefusesAProofOfAnythingElse) {
  const std::string right =
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
  const auto finish = [](std::string_view message, const Credentials& known,
                         std::string_view nonce = kServerNonce) {
    Exchange exchange(Hash::kSha256, std::string(nonce));
    EXPECT_TRUE(exchange.begin(kFirst));
    exchange.challenge(known.salt, known.iterations);
    return exchange.finish(message, {&known, 1});
  };
  EXPECT_TRUE(finish(right, pencil()));
  EXPECT_FALSE(finish(right, derive_credentials("", "pencils", pencil_salt())));
  EXPECT_FALSE(finish(right, derive_credentials("", "pencil", "another salt")));
  EXPECT_FALSE(finish(right, pencil(), "another")) << "recorded at another login";
  for (const std::string message : {"", ",p=", "c=biws", "c=biws,p=dHzb", "p=dHzb",
                                    "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="}) {
    EXPECT_FALSE(finish(message, pencil())) << message;
  }
  // No byte of it may be another one.
  for (std::size_t i = 0; i < right.size(); ++i) {
    std::string other = right;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(finish(other, pencil())) << other;
  }
}

// RFC 5802, 5.1 and 7.
TEST(Scram, ReadsFirstMessagesAsTheStandardHasThem) {
  const auto begin = [](std::string_view message) {
    return Exchange(Hash::kSha512, "server").begin(message);
  };
  EXPECT_EQ(begin("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"), "user");
  EXPECT_EQ(begin("y,,n=user,r=x"), "user");
  EXPECT_EQ(begin("n,a=user,n=user,r=x,tokenauth=true"), "user");
  EXPECT_EQ(begin("n,,n=a=2Cb=3Dc,r=x"), "a,b=c");
  for (const std::string_view wrong :
       {"", "n", "n,", "n,,", "n,,n=user", "n,,n=,r=x", "n,,n=user,r=", "n,,r=x,n=user",
        "n,a=another,n=user,r=x", "p=tls-unique,,n=user,r=x", "n,,m=x,n=user,r=x", "n,,n=a=b,r=x",
        "n,,n=a=2,r=x", "n,,n=user,r=a b", "x,,n=user,r=x"}) {
    EXPECT_FALSE(begin(wrong)) << wrong;
  }
}

TEST(Scram, CredentialsAreReadAsTheyWereWritten) {
  const Credentials known = pencil();
  EXPECT_EQ(Credentials::decode(known.encode()), known);
  EXPECT_THAT(known.encode(), Not(HasSubstr("pencil")));
  for (std::size_t cut = 0; cut < known.encode().size(); ++cut) {
    EXPECT_FALSE(Credentials::decode(known.encode().substr(0, cut))) << cut;
  }
}

TEST(Scram, Base64IsTakenInOneFormOnly) {
  EXPECT_EQ(to_base64(std::string("\0\xff", 2)), "AP8=");
  EXPECT_EQ(from_base64("AP8="), std::string("\0\xff", 2));
  EXPECT_EQ(from_base64(""), "");
  for (const std::string_view wrong :
       {"A", "AP8", "AP9=", " AP8", "AP8=\n", "====", "A===", "-_-_"}) {
    EXPECT_FALSE(from_base64(wrong)) << wrong;
  }
}

// --- Of users

AclUser with_passwords(std::initializer_list<std::string_view> passwords) {
  AclUser user("u");
  for (const std::string_view password : passwords) {
    EXPECT_TRUE(user.apply(">" + std::string(password)));
    EXPECT_TRUE(user.apply(*scram_rule(user, password)));
  }
  return user;
}

TEST(ScramOfUsers, IsStoredAndNeverShown) {
  const AclUser user = with_passwords({"one"});
  ASSERT_EQ(user.scram_credentials().size(), 1U);
  EXPECT_EQ(user.scram_credentials()[0].iterations, 4096U);
  EXPECT_EQ(*AclUser::parse("u", user.stored()), user);
  EXPECT_TRUE(AclUser::parse("u", user.definition())->scram_credentials().empty());
  EXPECT_THAT(user.definition(), Not(HasSubstr("$")));
  EXPECT_THAT(user.rights(), Not(HasSubstr("$")));
}

TEST(ScramOfUsers, PasswordsOfAUserShareASaltAndUsersDoNot) {
  const AclUser user = with_passwords({"one", "two"});
  ASSERT_EQ(user.scram_credentials().size(), 2U);
  EXPECT_EQ(user.scram_credentials()[0].salt, user.scram_credentials()[1].salt);
  EXPECT_NE(user.scram_credentials()[0].sha256, user.scram_credentials()[1].sha256);
  EXPECT_NE(with_passwords({"one"}).scram_credentials()[0].salt, user.scram_credentials()[0].salt);
}

TEST(ScramOfUsers, GoesWithThePassword) {
  AclUser user = with_passwords({"one", "two"});
  EXPECT_TRUE(user.apply("<one"));
  ASSERT_EQ(user.scram_credentials().size(), 1U);
  EXPECT_EQ(user.scram_credentials()[0].password_hash, password_hash("two"));
  for (const std::string_view rule : {"resetpass", "nopass", "reset"}) {
    AclUser other = with_passwords({"one"});
    EXPECT_TRUE(other.apply(rule));
    EXPECT_TRUE(other.scram_credentials().empty()) << rule;
  }
  AclUser none("u");
  EXPECT_FALSE(none.apply(*scram_rule(user, "one"))) << "it has no such password";
}

TEST(ScramOfUsers, IsKeptForPasswordsThatStay) {
  const AclUser before = with_passwords({"one", "two"});
  AclUser after("u");
  EXPECT_TRUE(after.apply("#" + password_hash("two")));
  EXPECT_TRUE(after.apply("#" + password_hash("three")));
  after.keep_scram_of(before);
  ASSERT_EQ(after.scram_credentials().size(), 1U);
  EXPECT_EQ(after.scram_credentials()[0], before.scram_credentials()[1]);
}

}  // namespace
}  // namespace even::scram
