// Positions, in what the comparison with redis-server does not see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/command_fixture.h"
#include "engine/geo.h"

namespace even {
namespace {

class GeoCommands : public CommandFixture {};

TEST_F(GeoCommands, APositionThatWasChangedAtTwoReplicasIsTheOneWrittenLast) {
  TestKeyspace other(2);
  run({"GEOADD", "g", "13.361389", "38.115556", "Palermo"});
  other.now_ms += 10;
  other.run({"GEOADD", "g", "15.087269", "37.502669", "Palermo"});
  keyspace.merge(other);
  EXPECT_EQ(run({"GEOPOS", "g", "Palermo"}), other.run({"GEOPOS", "g", "Palermo"}));
}

TEST_F(GeoCommands, ASearchOfSquaresFindsAllThatIsInTheShape) {
  Random random(7);
  const auto real = [&random](double low, double high) {
    return low + static_cast<double>(random.below(1'000'000)) / 1e6 * (high - low);
  };
  for (int i = 0; i < 3000; ++i) {
    const GeoPosition middle{real(-180, 180), real(-80, 80)};
    const GeoShape shape{.middle = middle,
                         .unit = 1000,
                         .radius = i % 2 == 0 ? std::optional(real(0.01, 300)) : std::nullopt,
                         .width = real(0.01, 300),
                         .height = real(0.01, 300)};
    const GeoPosition near{middle.longitude + real(-1, 1), middle.latitude + real(-1, 1)};
    if (!near.valid()) continue;
    const auto score = static_cast<double>(geo_score(near));
    if (!shape.distance_to(geo_position(score))) continue;
    const bool found = std::ranges::any_of(geo_squares(shape), [score](const GeoScores& scores) {
      return score >= scores.first && score < scores.end;
    });
    EXPECT_TRUE(found) << near.longitude << " " << near.latitude;
  }
}

TEST_F(GeoCommands, AResultMayTakeThePlaceOfItsInput) {
  run({"GEOADD", "g", "13.3", "38.1", "a", "15.0", "37.5", "b"});
  EXPECT_EQ(run({"GEORADIUS", "g", "15", "37.5", "10", "km", "STORE", "g"}), ":1\r\n");
  EXPECT_EQ(run({"ZRANGE", "g", "0", "-1"}), "*1\r\n" + bulk("b"));
}

}  // namespace
}  // namespace even
