// What the commands on sorted sets share: a set as they see it, its order, and ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/context.h"

namespace even {

inline constexpr std::string_view kNotScoreRange = "ERR min or max is not a float";
inline constexpr std::string_view kNotLexRange = "ERR min or max not valid string range item";

struct ScoredMember {
  std::string_view name;
  double score = 0;
};

// A sorted set that is there has at least one live member; what is only residue of increments is
// none. Views the state, until it changes.
struct SortedSet {
  HashView members;
  std::size_t size = 0;

  std::optional<double> score(std::string_view member, std::uint64_t hash) const {
    const ScalarView scalar = members.find(member, hash);
    return scalar.live() ? std::optional(score_of(scalar)) : std::nullopt;
  }
  std::optional<double> score(std::string_view member) const {
    return score(member, hash64(member));
  }
  // Calls visit(name, score), in no particular order.
  template <typename Visit>
  void for_each(Visit visit) const {
    members.for_each([&](std::string_view name, const ScalarView& scalar) {
      if (scalar.live()) visit(name, score_of(scalar));
    });
  }
};

// Replies WRONGTYPE and returns false when the key holds something else.
bool find_sorted_set(Context& context, std::string_view key, SortedSet& out);

// Members by score, then by name; ranks count from 0. Of a large set this is its index, which is
// made when it has none; a small one is sorted.
class ScoreOrder {
 public:
  explicit ScoreOrder(const SortedSet& set);

  std::size_t size() const { return index_ != nullptr ? index_->size() : sorted_.size(); }
  bool has_one_score() const {
    if (size() == 0) return true;
    double first = 0, last = 0;
    visit(0, 1, false, [&](std::string_view, double score) { first = score; });
    visit(size() - 1, 1, false, [&](std::string_view, double score) { last = score; });
    return first == last;
  }
  // How many of the first members are before(score, name); no member behind one that is not may be.
  template <typename Before>
  std::size_t count_while(Before before) const {
    if (index_ != nullptr) return index_->count_while(before);
    std::size_t low = 0;
    for (std::size_t high = sorted_.size(); low < high;) {
      const std::size_t middle = (low + high) / 2;
      before(sorted_[middle].score, sorted_[middle].name) ? low = middle + 1 : high = middle;
    }
    return low;
  }
  // Calls visit(name, score) for `count` members from rank `first` on, all of which there are.
  template <typename Visit>
  void visit(std::size_t first, std::size_t count, bool downwards, Visit visit) const {
    if (count == 0) return;
    if (index_ != nullptr) {
      return index_->visit(first, count, downwards, [&](const ScoreIndex::Entry& entry) {
        visit(entry.name(), entry.score);
      });
    }
    for (std::size_t i = 0; i < count; ++i) {
      const ScoredMember& member = sorted_[downwards ? first - i : first + i];
      visit(member.name, member.score);
    }
  }

 private:
  const ScoreIndex* index_ = nullptr;
  std::vector<ScoredMember> sorted_;
};

// Sorts as a sorted set is sorted.
void sort_by_score(std::vector<ScoredMember>& members);

// The members of an order from rank `first` on.
struct RankRange {
  std::size_t first = 0;
  std::size_t count = 0;
};

struct ScoreRange {
  double min = 0;
  double max = 0;
  bool without_min = false;
  bool without_max = false;

  RankRange in(const ScoreOrder& order) const;
};
struct LexRange {
  enum class Bound : std::uint8_t { kLowest, kHighest, kWith, kWithout };
  Bound min_is = Bound::kLowest;
  Bound max_is = Bound::kHighest;
  std::string_view min;
  std::string_view max;

  RankRange in(const ScoreOrder& order) const;
};
// Nothing when it is not such a range.
std::optional<ScoreRange> parse_score_range(std::string_view min, std::string_view max);
std::optional<LexRange> parse_lex_range(std::string_view min, std::string_view max);
// Of ranks that count from the end where they are negative.
RankRange rank_range(std::int64_t start, std::int64_t stop, std::size_t size);

// Replies `error` and returns false when `text` is not a number.
bool read_score(Context& context, std::string_view text, double& out, std::string_view error);

// A member, and its score if that is wanted: RESP3 has pairs of them.
void begin_members(Reply& reply, std::size_t members, bool with_scores);
void reply_member(Reply& reply, const ScoredMember& member, bool with_scores);

// Removes these members of a set, which has as many or more.
void remove_members(Context& context, std::string_view key, const SortedSet& set,
                    const ScoreOrder& order, const RankRange& range);
// Puts these in the place of all that the key holds. `copy`: what they view may be the key's own.
void store_members(Context& context, std::string_view key, const std::vector<ScoredMember>& members,
                   bool copy);

}  // namespace even
