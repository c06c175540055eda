// What test_history.h declares, and tests that the definition tells right from wrong.
#include "lattice/test_history.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>

#include "base/hash.h"
#include "lattice/types/position.h"
#include "lattice/types/stream_field.h"

namespace even::test {
namespace {

// What a reader sees of one scalar, from its parts.
struct ScalarText {
  struct Sibling {
    Hlc time;
    Dot dot;
    std::string value;
    auto operator<=>(const Sibling&) const = default;
  };
  struct Point {
    std::uint64_t seq = 0;
    std::int64_t value = 0;  // reals: in quarters
  };
  std::set<Sibling> siblings;
  std::map<ReplicaId, Point> integers;
  std::map<ReplicaId, Point> reals;
  std::string shown;  // left out when empty

  std::string text() const {
    std::string out;
    for (const Sibling& s : siblings)
      out += fmt::format(" '{}'@{}+{}", s.value, s.time.value, s.dot.to_string());
    for (const auto& [id, point] : integers)
      out += fmt::format(" int {}:{}={}", id.to_string(), point.seq, point.value);
    for (const auto& [id, point] : reals)
      out += fmt::format(" real {}:{}={}/4", id.to_string(), point.seq, point.value);
    return out + " shows '" + shown + "'";
  }
};

std::int64_t quarters(Real value) { return static_cast<std::int64_t>(value * 4); }

bool is_score_kind(LeafKind kind) {
  return kind == LeafKind::kScore || kind == LeafKind::kFieldExpiry;
}

std::string scalar_text(const ScalarView& scalar, LeafKind kind) {
  ScalarText text;
  scalar.for_each_sibling([&](const SiblingView& s) {
    text.siblings.insert(
        {s.time, s.dot,
         is_score_kind(kind) ? score_text(score_in(s.value)) : std::string(s.value)});
  });
  for (const auto& entry : scalar.integers().entries()) {
    if (entry.live()) text.integers[entry.replica] = {entry.seq, entry.value()};
  }
  for (const auto& entry : scalar.reals().entries()) {
    if (entry.live()) text.reals[entry.replica] = {entry.seq, quarters(entry.value())};
  }
  std::string scratch;
  text.shown = is_score_kind(kind) ? score_text(score_of(scalar)) : scalar.value(scratch);
  return text.text();
}

// The value by its definition: the latest sibling, plus the increments where it is a number; a
// score is one always.
std::string shown_by_definition(const ScalarText& text, LeafKind kind) {
  std::string base = text.siblings.empty() ? "0" : text.siblings.rbegin()->value;
  std::int64_t integers = 0;
  std::int64_t real_quarters = 0;
  for (const auto& [id, point] : text.integers) integers += point.value;
  for (const auto& [id, point] : text.reals) real_quarters += point.value;
  if (text.integers.empty() && text.reals.empty()) return base;
  if (base == "word") return base;
  if (kind != LeafKind::kScore && text.reals.empty() && base.find('.') == std::string::npos)
    return std::to_string(std::stoll(base) + integers);
  const double total =
      std::stod(base) + static_cast<double>(integers) + static_cast<double>(real_quarters) / 4;
  if (kind == LeafKind::kScore) return score_text(total);
  return fmt::format("{}", total == 0 ? 0 : total);
}

LeafDelta& leaf_of(KeyDelta& delta, LeafKind kind, std::string_view field) {
  for (LeafDelta& leaf : delta.leaves) {
    if (leaf.kind == kind && leaf.field == field) return leaf;
  }
  LeafDelta& leaf = delta.leaves.emplace_back();
  leaf.kind = kind;
  leaf.field = field;
  return leaf;
}

template <typename Number>
void add_increment(const CounterView<Number>& counter, const Dot& dot, Number by, bool anew,
                   CounterDeltas<Number>& out) {
  const auto mine = [&](const auto& entry) { return entry.replica == dot.replica; };
  out.erase(std::remove_if(out.begin(), out.end(), mine), out.end());
  out.push_back(counter.incremented(dot.replica, dot.seq, by, anew));
}

ObjectType type_of(Act act) {
  switch (act) {
    case Act::kIncrement:
    case Act::kIncrementReal:
      return ObjectType::kString;
    case Act::kAddMember:
    case Act::kRemoveMember:
      return ObjectType::kSet;
    case Act::kSetField:
    case Act::kIncrementField:
    case Act::kIncrementFieldReal:
    case Act::kDeleteField:
    case Act::kExpireField:
    case Act::kPersistField:
    case Act::kPurgeField:
    case Act::kGiveFieldUp:
      return ObjectType::kHash;
    case Act::kSetScore:
    case Act::kIncrementScore:
    case Act::kIncrementScoreReal:
    case Act::kDeleteScore:
      return ObjectType::kSortedSet;
    case Act::kSetItem:
    case Act::kDeleteItem:
      return ObjectType::kList;
    case Act::kSetEntry:
    case Act::kDeleteEntry:
      return ObjectType::kStream;
    default:
      return ObjectType::kNone;  // any
  }
}

bool needs_key(Act act) {
  switch (act) {
    case Act::kDelete:
    case Act::kRemoveMember:
    case Act::kDeleteField:
    case Act::kDeleteScore:
    case Act::kDeleteItem:
    case Act::kDeleteEntry:
    case Act::kExpireField:
    case Act::kPersistField:
    case Act::kPurgeField:
    case Act::kGiveFieldUp:
    case Act::kExpire:
    case Act::kPersist:
    case Act::kPurge:
      return true;
    default:
      return false;
  }
}

void set_scalar(const ScalarView& stored, const Command& command, const Dot& dot, Hlc time,
                LeafDelta& leaf) {
  leaf.integers.clear();
  leaf.reals.clear();
  remove_scalar(stored, leaf);
  leaf.siblings = {{dot, time, command.value, 0}};
}

// The bytes of each score that a command may set; a word counts as 1.
std::string_view score_bytes(const std::string& value) {
  static std::map<std::string, ScoreBytes> all;
  const double score = value == "word" ? 1 : std::stod(value);
  return all.try_emplace(value, score).first->second.view();
}

// The position that a field stands for; for good.
const std::string& position_of(const std::string& field) {
  static std::map<std::string, std::string> all;
  const auto [at, is_new] = all.try_emplace(field);
  if (is_new) at->second = position_between({}, {}, {ReplicaId::make(9, 1), all.size()});
  return at->second;
}

// The name of the entry that a field stands for; for good.
const std::string& entry_of(const std::string& field) {
  static std::map<std::string, std::string> all;
  const auto [at, is_new] = all.try_emplace(field);
  if (is_new) at->second = stream_entry(ReplicaId::make(9, 1), {7, all.size()});
  return at->second;
}

// The delta of one command and what it means; false when it does nothing.
bool make_delta(const PartitionState& state, const Command& command, const Dot& dot, Hlc time,
                KeyDelta& delta, Operation& operation) {
  const Object* stored = state.find(command.key, hash64(command.key));
  const Object* object = stored != nullptr && stored->live() ? stored : nullptr;
  const ObjectType type = type_of(command.act);
  if (command.act == Act::kForgetExpiry) {
    if (stored == nullptr || object != nullptr) return false;
    delta.key = command.key;
    if (stored->expiry() != nullptr) {
      remove_leftover_expiry(delta);
      operation.removals.push_back({.key = command.key, .kind = LeafKind::kExpiry});
    }
    stored->field_expiries().for_each([&](std::string_view field, const ScalarView&) {
      remove_lapsed_field({}, field, false, delta);
      operation.removals.push_back(
          {.key = command.key, .kind = LeafKind::kFieldExpiry, .field = std::string(field)});
    });
    return !delta.leaves.empty();
  }
  if (object == nullptr && needs_key(command.act)) return false;
  if (object != nullptr && type != ObjectType::kNone && object->type() != type) return false;

  delta.key = command.key;
  Removal removal{.key = command.key};
  if (object == nullptr) {
    remove_all(stored, delta);
    removal.whole_key = true;
  }
  const ScalarView string = stored != nullptr ? stored->string() : ScalarView();
  const bool of_list = type == ObjectType::kList;
  const bool of_stream = type == ObjectType::kStream;
  const LeafKind fields = of_list                          ? LeafKind::kItem
                          : of_stream                      ? LeafKind::kEntry
                          : type == ObjectType::kSortedSet ? LeafKind::kScore
                                                           : LeafKind::kField;
  const std::string& name = of_list     ? position_of(command.field)
                            : of_stream ? entry_of(command.field)
                                        : command.field;
  const ScalarView field = stored != nullptr ? stored->fields(fields).find(name) : ScalarView();
  Effect effect{command.key,      LeafKind::kString, {},
                Effect::kSibling, command.value,     command.number};
  bool has_effect = true;

  const auto increment = [&](const ScalarView& scalar, LeafKind kind, const std::string& name,
                             bool real) {
    LeafDelta& leaf = leaf_of(delta, kind, name);
    leaf.partial = !delta.full;
    const bool anew = object == nullptr;
    if (real) {
      add_increment(scalar.reals(), dot, static_cast<Real>(command.number) / 4, anew, leaf.reals);
    } else {
      add_increment(scalar.integers(), dot, command.number, anew, leaf.integers);
    }
    effect.kind = kind;
    effect.field = name;
    effect.content = real ? Effect::kReal : Effect::kInteger;
  };
  const auto change_leaf = [&](LeafKind kind, const std::string& name) -> LeafDelta& {
    effect.kind = removal.kind = kind;
    effect.field = removal.field = name;
    return leaf_of(delta, kind, name);
  };

  switch (command.act) {
    case Act::kSet:
    case Act::kSetKeepExpiry: {
      removal.whole_key = true;
      removal.keeps_expiry =
          command.act == Act::kSetKeepExpiry && object != nullptr && object->expiry() != nullptr;
      delta.leaves.clear();
      if (removal.keeps_expiry) {
        purge_expired(*stored, delta);
      } else {
        remove_all(stored, delta);
      }
      set_scalar(string, command, dot, time, leaf_of(delta, LeafKind::kString, {}));
      break;
    }
    case Act::kIncrement:
      increment(string, LeafKind::kString, {}, false);
      break;
    case Act::kIncrementReal:
      increment(string, LeafKind::kString, {}, true);
      break;
    case Act::kIncrementField:
    case Act::kIncrementScore:
      increment(field, fields, command.field, false);
      break;
    case Act::kIncrementFieldReal:
    case Act::kIncrementScoreReal:
      increment(field, fields, command.field, true);
      break;
    case Act::kDelete:
      removal.whole_key = true;
      has_effect = false;
      remove_all(stored, delta);
      break;
    case Act::kPurge:
      if (object->expiry() == nullptr) return false;
      removal.whole_key = removal.keeps_expiry = true;
      has_effect = false;
      purge_expired(*stored, delta);
      break;
    case Act::kAddMember:
      change_leaf(LeafKind::kMember, command.field).siblings = {{dot, time, {}, 0}};
      break;
    case Act::kRemoveMember:
      change_leaf(LeafKind::kMember, command.field).siblings.clear();
      has_effect = false;
      break;
    case Act::kSetField: {
      set_scalar(field, command, dot, time, change_leaf(LeafKind::kField, command.field));
      break;
    }
    case Act::kSetScore: {
      LeafDelta& leaf = change_leaf(LeafKind::kScore, command.field);
      set_scalar(field, command, dot, time, leaf);
      leaf.siblings[0].value = score_bytes(command.value);
      effect.value = score_text(score_in(leaf.siblings[0].value));
      break;
    }
    case Act::kSetItem:
    case Act::kSetEntry:
      set_scalar(field, command, dot, time, change_leaf(fields, name));
      break;
    case Act::kDeleteField:
    case Act::kDeleteItem:
    case Act::kDeleteEntry:
    case Act::kDeleteScore:
      if (!field.live()) return false;
      remove_scalar(field, change_leaf(fields, name));
      has_effect = false;
      break;
    case Act::kExpireField: {
      LeafDelta& leaf = change_leaf(LeafKind::kFieldExpiry, command.field);
      leaf.siblings = {{dot, time, score_bytes(std::to_string(command.number)), 0}};
      effect.value = score_text(score_in(leaf.siblings[0].value));
      break;
    }
    case Act::kPersistField:
      change_leaf(LeafKind::kFieldExpiry, command.field);
      has_effect = false;
      break;
    case Act::kPurgeField:
    case Act::kGiveFieldUp: {
      const bool keeps_expiry = command.act == Act::kGiveFieldUp;
      remove_lapsed_field(field, command.field, keeps_expiry, delta);
      removal.kind = LeafKind::kField;
      removal.field = command.field;
      if (!keeps_expiry) {
        operation.removals.push_back(removal);
        removal.kind = LeafKind::kFieldExpiry;
      }
      if (!field.live() && keeps_expiry) return false;
      has_effect = false;
      break;
    }
    case Act::kExpire:
      change_leaf(LeafKind::kExpiry, {}).siblings = {{dot, time, {}, command.number}};
      break;
    case Act::kPersist:
      change_leaf(LeafKind::kExpiry, {});
      has_effect = false;
      break;
    case Act::kForgetExpiry:  // made above
    case Act::kDeleteAll:     // of the whole partition; not made here
      return false;
  }
  const bool only_adds = effect.content != Effect::kSibling && !removal.whole_key;
  if (!only_adds) operation.removals.push_back(removal);
  if (has_effect) operation.effects.push_back(effect);
  return true;
}

}  // namespace

bool Removal::removes(const Effect& effect) const {
  if (all_keys) return true;
  if (key != effect.key) return false;
  if (whole_key) return !(keeps_expiry && effect.kind == LeafKind::kExpiry);
  return kind == effect.kind && field == effect.field;
}

std::string view(const PartitionState& state) {
  std::set<std::string> lines;
  state.for_each([&lines](std::string_view name, const Object& object) {
    if (!object.live()) return;
    const std::string key(name);
    if (object.string().live()) {
      lines.insert(key + " string" + scalar_text(object.string(), LeafKind::kString));
    }
    object.set().for_each([&](std::string_view member, const MemberDots& dots) {
      std::string line = fmt::format("{} member {}", key, member);
      for (const MemberDot& entry : dots) line += ' ' + entry.dot.to_string();
      lines.insert(line);
    });
    for (const LeafKind kind : kFieldKinds) {
      object.fields(kind).for_each([&](std::string_view field, const ScalarView& scalar) {
        if (!scalar.live()) return;
        const std::string_view what = kind == LeafKind::kField         ? "field"
                                      : kind == LeafKind::kScore       ? "score"
                                      : kind == LeafKind::kEntry       ? "entry"
                                      : kind == LeafKind::kFieldExpiry ? "expires"
                                                                       : "item";
        lines.insert(fmt::format("{} {} {}{}", key, what, field, scalar_text(scalar, kind)));
      });
    }
    if (object.expiry() != nullptr) {
      std::set<std::string> siblings;
      for (const ExpirySibling& s : *object.expiry()) {
        siblings.insert(fmt::format(" {}@{}+{}", s.at_ms, s.time.value, s.dot.to_string()));
      }
      lines.insert(fmt::format("{} expiry{}", key, fmt::join(siblings, "")));
    }
  });
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string defined_view(const std::vector<Operation>& operations, const VersionVector& vector) {
  struct Leaf {
    ScalarText scalar;
    std::set<std::string> lines;  // of a member's dots, of an expiry's siblings
  };
  std::map<std::string, std::map<std::pair<LeafKind, std::string>, Leaf>> keys;
  for (const Operation& operation : operations) {
    if (!vector.covers(operation.dot)) continue;
    for (const Effect& effect : operation.effects) {
      const bool removed =
          std::any_of(operations.begin(), operations.end(), [&](const Operation& other) {
            return other.dot != operation.dot && vector.covers(other.dot) &&
                   other.context.covers(operation.dot) &&
                   std::any_of(other.removals.begin(), other.removals.end(),
                               [&](const Removal& removal) { return removal.removes(effect); });
          });
      if (removed) continue;
      Leaf& leaf = keys[effect.key][{effect.kind, effect.field}];
      if (effect.kind == LeafKind::kMember) {
        leaf.lines.insert(' ' + operation.dot.to_string());
      } else if (effect.kind == LeafKind::kExpiry) {
        leaf.lines.insert(fmt::format(" {}@{}+{}", effect.number, operation.time.value,
                                      operation.dot.to_string()));
      } else if (effect.content == Effect::kSibling) {
        leaf.scalar.siblings.insert({operation.time, operation.dot, effect.value});
      } else {
        auto& counter =
            effect.content == Effect::kInteger ? leaf.scalar.integers : leaf.scalar.reals;
        ScalarText::Point& point = counter[operation.dot.replica];
        point.seq = std::max(point.seq, operation.dot.seq);
        point.value += effect.number;
      }
    }
  }
  std::set<std::string> lines;
  for (auto& [key, leaves] : keys) {
    const bool only_expiry = std::ranges::all_of(leaves, [](const auto& leaf) {
      return leaf.first.first == LeafKind::kExpiry || leaf.first.first == LeafKind::kFieldExpiry;
    });
    if (only_expiry) continue;
    for (auto& [name, leaf] : leaves) {
      const auto& [kind, field] = name;
      const std::string tail = fmt::format("{}", fmt::join(leaf.lines, ""));
      if (is_scalar(kind)) leaf.scalar.shown = shown_by_definition(leaf.scalar, kind);
      switch (kind) {
        case LeafKind::kString:
          lines.insert(key + " string" + leaf.scalar.text());
          break;
        case LeafKind::kField:
          lines.insert(fmt::format("{} field {}{}", key, field, leaf.scalar.text()));
          break;
        case LeafKind::kScore:
          lines.insert(fmt::format("{} score {}{}", key, field, leaf.scalar.text()));
          break;
        case LeafKind::kItem:
          lines.insert(fmt::format("{} item {}{}", key, field, leaf.scalar.text()));
          break;
        case LeafKind::kEntry:
          lines.insert(fmt::format("{} entry {}{}", key, field, leaf.scalar.text()));
          break;
        case LeafKind::kFieldExpiry:
          lines.insert(fmt::format("{} expires {}{}", key, field, leaf.scalar.text()));
          break;
        case LeafKind::kMember:
          lines.insert(fmt::format("{} member {}{}", key, field, tail));
          break;
        case LeafKind::kExpiry:
          lines.insert(fmt::format("{} expiry{}", key, tail));
          break;
        case LeafKind::kBound:
          break;  // none is made here: see types/bound_test.cc
      }
    }
  }
  return fmt::format("{}", fmt::join(lines, "\n"));
}

void join_state(PartitionState& into, const PartitionState& from) {
  into.join(from.describe(), from.vector());
}

PartitionState copy(const PartitionState& state) {
  PartitionState out;
  join_state(out, state);
  return out;
}

World::World(std::size_t replicas) {
  for (std::size_t i = 0; i < replicas; ++i) replicas_.emplace_back(static_cast<NodeNumber>(i + 1));
}

bool World::perform(Replica& replica, const std::vector<Command>& commands) {
  Record record;
  record.origin = replica.id;
  const Dot dot{replica.id, replica.state.vector()[replica.id] + 1};
  record.time = replica.clock.tick(now_ms);
  record.context = replica.state.vector();
  record.context.add(dot);
  Operation operation{dot, record.context, record.time, {}, {}};

  if (commands.size() == 1 && commands[0].act == Act::kDeleteAll) {
    record.delta.full = true;
    replica.state.for_each([&record](std::string_view key, const Object& object) {
      KeyDelta removal;
      removal.key = key;
      remove_all(&object, removal);
      if (!removal.leaves.empty()) record.delta.keys.push_back(std::move(removal));
    });
    operation.removals.push_back({.all_keys = true, .key = {}, .field = {}});
  } else {
    for (const Command& command : commands) {
      const bool twice = std::any_of(record.delta.keys.begin(), record.delta.keys.end(),
                                     [&](const KeyDelta& key) { return key.key == command.key; });
      KeyDelta delta;
      if (twice || !make_delta(replica.state, command, dot, record.time, delta, operation))
        continue;
      record.delta.keys.push_back(std::move(delta));
    }
    if (record.delta.keys.empty()) return false;
  }
  encode_record(record, records_.emplace_back());
  operations_.push_back(std::move(operation));
  replica.state.join(record.delta, record.context);
  return true;
}

bool World::deliverable(const Replica& replica, std::size_t index) const {
  const Operation& operation = operations_[index];
  const VersionVector& seen = replica.state.vector();
  if (seen[operation.dot.replica] + 1 != operation.dot.seq) return false;
  return std::all_of(
      operation.context.entries().begin(), operation.context.entries().end(),
      [&](const Dot& dot) { return dot.replica == operation.dot.replica || seen.covers(dot); });
}

void World::deliver(Replica& replica, std::size_t index) {
  const auto record = decoder_.decode(records_[index]);
  ASSERT_TRUE(record) << record.error().message;
  replica.clock.observe(record->time, now_ms);
  replica.state.join(record->delta, record->context);
}

void World::sync(const Replica& from, Replica& to) {
  // Records are in an order in which they were made, which is causal.
  for (std::size_t i = 0; i < records_.size(); ++i) {
    if (from.state.vector().covers(operations_[i].dot) &&
        !to.state.vector().covers(operations_[i].dot))
      deliver(to, i);
  }
}

void World::restart(Replica& replica) { replica.id = ReplicaId::make(replica.node, ++replica.run); }

void World::wipe(Replica& replica) {
  restart(replica);
  std::destroy_at(&replica.state);
  std::construct_at(&replica.state);
  replica.acked.clear();
}

void World::collect_residue(Replica& replica) const {
  const VersionVector& seen = replica.state.vector();
  VersionVector stable = seen;
  for (const Replica& other : replicas_) {
    if (other.node == replica.node) continue;
    const auto acked = replica.acked.find(other.node);
    if (acked == replica.acked.end() || !seen.covers(acked->second)) return;
    stable.meet(acked->second);
  }
  replica.state.collect_residue(stable);
}

void World::take_snapshot(const Replica& replica) {
  Record state;
  state.context = replica.state.vector();
  state.delta = replica.state.describe();
  encode_record(state, snapshots_.emplace_back());
}

void World::join_snapshot(Replica& replica, std::size_t index) {
  const auto state = decoder_.decode(snapshots_[index]);
  ASSERT_TRUE(state) << state.error().message;
  replica.state.join(state->delta, state->context);
}

void play(World& world, const std::vector<Act>& acts, const Step& step) {
  const auto [action, who, what, where, how] = step;
  auto& replicas = world.replicas();
  Replica& replica = replicas[who % replicas.size()];
  Replica& other = replicas[(who + 1 + what % (replicas.size() - 1)) % replicas.size()];
  switch (action % 16) {
    default: {
      static const std::vector<std::string> kValues = {"word", "7", "-3", "2.5"};
      std::vector<Command> commands;
      const std::size_t count = action % 16 == 0 ? 2 : 1;
      for (std::size_t i = 0; i < count; ++i) {
        commands.push_back({acts[(what + i * how) % acts.size()],
                            "k" + std::to_string((where + i) % 3),
                            "f" + std::to_string(where / 3 % 3), kValues[how % kValues.size()],
                            std::int64_t{how} - 100});
      }
      world.perform(replica, commands);
      return;
    }
    case 8:
    case 9:
    case 10: {
      std::vector<std::size_t> ready;
      for (std::size_t i = 0; i < world.records().size(); ++i) {
        if (world.deliverable(replica, i)) ready.push_back(i);
      }
      if (!ready.empty()) world.deliver(replica, ready[what % ready.size()]);
      return;
    }
    case 11:
      world.sync(other, replica);
      return;
    case 12:
      world.take_snapshot(replica);
      return;
    case 13:
      if (!world.snapshots().empty()) world.join_snapshot(replica, what % world.snapshots().size());
      return;
    case 14:
      for (Replica& from : replicas) {
        if (from.node != replica.node && (where & from.node) != 0) world.report(from, replica);
      }
      world.collect_residue(replica);
      return;
    case 15:
      if (what % 4 == 0) world.restart(replica);
      if (what % 8 == 1) world.wipe(replica);
      world.now_ms += how;
      return;
  }
}

TEST(History, TheDefinitionRemovesOnlyWhatTheRemoverHadSeen) {
  World world(2);
  Replica& a = world.replicas()[0];
  Replica& b = world.replicas()[1];
  world.perform(a, {{Act::kIncrement, "k", "", "", 5}});
  world.sync(a, b);
  world.perform(b, {{Act::kIncrement, "k", "", "", 7}});
  world.perform(a, {{Act::kDelete, "k", "", ""}});
  EXPECT_EQ(world.expected(a), "");
  VersionVector all = a.state.vector();
  all.merge(b.state.vector());
  EXPECT_EQ(defined_view(world.operations(), all), "k string int 2/000000000001:1=7 shows '7'");
}

TEST(History, AStateThatLostAnIncrementIsNotWhatTheDefinitionSays) {
  World world(1);
  Replica& a = world.replicas()[0];
  world.perform(a, {{Act::kIncrement, "k", "", "", 5}});
  const std::string before = view(a.state);
  world.perform(a, {{Act::kIncrement, "k", "", "", 1}});
  EXPECT_EQ(view(a.state), world.expected(a));
  EXPECT_NE(before, world.expected(a));
}

}  // namespace even::test
