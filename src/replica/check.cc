#include "replica/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <span>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutant.h"

namespace even {
namespace {

constexpr std::uint64_t kLastHash = std::numeric_limits<std::uint64_t>::max();
// What one turn may take, in bytes of what keys hold; how many keys is an option.
constexpr std::size_t kStepBytes = 1 << 20;
constexpr std::size_t kListedKeys = 1024;
// Keys that have changed while their partition is audited, until they are taken into the sum again.
constexpr std::size_t kMostTouched = 4'096;
constexpr std::size_t kExaminedAtOnce = 256;
constexpr std::size_t kStateBytes = 4 << 20;  // in one answer; but one key at least
constexpr int kMostAttempts = 50;             // at a key that is written all the time
constexpr std::int64_t kCompareAgainUs = 20'000;
constexpr std::int64_t kLostUs = 1'000'000;  // a question or its answer
// Until then, others have to answer, and what they have seen has to come here.
constexpr std::int64_t kAnswerTimeoutUs = 5'000'000;
constexpr std::int64_t kAuditAgainUs = 1'000'000;
constexpr std::int64_t kUndecidedRetryUs = 5'000'000;
constexpr std::int64_t kAloneRetryUs = 60'000'000;  // or when a link comes up
constexpr std::size_t kKeptFindings = 1'000;

std::size_t bytes_of(const Object& object) { return object.footprint(8).bytes; }

// What may be looked at in one go.
class Budget {
 public:
  Budget(std::size_t keys, std::size_t bytes) : keys_(keys), bytes_(bytes) {}
  bool used() const { return keys_ == 0 || bytes_ == 0; }
  void take(const Object& object) {
    keys_ -= keys_ > 0 ? 1 : 0;
    bytes_ -= std::min(bytes_, bytes_of(object));
  }

 private:
  std::size_t keys_;
  std::size_t bytes_;
};

using Digests = std::vector<std::pair<std::uint64_t, std::uint64_t>>;  // by hash, ascending

// Of all hashes from `first` to `last` of which there is something; leaves in `last` up to where it
// has come, after so many keys.
Digests list(const PartitionState& state, std::size_t most_keys, std::uint64_t first,
             std::uint64_t& last) {
  Digests out;
  Budget budget(most_keys, kStepBytes);
  state.scan(first, [&](std::uint64_t hash, std::string_view, const Object& object) {
    const bool same = !out.empty() && out.back().first == hash;
    if (hash > last) return false;
    if (!same && budget.used()) {
      last = hash - 1;
      return false;
    }
    budget.take(object);
    const std::uint64_t digest = PartitionState::content_digest(hash, object);
    if (same) {
      out.back().second += digest;
    } else {
      out.emplace_back(hash, digest);
    }
    return true;
  });
  std::erase_if(out, [](const auto& each) { return each.second == 0; });  // nothing but residue
  return out;
}

// Calls visit(key, object) for what there is of a hash.
template <typename Visit>
void for_each_of_hash(const PartitionState& state, std::uint64_t hash, Visit visit) {
  state.scan(hash, [&](std::uint64_t found, std::string_view key, const Object& object) {
    if (found != hash) return false;
    visit(key, object);
    return true;
  });
}

std::uint64_t digest_of_hash(const PartitionState& state, std::uint64_t hash) {
  std::uint64_t sum = 0;
  for_each_of_hash(state, hash, [&](std::string_view, const Object& object) {
    sum += PartitionState::content_digest(hash, object);
  });
  return sum;
}

}  // namespace

// Adds up what a partition holds, in steps between which it goes on changing.
//
// Invariant: the sum is that of all keys before the cursor as they are now, but those in
// `touched_`, and those were taken out of it before they changed.
class Check::Audit final : private StateReader {
 public:
  Audit(Partition& partition, bool compares, bool was_due)
      : id(partition.id), compare(compares), due(was_due), state_(&partition.state) {
    state_->add_reader(*this);
  }
  ~Audit() { leave(); }
  Audit(const Audit&) = delete;

  // Adds up to so many keys. False: that was all, or it has failed.
  bool step(std::size_t keys_now) {
    if (state_ == nullptr) return false;
    Budget budget(keys_now, kStepBytes);
    bool more = false;
    std::uint64_t last = cursor_;
    try {
      if (touched_.size() > kMostTouched) take_in_touched();
      state_->scan(cursor_, [&](std::uint64_t hash, std::string_view, const Object& object) {
        if (budget.used() && hash != last) {
          cursor_ = hash;
          more = true;
          return false;
        }
        last = hash;
        ++keys;
        budget.take(object);
        sum_ += PartitionState::content_digest(hash, object);
        return true;
      });
      if (more) return true;
      take_in_touched();
      done_ = true;
    } catch (const Unreadable&) {
    }
    leave();
    return false;
  }
  bool failed() const { return !done_; }
  std::uint64_t sum() const { return sum_; }
  // How far it has come, from 0 to 1.
  double share() const { return static_cast<double>(cursor_) / 0x1p64; }

  const PartitionId id;
  const bool compare;
  const bool due;  // it is not of the round
  std::uint64_t keys = 0;

 private:
  void before_join(const Delta& delta) override {
    if (delta.full) return leave();
    try {
      for (const KeyDelta& key : delta.keys) {
        const std::uint64_t hash = key.key_hash();
        if (hash >= cursor_ || EVEN_MUTANT(kAuditMissesChange)) continue;
        if (!touched_.emplace(key.key).second) continue;
        if (const Object* object = state_->find(key.key, hash)) {
          sum_ -= PartitionState::digest_of(hash, *object);
        }
      }
    } catch (const Unreadable&) {
      leave();
    }
  }
  void before_forget() override { state_ = nullptr; }
  void leave() {
    if (state_ != nullptr) state_->remove_reader(*this);
    state_ = nullptr;
  }
  void take_in_touched() {
    for (const std::string& key : touched_) {
      if (const Object* object = state_->find(key, hash64(key))) {
        sum_ += PartitionState::digest_of(hash64(key), *object);
      }
    }
    touched_.clear();
  }

  PartitionState* state_;  // null: nothing more is read from it
  std::uint64_t cursor_ = 0;
  std::uint64_t sum_ = 0;
  std::set<std::string, std::less<>> touched_;
  bool done_ = false;
};

struct Check::Comparison final : StateReader {
  explicit Comparison(Partition& its_partition) : partition(&its_partition) {
    partition->state.add_reader(*this);
  }
  ~Comparison() {
    if (partition != nullptr) partition->state.remove_reader(*this);
  }
  Comparison(const Comparison&) = delete;

  void before_join(const Delta& delta) override {
    if (EVEN_MUTANT(kComparedThoughTouched)) return;
    if (delta.full) {
      for (auto& [hash, key] : keys) key.touched = true;
    }
    for (const KeyDelta& key : delta.keys) {
      const auto found = keys.find(key.key_hash());
      if (found != keys.end()) found->second.touched = true;
    }
  }
  void before_forget() override { partition = nullptr; }

  // What another replica has answered.
  struct Answer {
    bool here = false;
    bool suspect = false;
    VersionVector vector;
    std::uint64_t end = 0;
    std::map<std::uint64_t, std::uint64_t> digests;
    std::string states;
  };
  // One that is examined.
  struct Key {
    bool touched = false;
    int attempts = 0;
    NodeNumber source = 0;  // who is to give its state
    std::uint64_t digest = 0;
  };

  Partition* partition;  // null: it has been forgotten
  CompareAsk::What what = CompareAsk::What::kList;
  VersionVector reach;  // of the question
  std::uint64_t question = 0;
  std::int64_t asked_us = 0;  // last
  std::int64_t begun_us = 0;  // when that was first asked
  bool ask_again = false;     // somebody could not answer yet
  std::map<NodeNumber, Answer> answers;
  NodeNumber source = 0;  // kStates: who was asked

  std::uint64_t cursor = 0;  // hashes before it are done
  std::uint64_t end = kLastHash;
  std::map<std::uint64_t, Key> keys;          // that are examined
  std::vector<std::uint64_t> examined_later;  // of the stretch, descending
  std::vector<std::uint64_t> asked_hashes;
  std::uint64_t undecided = 0;
  std::uint64_t repaired = 0;
};

Check::Check(ShardCore& core, Transport& transport)
    : core_(core), transport_(transport), question_(core.random.next() >> 1) {
  status_.partitions = core.partitions().size();
}
Check::~Check() = default;

// --- What is due

std::uint64_t Check::start() {
  ++status_.passes_begun;
  if (core_.partitions().empty()) return ++status_.passes_done;
  forced_ = true;
  begin_round(core_.clock.monotonic_us());
  return status_.passes_begun;
}

void Check::begin_round(std::int64_t now_us) {
  round_ = true;
  next_ = 0;
  round_began_us_ = now_us;
  status_.audited = 0;
}

void Check::want(PartitionId id, std::int64_t not_before_us, bool compare,
                 std::uint64_t undecided) {
  const auto [due, is_new] = due_.try_emplace(id, Due{not_before_us, compare, undecided});
  if (!is_new) due->second.compare |= compare;
}

void Check::differs(PartitionId partition) {
  if (comparison_ && comparison_->partition && comparison_->partition->id == partition) return;
  if (audit_ && audit_->id == partition && audit_->compare) return;
  want(partition, core_.clock.monotonic_us() + kAuditAgainUs, true);
}

// Whether the round is not as far as it should be by now.
bool Check::is_behind(std::int64_t now_us) const {
  if (!round_) return false;
  if (forced_) return true;
  const double audited = static_cast<double>(next_) - (audit_ ? 1 - audit_->share() : 0);
  const double interval_us = static_cast<double>(core_.options.check_interval_ms) * 1'000;
  // A tenth of the time is for what comes between.
  return audited / static_cast<double>(core_.partitions().size()) <
         static_cast<double>(now_us - round_began_us_) / (interval_us * 0.9);
}

void Check::tick() {
  const std::int64_t now_us = core_.clock.monotonic_us();
  const std::int64_t interval_us = core_.options.check_interval_ms * 1'000;
  if (core_.partitions().empty()) return;
  if (!round_ && interval_us > 0 &&
      (round_began_us_ == 0 || now_us - round_began_us_ >= interval_us)) {
    begin_round(now_us);
  }
  const bool asked_in_vain =
      comparison_ &&
      now_us - comparison_->asked_us >= (comparison_->ask_again ? kCompareAgainUs : kLostUs) &&
      std::ranges::any_of(comparison_->answers, [](const auto& each) { return !each.second.here; });
  if (asked_in_vain) {
    const std::int64_t begun_us = comparison_->begun_us;
    ask(comparison_->what, comparison_->asked_hashes, comparison_->source);
    comparison_->begun_us = begun_us;
  }
  work();
}

void Check::end_turn() {
  if (has_more_) work();
}

void Check::work() {
  has_more_ = false;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (comparison_) return advance();
  if (!audit_) {
    const auto due = std::ranges::find_if(
        due_, [now_us](const auto& each) { return each.second.not_before_us <= now_us; });
    if (due != due_.end()) {
      const auto [id, what] = *due;
      due_.erase(due);
      begin_audit(id, what.compare, true);
    } else if (is_behind(now_us)) {
      if (next_ < core_.partitions().size()) {
        begin_audit(core_.partitions()[next_++]->id, false, false);
      } else {
        round_ = false;
        ++status_.rounds;
        if (std::exchange(forced_, false)) {
          status_.passes_done = status_.passes_begun;
          round_began_us_ = 0;  // what changes from now on is found within an interval, too
        }
      }
    }
  }
  if (!audit_) return;
  const std::uint64_t keys = audit_->keys;
  const bool more = audit_->step(core_.options.check_step_keys);
  status_.keys += audit_->keys - keys;
  if (!more) end_audit();
  has_more_ = !due_.empty() || is_behind(now_us) || (audit_ && audit_->due);
}

void Check::begin_audit(PartitionId id, bool compare, bool due) {
  Partition& partition = core_.at(id);
  if (partition.damaged()) return;  // that has a repair of its own
  if (!partition.replayed) {
    if (due) want(id, core_.clock.monotonic_us() + kAuditAgainUs, compare);
    return;
  }
  core_.close(partition);
  audit_ = std::make_unique<Audit>(partition, compare, due);
}

void Check::end_audit() {
  const std::unique_ptr<Audit> audit = std::exchange(audit_, nullptr);
  Partition& partition = core_.at(audit->id);
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (audit->failed()) return want(partition.id, now_us + kAuditAgainUs, audit->compare);
  ++status_.audited;
  bool compare = audit->compare;
  if (!core_.adds_up(partition, audit->sum())) compare = true;
  if (compare && partition.replicas.size() > 1) begin_comparison(partition);
}

// --- Comparing a partition

void Check::begin_comparison(Partition& partition) {
  ++status_.comparisons;
  core_.close(partition);
  comparison_ = std::make_unique<Comparison>(partition);
  ask(CompareAsk::What::kList, {0});
}

// Asks all other replicas, or one.
void Check::ask(CompareAsk::What what, std::vector<std::uint64_t> hashes, NodeNumber only) {
  Comparison& it = *comparison_;
  if (it.partition == nullptr) return;
  it.what = what;
  it.question = ++question_;
  it.asked_us = it.begun_us = core_.clock.monotonic_us();
  it.ask_again = false;
  it.answers.clear();
  it.source = only;
  it.asked_hashes = std::move(hashes);
  // They answer when they have seen what this node has.
  core_.send_held(it.partition->id);
  const std::string message = encode_compare_ask(
      {it.question, it.partition->id, what,
       what == CompareAsk::What::kList ? VersionVector() : it.reach, it.asked_hashes});
  for (const NodeNumber node : it.partition->replicas) {
    if (node == core_.options.node || !links_.contains(node) || (only != 0 && node != only)) {
      continue;
    }
    it.answers[node];
    transport_.send(node, message);
  }
}

void Check::link_up(NodeNumber node) {
  links_.insert(node);
  // It may have the votes that were lacking.
  const std::int64_t soon_us = core_.clock.monotonic_us() + kAuditAgainUs;
  for (auto& [id, due] : due_) {
    if (due.undecided > 0) due.not_before_us = std::min(due.not_before_us, soon_us);
  }
}

void Check::link_down(NodeNumber node) {
  links_.erase(node);
  if (!comparison_) return;
  const auto answer = comparison_->answers.find(node);
  if (answer == comparison_->answers.end() || answer->second.here) return;
  comparison_->answers.erase(answer);
  has_more_ = true;
}

Result<> Check::receive(NodeNumber node, const CompareAsk& ask) {
  CompareAnswer answer;
  answer.id = ask.id;
  Partition* partition = core_.find(ask.partition);
  std::string states;
  if (ask.hashes.size() > kListedKeys) return fail("it compares too many keys at once");
  if (partition == nullptr || core_.is_strong(ask.partition)) {
    transport_.send(node, encode_compare_answer(answer));
    return {};
  }
  core_.close(*partition);
  const PartitionState& state = partition->state;
  answer.suspect = core_.at(ask.partition).suspect_since_us.has_value();
  answer.vector = state.vector();
  answer.ready = partition->replayed && !partition->damaged() && state.vector().covers(ask.reach);
  try {
    if (answer.ready && ask.what == CompareAsk::What::kList) {
      answer.end = kLastHash;
      answer.digests = list(state, core_.options.check_listed_keys, ask.hashes.front(), answer.end);
    } else if (answer.ready) {
      Budget budget(kListedKeys, ask.what == CompareAsk::What::kStates ? kStateBytes : kStepBytes);
      RecordBuilder builder;
      builder.add_nothing();
      for (const std::uint64_t hash : ask.hashes) {
        if (budget.used()) break;
        std::uint64_t digest = 0;
        for_each_of_hash(state, hash, [&](std::string_view key, const Object& object) {
          budget.take(object);
          digest += PartitionState::content_digest(hash, object);
          if (ask.what != CompareAsk::What::kStates) return;
          KeyDelta delta;
          delta.key = key;
          describe(object, delta);
          builder.add(delta, {}, {});
        });
        answer.digests.emplace_back(hash, digest);
      }
      if (ask.what == CompareAsk::What::kStates) {
        Record head;
        head.partition = ask.partition;
        head.context = state.vector();
        builder.finish(head, true, states);  // a state is full, though here of these keys only
        answer.states = states;
      }
    }
  } catch (const Unreadable&) {
    answer.ready = false;
    answer.digests.clear();
  }
  transport_.send(node, encode_compare_answer(answer));
  return {};
}

Result<> Check::receive(NodeNumber node, const CompareAnswer& answer) {
  if (!comparison_ || comparison_->question != answer.id) return {};
  const auto found = comparison_->answers.find(node);
  if (found == comparison_->answers.end() || found->second.here) return {};
  if (!answer.ready) {
    comparison_->ask_again = true;  // in a while
    return {};
  }
  Comparison::Answer& it = found->second;
  it.here = true;
  it.suspect = answer.suspect;
  it.vector = answer.vector;
  it.end = answer.end;
  it.digests = {answer.digests.begin(), answer.digests.end()};
  it.states = answer.states;
  has_more_ = true;
  return {};
}

// Goes on once all have answered that will.
void Check::advance() {
  Comparison& it = *comparison_;
  if (it.partition == nullptr || it.partition->damaged()) return end_comparison();
  const std::int64_t now_us = core_.clock.monotonic_us();
  const bool too_late = now_us - it.begun_us >= kAnswerTimeoutUs;
  if (too_late) {
    std::erase_if(it.answers, [](const auto& each) { return !each.second.here; });
  }
  const bool all =
      std::ranges::all_of(it.answers, [](const auto& each) { return each.second.here; });
  if (!all) return;
  if (it.answers.empty()) {  // nobody is in reach
    it.undecided = std::max<std::uint64_t>(it.undecided, 1);
    return end_comparison();
  }
  core_.close(*it.partition);
  if (it.what != CompareAsk::What::kList) {
    // What they have seen has to be here, too: see docs/repair.md.
    for (const auto& [node, answer] : it.answers) {
      if (it.partition->state.vector().covers(answer.vector)) continue;
      if (!too_late) return;
      it.undecided += it.keys.size();
      return end_comparison();
    }
  }
  try {
    switch (it.what) {
      case CompareAsk::What::kList:
        return take_list();
      case CompareAsk::What::kDigests:
        return take_digests();
      case CompareAsk::What::kStates:
        return take_states();
    }
  } catch (const Unreadable&) {
    end_comparison();
  }
}

void Check::take_list() {
  Comparison& it = *comparison_;
  it.end = kLastHash;
  for (const auto& [node, answer] : it.answers) it.end = std::min(it.end, answer.end);
  if (it.end < it.cursor) return end_comparison();  // that makes no sense
  const Digests own = list(it.partition->state, core_.options.check_listed_keys, it.cursor, it.end);
  const std::map<std::uint64_t, std::uint64_t> here(own.begin(), own.end());
  status_.keys += own.size();
  std::set<std::uint64_t, std::greater<>> differ;
  for (const auto& [node, answer] : it.answers) {
    for (const auto& [hash, digest] : answer.digests) {
      if (hash > it.end) break;
      const auto found = here.find(hash);
      if (found == here.end() || found->second != digest) differ.insert(hash);
    }
    for (const auto& [hash, digest] : here) {
      if (!answer.digests.contains(hash)) differ.insert(hash);
    }
  }
  it.examined_later.assign(differ.begin(), differ.end());
  ask_digests();
}

// Of the keys that are examined and of as many more as may be examined at once; or else goes on.
void Check::ask_digests() {
  Comparison& it = *comparison_;
  while (it.keys.size() < kExaminedAtOnce && !it.examined_later.empty()) {
    it.keys[it.examined_later.back()];
    it.examined_later.pop_back();
  }
  if (it.keys.empty()) return next_stretch();
  core_.close(*it.partition);
  it.reach = it.partition->state.vector();
  std::vector<std::uint64_t> hashes;
  for (auto& [hash, key] : it.keys) {
    key.touched = false;
    key.source = 0;
    hashes.push_back(hash);
  }
  ask(CompareAsk::What::kDigests, std::move(hashes));
}

void Check::next_stretch() {
  Comparison& it = *comparison_;
  if (it.end == kLastHash) return end_comparison();
  it.cursor = it.end + 1;
  ask(CompareAsk::What::kList, {it.cursor});
}

void Check::take_digests() {
  Comparison& it = *comparison_;
  const PartitionState& state = it.partition->state;
  const std::size_t replicas = it.partition->replicas.size();
  for (auto key = it.keys.begin(); key != it.keys.end();) {
    const std::uint64_t hash = key->first;
    const bool answered = std::ranges::all_of(
        it.answers, [hash](const auto& each) { return each.second.digests.contains(hash); });
    if (key->second.touched || !answered) {
      const bool give_up = key->second.touched && ++key->second.attempts >= kMostAttempts;
      it.undecided += give_up ? 1 : 0;
      key = give_up ? it.keys.erase(key) : std::next(key);
      continue;
    }
    struct Vote {
      NodeNumber node;
      std::uint64_t digest;
      bool suspect;
    };
    const std::uint64_t own = digest_of_hash(state, hash);
    std::vector<Vote> votes{{core_.options.node, own, it.partition->suspect_since_us.has_value()}};
    for (const auto& [node, answer] : it.answers) {
      votes.push_back({node, answer.digests.at(hash), answer.suspect});
    }
    const std::size_t silent = replicas - votes.size();
    // By digest: how many hold it, and how many of them are not suspect. Of equals, what is there
    // over what is not, and the greater one: every replica comes to the same.
    std::map<std::uint64_t, std::pair<std::size_t, std::size_t>> counts;
    for (const Vote& vote : votes) {
      auto& [all, sound] = counts[vote.digest];
      ++all;
      sound += vote.suspect ? 0 : 1;
    }
    const auto by_count = [](const auto& each) { return std::pair(each.second, each.first); };
    const auto best = std::ranges::max_element(counts, {}, by_count);
    if (EVEN_MUTANT(kMinorityCounts)) {
      key->second.digest = std::ranges::min_element(counts, {}, by_count)->first;
    } else if (silent > 0 && 2 * best->second.first <= replicas) {
      it.undecided += counts.size() > 1 ? 1 : 0;
      key = it.keys.erase(key);
      continue;
    } else {
      key->second.digest = best->first;
    }
    if (key->second.digest == own) {
      key = it.keys.erase(key);
      continue;
    }
    const auto source = std::ranges::find(votes, key->second.digest, &Vote::digest);
    key->second.source = source->node;
    ++key;
  }
  fetch_next();
}

// Asks one replica for what it is to give; when nothing is left to be given, goes on.
void Check::fetch_next() {
  Comparison& it = *comparison_;
  NodeNumber source = 0;
  std::vector<std::uint64_t> hashes;
  for (const auto& [hash, key] : it.keys) {
    if (key.source == 0 || key.touched) continue;
    if (source == 0) source = key.source;
    if (key.source == source) hashes.push_back(hash);
  }
  if (source == 0) return ask_digests();
  ask(CompareAsk::What::kStates, std::move(hashes), source);
}

void Check::take_states() {
  Comparison& it = *comparison_;
  const Comparison::Answer& answer = it.answers.begin()->second;
  const auto record = decoder_.decode(answer.states);
  if (!record) {
    core_.warn(fmt::format("node {} has sent a state that is none: {}", it.source,
                           record.error().message));
    it.undecided += it.keys.size();
    it.keys.clear();
    return ask_digests();
  }
  std::map<std::uint64_t, std::vector<KeyDelta>> by_hash;
  for (const KeyDelta& key : record->delta.keys) by_hash[key.key_hash()].push_back(key);
  for (const auto& [hash, digest] : answer.digests) {
    const auto key = it.keys.find(hash);
    if (key == it.keys.end() || key->second.source != it.source) continue;
    if (key->second.touched || key->second.digest != digest) {
      key->second.touched = true;  // there: asked about again
      continue;
    }
    it.keys.erase(key);
    settle(hash, by_hash[hash], digest);
  }
  for (auto& [hash, key] : it.keys) {
    if (key.source == it.source) key.source = 0;  // did not fit
  }
  fetch_next();
}

// Puts what counts in the place of what is here.
void Check::settle(std::uint64_t hash, std::span<const KeyDelta> keys, std::uint64_t digest) {
  Comparison& it = *comparison_;
  PartitionState& state = it.partition->state;
  std::set<std::string, std::less<>> before;
  for_each_of_hash(state, hash, [&](std::string_view key, const Object&) { before.emplace(key); });
  std::set<std::string, std::less<>> names = before;
  for (const KeyDelta& key : keys) names.emplace(key.key);
  state.replace(hash, keys);
  ++it.repaired;
  ++status_.repaired;
  for (const std::string& name : names) {
    const bool is_there =
        std::ranges::any_of(keys, [&name](const KeyDelta& key) { return key.key == name; });
    const CheckFinding::Kind kind = !before.contains(name) ? CheckFinding::Kind::kMissing
                                    : !is_there            ? CheckFinding::Kind::kSuperfluous
                                                           : CheckFinding::Kind::kDifferent;
    status_.findings.push_back({it.partition->id, name, kind});
    if (status_.findings.size() > kKeptFindings) status_.findings.pop_front();
  }
  if (digest_of_hash(state, hash) != digest) {
    core_.warn(fmt::format("a key of partition {} that has been repaired is not as it was sent",
                           it.partition->id));
  }
}

void Check::end_comparison() {
  const std::unique_ptr<Comparison> it = std::exchange(comparison_, nullptr);
  has_more_ = true;
  if (it->partition == nullptr) return;
  Partition& partition = *it->partition;
  partition.report_due = true;
  const std::int64_t now_us = core_.clock.monotonic_us();
  if (it->repaired > 0) {
    core_.warn(fmt::format(
        "partition {}: {} keys were not as other replicas have them, and have been repaired",
        partition.id, it->repaired));
  }
  if (it->undecided > 0) {
    const bool all_linked = std::ranges::all_of(partition.replicas, [this](NodeNumber node) {
      return node == core_.options.node || links_.contains(node);
    });
    return want(partition.id, now_us + (all_linked ? kUndecidedRetryUs : kAloneRetryUs), true,
                it->undecided);
  }
  const bool was_suspect = std::exchange(partition.suspect_since_us, std::nullopt).has_value();
  // What is held is right, whatever records were about.
  partition.state.set_recorded_digest(partition.state.digest());
  partition.state.set_content_digest(partition.state.digest());
  // What had not been audited may add up to another sum now.
  if (it->repaired > 0 || was_suspect) want(partition.id, now_us, false);
}

bool Check::falsify(Partition& partition, std::string_view key,
                    std::optional<std::string_view> value) {
  PartitionState& state = partition.state;
  const std::uint64_t hash = hash64(key);
  const std::uint64_t before = digest_of_hash(state, hash);
  if (!value && before == 0) return false;
  if (value && state.vector().empty()) return false;  // there is no dot that it could have
  SiblingView sibling{
      {state.vector().empty() ? ReplicaId{} : state.vector().entries()[0].replica, 1},
      Hlc{1},
      value.value_or(""),
      0};
  if (const Object* object = state.find(key, hash)) {
    object->plain_string().for_each_sibling([&](const SiblingView& now) {
      sibling.dot = now.dot;
      sibling.time = now.time;
    });
  }
  KeyDelta delta;
  delta.key = key;
  delta.full = true;
  if (value) {
    LeafDelta& leaf = delta.leaves.emplace_back();
    leaf.kind = LeafKind::kString;
    leaf.siblings.push_back(sibling);
  }
  const std::uint64_t recorded = state.recorded_digest();
  state.replace(hash, value ? std::span<const KeyDelta>(&delta, 1) : std::span<const KeyDelta>());
  state.set_recorded_digest(recorded);
  return digest_of_hash(state, hash) != before;
}

CheckStatus Check::status() const {
  CheckStatus status = status_;
  status.audits_failed = core_.stats.audits_failed;
  for (const auto& partition : core_.partitions()) {
    if (partition->suspect_since_us) status.suspect.push_back(partition->id);
  }
  status.busy = forced_ || comparison_ != nullptr || (audit_ && audit_->due);
  for (const auto& [id, due] : due_) {
    status.undecided += due.undecided;
    status.busy = status.busy || due.undecided == 0;
  }
  return status;
}

}  // namespace even
