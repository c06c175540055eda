// The two ends of a snapshot's way to a peer in pieces, over a link that loses messages and breaks:
// what of it goes next, and what of it has come. Neither ends with a session. They send nothing
// themselves; Replication does, and keeps one of each for a peer, so that there is a bound to what
// they hold. See docs/architecture.md, "Snapshots".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ids.h"
#include "lattice/version_vector.h"
#include "replica/peer_message.h"

namespace even {

// How long either side keeps what makes no progress.
inline constexpr std::int64_t kSnapshotKeptUs = 120'000'000;

// A state that is given to a peer. First the peer is asked what it has of it; then pieces follow
// from there on. When all have been sent and the peer does not say that they have come, it is asked
// again. Numbers are those of messages within the session.
class OutgoingSnapshot {
 public:
  // `number`: of the next message.
  OutgoingSnapshot(PartitionId partition, std::string bytes, VersionVector vector,
                   std::uint64_t number, std::int64_t now_us);

  PartitionId partition() const { return name_.partition; }
  const VersionVector& vector() const { return vector_; }
  std::size_t bytes() const { return bytes_.size(); }

  // What was sent in the session before may not have come.
  void begin_session();
  // Whether the peer has to say what it has before a piece can go.
  bool asking() const { return asking_; }
  bool all_sent() const { return offset_ == bytes_.size(); }
  // Whether it is time to ask, given that nothing which was sent is still on its way.
  bool offer_due(std::int64_t now_us) const { return now_us >= offer_at_us_; }
  std::string offer(std::uint64_t number, std::int64_t now_us);
  std::string next_piece(std::uint64_t number, std::size_t max_bytes, std::int64_t now_us);
  // Of the last offer or piece.
  std::uint64_t last_number() const { return last_number_; }

  enum class Heard : std::uint8_t {
    kNothing,  // new
    kGoOn,     // from what the peer has
    kAllThere,
    kLost,  // the peer has nothing any more of what it was sent
  };
  // `next_number`: of the next message.
  Heard hear(const SnapshotProgress& progress, std::uint64_t next_number, std::int64_t now_us);

  // Since when nothing has happened.
  std::int64_t idle_since_us() const { return moved_us_; }

 private:
  std::string bytes_;
  SnapshotName name_;
  VersionVector vector_;
  std::uint64_t offset_ = 0;  // of the next piece
  bool asking_ = true;
  std::int64_t offer_at_us_ = 0;
  std::uint64_t last_number_ = 0;
  // What the peer says of earlier messages is out of date: pieces from another offset have been
  // sent since.
  std::uint64_t heard_from_;
  std::int64_t moved_us_;
};

// What has come of the snapshot that the peer sends at present.
class IncomingSnapshot {
 public:
  void begin_session() { newest_ = 0; }

  // What to answer, if anything. `needed`: whether the state has something that is lacking here.
  std::optional<SnapshotProgress> take(const SnapshotOffer& offer, bool needed,
                                       std::int64_t now_us);
  std::optional<SnapshotProgress> take(const SnapshotPiece& piece, std::int64_t now_us);
  // The state, if all of it is there; it is not held any longer then.
  std::optional<std::string> take_whole();

  bool empty() const { return !part_; }
  std::size_t bytes() const { return part_ ? part_->bytes.size() : 0; }
  void drop() { part_.reset(); }
  // Of what is held, which must not be nothing.
  PartitionId partition() const { return part_->name.partition; }
  const VersionVector& vector() const { return part_->vector; }
  std::int64_t idle_since_us() const { return part_->moved_us; }

 private:
  struct Part {
    SnapshotName name;
    VersionVector vector;
    std::string bytes;  // from the beginning, without a gap
    std::int64_t moved_us;
  };
  bool newest(std::uint64_t number);

  std::optional<Part> part_;
  std::uint64_t newest_ = 0;  // number of an offer or piece in this session
};

}  // namespace even
