#include "engine/cmd_meta.h"

#include <fmt/format.h>

#include <charconv>

#include "base/hash.h"
#include "base/mutant.h"
#include "cluster/cluster_map.h"
#include "engine/text.h"
#include "lattice/reserved.h"

namespace even {
namespace {

constexpr std::string_view kKeyspacePrefix = "keyspace:";
constexpr std::string_view kTopicPrefix = "topic:";
constexpr std::string_view kNodePrefix = "node:";
constexpr std::string_view kNextKey = "next";
constexpr std::string_view kVersionKey = "version";
constexpr std::string_view kProducersKey = "producers";

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
    } else if (key == kNextKey) {
      out.next = number_of<std::uint32_t>(value);
    } else if (key == kVersionKey) {
      out.version = number_of<std::uint64_t>(value);
    } else if (key == kSessionKeyKey) {
      out.session_key = value;
    }
  });
  std::ranges::sort(out.lines);
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
  for (std::size_t i = 3; i < args.size();) {
    const std::string_view option = args[i++];
    if (equals_ignore_case(option, "deadline")) {
      if (i == args.size() || !read_number(args[i], keyspace.deadline_ms)) {
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
  put(context, key_of(keyspace.name), cluster::encode(keyspace));
  count_change(context, state);
}

void drop(Context& context, Args args) {
  if (args.size() != 3) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  const cluster::Keyspace* found = find(state, args[2]);
  if (found == nullptr) {
    return context.reply.error(fmt::format("ERR there is no keyspace '{}'", args[2].substr(0, 64)));
  }
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

void alter_topic(Context& context, Args args) {
  if (args.size() < 5 || args.size() % 2 == 0) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  const cluster::Keyspace* found = find(state.topics, args[2]);
  if (found == nullptr) {
    return context.reply.error(fmt::format("ERR there is no topic '{}'", args[2].substr(0, 249)));
  }
  cluster::Keyspace topic = *found;
  for (std::size_t i = 3; i < args.size(); i += 2) {
    const bool known = equals_ignore_case(args[i], "retention")
                           ? read_limit(args[i + 1], topic.retention_ms)
                           : equals_ignore_case(args[i], "bytes") &&
                                 read_limit(args[i + 1], topic.retention_bytes);
    if (!known) return context.reply.error(kSyntaxError);
  }
  put(context, topic_key_of(topic.name), cluster::encode(topic));
  count_change(context, state);
}

void drop_topic(Context& context, Args args) {
  if (args.size() != 3) return context.reply.error(kSyntaxError);
  const MetaState state = state_of(context);
  if (find(state.topics, args[2]) == nullptr) {
    return context.reply.error(fmt::format("ERR there is no topic '{}'", args[2].substr(0, 249)));
  }
  context.write(context.keep(topic_key_of(args[2]))).remove();
  count_change(context, state);
}

}  // namespace

void meta_command(Context& context, Args args) {
  constexpr std::pair<std::string_view, void (*)(Context&, Args)> kCommands[] = {
      {"join", join}, {"create", create},          {"alter", alter},
      {"drop", drop}, {"altertopic", alter_topic}, {"droptopic", drop_topic},
      {"key", key},   {"producers", producers}};
  for (const auto& [name, execute] : kCommands) {
    if (args.size() > 1 && equals_ignore_case(args[1], name)) return execute(context, args);
  }
  context.reply.error("ERR no such entry of the metadata group");
}

cluster::KeyspaceTable keyspaces_of(const PartitionState& state) {
  MetaState read = read_state(state);
  std::ranges::move(read.topics, std::back_inserter(read.keyspaces));
  return cluster::KeyspaceTable(read.version, std::move(read.keyspaces), read.next,
                                std::move(read.session_key));
}

}  // namespace even
