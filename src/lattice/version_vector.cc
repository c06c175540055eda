#include "lattice/version_vector.h"

#include <fmt/format.h>

#include <algorithm>

namespace even {

std::string Dot::to_string() const { return fmt::format("{}:{}", replica.to_string(), seq); }

bool VersionVector::covers(const VersionVector& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(),
                     [this](const Dot& dot) { return covers(dot); });
}

void VersionVector::add(const Dot& dot) {
  if (dot.seq == 0) return;
  auto at = std::lower_bound(entries_.begin(), entries_.end(), dot.replica,
                             [](const Dot& entry, ReplicaId id) { return entry.replica < id; });
  if (at != entries_.end() && at->replica == dot.replica) {
    at->seq = std::max(at->seq, dot.seq);
  } else {
    entries_.insert(at, dot);
  }
}

void VersionVector::merge(const VersionVector& other) {
  for (const Dot& dot : other.entries_) add(dot);
}

void VersionVector::meet(const VersionVector& other) {
  for (Dot& entry : entries_) entry.seq = std::min(entry.seq, other[entry.replica]);
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [](const Dot& entry) { return entry.seq == 0; }),
                 entries_.end());
}

VersionVector::Order VersionVector::compare(const VersionVector& other) const {
  const bool after = covers(other);
  const bool before = other.covers(*this);
  if (after && before) return Order::kEqual;
  if (after) return Order::kAfter;
  return before ? Order::kBefore : Order::kConcurrent;
}

std::uint64_t VersionVector::ahead_of(const VersionVector& other) const {
  std::uint64_t records = 0;
  for (const Dot& entry : entries_) {
    const std::uint64_t theirs = other[entry.replica];
    if (entry.seq > theirs) records += entry.seq - theirs;
  }
  return records;
}

std::string VersionVector::to_string() const {
  std::string out;
  for (const Dot& entry : entries_) {
    if (!out.empty()) out += ' ';
    out += entry.to_string();
  }
  return out;
}

}  // namespace even
