#include "verify/isolation.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace even::verify {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kReducing{20};
constexpr std::size_t kMostTransactions = 40;  // transactions of a counter-example

// Why one transaction comes before another.
struct Reason {
  enum class Kind : std::uint8_t { kSession, kRead, kVersion };
  Kind kind = Kind::kSession;
  std::uint32_t key = 0;     // kRead, kVersion
  TransactionId reader = 0;  // kVersion: who has read the later one's version
  std::string_view why;      // kVersion: what the reader has to do with the earlier one
};

struct Edge {
  TransactionId to = 0;
  Reason reason;
};

struct Step {
  TransactionId from = 0;
  Edge edge;
};

// What cannot be: transactions that come before one another, or one that contradicts itself.
struct Contradiction {
  std::vector<Step> cycle;
  TransactionId reader = kInitial;  // without a cycle
  std::string what;                 // the same
  // Transactions and keys that it takes, of all that they have done; kInitial: of all transactions.
  absl::flat_hash_set<std::pair<TransactionId, std::uint32_t>> parts;
};

// Who reads from whom, once it is known that somebody wrote what was read.
class Analysis {
 public:
  explicit Analysis(const TransactionHistory& history) : history_(history) {}

  // What contradicts the property; none: it holds.
  std::optional<Contradiction> check(Property property) {
    if (auto wrong = resolve(property)) return wrong;
    if (property == Property::kSession) return check_sessions();
    edges_.assign(history_.transactions.size(), {});
    for (const std::vector<TransactionId>& session : history_.sessions) {
      for (std::size_t i = 1; i < session.size(); ++i) add(session[i - 1], session[i], {});
    }
    for (TransactionId reader = 0; reader < reads_.size(); ++reader) {
      for (const Read& read : reads_[reader]) {
        if (read.from != kInitial) {
          add(read.from, reader, {.kind = Reason::Kind::kRead, .key = read.key, .why = {}});
        }
      }
    }
    if (!sort()) return cycle();
    if (property == Property::kReadCommitted) infer_read_committed();
    if (property == Property::kReadAtomic) infer_read_atomic();
    if (property == Property::kCausal) infer_causal();
    if (unborn_) {
      add_parts(*unborn_);
      return unborn_;
    }
    if (!sort()) return cycle();
    return std::nullopt;
  }

 private:
  // Who wrote what it has read of others.
  struct Read {
    std::uint32_t key = 0;
    TransactionId from = kInitial;
  };
  using KeyOf = std::pair<TransactionId, std::uint32_t>;

  std::span<const Access> accesses(TransactionId id) const {
    const Transaction& transaction = history_.transactions[id];
    return std::span(history_.accesses).subspan(transaction.first, transaction.accesses);
  }
  bool writes(TransactionId id, std::uint32_t key) const {
    return id != kInitial && writes_.contains({id, key});
  }
  void add(TransactionId from, TransactionId to, const Reason& reason) {
    if (from != to) edges_[from].push_back({to, reason});
  }
  // `earlier` has written the key, and comes before the version that the reader was given.
  void add_version(TransactionId earlier, const Read& read, TransactionId reader,
                   std::string_view why) {
    if (earlier == read.from || earlier == reader) return;
    if (read.from == kInitial) {
      if (!unborn_) {
        unborn_ = Contradiction{
            {{earlier,
              {reader,
               {.kind = Reason::Kind::kVersion, .key = read.key, .reader = reader, .why = why}}}},
            reader,
            fmt::format("has read null of key {}, as it was before all", history_.keys[read.key]),
            {}};
      }
      return;
    }
    add(earlier, read.from,
        {.kind = Reason::Kind::kVersion, .key = read.key, .reader = reader, .why = why});
  }

  std::optional<Contradiction> resolve(Property property);
  std::optional<Contradiction> check_sessions();
  void infer_read_committed();
  void infer_read_atomic();
  void infer_causal();
  // Whether there is an order; `order_` is one then.
  bool sort();
  // A short one, of those that there are.
  Contradiction cycle() const;
  void add_parts(Contradiction& contradiction) const;

  const TransactionHistory& history_;
  std::vector<std::vector<Read>> reads_;  // by transaction, in their order, of others' versions
  absl::flat_hash_set<KeyOf> writes_;
  std::vector<std::vector<Edge>> edges_;
  std::vector<TransactionId> order_;
  std::optional<Contradiction> unborn_;
};

std::optional<Contradiction> Analysis::resolve(Property property) {
  const std::size_t count = history_.transactions.size();
  absl::flat_hash_map<std::pair<std::uint32_t, std::int64_t>, std::pair<TransactionId, bool>>
      writers;
  absl::flat_hash_map<std::uint32_t, std::int64_t> last;  // of one transaction
  for (TransactionId id = 0; id < count; ++id) {
    last.clear();
    for (const Access& access : accesses(id)) {
      if (access.writes) last[access.key] = access.value;
    }
    for (const Access& access : accesses(id)) {
      if (!access.writes) continue;
      writes_.insert({id, access.key});
      writers[{access.key, access.value}] = {id, last[access.key] == access.value};
    }
  }
  reads_.resize(count);
  for (TransactionId id = 0; id < count; ++id) {
    last.clear();
    for (const Access& access : accesses(id)) {
      if (access.writes) {
        last[access.key] = access.value;
        continue;
      }
      const auto wrong = [&](std::string what) {
        return Contradiction{
            .cycle = {},
            .reader = id,
            .what = fmt::format("has read {} of key {}, {}", history_.values.text(access.value),
                                history_.keys[access.key], what),
            .parts = {{kInitial, access.key}}};
      };
      if (const auto own = last.find(access.key); own != last.end()) {
        if (own->second == access.value) continue;
        return wrong(
            fmt::format("after it had written {} there itself", history_.values.text(own->second)));
      }
      if (access.value == kNull) {
        reads_[id].push_back({access.key, kInitial});
        continue;
      }
      const auto writer = writers.find({access.key, access.value});
      if (writer == writers.end()) return wrong("which nobody has written");
      const auto [from, is_last] = writer->second;
      if (from == id) return wrong("before it wrote that itself");
      if (!is_last && property != Property::kSession) {
        return wrong(fmt::format("which the transaction in line {} has overwritten itself",
                                 history_.transactions[from].line));
      }
      reads_[id].push_back({access.key, from});
    }
  }
  return std::nullopt;
}

void Analysis::infer_read_committed() {
  // Of a key, those that have been read from so far and have written it, of which no two are known
  // to be ordered yet.
  absl::flat_hash_map<std::uint32_t, std::vector<TransactionId>> seen;
  absl::flat_hash_set<TransactionId> from;
  for (TransactionId reader = 0; reader < reads_.size(); ++reader) {
    seen.clear();
    from.clear();
    for (const Read& read : reads_[reader]) {
      if (const auto earlier = seen.find(read.key); earlier != seen.end()) {
        for (const TransactionId writer : earlier->second) {
          add_version(writer, read, reader, "{1} had read from {0} before");
        }
        if (read.from != kInitial) earlier->second.assign({read.from});
      }
      if (read.from == kInitial || !from.insert(read.from).second) continue;
      for (const Access& access : accesses(read.from)) {
        if (!access.writes) continue;
        std::vector<TransactionId>& of_key = seen[access.key];
        if (of_key.empty() || of_key.back() != read.from) of_key.push_back(read.from);
      }
    }
  }
}

void Analysis::infer_read_atomic() {
  absl::flat_hash_map<std::uint32_t, TransactionId> last;  // of the session, by key
  for (const std::vector<TransactionId>& session : history_.sessions) {
    last.clear();
    for (const TransactionId reader : session) {
      absl::flat_hash_map<std::uint32_t, std::vector<Read>> versions;  // by key
      absl::flat_hash_set<TransactionId> from;
      for (const Read& read : reads_[reader]) {
        if (const auto own = last.find(read.key); own != last.end()) {
          add_version(own->second, read, reader, "{0} precedes {1} in its session");
        }
        versions[read.key].push_back(read);
        if (read.from != kInitial) from.insert(read.from);
      }
      for (const TransactionId writer : from) {
        for (const Access& access : accesses(writer)) {
          const auto of_key = access.writes ? versions.find(access.key) : versions.end();
          if (of_key == versions.end()) continue;
          for (const Read& read : of_key->second) {
            add_version(writer, read, reader, "{1} has read from {0}");
          }
        }
      }
      for (const Access& access : accesses(reader)) {
        if (access.writes) last[access.key] = reader;
      }
    }
  }
}

void Analysis::infer_causal() {
  const std::size_t sessions = history_.sessions.size();
  // Of each transaction and session: how many of that session's transactions come before it.
  std::vector<std::uint32_t> before(history_.transactions.size() * sessions, 0);
  const auto row = [&](TransactionId id) { return before.data() + id * sessions; };
  for (const TransactionId id : order_) {
    const Transaction& transaction = history_.transactions[id];
    const auto take = [&](TransactionId earlier) {
      for (std::size_t s = 0; s < sessions; ++s) row(id)[s] = std::max(row(id)[s], row(earlier)[s]);
      const Transaction& other = history_.transactions[earlier];
      row(id)[other.session] = std::max(row(id)[other.session], other.place + 1);
    };
    if (transaction.place > 0) take(history_.sessions[transaction.session][transaction.place - 1]);
    for (const Read& read : reads_[id]) {
      if (read.from != kInitial) take(read.from);
    }
  }
  // Of each key, who has written it in each session, in order.
  struct Writers {
    std::uint32_t session;
    std::vector<std::uint32_t> places;
  };
  std::vector<std::vector<Writers>> writers(history_.keys.size());
  for (std::uint32_t s = 0; s < sessions; ++s) {
    for (const TransactionId id : history_.sessions[s]) {
      for (const Access& access : accesses(id)) {
        if (!access.writes) continue;
        std::vector<Writers>& of_key = writers[access.key];
        if (of_key.empty() || of_key.back().session != s) of_key.push_back({s, {}});
        std::vector<std::uint32_t>& places = of_key.back().places;
        const std::uint32_t place = history_.transactions[id].place;
        if (places.empty() || places.back() != place) places.push_back(place);
      }
    }
  }
  // Of what was read and each session, the last one that must come before: earlier ones do then.
  absl::flat_hash_map<KeyOf, std::uint32_t> added;
  for (TransactionId reader = 0; reader < reads_.size(); ++reader) {
    for (const Read& read : reads_[reader]) {
      for (const Writers& of_session : writers[read.key]) {
        const std::uint32_t limit = row(reader)[of_session.session];
        const auto end = std::ranges::lower_bound(of_session.places, limit);
        if (end == of_session.places.begin()) continue;
        std::uint32_t place = *std::prev(end);
        TransactionId earlier = history_.sessions[of_session.session][place];
        if (earlier == read.from) continue;
        if (read.from != kInitial) {
          if (row(read.from)[of_session.session] > place) continue;  // it does already
          std::uint32_t& known = added[{read.from, of_session.session}];
          if (known > place) continue;
          known = place + 1;
        }
        add_version(earlier, read, reader, "{0} comes before {1}");
      }
    }
  }
}

// Of each key by itself, the versions that each session has come across must be in one order.
std::optional<Contradiction> Analysis::check_sessions() {
  struct Last {
    TransactionId version = kInitial;
    bool wrote = false;
  };
  edges_.assign(history_.transactions.size(), {});
  // Edges are of one key at a time, so that a cycle is of one key.
  struct Of {
    TransactionId from;
    Read read;
    TransactionId reader;
    std::string_view why;
  };
  std::map<std::uint32_t, std::vector<Of>> by_key;
  for (const std::vector<TransactionId>& session : history_.sessions) {
    absl::flat_hash_map<std::uint32_t, Last> last;
    for (const TransactionId id : session) {
      for (const Read& read : reads_[id]) {
        const auto [known, is_new] = last.try_emplace(read.key, Last{read.from, false});
        if (!is_new && known->second.version != read.from) {
          by_key[read.key].push_back(
              {known->second.version, read, id,
               known->second.wrote ? "read your writes" : "monotonic reads"});
        }
        known->second = {read.from, false};
      }
      for (const Access& access : accesses(id)) {
        if (!access.writes) continue;
        const auto [known, is_new] = last.try_emplace(access.key, Last{id, true});
        if (!is_new && known->second.version != id) {
          by_key[access.key].push_back(
              {known->second.version,
               {access.key, id},
               id,
               known->second.wrote ? "monotonic writes" : "writes follow reads"});
        }
        known->second = {id, true};
      }
    }
  }
  for (const auto& [key, all] : by_key) {
    std::vector<TransactionId> touched;
    for (const Of& each : all) {
      if (each.from == kInitial) continue;
      if (each.read.from == kInitial) {
        add_version(each.from, each.read, each.reader, each.why);
        unborn_->parts.insert({kInitial, key});
        return unborn_;
      }
      edges_[each.from].push_back(
          {each.read.from,
           {.kind = Reason::Kind::kVersion, .key = key, .reader = each.reader, .why = each.why}});
      touched.push_back(each.from);
    }
    if (!sort()) {
      Contradiction found = cycle();
      found.parts.insert({kInitial, key});
      return found;
    }
    for (const TransactionId id : touched) edges_[id].clear();
  }
  return std::nullopt;
}

bool Analysis::sort() {
  std::vector<std::uint32_t> missing(edges_.size(), 0);
  for (const std::vector<Edge>& edges : edges_) {
    for (const Edge& edge : edges) ++missing[edge.to];
  }
  order_.clear();
  for (TransactionId id = 0; id < edges_.size(); ++id) {
    if (missing[id] == 0) order_.push_back(id);
  }
  for (std::size_t next = 0; next < order_.size(); ++next) {
    for (const Edge& edge : edges_[order_[next]]) {
      if (--missing[edge.to] == 0) order_.push_back(edge.to);
    }
  }
  return order_.size() == edges_.size();
}

Contradiction Analysis::cycle() const {
  constexpr std::size_t kStarts = 64;
  std::vector<bool> sorted(edges_.size(), false);
  for (const TransactionId id : order_) sorted[id] = true;
  std::vector<Step> best;
  std::size_t starts = 0;
  for (TransactionId start = 0; start < edges_.size() && starts < kStarts; ++start) {
    if (sorted[start]) continue;
    // Breadth first, back to where it began.
    absl::flat_hash_map<TransactionId, Step> came;
    std::deque<TransactionId> waiting{start};
    bool found = false;
    while (!waiting.empty() && !found) {
      const TransactionId at = waiting.front();
      waiting.pop_front();
      for (const Edge& edge : edges_[at]) {
        if (sorted[edge.to] || !came.try_emplace(edge.to, Step{at, edge}).second) continue;
        found = found || edge.to == start;
        waiting.push_back(edge.to);
      }
    }
    if (!found) continue;  // it leads to one, and is in none
    ++starts;
    std::vector<Step> steps;
    TransactionId at = start;
    do {
      const Step& step = came.at(at);
      steps.push_back(step);
      at = step.from;
    } while (at != start);
    std::ranges::reverse(steps);
    if (best.empty() || steps.size() < best.size()) best = std::move(steps);
  }
  Contradiction found{.cycle = std::move(best), .reader = kInitial, .what = {}, .parts = {}};
  add_parts(found);
  return found;
}

void Analysis::add_parts(Contradiction& contradiction) const {
  auto& parts = contradiction.parts;
  const auto add_edge = [&parts](TransactionId from, const Edge& edge) {
    if (edge.reason.kind != Reason::Kind::kRead) return;
    parts.insert({from, edge.reason.key});
    parts.insert({edge.to, edge.reason.key});
  };
  for (const auto& [from, edge] : contradiction.cycle) {
    add_edge(from, edge);
    if (edge.reason.kind != Reason::Kind::kVersion) continue;
    parts.insert({from, edge.reason.key});
    parts.insert({edge.to, edge.reason.key});
    parts.insert({edge.reason.reader, edge.reason.key});
    // How the reader comes behind the earlier one.
    absl::flat_hash_map<TransactionId, Step> came;
    std::deque<TransactionId> waiting{from};
    while (!waiting.empty() && !came.contains(edge.reason.reader)) {
      const TransactionId at = waiting.front();
      waiting.pop_front();
      for (const Edge& next : edges_[at]) {
        if (next.reason.kind == Reason::Kind::kVersion || next.to == from) continue;
        if (came.try_emplace(next.to, Step{at, next}).second) waiting.push_back(next.to);
      }
    }
    for (TransactionId at = edge.reason.reader; at != from && came.contains(at);) {
      const Step& step = came.at(at);
      add_edge(step.from, step.edge);
      at = step.from;
    }
  }
}

// --- Sequential

class Sequencer {
 public:
  Sequencer(const TransactionHistory& history, const Limits& limits)
      : history_(history),
        limits_(limits),
        places_(history.sessions.size(), 0),
        held_(history.keys.size(), kNull) {}

  Verdict run() {
    struct Frame {
      std::vector<std::uint32_t> places;
      std::vector<std::int64_t> held;
      std::uint32_t next = 0;  // the session to be tried
    };
    std::vector<Frame> stack;
    read_all();
    stack.push_back({places_, held_, 0});
    for (std::uint64_t steps = 0; !stack.empty(); ++steps) {
      if (done()) return Verdict::kHolds;
      if (steps % 256 == 0 && steady_clock::now() > limits_.deadline) return Verdict::kUndecided;
      if (steps > limits_.most_steps || tried_.size() * kTriedBytes > limits_.memory_bytes) {
        return Verdict::kUndecided;
      }
      Frame& frame = stack.back();
      places_ = frame.places;
      held_ = frame.held;
      while (frame.next < places_.size() && !may_run(frame.next)) ++frame.next;
      if (frame.next == places_.size()) {
        stack.pop_back();
        continue;
      }
      execute(frame.next++);
      read_all();
      if (done()) return Verdict::kHolds;
      if (tried_.insert(hash()).second) stack.push_back({places_, held_, 0});
    }
    return Verdict::kViolated;
  }

 private:
  static constexpr std::size_t kTriedBytes = 32;

  std::span<const Access> next_of(std::uint32_t session) const {
    if (places_[session] == history_.sessions[session].size()) return {};
    const Transaction& next = history_.transactions[history_.sessions[session][places_[session]]];
    return std::span(history_.accesses).subspan(next.first, next.accesses);
  }
  bool at_end(std::uint32_t session) const {
    return places_[session] == history_.sessions[session].size();
  }
  bool done() const {
    for (std::uint32_t s = 0; s < places_.size(); ++s) {
      if (!at_end(s)) return false;
    }
    return true;
  }
  // Whether it would read what it has read.
  bool may_run(std::uint32_t session) const {
    if (at_end(session)) return false;
    const std::span<const Access> next = next_of(session);
    for (std::size_t i = 0; i < next.size(); ++i) {
      if (next[i].writes) continue;
      std::int64_t value = held_[next[i].key];
      for (std::size_t j = 0; j < i; ++j) {
        if (next[j].writes && next[j].key == next[i].key) value = next[j].value;
      }
      if (value != next[i].value) return false;
    }
    return true;
  }
  void execute(std::uint32_t session) {
    for (const Access& access : next_of(session)) {
      if (access.writes) held_[access.key] = access.value;
    }
    ++places_[session];
  }
  // What only reads, and may, had better do so now: it keeps nobody else from anything.
  void read_all() {
    for (bool more = true; more;) {
      more = false;
      for (std::uint32_t s = 0; s < places_.size(); ++s) {
        while (may_run(s) && std::ranges::none_of(next_of(s), &Access::writes)) {
          execute(s);
          more = true;
        }
      }
    }
  }
  std::array<std::uint64_t, 2> hash() const {
    const auto bytes = [](const auto& values) {
      return std::string_view(reinterpret_cast<const char*>(values.data()),
                              values.size() * sizeof values[0]);
    };
    return {hash64(bytes(places_)), hash64(bytes(held_))};
  }

  const TransactionHistory& history_;
  const Limits& limits_;
  std::vector<std::uint32_t> places_;  // by session: how many are done
  std::vector<std::int64_t> held_;     // by key
  absl::flat_hash_set<std::array<std::uint64_t, 2>> tried_;
};

// --- Counter-examples

struct Judgement {
  Verdict verdict = Verdict::kHolds;
  std::optional<Contradiction> why;
};

Judgement judge(const TransactionHistory& history, Property property, const Limits& limits) {
  // What is sequential is causal.
  const Property simple = property == Property::kSequential ? Property::kCausal : property;
  if (auto why = Analysis(history).check(simple)) return {Verdict::kViolated, std::move(why)};
  if (property != Property::kSequential) return {};
  return {Sequencer(history, limits).run(), std::nullopt};
}

// Of what the transactions have done, what is to be kept, by row of `accesses`; of reads, only
// those of what somebody still writes, or nobody ever did. An order of the whole is one of the
// part: if that has none, nor has the whole.
TransactionHistory part_of(const TransactionHistory& history, const std::vector<bool>& keep) {
  using Version = std::pair<std::uint32_t, std::int64_t>;
  absl::flat_hash_set<Version> lost;
  for (std::size_t i = 0; i < keep.size(); ++i) {
    const Access& access = history.accesses[i];
    if (access.writes && !keep[i]) lost.emplace(access.key, access.value);
  }
  TransactionHistory part;
  part.keys = history.keys;
  part.values = history.values;
  part.sessions.resize(history.sessions.size());
  part.processes = history.processes;
  for (Transaction transaction : history.transactions) {
    const std::size_t from = transaction.first;
    const std::size_t end = from + transaction.accesses;
    transaction.first = static_cast<std::uint32_t>(part.accesses.size());
    for (std::size_t i = from; i < end; ++i) {
      const Access& access = history.accesses[i];
      if (!keep[i] || (!access.writes && lost.contains({access.key, access.value}))) continue;
      part.accesses.push_back(access);
    }
    transaction.accesses = static_cast<std::uint32_t>(part.accesses.size()) - transaction.first;
    if (transaction.accesses == 0) continue;
    std::vector<TransactionId>& session = part.sessions[transaction.session];
    transaction.place = static_cast<std::uint32_t>(session.size());
    session.push_back(static_cast<TransactionId>(part.transactions.size()));
    part.transactions.push_back(transaction);
  }
  return part;
}

// Smaller ones, as long as they contradict the property as well.
class HistoryReducer {
 public:
  HistoryReducer(TransactionHistory history, Property property, const Limits& limits)
      : history_(std::move(history)), property_(property), limits_(limits) {
    limits_.deadline = std::min(limits.deadline, steady_clock::now() + kReducing);
  }

  TransactionHistory run(const std::optional<Contradiction>& why) {
    if (why && !why->parts.empty()) {
      std::vector<bool> keep(history_.accesses.size(), false);
      for (TransactionId id = 0; id < history_.transactions.size(); ++id) {
        const Transaction& transaction = history_.transactions[id];
        for (std::size_t i = 0; i < transaction.accesses; ++i) {
          const Access& access = history_.accesses[transaction.first + i];
          keep[transaction.first + i] =
              why->parts.contains({id, access.key}) || why->parts.contains({kInitial, access.key});
        }
      }
      try_part(keep);
    }
    leave_out([this] { return history_.transactions.size(); },
              [this](std::size_t i, std::vector<bool>& keep) {
                const Transaction& transaction = history_.transactions[i];
                for (std::size_t j = 0; j < transaction.accesses; ++j) {
                  keep[transaction.first + j] = false;
                }
              });
    leave_out([this] { return history_.accesses.size(); },
              [](std::size_t i, std::vector<bool>& keep) { keep[i] = false; });
    return std::move(history_);
  }

 private:
  bool try_part(const std::vector<bool>& keep) {
    TransactionHistory part = part_of(history_, keep);
    if (part.accesses.size() >= history_.accesses.size() ||
        judge(part, property_, limits_).verdict != Verdict::kViolated) {
      return false;
    }
    history_ = std::move(part);
    return true;
  }

  // In ever smaller pieces. `count`: of what there is yet; `drop` leaves one of them out.
  template <typename Count, typename Drop>
  void leave_out(Count count, Drop drop) {
    for (std::size_t piece = count() / 2; piece > 0;) {
      bool smaller = false;
      for (std::size_t from = 0; from < count(); from += piece) {
        if (steady_clock::now() > limits_.deadline) return;
        std::vector<bool> keep(history_.accesses.size(), true);
        for (std::size_t i = from; i < std::min(from + piece, count()); ++i) drop(i, keep);
        smaller = try_part(keep) || smaller;
      }
      piece = smaller ? std::min(piece, count() / 2) : piece / 2;
    }
  }

  TransactionHistory history_;
  const Property property_;
  Limits limits_;
};

std::string transaction_text(const TransactionHistory& history, const Transaction& transaction) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < transaction.accesses; ++i) {
    const Access& access = history.accesses[transaction.first + i];
    parts.push_back(fmt::format("{} {} {}", access.writes ? "writes" : "reads",
                                shortened(history.keys[access.key]),
                                shortened(history.values.text(access.value))));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string explain(const TransactionHistory& history, const std::optional<Contradiction>& why) {
  const auto name = [&](TransactionId id) {
    return fmt::format("T{}", history.transactions[id].line);
  };
  const auto clause = [&](const Step& step) {
    const Reason& reason = step.edge.reason;
    return fmt::format(fmt::runtime(reason.why), name(step.from), name(reason.reader));
  };
  std::string text =
      fmt::format("These {} transactions cannot be (T and the line of the history):\n\n",
                  history.transactions.size());
  std::size_t shown = 0;
  for (std::size_t s = 0; s < history.sessions.size() && shown < kMostTransactions; ++s) {
    if (history.sessions[s].empty()) continue;
    text += fmt::format("  process {}\n", history.processes[s]);
    for (const TransactionId id : history.sessions[s]) {
      if (shown++ >= kMostTransactions) break;
      text += fmt::format("    {}: {}\n", name(id),
                          transaction_text(history, history.transactions[id]));
    }
  }
  if (history.transactions.size() > kMostTransactions) {
    text += fmt::format("    ... and {} more\n", history.transactions.size() - kMostTransactions);
  }
  text += "\n";
  if (!why) {
    return text +
           "None of the orders that keep each process's own has every one of them read what it "
           "did.\n";
  }
  if (why->reader != kInitial) {
    text += fmt::format("{} {}", name(why->reader), why->what);
    if (!why->cycle.empty()) {
      const Step& step = why->cycle.front();
      text += fmt::format(", although {} has written it: {}", name(step.from), clause(step));
    }
    return text + ".\n";
  }
  text += "Each of these must come before the next, and the last before the first:\n\n";
  for (const Step& step : why->cycle) {
    const Reason& reason = step.edge.reason;
    std::string because;
    switch (reason.kind) {
      case Reason::Kind::kSession:
        because = "their process did them in this order";
        break;
      case Reason::Kind::kRead:
        because = fmt::format("{} has read what {} wrote to {}", name(step.edge.to),
                              name(step.from), history.keys[reason.key]);
        break;
      case Reason::Kind::kVersion:
        because = fmt::format("both have written {}, ", history.keys[reason.key]);
        if (reason.reader != step.edge.to) {
          because += fmt::format("{} has read {}'s, and ", name(reason.reader), name(step.edge.to));
        }
        because += clause(step);
        break;
    }
    text += fmt::format("  {} before {}: {}\n", name(step.from), name(step.edge.to), because);
  }
  return text;
}

}  // namespace

IsolationResult check_isolation(const TransactionHistory& history, Property property,
                                const Limits& limits) {
  Judgement judgement = judge(history, property, limits);
  if (judgement.verdict != Verdict::kViolated) return {judgement.verdict, {}};
  const TransactionHistory part = HistoryReducer(history, property, limits).run(judgement.why);
  return {Verdict::kViolated, explain(part, judge(part, property, limits).why)};
}

IsolationResult check_convergence(const History& history) {
  struct OfKey {
    Position written = 0;  // the last write has ended then
    bool open = false;
    std::map<std::int64_t, const Operation*> reads;  // the last of each process
  };
  std::vector<OfKey> keys(history.keys.size());
  for (const Operation& operation : history.operations) {
    OfKey& key = keys[operation.key];
    if (operation.function == Function::kRead || operation.outcome == Outcome::kMismatch) continue;
    if (operation.open()) key.open = true;
    key.written = std::max(key.written, operation.open() ? operation.invoked : operation.completed);
  }
  for (const Operation& operation : history.operations) {
    OfKey& key = keys[operation.key];
    if (operation.function != Function::kRead || operation.open()) continue;
    if (operation.invoked > key.written) key.reads[operation.process] = &operation;
  }
  bool undecided = false;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const OfKey& key = keys[i];
    const Operation* first = nullptr;
    for (const auto& [process, read] : key.reads) {
      if (first == nullptr) first = read;
      if (read->a == first->a) continue;
      if (key.open) {  // which may have taken effect between the two
        undecided = true;
        break;
      }
      return {
          Verdict::kViolated,
          fmt::format("Key {}: all writes have ended by line {}, and of the last reads, process "
                      "{}'s (line {}) is {}, and process {}'s (line {}) is {}.\n",
                      shortened(history.keys[i]), key.written, first->process, first->invoked,
                      operation_text(history, *first), process, read->invoked,
                      operation_text(history, *read))};
    }
  }
  return {undecided ? Verdict::kUndecided : Verdict::kHolds, {}};
}

}  // namespace even::verify
