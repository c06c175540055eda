#include "lattice/version_vector.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"

namespace even {

std::string Dot::to_string() const { return fmt::format("{}:{}", replica.to_string(), seq); }

bool VersionVector::is_folded(ReplicaId replica) const {
  if (EVEN_MUTANT(kFoldedRunUnknown)) return false;
  return std::any_of(entries_.begin(), entries_.end(), [replica](const Entry& entry) {
    return entry.folds && replica.precedes(entry.replica);
  });
}

bool VersionVector::covers_entry(const Entry& entry) const {
  if (!covers(entry.dot())) return false;
  return !entry.folds || std::any_of(entries_.begin(), entries_.end(), [&](const Entry& mine) {
    return mine.folds && mine.replica.same_line(entry.replica) && mine.replica >= entry.replica;
  });
}

bool VersionVector::covers(const VersionVector& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(),
                     [this](const Entry& entry) { return covers_entry(entry); });
}

VersionVector::Entries::iterator VersionVector::lower_bound(ReplicaId replica) {
  return std::lower_bound(entries_.begin(), entries_.end(), replica,
                          [](const Entry& entry, ReplicaId id) { return entry.replica < id; });
}

void VersionVector::add(const Dot& dot) {
  if (dot.seq == 0) return;
  const auto at = lower_bound(dot.replica);
  if (at != entries_.end() && at->replica == dot.replica) {
    at->seq = std::max<std::uint64_t>(at->seq, dot.seq);
  } else if (at == entries_.end() || !at->folds || !dot.replica.precedes(at->replica)) {
    entries_.insert(at, Entry{dot.replica, dot.seq});
  }
}

void VersionVector::fold_at(Entries::iterator entry) {
  entry->folds = true;
  auto first = entry;
  while (first != entries_.begin() && std::prev(first)->replica.precedes(entry->replica)) --first;
  entries_.erase(first, entry);
}

void VersionVector::fold(ReplicaId replica) {
  add({replica, 1});
  const auto at = lower_bound(replica);
  if (at != entries_.end() && at->replica == replica) fold_at(at);  // else it is folded already
}

void VersionVector::merge(const VersionVector& other) {
  for (const Entry& entry : other.entries_) {
    add(entry);
    if (entry.folds) fold(entry.replica);
  }
}

void VersionVector::fold_as(const VersionVector& other) {
  for (const Entry& entry : other.entries_) {
    if (entry.folds && names_before(entry.replica)) fold(entry.replica);
  }
}

void VersionVector::meet(const VersionVector& other) {
  VersionVector both;
  const auto lower = [&both](const VersionVector& a, const VersionVector& b) {
    for (const Entry& entry : a.entries_) {
      both.add({entry.replica, std::min<std::uint64_t>(entry.seq, b[entry.replica])});
    }
  };
  lower(*this, other);
  lower(other, *this);
  // Of each line, the lower of the two bases. It has an entry: where it is the base, the other side
  // has folded that run or has it for its base.
  for (const Entry& entry : entries_) {
    if (entry.folds && other.covers_entry({entry.replica, 1, true})) both.fold(entry.replica);
  }
  for (const Entry& entry : other.entries_) {
    if (entry.folds && covers_entry({entry.replica, 1, true})) both.fold(entry.replica);
  }
  *this = std::move(both);
}

VersionVector::Order VersionVector::compare(const VersionVector& other) const {
  const bool after = covers(other);
  const bool before = other.covers(*this);
  if (after && before) return Order::kEqual;
  if (after) return Order::kAfter;
  return before ? Order::kBefore : Order::kConcurrent;
}

bool VersionVector::agrees_before(ReplicaId replica, const VersionVector& other) const {
  const auto is_before = [replica](const Entry& entry) { return entry.replica.precedes(replica); };
  const auto holds_all_of = [&is_before](const Entries& some, const Entries& all) {
    return std::all_of(some.begin(), some.end(), [&](const Entry& entry) {
      return !is_before(entry) || std::find(all.begin(), all.end(), entry) != all.end();
    });
  };
  return holds_all_of(entries_, other.entries_) && holds_all_of(other.entries_, entries_);
}

bool VersionVector::names_before(ReplicaId replica) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [replica](const Entry& entry) { return entry.replica.precedes(replica); });
}

bool VersionVector::add_bits(ReplicaId replica, std::uint64_t bits) {
  const Dot dot{replica, bits & kMaxSeq};
  if (replica.value == 0 || dot.seq == 0) return false;
  add(dot);
  if ((bits & kFoldsBit) != 0) fold(replica);
  return true;
}

std::uint64_t VersionVector::ahead_of(const VersionVector& other) const {
  std::uint64_t records = 0;
  for (const Entry& entry : entries_) {
    const std::uint64_t theirs = other[entry.replica];
    if (entry.seq > theirs) records += entry.seq - theirs;
  }
  return records;
}

std::string VersionVector::to_string() const {
  std::string out;
  for (const Entry& entry : entries_) {
    if (!out.empty()) out += ' ';
    out += entry.dot().to_string();
    if (entry.folds) out += '+';
  }
  return out;
}

}  // namespace even
