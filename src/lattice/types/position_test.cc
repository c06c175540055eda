#include "lattice/types/position.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace even {
namespace {

const ReplicaId kNodeOne = ReplicaId::make(1, 7);
const ReplicaId kNodeTwo = ReplicaId::make(2, 7);
const ReplicaId kNodeThree = ReplicaId::make(3, 7);
constexpr std::size_t kSegment = 11;  // with a number and an index of one byte each

// A list at one replica: positions and what is there.
class Copy {
 public:
  Copy(ReplicaId replica) : replica_(replica) {}

  // Before the element that is at `place`, or behind all. Counts as one record.
  std::string insert(std::size_t place, const std::string& value) {
    return insert(std::next(items_.begin(), static_cast<std::ptrdiff_t>(place)), value);
  }
  std::string push_back(const std::string& value) { return insert(items_.end(), value); }
  std::string push_front(const std::string& value) { return insert(items_.begin(), value); }
  void erase(const std::string& position) { items_.erase(position); }
  void take(const Copy& other) { items_.insert(other.items_.begin(), other.items_.end()); }
  void take(const std::string& position, const std::string& value) { items_[position] = value; }

  std::size_t size() const { return items_.size(); }
  bool operator==(const Copy& other) const { return items_ == other.items_; }
  std::vector<std::string> positions() const {
    std::vector<std::string> all;
    for (const auto& [position, value] : items_) all.push_back(position);
    return all;
  }
  std::string text() const {
    std::string text;
    for (const auto& [position, value] : items_) text += value;
    return text;
  }
  std::size_t longest() const {
    std::size_t longest = 0;
    for (const auto& [position, value] : items_) longest = std::max(longest, position.size());
    return longest;
  }

 private:
  using Items = std::map<std::string, std::string>;

  std::string insert(Items::const_iterator next, const std::string& value) {
    const std::string left = next == items_.begin() ? "" : std::prev(next)->first;
    const std::string right = next == items_.end() ? "" : next->first;
    const std::string made = position_between(left, right, {replica_, ++number_});
    EXPECT_TRUE(is_position(made)) << position_text(made);
    EXPECT_FALSE(items_.contains(made));
    items_.emplace_hint(next, made, value);
    return made;
  }

  ReplicaId replica_;
  std::uint64_t number_ = 0;
  Items items_;
};

TEST(Position, OfOneReplicaStaysInOneSegmentAtBothEnds) {
  Copy list(kNodeOne);
  for (int i = 0; i < 10'000; ++i) {
    list.push_back("b");
    list.push_front("f");
  }
  EXPECT_EQ(list.text(), std::string(10'000, 'f') + std::string(10'000, 'b'));
  EXPECT_LE(list.longest(), kSegment + 4);  // the number takes up to three bytes
}

TEST(Position, StaysShortHoweverThreeReplicasTakeTurns) {
  for (const bool front : {false, true}) {
    Copy one(kNodeOne), two(kNodeTwo), three(kNodeThree);
    std::string expected;
    for (int i = 0; i < 900; ++i) {
      Copy& by = i % 3 == 0 ? two : i % 2 == 0 ? three : one;
      const std::string value(1, static_cast<char>('a' + i % 26));
      const std::string made = front ? by.push_front(value) : by.push_back(value);
      expected = front ? value + expected : expected + value;
      for (Copy* copy : {&one, &two, &three}) copy->take(made, value);
    }
    EXPECT_EQ(one.text(), expected);
    EXPECT_TRUE(two == one && three == one);
    EXPECT_LE(one.longest(), 3 * (kSegment + 3));
  }
}

TEST(Position, IsTakenByNoOtherElement) {
  Copy stack(kNodeOne);
  std::set<std::string> taken;
  stack.push_front("bottom");
  for (int i = 0; i < 100; ++i) {
    const std::string top = stack.push_front("top");
    EXPECT_TRUE(taken.insert(top).second);
    stack.erase(top);
  }
  EXPECT_LE(stack.longest(), kSegment + 1);
}

TEST(Position, ThatCameBackLeavesRoomBesideIt) {
  Copy list(kNodeOne);
  list.push_back("z");
  const std::string first = list.push_front("a");
  Copy back(list);
  list.erase(first);
  list.push_front("b");
  list.take(back);  // somebody else had set it at the same time
  EXPECT_EQ(list.text(), "baz");
  list.insert(1, "1");
  list.insert(1, "0");
  list.insert(4, "2");
  EXPECT_EQ(list.text(), "b01a2z");
}

TEST(Position, IntegersOfAnySizeAreInOrder) {
  // Numbers that only very long runs of a process reach.
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::string before;
  for (const std::uint64_t number :
       {1ull, 63ull, 64ull, 8191ull, 8192ull, 1ull << 20, 1ull << 27, 1ull << 34, 1ull << 41,
        (1ull << 48) - 1, 1ull << 48, static_cast<unsigned long long>(kMost)}) {
    const std::string made = position_between({}, {}, {kNodeOne, number});
    EXPECT_TRUE(is_position(made));
    EXPECT_LT(before, made);
    before = made;
  }
}

// The example in docs/formats/record.md.
TEST(Position, TheDocumentedExampleIsWhatIsMade) {
  const std::string first = position_between({}, {}, {kNodeOne, 3});
  EXPECT_EQ(first, std::string("\0\1\0\0\0\0\0\7\x83\x80\x80", 11));
  const std::string second = position_between(first, {}, {kNodeOne, 3});
  EXPECT_EQ(second, std::string("\0\1\0\0\0\0\0\7\x83\x81\x80", 11));
  EXPECT_EQ(position_between(second, {}, {kNodeOne, 4}),
            std::string("\0\1\0\0\0\0\0\7\x84\x80\x80", 11));
  EXPECT_EQ(position_between({}, first, {kNodeOne, 5}),
            std::string("\0\1\0\0\0\0\0\7\x7b\x80\x80", 11));
  const std::string other = position_between({}, {}, {kNodeTwo, 9});
  EXPECT_EQ(position_text(position_between(other, {}, {kNodeOne, 5})),
            "2/000000000007:9.0 > 1/000000000007:5.0");
}

// What somebody has put behind an element that is gone is not amid what took its place.
TEST(Position, ARunDoesNotGoRoundWhatHangsOnAnElementThatIsGone) {
  Copy one(kNodeTwo), two(kNodeOne);
  one.push_back("w");
  const std::string x = one.push_back("x");
  const std::string y = one.push_back("y");
  two.take(one);
  two.push_back("B");
  two.erase(x);
  two.erase(y);
  one.erase(x);
  one.erase(y);
  for (const char* value : {"1", "2", "3", "4"}) one.push_back(value);
  one.take(two);
  EXPECT_EQ(one.text(), "wB1234");
}

TEST(Position, OtherBytesAreNone) {
  const std::string good = position_between({}, {}, {kNodeOne, 9});
  EXPECT_FALSE(is_position(""));
  EXPECT_FALSE(is_position("x"));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(is_position(good.substr(0, size)));
  }
  EXPECT_FALSE(is_position(good + good.substr(0, 3)));
  std::string open = good;
  open.back() = static_cast<char>(0xc0);
  EXPECT_FALSE(is_position(open));
  std::string longer = good;  // the number in two bytes
  longer.replace(9, 1, "\xc0\x09", 2);
  EXPECT_FALSE(is_position(longer));
}

// Of two runs that were made at the same time at one place each is in one piece.
RC_GTEST_PROP(Position, ConcurrentRunsDoNotInterleave, ()) {
  Copy first(kNodeOne);
  const int there = *rc::gen::inRange(0, 6);
  for (int i = 0; i < there; ++i) {
    Copy by(*rc::gen::element(kNodeOne, kNodeTwo, kNodeThree));
    by.take(first);
    // Its first record; the numbers of others' are their own.
    by.insert(static_cast<std::size_t>(*rc::gen::inRange(0, i + 1)), ".");
    first.take(by);
  }
  const auto place = static_cast<std::size_t>(*rc::gen::inRange(0, there + 1));
  std::vector<Copy> copies;
  for (const ReplicaId replica :
       {ReplicaId::make(1, 8), ReplicaId::make(2, 8), ReplicaId::make(3, 8)}) {
    copies.emplace_back(replica).take(first);
  }
  std::string run = "a";
  for (Copy& copy : copies) {
    const bool forwards = *rc::gen::arbitrary<bool>();
    const int length = *rc::gen::inRange(1, 8);
    for (int i = 0; i < length; ++i) {
      copy.insert(forwards ? place + static_cast<std::size_t>(i) : place, run);
    }
    ++run[0];
  }
  Copy all = copies[0];
  for (const Copy& copy : copies) all.take(copy);
  std::string text = all.text();
  std::erase(text, '.');
  text.erase(std::unique(text.begin(), text.end()), text.end());
  std::sort(text.begin(), text.end());
  RC_ASSERT(text == "abc");
}

// Any insertions and removals by three replicas that hear of each other now and then.
RC_GTEST_PROP(Position, AnElementIsWhereItsMakerPutIt, ()) {
  std::vector<Copy> copies{Copy(kNodeOne), Copy(kNodeTwo), Copy(kNodeThree)};
  const int steps = *rc::gen::inRange(0, 60);
  for (int i = 0; i < steps; ++i) {
    Copy& by = copies[*rc::gen::inRange<std::size_t>(0, 3)];
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        by.take(copies[*rc::gen::inRange<std::size_t>(0, 3)]);
        break;
      case 1: {
        const std::vector<std::string> all = by.positions();
        if (!all.empty()) by.erase(all[*rc::gen::inRange<std::size_t>(0, all.size())]);
        break;
      }
      default: {
        const std::size_t place = *rc::gen::inRange<std::size_t>(0, by.size() + 1);
        const std::string made = by.insert(place, "x");
        RC_ASSERT(by.positions()[place] == made);
      }
    }
  }
}

}  // namespace
}  // namespace even
