#include "node/table_change.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>

#include "engine/cmd_meta.h"
#include "node/shard_thread.h"

namespace even {
namespace {

constexpr std::int64_t kDeadlineMs = 5'000;
constexpr std::chrono::milliseconds kAgain{100};

// ":3\r\n", the version of what has come of a change.
std::optional<std::uint64_t> version_of(std::string_view reply) {
  std::uint64_t version = 0;
  if (!reply.starts_with(':')) return std::nullopt;
  const auto [stop, error] =
      std::from_chars(reply.data() + 1, reply.data() + reply.size(), version);
  return error == std::errc() ? std::optional(version) : std::nullopt;
}

class Change : public std::enable_shared_from_this<Change> {
 public:
  Change(ShardThread& thread, std::vector<std::string> words, std::string_view what,
         TableChanged done)
      : thread_(thread),
        words_(std::move(words)),
        what_(what),
        done_(std::move(done)),
        deadline_us_(thread.clock().monotonic_us() + kDeadlineMs * 1000) {}

  void submit() {
    const std::vector<std::string_view> views(words_.begin(), words_.end());
    StrongCall call{.group = meta_partition(thread_.node().placement.partitions()),
                    .writes = true,
                    .deadline_ms = kDeadlineMs};
    call.request = OwnedRequest::copy(*find_command("even.topic"), views, false, {});
    thread_.strong().submit(std::move(call),
                            [self = shared_from_this()](const std::string& reply, std::uint64_t) {
                              self->applied(reply);
                            });
  }

 private:
  void applied(const std::string& reply) {
    // Nodes that have just been started join within a moment.
    if (reply.starts_with("-TRYAGAIN ") && thread_.clock().monotonic_us() < deadline_us_) {
      auto timer = std::make_shared<asio::steady_timer>(thread_.io(), kAgain);
      timer->async_wait([self = shared_from_this(), timer](error_code error) {
        if (!error) self->submit();
      });
      return;
    }
    const std::optional<std::uint64_t> version = version_of(reply);
    if (!version) return done_(reply);
    thread_.strong().await_served(
        *version, [self = shared_from_this()](const std::vector<std::string>& missing) {
          if (missing.empty()) return self->done_("+OK\r\n");
          self->done_(fmt::format(
              "-PARTIAL the {} have been changed, but {} can be reached and does not serve by "
              "that yet\r\n",
              self->what_, fmt::join(missing, ", ")));
        });
  }

  ShardThread& thread_;
  const std::vector<std::string> words_;
  const std::string what_;
  TableChanged done_;
  const std::int64_t deadline_us_;
};

}  // namespace

void create_in_table(ShardThread& thread, const cluster::Keyspace& keyspace, TableChanged done) {
  const NodeContext& node = thread.node();
  std::vector<std::string> words = {std::string(kMetaCommand), "CREATE", cluster::encode(keyspace),
                                    std::to_string(node.placement.partitions() + 1)};
  for (const cluster::Node& each : node.config.cluster.nodes) {
    words.push_back(std::to_string(each.number));
    words.push_back(each.name);
  }
  change_table(thread, std::move(words), "topics", std::move(done));
}

void change_table(ShardThread& thread, std::vector<std::string> words, std::string_view what,
                  TableChanged done) {
  std::make_shared<Change>(thread, std::move(words), what, std::move(done))->submit();
}

Result<> all_know(ShardThread& thread, std::uint8_t ability, std::string_view what) {
  for (const cluster::Node& node : thread.node().config.cluster.nodes) {
    if (node.number == thread.node().number || node.peer_port == 0) continue;
    if ((thread.peers().abilities(node.number) & ability) != 0) continue;
    return fail(fmt::format(
        "UNAVAILABLE nothing was done: {} needs nodes that all know it, and {} has not said so "
        "since this node was started: it cannot be reached, or is of an earlier version",
        what, node.name));
  }
  return {};
}

void alter_topic(ShardThread& thread, const cluster::Keyspace& topic, TableChanged done) {
  std::vector<std::string> words = {std::string(kMetaCommand),
                                    "ALTERTOPIC",
                                    topic.name,
                                    "RETENTION",
                                    std::to_string(topic.retention_ms.value_or(-1)),
                                    "BYTES",
                                    std::to_string(topic.retention_bytes.value_or(-1))};
  for (std::string& word : cluster::cleanup_words(topic.cleanup)) words.push_back(std::move(word));
  change_table(thread, std::move(words), "topics", std::move(done));
}

void drop_topic(ShardThread& thread, const std::string& name, TableChanged done) {
  std::vector<std::string> words = {std::string(kMetaCommand), "DROPTOPIC", name};
  change_table(thread, std::move(words), "topics", std::move(done));
}

cluster::Keyspace new_topic(ShardThread& thread, std::string name, std::uint16_t partitions,
                            std::uint16_t replicas) {
  cluster::Keyspace topic;
  topic.name = std::move(name);
  topic.strong = topic.topic = true;
  topic.partitions = partitions != 0 ? partitions : 1;
  topic.replicas = replicas != 0 ? replicas : thread.node().config.cluster.replicas;
  return topic;
}

}  // namespace even
