#include "replica/group_log.h"

#include <gtest/gtest.h>

#include <variant>

#include "env/random.h"

namespace even::test {
namespace {

using consensus::Entry;
using consensus::EntryKind;
using Index = consensus::Index;
using Term = consensus::Term;

Entry entry(Term term, Index index) { return {term, index, EntryKind::kNormal, {}}; }

struct Base {
  Index index;
  Term term;
};
using Frame = std::variant<Entry, Base>;

void replay(const Frame& frame, GroupLog& log) {
  if (const auto* e = std::get_if<Entry>(&frame)) return log.replay(*e);
  log.set_base(std::get<Base>(frame).index, std::get<Base>(frame).term);
}

std::vector<Term> terms(const GroupLog& log, Index from) {
  std::vector<Term> terms;
  for (Index i = from; i <= log.last_index(); ++i) terms.push_back(*log.term(i));
  return terms;
}

TEST(GroupLog, WhatWasReplacedWhileAPassWasUnderWayIsPassedOver) {
  GroupLog log;
  log.set_base(8, 5);  // as a pass has stored it
  // Logged before: entries behind some that were replaced since, which are older than the pass.
  for (Index i = 22; i < 47; ++i) log.replay(entry(3, i));
  EXPECT_EQ(log.missing(), 9u);
  log.replay(entry(4, 7));
  EXPECT_EQ(log.missing(), std::nullopt);
  log.replay(entry(5, 8));
  EXPECT_EQ(log.last_index(), 8u);
  log.replay(entry(5, 9));
  EXPECT_EQ(terms(log, 9), std::vector<Term>({5}));
}

TEST(GroupLog, AnEntryThatIsReplacedTakesAllBehindItAlong) {
  GroupLog log;
  log.set_base(8, 5);
  log.replay(entry(3, 9));
  log.replay(entry(3, 10));
  log.replay(entry(4, 7));  // what stood behind it went then
  EXPECT_EQ(log.last_index(), 8u);
}

TEST(GroupLog, WhatIsMissingForGoodIsSeen) {
  GroupLog log;
  log.set_base(8, 5);
  log.replay(entry(5, 10));
  log.replay(entry(5, 11));
  EXPECT_EQ(log.missing(), 9u);
}

// Histories of a member: leaders come and go, entries are appended, replaced and applied, snapshots
// installed. A pass takes the log's end at one moment and what the group has at a later one.
TEST(GroupLog, RecoveryFindsWhatWasThereWheneverAPassBegins) {
  int replaced = 0;
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Random random(seed);
    GroupLog log;
    std::vector<Frame> frames;
    Term term = 1;
    Index applied = 1;
    log.set_base(1, 1);
    const auto log_entry = [&](Index index) {
      frames.emplace_back(entry(term, index));
      ASSERT_TRUE(log.put(entry(term, index)));
    };
    const std::size_t begins = random.below(30);
    const std::size_t takes = begins + random.below(30);
    const std::size_t ends = takes + random.below(30);
    std::optional<std::size_t> position;
    GroupLog recovered;
    for (std::size_t step = 0; step <= ends; ++step) {
      if (step == begins) position = frames.size();
      if (step == takes) {
        recovered.set_base(applied, *log.term(applied));
        for (Index i = applied + 1; i <= log.last_index(); ++i) recovered.replay(log.at(i));
      }
      const std::uint64_t what = random.below(10);
      if (what < 4) {
        const std::uint64_t count = 1 + random.below(4);
        for (std::uint64_t i = 0; i < count; ++i) log_entry(log.last_index() + 1);
      } else if (what < 7) {
        applied += random.below(log.last_index() - applied + 1);
      } else if (what < 9) {
        ++term;
        const Index from = applied + 1 + random.below(log.last_index() - applied + 1);
        replaced += from <= log.last_index() ? 1 : 0;
        log_entry(from);
      } else if (random.chance(0.3)) {
        ++term;
        applied += 1 + random.below(6);
        frames.emplace_back(Base{applied, term});
        log.set_base(applied, term);
      }
      if (random.chance(0.2)) log.trim(applied, 0);
    }
    const Index base = recovered.before();
    for (std::size_t i = *position; i < frames.size(); ++i) {
      // A base of a keyspace's group is gone back to.
      replay(frames[i], recovered);
    }
    ASSERT_EQ(recovered.missing(), std::nullopt) << seed;
    ASSERT_EQ(recovered.last_index(), log.last_index()) << seed;
    const Index from = std::max({base, recovered.before(), log.before()});
    ASSERT_EQ(terms(recovered, from), terms(log, from)) << seed;
  }
  EXPECT_GT(replaced, 1000);
}

}  // namespace
}  // namespace even::test
