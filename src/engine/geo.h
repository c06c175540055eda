// Positions on the earth as scores of a sorted set: 52 bits, of longitude and latitude in turn, so
// that what lies in a square of a grid is one range of scores. The forms, the size of the earth and
// the order in which squares are searched are Redis's (geohash.c, geohash_helper.c), which took
// them from G. Niemeyer's geohash and from ardb.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace even {

// In degrees.
struct GeoPosition {
  double longitude = 0;
  double latitude = 0;

  // Mercator's projection ends where the map is a square.
  bool valid() const {
    return longitude >= -180 && longitude <= 180 && latitude >= -85.05112878 &&
           latitude <= 85.05112878;
  }
};

// The score of a position, which is valid, and a position with that score: the middle of a square
// of less than a metre.
std::uint64_t geo_score(const GeoPosition& position);
GeoPosition geo_position(double score);
// As geohash.org writes it, 11 characters.
std::string geo_hash_text(const GeoPosition& position);
// In metres.
double geo_distance(const GeoPosition& a, const GeoPosition& b);

// A circle, or a box with sides along the meridians and parallels.
struct GeoShape {
  GeoPosition middle;
  double unit = 1;  // metres; of what follows
  std::optional<double> radius;
  double width = 0;
  double height = 0;

  // How far away a position in it is, in metres; nothing where it is outside.
  std::optional<double> distance_to(const GeoPosition& position) const;
};

// Scores from `first` on and below `end`.
struct GeoScores {
  double first = 0;
  double end = 0;
};
// Where to search for what lies in the shape, in this order.
std::vector<GeoScores> geo_squares(const GeoShape& shape);

}  // namespace even
