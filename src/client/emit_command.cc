// EVEN.EMIT: see docs/emit.md.
#include <fmt/format.h>

#include <charconv>

#include "client/connection_commands.h"
#include "client/events_of_transaction.h"
#include "cluster/topic_ranges.h"
#include "engine/outbox.h"
#include "engine/text.h"
#include "topic/event.h"
#include "topic/event_topic.h"

namespace even {
namespace {

constexpr std::size_t kHeaderWords = 3;  // HEADER name value

Result<topic::Event> read_event(const ShardThread& thread, Args args) {
  topic::Event event{.topic = args[1], .key = args[2], .value = args[3], .headers = {}};
  for (std::size_t i = 4; i < args.size(); i += kHeaderWords) {
    if (!equals_ignore_case(args[i], "header") || i + kHeaderWords > args.size()) {
      return fail(
          fmt::format("ERR HEADER name value is expected, not '{}'", args[i].substr(0, 64)));
    }
    event.headers.emplace_back(args[i + 1], args[i + 2]);
  }
  if (thread.keyspaces().find_topic(event.topic) == nullptr) {
    return fail(fmt::format("ERR there is no topic '{}': EVEN.TOPIC CREATE makes one",
                            event.topic.substr(0, 64)));
  }
  if (event.bytes() > topic::kMostEventBytes) {
    return fail(fmt::format("ERR an event has at most {} bytes, this one has {}",
                            topic::kMostEventBytes, event.bytes()));
  }
  return event;
}

// The last key among its words, or the first; none: it names none.
std::optional<std::string_view> key_of(const OwnedRequest& part, bool last) {
  std::optional<std::string_view> found;
  if (is_outbox_command(*part.command)) return found;
  for_each_key(*part.command, part.args, [&](std::string_view key) {
    if (last || !found) found = key;
  });
  return found;
}

std::string_view anchor_of(const OwnedRequest& exec, std::size_t event) {
  const std::vector<OwnedRequest>& parts = exec.parts;
  for (std::size_t i = event; i-- > 0;) {
    if (const auto key = key_of(parts[i], true)) return *key;
  }
  for (std::size_t i = event + 1; i < parts.size(); ++i) {
    if (const auto key = key_of(parts[i], false)) return *key;
  }
  // Nothing is changed: what it depends on may have a partition.
  for (const OwnedRequest& watch : exec.watched) {
    if (const auto key = key_of(watch, false)) return *key;
  }
  const auto alone = topic::Event::decode(parts[event].args[2]);
  return alone ? alone->key : std::string_view();
}

}  // namespace

void execute_emit(Connection& connection, Args args) {
  ShardThread& thread = connection.thread();
  const Result<topic::Event> event = read_event(thread, args);
  if (!event) return connection.reply().error(event.error().message);
  const auto topics = thread.keyspaces().topics();
  const std::uint16_t count = cluster::partitions_in(cluster::ranges_of(topics, event->topic));
  const auto any = static_cast<PartitionId>(thread.random().below(count));
  const std::uint16_t number = topic::partition_of(*event, any, count);
  const topic::TimedEvent timed{*event, thread.clock().wall_ms()};
  const std::vector<std::string> words = {
      std::string(kAppendCommand), topic::make_batch(std::span(&timed, 1)), {}};
  thread.topics().append_events(*cluster::partition_of_topic(topics, event->topic, number), words,
                                [weak = connection.weak_from_this(), slot = connection.open_slot(),
                                 number, command = connection.last_command()](std::string reply) {
                                  const auto client = weak.lock();
                                  if (!client) return;
                                  if (reply.starts_with(':'))
                                    reply = fmt::format("*2\r\n:{}\r\n{}", number, reply);
                                  client->complete(slot, std::move(reply), command);
                                });
}

Result<OwnedRequest> queued_event(ShardThread& thread, Args args, bool resp3,
                                  const ClientLabel& client) {
  Result<topic::Event> event = read_event(thread, args);
  if (!event) return std::unexpected(event.error());
  const auto ranges = cluster::ranges_of(thread.keyspaces().topics(), event->topic);
  std::string target;
  if (ranges.size() > 1) {
    target =
        topic::event_topic_text({event->topic, cluster::partitions_in(ranges), ranges[0]->first});
    event->topic = target;
  }
  const std::string encoded = event->encode();
  // Its key is not known before EXEC.
  const std::string_view words[] = {kOutboxCommand.name, {}, encoded};
  return OwnedRequest::copy(kOutboxCommand, words, resp3, client);
}

void place_events(ShardThread& thread, OwnedRequest& exec) {
  const NodeContext& node = thread.node();
  for (std::size_t i = 0; i < exec.parts.size(); ++i) {
    OwnedRequest& part = exec.parts[i];
    if (!is_outbox_command(*part.command)) continue;
    const std::string_view anchor = anchor_of(exec, i);
    const PartitionId partition =
        thread.keyspaces().partition_of(anchor, node.placement.partitions());
    const bool strong = partition >= node.placement.partitions();
    part.command = strong ? &kStrongOutboxCommand : &kOutboxCommand;
    if (strong) part.group = partition;
    part.args[1] = strong ? kOutboxKey : node.outbox_keys.of(partition);
  }
}

}  // namespace even
