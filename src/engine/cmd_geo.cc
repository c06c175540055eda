// Positions on the earth: members of a sorted set whose scores are positions (geo.h). Searches are
// in cmd_geo_search.cc.
#include "engine/cmd_geo.h"

#include <fmt/format.h>

#include <vector>

#include "engine/command.h"
#include "engine/sorted_set.h"
#include "engine/text.h"

namespace even {

bool read_geo_position(Context& context, std::string_view longitude, std::string_view latitude,
                       GeoPosition& out) {
  if (!read_score(context, longitude, out.longitude, kNotFloat)) return false;
  if (!read_score(context, latitude, out.latitude, kNotFloat)) return false;
  if (out.valid()) return true;
  context.reply.error(
      fmt::format("ERR invalid longitude,latitude pair {:f},{:f}", out.longitude, out.latitude));
  return false;
}

bool read_geo_unit(Context& context, std::string_view word, double& metres) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
  for (const auto& [name, size] : kUnits) {
    if (!equals_ignore_case(word, name)) continue;
    metres = size;
    return true;
  }
  context.reply.error("ERR unsupported unit provided. please use M, KM, FT, MI");
  return false;
}

void reply_geo_distance(Context& context, double distance) {
  context.reply.bulk(fmt::format("{:.4f}", distance));
}

void reply_geo_position(Context& context, const GeoPosition& position) {
  context.reply.array(2);
  context.reply.real(format_real(static_cast<Real>(position.longitude)));
  context.reply.real(format_real(static_cast<Real>(position.latitude)));
}

namespace {

void geoadd_command(Context& context, Args args) {
  bool if_absent = false;
  bool if_present = false;
  std::vector<std::string_view> words{"zadd", args[1]};
  std::size_t i = 2;
  for (; i < args.size(); ++i) {
    if (equals_ignore_case(args[i], "nx")) {
      if_absent = true;
    } else if (equals_ignore_case(args[i], "xx")) {
      if_present = true;
    } else if (!equals_ignore_case(args[i], "ch")) {
      break;
    }
    words.push_back(args[i]);
  }
  if ((args.size() - i) % 3 != 0 || (if_absent && if_present)) {
    return context.reply.error(kSyntaxError);
  }
  for (; i < args.size(); i += 3) {
    GeoPosition position;
    if (!read_geo_position(context, args[i], args[i + 1], position)) return;
    words.push_back(context.keep(std::to_string(geo_score(position))));
    words.push_back(args[i + 2]);
  }
  find_command("zadd")->handler(context, words);
}

void geodist_command(Context& context, Args args) {
  double unit = 1;
  if (args.size() > 5) return context.reply.error(kSyntaxError);
  if (args.size() == 5 && !read_geo_unit(context, args[4], unit)) return;
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  const std::optional<double> a = set.score(args[2]);
  const std::optional<double> b = set.score(args[3]);
  if (!a || !b) return context.reply.null();
  reply_geo_distance(context, geo_distance(geo_position(*a), geo_position(*b)) / unit);
}

void geohash_command(Context& context, Args args) {
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  context.reply.array(args.size() - 2);
  for (const std::string_view member : args.subspan(2)) {
    const std::optional<double> score = set.score(member);
    score ? context.reply.bulk(geo_hash_text(geo_position(*score))) : context.reply.null();
  }
}

void geopos_command(Context& context, Args args) {
  SortedSet set;
  if (!find_sorted_set(context, args[1], set)) return;
  context.reply.array(args.size() - 2);
  for (const std::string_view member : args.subspan(2)) {
    const std::optional<double> score = set.score(member);
    score ? reply_geo_position(context, geo_position(*score)) : context.reply.null_array();
  }
}

constexpr Command kGeoCommands[] = {
    {.name = "geoadd",
     .group = "geo",
     .arity = -5,
     .flags = kWrite | kDenyOom,
     .keys = kFirstWord,
     .handler = geoadd_command,
     .docs = {.since = "3.2.0",
              .summary = "Add members to a sorted set, with positions for scores",
              .complexity = "O(log(N)) for each member, where N is the size of the sorted set",
              .arguments = "key [condition(NX|XX)] [change=CH] "
                           "longitude_latitude_member(longitude:double latitude:double member)...",
              .key_spec = "RW update"}},
    {.name = "geodist",
     .group = "geo",
     .arity = -4,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = geodist_command,
     .docs = {.since = "3.2.0",
              .summary = "Distance between two members",
              .complexity = "O(1)",
              .arguments = "key member1 member2 [unit(M|KM|FT|MI)]",
              .key_spec = "RO access"}},
    {.name = "geohash",
     .group = "geo",
     .arity = -2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = geohash_command,
     .docs = {.since = "3.2.0",
              .summary = "Positions of members as geohash.org writes them",
              .complexity = "O(N) where N is the number of members",
              .arguments = "key member...",
              .key_spec = "RO access"}},
    {.name = "geopos",
     .group = "geo",
     .arity = -2,
     .flags = kReadonly,
     .keys = kFirstWord,
     .handler = geopos_command,
     .docs = {.since = "3.2.0",
              .summary = "Positions of members",
              .complexity = "O(N) where N is the number of members",
              .arguments = "key member...",
              .key_spec = "RO access"}},
};

}  // namespace

std::span<const Command> geo_commands() { return kGeoCommands; }

}  // namespace even
