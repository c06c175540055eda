#include "replica/staged_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/mutant.h"
#include "replica/group.h"
#include "replica/slices.h"

namespace even {
namespace {

// Of encoded keys, between two looks at the clock; but no more than a piece.
constexpr const char* kOther = "it is not of this group, or not as of the entry that was named";
constexpr std::size_t kDecodedAtOnce = 32 << 10;
// Of rows that become one file of the store, and of what has come and is not decoded yet, in
// pieces.
constexpr std::size_t kStoredPieces = 8;
constexpr std::size_t kWaitingPieces = 4;
// No more rows than that become one file: to hand them to the store, and to free them, takes a few
// milliseconds each.
constexpr std::size_t kStoredRows = 8'192;
constexpr std::int64_t kRetryUs = 1'000'000;

}  // namespace

StagedState::StagedState(ShardCore& core, Partition& partition, consensus::Index index,
                         const SnapshotName& name)
    : core_(core),
      partition_(partition),
      index_(index),
      name_(name),
      generation_(partition.rows->begin_generation(core.self.run())),
      rows_(partition.id, *core.store, generation_) {
  state_.attach(rows_, PartitionState::Summary{});
}

void StagedState::add(std::string_view bytes) {
  EVEN_CHECK(received_ + bytes.size() <= name_.total, "no more comes than there is");
  hash_.add(bytes);
  stream_.add(bytes);
  received_ += bytes.size();
  dry_ = false;
}

// One key may have more than what is to wait.
bool StagedState::wants_more() const {
  return stage_ != Stage::kFailed && received_ < name_.total &&
         (dry_ || stream_.held() < kWaitingPieces * core_.options.piece_bytes);
}

Result<> StagedState::step() {
  if (stage_ == Stage::kStoring || stage_ == Stage::kWhole) return {};
  if (stage_ == Stage::kFailed) return fail(error_);
  if (core_.clock.monotonic_us() < retry_us_) return {};
  retry_us_ = 0;
  Result<> outcome;
  try {
    outcome = go_on();
  } catch (const Unreadable& error) {
    outcome = fail(error.what());
  }
  if (!outcome) {
    stage_ = Stage::kFailed;
    error_ = outcome.error().message;
  }
  return outcome;
}

Result<> StagedState::go_on() {
  const std::int64_t started_us = core_.clock.monotonic_us();
  const std::size_t enough = kStoredPieces * core_.options.piece_bytes;
  const std::size_t at_once = std::min<std::size_t>(kDecodedAtOnce, core_.options.piece_bytes);
  const auto is_enough = [&] {
    return gathered_bytes_ >= enough || gathered_.size() >= kStoredRows;
  };
  while (!dry_ && !is_enough()) {
    auto part = stream_.next(at_once);
    if (!part) return std::unexpected(part.error());
    dry_ = !part->has_value();
    if (dry_) break;
    if (auto taken = take_part(**part); !taken) return taken;
    if (core_.clock.monotonic_us() - started_us > kSliceUs) return {};
  }
  if (dry_ && received_ == name_.total) {
    if (const auto verified = verify(); !verified) return verified;
    decoded_ = true;
  }
  if (decoded_ || is_enough()) store();
  return {};
}

Result<> StagedState::take_part(Record& part) {
  if (part.partition != partition_.id || part.context[kGroupIndex] != index_) {
    return fail(kOther);
  }
  // They are some of the keys, not all that there are.
  part.delta.full = false;
  for (const KeyDelta& key : part.delta.keys) {
    const std::uint64_t hash = hash64(key.key);
    // Most come in the order of their hashes: nothing of such a one can be stored.
    if (!any_key_ || hash > highest_) {
      state_.admit_absence(hash);
      highest_ = hash;
    }
    any_key_ = true;
  }
  state_.join_part(part.delta, part.context);
  gather();
  return {};
}

// What has changed stays in memory until it is stored, so it is read nowhere else.
void StagedState::gather() {
  RowBatch rows;
  const Changes taken = EVEN_MUTANT(kStagedCounts) ? rows_.write_changes(state_, rows)
                                                   : rows_.write_objects(state_, rows);
  state_.stored(taken);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto [kind, row, value] = rows[i];
    gathered_bytes_ += row.size() + value.size();
    if (kind == RowBatch::Kind::kPut) {
      gathered_.insert_or_assign(std::string(row), std::string(value));
    } else if (kind == RowBatch::Kind::kRemove) {
      gathered_.insert_or_assign(std::string(row), std::nullopt);
    }
    // Ranges are those of tables that are new, of which there is nothing.
  }
}

Result<> StagedState::verify() const {
  if (hash_.value() != name_.checksum) return fail("it does not match its checksum");
  if (!stream_.at_end() || stream_.held() > 0) return fail("it is cut off");
  // Where there are keys each part has been looked at.
  const std::optional<Record>& head = stream_.head();
  if (head->partition != partition_.id || head->context[kGroupIndex] != index_) return fail(kOther);
  return {};
}

// If the store is at something else it is tried again.
void StagedState::store() {
  if (gathered_.empty()) return stored({});
  const auto fill = [this](RowBatch& rows) {
    if (!any_stored_) partition_.rows->forget_before(generation_, rows);
    for (const auto& [row, value] : gathered_) {
      value ? rows.put(row, *value) : rows.remove(row);
    }
  };
  const bool begun = core_.stage_rows(fill, [weak = weak_from_this()](const Result<>& outcome) {
    if (const auto self = weak.lock()) self->stored(outcome);
  });
  if (!begun) return;
  stage_ = Stage::kStoring;
  if (EVEN_MUTANT(kStagedUnstored) && decoded_) stored({});
}

void StagedState::stored(const Result<>& outcome) {
  if (stage_ == Stage::kWhole) return;
  if (!outcome) {
    stage_ = Stage::kComing;
    retry_us_ = core_.clock.monotonic_us() + kRetryUs;
    core_.warn(fmt::format("a state of group {} could not be stored: {}", partition_.id,
                           outcome.error().message));
    return;
  }
  any_stored_ = true;
  gathered_.clear();
  gathered_bytes_ = 0;
  if (decoded_) state_.cover(stream_.head()->context);
  state_.cool();
  stage_ = decoded_ ? Stage::kWhole : Stage::kComing;
}

}  // namespace even
