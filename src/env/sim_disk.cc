#include "env/sim_disk.h"

#include <algorithm>
#include <utility>

namespace even::sim {
namespace {

constexpr std::int64_t kSlowSyncUs = 1'000'000;  // about the longest

}  // namespace

class SimFile : public AppendFile {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Content> content)
      : disk_(disk), content_(std::move(content)), end_(content_->bytes.size()) {}

  Result<> append(std::string_view bytes) override {
    if (disk_.faults.full) {
      put(bytes.substr(0, disk_.random_.below(bytes.size() + 1)));
      return fail("no space left on device (simulated)");
    }
    put(bytes);
    end_ += bytes.size();
    return {};
  }

  // A part of it may be there at any time.
  void append(std::shared_ptr<const std::string> bytes,
              std::function<void(Result<>)> done) override {
    put(std::string_view(*bytes).substr(0, disk_.random_.below(bytes->size() + 1)));
    append_ = std::make_shared<Append>(std::move(bytes), std::move(done));
    disk_.scheduler_.after(disk_.duration(), [&disk = disk_, this, weak = std::weak_ptr(append_)] {
      disk.tell([this, weak] {
        const auto append = weak.lock();
        if (append) append->done(finish_append());
      });
    });
  }

  Result<> finish_append() override {
    const auto bytes = std::exchange(append_, nullptr)->bytes;
    return append(*bytes);
  }

  Result<> truncate(std::uint64_t size) override {
    SimDisk::cut(*content_, size);
    end_ = content_->bytes.size();
    return {};
  }

  Result<> reserve(std::uint64_t) override {
    if (disk_.faults.full) return fail("no space left on device (simulated)");
    return {};
  }

  void zero_ahead(std::uint64_t size) override {
    if (disk_.faults.full) return;
    content_->bytes.resize(std::max<std::size_t>(content_->bytes.size(), size));
  }

  void sync(std::function<void(Result<>)> done) override {
    const std::int64_t duration = disk_.duration();
    const bool fails = disk_.random_.chance(disk_.faults.failing_sync);
    // What is synced is what had been appended when the sync began.
    disk_.scheduler_.after(
        duration, [this, alive = std::weak_ptr<bool>(alive_), upto = content_->bytes, fails,
                   done = std::move(done)]() mutable {
          if (alive.expired()) return;
          disk_.tell([alive, done = std::move(done), synced = finish_sync(std::move(upto), fails)] {
            if (!alive.expired()) done(synced);
          });
        });
  }

  Result<> sync_now() override {
    return finish_sync(content_->bytes, disk_.random_.chance(disk_.faults.failing_sync));
  }

 private:
  Result<> finish_sync(std::string upto, bool fails) {
    if (fails) {
      disk_.sync_failed(*content_);
      return fail("input/output error (simulated)");
    }
    SimDisk::synced(*content_, std::move(upto));
    return {};
  }
  void put(std::string_view bytes) {
    std::string& all = content_->bytes;
    all.replace(end_, std::min(bytes.size(), all.size() - end_), bytes);
  }

  struct Append {
    std::shared_ptr<const std::string> bytes;
    std::function<void(Result<>)> done;
  };

  SimDisk& disk_;
  std::shared_ptr<Append> append_;  // under way
  std::shared_ptr<SimDisk::Content> content_;
  std::size_t end_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

std::int64_t SimDisk::duration() {
  std::int64_t us =
      faults.sync_us / 2 + static_cast<std::int64_t>(random_.below(faults.sync_us + 1));
  // Runs end within some seconds of the last fault, also where all syncs are slow.
  if (random_.chance(faults.slow_sync)) us = std::max(us, std::min(100 * us, kSlowSyncUs));
  return us;
}

void SimDisk::crash() {
  ++crashes_;
  files_ = history_[random_.below(history_.size())];
  for (auto& [name, content] : files_) {
    auto survived = std::make_shared<Content>();
    survived->bytes = survived->durable = survivor(*content);
    content = std::move(survived);
  }
  history_ = {files_};
}

// The kernel takes what it could not write for written. It keeps it in memory for as long as it
// likes.
void SimDisk::sync_failed(Content& content) {
  std::string& bytes = content.bytes;
  std::string& durable = content.durable;
  const std::size_t begin =
      static_cast<std::size_t>(std::ranges::mismatch(bytes, durable).in1 - bytes.begin());
  const bool any = content.lost_end > content.lost_begin;
  content.lost_begin = any ? std::min(content.lost_begin, begin) : begin;
  content.lost_end = std::max(content.lost_end, bytes.size());
  if (random_.chance(0.5)) return;
  const std::size_t size = bytes.size();
  bytes = durable = survivor(content);
  bytes.resize(size);
}

// What is written there later is new to the kernel.
void SimDisk::cut(Content& content, std::size_t size) {
  content.bytes.resize(std::min(content.bytes.size(), size));
  content.lost_end = std::min(content.lost_end, size);
}

void SimDisk::synced(Content& content, std::string bytes) {
  for (std::size_t i = content.lost_begin; i < std::min(content.lost_end, bytes.size()); ++i) {
    bytes[i] = i < content.durable.size() ? content.durable[i] : '\0';
  }
  content.durable = std::move(bytes);
}

std::string SimDisk::survivor(const Content& content) {
  const std::string& bytes = content.bytes;
  std::string left = content.durable;
  left.resize(std::max(left.size(), bytes.size()));
  // What was written since the sync: from the first difference to the last.
  const std::size_t begin =
      static_cast<std::size_t>(std::ranges::mismatch(bytes, left).in1 - bytes.begin());
  std::size_t end = bytes.size();
  while (end > begin && bytes[end - 1] == left[end - 1]) --end;

  std::size_t at = begin + random_.below(end - begin + 1);
  left.replace(begin, at - begin, bytes, begin, at - begin);
  const std::size_t rest = end - at;
  switch (random_.below(4)) {
    case 0:  // a hole, and then what was written later
      if (rest > 2) {
        const std::size_t after = at + 1 + random_.below(rest - 1);
        left.replace(after, end - after, bytes, after, end - after);
        at = end;
      }
      break;
    case 1:  // junk
      for (std::size_t i = random_.below(rest + 1); i > 0; --i)
        left[at++] = static_cast<char>(random_.next());
      break;
    default:
      break;
  }
  const bool resized = random_.chance(0.5);
  left.resize(std::max(at, resized ? bytes.size() : content.durable.size()));
  return left;
}

void SimDisk::wipe() {
  ++crashes_;
  files_.clear();
  history_ = {files_};
}

void SimDisk::changed() { history_.push_back(files_); }

Result<std::vector<std::string>> SimDisk::list() {
  std::vector<std::string> names;
  for (const auto& [name, content] : files_) names.push_back(name);
  return names;
}

Result<std::unique_ptr<AppendFile>> SimDisk::open_append(const std::string& name,
                                                         std::uint64_t size) {
  auto& content = files_[name];
  if (!content || size == 0) {
    if (faults.full) {
      if (!content) files_.erase(name);
      return fail(name + ": no space left on device (simulated)");
    }
    content = std::make_shared<Content>();
    changed();
  }
  cut(*content, size);
  return std::make_unique<SimFile>(*this, content);
}

Result<std::uint64_t> SimDisk::size(const std::string& name) {
  const auto file = files_.find(name);
  if (file == files_.end()) return fail(name + ": no such file");
  return file->second->bytes.size();
}

Result<std::string> SimDisk::read(const std::string& name, std::uint64_t offset,
                                  std::uint64_t length) {
  const auto file = files_.find(name);
  if (file == files_.end()) return fail(name + ": no such file");
  const std::string& bytes = file->second->bytes;
  std::string read = bytes.substr(std::min<std::size_t>(offset, bytes.size()), length);
  bytes_read += read.size();
  return read;
}

Result<> SimDisk::rename(const std::string& from, const std::string& to) {
  auto file = files_.extract(from);
  if (file.empty()) return fail(from + ": no such file");
  files_.insert_or_assign(to, std::move(file.mapped()));
  changed();
  return {};
}

Result<> SimDisk::remove(const std::string& name) {
  if (files_.erase(name) == 0) return fail(name + ": no such file");
  changed();
  return {};
}

Result<> SimDisk::sync_directory() {
  first_state_ += history_.size() - 1;
  history_ = {files_};
  return {};
}

// What becomes durable is what had been changed when it began.
void SimDisk::sync_directory(std::function<void(Result<>)> done) {
  const std::uint64_t state = first_state_ + history_.size() - 1;
  scheduler_.after(duration(), [this, state, crashes = crashes_, done = std::move(done)] {
    if (crashes_ != crashes) return;
    if (state > first_state_) {
      history_.erase(history_.begin(),
                     history_.begin() + static_cast<std::ptrdiff_t>(state - first_state_));
      first_state_ = state;
    }
    tell([this, crashes, done] {
      if (crashes_ == crashes) done({});
    });
  });
}

}  // namespace even::sim
