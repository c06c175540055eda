#include "engine/geo.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

namespace even {
namespace {

constexpr unsigned kFinestStep = 26;
constexpr unsigned kCellBits = 32;  // more than steps: the eastern edge of the map is behind it
constexpr double kEarthRadius = 6372797.560856;  // metres
constexpr double kMercatorMost = 20037726.37;    // metres from the prime meridian to the edge

double radians(double degrees) { return degrees * (std::numbers::pi / 180); }
double degrees(double radians) { return radians / (std::numbers::pi / 180); }

struct GeoInterval {
  double min = 0;
  double max = 0;

  std::uint32_t cell(double value, unsigned step) const {
    return static_cast<std::uint32_t>((value - min) / (max - min) *
                                      static_cast<double>(1ull << step));
  }
  double edge(std::uint64_t cell, unsigned step) const {
    return min + static_cast<double>(cell) / static_cast<double>(1ull << step) * (max - min);
  }
};
constexpr GeoInterval kLongitudes{-180, 180};
constexpr GeoInterval kLatitudes{-85.05112878, 85.05112878};

// A square of the grid that divides the map into 2^step by 2^step of them.
struct GeoSquare {
  std::uint32_t x = 0;  // of longitude
  std::uint32_t y = 0;
  unsigned step = 0;

  std::uint64_t bits() const {
    std::uint64_t out = 0;
    for (unsigned i = 0; i < kCellBits; ++i) {
      out |= std::uint64_t{y >> i & 1} << 2 * i | std::uint64_t{x >> i & 1} << (2 * i + 1);
    }
    return out;
  }
  static GeoSquare of(const GeoPosition& position, unsigned step,
                      const GeoInterval& latitudes = kLatitudes) {
    return {kLongitudes.cell(position.longitude, step), latitudes.cell(position.latitude, step),
            step};
  }
  static GeoSquare of_bits(std::uint64_t bits) {
    GeoSquare out{.step = kFinestStep};
    for (unsigned i = 0; i < kCellBits; ++i) {
      out.y |= static_cast<std::uint32_t>(bits >> 2 * i & 1) << i;
      out.x |= static_cast<std::uint32_t>(bits >> (2 * i + 1) & 1) << i;
    }
    return out;
  }
  double west() const { return kLongitudes.edge(x, step); }
  double east() const { return kLongitudes.edge(std::uint64_t{x} + 1, step); }
  double south() const { return kLatitudes.edge(y, step); }
  double north() const { return kLatitudes.edge(std::uint64_t{y} + 1, step); }
  // Around the map at its edges.
  GeoSquare moved(int east, int north) const {
    const std::uint32_t mask = (1u << step) - 1;
    return {(x + static_cast<std::uint32_t>(east)) & mask,
            (y + static_cast<std::uint32_t>(north)) & mask, step};
  }
  GeoScores scores() const {
    const unsigned shift = 2 * (kFinestStep - step);
    return {static_cast<double>(bits() << shift), static_cast<double>((bits() + 1) << shift)};
  }
  bool operator==(const GeoSquare&) const = default;
};

double latitude_distance(double a, double b) {
  return kEarthRadius * std::abs(radians(b) - radians(a));
}

struct GeoBounds {
  double west, south, east, north;
};

GeoBounds bounds_of(const GeoShape& shape) {
  const double height = shape.unit * (shape.radius ? *shape.radius : shape.height / 2);
  const double width = shape.unit * (shape.radius ? *shape.radius : shape.width / 2);
  const double latitudes = degrees(height / kEarthRadius);
  // The widest of its parallels is the one that is farther from the equator.
  const double towards_pole = shape.middle.latitude < 0 ? -latitudes : latitudes;
  const double longitudes =
      degrees(width / kEarthRadius / std::cos(radians(shape.middle.latitude + towards_pole)));
  return {shape.middle.longitude - longitudes, shape.middle.latitude - latitudes,
          shape.middle.longitude + longitudes, shape.middle.latitude + latitudes};
}

unsigned estimated_step(double reach, double latitude) {
  if (reach == 0) return kFinestStep;
  int step = 1;
  for (; reach < kMercatorMost; reach *= 2) ++step;
  step -= 2;  // so that nine squares hold all of the shape, in most cases
  if (std::abs(latitude) > 66) --step;
  if (std::abs(latitude) > 80) --step;
  return static_cast<unsigned>(std::clamp(step, 1, static_cast<int>(kFinestStep)));
}

struct GeoDirection {
  int east, north;
};
constexpr GeoDirection kSearched[] = {{0, 0}, {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                                      {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};

}  // namespace

std::uint64_t geo_score(const GeoPosition& position) {
  return GeoSquare::of(position, kFinestStep).bits();
}

GeoPosition geo_position(double score) {
  // Of a sorted set that is not of positions, any.
  const bool possible = score >= 0 && score < 0x1p64;
  const GeoSquare square = GeoSquare::of_bits(possible ? static_cast<std::uint64_t>(score) : 0);
  return {std::clamp((square.west() + square.east()) / 2, kLongitudes.min, kLongitudes.max),
          std::clamp((square.south() + square.north()) / 2, kLatitudes.min, kLatitudes.max)};
}

std::string geo_hash_text(const GeoPosition& position) {
  constexpr std::string_view kAlphabet = "0123456789bcdefghjkmnpqrstuvwxyz";
  const std::uint64_t bits = GeoSquare::of(position, kFinestStep, {-90, 90}).bits();
  std::string out;
  for (int shift = 47; shift >= 0; shift -= 5) out += kAlphabet[bits >> shift & 31];
  return out + '0';  // of the last character there are two bits, which are left out
}

double geo_distance(const GeoPosition& a, const GeoPosition& b) {
  const double v = std::sin((radians(b.longitude) - radians(a.longitude)) / 2);
  if (v == 0) return latitude_distance(a.latitude, b.latitude);
  const double u = std::sin((radians(b.latitude) - radians(a.latitude)) / 2);
  const double h = u * u + std::cos(radians(a.latitude)) * std::cos(radians(b.latitude)) * v * v;
  return 2 * kEarthRadius * std::asin(std::sqrt(h));
}

std::optional<double> GeoShape::distance_to(const GeoPosition& position) const {
  if (radius) {
    const double distance = geo_distance(middle, position);
    return distance <= *radius * unit ? std::optional(distance) : std::nullopt;
  }
  if (latitude_distance(position.latitude, middle.latitude) > height * unit / 2) {
    return std::nullopt;
  }
  const GeoPosition beside{middle.longitude, position.latitude};
  if (geo_distance(position, beside) > width * unit / 2) return std::nullopt;
  return geo_distance(middle, position);
}

std::vector<GeoScores> geo_squares(const GeoShape& shape) {
  const GeoBounds bounds = bounds_of(shape);
  const double reach =
      shape.unit * (shape.radius ? *shape.radius : std::hypot(shape.width / 2, shape.height / 2));
  unsigned step = estimated_step(reach, shape.middle.latitude);
  GeoSquare middle = GeoSquare::of(shape.middle, step);
  const bool too_fine =
      middle.moved(0, 1).north() < bounds.north || middle.moved(0, -1).south() > bounds.south ||
      middle.moved(1, 0).east() < bounds.east || middle.moved(-1, 0).west() > bounds.west;
  if (step > 1 && too_fine) middle = GeoSquare::of(shape.middle, --step);

  std::vector<GeoScores> out;
  std::optional<GeoSquare> last;
  for (const GeoDirection& direction : kSearched) {
    const bool useless = (direction.north < 0 && middle.south() < bounds.south) ||
                         (direction.north > 0 && middle.north() > bounds.north) ||
                         (direction.east < 0 && middle.west() < bounds.west) ||
                         (direction.east > 0 && middle.east() > bounds.east);
    if (step >= 2 && useless) continue;
    const GeoSquare square = middle.moved(direction.east, direction.north);
    // Where there are two squares from pole to pole, both neighbours are one.
    if (square == last) continue;
    last = square;
    out.push_back(square.scores());
  }
  return out;
}

}  // namespace even
