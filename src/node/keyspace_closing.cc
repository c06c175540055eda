#include "node/keyspace_closing.h"

#include <spdlog/spdlog.h>

#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/cmd_meta.h"
#include "node/shard_thread.h"

namespace even {
namespace {

constexpr std::int64_t kEntryDeadlineMs = 5'000;
// For so long events may be on their way to their topics.
constexpr std::int64_t kEventsUs = 5'000'000;
constexpr std::chrono::milliseconds kLookAgain{100};

using Replied = std::move_only_function<void(std::string reply)>;

void enter(ShardThread& thread, PartitionId group, const std::vector<std::string>& words,
           Replied done) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  StrongCall call{.group = group, .writes = true, .deadline_ms = kEntryDeadlineMs};
  call.request = OwnedRequest::copy(*find_command("even.keyspace"), views, false, {});
  thread.strong().submit(std::move(call),
                         [done = std::move(done)](std::string reply, std::uint64_t) mutable {
                           done(std::move(reply));
                         });
}

void enter_in_meta(ShardThread& thread, std::vector<std::string> words, Replied done) {
  words.emplace(words.begin(), kMetaCommand);
  enter(thread, meta_partition(thread.node().placement.partitions()), words, std::move(done));
}

// Of all groups of the keyspace.
void enter_in_all(ShardThread& thread, const cluster::Keyspace& keyspace,
                  const std::vector<std::string>& words,
                  std::move_only_function<void(std::vector<std::string> replies)> done) {
  struct Asked {
    std::vector<std::string> replies;
    std::size_t missing;
    std::move_only_function<void(std::vector<std::string>)> done;
  };
  auto asked = std::make_shared<Asked>(std::vector<std::string>(keyspace.partitions),
                                       std::size_t{keyspace.partitions}, std::move(done));
  for (std::uint16_t i = 0; i < keyspace.partitions; ++i) {
    enter(thread, static_cast<PartitionId>(keyspace.first + i), words,
          [asked, i](std::string reply) {
            asked->replies[i] = std::move(reply);
            if (--asked->missing == 0) asked->done(std::move(asked->replies));
          });
  }
}

// ":3\r\n"
std::optional<std::uint64_t> number_in(std::string_view reply) {
  std::uint64_t number = 0;
  if (!reply.starts_with(':')) return std::nullopt;
  const auto [stop, error] = std::from_chars(reply.data() + 1, reply.data() + reply.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

class Closing : public std::enable_shared_from_this<Closing> {
 public:
  Closing(ShardThread& thread, const cluster::Keyspace& keyspace, KeyspaceClosed done)
      : thread_(thread),
        keyspace_(keyspace),
        done_(std::move(done)),
        until_us_(thread.clock().monotonic_us() + kEventsUs) {}

  void begin() {
    enter_in_meta(thread_, {"CLOSE", keyspace_.name, std::to_string(keyspace_.first)},
                  [self = shared_from_this()](auto reply) {
                    const auto attempt = number_in(reply);
                    if (!attempt) return self->done_(fail(reply));
                    self->attempt_ = *attempt;
                    self->close();
                  });
  }

 private:
  void close() {
    enter_in_all(thread_, keyspace_, {std::string(kCloseCommand), std::to_string(attempt_)},
                 [self = shared_from_this()](const std::vector<std::string>& replies) {
                   self->take(replies);
                 });
  }

  void take(const std::vector<std::string>& replies) {
    std::uint64_t keys = 0;
    const std::string* error = nullptr;
    bool only_events = true;
    for (const std::string& reply : replies) {
      if (const auto number = number_in(reply)) {
        keys += *number;
        continue;
      }
      only_events = only_events && reply.starts_with("-TRYAGAIN ");
      if (error == nullptr || !reply.starts_with("-TRYAGAIN ")) error = &reply;
    }
    if (keys == 0 && error == nullptr) return done_(ClosedKeyspace{.attempt = attempt_});
    if (keys == 0 && only_events && thread_.clock().monotonic_us() < until_us_) {
      auto timer = std::make_shared<asio::steady_timer>(thread_.io(), kLookAgain);
      timer->async_wait([self = shared_from_this(), timer](error_code failed) {
        if (!failed) self->close();
      });
      return;
    }
    Result<ClosedKeyspace> result = ClosedKeyspace{.keys = keys};
    if (keys == 0) result = fail(*error);
    open_keyspace(thread_, keyspace_, attempt_,
                  [self = shared_from_this(), result = std::move(result)]() mutable {
                    self->done_(std::move(result));
                  });
  }

  ShardThread& thread_;
  const cluster::Keyspace keyspace_;
  KeyspaceClosed done_;
  const std::int64_t until_us_;
  std::uint64_t attempt_ = 0;
};

}  // namespace

void close_keyspace(ShardThread& thread, const cluster::Keyspace& keyspace, KeyspaceClosed done) {
  std::make_shared<Closing>(thread, keyspace, std::move(done))->begin();
}

void open_keyspace(ShardThread& thread, const cluster::Keyspace& keyspace, std::uint64_t attempt,
                   std::move_only_function<void()> done) {
  enter_in_all(thread, keyspace, {std::string(kOpenCommand), std::to_string(attempt)},
               [done = std::move(done)](const std::vector<std::string>&) mutable { done(); });
}

void open_group_left_closed(ShardThread& thread, PartitionId group, std::uint64_t attempt) {
  const cluster::Keyspace* keyspace = thread.keyspaces().of_partition(group);
  if (keyspace == nullptr) return;
  spdlog::warn(
      "group {} of the keyspace '{}' was closed to be dropped and has been left so: it is opened "
      "unless the keyspace has been dropped",
      group, keyspace->name);
  enter_in_meta(thread,
                {"OPEN", keyspace->name, std::to_string(keyspace->first), std::to_string(attempt)},
                [&thread, group, attempt](const std::string& reply) {
                  if (!reply.starts_with('+')) return;
                  enter(thread, group, {std::string(kOpenCommand), std::to_string(attempt)},
                        [](const std::string&) {});
                });
}

}  // namespace even
