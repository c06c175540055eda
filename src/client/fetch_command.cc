// EVEN.FETCH: records of a topic's partition for clients of Redis's protocol. Any member of the
// partition's group serves it, from what it has applied. See docs/topics.md.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "client/connection_commands.h"
#include "cluster/placement.h"
#include "cluster/topic_ranges.h"
#include "engine/text.h"
#include "topic/record_batch.h"
#include "topic/record_reader.h"

namespace even {
namespace {

constexpr std::int64_t kUsualRecords = 100;
constexpr std::int64_t kMostRecords = 10'000;
constexpr std::int64_t kMostFetchBlockMs = 600'000;
constexpr std::size_t kFetchBytes = 1 << 20;
// Beyond BLOCK, for who has the partition.
constexpr std::chrono::seconds kFetchPatience{5};

struct FetchWords {
  std::int64_t offset = 0;
  std::int64_t count = kUsualRecords;
  std::int64_t block_ms = 0;
};

Result<FetchWords> read_fetch_words(Args args) {
  FetchWords words;
  if (!parse_strict_integer(args[3], words.offset) || words.offset < 0) {
    return fail(
        fmt::format("ERR an offset is a number from 0 on, not '{}'", args[3].substr(0, 64)));
  }
  for (std::size_t i = 4; i < args.size(); i += 2) {
    const bool is_count = equals_ignore_case(args[i], "count");
    if (i + 1 == args.size() || (!is_count && !equals_ignore_case(args[i], "block"))) {
      return fail(std::string(kSyntaxError));
    }
    std::int64_t& value = is_count ? words.count : words.block_ms;
    const std::int64_t most = is_count ? kMostRecords : kMostFetchBlockMs;
    if (!parse_strict_integer(args[i + 1], value) || value < (is_count ? 1 : 0) || value > most) {
      return fail(fmt::format("ERR {} is a number from {} to {}, not '{}'",
                              is_count ? "COUNT" : "BLOCK", is_count ? 1 : 0, most,
                              args[i + 1].substr(0, 64)));
    }
  }
  return words;
}

std::string fetch_error(std::string text) { return "-" + std::move(text) + "\r\n"; }

// Held by its timer; other threads hold it weakly.
class RecordFetch : public std::enable_shared_from_this<RecordFetch> {
 public:
  RecordFetch(Connection& connection, PartitionId partition, FetchWords words)
      : thread_(connection.thread()),
        client_(connection.weak_from_this()),
        slot_(connection.open_slot()),
        command_(connection.last_command()),
        resp3_(connection.session().resp3),
        partition_(partition),
        words_(words),
        timer_(thread_.io()) {}

  void start() {
    over_ = words_.block_ms == 0;
    wait(std::chrono::milliseconds(words_.block_ms) +
         (over_ ? kFetchPatience : std::chrono::seconds(0)));
    read();
  }

 private:
  void wait(std::chrono::milliseconds time) {
    timer_.expires_after(time);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (error || self->answered_) return;
      if (std::exchange(self->over_, true)) {
        return self->answer(fetch_error("UNAVAILABLE the records could not be read in time"));
      }
      if (!self->reading_) return self->answer("*0\r\n");
      self->wait(kFetchPatience);
    });
  }

  void read() {
    if (answered_ || client_.expired()) return finish();
    reading_ = true;
    const ShardId shard = shard_of_partition(partition_, thread_.node().shards);
    thread_.send_to(shard, [weak = weak_from_this(), from = thread_.id(), partition = partition_,
                            offset = words_.offset](ShardThread& owner) {
      owner.lease().when_free(
          [&owner, weak, from, partition, offset] { look(owner, weak, from, partition, offset); });
    });
  }

  struct Found {
    std::string records;
    std::string error;
    bool awaits = false;
    std::int64_t next = 0;  // behind what has been read
  };

  // On the partition's thread.
  static void look(ShardThread& owner, const std::weak_ptr<RecordFetch>& weak, ShardId from,
                   PartitionId partition, std::int64_t offset) {
    const auto give = [&owner, weak, from](Found found) {
      owner.send_to(from, [weak, found = std::move(found)](ShardThread&) mutable {
        if (const auto self = weak.lock()) self->take(std::move(found));
      });
    };
    const auto status = owner.shard().topic(partition);
    if (!status) return give({.records = {}, .error = other_node(owner, partition)});
    // Who does not lead may not have what others have shown.
    const bool beyond = offset > status->end && status->leads;
    const std::int64_t end = status->stable;
    if (offset < status->start || beyond) {
      return give({.records = {}, .error = out_of_range(*status)});
    }
    if (offset >= end) {
      owner.topics().await(
          partition, offset, /*stable=*/true, weak,
          [&owner, weak, from] {
            owner.send_to(from, [weak](ShardThread&) {
              if (const auto self = weak.lock()) self->wake();
            });
          },
          /*of_any_member=*/true);
      return give({.records = {}, .error = {}, .awaits = true});
    }
    owner.shard().read_topic(
        partition, offset, kFetchBytes,
        [give, &owner, partition, offset, end](Result<std::string> records) {
          owner.lease().when_free(
              [give, &owner, partition, offset, end, records = std::move(records)] {
                if (!records)
                  return give({.records = {}, .error = "IOERR " + records.error().message});
                const std::int64_t next = end_of(*records, end);
                const auto aborted = owner.shard().topic_aborted(partition, offset, next);
                if (!aborted)
                  return give({.records = {}, .error = "IOERR " + aborted.error().message});
                Found found{.records = {}, .error = {}, .next = offset};
                take_committed(*records, next, *aborted, found);
                give(std::move(found));
              });
        });
  }

  // Behind the last of these batches that begins before `end`.
  static std::int64_t end_of(std::string_view batches, std::int64_t end) {
    std::int64_t next = 0;
    while (batches.size() >= topic::kBatchHeadBytes) {
      const std::string_view batch = batches.substr(0, topic::batch_bytes(batches));
      const auto head = topic::read_head(batch);
      if (!head || head->base_offset >= end) break;
      next = head->base_offset + head->offsets();
      batches.remove_prefix(batch.size());
    }
    return next;
  }

  // Whole batches of records that are committed, of those before `end`.
  static void take_committed(std::string_view batches, std::int64_t end,
                             const std::vector<AbortedTransaction>& aborted, Found& found) {
    while (batches.size() >= topic::kBatchHeadBytes) {
      const std::string_view batch = batches.substr(0, topic::batch_bytes(batches));
      const auto head = topic::read_head(batch);
      if (!head || head->base_offset >= end) break;
      const bool was_aborted =
          head->transactional() &&
          std::ranges::any_of(aborted, [&head](const AbortedTransaction& transaction) {
            return transaction.producer_id == head->producer_id &&
                   transaction.first <= head->base_offset && head->base_offset <= transaction.last;
          });
      if (!was_aborted && !head->control() && head->records > 0) found.records += batch;
      found.next = head->base_offset + head->offsets();
      batches.remove_prefix(batch.size());
    }
  }

  static std::string out_of_range(const TopicStatus& status) {
    return fmt::format("OFFSETOUTOFRANGE records from offset {} to before {} are there",
                       status.start, status.end);
  }

  static std::string other_node(ShardThread& thread, PartitionId partition) {
    const cluster::Keyspace* topic = thread.keyspaces().of_partition(partition);
    if (topic == nullptr) return "ERR the topic has been dropped";
    const cluster::ClusterMap& map = thread.node().config.cluster;
    std::vector<std::string> names;
    for (const NodeNumber node : cluster::replicas_of(map, *topic, partition)) {
      if (const cluster::Node* known = map.find(node)) names.push_back(known->name);
    }
    return fmt::format("OTHERNODE this partition is on {}", fmt::join(names, ", "));
  }

  void wake() {
    woken_ = true;
    if (!reading_) read();
  }

  void take(Found found) {
    if (answered_) return;
    reading_ = false;
    if (!found.error.empty()) return answer(fetch_error(std::move(found.error)));
    if (!found.awaits && found.records.empty() && found.next > words_.offset) {
      words_.offset = found.next;  // nothing of that is to be seen
      return read();
    }
    if (!found.awaits) {
      std::int64_t count = 0;
      std::string reply = reply_of(found.records, count);
      // Compaction has removed all that the batch had from the offset on.
      if (count == 0 && reply.starts_with('*') && found.next > words_.offset) {
        words_.offset = found.next;
        return read();
      }
      return answer(std::move(reply));
    }
    if (over_) return answer("*0\r\n");
    if (std::exchange(woken_, false)) read();
  }

  // [offset, time, key, value, [name, value, ...]] for each.
  std::string reply_of(std::string_view bytes, std::int64_t& count) {
    std::string records;
    Reply reply(records, resp3_);
    const auto put = [&reply](std::optional<std::string_view> text) {
      text ? reply.bulk(*text) : reply.null();
    };
    const Result<> read = topic::for_each_record(bytes, [&](const topic::RecordView& record) {
      if (record.offset < words_.offset) return true;
      if (count == words_.count) return false;
      ++count;
      reply.array(5);
      reply.integer(record.offset);
      reply.integer(record.time_ms);
      put(record.key);
      put(record.value);
      reply.array(2 * record.headers.size());
      for (const auto& [name, value] : record.headers) {
        reply.bulk(name);
        put(value);
      }
      return true;
    });
    // What comes before is given first.
    if (!read && count == 0) return fetch_error("ERR " + read.error().message);
    return fmt::format("*{}\r\n{}", count, records);
  }

  void answer(std::string reply) {
    if (std::exchange(answered_, true)) return;
    if (const auto client = client_.lock()) client->complete(slot_, std::move(reply), command_);
    finish();
  }
  void finish() {
    answered_ = true;
    timer_.cancel();
  }

  ShardThread& thread_;
  const std::weak_ptr<Connection> client_;
  const std::uint64_t slot_;
  CommandStats::Entry* const command_;
  const bool resp3_;
  const PartitionId partition_;
  FetchWords words_;
  asio::steady_timer timer_;
  bool over_ = false;  // no more is waited for
  bool reading_ = false;
  bool woken_ = false;
  bool answered_ = false;
};

}  // namespace

void execute_fetch(Connection& connection, Args args) {
  const cluster::Keyspace* topic = connection.thread().keyspaces().find_topic(args[1]);
  if (topic == nullptr) {
    return connection.reply().error(fmt::format(
        "ERR there is no topic '{}': EVEN.TOPIC LIST names all", args[1].substr(0, 64)));
  }
  std::int64_t partition = 0;
  const auto topics = connection.thread().keyspaces().topics();
  const auto id = parse_strict_integer(args[2], partition)
                      ? cluster::partition_of_topic(topics, topic->name, partition)
                      : std::nullopt;
  if (!id) {
    return connection.reply().error(
        fmt::format("ERR '{}' has the partitions 0 to {}", topic->name,
                    cluster::partitions_in(cluster::ranges_of(topics, topic->name)) - 1));
  }
  const auto words = read_fetch_words(args);
  if (!words) return connection.reply().error(words.error().message);
  std::make_shared<RecordFetch>(connection, *id, *words)->start();
}

}  // namespace even
