#include "cli/import_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <sstream>

namespace even::cli {
namespace {

constexpr int kPatienceSeconds = 60;
constexpr std::size_t kPiece = 1 << 20;
constexpr std::chrono::seconds kBetweenAcks{1};

Result<> write_all(int file, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(file, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail(fmt::format("{}: {}", name, std::strerror(errno)));
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

// Closes it.
class OpenFile {
 public:
  OpenFile(const std::string& name, int flags)
      : file_(::open(name.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~OpenFile() {
    if (file_ >= 0) ::close(file_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return file_; }
  int release() { return std::exchange(file_, -1); }

 private:
  int file_;
};

}  // namespace

Result<> log_in(RespPipe& pipe, const ServerAddress& address) {
  if (const auto up = pipe.connect(address.host, address.port, kPatienceSeconds); !up) return up;
  if (!address.password.empty()) {
    const auto let_in = address.user.empty() ? pipe.call({"AUTH", address.password})
                                             : pipe.call({"AUTH", address.user, address.password});
    if (!let_in) return std::unexpected(let_in.error());
  }
  if (const auto alive = pipe.call({"PING"}); !alive) return std::unexpected(alive.error());
  return {};
}

Result<std::uint64_t> stream_end(const ServerAddress& source) {
  RespPipe pipe;
  if (const auto up = log_in(pipe, source); !up) return std::unexpected(up.error());
  const auto reply = pipe.call({"INFO", "replication"});
  if (!reply) return std::unexpected(reply.error());
  constexpr std::string_view kField = "\nmaster_repl_offset:";
  const std::size_t at = reply->find(kField);
  std::uint64_t offset = 0;
  if (at == std::string::npos ||
      std::from_chars(reply->data() + at + kField.size(), reply->data() + reply->size(), offset)
              .ec != std::errc()) {
    return fail("INFO does not tell where its stream is (master_repl_offset)");
  }
  return offset;
}

Result<std::string> read_scan(std::string_view reply, std::vector<std::string>& keys) {
  std::vector<std::string> texts;
  while (!reply.empty()) {
    const std::size_t end = reply.find("\r\n");
    if (end == std::string_view::npos) return fail("a reply to SCAN that makes no sense");
    const char kind = reply.front();
    std::size_t size = 0;
    std::from_chars(reply.data() + 1, reply.data() + end, size);
    reply.remove_prefix(end + 2);
    if (kind == '*') continue;
    if (kind != '$' || reply.size() < size + 2) return fail("a reply to SCAN that makes no sense");
    texts.emplace_back(reply.substr(0, size));
    reply.remove_prefix(size + 2);
  }
  if (texts.empty()) return fail("a reply to SCAN that makes no sense");
  keys.assign(texts.begin() + 1, texts.end());
  return texts.front();
}

ReplicaLink::~ReplicaLink() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
  if (stream_ >= 0) ::close(stream_);
}

Result<> ReplicaLink::await_more() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(kPatienceSeconds);
  while (std::chrono::steady_clock::now() < until) {
    if (stopped_()) return fail("stopped");
    const Result<std::string> more = pipe_.receive(kPiece, 200);
    if (!more) return std::unexpected(more.error());
    pending_ += *more;
    if (!more->empty()) return {};
  }
  return fail("it does not answer");
}

Result<std::string> ReplicaLink::line() {
  for (;;) {
    if (const std::size_t end = pending_.find('\n'); end != std::string::npos) {
      std::string text = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      if (!text.empty() && text.back() == '\r') text.pop_back();
      if (text.empty()) continue;  // a sign of life
      return text;
    }
    if (const Result<> more = await_more(); !more) return std::unexpected(more.error());
  }
}

Result<> ReplicaLink::begin(StreamPlace place, bool& anew,
                            const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  if (const auto up = log_in(pipe_, address_); !up) return up;
  // Those that do not know a word of these go on without it.
  static_cast<void>(pipe_.call({"REPLCONF", "listening-port", std::to_string(address_.port)}));
  static_cast<void>(pipe_.call({"REPLCONF", "capa", "eof", "capa", "psync2"}));
  const bool goes_on = !place.replication.empty();
  std::string bytes;
  const std::string from = goes_on ? std::to_string(place.offset + place.bytes + 1) : "-1";
  const std::string_view words[] = {"PSYNC", goes_on ? std::string_view(place.replication) : "?",
                                    from};
  append_command(bytes, words);
  if (const auto sent = pipe_.send(bytes); !sent) return sent;
  const Result<std::string> answer = line();
  if (!answer) return std::unexpected(answer.error());
  anew = !answer->starts_with("+CONTINUE");
  if (!anew) {
    replication_ = answer->size() > 10 ? answer->substr(10) : place.replication;
    offset_ = place.offset;
    received_ = place.bytes;
  } else {
    std::istringstream parts(*answer);
    std::string word;
    if (!(parts >> word >> replication_ >> offset_) || word != "+FULLRESYNC") {
      return fail(fmt::format("it takes no replica: {}", answer->substr(0, 200)));
    }
    received_ = 0;
    const Result<std::string> head = line();
    if (!head) return std::unexpected(head.error());
    if (const auto got = receive_dump(*head, progress); !got) return got;
  }
  OpenFile file(stream_file_, O_WRONLY | O_CREAT | (anew ? O_TRUNC : 0));
  // Bytes that were written and not noted are received again.
  if (file.get() < 0 || ::ftruncate(file.get(), static_cast<off_t>(received_)) != 0 ||
      ::lseek(file.get(), 0, SEEK_END) < 0) {
    return fail(fmt::format("{}: {}", stream_file_, std::strerror(errno)));
  }
  stream_ = file.release();
  return {};
}

Result<> ReplicaLink::receive_dump(
    const std::string& head, const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const OpenFile file(dump_file_, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0) return fail(fmt::format("{}: {}", dump_file_, std::strerror(errno)));
  constexpr std::string_view kMark = "$EOF:";
  const bool marked = head.starts_with(kMark);
  const std::string mark = marked ? head.substr(kMark.size()) : "";
  std::uint64_t size = 0;
  if (marked ? mark.size() != 40
             : !head.starts_with('$') ||
                   std::from_chars(head.data() + 1, head.data() + head.size(), size).ec !=
                       std::errc()) {
    return fail("it sends no dump: " + head.substr(0, 200));
  }
  for (std::uint64_t done = 0;;) {
    // Of a dump without a length, what may be a part of the mark is kept back.
    std::size_t take = pending_.size();
    bool ended = false;
    if (!marked) {
      take = static_cast<std::size_t>(std::min<std::uint64_t>(take, size - done));
    } else if (const std::size_t at = pending_.find(mark); at != std::string::npos) {
      take = at;
      ended = true;
    } else {
      take -= std::min(take, mark.size() - 1);
    }
    if (const auto written =
            write_all(file.get(), std::string_view(pending_).substr(0, take), dump_file_);
        !written) {
      return written;
    }
    pending_.erase(0, take + (ended ? mark.size() : 0));
    done += take;
    progress(done, size);
    if (marked ? ended : done == size) return {};
    if (const Result<> more = await_more(); !more) return more;
  }
}

void ReplicaLink::start() {
  thread_ = std::thread([this] { run(); });
}

void ReplicaLink::run() {
  auto next_ack = std::chrono::steady_clock::now();
  const auto ended = [this](const Result<>& done) {
    if (done) return false;
    error_ = done.error().message;
    failed_ = true;
    return true;
  };
  while (!ending_) {
    if (const auto now = std::chrono::steady_clock::now(); now >= next_ack) {
      next_ack = now + kBetweenAcks;
      std::string bytes;
      const std::string offset = std::to_string(offset_ + received_);
      const std::string_view words[] = {"REPLCONF", "ACK", offset};
      append_command(bytes, words);
      if (ended(pipe_.send(bytes))) return;
    }
    Result<std::string> more = std::string();
    if (pending_.empty()) {
      more = pipe_.receive(kPiece, 100);
    } else {
      more = std::exchange(pending_, {});
    }
    if (!more) {
      ended(std::unexpected(more.error()));
      return;
    }
    if (ended(write_all(stream_, *more, stream_file_))) return;
    received_ += more->size();
  }
}

StreamPlace ReplicaLink::place() const { return {replication_, offset_, received_}; }

std::string ReplicaLink::error() const { return failed_ ? error_ : std::string(); }

}  // namespace even::cli
