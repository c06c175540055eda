#include "engine/cmd_meta.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <set>

#include "base/hash.h"
#include "base/mutant.h"
#include "base/reserved.h"
#include "cluster/client_quota.h"
#include "cluster/cluster_map.h"
#include "cluster/topic_ranges.h"
#include "engine/acl.h"
#include "engine/databases.h"
#include "engine/function_name.h"
#include "engine/library.h"
#include "engine/text.h"
#include "topic/event_topic.h"

namespace even {
namespace {

constexpr std::string_view kKeyspacePrefix = "keyspace:";
constexpr std::string_view kTopicPrefix = "topic:";
constexpr std::string_view kNodePrefix = "node:";
constexpr std::string_view kUserPrefix = "user:";
constexpr std::string_view kLibraryPrefix = "library:";
constexpr std::string_view kQuotaPrefix = "quota:";
constexpr std::string_view kClosingPrefix = "closing:";
constexpr std::string_view kNextKey = "next";
constexpr std::string_view kVersionKey = "version";
constexpr std::string_view kProducersKey = "producers";
constexpr std::string_view kDatabasesKey = "databases";

template <typename Number>
bool read_number(std::string_view text, Number& out) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && stop == end;
}

template <typename Number>
Number number_of(std::string_view text) {
  Number number = 0;
  read_number(text, number);
  return number;
}

// Calls visit(key, value) for each key of the state.
template <typename Visit>
void for_each_string(const PartitionState& state, Visit visit) {
  state.for_each([&visit](std::string_view key, const Object& object) {
    std::string scratch;
    if (object.type() == ObjectType::kString) visit(key, object.string().value(scratch));
  });
}

struct MetaState {
  std::vector<cluster::Keyspace> keyspaces;
  std::vector<cluster::Keyspace> topics;
  std::vector<std::pair<NodeNumber, std::uint16_t>> lines;  // by node
  std::uint32_t next = 0;
  std::uint64_t version = 0;
  std::string session_key;
  cluster::Definitions users;
  cluster::Definitions libraries;
  DatabaseMap databases;
  cluster::Definitions quotas;
};

MetaState read_state(const PartitionState& state) {
  MetaState out;
  for_each_string(state, [&out](std::string_view key, std::string_view value) {
    if (key.starts_with(kKeyspacePrefix)) {
      if (auto keyspace = cluster::decode_keyspace(value)) {
        out.keyspaces.push_back(std::move(*keyspace));
      }
    } else if (key.starts_with(kTopicPrefix)) {
      if (auto topic = cluster::decode_keyspace(value)) out.topics.push_back(std::move(*topic));
    } else if (key.starts_with(kNodePrefix)) {
      out.lines.emplace_back(number_of<NodeNumber>(key.substr(kNodePrefix.size())),
                             number_of<std::uint16_t>(value));
    } else if (key.starts_with(kUserPrefix)) {
      out.users.emplace_back(key.substr(kUserPrefix.size()), value);
    } else if (key.starts_with(kLibraryPrefix)) {
      out.libraries.emplace_back(key.substr(kLibraryPrefix.size()), value);
    } else if (key == kNextKey) {
      out.next = number_of<std::uint32_t>(value);
    } else if (key == kVersionKey) {
      out.version = number_of<std::uint64_t>(value);
    } else if (key == kSessionKeyKey) {
      out.session_key = value;
    } else if (key == kDatabasesKey) {
      out.databases = DatabaseMap::parse(value).value_or(DatabaseMap());
    } else if (key.starts_with(kQuotaPrefix)) {
      out.quotas.emplace_back(key.substr(kQuotaPrefix.size()), value);
    }
  });
  std::ranges::sort(out.lines);
  std::ranges::sort(out.topics, {}, &cluster::Keyspace::name);
  return out;
}

MetaState state_of(const Context& context) {
  return read_state(context.keyspace().state(context.keyspace().partition_of(kVersionKey)));
}

void put(Context& context, std::string_view key, std::string value) {
  context.write(context.keep(std::string(key))).set_string(context.keep(std::move(value)), false);
}

std::string key_of(std::string_view name) {
  return std::string(kKeyspacePrefix) + std::string(name);
}
std::string topic_key_of(std::string_view name) {
  return std::string(kTopicPrefix) + std::string(name);
}

void count_change(Context& context, const MetaState& state) {
  put(context, kVersionKey, std::to_string(state.version + 1));
  context.reply.integer(static_cast<std::int64_t>(state.version + 1));
}

const cluster::Keyspace* find(const std::vector<cluster::Keyspace>& all, std::string_view name) {
  const auto found = std::ranges::find(all, name, &cluster::Keyspace::name);
  return found == all.end() ? nullptr : &*found;
}
const cluster::Keyspace* find(const MetaState& state, std::string_view name) {
  return find(state.keyspaces, name);
}

// Why there can be no such keyspace, or topic, beside those that there are; empty: there can.
std::string why_not(const cluster::Keyspace& keyspace, const MetaState& state) {
  if (keyspace.topic) {
    if (!cluster::valid_topic_name(keyspace.name)) {
      return fmt::format("ERR a topic cannot be called '{}': a name is {}",
                         keyspace.name.substr(0, 64), cluster::kTopicNameRule);
    }
    if (find(state.topics, keyspace.name) != nullptr) {
      return fmt::format("ERR there is a topic '{}' already: EVEN.TOPIC INFO {} shows it",
                         keyspace.name, keyspace.name);
    }
    return {};
  }
  if (!cluster::valid_node_name(keyspace.name) || keyspace.name == "default") {
    return fmt::format(
        "ERR a keyspace cannot be called '{}': a name is {}, and not "
        "'default'",
        keyspace.name.substr(0, 64), cluster::kNodeNameRule);
  }
  if (find(state, keyspace.name) != nullptr) {
    return fmt::format("ERR there is a keyspace '{}' already: EVEN.KEYSPACE INFO {} shows it",
                       keyspace.name, keyspace.name);
  }
  if (keyspace.prefix.empty()) return "ERR the empty prefix is that of the keyspace 'default'";
  if (meets_reserved(keyspace.prefix)) {
    return "ERR the prefix is one of keys that are not for clients, or of these as well";
  }
  const auto same = std::ranges::find(state.keyspaces, keyspace.prefix, &cluster::Keyspace::prefix);
  if (same == state.keyspaces.end()) return {};
  return fmt::format("ERR the prefix '{}' is that of the keyspace '{}' already",
                     keyspace.prefix.substr(0, 64), same->name);
}

// The feed's topic is there, and this is the life of the feed that begins with this change; else
// why not.
std::string begin_feed(cluster::Keyspace& keyspace, const MetaState& state, std::int64_t now_ms) {
  if (keyspace.feed.empty() && keyspace.feed_snapshot) {
    return fmt::format("ERR SNAPSHOT is of a feed: the keyspace '{}' has none", keyspace.name);
  }
  const std::string name(topic::read_event_topic(keyspace.feed).name);
  const auto ranges = cluster::ranges_of(state.topics, name);
  if (!keyspace.feed.empty() && ranges.empty()) {
    return fmt::format("ERR there is no topic '{}': EVEN.TOPIC CREATE makes one",
                       name.substr(0, 249));
  }
  // A life of a feed keeps to the partitions that its topic has now, and so to the order of each
  // key.
  keyspace.feed = name;
  if (ranges.size() > 1) {
    keyspace.feed =
        topic::event_topic_text({name, cluster::partitions_in(ranges), ranges[0]->first});
  }
  // By the clock, too: after a restore from a backup there may be partitions that know of later
  // versions than the table's.
  keyspace.feed_epoch = std::max({state.version + 1, keyspace.feed_epoch + 1,
                                  static_cast<std::uint64_t>(std::max<std::int64_t>(now_ms, 0))});
  return {};
}

void join(Context& context, Args args) {
  NodeNumber node = 0;
  std::uint16_t line = 0;
  if (args.size() != 4 || !read_number(args[2], node) || !read_number(args[3], line)) {
    return context.reply.error(kSyntaxError);
  }
  put(context, fmt::format("{}{}", kNodePrefix, node), std::to_string(line));
  context.reply.ok();
}

void create(Context& context, Args args) {
  Reply& reply = context.reply;
  std::uint32_t free = 0;
  if (args.size() < 4 || args.size() % 2 != 0 || !read_number(args[3], free)) {
    return reply.error(kSyntaxError);
  }
  Result<cluster::Keyspace> keyspace = cluster::decode_keyspace(args[2]);
  if (!keyspace) return reply.error("ERR " + keyspace.error().message);
  const MetaState state = state_of(context);

  if (const std::string why = why_not(*keyspace, state); !why.empty()) return reply.error(why);
  const std::size_t nodes = (args.size() - 4) / 2;
  for (std::size_t i = 4; i < args.size(); i += 2) {
    const auto number = number_of<NodeNumber>(args[i]);
    if (std::ranges::find(state.lines, number, &std::pair<NodeNumber, std::uint16_t>::first) ==
        state.lines.end()) {
      return reply.error(
          fmt::format("TRYAGAIN node {} has not joined the cluster yet: keyspaces can be created "
                      "once all nodes "
                      "have been started",
                      args[i + 1]));
    }
  }
  if (!keyspace->feed.empty() || keyspace->feed_snapshot) {
    if (const std::string why = begin_feed(*keyspace, state, context.now_ms); !why.empty()) {
      return reply.error(why);
    }
  }
  if (keyspace->replicas == 0 || keyspace->replicas > nodes) {
    return reply.error(fmt::format("ERR {} replicas are not possible: the cluster has {} nodes",
                                   keyspace->replicas, nodes));
  }
  if (keyspace->strong) {
    if (keyspace->partitions == 0 || keyspace->partitions > cluster::kSlots) {
      return reply.error(fmt::format("ERR {} partitions are not possible: it is 1 to {}",
                                     keyspace->partitions, cluster::kSlots));
    }
    const std::uint32_t first = std::max(state.next, free);
    if (first + keyspace->partitions > kMostPartitions) {
      return reply.error(
          fmt::format("ERR too many partitions: {} are in use or have been, which leaves {} of {}",
                      first, kMostPartitions - std::min(first, kMostPartitions), kMostPartitions));
    }
    keyspace->first = static_cast<PartitionId>(first);
    put(context, kNextKey, std::to_string(first + keyspace->partitions));
  }
  keyspace->lines = state.lines;
  put(context, keyspace->topic ? topic_key_of(keyspace->name) : key_of(keyspace->name),
      cluster::encode(*keyspace));
  count_change(context, state);
}

void alter(Context& context, Args args) {
  Reply& reply = context.reply;
  if (args.size() < 5) return reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  const cluster::Keyspace* found = find(state, args[2]);
  if (found == nullptr) {
    return reply.error(fmt::format("ERR there is no keyspace '{}'", args[2].substr(0, 64)));
  }
  cluster::Keyspace keyspace = *found;
  bool of_feed = false;
  keyspace.feed_snapshot = false;
  for (std::size_t i = 3; i < args.size();) {
    const std::string_view option = args[i++];
    if (equals_ignore_case(option, "feed")) {
      if (i == args.size()) return reply.error(kSyntaxError);
      keyspace.feed = equals_ignore_case(args[i], "none") ? std::string_view() : args[i];
      of_feed = true;
      ++i;
      continue;
    }
    if (equals_ignore_case(option, "snapshot")) {
      if (i == args.size()) return reply.error(kSyntaxError);
      keyspace.feed_snapshot = equals_ignore_case(args[i++], "yes");
      of_feed = true;
      continue;
    }
    if (equals_ignore_case(option, "deadline")) {
      if (i == args.size() || !read_number(args[i], keyspace.deadline_ms)) {
        return reply.error(kSyntaxError);
      }
      ++i;
      continue;
    }
    if (equals_ignore_case(option, "delay")) {
      if (i == args.size() || !read_number(args[i], keyspace.delay_ms) || keyspace.delay_ms < 0) {
        return reply.error(kSyntaxError);
      }
      ++i;
      continue;
    }
    if (equals_ignore_case(option, "sloppy")) {
      if (i == args.size()) return reply.error(kSyntaxError);
      keyspace.sloppy = equals_ignore_case(args[i++], "yes");
      continue;
    }
    if (equals_ignore_case(option, "conflict")) {
      if (i == args.size()) return reply.error(kSyntaxError);
      keyspace.siblings = equals_ignore_case(args[i++], "siblings");
      continue;
    }
    const bool read = equals_ignore_case(option, "read");
    const auto level = cluster::leading_level(args.subspan(i));
    if ((!read && !equals_ignore_case(option, "write")) || !level) {
      return reply.error(kSyntaxError);
    }
    (read ? keyspace.read : keyspace.write) = level->level;
    i += level->words;
  }
  if (of_feed) {
    if (const std::string why = begin_feed(keyspace, state, context.now_ms); !why.empty())
      return reply.error(why);
  } else {
    keyspace.feed_snapshot = found->feed_snapshot;
  }
  put(context, key_of(keyspace.name), cluster::encode(keyspace));
  count_change(context, state);
}

// --- Dropping

std::string closing_key_of(std::string_view name) {
  return std::string(kClosingPrefix) + std::string(name);
}

// The last attempt at dropping the keyspace; 0: there was none. Of one that has been ended, a
// number that nobody has.
std::uint64_t attempt_at(Context& context, std::string_view name) {
  const Object* object = context.find(context.keep(closing_key_of(name)));
  std::string scratch;
  return object == nullptr ? 0 : number_of<std::uint64_t>(object->string().value(scratch));
}

// Whether it is the one that was meant, by its first partition: who asks may know an earlier one of
// the same name. Earlier versions do not say which they mean.
bool is_meant(const cluster::Keyspace& keyspace, Args args, std::size_t at) {
  PartitionId first = 0;
  return args.size() <= at || (read_number(args[at], first) && keyspace.first == first);
}

void refuse_other(Context& context, std::string_view name) {
  context.reply.error(
      fmt::format("UNAVAILABLE nothing was done: the keyspace '{}' is another one than that which "
                  "the node that was asked knows: try again",
                  name.substr(0, 64)));
}

void close_keyspace(Context& context, Args args) {
  if (args.size() < 3 || args.size() > 4) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  const cluster::Keyspace* found = find(state, args[2]);
  if (found == nullptr || !found->strong) {
    return context.reply.error(
        fmt::format("ERR there is no strong keyspace '{}'", args[2].substr(0, 64)));
  }
  if (!is_meant(*found, args, 3)) return refuse_other(context, args[2]);
  // By the clock, too: after a restore from a backup there may be groups that know of later ones.
  const std::uint64_t attempt =
      std::max({state.version + 1, attempt_at(context, args[2]) + 1,
                static_cast<std::uint64_t>(std::max<std::int64_t>(context.now_ms, 0))});
  put(context, closing_key_of(args[2]), std::to_string(attempt));
  context.reply.integer(static_cast<std::int64_t>(attempt));
}

void open_keyspace(Context& context, Args args) {
  PartitionId first = 0;
  std::uint64_t attempt = 0;
  if (args.size() != 5 || !read_number(args[3], first) || !read_number(args[4], attempt)) {
    return context.reply.error(kSyntaxError);
  }
  const MetaState state = state_of(context);
  const cluster::Keyspace* found = find(state, args[2]);
  if (found == nullptr || found->first != first) {
    return context.reply.error(
        fmt::format("ERR the keyspace '{}' has been dropped", args[2].substr(0, 64)));
  }
  if (attempt_at(context, args[2]) == attempt) {
    put(context, closing_key_of(args[2]), std::to_string(attempt + 1));
  }
  context.reply.ok();
}

void drop(Context& context, Args args) {
  std::uint64_t attempt = 0;
  if (args.size() < 3 || args.size() > 5 || (args.size() > 3 && !read_number(args[3], attempt))) {
    return context.reply.error(kSyntaxError);
  }
  const MetaState state = state_of(context);
  const cluster::Keyspace* found = find(state, args[2]);
  if (found == nullptr) {
    return context.reply.error(fmt::format("ERR there is no keyspace '{}'", args[2].substr(0, 64)));
  }
  if (!is_meant(*found, args, 4)) return refuse_other(context, args[2]);
  const std::uint64_t last = attempt_at(context, args[2]);
  if (args.size() > 3 && attempt != last) {
    return context.reply.error(fmt::format(
        "UNAVAILABLE nothing was done: dropping the keyspace '{}' took too long, or somebody else "
        "has begun to drop it meanwhile: try again",
        args[2].substr(0, 64)));
  }
  if (last != 0) context.write(context.keep(closing_key_of(args[2]))).remove();
  if (EVEN_MUTANT(kMetaIdsReused)) put(context, kNextKey, std::to_string(found->first));
  context.write(context.keep(key_of(args[2]))).remove();
  count_change(context, state);
}

// The first one stays: tokens are out that it has sealed.
void key(Context& context, Args args) {
  if (args.size() != 3) return context.reply.error(kSyntaxError);
  if (state_of(context).session_key.empty()) put(context, kSessionKeyKey, std::string(args[2]));
  context.reply.ok();
}

// Ids of producers of topics, so many in a row: replies the first. None is given out twice.
void producers(Context& context, Args args) {
  std::int64_t count = 0;
  if (args.size() != 3 || !read_number(args[2], count) || count < 1 || count > kMostProducerIds) {
    return context.reply.error(kSyntaxError);
  }
  const Object* object = context.find(kProducersKey);
  std::string scratch;
  const auto first =
      object == nullptr ? 0 : number_of<std::int64_t>(object->string().value(scratch));
  put(context, kProducersKey, std::to_string(first + count));
  context.reply.integer(first);
}

// -1: none.
bool read_limit(std::string_view text, std::optional<std::int64_t>& out) {
  std::int64_t limit = 0;
  if (!read_number(text, limit) || limit < -1) return false;
  out = limit == -1 ? std::nullopt : std::optional(limit);
  return true;
}

// Founded like those of a new topic: an id is given out once. The error says why not.
Result<cluster::Keyspace> added_partitions(const MetaState& state,
                                           std::span<const cluster::Keyspace* const> ranges,
                                           std::string_view wanted) {
  std::uint32_t number = 0;
  if (!read_number(wanted, number)) return fail(std::string(kSyntaxError));
  const std::uint32_t had = cluster::partitions_in(ranges);
  if (number <= had || number > cluster::kSlots) {
    return fail(fmt::format("ERR the topic '{}' has {} partitions: it can be given more, up to {}",
                            ranges[0]->name, had, cluster::kSlots));
  }
  if (state.next + (number - had) > kMostPartitions) {
    return fail(fmt::format(
        "ERR too many partitions: {} are in use or have been, which leaves {} of {}", state.next,
        kMostPartitions - std::min(state.next, kMostPartitions), kMostPartitions));
  }
  cluster::Keyspace row = *ranges[0];
  row.name = cluster::added_range_name(ranges[0]->name, ranges.size());
  row.first = static_cast<PartitionId>(state.next);
  row.partitions = static_cast<std::uint16_t>(number - had);
  row.lines = state.lines;
  return row;
}

void alter_topic(Context& context, Args args) {
  if (args.size() < 5 || args.size() % 2 == 0) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  const auto ranges = cluster::ranges_of(state.topics, args[2]);
  if (ranges.empty()) {
    return context.reply.error(fmt::format("ERR there is no topic '{}'", args[2].substr(0, 249)));
  }
  cluster::Keyspace topic = *ranges[0];
  std::optional<cluster::Keyspace> added;
  for (std::size_t i = 3; i < args.size(); i += 2) {
    if (equals_ignore_case(args[i], "partitions")) {
      auto row = added_partitions(state, ranges, args[i + 1]);
      if (!row) return context.reply.error(row.error().message);
      added = std::move(*row);
      continue;
    }
    const bool known = equals_ignore_case(args[i], "retention")
                           ? read_limit(args[i + 1], topic.retention_ms)
                       : equals_ignore_case(args[i], "bytes")
                           ? read_limit(args[i + 1], topic.retention_bytes)
                           : cluster::set_cleanup(topic.cleanup, args[i], args[i + 1]) == "";
    if (!known) return context.reply.error(kSyntaxError);
  }
  // Of each range, what the topic's settings are.
  const auto put_range = [&](cluster::Keyspace row) {
    row.retention_ms = topic.retention_ms;
    row.retention_bytes = topic.retention_bytes;
    row.cleanup = topic.cleanup;
    put(context, topic_key_of(row.name), cluster::encode(row));
  };
  for (const cluster::Keyspace* range : ranges) put_range(*range);
  if (added) {
    put(context, kNextKey, std::to_string(std::uint32_t{added->first} + added->partitions));
    put_range(std::move(*added));
  }
  count_change(context, state);
}

void drop_topic(Context& context, Args args) {
  if (args.size() != 3) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  const auto ranges = cluster::ranges_of(state.topics, args[2]);
  if (ranges.empty()) {
    return context.reply.error(fmt::format("ERR there is no topic '{}'", args[2].substr(0, 249)));
  }
  const auto fed =
      std::ranges::find(state.keyspaces, args[2], [](const cluster::Keyspace& keyspace) {
        return topic::read_event_topic(keyspace.feed).name;
      });
  if (fed != state.keyspaces.end()) {
    return context.reply.error(fmt::format(
        "ERR the topic '{}' has the change feed of the keyspace '{}': EVEN.KEYSPACE ALTER {} FEED "
        "NONE ends that",
        args[2], fed->name, fed->name));
  }
  for (const cluster::Keyspace* range : ranges) {
    context.write(context.keep(topic_key_of(range->name))).remove();
  }
  count_change(context, state);
}

// --- Users

std::string user_key_of(std::string_view name) {
  return std::string(kUserPrefix) + std::string(name);
}

std::size_t bytes_of_definitions(const cluster::Definitions& users) {
  std::size_t bytes = 0;
  for (const auto& [name, definition] : users) bytes += name.size() + definition.size();
  return bytes;
}

// What a user's row has: of all versions, whoever executes the entry comes to the same text. That
// of a name which this one does not know has no effect here is up to who serves by it.
Result<AclUser> read_user(std::string_view name, std::string_view definition) {
  return AclUser::parse(name, definition, UnknownNames::kKept);
}

// `before`: that there has been; null: none of that name.
void settle_created(AclUser& user, const AclUser* before, const MetaState& state) {
  if (user.is_new()) user.set_created(before != nullptr ? before->created() : state.version + 1);
}

void refuse_too_many(Context& context) {
  context.reply.error(fmt::format(
      "ERR the users would take more than {} bytes together: delete some", kMostUserBytes));
}

void set_user(Context& context, Args args) {
  if (args.size() < 4) return context.reply.error(kSyntaxError);
  const std::string_view name = args[2];
  const MetaState state = state_of(context);
  const auto known =
      std::ranges::find(state.users, name, &std::pair<std::string, std::string>::first);
  const std::string_view before = known != state.users.end() ? known->second : args[3];
  Result<AclUser> user = before.empty() ? AclUser(std::string(name)) : read_user(name, before);
  if (!user) {
    return context.reply.error(
        fmt::format("ERR the user cannot be read: {}", user.error().message));
  }
  const AclUser former = *user;
  for (const std::string_view rule : args.subspan(4)) {
    if (Result<> applied = user->apply(rule, UnknownNames::kKept); !applied) {
      return context.reply.error(
          fmt::format("ERR Error in ACL SETUSER modifier '{}': {}", rule, applied.error().message));
    }
  }
  settle_created(*user, known != state.users.end() ? &former : nullptr, state);
  std::string definition = user->stored();
  const std::size_t freed = known != state.users.end() ? known->second.size() : 0;
  if (bytes_of_definitions(state.users) - freed + name.size() + definition.size() >
      kMostUserBytes) {
    return refuse_too_many(context);
  }
  put(context, user_key_of(name), std::move(definition));
  count_change(context, state);
}

void delete_users(Context& context, Args args) {
  const MetaState state = state_of(context);
  for (const std::string_view name : args.subspan(2)) {
    const bool known =
        std::ranges::find(state.users, name, &std::pair<std::string, std::string>::first) !=
        state.users.end();
    if (known) context.write(context.keep(user_key_of(name))).remove();
  }
  count_change(context, state);
}

void load_users(Context& context, Args args) {
  if (args.size() % 2 != 0) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  cluster::Definitions users;
  for (std::size_t i = 2; i < args.size(); i += 2) {
    Result<AclUser> user = read_user(args[i], args[i + 1]);
    if (!user) {
      return context.reply.error(fmt::format("ERR user {}: {}", args[i], user.error().message));
    }
    const auto known =
        std::ranges::find(state.users, args[i], &std::pair<std::string, std::string>::first);
    std::optional<AclUser> before;
    if (known != state.users.end()) {
      if (auto read = read_user(args[i], known->second)) before = std::move(*read);
    }
    // Files have hashes of passwords only.
    if (before) user->keep_scram_of(*before);
    settle_created(*user, before ? &*before : nullptr, state);
    // Whoever has been asked may not know that all know of marks: it is the same user nevertheless.
    if (before && user->created() == 0) user->set_created(before->created());
    users.emplace_back(args[i], user->stored());
  }
  if (bytes_of_definitions(users) > kMostUserBytes) return refuse_too_many(context);
  for (const auto& [name, definition] : state.users) {
    const bool stays =
        std::ranges::find(users, name, &std::pair<std::string, std::string>::first) != users.end();
    if (!stays) context.write(context.keep(user_key_of(name))).remove();
  }
  for (auto& [name, definition] : users) put(context, user_key_of(name), std::move(definition));
  count_change(context, state);
}

// --- Libraries of functions

std::string library_key_of(std::string_view name) {
  return std::string(kLibraryPrefix) + std::string(name);
}

// Why these cannot be there together; an error's text, or empty.
std::string why_not_together(const cluster::Definitions& libraries) {
  std::set<std::string> functions;
  for (const auto& [name, bytes] : libraries) {
    const Result<Library> library = decode_library(name, bytes);
    if (!library) return "ERR " + library.error().message;
    for (const LibraryFunction& function : library->functions) {
      if (functions.insert(function_key(function.name)).second) continue;
      return fmt::format("ERR Function {} already exists", function.name);
    }
  }
  if (bytes_of_definitions(libraries) <= kMostLibraryBytes) return {};
  return fmt::format("ERR the libraries would take more than {} bytes together: delete some",
                     kMostLibraryBytes);
}

void set_libraries(Context& context, Args args) {
  if (args.size() < 3 || args.size() % 2 == 0) return context.reply.error(kSyntaxError);
  const bool flush = equals_ignore_case(args[2], "flush");
  const bool replace = equals_ignore_case(args[2], "replace");
  const MetaState state = state_of(context);
  cluster::Definitions all = flush ? cluster::Definitions() : state.libraries;
  for (std::size_t i = 3; i < args.size(); i += 2) {
    const auto there = std::ranges::find(all, args[i], &std::pair<std::string, std::string>::first);
    if (there == all.end()) {
      all.emplace_back(args[i], args[i + 1]);
    } else if (replace) {
      there->second = args[i + 1];
    } else {
      return context.reply.error(fmt::format("ERR Library '{}' already exists", args[i]));
    }
  }
  if (const std::string why = why_not_together(all); !why.empty()) return context.reply.error(why);
  for (const auto& [name, library] : state.libraries) {
    const bool stays =
        std::ranges::find(all, name, &std::pair<std::string, std::string>::first) != all.end();
    if (!stays) context.write(context.keep(library_key_of(name))).remove();
  }
  for (std::size_t i = 3; i < args.size(); i += 2) {
    put(context, library_key_of(args[i]), std::string(args[i + 1]));
  }
  count_change(context, state);
}

void delete_library(Context& context, Args args) {
  if (args.size() != 3) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  const bool known =
      std::ranges::find(state.libraries, args[2], &std::pair<std::string, std::string>::first) !=
      state.libraries.end();
  if (!known) return context.reply.error("ERR Library not found");
  context.write(context.keep(library_key_of(args[2]))).remove();
  count_change(context, state);
}

// --- Databases

void swap_databases(Context& context, Args args) {
  const auto a = args.size() == 4 ? read_database(args[2]) : std::nullopt;
  const auto b = args.size() == 4 ? read_database(args[3]) : std::nullopt;
  if (!a || !b) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  DatabaseMap databases = state.databases;
  databases.swap(*a, *b);
  put(context, kDatabasesKey, databases.text());
  count_change(context, state);
}

// --- Quotas

std::string quota_key_of(std::string_view entity) {
  return std::string(kQuotaPrefix) + std::string(entity);
}

void set_quotas(Context& context, Args args) {
  Reply& reply = context.reply;
  if (args.size() % 3 != 2) return reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  std::map<std::string, cluster::ClientQuota> quotas;
  for (const auto& [entity, text] : state.quotas) {
    quotas.emplace(entity, cluster::parse_client_quota(text).value_or(cluster::ClientQuota()));
  }
  std::set<std::string_view> changed;
  for (std::size_t i = 2; i < args.size(); i += 3) {
    const auto entity = cluster::parse_quota_entity(args[i]);
    if (!entity) return reply.error("ERR " + entity.error().message);
    const auto kind = cluster::find_quota_kind(args[i + 1]);
    if (!kind) {
      return reply.error(fmt::format("ERR there is no quota '{}'", args[i + 1].substr(0, 64)));
    }
    std::optional<std::int64_t> rate;
    if (!args[i + 2].empty() && (!read_number(args[i + 2], rate.emplace()) || *rate < 1)) {
      return reply.error(kSyntaxError);
    }
    quotas[std::string(args[i])].rate(*kind) = rate;
    changed.insert(args[i]);
  }
  std::size_t bytes = 0;
  for (const auto& [entity, quota] : quotas) {
    if (!quota.empty()) bytes += entity.size() + cluster::to_text(quota).size();
  }
  if (bytes > kMostQuotaBytes) {
    return reply.error(fmt::format(
        "ERR the quotas would take more than {} bytes together: delete some", kMostQuotaBytes));
  }
  for (const std::string_view entity : changed) {
    const cluster::ClientQuota& quota = quotas.find(std::string(entity))->second;
    if (!quota.empty()) {
      put(context, quota_key_of(entity), cluster::to_text(quota));
    } else if (std::ranges::find(state.quotas, entity,
                                 &std::pair<std::string, std::string>::first) !=
               state.quotas.end()) {
      context.write(context.keep(quota_key_of(entity))).remove();
    }
  }
  count_change(context, state);
}

}  // namespace

void meta_command(Context& context, Args args) {
  constexpr std::pair<std::string_view, void (*)(Context&, Args)> kCommands[] = {
      {"join", join},
      {"create", create},
      {"alter", alter},
      {"drop", drop},
      {"close", close_keyspace},
      {"open", open_keyspace},
      {"altertopic", alter_topic},
      {"droptopic", drop_topic},
      {"key", key},
      {"producers", producers},
      {"setuser", set_user},
      {"deluser", delete_users},
      {"loadusers", load_users},
      {"setlibraries", set_libraries},
      {"dellibrary", delete_library},
      {"swapdb", swap_databases},
      {"setquotas", set_quotas}};
  for (const auto& [name, execute] : kCommands) {
    if (args.size() > 1 && equals_ignore_case(args[1], name)) return execute(context, args);
  }
  context.reply.error("ERR no such entry of the metadata group");
}

cluster::KeyspaceTable keyspaces_of(const PartitionState& state) {
  MetaState read = read_state(state);
  std::ranges::move(read.topics, std::back_inserter(read.keyspaces));
  return cluster::KeyspaceTable(read.version, std::move(read.keyspaces), read.next,
                                std::move(read.session_key), std::move(read.users),
                                std::move(read.libraries), read.databases, std::move(read.quotas));
}

}  // namespace even
