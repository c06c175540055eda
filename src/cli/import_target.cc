#include "cli/import_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/hash.h"
#include "resp/resp_merge.h"

namespace even::cli {
namespace {

constexpr std::chrono::milliseconds kPause{100};
constexpr int kMostAttempts = 600;

}  // namespace

bool ImportTarget::passes(std::string_view reply) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"-TRYAGAIN", "-LOADING", "-BUSY", "-CLUSTERDOWN",
                                              "-UNAVAILABLE"},
      [first = reply.substr(0, reply.find_first_of(" \r"))](std::string_view word) {
        return first == word;
      });
}

ImportTarget::~ImportTarget() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (const auto& lane : lanes_) lane->thread.join();
}

Result<> ImportTarget::connect() {
  for (int i = 0; i < connections_; ++i) {
    auto lane = std::make_unique<Lane>();
    if (const Result<> in = log_in(lane->pipe, address_); !in) return in;
    lanes_.push_back(std::move(lane));
  }
  for (const auto& lane : lanes_) {
    lane->thread = std::thread([this, &lane = *lane] { run(lane); });
  }
  return {};
}

// A unit may be sent again, behind others: so it does not count on what has been selected before.
bool ImportTarget::add(std::uint64_t database, std::string_view key, Batch::Unit unit,
                       auto append) {
  Lane& lane = *lanes_[hash64(key) % lanes_.size()];
  lane.selects = lane.selects || database != 0;
  if (lane.selects) {
    const std::string number = std::to_string(database);
    const std::string_view select[] = {"SELECT", number};
    append_command(lane.gathered.bytes, select);
    ++unit.replies;
  }
  append(lane.gathered.bytes);
  unit.end = lane.gathered.bytes.size();
  lane.gathered.units.push_back(unit);
  if (lane.gathered.bytes.size() >= kBatchBytes) hand_over(lane);
  const std::lock_guard lock(mutex_);
  return error_.empty();
}

bool ImportTarget::execute(std::uint64_t database, std::string_view key,
                           std::span<const std::string_view> words) {
  return add(database, key, {}, [words](std::string& bytes) { append_command(bytes, words); });
}

bool ImportTarget::execute_together(std::uint64_t database, std::string_view key,
                                    std::string_view commands, std::size_t count, Repeat repeat) {
  const Batch::Unit unit{.replies = count + 2, .transaction = true, .repeat = repeat};
  return add(database, key, unit, [commands](std::string& bytes) {
    const std::string_view begin[] = {"MULTI"};
    const std::string_view end[] = {"EXEC"};
    append_command(bytes, begin);
    bytes += commands;
    append_command(bytes, end);
  });
}

void ImportTarget::hand_over(Lane& lane) {
  if (lane.gathered.units.empty()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return lane.waiting.size() < kMostBatches || !error_.empty(); });
  lane.waiting.push_back(std::exchange(lane.gathered, {}));
  lock.unlock();
  changed_.notify_all();
}

Result<> ImportTarget::finish() {
  for (const auto& lane : lanes_) hand_over(*lane);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] {
    return !error_.empty() || std::ranges::all_of(lanes_, [](const auto& lane) {
      return lane->waiting.empty() && !lane->busy;
    });
  });
  if (!error_.empty()) return fail(error_);
  return {};
}

std::string ImportTarget::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

bool ImportTarget::broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

void ImportTarget::run(Lane& lane) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !lane.waiting.empty(); });
    if (ending_) return;
    const Batch batch = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    lane.busy = true;
    const bool failed = !error_.empty();
    lock.unlock();
    changed_.notify_all();
    const Result<> sent = failed ? Result<>() : send(lane, batch);
    lock.lock();
    lane.busy = false;
    if (!sent && error_.empty()) error_ = sent.error().message;
    changed_.notify_all();
  }
}

// A transaction that was refused as a whole has done nothing; one that was not has done all but
// what failed in it.
Result<std::optional<ImportTarget::Refusal>> ImportTarget::read_unit(Lane& lane,
                                                                     const Batch::Unit& unit) {
  std::optional<Refusal> refused;
  for (std::size_t i = 0; i < unit.replies; ++i) {
    const Result<std::string_view> reply = lane.pipe.reply();
    if (!reply) return std::unexpected(reply.error());
    const auto refuse = [&refused](std::string_view error, bool may_pass, bool rest_done) {
      if (refused) return;
      refused = {std::string(error.substr(1, error.size() - 3)), may_pass, rest_done};
    };
    if (reply->starts_with('-')) refuse(*reply, passes(*reply), false);
    if (!unit.transaction || !reply->starts_with('*')) continue;
    for (std::string_view rest = reply->substr(reply->find('\n') + 1); !rest.empty();) {
      const std::size_t size = reply_length(rest);
      if (size == 0) break;
      if (rest.starts_with('-')) refuse(rest.substr(0, size), false, true);
      rest.remove_prefix(size);
    }
  }
  return refused;
}

// Those that were refused for now are sent again with all that follow, so that the order holds: a
// later one that was executed all the same is executed again. So transactions are sent one by one.
Result<> ImportTarget::send(Lane& lane, const Batch& batch) {
  std::size_t from = 0;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const std::size_t begin = from == 0 ? 0 : batch.units[from - 1].end;
    const bool alone = batch.units[from].transaction;
    const std::size_t end = alone ? from + 1 : batch.units.size();
    const std::string_view bytes(batch.bytes);
    if (const Result<> sent = lane.pipe.send(bytes.substr(begin, batch.units[end - 1].end - begin));
        !sent) {
      return sent;
    }
    std::size_t refused_at = end;
    std::string why;
    for (std::size_t i = from; i < end; ++i) {
      const Result<std::optional<Refusal>> refused = read_unit(lane, batch.units[i]);
      if (!refused) return std::unexpected(refused.error());
      if (!*refused) {
        continue;
      }
      if (!(*refused)->passes) {
        const std::size_t start = i == 0 ? 0 : batch.units[i - 1].end;
        std::string command(
            bytes.substr(start, std::min<std::size_t>(batch.units[i].end - start, 200)));
        if ((*refused)->rest_done && batch.units[i].repeat == Repeat::kMayNot) {
          const std::lock_guard lock(mutex_);
          broken_ = true;
        }
        std::ranges::replace_if(command, [](char c) { return c < ' ' || c > '~'; }, ' ');
        return fail(
            fmt::format("the target refuses a command: {} ({})", (*refused)->reply, command));
      }
      if (refused_at == end) {
        refused_at = i;
        why = (*refused)->reply;
      }
    }
    from = refused_at;
    if (from == batch.units.size()) return {};
    if (refused_at == end) {
      attempt = -1;
      continue;
    }
    if (attempt % 50 == 20) {
      fmt::print(stderr, "the target refuses writes for now, trying again: {}\n", why);
    }
    if (attempt + 1 == kMostAttempts) return fail("the target refuses writes: " + why);
    std::this_thread::sleep_for(kPause);
  }
  return {};
}

}  // namespace even::cli
