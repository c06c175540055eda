#include "client/recorded_parameters.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "engine/text.h"
#include "resp/resp_parser.h"

namespace even {
namespace {

using Kind = RecordedParameter::Kind;

constexpr RecordedParameter kRecorded[] = {
    {"active-defrag-cycle-max", "25", Kind::kInteger, 1, 99},
    {"active-defrag-cycle-min", "1", Kind::kInteger, 1, 99},
    {"active-defrag-ignore-bytes", "104857600", Kind::kMemory, 1, INT64_MAX},
    {"active-defrag-max-scan-fields", "1000", Kind::kInteger, 1, INT64_MAX},
    {"active-defrag-threshold-lower", "10", Kind::kInteger, 0, 1000},
    {"active-defrag-threshold-upper", "100", Kind::kInteger, 0, 1000},
    {"active-expire-effort", "1", Kind::kInteger, 1, 10},
    {"activedefrag", "no", Kind::kWord, 0, INT64_MAX, "no"},
    {"activerehashing", "yes", Kind::kYesNo},
    {"always-show-logo", "no", Kind::kFixed},
    {"aof-load-truncated", "yes", Kind::kYesNo},
    {"aof-rewrite-incremental-fsync", "yes", Kind::kYesNo},
    {"aof-timestamp-enabled", "no", Kind::kYesNo},
    {"aof-use-rdb-preamble", "yes", Kind::kYesNo},
    {"appenddirname", "appendonlydir", Kind::kFixed},
    {"appendfilename", "appendonly.aof", Kind::kFixed},
    {"auto-aof-rewrite-min-size", "67108864", Kind::kMemory},
    {"auto-aof-rewrite-percentage", "100", Kind::kInteger, 0, INT32_MAX},
    {"availability-zone", "", Kind::kText},
    {"crash-log-enabled", "yes", Kind::kYesNo},
    {"crash-memcheck-enabled", "yes", Kind::kYesNo},
    {"daemonize", "no", Kind::kFixed},
    {"dbfilename", "dump.rdb", Kind::kText},
    {"disable-thp", "yes", Kind::kFixed},
    {"dynamic-hz", "yes", Kind::kYesNo},
    {"enable-debug-command", "no", Kind::kFixed},
    {"enable-module-command", "no", Kind::kFixed},
    {"enable-protected-configs", "no", Kind::kFixed},
    {"events-per-io-thread", "2", Kind::kInteger, 0, INT32_MAX},
    {"extended-redis-compatibility", "no", Kind::kYesNo},
    {"hash-max-listpack-entries", "512", Kind::kInteger},
    {"hash-max-listpack-value", "64", Kind::kMemory},
    {"hash-max-ziplist-entries", "512", Kind::kInteger, 0, INT64_MAX, "",
     "hash-max-listpack-entries"},
    {"hash-max-ziplist-value", "64", Kind::kMemory, 0, INT64_MAX, "", "hash-max-listpack-value"},
    {"hll-sparse-max-bytes", "3000", Kind::kMemory},
    {"hz", "10", Kind::kInteger, 0, INT32_MAX},
    {"ignore-warnings", "", Kind::kText},
    {"io-threads", "1", Kind::kFixed},
    {"io-threads-do-reads", "no", Kind::kFixed},
    {"jemalloc-bg-thread", "yes", Kind::kYesNo},
    {"latency-tracking", "yes", Kind::kYesNo},
    {"latency-tracking-info-percentiles", "50 99 99.9", Kind::kText},
    {"lazyfree-lazy-eviction", "no", Kind::kYesNo},
    {"lazyfree-lazy-expire", "no", Kind::kYesNo},
    {"lazyfree-lazy-server-del", "no", Kind::kYesNo},
    {"lazyfree-lazy-user-del", "no", Kind::kYesNo},
    {"lazyfree-lazy-user-flush", "no", Kind::kYesNo},
    {"lfu-decay-time", "1", Kind::kInteger, 0, INT32_MAX},
    {"lfu-log-factor", "10", Kind::kInteger, 0, INT32_MAX},
    {"list-compress-depth", "0", Kind::kInteger, 0, INT32_MAX},
    {"list-max-listpack-size", "-2", Kind::kInteger, INT32_MIN, INT32_MAX},
    {"list-max-ziplist-size", "-2", Kind::kInteger, INT32_MIN, INT32_MAX, "",
     "list-max-listpack-size"},
    {"logfile", "", Kind::kFixed},
    {"max-new-connections-per-cycle", "10", Kind::kInteger, 1, 1000},
    {"max-new-tls-connections-per-cycle", "1", Kind::kInteger, 1, 1000},
    {"maxmemory-eviction-tenacity", "10", Kind::kInteger, 0, 100},
    {"maxmemory-samples", "5", Kind::kInteger, 1, INT32_MAX},
    {"min-replicas-max-lag", "10", Kind::kInteger, 0, INT32_MAX},
    {"min-slaves-max-lag", "10", Kind::kInteger, 0, INT32_MAX, "", "min-replicas-max-lag"},
    {"no-appendfsync-on-rewrite", "no", Kind::kYesNo},
    {"oom-score-adj", "no", Kind::kWord, 0, INT64_MAX, "no"},
    {"pidfile", "", Kind::kFixed},
    {"prefetch-batch-max-size", "16", Kind::kInteger, 0, 128},
    {"proc-title-template", "{title} {listen-addr} {server-mode}", Kind::kText},
    {"propagation-error-behavior", "ignore", Kind::kWord, 0, INT64_MAX,
     "ignore panic panic-on-replicas"},
    {"rdb-del-sync-files", "no", Kind::kYesNo},
    {"rdb-save-incremental-fsync", "yes", Kind::kYesNo},
    {"rdbchecksum", "yes", Kind::kFixed},
    {"rdbcompression", "yes", Kind::kYesNo},
    {"repl-backlog-size", "1048576", Kind::kMemory, 1, INT64_MAX},
    {"repl-backlog-ttl", "3600", Kind::kInteger},
    {"repl-disable-tcp-nodelay", "no", Kind::kYesNo},
    {"repl-diskless-load", "disabled", Kind::kWord, 0, INT64_MAX, "disabled on-empty-db swapdb"},
    {"repl-diskless-sync", "yes", Kind::kYesNo},
    {"repl-diskless-sync-delay", "5", Kind::kInteger, 0, INT32_MAX},
    {"repl-diskless-sync-max-replicas", "0", Kind::kInteger, 0, INT32_MAX},
    {"repl-ping-replica-period", "10", Kind::kInteger, 1, INT32_MAX},
    {"repl-ping-slave-period", "10", Kind::kInteger, 1, INT32_MAX, "", "repl-ping-replica-period"},
    {"repl-timeout", "60", Kind::kInteger, 1, INT32_MAX},
    {"replica-ignore-disk-write-errors", "no", Kind::kYesNo},
    {"replica-ignore-maxmemory", "yes", Kind::kYesNo},
    {"replica-lazy-flush", "no", Kind::kYesNo},
    {"replica-priority", "100", Kind::kInteger, 0, INT32_MAX},
    {"replica-read-only", "yes", Kind::kYesNo},
    {"replica-serve-stale-data", "yes", Kind::kWord, 0, INT64_MAX, "yes"},
    {"replicaof", "", Kind::kFixed},
    {"sanitize-dump-payload", "no", Kind::kWord, 0, INT64_MAX, "no yes clients"},
    {"save", "", Kind::kText},
    {"set-max-intset-entries", "512", Kind::kInteger},
    {"set-max-listpack-entries", "128", Kind::kInteger},
    {"set-max-listpack-value", "64", Kind::kInteger},
    {"set-proc-title", "yes", Kind::kYesNo},
    {"shutdown-on-sigint", "default", Kind::kText},
    {"shutdown-on-sigterm", "default", Kind::kText},
    {"shutdown-timeout", "10", Kind::kInteger, 0, INT32_MAX},
    {"slave-ignore-maxmemory", "yes", Kind::kYesNo, 0, INT64_MAX, "", "replica-ignore-maxmemory"},
    {"slave-lazy-flush", "no", Kind::kYesNo, 0, INT64_MAX, "", "replica-lazy-flush"},
    {"slave-priority", "100", Kind::kInteger, 0, INT32_MAX, "", "replica-priority"},
    {"slave-read-only", "yes", Kind::kYesNo, 0, INT64_MAX, "", "replica-read-only"},
    {"slave-serve-stale-data", "yes", Kind::kWord, 0, INT64_MAX, "yes", "replica-serve-stale-data"},
    {"slaveof", "", Kind::kFixed},
    {"stop-writes-on-bgsave-error", "yes", Kind::kYesNo},
    {"stream-node-max-bytes", "4096", Kind::kMemory},
    {"stream-node-max-entries", "100", Kind::kInteger},
    {"supervised", "no", Kind::kFixed},
    {"tcp-backlog", "511", Kind::kFixed},
    {"tcp-keepalive", "300", Kind::kInteger, 0, INT32_MAX},
    {"unixsocket", "", Kind::kFixed},
    {"unixsocketperm", "0", Kind::kFixed},
    {"zset-max-listpack-entries", "128", Kind::kInteger},
    {"zset-max-listpack-value", "64", Kind::kMemory},
    {"zset-max-ziplist-entries", "128", Kind::kInteger, 0, INT64_MAX, "",
     "zset-max-listpack-entries"},
    {"zset-max-ziplist-value", "64", Kind::kMemory, 0, INT64_MAX, "", "zset-max-listpack-value"},
};

// The allowed word that the text is, in any case; empty if it is none.
std::string_view find_word(std::string_view words, std::string_view text) {
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(' '));
    if (equals_ignore_case(text, word)) return word;
    words.remove_prefix(std::min(words.size(), word.size() + 1));
  }
  return {};
}

std::string comma_separated(std::string_view words) {
  std::string out;
  for (const char c : words) out += c == ' ' ? std::string(", ") : std::string(1, c);
  return out;
}

// Redis's `save`: nothing, or pairs of seconds and a number of changes.
bool is_save_points(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string seconds, changes;
  std::int64_t number = 0;
  while (in >> seconds) {
    if (!(in >> changes) || !parse_strict_integer(seconds, number) || number < 1) return false;
    if (!parse_strict_integer(changes, number) || number < 0) return false;
  }
  return true;
}

}  // namespace

std::span<const RecordedParameter> recorded_parameters() { return kRecorded; }

bool parse_memory(std::string_view text, std::int64_t& bytes) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc()) return false;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  struct Unit {
    std::string_view name;
    std::int64_t factor;
  };
  for (const Unit& known :
       {Unit{"", 1}, Unit{"b", 1}, Unit{"k", 1000}, Unit{"kb", 1 << 10}, Unit{"m", 1'000'000},
        Unit{"mb", 1 << 20}, Unit{"g", 1'000'000'000}, Unit{"gb", 1 << 30}}) {
    if (equals_ignore_case(unit, known.name)) {
      return !__builtin_mul_overflow(bytes, known.factor, &bytes);
    }
  }
  return false;
}

std::string check_recorded(const RecordedParameter& parameter, std::string_view text,
                           std::string& value) {
  std::int64_t number = 0;
  switch (parameter.kind) {
    case Kind::kInteger:
      if (!parse_strict_integer(text, number)) {
        return "argument couldn't be parsed into an integer";
      }
      break;
    case Kind::kMemory:
      if (!parse_memory(text, number)) return "argument must be a memory value";
      break;
    case Kind::kYesNo:
      value = find_word("yes no", text);
      return value.empty() ? "argument must be 'yes' or 'no'" : "";
    case Kind::kWord:
      value = find_word(parameter.words, text);
      if (!value.empty()) return {};
      return "argument(s) must be one of the following: " + comma_separated(parameter.words);
    case Kind::kText:
      if (parameter.name == "save" && !is_save_points(text)) return "Invalid save parameters";
      value = text;
      return {};
    case Kind::kFixed:
      return "can't set immutable config";
  }
  if (number < parameter.low || number > parameter.high) {
    return fmt::format("argument must be between {} and {} inclusive", parameter.low,
                       parameter.high);
  }
  value = std::to_string(number);
  return {};
}

}  // namespace even
