#include "env/posix_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace even {
namespace {

std::unexpected<Error> os_error(std::string_view what, const std::string& path, int error = errno) {
  return fail(fmt::format("cannot {} {}: {}", what, path, std::strerror(error)));
}

// A file descriptor that a sync on the helper thread can keep open beyond the file's destruction.
struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd); }
  const int fd;
};

Result<> sync_data(int fd, const std::string& path) {
  // A failed sync is not tried again: the kernel may have dropped the pages (see "fsyncgate").
  while (::fdatasync(fd) != 0) {
    if (errno != EINTR) return os_error("sync", path);
  }
  return {};
}

Result<> sync_directory_of(int fd, const std::string& path) {
  if (::fsync(fd) != 0) return os_error("sync directory", path);
  return {};
}

Result<> write_all(int fd, const std::string& path, std::string_view bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0) {
      if (errno == EINTR) continue;
      return os_error("write", path);
    }
    at += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

// Does jobs one after the other on its own thread.
class PosixDisk::Helper {
 public:
  using Work = std::function<Result<>()>;
  using Done = std::function<void(Result<>)>;

  explicit Helper(Post post) : post_(std::move(post)), thread_([this] { run(); }) {}

  ~Helper() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  // `done` is called by the owner's thread unless `alive` has expired by then.
  void add(Work work, std::weak_ptr<void> alive, Done done) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back({std::move(work), std::move(alive), std::move(done)});
    }
    wake_.notify_one();
  }

 private:
  struct Job {
    Work work;
    std::weak_ptr<void> alive;
    Done done;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      std::vector<Job> jobs = std::exchange(jobs_, {});
      lock.unlock();
      for (Job& job : jobs) {
        Result<> result = job.work();
        job.work = nullptr;
        post_([alive = std::move(job.alive), done = std::move(job.done),
               result = std::move(result)]() mutable {
          if (!alive.expired()) done(std::move(result));
        });
      }
      lock.lock();
    }
  }

  const Post post_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

class PosixDisk::File final : public AppendFile {
 public:
  File(Helper& helper, int fd, std::string path, std::uint64_t size)
      : helper_(helper),
        descriptor_(std::make_shared<Descriptor>(fd)),
        path_(std::move(path)),
        size_(size),
        length_(size),
        alive_(std::make_shared<char>()) {}

  Result<> append(std::string_view bytes) override {
    return appended(bytes.size(), write_all(descriptor_->fd, path_, bytes, size_));
  }

  void append(std::shared_ptr<const std::string> bytes,
              std::function<void(Result<>)> done) override {
    const std::size_t size = bytes->size();
    auto outcome = std::make_shared<std::promise<Result<>>>();
    append_ = std::make_shared<Append>(size, outcome->get_future());
    helper_.add(
        [descriptor = descriptor_, path = path_, bytes = std::move(bytes), at = size_, outcome] {
          const Result<> result = write_all(descriptor->fd, path, *bytes, at);
          outcome->set_value(result);
          return result;
        },
        append_,
        [this, size, done = std::move(done)](const Result<>& result) {
          append_.reset();
          done(appended(size, result));
        });
  }

  Result<> finish_append() override {
    const auto append = std::exchange(append_, nullptr);
    return appended(append->bytes, append->outcome.get());
  }

  Result<> truncate(std::uint64_t size) override {
    if (::ftruncate(descriptor_->fd, static_cast<off_t>(size)) != 0) {
      return os_error("truncate", path_);
    }
    size_ = length_ = reserved_ = size;
    return {};
  }

  Result<> reserve(std::uint64_t size) override {
    if (size <= std::max(size_, reserved_)) return {};
    while (::fallocate(descriptor_->fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(size_),
                       static_cast<off_t>(size - size_)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EOPNOTSUPP || errno == ENOSYS) break;
      return os_error("reserve room for", path_);
    }
    reserved_ = size;
    return {};
  }

  void zero_ahead(std::uint64_t size) override {
    static constexpr char kZeroes[64 << 10] = {};
    while (length_ < size) {
      const std::string_view zeroes(kZeroes,
                                    std::min<std::uint64_t>(sizeof kZeroes, size - length_));
      if (!write_all(descriptor_->fd, path_, zeroes, length_)) return;
      length_ += zeroes.size();
    }
  }

  void sync(std::function<void(Result<>)> done) override {
    helper_.add(
        [descriptor = descriptor_, path = path_] { return sync_data(descriptor->fd, path); },
        alive_, std::move(done));
  }

  Result<> sync_now() override { return sync_data(descriptor_->fd, path_); }

 private:
  // By the helper.
  struct Append {
    std::size_t bytes;
    std::future<Result<>> outcome;
  };

  Result<> appended(std::size_t bytes, Result<> result) {
    if (!result) return result;
    size_ += bytes;
    length_ = std::max(length_, size_);
    return {};
  }

  Helper& helper_;
  std::shared_ptr<Descriptor> descriptor_;
  const std::string path_;
  std::uint64_t size_;          // where the next append goes
  std::uint64_t length_;        // as the file system has it: zeroes may lie behind size_
  std::uint64_t reserved_ = 0;  // by the last reservation; 0 after none
  std::shared_ptr<Append> append_;
  std::shared_ptr<void> alive_;
};

Result<std::unique_ptr<PosixDisk>> PosixDisk::open(const std::string& directory, Post post) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return os_error("create directory", directory, error.value());
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return os_error("open directory", directory);
  return std::unique_ptr<PosixDisk>(new PosixDisk(directory, fd, std::move(post)));
}

PosixDisk::PosixDisk(std::string directory, int fd, Post post)
    : directory_(std::move(directory)),
      fd_(fd),
      alive_(std::make_shared<char>()),
      helper_(std::make_unique<Helper>(std::move(post))) {}

PosixDisk::~PosixDisk() {
  helper_.reset();  // which may be using it
  ::close(fd_);
}

Result<std::vector<std::string>> PosixDisk::list() {
  // A descriptor of its own: reading a directory moves the offset of the open one.
  const int fd = ::openat(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) return os_error("list", directory_);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    struct stat status;
    if (::fstatat(fd_, entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode)) {
      names.emplace_back(entry->d_name);
    }
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return os_error("list", directory_, error);
  std::ranges::sort(names);
  return names;
}

Result<std::unique_ptr<AppendFile>> PosixDisk::open_append(const std::string& name,
                                                           std::uint64_t size) {
  const std::string path = directory_ + "/" + name;
  const int fd = ::openat(fd_, name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return os_error("open", path);
  auto file = std::make_unique<File>(*helper_, fd, path, size);
  struct stat status;
  if (::fstat(fd, &status) != 0) return os_error("examine", path);
  const auto length = static_cast<std::uint64_t>(status.st_size);
  if (length < size) {
    return fail(
        fmt::format("cannot append to {} at byte {}: it has only {} bytes", path, size, length));
  }
  if (length > size) {
    if (Result<> cut = file->truncate(size); !cut) return std::unexpected(cut.error());
  }
  return file;
}

Result<std::uint64_t> PosixDisk::size(const std::string& name) {
  struct stat status;
  if (::fstatat(fd_, name.c_str(), &status, 0) != 0) {
    return os_error("examine", directory_ + "/" + name);
  }
  return static_cast<std::uint64_t>(status.st_size);
}

Result<std::string> PosixDisk::read(const std::string& name, std::uint64_t offset,
                                    std::uint64_t length) {
  const std::string path = directory_ + "/" + name;
  const int fd = ::openat(fd_, name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return os_error("open", path);
  const Descriptor closer(fd);
  struct stat status;
  if (::fstat(fd, &status) != 0) return os_error("examine", path);
  const auto end = static_cast<std::uint64_t>(status.st_size);
  std::string bytes;
  bool failed = false;
  bytes.resize_and_overwrite(
      offset < end ? std::min(length, end - offset) : 0, [&](char* data, std::size_t size) {
        std::size_t done = 0;
        while (done < size) {
          const ssize_t count =
              ::pread(fd, data + done, size - done, static_cast<off_t>(offset + done));
          if (count < 0 && errno == EINTR) continue;
          failed = count < 0;
          if (count <= 0) break;  // or it was cut meanwhile
          done += static_cast<std::size_t>(count);
        }
        return done;
      });
  if (failed) return os_error("read", path);
  return bytes;
}

Result<> PosixDisk::rename(const std::string& from, const std::string& to) {
  if (::renameat(fd_, from.c_str(), fd_, to.c_str()) != 0) {
    return os_error(fmt::format("rename {} to", from), directory_ + "/" + to);
  }
  return {};
}

Result<> PosixDisk::remove(const std::string& name) {
  if (::unlinkat(fd_, name.c_str(), 0) != 0) return os_error("remove", directory_ + "/" + name);
  return {};
}

Result<> PosixDisk::sync_directory() { return sync_directory_of(fd_, directory_); }

void PosixDisk::sync_directory(std::function<void(Result<>)> done) {
  helper_->add([this] { return sync_directory_of(fd_, directory_); }, alive_, std::move(done));
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DirectoryLock& DirectoryLock::operator=(DirectoryLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<DirectoryLock> lock_directory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return os_error("create directory", directory, error.value());
  const std::string path = directory + "/LOCK";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return os_error("open", path);
  DirectoryLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return os_error("lock", path);
    char text[32] = {};
    const ssize_t length = ::pread(fd, text, sizeof text - 1, 0);
    std::string holder(text, length > 0 ? static_cast<std::size_t>(length) : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return fail(
        fmt::format("data directory {} is in use by process {}: stop that one first, or "
                    "choose another directory (node.data)",
                    directory, holder.empty() ? "(unknown)" : holder));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    // The lock holds all the same; only the message to another process will lack the number. A full
    // disk must not keep a node from starting.
  }
  return lock;
}

}  // namespace even
