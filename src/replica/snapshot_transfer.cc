#include "replica/snapshot_transfer.h"

#include <utility>

#include "base/hash.h"
#include "base/mutant.h"

namespace even {
namespace {

// An answer that has not come after so long has been lost, or the offer has.
constexpr std::int64_t kAskForPiecesUs = 1'000'000;

}  // namespace

OutgoingSnapshot::OutgoingSnapshot(PartitionId partition, std::string bytes, VersionVector vector,
                                   std::uint64_t number, std::int64_t now_us)
    : bytes_(std::move(bytes)),
      name_{partition, bytes_.size(), hash64(bytes_)},
      vector_(std::move(vector)),
      heard_from_(number),
      moved_us_(now_us) {}

void OutgoingSnapshot::begin_session() {
  asking_ = true;
  offer_at_us_ = 0;
  last_number_ = 0;
  heard_from_ = 0;
}

std::string OutgoingSnapshot::offer(std::uint64_t number, std::int64_t now_us) {
  asking_ = true;
  offer_at_us_ = now_us + kAskForPiecesUs;
  last_number_ = number;
  return encode_offer({number, name_, vector_});
}

std::string OutgoingSnapshot::next_piece(std::uint64_t number, std::size_t max_bytes,
                                         std::int64_t now_us) {
  const std::string_view piece = std::string_view(bytes_).substr(offset_, max_bytes);
  std::string message = encode_piece({number, name_, offset_, piece});
  offset_ += piece.size();
  offer_at_us_ = now_us + kAskForPiecesUs;
  last_number_ = number;
  moved_us_ = now_us;
  return message;
}

OutgoingSnapshot::Heard OutgoingSnapshot::hear(const SnapshotProgress& progress,
                                               std::uint64_t next_number, std::int64_t now_us) {
  if (progress.name != name_) return Heard::kNothing;
  if (progress.have == name_.total) return Heard::kAllThere;
  if (progress.number < heard_from_) return Heard::kNothing;
  if (asking_ && progress.have == 0 && offset_ > 0) return Heard::kLost;
  offset_ = progress.have;
  asking_ = false;
  heard_from_ = next_number;
  moved_us_ = now_us;
  return Heard::kGoOn;
}

std::optional<SnapshotProgress> IncomingSnapshot::take(const SnapshotOffer& offer, bool needed,
                                                       std::int64_t now_us) {
  // The peer has made up its mind since, perhaps for another one.
  if (!newest(offer.number)) return std::nullopt;
  if (!needed) {
    part_.reset();
    return SnapshotProgress{offer.number, offer.name, offer.name.total};
  }
  if (EVEN_MUTANT(kSnapshotsMixed) && part_) part_->name = offer.name;
  if (!part_ || part_->name != offer.name) part_ = Part{offer.name, offer.vector, {}, now_us};
  return SnapshotProgress{offer.number, offer.name, part_->bytes.size()};
}

std::optional<SnapshotProgress> IncomingSnapshot::take(const SnapshotPiece& piece,
                                                       std::int64_t now_us) {
  const bool is_newest = newest(piece.number);
  if (!part_ || part_->name != piece.name) return std::nullopt;
  if (EVEN_MUTANT(kSnapshotWithGaps) && piece.offset > part_->bytes.size()) {
    part_->bytes.resize(piece.offset);
  }
  const std::uint64_t have = part_->bytes.size();
  if (piece.offset > have) {
    if (!is_newest) return std::nullopt;  // answered to a later one
    return SnapshotProgress{piece.number, piece.name, have};
  }
  const std::uint64_t known = have - piece.offset;
  if (known >= piece.bytes.size()) return std::nullopt;
  part_->bytes.append(piece.bytes.substr(known));
  part_->moved_us = now_us;
  return std::nullopt;
}

std::optional<std::string> IncomingSnapshot::take_whole() {
  if (!part_ || part_->bytes.size() < part_->name.total) return std::nullopt;
  std::string whole = std::move(part_->bytes);
  part_.reset();
  return whole;
}

bool IncomingSnapshot::newest(std::uint64_t number) {
  if (number <= newest_) return false;
  newest_ = number;
  return true;
}

}  // namespace even
