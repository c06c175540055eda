#include "node/publisher.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "node/shard_thread.h"
#include "peer/publish_message.h"

namespace even {
namespace {

// A frame with as much in it is sent.
constexpr std::size_t kFrameBytes = 64 * 1024;
// Behind so much on a link nothing is put: messages may be lost, and what keeps the replicas equal
// is to get through.
constexpr std::size_t kMostWaiting = std::size_t{16} << 20;
// Longer messages stay on the node; see what a link takes as a frame.
constexpr std::size_t kLongestMessage = std::size_t{1} << 30;

}  // namespace

std::uint64_t Publisher::deliver(const Published& published) {
  std::uint64_t given = thread_.subscriptions().deliver(published);
  given += thread_.node().subscriptions.receivers_beside(thread_.id(), published.kind,
                                                         published.channel, receivers_);
  if (receivers_.empty()) return given;
  struct Owned {
    explicit Owned(const Published& from)
        : channel(from.channel), message(from.message), published{from.kind, channel, message} {}
    const std::string channel, message;
    const Published published;
  };
  const auto owned = std::make_shared<const Owned>(published);
  for (const ShardId receiver : receivers_) {
    thread_.send_to(receiver, [owned](ShardThread& thread) {
      thread.subscriptions().deliver(owned->published);
    });
  }
  return given;
}

std::uint64_t Publisher::publish(const Published& published) {
  if (thread_.peers().any_up() &&
      published.channel.size() + published.message.size() <= kLongestMessage) {
    append_published(published, frame_);
    ++messages_;
    if (frame_.size() >= kFrameBytes) send_frame();
  }
  return deliver(published);
}

Result<> Publisher::receive(std::string_view frame) {
  const Result<std::vector<Published>> messages = decode_published(frame);
  if (!messages) return std::unexpected(messages.error());
  stats_.received += messages->size();
  for (const Published& published : *messages) deliver(published);
  return {};
}

void Publisher::note(const KeyEvent& event) {
  const std::uint32_t wanted = thread_.node().options.key_events.load(std::memory_order_relaxed);
  if ((wanted & event.kind) == 0 || !thread_.node().subscriptions.any()) return;
  events_.push_back({event.kind, event.name, std::string(event.key)});
}

void Publisher::flush() {
  const std::uint32_t wanted = thread_.node().options.key_events.load(std::memory_order_relaxed);
  const DatabaseMap databases = thread_.node().databases.load();
  for (const Event& event : std::exchange(events_, {})) {
    const DatabaseNumber database = databases.database(database_of(event.key));
    const std::string_view key = user_key(event.key);
    if ((wanted & kEventsByKey) != 0) {
      const std::string channel = fmt::format("__keyspace@{}__:{}", database, key);
      deliver({SubscriptionKind::kChannel, channel, event.name});
    }
    if ((wanted & kEventsByName) != 0) {
      const std::string channel = fmt::format("__keyevent@{}__:{}", database, event.name);
      deliver({SubscriptionKind::kChannel, channel, key});
    }
  }
  if (messages_ > 0) send_frame();
}

void Publisher::send_frame() {
  const std::size_t full = thread_.peers().send_to_all(FrameType::kPublished, frame_, kMostWaiting);
  stats_.dropped += full * messages_;
  messages_ = 0;
  frame_.clear();
  if (frame_.capacity() > 2 * kFrameBytes) frame_.shrink_to_fit();
}

}  // namespace even
