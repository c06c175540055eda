#include <fmt/format.h>

#include <algorithm>

#include "log/format.h"
#include "store/state_store.h"

namespace even {
namespace {

class CheckpointStore : public StateStore {
 public:
  CheckpointStore(ShardId shard, Disk& disk)
      : shard_(shard),
        disk_(disk),
        name_(fmt::format("checkpoint-{:04}", shard)),
        temporary_(name_ + ".tmp") {}

  Result<LogPosition> load(const std::function<Result<>(std::string_view)>& visit) override {
    auto names = disk_.list();
    if (!names) return std::unexpected(names.error());
    if (!std::binary_search(names->begin(), names->end(), name_)) return LogPosition{0};
    auto size = disk_.size(name_);
    if (!size) return std::unexpected(size.error());
    auto bytes = disk_.read(name_, 0, *size);
    if (!bytes) return std::unexpected(bytes.error());
    const auto header = decode_segment_header(*bytes);
    if (!header) return damaged(0, header.error().message);
    if (header->shard != shard_) return damaged(0, "it belongs to another shard");

    std::string_view rest = std::string_view(*bytes).substr(kSegmentHeaderBytes);
    for (std::uint64_t offset = 0;;) {
      std::string_view body;
      const auto frame = decode_frame(rest, offset, body);
      if (!frame) return damaged(kSegmentHeaderBytes + offset, "a frame cannot be read");
      if (body.empty()) return header->base;  // the end marker
      Result<> outcome;
      if (!for_each_entry(body, [&](std::string_view state) { outcome = visit(state); })) {
        return damaged(kSegmentHeaderBytes + offset, "a frame is malformed");
      }
      if (!outcome) return damaged(kSegmentHeaderBytes + offset, outcome.error().message);
      offset += kFrameHeaderBytes + body.size();
      rest.remove_prefix(kFrameHeaderBytes + body.size());
    }
  }

  Result<> begin(LogPosition position) override {
    file_.reset();
    auto file = disk_.open_append(temporary_, 0);
    if (!file) return std::unexpected(file.error());
    file_ = std::move(*file);
    position_ = position;
    offset_ = 0;
    return file_->append(encode_segment_header({shard_, position}));
  }

  Result<> add(std::string_view state) override {
    std::string body;
    append_entry(body, state);
    return append(body);
  }

  void commit(std::function<void(Result<LogPosition>)> done) override {
    if (auto ended = append({}); !ended) return done(std::unexpected(ended.error()));
    file_->sync([this, done = std::move(done)](Result<> synced) {
      // Off the stack of the file, which is closed here.
      const auto closed = std::move(file_);
      if (synced) synced = disk_.rename(temporary_, name_);
      if (synced) synced = disk_.sync_directory();
      if (!synced) return done(std::unexpected(synced.error()));
      done(position_);
    });
  }

 private:
  Result<> append(std::string_view body) {
    const std::string frame = encode_frame(offset_, 0, body);
    offset_ += frame.size();
    return file_->append(frame);
  }

  std::unexpected<Error> damaged(std::uint64_t offset, std::string_view what) const {
    return fail(
        fmt::format("{}: damaged at offset {}: {}. Nothing was changed. If other replicas hold the "
                    "data, move this node's data directory away and "
                    "start it empty: it will be filled from them",
                    name_, offset, what));
  }

  const ShardId shard_;
  Disk& disk_;
  const std::string name_;
  const std::string temporary_;
  std::unique_ptr<AppendFile> file_;
  LogPosition position_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace

std::unique_ptr<StateStore> make_checkpoint_store(ShardId shard, Disk& disk) {
  return std::make_unique<CheckpointStore>(shard, disk);
}

}  // namespace even
