#include "engine/sorted_set.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "engine/text.h"

namespace even {
namespace {

bool less(const ScoredMember& a, const ScoredMember& b) {
  return a.score < b.score || (a.score == b.score && a.name < b.name);
}

// As Redis reads the bounds of a range: space before a number does not matter, nor does what is
// behind a NUL byte; an empty text is 0.
bool parse_bound(std::string_view text, double& out, bool& without) {
  without = text.starts_with('(');
  const std::string copy(text.substr(without ? 1 : 0));
  char* end = nullptr;
  out = std::strtod(copy.c_str(), &end);
  return *end == '\0' && !std::isnan(out);
}

bool parse_lex_bound(std::string_view text, std::string_view& out, LexRange::Bound& is) {
  if (text.empty()) return false;
  out = text.substr(1);
  switch (text[0]) {
    case '-':
      is = LexRange::Bound::kLowest;
      return text.size() == 1;
    case '+':
      is = LexRange::Bound::kHighest;
      return text.size() == 1;
    case '[':
      is = LexRange::Bound::kWith;
      return true;
    case '(':
      is = LexRange::Bound::kWithout;
      return true;
    default:
      return false;
  }
}

RankRange between(std::size_t first, std::size_t end) {
  return {first, end > first ? end - first : 0};
}

}  // namespace

bool find_sorted_set(Context& context, std::string_view key, SortedSet& out) {
  const Object* object;
  if (!context.find(key, ObjectType::kSortedSet, object)) return false;
  if (object != nullptr) out = {object->sorted_set(), object->sorted_set().live()};
  return true;
}

ScoreOrder::ScoreOrder(const SortedSet& set) {
  if (set.members.table() != nullptr) {
    index_ = &set.members.table()->index(HashTable::Order::kScores);
    return;
  }
  sorted_.reserve(set.size);
  set.for_each([this](std::string_view name, double score) { sorted_.push_back({name, score}); });
  sort_by_score(sorted_);
}

void sort_by_score(std::vector<ScoredMember>& members) {
  std::sort(members.begin(), members.end(), less);
}

RankRange ScoreRange::in(const ScoreOrder& order) const {
  const std::size_t first = order.count_while([this](double score, std::string_view) {
    return score < min || (without_min && score == min);
  });
  const std::size_t end = order.count_while([this](double score, std::string_view) {
    return score < max || (!without_max && score == max);
  });
  return between(first, end);
}

RankRange LexRange::in(const ScoreOrder& order) const {
  const auto before = [](std::string_view name, std::string_view bound, Bound is, bool inside) {
    switch (is) {
      case Bound::kLowest:
        return false;
      case Bound::kHighest:
        return true;
      case Bound::kWith:
        return inside ? name <= bound : name < bound;
      case Bound::kWithout:
        return inside ? name < bound : name <= bound;
    }
    return false;
  };
  // Names are in order where scores are the same. Elsewhere Redis promises nothing, but replicas of
  // a strong keyspace have to come to the same: the first one in the range, and those that follow.
  if (!order.has_one_score()) {
    std::size_t rank = 0, first = 0, end = 0;
    bool begun = false, over = false;
    order.visit(0, order.size(), false, [&](std::string_view name, double) {
      if (!begun && !before(name, min, min_is, false)) {
        begun = true;
        first = rank;
      }
      over = over || (begun && !before(name, max, max_is, true));
      ++rank;
      if (!over) end = rank;
    });
    return begun ? between(first, end) : RankRange{};
  }
  const std::size_t first = order.count_while(
      [&](double, std::string_view name) { return before(name, min, min_is, false); });
  const std::size_t end = order.count_while(
      [&](double, std::string_view name) { return before(name, max, max_is, true); });
  return between(first, end);
}

std::optional<ScoreRange> parse_score_range(std::string_view min, std::string_view max) {
  ScoreRange range;
  if (!parse_bound(min, range.min, range.without_min)) return std::nullopt;
  if (!parse_bound(max, range.max, range.without_max)) return std::nullopt;
  return range;
}

std::optional<LexRange> parse_lex_range(std::string_view min, std::string_view max) {
  LexRange range;
  if (!parse_lex_bound(min, range.min, range.min_is)) return std::nullopt;
  if (!parse_lex_bound(max, range.max, range.max_is)) return std::nullopt;
  return range;
}

RankRange rank_range(std::int64_t start, std::int64_t stop, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  if (start < 0) start = std::max<std::int64_t>(0, start + length);
  if (stop < 0) stop += length;
  stop = std::min(stop, length - 1);
  if (start > stop) return {};
  return {static_cast<std::size_t>(start), static_cast<std::size_t>(stop - start) + 1};
}

bool read_score(Context& context, std::string_view text, double& out, std::string_view error) {
  const std::optional<double> score = parse_score(text);
  if (!score) {
    context.reply.error(error);
    return false;
  }
  out = *score;
  return true;
}

void begin_members(Reply& reply, std::size_t members, bool with_scores) {
  reply.array(with_scores && !reply.resp3() ? members * 2 : members);
}

void reply_member(Reply& reply, const ScoredMember& member, bool with_scores) {
  if (with_scores && reply.resp3()) reply.array(2);
  reply.bulk(member.name);
  if (with_scores) reply.real(member.score);
}

void remove_members(Context& context, std::string_view key, const SortedSet& set,
                    const ScoreOrder& order, const RankRange& range) {
  if (range.count == 0) return;
  KeyWriter& writer = context.write(key);
  const bool all = range.count == set.size;
  if (all && !writer.object()->in_type_conflict()) return writer.remove();
  order.visit(range.first, range.count, false,
              [&writer](std::string_view name, double) { writer.remove_score(name); });
  if (all) writer.persist();
}

void store_members(Context& context, std::string_view key, const std::vector<ScoredMember>& members,
                   bool copy) {
  if (!members.empty() || context.find(key) != nullptr) {
    KeyWriter& writer = context.write(key);
    writer.remove();
    for (const ScoredMember& member : members) {
      writer.set_score(copy ? context.keep(std::string(member.name)) : member.name, member.score);
    }
  }
  context.reply.integer(static_cast<std::int64_t>(members.size()));
}

}  // namespace even
