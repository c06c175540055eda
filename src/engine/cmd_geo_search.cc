// Which members of a sorted set of positions lie in a circle or a box: GEOSEARCH, and GEORADIUS,
// which is older and has one key where it stores among its options.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/cmd_geo.h"
#include "engine/command.h"
#include "engine/sorted_set.h"
#include "engine/text.h"

namespace even {
namespace {

enum class GeoForm : std::uint8_t { kSearch, kSearchStore, kRadius, kRadiusOfMember };

struct GeoRequest {
  GeoShape shape;
  bool around = false;      // a member or a position is given
  bool has_extent = false;  // a radius or the sides of a box
  bool is_box = false;
  bool from_member = false;
  bool with_distance = false;
  bool with_hash = false;
  bool with_position = false;
  bool any = false;
  std::int64_t count = 0;  // 0: all
  enum class Order : std::uint8_t { kNone, kNearest, kFarthest } order = Order::kNone;
  std::optional<std::string_view> store;
  bool store_distance = false;
};

struct GeoFound {
  std::string_view member;
  double score;
  GeoPosition position;
  double distance;  // metres
};

// Reads the options of a search of `set`, one after the other. Each reader returns how many words
// it has taken, 0 when they are none of its, and nothing after an error.
class GeoOptions {
 public:
  GeoOptions(Context& context, const SortedSet& set, GeoForm form, bool may_store, GeoRequest& out)
      : context_(context), set_(set), form_(form), may_store_(may_store), out_(out) {}

  bool read(Args words) {
    while (!words.empty()) {
      std::optional<std::size_t> taken = flag(words);
      if (taken == 0) taken = option(words);
      if (taken == 0) taken = place(words);
      if (!taken) return false;
      if (*taken == 0) {
        context_.reply.error(kSyntaxError);
        return false;
      }
      words = words.subspan(*taken);
    }
    return true;
  }

  // The middle of the shape. False, after an error, when there is no such member.
  bool around_member(std::string_view member) {
    out_.around = out_.from_member = true;
    if (set_.size == 0) return true;
    const std::optional<double> score = set_.score(member);
    if (!score) {
      context_.reply.error("ERR could not decode requested zset member");
      return false;
    }
    out_.shape.middle = geo_position(*score);
    return true;
  }
  bool radius(std::string_view number, std::string_view unit) {
    double radius;
    if (!read_score(context_, number, radius, "ERR need numeric radius")) return false;
    if (radius < 0) {
      context_.reply.error("ERR radius cannot be negative");
      return false;
    }
    if (!read_geo_unit(context_, unit, out_.shape.unit)) return false;
    out_.shape.radius = radius;
    out_.has_extent = true;
    return true;
  }

 private:
  using Taken = std::optional<std::size_t>;

  bool searches() const { return form_ == GeoForm::kSearch || form_ == GeoForm::kSearchStore; }

  Taken flag(Args words) {
    using Order = GeoRequest::Order;
    const std::string_view word = words[0];
    if (equals_ignore_case(word, "withdist")) {
      out_.with_distance = true;
    } else if (equals_ignore_case(word, "withhash")) {
      out_.with_hash = true;
    } else if (equals_ignore_case(word, "withcoord")) {
      out_.with_position = true;
    } else if (equals_ignore_case(word, "any")) {
      out_.any = true;
    } else if (equals_ignore_case(word, "asc")) {
      out_.order = Order::kNearest;
    } else if (equals_ignore_case(word, "desc")) {
      out_.order = Order::kFarthest;
    } else if (form_ == GeoForm::kSearchStore && equals_ignore_case(word, "storedist")) {
      out_.store_distance = true;
    } else {
      return 0;
    }
    return 1;
  }

  Taken option(Args words) {
    if (words.size() < 2) return 0;
    if (equals_ignore_case(words[0], "count")) {
      if (!read_integer(context_, words[1], out_.count)) return std::nullopt;
      if (out_.count > 0) return 2;
      context_.reply.error("ERR COUNT must be > 0");
      return std::nullopt;
    }
    const bool distance = equals_ignore_case(words[0], "storedist");
    if (!may_store_ || searches() || (!distance && !equals_ignore_case(words[0], "store"))) {
      return 0;
    }
    out_.store = words[1];
    out_.store_distance = distance;
    return 2;
  }

  // Of GEOSEARCH, which has the place among its options.
  Taken place(Args words) {
    if (!searches() || words.size() < 2) return 0;
    const bool from_position = out_.around && !out_.from_member;
    if (equals_ignore_case(words[0], "frommember") && !from_position) {
      return around_member(words[1]) ? Taken(2) : std::nullopt;
    }
    if (words.size() < 3) return 0;
    if (equals_ignore_case(words[0], "fromlonlat") && !out_.from_member) {
      out_.around = true;
      const bool read = read_geo_position(context_, words[1], words[2], out_.shape.middle);
      return read ? Taken(3) : std::nullopt;
    }
    if (equals_ignore_case(words[0], "byradius") && !out_.is_box) {
      return radius(words[1], words[2]) ? Taken(3) : std::nullopt;
    }
    const bool has_radius = out_.has_extent && !out_.is_box;
    if (words.size() < 4 || has_radius || !equals_ignore_case(words[0], "bybox")) return 0;
    return box(words[1], words[2], words[3]) ? Taken(4) : std::nullopt;
  }

  bool box(std::string_view width, std::string_view height, std::string_view unit) {
    GeoShape& shape = out_.shape;
    if (!read_score(context_, width, shape.width, "ERR need numeric width")) return false;
    if (!read_score(context_, height, shape.height, "ERR need numeric height")) return false;
    if (shape.width < 0 || shape.height < 0) {
      context_.reply.error("ERR height or width cannot be negative");
      return false;
    }
    out_.is_box = out_.has_extent = true;
    return read_geo_unit(context_, unit, shape.unit);
  }

  Context& context_;
  const SortedSet& set_;
  const GeoForm form_;
  const bool may_store_;
  GeoRequest& out_;
};

// False, after an error, when the options do not go together.
bool check_geo_request(Context& context, Args args, GeoForm form, const GeoRequest& request) {
  const bool searches = form == GeoForm::kSearch || form == GeoForm::kSearchStore;
  const bool with = request.with_distance || request.with_hash || request.with_position;
  std::string error;
  if (request.store && with) {
    error =
        fmt::format("ERR {} is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                    form == GeoForm::kSearchStore ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
  } else if (searches && !request.around) {
    error =
        fmt::format("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {}", args[0]);
  } else if (searches && !request.has_extent) {
    error = fmt::format("ERR exactly one of BYRADIUS and BYBOX can be specified for {}", args[0]);
  } else if (request.any && request.count == 0) {
    error = "ERR the ANY argument requires COUNT argument";
  }
  if (!error.empty()) context.reply.error(error);
  return error.empty();
}

// In the order of the squares that are searched, and of scores in each; no more than `most`, if
// that is not 0.
std::vector<GeoFound> found_in(const SortedSet& set, const GeoShape& shape, std::size_t most) {
  std::vector<GeoFound> out;
  const ScoreOrder order(set);
  for (const GeoScores& scores : geo_squares(shape)) {
    const RankRange range = ScoreRange{scores.first, scores.end, false, true}.in(order);
    order.visit(range.first, range.count, false, [&](std::string_view member, double score) {
      if (most > 0 && out.size() >= most) return;
      const GeoPosition position = geo_position(score);
      const std::optional<double> distance = shape.distance_to(position);
      if (distance) out.push_back({member, score, position, *distance});
    });
  }
  return out;
}

void reply_found(Context& context, const GeoRequest& request, std::span<const GeoFound> found) {
  const std::size_t beside = (request.with_distance ? 1 : 0) + (request.with_hash ? 1 : 0) +
                             (request.with_position ? 1 : 0);
  context.reply.array(found.size());
  for (const GeoFound& one : found) {
    if (beside > 0) context.reply.array(beside + 1);
    context.reply.bulk(one.member);
    if (request.with_distance) reply_geo_distance(context, one.distance / request.shape.unit);
    if (request.with_hash) context.reply.integer(static_cast<std::int64_t>(one.score));
    if (request.with_position) reply_geo_position(context, one.position);
  }
}

void store_found(Context& context, std::string_view key, const GeoRequest& request,
                 std::span<const GeoFound> found) {
  std::vector<ScoredMember> members;
  for (const GeoFound& one : found) {
    const double score = request.store_distance ? one.distance / request.shape.unit : one.score;
    members.push_back({one.member, score});
  }
  store_members(context, key, members, true);
}

void search(Context& context, const SortedSet& set, GeoRequest request) {
  using Order = GeoRequest::Order;
  // The nearest are meant, unless any will do.
  if (request.count > 0 && request.order == Order::kNone && !request.any) {
    request.order = Order::kNearest;
  }
  const auto count = static_cast<std::size_t>(request.count);
  std::vector<GeoFound> found;
  if (set.size > 0) found = found_in(set, request.shape, request.any ? count : 0);
  if (request.order == Order::kNearest) {
    std::ranges::stable_sort(found, {}, &GeoFound::distance);
  } else if (request.order == Order::kFarthest) {
    std::ranges::stable_sort(found, std::ranges::greater{}, &GeoFound::distance);
  }
  if (count > 0 && found.size() > count) found.resize(count);
  if (request.store) return store_found(context, *request.store, request, found);
  reply_found(context, request, found);
}

template <GeoForm kForm, bool kMayStore>
void geo_search_command(Context& context, Args args) {
  constexpr bool kStores = kForm == GeoForm::kSearchStore;
  SortedSet set;
  if (!find_sorted_set(context, args[kStores ? 2 : 1], set)) return;
  GeoRequest request;
  if (kStores) request.store = args[1];
  GeoOptions options(context, set, kForm, kMayStore, request);
  std::size_t first = kStores ? 3 : 2;
  if constexpr (kForm == GeoForm::kRadius) {
    first = 6;
    if (!read_geo_position(context, args[2], args[3], request.shape.middle)) return;
    if (!options.radius(args[4], args[5])) return;
  } else if constexpr (kForm == GeoForm::kRadiusOfMember) {
    first = 5;
    if (!options.around_member(args[2])) return;
    if (set.size > 0 && !options.radius(args[3], args[4])) return;
  }
  if (!options.read(args.subspan(first))) return;
  if (check_geo_request(context, args, kForm, request)) search(context, set, std::move(request));
}

constexpr std::string_view kSearchComplexity =
    "O(N*log(M)) where N is the number of members in the squares of the grid around the shape and "
    "M the size of the sorted set";
constexpr std::string_view kSearchArguments =
    "key from(FROMMEMBER member|FROMLONLAT longitude_latitude(longitude:double latitude:double)) "
    "by(circle(BYRADIUS radius:double unit(M|KM|FT|MI))|box(BYBOX width:double height:double "
    "unit(M|KM|FT|MI))) [order(ASC|DESC)] [count(COUNT count:integer [ANY])] [WITHCOORD] "
    "[WITHDIST] [WITHHASH]";
constexpr std::string_view kSearchStoreArguments =
    "destination:key source:key from(FROMMEMBER member|FROMLONLAT "
    "longitude_latitude(longitude:double latitude:double)) by(circle(BYRADIUS radius:double "
    "unit(M|KM|FT|MI))|box(BYBOX width:double height:double unit(M|KM|FT|MI))) [order(ASC|DESC)] "
    "[count(COUNT count:integer [ANY])] [STOREDIST]";
constexpr std::string_view kRadiusArguments =
    "key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] "
    "[WITHHASH] [count(COUNT count:integer [ANY])] [order(ASC|DESC)]";
constexpr std::string_view kRadiusStoreArguments =
    "key longitude:double latitude:double radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] "
    "[WITHHASH] [count(COUNT count:integer [ANY])] [order(ASC|DESC)] [STORE key] [STOREDIST key]";
constexpr std::string_view kOfMemberArguments =
    "key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count(COUNT "
    "count:integer [ANY])] [order(ASC|DESC)]";
constexpr std::string_view kOfMemberStoreArguments =
    "key member radius:double unit(M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [count(COUNT "
    "count:integer [ANY])] [order(ASC|DESC)] [STORE key] [STOREDIST key]";

constexpr Command geo_row(std::string_view name, int arity, Handler handler, std::string_view since,
                          std::string_view summary, std::string_view arguments) {
  return {.name = name,
          .group = "geo",
          .arity = arity,
          .flags = kReadonly,
          .keys = kFirstWord,
          .handler = handler,
          .docs = {.since = since,
                   .summary = summary,
                   .complexity = kSearchComplexity,
                   .arguments = arguments,
                   .key_spec = "RO access"}};
}

// With STORE among its options.
constexpr Command storing_geo_row(std::string_view name, int arity, Handler handler,
                                  std::string_view summary, std::string_view arguments) {
  Command row = geo_row(name, arity, handler, "3.2.0", summary, arguments);
  row.flags = kWrite | kDenyOom | kMovableKeys;
  row.keys.store_from = 5;
  row.docs.key_spec = "RO access; OW update@STORE; OW update@STOREDIST";
  return row;
}

constexpr Command geo_search_store_row() {
  Command row =
      geo_row("geosearchstore", -8, geo_search_command<GeoForm::kSearchStore, true>, "6.2.0",
              "Store the members that lie in a circle or a box", kSearchStoreArguments);
  row.flags = kWrite | kDenyOom;
  row.keys = {.first = 1, .last = 2, .step = 1};
  row.docs.key_spec = "OW update; RO access";
  return row;
}

constexpr std::string_view kInCircle = "Members that lie in a circle";
constexpr std::string_view kAroundMember = "Members that lie in a circle around a member";

constexpr Command kGeoSearchCommands[] = {
    geo_row("geosearch", -7, geo_search_command<GeoForm::kSearch, false>, "6.2.0",
            "Members that lie in a circle or a box", kSearchArguments),
    geo_search_store_row(),
    storing_geo_row("georadius", -6, geo_search_command<GeoForm::kRadius, true>, kInCircle,
                    kRadiusStoreArguments),
    geo_row("georadius_ro", -6, geo_search_command<GeoForm::kRadius, false>, "3.2.10", kInCircle,
            kRadiusArguments),
    storing_geo_row("georadiusbymember", -5, geo_search_command<GeoForm::kRadiusOfMember, true>,
                    kAroundMember, kOfMemberStoreArguments),
    geo_row("georadiusbymember_ro", -5, geo_search_command<GeoForm::kRadiusOfMember, false>,
            "3.2.10", kAroundMember, kOfMemberArguments),
};

}  // namespace

std::span<const Command> geo_search_commands() { return kGeoSearchCommands; }

}  // namespace even
