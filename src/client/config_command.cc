// CONFIG GET and CONFIG SET: the parameters of Redis that have a counterpart here, under Redis's
// names and with its values. Options of Even's own are in the configuration file only.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "client/connection_commands.h"
#include "client/recorded_parameters.h"
#include "engine/glob.h"
#include "engine/text.h"

namespace even {
namespace {

// Returns what is wrong with the value, or nothing after having set it.
using Setter = std::string (*)(NodeContext&, std::string_view value, bool apply);

struct Parameter {
  std::string_view name;
  std::string (*get)(const NodeContext&);
  Setter set = nullptr;  // null: cannot be changed while the node runs
};

std::string fixed(std::string_view text) { return std::string(text); }

std::string yes_no(bool value) { return value ? "yes" : "no"; }

// An integer from `low` to `high`, as Redis words its errors.
template <typename Apply>
std::string set_integer(std::string_view text, std::int64_t low, std::int64_t high, Apply apply) {
  std::int64_t value = 0;
  if (!parse_strict_integer(text, value)) return "argument couldn't be parsed into an integer";
  if (value < low || value > high) {
    return fmt::format("argument must be between {} and {} inclusive", low, high);
  }
  apply(value);
  return {};
}

std::string set_bulk_limit(NodeContext& node, std::string_view text, bool apply) {
  std::int64_t bytes = 0;
  if (!parse_memory(text, bytes)) return "argument must be a memory value";
  constexpr std::int64_t kLeast = 1 << 20;
  if (bytes < kLeast) {
    return fmt::format("argument must be between {} and {} inclusive", kLeast, INT64_MAX);
  }
  if (apply) node.options.max_request_bytes = static_cast<std::uint64_t>(bytes);
  return {};
}

std::string set_max_memory(NodeContext& node, std::string_view text, bool apply) {
  std::int64_t bytes = 0;
  if (!parse_memory(text, bytes) || bytes < 0) return "argument must be a memory value";
  if (apply) node.options.max_memory = static_cast<std::uint64_t>(bytes);
  return {};
}

std::string busy_threshold(const NodeContext& node) {
  return std::to_string(node.scripts.busy_ms.load());
}

std::string set_busy_threshold(NodeContext& node, std::string_view text, bool apply) {
  return set_integer(text, 0, INT32_MAX, [&](std::int64_t value) {
    if (apply) node.scripts.busy_ms = value;
  });
}

std::string set_cache_policy(NodeContext& node, std::string_view text, bool apply) {
  const auto policy = std::ranges::find_if(
      kCachePolicyNames, [text](std::string_view name) { return equals_ignore_case(text, name); });
  if (policy == kCachePolicyNames.end()) {
    return fmt::format("argument(s) must be one of the following: {}",
                       fmt::join(kCachePolicyNames, ", "));
  }
  if (apply) node.options.cache_policy = *parse_cache_policy(*policy);
  return {};
}

struct ClassName {
  std::string_view name;
  ClientClass of;
};
constexpr ClassName kClassNames[] = {{"normal", ClientClass::kNormal},
                                     {"slave", ClientClass::kReplica},
                                     {"replica", ClientClass::kReplica},
                                     {"pubsub", ClientClass::kPubsub}};

std::string output_limits(const NodeContext& node) {
  std::string out;
  for (const auto& [name, of] : kClassNames) {
    if (name == "replica") continue;  // the same as the one before
    const OutputLimit& limit = node.options.output_limit(of);
    out += fmt::format("{}{} {} {} {}", out.empty() ? "" : " ", name, limit.hard.load(),
                       limit.soft.load(), limit.soft_seconds.load());
  }
  return out;
}

// Of each class that is named: the name, the hard limit, the soft one, and its seconds.
std::string set_output_limits(NodeContext& node, std::string_view text, bool apply) {
  std::istringstream in{std::string(text)};
  const std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
  if (words.size() % 4 != 0) return "Wrong number of arguments in buffer limit configuration.";
  for (std::size_t i = 0; i < words.size(); i += 4) {
    const auto known = std::ranges::find_if(kClassNames, [&](const ClassName& entry) {
      return equals_ignore_case(words[i], entry.name);
    });
    if (known == std::end(kClassNames)) {
      return "Invalid client class specified in buffer limit configuration.";
    }
    std::int64_t hard = 0, soft = 0, seconds = 0;
    if (!parse_memory(words[i + 1], hard) || !parse_memory(words[i + 2], soft) ||
        !parse_strict_integer(words[i + 3], seconds) || hard < 0 || soft < 0 || seconds < 0 ||
        seconds > INT32_MAX) {
      return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    }
    if (!apply) continue;
    OutputLimit& limit = node.options.output_limit(known->of);
    limit.hard = static_cast<std::uint64_t>(hard);
    limit.soft = static_cast<std::uint64_t>(soft);
    limit.soft_seconds = seconds;
  }
  return {};
}

// In the order of their names.
constexpr Parameter kParameters[] = {
    {"acl-pubsub-default", [](const NodeContext&) { return fixed("resetchannels"); }},
    {"aclfile", [](const NodeContext& node) { return node.config.client.acl_file; }},
    {"acllog-max-len",
     [](const NodeContext& node) { return std::to_string(node.options.acl_log_length); },
     [](NodeContext& node, std::string_view text, bool apply) {
       return set_integer(text, 0, INT64_MAX, [&](std::int64_t value) {
         if (apply) node.options.acl_log_length = static_cast<std::uint64_t>(value);
       });
     }},
    {"appendfsync",
     [](const NodeContext& node) { return fixed(to_string(node.config.log.fsync)); }},
    // There is no other way here: who turns it off has more than was asked for.
    {"appendonly", [](const NodeContext&) { return fixed("yes"); },
     [](NodeContext&, std::string_view text, bool) {
       const bool known = equals_ignore_case(text, "yes") || equals_ignore_case(text, "no");
       return fixed(known ? "" : "argument must be 'yes' or 'no'");
     }},
    {"bind",
     [](const NodeContext& node) {
       return fmt::format("{}", fmt::join(node.config.client.bind, " "));
     }},
    {"busy-reply-threshold", busy_threshold, set_busy_threshold},
    {"client-output-buffer-limit", output_limits, set_output_limits},
    {"client-query-buffer-limit",
     [](const NodeContext& node) { return std::to_string(node.options.query_buffer_bytes); }},
    {"cluster-enabled", [](const NodeContext&) { return fixed("no"); }},
    {"databases", [](const NodeContext&) { return fixed("16"); }},
    {"dir", [](const NodeContext& node) { return node.config.node.data; }},
    {"latency-monitor-threshold",
     [](const NodeContext& node) { return std::to_string(node.options.latency_threshold_ms); },
     [](NodeContext& node, std::string_view text, bool apply) {
       return set_integer(text, 0, INT64_MAX, [&](std::int64_t value) {
         if (apply) node.options.latency_threshold_ms = std::min(value, INT64_MAX / 1000);
       });
     }},
    {"loglevel", [](const NodeContext& node) { return node.config.node.log_level; }},
    {"lua-time-limit", busy_threshold, set_busy_threshold},
    {"maxclients", [](const NodeContext& node) { return std::to_string(node.options.max_clients); },
     [](NodeContext& node, std::string_view text, bool apply) {
       return set_integer(text, 1, UINT32_MAX, [&](std::int64_t value) {
         if (apply) node.options.max_clients = static_cast<std::uint32_t>(value);
       });
     }},
    {"maxmemory", [](const NodeContext& node) { return std::to_string(node.options.max_memory); },
     set_max_memory},
    {"maxmemory-policy",
     [](const NodeContext& node) { return fixed(to_string(node.options.cache_policy.load())); },
     set_cache_policy},
    {"notify-keyspace-events",
     [](const NodeContext& node) { return key_events_text(node.options.key_events); },
     [](NodeContext& node, std::string_view text, bool apply) {
       const std::optional<std::uint32_t> flags = parse_key_events(text);
       if (!flags) {
         return fmt::format("Invalid event class character. Use '{}'.", kKeyEventLetters);
       }
       if (!apply) return std::string();
       std::uint32_t now = node.options.key_events;
       while (!node.options.key_events.compare_exchange_weak(
           now, *flags | (now & WaitingClients::kAwaited))) {
       }
       return std::string();
     }},
    {"port", [](const NodeContext& node) { return std::to_string(node.config.client.port); }},
    {"proto-max-bulk-len",
     [](const NodeContext& node) { return std::to_string(node.options.max_request_bytes); },
     set_bulk_limit},
    {"protected-mode", [](const NodeContext&) { return yes_no(true); }},
    {"requirepass", [](const NodeContext& node) { return node.options.password(); },
     [](NodeContext& node, std::string_view text, bool apply) {
       if (apply) node.options.set_password(std::string(text));
       return std::string();
     }},
    {"slowlog-log-slower-than",
     [](const NodeContext& node) { return std::to_string(node.options.slow_log_us); },
     [](NodeContext& node, std::string_view text, bool apply) {
       return set_integer(text, -1, INT64_MAX, [&](std::int64_t value) {
         if (apply) node.options.slow_log_us = value;
       });
     }},
    {"slowlog-max-len",
     [](const NodeContext& node) { return std::to_string(node.options.slow_log_length); },
     [](NodeContext& node, std::string_view text, bool apply) {
       return set_integer(text, 0, INT64_MAX, [&](std::int64_t value) {
         if (apply) node.options.slow_log_length = static_cast<std::uint64_t>(value);
       });
     }},
    {"timeout", [](const NodeContext& node) { return std::to_string(node.options.idle_timeout); },
     [](NodeContext& node, std::string_view text, bool apply) {
       return set_integer(text, 0, INT32_MAX, [&](std::int64_t value) {
         if (apply) node.options.idle_timeout = static_cast<std::int32_t>(value);
       });
     }},
    {"tracking-table-max-keys",
     [](const NodeContext& node) { return std::to_string(node.tracking.most_keys()); },
     [](NodeContext& node, std::string_view text, bool apply) {
       return set_integer(text, 0, INT64_MAX, [&](std::int64_t value) {
         if (apply) node.tracking.set_most_keys(static_cast<std::uint64_t>(value));
       });
     }},
};

const Parameter* find_parameter(std::string_view name) {
  for (const Parameter& parameter : kParameters) {
    if (equals_ignore_case(name, parameter.name)) return &parameter;
  }
  return nullptr;
}

const RecordedParameter* find_recorded(std::string_view name) {
  for (const RecordedParameter& parameter : recorded_parameters()) {
    if (equals_ignore_case(name, parameter.name)) return &parameter;
  }
  return nullptr;
}

void get(Connection& connection, Args patterns) {
  const NodeContext& node = connection.thread().node();
  auto wanted = [patterns](std::string_view name) {
    return std::ranges::any_of(
        patterns, [name](std::string_view pattern) { return glob_match(pattern, name, true); });
  };
  std::map<std::string_view, std::string> matching;
  for (const Parameter& parameter : kParameters) {
    if (wanted(parameter.name)) matching.emplace(parameter.name, parameter.get(node));
  }
  for (const RecordedParameter& parameter : recorded_parameters()) {
    if (!wanted(parameter.name)) continue;
    matching.emplace(parameter.name, node.options.recorded(parameter.key(), parameter.initial));
  }
  Reply reply = connection.reply();
  reply.map(matching.size());
  for (const auto& [name, value] : matching) {
    reply.bulk(name);
    reply.bulk(value);
  }
}

// Redis changes most of what cannot be changed here. Tools set what they have read.
bool is_so_already(const NodeContext& node, const Parameter& parameter, std::string_view value) {
  constexpr std::string_view kImmutableInRedis[] = {"aclfile", "cluster-enabled", "databases"};
  return std::ranges::find(kImmutableInRedis, parameter.name) == std::end(kImmutableInRedis) &&
         value == parameter.get(node);
}

// All or none: everything is checked before anything is set.
void set(Connection& connection, Args words) {
  Reply reply = connection.reply();
  if (words.size() % 2 != 0) return reply.error(wrong_arity("config|set"));
  NodeContext& node = connection.thread().node();
  auto failed = [&](std::string_view name, std::string_view why) {
    reply.error(
        fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, why));
  };
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const Parameter* parameter = find_parameter(words[i]);
    const RecordedParameter* recorded = find_recorded(words[i]);
    if (parameter == nullptr && recorded == nullptr) {
      return reply.error(
          fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'", words[i]));
    }
    if (parameter != nullptr && parameter->set == nullptr &&
        !is_so_already(node, *parameter, words[i + 1])) {
      return failed(words[i], "can't set immutable config");
    }
    if (!seen.insert(parameter != nullptr ? parameter->name : recorded->name).second) {
      return failed(words[i], "duplicate parameter");
    }
  }
  for (const bool apply : {false, true}) {
    for (std::size_t i = 0; i < words.size(); i += 2) {
      std::string why;
      if (const Parameter* parameter = find_parameter(words[i])) {
        if (parameter->set != nullptr) why = parameter->set(node, words[i + 1], apply);
      } else {
        const RecordedParameter& recorded = *find_recorded(words[i]);
        std::string value;
        why = check_recorded(recorded, words[i + 1], value);
        if (why.empty() && apply) node.options.record(recorded.key(), std::move(value));
      }
      if (!why.empty()) return failed(words[i], why);
    }
  }
  // Whose password it is.
  if (connection.thread().users().find(kDefaultUser) != nullptr) {
    for (std::size_t i = 0; i < words.size(); i += 2) {
      if (equals_ignore_case(words[i], "requirepass")) {
        return set_default_password(connection, words[i + 1]);
      }
    }
  }
  reply.ok();
}

}  // namespace

void execute_config(Connection& connection, Args args) {
  if (equals_ignore_case(args[1], "get")) return get(connection, args.subspan(2));
  if (equals_ignore_case(args[1], "set")) return set(connection, args.subspan(2));
  if (equals_ignore_case(args[1], "resetstat")) {
    return reply_gathered<ThreadReport>(
        connection, [](ShardThread& thread) { return make_report(thread, false); },
        [&node = connection.thread().node()](Reply& reply,
                                             const std::vector<ThreadReport>& reports) {
          node.statistics.reset(Statistics::of(node, reports));
          reply.ok();
        });
  }
  if (equals_ignore_case(args[1], "help")) return reply_help(connection, "CONFIG");
  reply_unknown_subcommand(connection, "CONFIG", args[1]);
}

}  // namespace even
