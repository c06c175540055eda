#include "replica/session_reach.h"

#include <algorithm>

#include "base/byte_reader.h"
#include "base/bytes.h"
#include "base/mutant.h"

namespace even {
namespace {

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

// Reads what put_varint() has written. After the first failure everything read is 0.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : in_(bytes) {}

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = in_.get<std::uint8_t>();
      value |= std::uint64_t{byte & 0x7fu} << shift;
      const bool fits = shift < 63 || byte <= 1;
      if (fits && byte < 0x80) return in_.ok() ? value : 0;
    }
    ok_ = false;
    return 0;
  }
  // Of parts of so many bytes at least, which all must be there.
  std::size_t count(std::size_t least_bytes) {
    const std::uint64_t parts = varint();
    if (parts <= in_.left() / least_bytes) return static_cast<std::size_t>(parts);
    ok_ = false;
    return 0;
  }
  // The next of ascending ids; `next`: the least that it can be.
  PartitionId id(std::uint64_t next) {
    const std::uint64_t skipped = varint();
    if (skipped <= UINT16_MAX && next + skipped <= UINT16_MAX) {
      return static_cast<PartitionId>(next + skipped);
    }
    ok_ = false;
    return 0;
  }
  ByteReader& bytes() { return in_; }
  bool ok() const { return ok_ && in_.ok(); }

 private:
  ByteReader in_;
  bool ok_ = true;
};

bool bit(std::string_view mask, std::size_t i) {
  return (static_cast<unsigned char>(mask[i / 8]) >> i % 8 & 1) != 0;
}

void set_bit(std::string& mask, std::size_t i) {
  mask[i / 8] = static_cast<char>(static_cast<unsigned char>(mask[i / 8]) | 1u << i % 8);
}

std::vector<ReplicaId> replicas_in(const PartitionReach& reach) {
  std::vector<ReplicaId> replicas;
  for (const auto& [partition, vector] : reach) {
    for (const VersionVector::Entry& entry : vector.entries()) replicas.push_back(entry.replica);
  }
  std::ranges::sort(replicas);
  const auto rest = std::ranges::unique(replicas);
  replicas.erase(rest.begin(), rest.end());
  return replicas;
}

void put_vector(std::string& out, const VersionVector& vector,
                const std::vector<ReplicaId>& replicas) {
  std::string present((replicas.size() + 7) / 8, '\0'), folds = present, numbers;
  for (const VersionVector::Entry& entry : vector.entries()) {
    const auto i = static_cast<std::size_t>(std::ranges::lower_bound(replicas, entry.replica) -
                                            replicas.begin());
    set_bit(present, i);
    if (entry.folds) set_bit(folds, i);
    put_varint(numbers, entry.seq);
  }
  out += present;
  out += folds;
  out += numbers;
}

// False if it is none: each of its entries must be one of the vector's.
bool read_vector(Reader& in, const std::vector<ReplicaId>& replicas, VersionVector& vector) {
  const std::string_view present = in.bytes().bytes((replicas.size() + 7) / 8);
  const std::string_view folds = in.bytes().bytes((replicas.size() + 7) / 8);
  std::size_t entries = 0;
  for (std::size_t i = 0; i < replicas.size() && in.ok(); ++i) {
    if (!bit(present, i)) {
      if (bit(folds, i)) return false;
      continue;
    }
    ++entries;
    const std::uint64_t seq = in.varint();
    if (seq > VersionVector::kMaxSeq) return false;
    const std::uint64_t bits = seq | (bit(folds, i) ? VersionVector::kFoldsBit : 0);
    if (in.ok() && !vector.add_bits(replicas[i], bits)) return false;
  }
  return in.ok() && entries > 0 && vector.entries().size() == entries;
}

}  // namespace

PartitionReach SessionReach::of(std::span<const PartitionId> partitions) const {
  PartitionReach reach;
  for (const PartitionId partition : partitions) {
    const auto found = seen_.find(partition);
    if (found != seen_.end()) reach.emplace_back(*found);
  }
  return reach;
}

void SessionReach::note(const PartitionReach& seen, bool wrote) {
  if (wrote ? EVEN_MUTANT(kSessionForgetsWrites) : EVEN_MUTANT(kSessionForgetsReads)) return;
  merge(seen);
}

void SessionReach::merge(const PartitionReach& seen) {
  for (const auto& [partition, vector] : seen) {
    if (!vector.empty()) seen_[partition].merge(vector);
  }
}

PartitionReach within(const PartitionReach& reach, std::span<const PartitionId> partitions) {
  PartitionReach part;
  std::ranges::copy_if(reach, std::back_inserter(part), [&](const auto& each) {
    return std::ranges::binary_search(partitions, each.first);
  });
  return part;
}

std::string encode_session(const SessionContent& content) {
  const std::vector<ReplicaId> replicas = replicas_in(content.seen);
  std::string out;
  put_varint(out, replicas.size());
  for (const ReplicaId replica : replicas) put_little_endian(out, replica.value);
  put_varint(out, content.seen.size());
  std::uint64_t next = 0;
  for (const auto& [partition, vector] : content.seen) {
    put_varint(out, partition - next);
    next = std::uint64_t{partition} + 1;
    put_vector(out, vector, replicas);
  }
  put_varint(out, content.groups.size());
  next = 0;
  for (const auto& [group, index] : content.groups) {
    put_varint(out, group - next);
    next = std::uint64_t{group} + 1;
    put_varint(out, index);
  }
  return out;
}

Result<SessionContent> decode_session(std::string_view bytes) {
  const auto malformed = [] { return fail("malformed session"); };
  Reader in(bytes);
  std::vector<ReplicaId> replicas(in.count(sizeof(ReplicaId)));
  for (ReplicaId& replica : replicas) replica = {in.bytes().get<std::uint64_t>()};
  if (!in.ok() || !std::ranges::is_sorted(replicas) ||
      std::ranges::adjacent_find(replicas) != replicas.end()) {
    return malformed();
  }
  SessionContent content;
  const std::size_t partitions = in.count(2);
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < partitions; ++i) {
    auto& [partition, vector] = content.seen.emplace_back(in.id(next), VersionVector());
    next = std::uint64_t{partition} + 1;
    if (!read_vector(in, replicas, vector)) return malformed();
  }
  const std::size_t groups = in.count(2);
  next = 0;
  for (std::size_t i = 0; i < groups && in.ok(); ++i) {
    const PartitionId group = in.id(next);
    next = std::uint64_t{group} + 1;
    content.groups.emplace_back(group, in.varint());
  }
  if (!in.ok() || !in.bytes().at_end()) return malformed();
  return content;
}

}  // namespace even
