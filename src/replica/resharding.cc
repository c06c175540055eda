#include "replica/resharding.h"

#include <fmt/format.h>

#include "base/mutant.h"
#include "log/format.h"
#include "store/partition_rows.h"

namespace even {
namespace {

class Nobody final : public Transport {
 public:
  void send(NodeNumber, std::string) override {}
};

ShardOptions without_cache_policy(ShardOptions options) {
  options.cache_policy = nullptr;  // nothing is to be deleted
  return options;
}

// Those of shards from `first` on, which are empty: that is how a change of the number leaves them.
Result<> remove_logs(ShardId first, Disk& disk) {
  if (EVEN_MUTANT(kFormerLogsLeft)) return {};
  const auto names = disk.list();
  if (!names) return std::unexpected(names.error());
  bool removed_any = false;
  for (const std::string& name : *names) {
    const auto segment = parse_segment_name(name);
    if (!segment || segment->shard < first) continue;
    const auto size = disk.size(name);
    if (!size) return std::unexpected(size.error());
    const auto content = disk.read(name, 0, *size);
    if (!content) return std::unexpected(content.error());
    const std::size_t last = content->find_last_not_of('\0');
    if (last != std::string::npos && last >= kSegmentHeaderBytes) {
      return fail(fmt::format(
          "{} has records, although by the file 'identity' there are {} shards and none "
          "with number {}. Nothing was changed: restore 'identity', or write there the "
          "number of shards that there were",
          name, first, segment->shard));
    }
    if (const auto removed = disk.remove(name); !removed) return removed;
    removed_any = true;
  }
  return removed_any ? disk.sync_directory() : Result<>();
}

}  // namespace

struct Resharding::Old {
  Old(const Host& host, ShardId id, ShardId shards)
      : store(host.store(id)),
        shard(without_cache_policy(host.options(id, shards)), host.clock, host.random, host.disk,
              *store, nobody) {}

  Nobody nobody;
  std::unique_ptr<RowStore> store;
  Shard shard;
};

Resharding::Resharding(Host host, Identity found, ShardId wanted)
    : host_(std::move(host)), identity_(std::move(found)), wanted_(wanted) {
  if (identity_.shards == wanted) return;
  if (EVEN_MUTANT(kFormerLeftUntilAfter)) stage_ = Stage::kStoring;
  host_.inform(
      fmt::format("changing the number of shards from {} to {}", identity_.shards, wanted_));
}

Resharding::~Resharding() = default;

Result<bool> Resharding::step() {
  Result<> done;
  switch (stage_) {
    case Stage::kForgetting:
      done = forget();
      break;
    case Stage::kStoring:
      done = store_log();
      break;
    case Stage::kNoting:
      identity_.shards = wanted_;
      done = write_identity(host_.disk, identity_);
      stage_ = Stage::kForgetting;
      break;
    case Stage::kDone:
      break;
  }
  if (!done) return std::unexpected(done.error());
  return stage_ == Stage::kDone;
}

Result<> Resharding::forget() {
  if (!forgetting_) {
    if (const auto removed = remove_logs(identity_.shards, host_.disk); !removed) return removed;
    forgotten_.reset();
    forgetting_ = host_.store(0);
    forget_positions(EVEN_MUTANT(kFormerPositionsLeft) ? 0x7fff : identity_.shards, *forgetting_,
                     [this](Result<> outcome) { forgotten_ = std::move(outcome); });
  }
  if (!forgotten_) return {};
  forgetting_.reset();
  const bool changing = identity_.shards != wanted_;
  if (!*forgotten_ && changing) return *forgotten_;
  if (!*forgotten_) {
    // They do no harm before the number changes.
    host_.warn("positions of former shards may be left in the store: " +
               forgotten_->error().message);
  }
  stage_ = changing ? Stage::kStoring : Stage::kDone;
  return {};
}

// Has an old shard store all that its log holds, and remove it.
Result<> Resharding::store_log() {
  if (!old_) {
    if (EVEN_MUTANT(kNumberNotedFirst)) {
      Identity early = identity_;
      early.shards = wanted_;
      if (auto written = write_identity(host_.disk, early); !written) return written;
    }
    old_ = std::make_unique<Old>(host_, next_, identity_.shards);
    if (const auto recovered = old_->shard.recover(); !recovered) return recovered;
    old_->shard.store_changes();
    return {};
  }
  Shard& shard = old_->shard;
  if (!shard.all_stored()) {
    if (const auto error = shard.write_error()) return fail(*error);
    shard.tick();
    shard.end_turn();
    return {};
  }
  if (const auto removed = shard.remove_log(); !removed) return removed;
  if (const auto closed = shard.close(); !closed) return closed;
  old_.reset();
  ++next_;
  host_.inform(fmt::format("the log of shard {} is in the store ({} of {})", next_ - 1, next_,
                           identity_.shards));
  if (EVEN_MUTANT(kLastLogNotStored) && next_ + 1 == identity_.shards) ++next_;
  if (next_ == identity_.shards) stage_ = Stage::kNoting;
  return {};
}

}  // namespace even
