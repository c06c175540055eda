#include "sim/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "base/reserved.h"
#include "lattice/types/hyper_log_log.h"
#include "lattice/types/position.h"
#include "lattice/types/stream_field.h"

namespace even::sim {
namespace {

using Leaf = std::pair<LeafKind, std::string>;

// What one record says of one leaf.
struct Mention {
  const Record* record;
  RecordOrigin origin;
  const LeafDelta* leaf;  // null: mentioned as absent, by a full key or a full delta
};

// Whether a value of a leaf is gone wherever this record of somebody who had seen it is known.
bool removes(const Mention& other, LeafKind kind, const Dot& value) {
  if (other.record->dot() == value || !other.record->context.covers(value)) return false;
  // Giving up takes the content; the expiry stays, so that an update which had seen it cannot
  // outlive it. What is left over of it goes later, and is then named.
  if (kind == LeafKind::kExpiry && other.origin == RecordOrigin::kGiveUp && other.leaf == nullptr) {
    return false;
  }
  // The same of a field: its expiry is left to the purge.
  if (kind == LeafKind::kFieldExpiry && other.origin == RecordOrigin::kGiveUp &&
      other.leaf != nullptr) {
    return false;
  }
  if (other.leaf == nullptr) return true;
  return !other.leaf->partial && !contains_dot(other.leaf->siblings, value);
}

// What these records say of a leaf.
std::vector<Mention> mentions_of(const std::vector<const Made*>& records, std::string_view key,
                                 const Leaf& leaf) {
  std::vector<Mention> mentions;
  for (const Made* made : records) {
    const Record* record = &made->record;
    // A record may mention parts of a key in several places.
    const LeafDelta* found = nullptr;
    bool whole = record->delta.full;
    for (const KeyDelta& mentioned : record->delta.keys) {
      if (mentioned.key != key) continue;
      whole = mentioned.full;
      for (const LeafDelta& l : mentioned.leaves) {
        if (l.kind == leaf.first && l.field == leaf.second) found = &l;
      }
    }
    if (found != nullptr || whole) mentions.push_back({record, made->origin, found});
  }
  return mentions;
}

// Whether the key of these mentions of its expiry had one for the maker of `record` before that.
bool had_expiry(const std::vector<Mention>& mentions, const Record& record) {
  const auto known = [&record](const Mention& mention) {
    return mention.record != &record && record.context.covers(mention.record->dot());
  };
  return std::ranges::any_of(mentions, [&](const Mention& write) {
    const Dot dot = write.record->dot();
    if (write.leaf == nullptr || !contains_dot(write.leaf->siblings, dot)) return false;
    return known(write) && std::ranges::none_of(mentions, [&](const Mention& other) {
             return known(other) && removes(other, LeafKind::kExpiry, dot);
           });
  });
}

// Whether the element of a list that these mention was there for the maker of `record` before that.
bool had_element(const std::vector<Mention>& mentions, const Record& record) {
  const auto known = [&record](const Mention& mention) {
    return mention.record != &record && record.context.covers(mention.record->dot());
  };
  return std::ranges::any_of(mentions, [&](const Mention& write) {
    const Dot dot = write.record->dot();
    if (write.leaf == nullptr || !contains_dot(write.leaf->siblings, dot)) return false;
    return known(write) && std::ranges::none_of(mentions, [&](const Mention& other) {
             return known(other) && removes(other, LeafKind::kItem, dot);
           });
  });
}

// An element of a list, by the record that made it.
struct MadeItem {
  std::string position;
  const Record* record;
  std::string value;
};

// A position that two elements have been given; empty: none. Adds the elements to `out`.
std::string position_taken_twice(const std::vector<Mention>& mentions, const std::string& position,
                                 std::vector<MadeItem>& out) {
  std::size_t makers = 0;
  for (const Mention& write : mentions) {
    if (write.leaf == nullptr) continue;
    for (const SiblingView& sibling : write.leaf->siblings) {
      if (sibling.dot != write.record->dot() || had_element(mentions, *write.record)) continue;
      out.push_back({position, write.record, std::string(sibling.value)});
      if (++makers > 1) return position_text(position);
    }
  }
  return {};
}

// The name of a run of elements that one command pushed, and which of them one is.
std::optional<std::pair<std::string, int>> run_of(std::string_view value) {
  const std::size_t end = value.rfind(':');
  if (!value.starts_with("run:") || end < 4) return std::nullopt;
  return std::pair(std::string(value.substr(4, end - 4)), std::atoi(value.substr(end + 1).data()));
}

// What stands between two elements that one command pushed one beside the other, though it was made
// at the same time; empty: nothing.
std::string interleaved(std::vector<MadeItem>& items) {
  std::ranges::sort(items, {}, &MadeItem::position);
  std::map<std::string, std::map<int, std::size_t>> runs;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (const auto run = run_of(items[i].value)) runs[run->first][run->second] = i;
  }
  for (const auto& [name, places] : runs) {
    for (auto next = places.begin(); next != places.end();) {
      const auto [number, place] = *next++;
      if (next == places.end() || next->first != number + 1) continue;
      const Record& own = *items[place].record;
      // A value that LMOVE has taken elsewhere is no longer of the run.
      if (items[next->second].record != &own) continue;
      for (std::size_t i = std::min(place, next->second) + 1; i < std::max(place, next->second);
           ++i) {
        const Record& other = *items[i].record;
        if (!own.context.covers(other.dot()) && !other.context.covers(own.dot())) {
          return fmt::format("'{}' within '{}'", items[i].value, name);
        }
      }
    }
  }
  return {};
}

// The records that gave a key an expiry, and where they say so.
std::vector<std::pair<const Made*, const LeafDelta*>> expiries_of(
    const std::vector<const Made*>& records, std::string_view key) {
  std::vector<std::pair<const Made*, const LeafDelta*>> all;
  for (const Made* made : records) {
    for (const KeyDelta& mentioned : made->record.delta.keys) {
      if (mentioned.key != key) continue;
      for (const LeafDelta& leaf : mentioned.leaves) {
        if (leaf.kind == LeafKind::kExpiry && leaf.siblings.size() == 1 &&
            leaf.siblings[0].dot == made->record.dot()) {
          all.emplace_back(made, &leaf);
        }
      }
    }
  }
  return all;
}

// What is known of a stream: the entries that have been made, those that are there, what each group
// has been given, and up to where it believes to have been. See docs/streams.md.
struct StreamFacts {
  std::map<StreamId, std::set<NodeNumber>> made;                    // by which nodes
  std::map<ReplicaId, std::map<std::uint64_t, StreamId>> in_order;  // the same, as they were made
  std::set<std::pair<ReplicaId, StreamId>> there;
  std::set<std::tuple<std::string, ReplicaId, StreamId>> given;
  // By group and life, which records have begun it; and the marks that records have made. A group
  // that is copied begins with marks: what it has been given and acknowledged is not in the copy.
  std::map<std::pair<std::string, std::uint64_t>, std::set<Dot>> begun;
  struct MarkMade {
    std::string group;
    std::uint64_t life;
    ReplicaId writer;
    StreamId id;
  };
  std::vector<std::pair<const Record*, MarkMade>> marks_made;
  // Entries that came with a key which was renamed, copied or restored, under the ids they had.
  std::map<std::pair<ReplicaId, StreamId>, std::vector<Dot>> copied;
  // By group, life and writer. A mark may outlive the group, where that is deleted while it is
  // read at another node; of a later life of the group it says nothing.
  std::map<std::tuple<std::string, std::uint64_t, ReplicaId>, StreamId> delivered;
  std::set<std::pair<std::string, std::uint64_t>> lives;  // of groups, that there are

  // `makers`: the records that have made it.
  void add(std::string_view name, const std::vector<const Record*>& makers, bool is_there) {
    const auto field = parse_stream_field(name);
    if (!field) return;
    const std::string group(field->group);
    if (field->kind == kStreamEntry) {
      // A node that has lost the end of its log may make an id again.
      if (!makers.empty()) made[field->id].insert(field->writer.node());
      for (const Record* maker : makers) {
        if (maker->origin == field->writer) in_order[maker->origin][maker->dot().seq] = field->id;
        if (maker->origin != field->writer ||
            field->id.ms < static_cast<std::uint64_t>(maker->time.wall_ms())) {
          copied[{field->writer, field->id}].push_back(maker->dot());
        }
      }
      if (is_there) there.emplace(field->writer, field->id);
    } else if (field->part == kGroupBase) {
      for (const Record* maker : makers) begun[{group, field->life}].insert(maker->dot());
      if (is_there) lives.emplace(group, field->life);
    } else if (field->part == kGroupPending) {
      given.emplace(group, field->writer, field->id);
    } else if (field->part == kGroupDelivered) {
      for (const Record* maker : makers) {
        marks_made.push_back({maker, {group, field->life, field->writer, field->id}});
      }
      if (!is_there) return;
      StreamId& last = delivered[{group, field->life, field->writer}];
      last = std::max(last, field->id);
    }
  }
  bool was_given(const std::string& group, ReplicaId writer, StreamId id) const {
    return given.contains({group, writer, id}) ||
           std::ranges::any_of(marks_made, [&](const auto& made) {
             const auto& [maker, mark] = made;
             const auto of = begun.find({mark.group, mark.life});
             return mark.group == group && mark.writer == writer && id <= mark.id &&
                    of != begun.end() && of->second.contains(maker->dot());
           });
  }
  // Whether it was copied to where a group of that name had been given later ones of its writer, by
  // a node that had not seen the copy.
  bool came_behind(const std::string& group, ReplicaId writer, StreamId id) const {
    const auto copies = copied.find({writer, id});
    return copies != copied.end() && std::ranges::any_of(marks_made, [&](const auto& made) {
             const auto& [maker, mark] = made;
             return mark.group == group && lives.contains({mark.group, mark.life}) &&
                    mark.writer == writer && id <= mark.id &&
                    std::ranges::none_of(copies->second, [&](const Dot& copy) {
                      return copy == maker->dot() || maker->context.covers(copy);
                    });
           });
  }
  // Whether its writer had made a greater one before.
  bool went_back(ReplicaId writer, StreamId id) const {
    const auto all = in_order.find(writer);
    if (all == in_order.end()) return false;
    for (const auto& [seq, before] : all->second) {
      if (before >= id) return before > id;
    }
    return false;
  }
  // `may_go_back`: over a deletion, where clocks differ by too much. Empty: nothing is wrong.
  std::string what_is_wrong(bool may_go_back) const {
    for (const auto& [id, nodes] : made) {
      if (nodes.size() > 1) return fmt::format("two nodes have made the id {}", id.to_string());
    }
    for (const auto& [of, last] : delivered) {
      const auto& [group, life, writer] = of;
      if (!lives.contains({group, life})) continue;
      for (const auto& [entry_writer, id] : there) {
        if (entry_writer == writer && id <= last && !was_given(group, writer, id) &&
            !came_behind(group, writer, id) && !(may_go_back && went_back(writer, id))) {
          return fmt::format("group {} has never been given {} of {}, but is at {}", group,
                             id.to_string(), writer.to_string(), last.to_string());
        }
      }
    }
    return {};
  }
  // The same, when all groups have been read to the end.
  std::string what_is_passed_over(bool may_go_back) const {
    for (const auto& [group, life] : lives) {
      for (const auto& [writer, id] : there) {
        if (was_given(group, writer, id) || came_behind(group, writer, id) ||
            (may_go_back && went_back(writer, id))) {
          continue;
        }
        return fmt::format("group {} is at the end, and has never been given {} of {}", group,
                           id.to_string(), writer.to_string());
      }
    }
    return {};
  }
};

// What the records that a state has seen make of a bounded counter, by its name: where each of its
// writers has said last how far it has come.
BoundedNumber bounded_of(const std::vector<const Made*>& seen, std::string_view key,
                         const Dot& name) {
  BoundedNumber out;
  std::map<ReplicaId, const BoundEntry*> last;
  std::vector<BoundedNumber> said;
  for (const Made* made : seen) {
    for (const KeyDelta& mentioned : made->record.delta.keys) {
      if (mentioned.key != key) continue;
      for (const LeafDelta& leaf : mentioned.leaves) {
        for (const SiblingView& sibling : leaf.siblings) {
          if (leaf.kind != LeafKind::kBound || sibling.dot != name) continue;
          BoundedNumber number;
          if (!decode_bounded(sibling.value, number)) continue;
          if (made->record.dot() == name) {
            out.is_max = number.is_max;
            out.limit = number.limit;
            out.base = number.base;
          }
          said.push_back(std::move(number));
        }
      }
    }
  }
  for (const BoundedNumber& number : said) {
    for (const BoundEntry& entry : number.entries) {
      const BoundEntry*& at = last[entry.replica];
      if (at == nullptr || at->seq < entry.seq) at = &entry;
    }
  }
  for (const auto& [replica, entry] : last) out.entries.push_back(*entry);
  return out;
}

struct ExpectedValue {
  Dot dot;
  Hlc time;
  std::string value;
  std::int64_t at_ms = 0;
};

std::string show(const Leaf& leaf) {
  static constexpr const char* kKinds[] = {"string", "field",           "member",
                                           "expiry", "score",           "item",
                                           "entry",  "bounded counter", "expiry of field"};
  static_assert(std::size(kKinds) == kLeafKinds);
  return fmt::format("{} '{}'", kKinds[static_cast<int>(leaf.first)],
                     leaf.first == LeafKind::kItem    ? position_text(leaf.second)
                     : leaf.first == LeafKind::kEntry ? stream_field_text(leaf.second)
                                                      : leaf.second);
}

// Whether what is shown of concurrent values that are all HyperLogLogs is their union.
bool shows_union(const std::vector<ExpectedValue>& values, const ScalarView& scalar) {
  if (values.size() < 2) return true;
  HyperLogLogRegisters expected{};
  for (const ExpectedValue& one : values) {
    if (!is_hyper_log_log(one.value) || !raise_registers(one.value, expected)) return true;
  }
  std::string scratch;
  HyperLogLogRegisters shown{};
  return raise_registers(scalar.value(scratch), shown) && shown == expected;
}

// Whether the index of a sorted set or list, if it has one, is what one made of its members would
// be.
bool index_is_right(const HashView& members, LeafKind kind) {
  const ScoreIndex* index = members.table() == nullptr ? nullptr : members.table()->index_if_made();
  if (index == nullptr) return true;
  std::set<std::pair<double, std::string_view>> right;
  members.for_each([&right, kind](std::string_view member, const ScalarView& scalar) {
    if (!scalar.live()) return;
    const bool by_score = kind == LeafKind::kScore || kind == LeafKind::kFieldExpiry;
    right.emplace(by_score ? score_of(scalar) : 0, member);
  });
  if (index->size() != right.size()) return false;
  bool same = true;
  auto next = right.begin();
  index->visit(0, index->size(), false, [&](const ScoreIndex::Entry& entry) {
    same = same && *next++ == std::pair(entry.score, entry.name());
  });
  return same;
}

// Whether nothing looks for the expiries of fields later than the first of them.
bool field_expiries_are_filed(const Object& object, const PartitionState& state) {
  bool right = true;
  object.field_expiries().for_each([&](std::string_view, const ScalarView& expiry) {
    const std::int64_t at_ms = instant_of(expiry);
    right = right && *object.first_field_expiry_ms() <= at_ms &&
            state.next_field_expiry_ms().value_or(at_ms + 1) <= at_ms;
  });
  return right;
}

// Whether each record of a cache policy that deletes this key was made by somebody to whom it had
// an expiry.
bool deleted_with_expiry_only(const std::vector<const Made*>& records, std::string_view key) {
  const std::vector<Mention> mentions = mentions_of(records, key, {LeafKind::kExpiry, ""});
  return std::ranges::all_of(mentions, [&](const Mention& deletion) {
    return deletion.origin != RecordOrigin::kCachePolicy || had_expiry(mentions, *deletion.record);
  });
}

}  // namespace

Result<> Oracle::made(std::string_view bytes, RecordOrigin origin, std::int64_t now_ms,
                      std::int64_t latest_ms) {
  auto made = std::make_unique<Made>();
  made->bytes = bytes;
  made->origin = origin;
  made->now_ms = now_ms;
  made->latest_ms = latest_ms;
  auto record = decoder_.decode(made->bytes);
  if (!record) return fail("a record was made that cannot be decoded: " + record.error().message);
  made->record = std::move(*record);
  const Id id{made->record.partition, made->record.dot()};
  if (made->record.folds) foldings_[id.first].push_back(&made->record);
  if (!records_.emplace(id, std::move(made)).second) {
    return fail(
        fmt::format("dot {} of partition {} was used twice", id.second.to_string(), id.first));
  }
  return {};
}

void Oracle::increments(PartitionId partition, const Dot& dot, LeafKind kind, std::string_view key,
                        std::string_view field, double by) {
  increments_[{{partition, dot}, kind, std::string(key), std::string(field)}] = by;
}

// No purge, and no deletion by a cache policy of what had expired, has removed a key whose expiry
// somebody had changed before that came. Exempt are what was given up after it had waited, and what
// the changing node may have lost.
Result<> Oracle::check_purges(PartitionId partition, const std::vector<const Made*>& seen,
                              const std::string& key) const {
  std::vector<std::pair<const Made*, const LeafDelta*>> changes;  // of the expiry of a live key
  std::vector<const Made*> removals;
  for (const Made* made : seen) {
    for (const KeyDelta& mentioned : made->record.delta.keys) {
      if (mentioned.key != key) continue;
      if (made->origin != RecordOrigin::kCommand) {
        if (mentioned.full) removals.push_back(made);
      } else if (!mentioned.full) {
        for (const LeafDelta& leaf : mentioned.leaves) {
          if (leaf.kind == LeafKind::kExpiry) changes.emplace_back(made, &leaf);
        }
      }
    }
  }
  for (const Made* removal : removals) {
    const Record& purge = removal->record;
    if (purge.origin.node() == falsified_) continue;
    // The expiry that the purge has seen.
    std::optional<ExpectedValue> expiry;
    for (const auto& [made, leaf] : expiries_of(seen, key)) {
      const Record& record = made->record;
      if (!purge.context.covers(record.dot()) || record.dot() == purge.dot()) continue;
      const bool replaced = std::ranges::any_of(
          mentions_of(seen, key, {LeafKind::kExpiry, ""}), [&](const Mention& other) {
            return other.record != &purge && purge.context.covers(other.record->dot()) &&
                   removes(other, LeafKind::kExpiry, record.dot());
          });
      if (replaced) continue;
      const ExpectedValue value{record.dot(), leaf->siblings[0].time, "", leaf->siblings[0].at_ms};
      if (!expiry || std::pair(expiry->time, expiry->dot) < std::pair(value.time, value.dot)) {
        expiry = value;
      }
    }
    if (!expiry) continue;
    const bool gave_up = removal->origin == RecordOrigin::kGiveUp;
    if (gave_up && removal->latest_ms - expiry->at_ms >= expiry_wait_ms_) continue;
    if (removal->origin == RecordOrigin::kCachePolicy && removal->now_ms < expiry->at_ms) {
      continue;  // it had not expired
    }
    for (const auto& [made, leaf] : changes) {
      const Record& change = made->record;
      const bool concurrent =
          !purge.context.covers(change.dot()) && !change.context.covers(purge.dot());
      if (!concurrent || made->latest_ms >= expiry->at_ms) continue;
      if (forgiven_.contains(change.dot().replica)) continue;
      return fail(fmt::format(
          "partition {}, key '{}': {} purged it (origin {}, at {} ms), which {} had "
          "prolonged in time (at {} ms, expiry at {} ms)",
          partition, user_key(key), purge.dot().to_string(), static_cast<int>(removal->origin),
          removal->now_ms, change.dot().to_string(), made->latest_ms, expiry->at_ms));
    }
  }
  return {};
}

// The same of fields: no purge has removed one whose expiry somebody had changed before that came.
Result<> Oracle::check_field_purges(PartitionId partition, const std::vector<const Made*>& seen,
                                    const std::string& key) const {
  struct Purge {
    const Made* made;
    std::string_view field;
  };
  std::vector<Purge> purges;
  for (const Made* made : seen) {
    if (made->origin != RecordOrigin::kPurge && made->origin != RecordOrigin::kGiveUp) continue;
    if (made->record.origin.node() == falsified_) continue;
    for (const KeyDelta& mentioned : made->record.delta.keys) {
      if (mentioned.key != key || mentioned.full) continue;
      for (const LeafDelta& leaf : mentioned.leaves) {
        if (leaf.kind == LeafKind::kField) purges.push_back({made, leaf.field});
      }
    }
  }
  for (const Purge& removal : purges) {
    const Record& purge = removal.made->record;
    const std::vector<Mention> mentions =
        mentions_of(seen, key, {LeafKind::kFieldExpiry, std::string(removal.field)});
    // The expiry that the purge has seen.
    const SiblingView* expiry = nullptr;
    for (const Mention& write : mentions) {
      const Record& record = *write.record;
      if (write.leaf == nullptr || write.leaf->siblings.empty()) continue;
      if (!purge.context.covers(record.dot()) || record.dot() == purge.dot()) continue;
      const bool replaced = std::ranges::any_of(mentions, [&](const Mention& other) {
        return other.record != &purge && purge.context.covers(other.record->dot()) &&
               removes(other, LeafKind::kFieldExpiry, record.dot());
      });
      if (replaced) continue;
      const SiblingView& found = write.leaf->siblings[0];
      if (expiry == nullptr ||
          std::pair(expiry->time, expiry->dot) < std::pair(found.time, found.dot)) {
        expiry = &found;
      }
    }
    if (expiry == nullptr) {
      return fail(fmt::format("partition {}, key '{}': {} purged field '{}', which had no expiry",
                              partition, user_key(key), purge.dot().to_string(), removal.field));
    }
    const std::int64_t at_ms = instant_in(expiry->value);
    const bool gave_up = removal.made->origin == RecordOrigin::kGiveUp;
    if (gave_up && removal.made->latest_ms - at_ms >= expiry_wait_ms_) continue;
    for (const Mention& write : mentions) {
      const Record& change = *write.record;
      if (write.origin != RecordOrigin::kCommand || write.leaf == nullptr) continue;
      const bool concurrent =
          !purge.context.covers(change.dot()) && !change.context.covers(purge.dot());
      const auto made = records_.find({partition, change.dot()});
      if (!concurrent || made == records_.end() || made->second->latest_ms >= at_ms) continue;
      if (forgiven_.contains(change.dot().replica)) continue;
      return fail(fmt::format(
          "partition {}, key '{}': {} purged field '{}' (origin {}, at {} ms), which {} had "
          "prolonged in time (at {} ms, expiry at {} ms)",
          partition, user_key(key), purge.dot().to_string(), removal.field,
          static_cast<int>(removal.made->origin), removal.made->now_ms, change.dot().to_string(),
          made->second->latest_ms, at_ms));
    }
  }
  return {};
}

std::optional<Dot> Oracle::lost(PartitionId partition, NodeNumber node,
                                const VersionVector& vector) const {
  for (auto at = acknowledged_.lower_bound({partition, Dot{}});
       at != acknowledged_.end() && at->first == partition; ++at) {
    const Dot& dot = at->second;
    if (dot.replica.node() != node || vector.covers(dot) || forgiven_.contains(dot.replica))
      continue;
    return dot;
  }
  return std::nullopt;
}

bool Oracle::seen_by(const PartitionState& state, PartitionId partition, const Dot& dot) const {
  if (!state.vector().covers(dot)) return false;
  const auto foldings = foldings_.find(partition);
  if (foldings == foldings_.end()) return true;
  return std::ranges::none_of(foldings->second, [&](const Record* folding) {
    return dot.replica.precedes(folding->origin) && dot.seq > folding->context[dot.replica] &&
           state.vector().covers(folding->dot());
  });
}

std::vector<const Made*> Oracle::ever_made(PartitionId partition, std::string_view key) const {
  std::vector<const Made*> out;
  for (const auto& [id, made] : records_) {
    const Delta& delta = made->record.delta;
    if (id.first != partition) continue;
    const bool mentions = std::ranges::any_of(
        delta.keys, [key](const KeyDelta& mentioned) { return mentioned.key == key; });
    if (delta.full || mentions) out.push_back(made.get());
  }
  return out;
}

Result<> Oracle::check(PartitionId partition, const PartitionState& state) const {
  for (const auto& [owner, dot] : acknowledged_) {
    if (owner != partition || forgiven_.contains(dot.replica) || seen_by(state, partition, dot))
      continue;
    return fail(
        fmt::format("acknowledged record {} of partition {} was lost", dot.to_string(), partition));
  }

  // The records that the state has seen, and what they say of each leaf of each key.
  std::vector<const Made*> seen;
  for (const auto& [id, made] : records_) {
    if (id.first == partition && seen_by(state, partition, id.second)) seen.push_back(made.get());
  }
  std::map<std::string, std::set<Leaf>> leaves;
  std::map<std::string_view, std::vector<const Made*>> mentioning;  // in the order of `seen`
  for (const Made* made : seen) {
    for (const KeyDelta& key : made->record.delta.keys) {
      mentioning[key.key];
      for (const LeafDelta& leaf : key.leaves)
        leaves[std::string(key.key)].insert({leaf.kind, std::string(leaf.field)});
    }
  }
  for (const Made* made : seen) {
    if (made->record.delta.full) {
      for (auto& [key, records] : mentioning) records.push_back(made);
      continue;
    }
    for (const KeyDelta& key : made->record.delta.keys) {
      auto& records = mentioning[key.key];
      if (records.empty() || records.back() != made) records.push_back(made);
    }
  }

  std::size_t live_keys = 0;
  DatabaseCounts databases;
  for (const auto& [key, all] : leaves) {
    const std::vector<const Made*>& records = mentioning[key];
    std::string shown = database_of(key) == 0
                            ? key
                            : fmt::format("{}' of database '{}", user_key(key), database_of(key));
    std::ranges::replace(shown, '\0', '~');  // of names that are not for clients
    std::map<Leaf, std::vector<ExpectedValue>> values;
    std::map<Leaf, double> sums;
    std::map<Leaf, std::size_t> live_increments;
    std::vector<MadeItem> items;
    StreamFacts stream;
    // Whoever deleted it may have known of records that were lost since.
    if (only_expiring(policy_) && !deleted_with_expiry_only(records, key) &&
        !deleted_with_expiry_only(ever_made(partition, key), key)) {
      return fail(fmt::format("partition {}, key '{}': {} deleted it, which had no expiry",
                              partition, shown, to_string(policy_)));
    }
    if (const auto right = check_purges(partition, records, key); !right) return right;
    if (const auto right = check_field_purges(partition, records, key); !right) return right;
    for (const Leaf& leaf : all) {
      const std::vector<Mention> mentions = mentions_of(records, key, leaf);
      if (leaf.first == LeafKind::kItem) {
        const std::string twice = position_taken_twice(mentions, leaf.second, items);
        if (!twice.empty()) {
          return fail(
              fmt::format("partition {}, key '{}': two elements at {}", partition, shown, twice));
        }
      }
      // A value is there unless a record that had seen it says otherwise.
      for (const Mention& write : mentions) {
        if (write.leaf == nullptr) continue;
        const Dot dot = write.record->dot();
        for (const SiblingView& sibling : write.leaf->siblings) {
          if (sibling.dot != dot) continue;
          const bool removed = std::ranges::any_of(
              mentions, [&](const Mention& other) { return removes(other, leaf.first, dot); });
          if (!removed)
            values[leaf].push_back({dot, sibling.time, std::string(sibling.value), sibling.at_ms});
        }
        // An increment counts unless a record that had seen it wrote or removed the leaf.
        // Where nobody else can write a score, it is written as a value.
        const auto increment = increments_.find({{partition, dot}, leaf.first, key, leaf.second});
        if (increment == increments_.end() || !write.leaf->siblings.empty()) continue;
        const bool removed =
            std::any_of(mentions.begin(), mentions.end(), [&](const Mention& other) {
              if (other.record == write.record || !other.record->context.covers(dot)) return false;
              return other.leaf == nullptr || !other.leaf->partial;
            });
        if (!removed) {
          sums[leaf] += increment->second;
          ++live_increments[leaf];
        }
      }
      if (leaf.first == LeafKind::kEntry) {
        std::vector<const Record*> makers;
        for (const Mention& mention : mentions) {
          if (mention.leaf != nullptr &&
              contains_dot(mention.leaf->siblings, mention.record->dot())) {
            makers.push_back(mention.record);
          }
        }
        stream.add(leaf.second, makers, !values[leaf].empty());
      }
    }

    if (const std::string wrong = stream.what_is_wrong(!near_clocks_); !wrong.empty()) {
      return fail(fmt::format("partition {}, key '{}': {}", partition, shown, wrong));
    }
    if (drained_.contains(key)) {
      if (const std::string passed_over = stream.what_is_passed_over(!near_clocks_);
          !passed_over.empty()) {
        return fail(fmt::format("partition {}, key '{}': {}", partition, shown, passed_over));
      }
    }
    if (const std::string mixed = interleaved(items); !mixed.empty()) {
      return fail(fmt::format("partition {}, key '{}': {}", partition, shown, mixed));
    }
    const Object* object = state.find(key, hash64(key));
    const auto wrong = [&](std::string_view what) {
      return fail(fmt::format("partition {}, key '{}': {}", partition, shown, what));
    };
    bool live = false;
    for (const Leaf& leaf : all) {
      const auto& expected = values[leaf];
      const std::string name = show(leaf);
      switch (leaf.first) {
        case LeafKind::kString:
        case LeafKind::kField:
        case LeafKind::kScore:
        case LeafKind::kItem:
        case LeafKind::kEntry:
        case LeafKind::kFieldExpiry: {
          const ScalarView scalar = object == nullptr ? ScalarView()
                                    : leaf.first == LeafKind::kString
                                        ? object->plain_string()
                                        : object->fields(leaf.first).find(leaf.second);
          const bool expected_live = !expected.empty() || live_increments[leaf] > 0;
          live = live || (expected_live && leaf.first != LeafKind::kFieldExpiry);
          if (scalar.live() != expected_live) {
            return wrong(
                fmt::format("{} {}", name, expected_live ? "is missing" : "should not be there"));
          }
          if (!expected_live) break;
          if (scalar.sibling_count() != expected.size())
            return wrong(name + " has the wrong concurrent values");
          for (const ExpectedValue& value : expected) {
            bool held = false;
            scalar.for_each_sibling([&](const SiblingView& s) {
              held = held || (s.dot == value.dot && s.value == value.value && s.time == value.time);
            });
            if (!held) return wrong(name + " has the wrong concurrent values");
          }
          const double sum = static_cast<double>(scalar.integers().value()) +
                             static_cast<double>(scalar.reals().value());
          if (sum != sums[leaf]) {
            return wrong(fmt::format("the increments of {} add up to {} instead of {}", name, sum,
                                     sums[leaf]));
          }
          const auto winner =
              std::max_element(expected.begin(), expected.end(), [](const auto& a, const auto& b) {
                return std::pair(a.time, a.dot) < std::pair(b.time, b.dot);
              });
          if (winner != expected.end() && scalar.winner()->dot != winner->dot) {
            return wrong(name + " shows a value that was not written last");
          }
          if (!shows_union(expected, scalar))
            return wrong(name + " does not show all that was added");
          if (leaf.first == LeafKind::kScore) {
            const double base = winner == expected.end() ? 0 : score_in(winner->value);
            if (score_of(scalar) != base + sums[leaf]) {
              return wrong(fmt::format("{} has the score {} instead of {}", name, score_of(scalar),
                                       base + sums[leaf]));
            }
          }
          break;
        }
        case LeafKind::kMember: {
          const std::size_t dots = object ? object->set().find(leaf.second).size() : 0;
          live = live || !expected.empty();
          if (dots != expected.size()) {
            return wrong(
                fmt::format("{} {}", name,
                            expected.empty() ? "should not be there" : "is missing or incomplete"));
          }
          break;
        }
        case LeafKind::kBound: {
          const BoundedCounters none;
          const BoundedCounters* held = object == nullptr ? nullptr : object->all_bounded();
          if (held == nullptr) held = &none;
          live = live || !expected.empty();
          if (held->size() != expected.size()) {
            return wrong(
                fmt::format("{} of {} bounded counters are there", held->size(), expected.size()));
          }
          for (const ExpectedValue& value : expected) {
            const auto found = std::ranges::find(*held, value.dot, &BoundedCounter::dot);
            const BoundedNumber number = bounded_of(records, key, value.dot);
            if (found == held->end() || found->number != number || found->time != value.time) {
              return wrong("a bounded counter is not what was done to it");
            }
            if (number.distance() < 0) return wrong("a bounded counter is beyond its bound");
          }
          break;
        }
        case LeafKind::kExpiry:
          break;  // when it is known whether the key is live
      }
    }
    for (const LeafKind kind :
         {LeafKind::kScore, LeafKind::kItem, LeafKind::kEntry, LeafKind::kFieldExpiry}) {
      if (object != nullptr && !index_is_right(object->fields(kind), kind)) {
        return wrong("its index differs from its elements");
      }
    }
    if (object != nullptr && !field_expiries_are_filed(*object, state)) {
      return wrong("the expiries of its fields are filed too late");
    }
    if (live != (object != nullptr && object->live()))
      return wrong(live ? "is missing" : "should not be there");
    if (!live) continue;
    if (!is_reserved(key)) ++live_keys;
    const auto& expiry = values[{LeafKind::kExpiry, ""}];
    const auto winner =
        std::max_element(expiry.begin(), expiry.end(), [](const auto& a, const auto& b) {
          return std::pair(a.time, a.dot) < std::pair(b.time, b.dot);
        });
    const std::optional<std::int64_t> expected =
        winner == expiry.end() ? std::nullopt : std::optional(winner->at_ms);
    if (object->expires_at_ms() != expected) return wrong("has the wrong expiry");
    if (database_of(key) == 0) continue;
    DatabaseCounts::Count& count = databases.of[database_of(key)];
    ++count.keys;
    if (!expected) continue;
    ++count.expiring;
    count.expiries_ms += static_cast<std::uint64_t>(*expected);
  }
  if (live_keys != state.live_keys()) {
    return fail(fmt::format("partition {} holds {} keys instead of {}", partition,
                            state.live_keys(), live_keys));
  }
  if (databases != state.live_of_databases()) {
    return fail(
        fmt::format("partition {} counts {} keys of other databases than 0 instead of {}, "
                    "or their expiries wrongly",
                    partition, state.live_keys_beside_0(), databases.keys_beside_0()));
  }
  return {};
}

}  // namespace even::sim
