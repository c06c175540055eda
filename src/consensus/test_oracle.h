// What must hold in a simulated group at every step, whatever has happened to it. The names of the
// properties are those of figure 3.2 of Ongaro's thesis.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <stdexcept>

#include "base/hash.h"
#include "consensus/memory_log.h"
#include "consensus/raft.h"
#include "consensus/test_describe.h"

namespace even::consensus {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The state machine of a simulated group: a hash of everything that was applied, in its order.
struct State {
  Index index = 0;
  Term term = 0;
  std::uint64_t digest = 0;
  Configuration configuration;

  void apply(const Entry& entry) {
    index = entry.index;
    term = entry.term;
    digest = (digest ^ hash64(entry.data.view())) * 0x9e3779b97f4a7c15 + entry.term;
  }
  SnapshotPointer snapshot() const {
    return std::make_shared<const Snapshot>(
        Snapshot{index, term, configuration, Payload(std::to_string(digest))});
  }
  static State of(const Snapshot& snapshot) {
    return {snapshot.index, snapshot.term, std::stoull(std::string(snapshot.data.view())),
            snapshot.configuration};
  }
};

// Whether the disk of a member holds an entry, or a snapshot that covers it.
using Holds = std::function<bool(MemberId, Index, Term)>;

class Oracle {
 public:
  explicit Oracle(const State& founded) {
    at(founded.index) = {founded.term, founded.term, founded};
    committed_ = founded.index;
  }

  Index committed() const { return committed_; }
  std::size_t reigns() const { return leaders_.size(); }

  // After every event at a member. `seen`: what it had committed before.
  void observe(MemberId member, const Raft& raft, Index seen, const Holds& holds) {
    if (raft.role() == Role::kLeader) observe_leader(member, raft);
    const Log& log = raft.log();
    demand(log.committed() >= seen, "a commit index never falls", member);
    for (Index i = seen + 1; i <= log.committed(); ++i) {
      const std::optional<Term> term = log.term(i);
      if (!term) continue;  // in a snapshot: checked when it is installed
      Known& known = at(i);
      if (known.term == 0) {
        known.term = *term;
        known.commit_term = raft.term();
      }
      demand(known.term == *term,
             fmt::format("state machine safety: entry {} was committed in term {}, and now in {}",
                         i, known.term, *term),
             member);
    }
    if (raft.role() == Role::kLeader && log.committed() > seen) {
      observe_quorum(member, raft, holds);
    }
    committed_ = std::max(committed_, log.committed());
  }

  // An entry that a member is about to write, and the term of the one before it.
  void observe_entry(MemberId member, const Entry& entry, std::optional<Term> before) {
    const std::uint64_t hash = hash64(entry.data.view());
    const auto [row, added] =
        entries_.try_emplace({entry.index, entry.term}, Written{hash, before});
    Written& known = row->second;
    demand(known.hash == hash, "log matching: entries of one index and term differ", member);
    if (!known.before) known.before = before;
    demand(!before || *known.before == *before,
           fmt::format("log matching: before entry {} of term {} stands one of term {}, and one of "
                       "term {} elsewhere",
                       entry.index, entry.term, *before, known.before.value_or(0)),
           member);
  }

  // What a member says must be durable by then.
  void observe_message(const Message& message, const HardState& durable, const MemoryLog& disk) {
    const MemberId from = message.from;
    if (message.kind == MessageKind::kVoteRequest) {
      demand(durable.term >= message.term, "a vote is asked for in a term that is not durable",
             from);
    } else if (message.kind == MessageKind::kVoteResponse && !message.reject) {
      demand(durable.term > message.term ||
                 (durable.term == message.term && durable.vote == message.to),
             "a vote is given that is not durable", from);
    } else if (message.kind == MessageKind::kAppendResponse && !message.reject &&
               message.index > 0) {
      demand(durable.term >= message.term, "entries are acknowledged in a term that is not durable",
             from);
      demand(durable.term > message.term || disk.last_index() >= message.index,
             "entries are acknowledged that are not durable", from);
    }
  }

  void observe_applied(MemberId member, const State& state) {
    Known& known = at(state.index);
    demand(known.term == 0 || known.term == state.term,
           fmt::format("state machine safety: entry {} that is applied is of term {}, not of {}",
                       state.index, state.term, known.term),
           member);
    if (!known.state) {
      known.term = state.term;
      if (known.commit_term == 0) known.commit_term = state.term;
      known.state = state;
      return;
    }
    demand(known.state->digest == state.digest,
           fmt::format("state machine safety: states differ at entry {}", state.index), member);
    demand(known.state->configuration == state.configuration,
           fmt::format("configurations differ at entry {}: {}, and {}", state.index,
                       describe(known.state->configuration), describe(state.configuration)),
           member);
  }

  // Who has a change of configuration in its log knows that the one before is committed.
  static void observe_changes(MemberId member, const Log& log) {
    std::vector<Entry> entries;
    if (!log.entries(log.committed() + 1, std::numeric_limits<std::size_t>::max(), entries)) return;
    const auto changes = std::count_if(entries.begin(), entries.end(), [](const Entry& entry) {
      return entry.kind == EntryKind::kConfiguration;
    });
    demand(changes <= 1, "two changes of configuration are under way at a time", member);
  }

  void observe_read(MemberId member, Index released, Index committed_at_begin) {
    demand(released >= committed_at_begin,
           fmt::format("a read is to see entry {}, and {} was committed when it began", released,
                       committed_at_begin),
           member);
  }

  static void demand(bool holds, const std::string& what, MemberId member) {
    if (!holds) throw Violation(fmt::format("{} (member {})", what, member));
  }

 private:
  struct Known {
    Term term = 0;         // of the entry; 0: not committed, as far as is known
    Term commit_term = 0;  // of the leader that committed it, or a later one
    std::optional<State> state;
  };
  struct Written {
    std::uint64_t hash;
    std::optional<Term> before;
  };

  Known& at(Index index) {
    if (index >= known_.size()) known_.resize(index + 1);
    return known_[index];
  }

  void observe_leader(MemberId member, const Raft& raft) {
    const auto [row, first] = leaders_.try_emplace(raft.term(), member);
    demand(row->second == member,
           fmt::format("election safety: member {} leads in term {} too", row->second, raft.term()),
           member);
    if (!first) return;
    for (Index i = raft.log().first(); i < known_.size(); ++i) {
      const Known& known = known_[i];
      if (known.term == 0 || known.commit_term >= raft.term()) continue;
      demand(raft.log().matches(i, known.term),
             fmt::format("leader completeness: the leader of term {} lacks entry {} of term {}",
                         raft.term(), i, known.term),
             member);
    }
  }

  void observe_quorum(MemberId member, const Raft& raft, const Holds& holds) {
    const Index index = raft.log().committed();
    const std::optional<Term> term = raft.log().term(index);
    if (!term) return;
    demand(*term == raft.term(), "an entry of an earlier term is committed by counting", member);
    const auto has = [&](MemberId voter) -> std::optional<bool> {
      return holds(voter, index, *term);
    };
    const Configuration& configuration = raft.configuration();
    demand(joint_vote(configuration.voters, configuration.outgoing, has) == VoteResult::kWon,
           fmt::format("entry {} is committed and no quorum of {} has it", index,
                       describe(configuration)),
           member);
  }

  std::vector<Known> known_;  // by index
  Index committed_ = 0;
  std::map<Term, MemberId> leaders_;
  std::map<std::pair<Index, Term>, Written> entries_;
};

}  // namespace even::consensus
