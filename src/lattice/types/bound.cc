#include "lattice/types/bound.h"

#include <cstring>
#include <limits>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/mutant.h"

namespace even {
namespace {

constexpr std::uint8_t kMaxBit = 1;
constexpr std::size_t kHeadBytes = 17;
constexpr std::size_t kGiftBytes = 16;
constexpr std::size_t kEntryBytes = 34;

std::int64_t nearest(absl::int128 value) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(std::clamp<absl::int128>(value, kLeast, kMost));
}

template <typename Entries>
auto place_of(Entries& entries, ReplicaId replica) {
  return std::lower_bound(entries.begin(), entries.end(), replica,
                          [](const BoundEntry& entry, ReplicaId id) { return entry.replica < id; });
}

absl::int128 given(const BoundEntry& entry) {
  absl::int128 sum = 0;
  for (const BoundEntry::Gift& gift : entry.gifts) sum += gift.amount;
  return sum;
}

// Sums over entries and gifts of what they mean for the rights of the runs for which `counts`.
template <typename Counts>
absl::int128 rights_of(const BoundedCounter& counter, Counts counts) {
  const BoundedNumber& number = counter.number;
  absl::int128 used = 0;
  absl::int128 rights = 0;
  if (counts(counter.dot.replica)) {
    rights += number.is_max ? absl::int128(number.limit) - number.base
                            : absl::int128(number.base) - number.limit;
  }
  for (const BoundEntry& entry : number.entries) {
    if (counts(entry.replica)) {
      used += absl::int128(entry.moved) - entry.sum;
      if (!EVEN_MUTANT(kRightsTakenByBoth)) rights -= given(entry);
    }
    for (const BoundEntry::Gift& gift : entry.gifts) {
      if (counts(gift.to)) rights += gift.amount;
    }
  }
  return number.is_max ? rights + used : rights - used;
}

}  // namespace

void BoundEntry::give(ReplicaId to, std::uint64_t amount) {
  auto at = std::lower_bound(gifts.begin(), gifts.end(), to,
                             [](const Gift& gift, ReplicaId id) { return gift.to < id; });
  if (at == gifts.end() || at->to != to) at = gifts.insert(at, Gift{to, 0});
  at->amount += amount;
}

const BoundEntry* BoundedNumber::find(ReplicaId replica) const {
  const auto at = place_of(entries, replica);
  return at != entries.end() && at->replica == replica ? &*at : nullptr;
}

absl::int128 BoundedNumber::value() const {
  absl::int128 sum = base;
  for (const BoundEntry& entry : entries) sum += entry.sum;
  return sum;
}

absl::int128 BoundedNumber::bound() const {
  absl::int128 sum = limit;
  for (const BoundEntry& entry : entries) sum += entry.moved;
  return sum;
}

void BoundedNumber::join(const BoundedNumber& theirs) {
  for (const BoundEntry& entry : theirs.entries) {
    const auto at = place_of(entries, entry.replica);
    if (at == entries.end() || at->replica != entry.replica) {
      entries.insert(at, entry);
    } else if (entry.seq > at->seq) {
      *at = entry;
    }
  }
}

std::string encode_bounded(const BoundedNumber& number) {
  std::string out;
  encode_bounded(number, out);
  return out;
}

void encode_bounded(const BoundedNumber& number, std::string& out) {
  std::size_t size = kHeadBytes;
  for (const BoundEntry& entry : number.entries) {
    size += kEntryBytes + entry.gifts.size() * kGiftBytes;
  }
  out.resize(size);
  char* at = out.data();
  const auto put = [&at](auto value) {
    std::memcpy(at, &value, sizeof value);
    at += sizeof value;
  };
  put(number.is_max ? kMaxBit : std::uint8_t{0});
  put(number.limit);
  put(number.base);
  for (const BoundEntry& entry : number.entries) {
    put(entry.replica.value);
    put(entry.seq);
    put(entry.sum);
    put(entry.moved);
    put(static_cast<std::uint16_t>(entry.gifts.size()));
    for (const BoundEntry::Gift& gift : entry.gifts) {
      put(gift.to.value);
      put(gift.amount);
    }
  }
}

bool decode_bounded(std::string_view bytes, BoundedNumber& out) {
  ByteReader in(bytes);
  const auto flags = in.get<std::uint8_t>();
  out.is_max = flags == kMaxBit;
  out.limit = in.get<std::int64_t>();
  out.base = in.get<std::int64_t>();
  if (!in.ok() || flags > kMaxBit) return false;
  if (out.is_max ? out.base > out.limit : out.base < out.limit) return false;
  std::uint64_t last = 0;
  while (in.ok() && !in.at_end()) {
    BoundEntry& entry = out.entries.emplace_back();
    entry.replica.value = in.get<std::uint64_t>();
    entry.seq = in.get<std::uint64_t>();
    entry.sum = in.get<std::int64_t>();
    entry.moved = in.get<std::int64_t>();
    entry.gifts.resize(in.count<std::uint16_t>(kGiftBytes));
    if (entry.replica.value <= last || entry.seq == 0) return false;
    last = entry.replica.value;
    std::uint64_t last_to = 0;
    for (BoundEntry::Gift& gift : entry.gifts) {
      gift.to.value = in.get<std::uint64_t>();
      gift.amount = in.get<std::uint64_t>();
      if (gift.to.value <= last_to) return false;
      last_to = gift.to.value;
    }
  }
  return in.ok();
}

BoundedCounter::BoundedCounter(const SiblingView& view)
    : dot(view.dot), time(view.time), bytes(view.value) {
  const bool well_formed = decode_bounded(view.value, number);
  EVEN_CHECK(well_formed, "what the codec lets through is a bounded counter");
}

void BoundedCounter::join(const BoundedNumber& theirs) {
  number.join(theirs);
  encode_bounded(number, bytes);
}

std::int64_t BoundedCounter::value() const { return nearest(number.value()); }
std::int64_t BoundedCounter::bound() const { return nearest(number.bound()); }

bool BoundedCounter::may_use(ReplicaId run, ReplicaId owner, const VersionVector& seen) {
  if (owner == run) return true;
  if (EVEN_MUTANT(kRightsOfEarlierRun)) return owner.precedes(run);
  // Folded, and under an entry of this run: all replicas have agreed on what the owner, and those
  // between it and this run, have made (docs/folding.md).
  constexpr std::uint64_t kFolded = std::numeric_limits<std::uint64_t>::max();
  return owner.precedes(run) && !seen.names_before(run) && seen[owner] == kFolded;
}

absl::int128 BoundedCounter::rights(ReplicaId run, const VersionVector& seen) const {
  return rights_of(*this, [&](ReplicaId owner) { return may_use(run, owner, seen); });
}

absl::int128 BoundedCounter::rights_alone(ReplicaId run) const {
  return rights_of(*this, [run](ReplicaId owner) { return owner == run; });
}

std::vector<ReplicaId> BoundedCounter::runs() const {
  std::vector<ReplicaId> all = {dot.replica};
  for (const BoundEntry& entry : number.entries) {
    all.push_back(entry.replica);
    for (const BoundEntry::Gift& gift : entry.gifts) all.push_back(gift.to);
  }
  std::ranges::sort(all);
  const auto rest = std::ranges::unique(all);
  all.erase(rest.begin(), rest.end());
  return all;
}

const BoundedCounter* shown(const BoundedCounters& counters) {
  const BoundedCounter* best = nullptr;
  for (const BoundedCounter& counter : counters) {
    if (best == nullptr || counter.time > best->time ||
        (counter.time == best->time && counter.dot > best->dot)) {
      best = &counter;
    }
  }
  return best;
}

void join_bounded(BoundedCounters& mine, const VersionVector& my_context, const LeafDelta& theirs,
                  const VersionVector& their_context) {
  if (!theirs.partial) {
    mine.erase(std::remove_if(mine.begin(), mine.end(),
                              [&](const BoundedCounter& counter) {
                                return their_context.covers(counter.dot) &&
                                       !contains_dot(theirs.siblings, counter.dot);
                              }),
               mine.end());
  }
  for (const SiblingView& view : theirs.siblings) {
    auto at = std::lower_bound(
        mine.begin(), mine.end(), view.dot,
        [](const BoundedCounter& counter, const Dot& dot) { return counter.dot < dot; });
    if (at != mine.end() && at->dot == view.dot) {
      BoundedNumber number;
      const bool well_formed = decode_bounded(view.value, number);
      EVEN_CHECK(well_formed, "what the codec lets through is a bounded counter");
      at->join(number);
    } else if (!my_context.covers(view.dot)) {  // else it was removed here, with all of it
      mine.insert(at, BoundedCounter(view));
    }
  }
}

}  // namespace even
