#include "replica/key_events.h"

#include <algorithm>
#include <utility>

#include "base/reserved.h"
#include "lattice/types/stream_field.h"

namespace even {
namespace {

struct Letter {
  char letter;
  KeyEventFlag flag;
};
// In the order in which Redis writes them.
constexpr Letter kKinds[] = {{'g', kGenericEvents}, {'$', kStringEvents},  {'l', kListEvents},
                             {'s', kSetEvents},     {'h', kHashEvents},    {'z', kSortedSetEvents},
                             {'x', kExpiredEvents}, {'e', kEvictedEvents}, {'t', kStreamEvents},
                             {'d', kModuleEvents},  {'n', kNewKeyEvents}};
constexpr Letter kRest[] = {{'K', kEventsByKey}, {'E', kEventsByName}, {'m', kMissEvents}};
constexpr std::uint32_t kAll = kGenericEvents | kStringEvents | kListEvents | kSetEvents |
                               kHashEvents | kSortedSetEvents | kExpiredEvents | kEvictedEvents |
                               kStreamEvents | kModuleEvents;

// What a delta does to a key, of which a command does one thing, and maybe something to the expiry.
struct Deed {
  std::string_view name;
  KeyEventFlag kind;
};
constexpr Deed kDeeds[] = {
    {"set", kStringEvents},         {"incrby", kStringEvents},
    {"incrbyfloat", kStringEvents}, {"sadd", kSetEvents},
    {"srem", kSetEvents},           {"hset", kHashEvents},
    {"hincrby", kHashEvents},       {"hincrbyfloat", kHashEvents},
    {"hdel", kHashEvents},          {"expire", kGenericEvents},
    {"persist", kGenericEvents},    {"zadd", kSortedSetEvents},
    {"zincr", kSortedSetEvents},    {"zrem", kSortedSetEvents},
    {"linsert", kListEvents},       {"lset", kListEvents},
    {"lrem", kListEvents},          {"xadd", kStreamEvents},
    {"xdel", kStreamEvents},        {"xgroup-createconsumer", kStreamEvents},
    {"hexpire", kHashEvents},       {"hpersist", kHashEvents},
    {"hexpired", kHashEvents},
};
enum DeedBit : std::uint32_t {
  kNone = 0,
  kSet = 1u << 0,
  kIncrement = 1u << 1,
  kIncrementReal = 1u << 2,
  kAdd = 1u << 3,
  kRemove = 1u << 4,
  kSetField = 1u << 5,
  kIncrementField = 1u << 6,
  kIncrementFieldReal = 1u << 7,
  kRemoveField = 1u << 8,
  kExpire = 1u << 9,
  kPersist = 1u << 10,
  kSetScore = 1u << 11,
  kIncrementScore = 1u << 12,
  kRemoveScore = 1u << 13,
  kInsertItem = 1u << 14,
  kSetItem = 1u << 15,
  kRemoveItem = 1u << 16,
  kAddEntry = 1u << 17,
  kRemoveEntry = 1u << 18,
  kAddConsumer = 1u << 19,
  kExpireField = 1u << 20,
  kPersistField = 1u << 21,
  kLapseField = 1u << 22,  // it had expired
  kOfStream = 1u << 23,    // something that has no event, unless the command has one
};

// Commands whose event is not named after what they do to the state: a number is made of another
// one by a difference, a string of a part of it, and of a collection nothing may be left.
struct Named {
  std::string_view command;
  Deed deed;
  bool stores = false;  // what it replaces with nothing is only deleted
  std::string_view gone = "del";
};
constexpr Named kNamed[] = {
    {"append", {"append", kStringEvents}},
    {"setrange", {"setrange", kStringEvents}},
    {"setbit", {"setbit", kStringEvents}},
    {"bitfield", {"setbit", kStringEvents}},
    {"bitop", {"set", kStringEvents}, true},
    {"pfadd", {"pfadd", kStringEvents}},
    {"pfmerge", {"pfadd", kStringEvents}},
    {"rename", {"rename_to", kGenericEvents}, true, "rename_from"},
    {"renamenx", {"rename_to", kGenericEvents}, true, "rename_from"},
    {"copy", {"copy_to", kGenericEvents}, true},
    {"move", {"move_to", kGenericEvents}, true, "move_from"},
    {"restore", {"restore", kGenericEvents}, true},
    {"incr", {"incrby", kStringEvents}},
    {"decr", {"incrby", kStringEvents}},
    {"incrby", {"incrby", kStringEvents}},
    {"decrby", {"incrby", kStringEvents}},
    {"incrbyfloat", {"incrbyfloat", kStringEvents}},
    {"hincrby", {"hincrby", kHashEvents}},
    {"hincrbyfloat", {"hincrbyfloat", kHashEvents}},
    {"spop", {"spop", kSetEvents}},
    {"sinterstore", {"sinterstore", kSetEvents}, true},
    {"sunionstore", {"sunionstore", kSetEvents}, true},
    {"sdiffstore", {"sdiffstore", kSetEvents}, true},
    {"srem", {"srem", kSetEvents}},
    {"hdel", {"hdel", kHashEvents}},
    {"hgetdel", {"hdel", kHashEvents}},
    {"zincrby", {"zincr", kSortedSetEvents}},
    {"zrem", {"zrem", kSortedSetEvents}},
    {"zpopmin", {"zpopmin", kSortedSetEvents}},
    {"zpopmax", {"zpopmax", kSortedSetEvents}},
    {"zremrangebyrank", {"zremrangebyrank", kSortedSetEvents}},
    {"zremrangebyscore", {"zremrangebyscore", kSortedSetEvents}},
    {"zremrangebylex", {"zremrangebylex", kSortedSetEvents}},
    {"zrangestore", {"zrangestore", kSortedSetEvents}, true},
    {"zunionstore", {"zunionstore", kSortedSetEvents}, true},
    {"zinterstore", {"zinterstore", kSortedSetEvents}, true},
    {"zdiffstore", {"zdiffstore", kSortedSetEvents}, true},
    {"geosearchstore", {"geosearchstore", kSortedSetEvents}, true},
    {"georadius", {"georadiusstore", kSortedSetEvents}, true},
    {"georadiusbymember", {"georadiusstore", kSortedSetEvents}, true},
    {"sort", {"sortstore", kListEvents}, true},
    {"lpush", {"lpush", kListEvents}},
    {"lpushx", {"lpush", kListEvents}},
    {"rpush", {"rpush", kListEvents}},
    {"rpushx", {"rpush", kListEvents}},
    {"lpop", {"lpop", kListEvents}},
    {"blpop", {"lpop", kListEvents}},
    {"brpop", {"rpop", kListEvents}},
    {"bzpopmin", {"zpopmin", kSortedSetEvents}},
    {"bzpopmax", {"zpopmax", kSortedSetEvents}},
    {"rpop", {"rpop", kListEvents}},
    {"linsert", {"linsert", kListEvents}},
    {"lset", {"lset", kListEvents}},
    {"lrem", {"lrem", kListEvents}},
    {"ltrim", {"ltrim", kListEvents}},
    {"xadd", {"xadd", kStreamEvents}},
    {"xdel", {"xdel", kStreamEvents}},
    {"xtrim", {"xtrim", kStreamEvents}},
    {"xsetid", {"xsetid", kStreamEvents}},
    {"xgroup|create", {"xgroup-create", kStreamEvents}},
    {"xgroup|createconsumer", {"xgroup-createconsumer", kStreamEvents}},
    {"xgroup|delconsumer", {"xgroup-delconsumer", kStreamEvents}},
    {"xgroup|destroy", {"xgroup-destroy", kStreamEvents}},
    {"xgroup|setid", {"xgroup-setid", kStreamEvents}},
};

// Rights that change hands change no number.
DeedBit done_to_bounded(const LeafDelta& leaf, const Object* before, const Dot& dot) {
  for (const SiblingView& sibling : leaf.siblings) {
    if (sibling.dot == dot) return kSet;
    const BoundedCounters* all = before == nullptr ? nullptr : before->all_bounded();
    if (all == nullptr) continue;
    const auto was = std::ranges::find(*all, sibling.dot, &BoundedCounter::dot);
    if (was == all->end()) continue;
    BoundedNumber number = was->number;
    number.join(BoundedCounter(sibling).number);
    if (number.value() != was->number.value()) return kIncrement;
  }
  return kNone;
}

DeedBit done_by(const LeafDelta& leaf, const Object* before, const Dot& dot, std::int64_t now_ms) {
  const bool removes = leaf.siblings.empty() && leaf.integers.empty() && leaf.reals.empty();
  switch (leaf.kind) {
    case LeafKind::kString:
      if (!leaf.siblings.empty()) return kSet;
      if (!leaf.reals.empty()) return kIncrementReal;
      return leaf.integers.empty() ? kNone : kIncrement;
    case LeafKind::kField:
    case LeafKind::kScore: {
      const bool scores = leaf.kind == LeafKind::kScore;
      if (!leaf.siblings.empty()) return scores ? kSetScore : kSetField;
      const auto live = [](const auto& entry) { return entry.live(); };
      if (std::ranges::any_of(leaf.reals, live)) {
        return scores ? kIncrementScore : kIncrementFieldReal;
      }
      if (std::ranges::any_of(leaf.integers, live)) {
        return scores ? kIncrementScore : kIncrementField;
      }
      const bool was =
          before != nullptr && before->fields(leaf.kind).find(leaf.field, leaf.field_hash()).live();
      if (!was) return kNone;
      if (scores) return kRemoveScore;
      const ScalarView expiry = before->field_expiries().find(leaf.field, leaf.field_hash());
      return expiry.live() && instant_of(expiry) <= now_ms ? kLapseField : kRemoveField;
    }
    case LeafKind::kItem: {
      const bool was =
          before != nullptr && before->list().find(leaf.field, leaf.field_hash()).live();
      if (removes) return was ? kRemoveItem : kNone;
      return was ? kSetItem : kInsertItem;
    }
    case LeafKind::kEntry: {
      const bool was =
          before != nullptr && before->stream().find(leaf.field, leaf.field_hash()).live();
      if (!leaf.field.starts_with(kStreamEntry)) {
        const auto field = parse_stream_field(leaf.field);
        const bool consumer = field && field->kind == kStreamGroup && field->part == kGroupConsumer;
        return consumer && !was && !removes ? kAddConsumer : kOfStream;
      }
      if (removes) return was ? kRemoveEntry : kNone;
      return was ? kNone : kAddEntry;
    }
    case LeafKind::kMember: {
      const bool was = before != nullptr && before->set().contains(leaf.field, leaf.field_hash());
      if (removes) return was ? kRemove : kNone;
      return was ? kNone : kAdd;
    }
    case LeafKind::kExpiry:
      // An expiry that is kept when the value is replaced has its old dot.
      if (std::ranges::any_of(leaf.siblings, [&](const auto& it) { return it.dot == dot; })) {
        return kExpire;
      }
      return leaf.siblings.empty() && before != nullptr && before->expiry() != nullptr ? kPersist
                                                                                       : kNone;
    case LeafKind::kFieldExpiry: {
      if (std::ranges::any_of(leaf.siblings, [&](const auto& it) { return it.dot == dot; })) {
        return kExpireField;
      }
      const bool was = before != nullptr &&
                       !before->field_expiries().find(leaf.field, leaf.field_hash()).empty();
      return removes && was ? kPersistField : kNone;
    }
    case LeafKind::kBound:
      return done_to_bounded(leaf, before, dot);
  }
  return kNone;
}

}  // namespace

std::optional<std::uint32_t> parse_key_events(std::string_view letters) {
  std::uint32_t flags = 0;
  for (const char letter : letters) {
    std::uint32_t found = letter == 'A' ? kAll : 0;
    for (const auto& table : {std::span<const Letter>(kKinds), std::span<const Letter>(kRest)}) {
      for (const auto& [known, flag] : table) {
        if (known == letter) found |= flag;
      }
    }
    if (found == 0) return std::nullopt;
    flags |= found;
  }
  return flags;
}

std::string key_events_text(std::uint32_t flags) {
  std::string text;
  if ((flags & kAll) == kAll) {
    text = "A";
  } else {
    for (const auto& [letter, flag] : kKinds) {
      if ((flags & flag) != 0) text += letter;
    }
  }
  for (const auto& [letter, flag] : kRest) {
    if ((flags & flag) != 0) text += letter;
  }
  return text;
}

KeyEvents::KeyEvents(const PartitionState& state, const Record& record, std::int64_t now_ms)
    : state_(state), now_ms_(now_ms) {
  flushes_ = record.delta.full;
  if (flushes_) return;  // Redis tells nothing of FLUSHALL either
  for (const KeyDelta& delta : record.delta.keys) {
    if (is_reserved(delta.key)) continue;
    Change& change = changes_.emplace_back();
    change.key = delta.key;
    change.hash = delta.key_hash();
    const Object* object = state.find(delta.key, change.hash);
    const bool live = object != nullptr && object->live();
    change.expired = live && object->expired(now_ms);
    change.was = live && !change.expired;
    change.full = delta.full;
    // One that has expired begins anew, all of it, unless what has expired is removed from it.
    const bool before = change.was || (change.expired && !change.full);
    for (const LeafDelta& leaf : delta.leaves) {
      change.done |= done_by(leaf, before ? object : nullptr, record.dot(), now_ms);
    }
    // A field that is written or removed has no expiry then; that is no event of its own.
    if ((change.done & (kSetField | kRemoveField | kLapseField)) != 0)
      change.done &= ~kPersistField;
  }
}

bool KeyEvents::visible(const Change& change) const {
  const Object* object = state_.find(change.key, change.hash);
  return object != nullptr && object->live() && !object->expired(now_ms_);
}

void KeyEvents::report(std::string_view command, Cause cause, const KeyEventSink& sink) const {
  if (command == "flushdb") return;  // as of FLUSHALL
  const Named* const named = std::ranges::find(kNamed, command, &Named::command);
  for (const Change& change : changes_) {
    const auto tell = [&](KeyEventFlag kind, std::string_view name) {
      sink({kind, name, change.key});
    };
    // Of fields that had expired a record removes nothing else of the key.
    const bool lapses = (change.done & kLapseField) != 0;
    if (cause != Cause::kChange && !lapses) {
      if (!change.was && !change.expired) continue;  // what was left of one that had gone
      cause == Cause::kExpiry ? tell(kExpiredEvents, "expired") : tell(kEvictedEvents, "evicted");
      continue;
    }
    const bool is = visible(change);
    // Found out only now, as when Redis comes upon one.
    if (change.expired && !lapses && (change.full || !is)) tell(kExpiredEvents, "expired");
    if (is && !change.was) tell(kNewKeyEvents, "new");
    const bool gone = (change.was || lapses) && !is;
    constexpr std::uint32_t kOfExpiry = kExpire | kPersist;
    if (named != std::end(kNamed)) {
      // What is stored anew is news, though it be what was there.
      const bool anew = named->stores && change.full;
      const bool done = (change.done & ~kOfExpiry) != 0 || gone || anew;
      if (done && (is || !named->stores)) tell(named->deed.kind, named->deed.name);
    } else if (!gone || change.done != 0) {
      for (std::size_t i = 0; i < std::size(kDeeds); ++i) {
        // Of a key that is gone, what takes away.
        const std::uint32_t bit = 1u << i;
        constexpr std::uint32_t kTakes =
            kRemove | kRemoveField | kLapseField | kRemoveScore | kRemoveItem | kRemoveEntry;
        if (gone && (bit & kTakes) == 0) continue;
        if ((change.done & bit) != 0) tell(kDeeds[i].kind, kDeeds[i].name);
      }
    }
    if (gone) tell(kGenericEvents, named != std::end(kNamed) ? named->gone : "del");
  }
}

}  // namespace even
