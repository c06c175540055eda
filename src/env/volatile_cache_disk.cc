#include "env/volatile_cache_disk.h"

#include <algorithm>
#include <utility>

namespace even {

struct VolatileCacheDisk::Cache {
  std::unique_ptr<AppendFile> file;
  std::uint64_t end;  // of what `file` has
  std::string bytes;  // what was appended behind it

  std::uint64_t size() const { return end + bytes.size(); }
  Result<> write_out() { return write_out(size()); }
  Result<> write_out(std::uint64_t upto) {
    if (bytes.empty() || upto <= end) return {};
    const std::size_t count = std::min<std::uint64_t>(bytes.size(), upto - end);
    if (auto written = file->append(std::string_view(bytes).substr(0, count)); !written) {
      return written;
    }
    end += count;
    bytes.erase(0, count);
    return {};
  }
};

class VolatileCacheDisk::File final : public AppendFile {
 public:
  File(std::shared_ptr<Cache> cache, const After& after)
      : cache_(std::move(cache)), after_(after), alive_(std::make_shared<char>()) {}
  ~File() override { (void)cache_->write_out(); }

  Result<> append(std::string_view bytes) override {
    cache_->bytes += bytes;
    return {};
  }

  void append(std::shared_ptr<const std::string> bytes,
              std::function<void(Result<>)> done) override {
    append_ = std::make_shared<Append>(std::move(bytes));
    after_(0, [this, append = std::weak_ptr(append_), done = std::move(done)] {
      if (append.expired()) return;
      done(finish_append());
    });
  }

  Result<> finish_append() override { return append(*std::exchange(append_, nullptr)->bytes); }

  Result<> truncate(std::uint64_t size) override {
    if (size >= cache_->end) {
      cache_->bytes.resize(size - cache_->end);
      return cache_->file->truncate(cache_->end);
    }
    cache_->bytes.clear();
    if (auto cut = cache_->file->truncate(size); !cut) return cut;
    cache_->end = size;
    return {};
  }

  Result<> reserve(std::uint64_t size) override { return cache_->file->reserve(size); }
  void zero_ahead(std::uint64_t size) override { cache_->file->zero_ahead(size); }

  void sync(std::function<void(Result<>)> done) override {
    after_(kSyncUs, [this, upto = cache_->size(), alive = std::weak_ptr(alive_),
                     done = std::move(done)]() mutable {
      if (alive.expired()) return;
      if (auto written = cache_->write_out(upto); !written) return done(written);
      cache_->file->sync(std::move(done));
    });
  }

  Result<> sync_now() override {
    if (auto written = cache_->write_out(); !written) return written;
    return cache_->file->sync_now();
  }

 private:
  struct Append {
    std::shared_ptr<const std::string> bytes;
  };

  const std::shared_ptr<Cache> cache_;
  const After after_;
  std::shared_ptr<Append> append_;  // under way
  const std::shared_ptr<void> alive_;
};

VolatileCacheDisk::VolatileCacheDisk(std::unique_ptr<Disk> disk, After after)
    : disk_(std::move(disk)), after_(std::move(after)) {}

VolatileCacheDisk::~VolatileCacheDisk() = default;

std::shared_ptr<VolatileCacheDisk::Cache> VolatileCacheDisk::find(const std::string& name) const {
  const auto found = open_.find(name);
  return found == open_.end() ? nullptr : found->second.lock();
}

Result<std::vector<std::string>> VolatileCacheDisk::list() { return disk_->list(); }

Result<std::unique_ptr<AppendFile>> VolatileCacheDisk::open_append(const std::string& name,
                                                                   std::uint64_t size) {
  if (const auto before = find(name)) {
    if (auto written = before->write_out(); !written) return std::unexpected(written.error());
  }
  auto file = disk_->open_append(name, size);
  if (!file) return file;
  std::erase_if(open_, [](const auto& it) { return it.second.expired(); });
  auto cache = std::make_shared<Cache>(std::move(*file), size, std::string());
  open_[name] = cache;
  return std::make_unique<File>(std::move(cache), after_);
}

Result<std::uint64_t> VolatileCacheDisk::size(const std::string& name) {
  const auto size = disk_->size(name);
  const auto cache = find(name);
  if (!size || !cache) return size;
  return std::max(*size, cache->size());
}

Result<std::string> VolatileCacheDisk::read(const std::string& name, std::uint64_t offset,
                                            std::uint64_t length) {
  auto text = disk_->read(name, offset, length);
  const auto cache = find(name);
  if (!text || !cache) return text;
  // Zeroes that were put ahead may be on the disk in the place of what is cached.
  const std::uint64_t begin = std::max(offset, cache->end);
  const std::uint64_t end = std::min(offset + length, cache->size());
  if (begin >= end) return text;
  if (text->size() < end - offset) text->resize(end - offset);
  text->replace(begin - offset, end - begin, cache->bytes, begin - cache->end, end - begin);
  return text;
}

Result<> VolatileCacheDisk::rename(const std::string& from, const std::string& to) {
  if (auto renamed = disk_->rename(from, to); !renamed) return renamed;
  if (auto moved = open_.extract(from)) {
    open_.erase(to);
    moved.key() = to;
    open_.insert(std::move(moved));
  }
  return {};
}

Result<> VolatileCacheDisk::remove(const std::string& name) {
  open_.erase(name);
  return disk_->remove(name);
}

Result<> VolatileCacheDisk::sync_directory() { return disk_->sync_directory(); }

void VolatileCacheDisk::sync_directory(std::function<void(Result<>)> done) {
  disk_->sync_directory(std::move(done));
}

}  // namespace even
