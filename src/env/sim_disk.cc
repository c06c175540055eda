#include "env/sim_disk.h"

#include <algorithm>

namespace even::sim {

class SimFile : public AppendFile {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Content> content)
      : disk_(disk), content_(std::move(content)) {}

  Result<> append(std::string_view bytes) override {
    if (disk_.faults.full) {
      content_->bytes.append(bytes.substr(0, disk_.random_.below(bytes.size() + 1)));
      return fail("no space left on device (simulated)");
    }
    content_->bytes.append(bytes);
    return {};
  }

  Result<> truncate(std::uint64_t size) override {
    content_->bytes.resize(std::min<std::size_t>(content_->bytes.size(), size));
    return {};
  }

  Result<> reserve(std::uint64_t) override {
    if (disk_.faults.full) return fail("no space left on device (simulated)");
    return {};
  }

  void sync(std::function<void(Result<>)> done) override {
    const DiskFaults& faults = disk_.faults;
    std::int64_t duration =
        faults.sync_us / 2 + static_cast<std::int64_t>(disk_.random_.below(faults.sync_us + 1));
    if (disk_.random_.chance(faults.slow_sync)) duration *= 100;
    const bool fails = disk_.random_.chance(faults.failing_sync);
    // What is synced is what had been appended when the sync began.
    disk_.scheduler_.after(duration, [alive = std::weak_ptr<bool>(alive_), content = content_,
                                      upto = content_->bytes, fails, done = std::move(done)] {
      if (alive.expired()) return;
      if (fails) return done(fail("input/output error (simulated)"));
      content->durable = upto;
      done({});
    });
  }

  Result<> sync_now() override {
    content_->durable = content_->bytes;
    return {};
  }

 private:
  SimDisk& disk_;
  std::shared_ptr<SimDisk::Content> content_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void SimDisk::crash() {
  files_ = history_[random_.below(history_.size())];
  for (auto& [name, content] : files_) {
    auto survived = std::make_shared<Content>();
    const std::string& bytes = content->bytes;
    std::string& left = survived->bytes;
    left = content->durable;
    if (bytes.size() > left.size() && bytes.starts_with(left)) {
      const std::size_t unsynced = bytes.size() - left.size();
      const std::size_t kept = random_.below(unsynced + 1);
      left = bytes.substr(0, left.size() + kept);
      const std::size_t rest = bytes.size() - left.size();
      switch (random_.below(4)) {
        case 0:  // a hole, and then what was written later
          if (rest > 2) {
            const std::size_t hole = 1 + random_.below(rest - 1);
            left.append(hole, '\0');
            left.append(bytes.substr(left.size()));
          }
          break;
        case 1:  // junk
          for (std::size_t i = random_.below(rest + 1); i > 0; --i)
            left += static_cast<char>(random_.next());
          break;
        default:
          break;
      }
    }
    survived->durable = left;
    content = std::move(survived);
  }
  history_ = {files_};
}

void SimDisk::wipe() {
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
  content->bytes.resize(std::min<std::size_t>(content->bytes.size(), size));
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
  return bytes.substr(std::min<std::size_t>(offset, bytes.size()), length);
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
  history_ = {files_};
  return {};
}

}  // namespace even::sim
