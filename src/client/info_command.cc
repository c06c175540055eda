// INFO: facts and counters for people and monitoring tools, in the sections and with the names of
// Redis where they mean the same, and a section of Even's own.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <set>

#include "base/memory.h"
#include "base/version.h"
#include "client/compatibility.h"
#include "client/connection_commands.h"
#include "engine/text.h"
#include "env/posix_clock.h"
#include "node/backup_runner.h"
#include "node/replicas.h"

namespace even {
namespace {

// What all sections are written from.
struct Facts {
  NodeContext& node;
  const std::vector<ThreadReport>& reports;
  const Statistics statistics = node.statistics.since_reset(Statistics::of(node, reports));

  // The sum of a number over all threads.
  template <typename Of>
  auto sum(Of of) const {
    decltype(of(reports.front())) total{};
    for (const ThreadReport& report : reports) total += of(report);
    return total;
  }
  ReplayProgress replay() const {
    return {sum([](const ThreadReport& report) { return report.replay.bytes; }),
            sum([](const ThreadReport& report) { return report.replay.done; })};
  }
};

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{}B", bytes);
  double value = static_cast<double>(bytes);
  std::string_view units = "KMGTP";
  std::size_t unit = 0;
  for (value /= 1024; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  return fmt::format("{:.2f}{}", value, units[unit]);
}

void server_section(const Facts& facts, std::string& out) {
  using std::chrono::duration_cast;
  const auto now = std::chrono::system_clock::now();
  const auto uptime = duration_cast<std::chrono::seconds>(now - facts.node.started).count();
  utsname system{};
  ::uname(&system);
  out += fmt::format(
      "redis_version:{}\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\n"
      "even_version:{}\r\nredis_mode:standalone\r\nos:{} {} {}\r\n"
      "arch_bits:64\r\nmultiplexing_api:epoll\r\nprocess_id:{}\r\nrun_id:{}\r\ntcp_port:{}\r\n"
      "server_time_usec:{}\r\nuptime_in_seconds:{}\r\nuptime_in_days:{}\r\n",
      kRedisVersion, version(), system.sysname, system.release, system.machine, ::getpid(),
      facts.node.run_id, facts.node.config.client.port,
      duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count(), uptime,
      uptime / 86400);
}

void clients_section(const Facts& facts, std::string& out) {
  const WaitingClients::Keys waited_for = facts.node.waiting_clients.keys();
  out += fmt::format(
      "connected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:{}\r\n"
      "tracking_clients:{}\r\ntotal_blocking_keys:{}\r\ntotal_blocking_keys_on_nokey:{}\r\n",
      facts.node.connected_clients.load(), facts.node.options.max_clients.load(),
      facts.node.waiting_clients.settled() + facts.node.pause.held.load(),
      facts.node.tracking.clients(), waited_for.all, waited_for.for_any_change);
}

void memory_section(const Facts& facts, std::string& out) {
  const auto figure = [&out](std::string_view name, std::uint64_t bytes) {
    out += fmt::format("{0}:{1}\r\n{0}_human:{2}\r\n", name, bytes, human_bytes(bytes));
  };
  figure("used_memory", allocated_bytes());
  figure("used_memory_rss", memory_use().resident);
  figure("used_memory_peak", allocated_peak_bytes());
  figure("maxmemory", facts.node.options.max_memory);
  out += fmt::format("maxmemory_policy:{}\r\nnumber_of_cached_scripts:{}\r\n",
                     to_string(facts.node.options.cache_policy.load()), facts.node.scripts.size());
}

void persistence_section(const Facts& facts, std::string& out) {
  bool good = true;
  for (const ThreadReport& report : facts.reports) good = good && !report.write_error;
  const ReplayProgress replay = facts.replay();
  out += fmt::format("loading:{}\r\nasync_loading:{}\r\n", facts.node.ready ? 0 : 1,
                     replay.under_way() ? 1 : 0);
  if (replay.under_way()) {
    using std::chrono::duration;
    const double seconds =
        duration<double>(std::chrono::system_clock::now() - facts.node.started).count();
    const auto done = static_cast<double>(replay.done);
    const auto left = static_cast<double>(replay.bytes - replay.done);
    out += fmt::format(
        "loading_start_time:{}\r\nloading_total_bytes:{}\r\nloading_loaded_bytes:{}\r\n"
        "loading_loaded_perc:{:.2f}\r\nloading_eta_seconds:{:.0f}\r\n",
        std::chrono::system_clock::to_time_t(facts.node.started), replay.bytes, replay.done,
        100 * done / static_cast<double>(replay.bytes), std::ceil(seconds * left / (done + 1)));
  }
  out += fmt::format(
      "rdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:ok\r\naof_enabled:1\r\n"
      "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\naof_last_bgrewrite_status:ok\r\n"
      "aof_last_write_status:{}\r\n"
      "log_bytes_written:{}\r\nlog_bytes_on_disk:{}\r\nlog_segments:{}\r\nlog_syncs:{}\r\n"
      "log_sync_errors:{}\r\nlog_rescues:{}\r\nlog_sync_seconds:{:.6f}\r\n",
      good ? "ok" : "err", facts.sum([](const ThreadReport& r) { return r.log.bytes_written; }),
      facts.sum([](const ThreadReport& r) { return r.log.bytes_on_disk; }),
      facts.sum([](const ThreadReport& r) { return r.log.segments; }),
      facts.sum([](const ThreadReport& r) { return r.log.syncs; }),
      facts.sum([](const ThreadReport& r) { return r.log.sync_errors; }),
      facts.sum([](const ThreadReport& r) { return r.log.rescues; }),
      facts.sum([](const ThreadReport& r) { return r.log.sync_seconds; }));
}

void store_section(const Facts& facts, std::string& out) {
  const RocksStats files = facts.node.store->stats();
  out += fmt::format(
      "store_passes:{}\r\nstore_failed_passes:{}\r\nstore_evicted_objects:{}\r\n"
      "store_read_rows:{}\r\nstore_lag_bytes:{}\r\nstore_bytes:{}\r\nstore_pending_compaction_"
      "bytes:{}\r\n"
      "store_level0_files:{}\r\nstore_block_cache_bytes:{}\r\n"
      "store_bytes_written_by_passes:{}\r\nstore_bytes_written_by_compaction:{}\r\n"
      "store_bytes_read_by_compaction:{}\r\nstore_background_errors:{}\r\n"
      "store_damaged_partitions:{}\r\nstore_repaired_partitions:{}\r\n",
      facts.sum([](const ThreadReport& r) { return r.store.passes; }),
      facts.sum([](const ThreadReport& r) { return r.store.failed_passes; }),
      facts.sum([](const ThreadReport& r) { return r.store.evicted; }),
      facts.sum([](const ThreadReport& r) { return r.store.rows_read; }),
      facts.sum([](const ThreadReport& r) { return r.store.lag_bytes; }), files.live,
      files.pending_compaction, files.level0_files, files.block_cache, files.written_by_passes,
      files.written_by_compaction, files.read_by_compaction, files.background_errors,
      facts.sum([](const ThreadReport& r) { return r.store.damaged; }),
      facts.sum([](const ThreadReport& r) { return r.store.repaired; }));
}

void backup_section(const Facts& facts, std::string& out) {
  const BackupRunner::Status status = facts.node.backups->status();
  const BackupRunner::Outcome last = status.last.value_or(BackupRunner::Outcome{});
  out += fmt::format(
      "backup_in_progress:{}\r\nbackup_directory:{}\r\nbackup_copied_bytes:{}\r\n"
      "backup_expected_bytes:{}\r\nbackups_succeeded:{}\r\nbackups_failed:{}\r\n"
      "last_good_backup_time:{}\r\nlast_backup_status:{}\r\n",
      status.stage == BackupRunner::Stage::kIdle ? 0 : 1, status.directory, status.copied,
      status.expected, status.succeeded, status.failed, status.succeeded_s,
      !status.last ? "none"
      : last.error ? "err"
                   : "ok");
  if (!status.last) return;
  if (last.error) out += fmt::format("last_backup_error:{}\r\n", *last.error);
  out += fmt::format(
      "last_backup_directory:{}\r\nlast_backup_id:{}\r\nlast_backup_time:{}\r\n"
      "last_backup_seconds:{:.3f}\r\nlast_backup_bytes:{}\r\nlast_backup_copied_bytes:{}\r\n",
      last.directory, last.backup.id, last.ended_s, last.seconds, last.backup.bytes, last.copied);
}

void stats_section(const Facts& facts, std::string& out) {
  const Statistics& all = facts.statistics;
  out += fmt::format(
      "total_connections_received:{}\r\ntotal_commands_processed:{}\r\n"
      "instantaneous_ops_per_sec:{:.0f}\r\ntotal_net_input_bytes:{}\r\n"
      "total_net_output_bytes:{}\r\ninstantaneous_input_kbps:{:.2f}\r\n"
      "instantaneous_output_kbps:{:.2f}\r\nrejected_connections:{}\r\nexpired_keys:{}\r\n"
      "expired_subkeys:{}\r\nevicted_keys:{}\r\nkeyspace_hits:{}\r\nkeyspace_misses:{}\r\npubsub_"
      "channels:{}\r\n"
      "pubsub_patterns:{}\r\npubsubshard_channels:{}\r\ntracking_total_keys:{}\r\n"
      "tracking_total_items:{}\r\ntracking_total_prefixes:{}\r\ntotal_error_replies:{}\r\n",
      all.connections, all.calls(),
      facts.sum([](const ThreadReport& r) { return r.commands_per_second; }), all.input_bytes,
      all.output_bytes, facts.sum([](const ThreadReport& r) { return r.input_per_second; }) / 1024,
      facts.sum([](const ThreadReport& r) { return r.output_per_second; }) / 1024,
      all.rejected_connections, all.keys_expired, all.fields_expired, all.keys_evicted,
      all.keyspace_hits, all.keyspace_misses,
      facts.node.subscriptions.names(SubscriptionKind::kChannel),
      facts.node.subscriptions.names(SubscriptionKind::kPattern),
      facts.node.subscriptions.names(SubscriptionKind::kShardChannel), facts.node.tracking.keys(),
      facts.node.tracking.items(), facts.node.tracking.prefixes(), all.error_replies());
}

// 0: there is none.
std::int64_t age_seconds(std::int64_t since_ms) {
  if (since_ms == 0) return 0;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  return std::max<std::int64_t>((now_ms - since_ms) / 1'000, 0);
}

void replication_section(const Facts& facts, std::string& out) {
  const HintStats hints = hints_of(facts.reports);
  // Every node takes writes: each is a master, with the others as its replicas (see ROLE).
  const Replicas replicas = replicas_of(facts.node, facts.reports);
  const auto connected = replicas.connected();
  out += fmt::format("role:master\r\nconnected_slaves:{}\r\n", connected.size());
  for (std::size_t i = 0; i < connected.size(); ++i) {
    out += fmt::format("slave{}:ip={},port={},state=online,offset={},lag={:.0f}\r\n", i,
                       connected[i]->node->host, connected[i]->node->client_port,
                       connected[i]->offset, connected[i]->lag_seconds);
  }
  out += fmt::format("master_replid:{}\r\nmaster_repl_offset:{}\r\npeers:{}\r\n", facts.node.run_id,
                     replicas.offset, replicas.nodes.size());
  for (const Replica& peer : replicas.nodes) {
    const auto waiting = hints.waiting.find(peer.node->number);
    out +=
        fmt::format("peer{}:name={},link={},lag_records={},lag_seconds={:.3f},hints={}\r\n",
                    peer.node->number, peer.node->name, peer.up ? "up" : "down", peer.lag_records,
                    peer.lag_seconds, waiting == hints.waiting.end() ? 0 : waiting->second);
  }
  out += fmt::format(
      "hints_records:{}\r\nhints_bytes:{}\r\nhints_partitions:{}\r\nhints_oldest_seconds:{}\r\n"
      "hints_kept:{}\r\nhints_sent:{}\r\nhints_handed_over:{}\r\nhints_refused:{}\r\n"
      "hints_expired:{}\r\n",
      hints.records, hints.bytes, hints.partitions, age_seconds(hints.oldest_ms), hints.kept,
      hints.sent, hints.handed_over, hints.refused, hints.expired);
}

void cluster_section(const Facts& facts, std::string& out) {
  out += fmt::format("cluster_enabled:{}\r\n", facts.node.config.cluster.nodes.size() > 1 ? 1 : 0);
}

void cpu_section(const Facts&, std::string& out) {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  out += fmt::format("used_cpu_sys:{:.6f}\r\nused_cpu_user:{:.6f}\r\n", seconds(use.ru_stime),
                     seconds(use.ru_utime));
}

void commandstats_section(const Facts& facts, std::string& out) {
  for (const auto& [name, command] : facts.statistics.commands) {
    // What was counted before a reset is taken off, with the rounding of a clock's ticks.
    const double us = command.us > 0 ? command.us : 0;
    out += fmt::format(
        "cmdstat_{}:calls={},usec={:.0f},usec_per_call={:.2f},rejected_calls={},failed_calls={}"
        "\r\n",
        name, command.calls, us, command.calls == 0 ? 0.0 : us / static_cast<double>(command.calls),
        command.rejected, command.failed);
  }
}

void errorstats_section(const Facts& facts, std::string& out) {
  for (const auto& [code, count] : facts.statistics.errors) {
    out += fmt::format("errorstat_{}:count={}\r\n", code, count);
  }
}

void keyspace_section(const Facts& facts, std::string& out) {
  struct Row {
    std::uint64_t keys = 0, expiring = 0;
    double ttls_ms = 0;
  };
  DatabaseCounts counts;
  for (const ThreadReport& report : facts.reports) counts += report.databases;
  const std::int64_t now_ms = PosixClock(&facts.node.clock_skew).wall_ms();
  std::array<Row, kDatabases> rows;
  Row& rest = rows[0];
  rest = {facts.sum([](const ThreadReport& r) { return r.keys; }),
          facts.sum([](const ThreadReport& r) { return r.keys_with_expiry; }),
          facts.sum([](const ThreadReport& r) { return r.sum_of_ttls_ms; })};
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const DatabaseCounts::Count& count = counts.of[i];
    const auto left = static_cast<std::int64_t>(
        count.expiries_ms - count.expiring * static_cast<std::uint64_t>(now_ms));
    rows[i] = {count.keys, count.expiring, static_cast<double>(left)};
    rest.keys -= std::min(rest.keys, rows[i].keys);
    rest.expiring -= std::min(rest.expiring, rows[i].expiring);
    rest.ttls_ms -= rows[i].ttls_ms;
  }
  const DatabaseMap databases = facts.node.databases.load();
  for (DatabaseNumber number = 0; number < kDatabases; ++number) {
    const Row& row = rows[databases.stored(number)];
    if (row.keys == 0) continue;
    const double average_ms = row.ttls_ms / static_cast<double>(row.expiring);
    out += fmt::format("db{}:keys={},expires={},avg_ttl={:.0f}\r\n", number, row.keys, row.expiring,
                       row.expiring == 0 ? 0.0 : std::max(0.0, average_ms));
  }
}

void even_section(const Facts& facts, std::string& out) {
  const Config& config = facts.node.config;
  out += fmt::format(
      "node:{}\r\nnode_number:{}\r\ncluster:{}\r\nmap_version:{}\r\nshards:{}\r\npartitions:{}\r\n"
      "replicas:{}\r\nrecords_local:{}\r\nrecords_joined:{}\r\nrecords_duplicate:{}\r\n"
      "records_pending:{}\r\nrecords_received:{}\r\nrecords_decoded:{}\r\nsnapshots_joined:{}"
      "\r\nsnapshots_refused:{}\r\n"
      "snapshots_resumed:{}\r\nsnapshot_pieces_sent:{}\r\nsnapshot_bytes_sent:{}\r\n"
      "conflicts:{}\r\ntype_conflicts:{}\r\n"
      "digest_comparisons:{}\r\ndigest_mismatches:{}\r\nclock_clamped:{}\r\n"
      "pubsub_messages_received:{}\r\npubsub_messages_dropped:{}\r\n",
      config.node.name, facts.node.number, config.cluster.id, config.cluster.version,
      facts.node.shards, config.cluster.partitions, config.cluster.replicas,
      facts.sum([](const ThreadReport& r) { return r.stats.records_local; }),
      facts.sum([](const ThreadReport& r) { return r.stats.records_joined; }),
      facts.sum([](const ThreadReport& r) { return r.stats.records_duplicate; }),
      facts.sum([](const ThreadReport& r) { return r.stats.records_pending; }),
      facts.sum([](const ThreadReport& r) { return r.stats.records_received; }),
      facts.sum([](const ThreadReport& r) { return r.stats.records_decoded; }),
      facts.sum([](const ThreadReport& r) { return r.stats.snapshots_joined; }),
      facts.sum([](const ThreadReport& r) { return r.stats.snapshots_refused; }),
      facts.sum([](const ThreadReport& r) { return r.stats.snapshots_resumed; }),
      facts.sum([](const ThreadReport& r) { return r.stats.snapshot_pieces_sent; }),
      facts.sum([](const ThreadReport& r) { return r.stats.snapshot_bytes_sent; }),
      facts.sum([](const ThreadReport& r) { return r.stats.conflicts; }),
      facts.sum([](const ThreadReport& r) { return r.stats.type_conflicts; }),
      facts.sum([](const ThreadReport& r) { return r.stats.digest_comparisons; }),
      facts.sum([](const ThreadReport& r) { return r.stats.digest_mismatches; }),
      facts.sum([](const ThreadReport& r) { return r.stats.clock_clamped; }),
      facts.sum([](const ThreadReport& r) { return r.publisher.received; }),
      facts.sum([](const ThreadReport& r) { return r.publisher.dropped; }));
  for (const ThreadReport& report : facts.reports) {
    out += fmt::format("shard{}:replica={},keys={}\r\n", report.shard, report.replica.to_string(),
                       report.keys);
    if (report.write_error) {
      out += fmt::format("shard{}_write_error:{}\r\n", report.shard, *report.write_error);
    }
  }
}

struct Section {
  std::string_view name;  // lower case, as asked for
  std::string_view title;
  void (*write)(const Facts&, std::string& out);
  bool by_default = true;
};

constexpr Section kSections[] = {
    {"server", "Server", server_section},
    {"clients", "Clients", clients_section},
    {"memory", "Memory", memory_section},
    {"persistence", "Persistence", persistence_section},
    {"store", "Store", store_section},
    {"backup", "Backup", backup_section},
    {"stats", "Stats", stats_section},
    {"replication", "Replication", replication_section},
    {"cpu", "CPU", cpu_section},
    {"commandstats", "Commandstats", commandstats_section, false},
    {"errorstats", "Errorstats", errorstats_section},
    {"cluster", "Cluster", cluster_section},
    {"keyspace", "Keyspace", keyspace_section},
    {"even", "Even", even_section},
};

}  // namespace

void execute_info(Connection& connection, Args args) {
  std::set<const Section*> wanted;
  for (const Section& section : kSections) {
    bool included = args.size() == 1 && section.by_default;
    for (std::string_view name : args.subspan(1)) {
      included = included || equals_ignore_case(name, section.name) ||
                 equals_ignore_case(name, "all") || equals_ignore_case(name, "everything") ||
                 (equals_ignore_case(name, "default") && section.by_default);
    }
    if (included) wanted.insert(&section);
  }
  reply_gathered<ThreadReport>(
      connection, [](ShardThread& thread) { return make_report(thread, false); },
      [&node = connection.thread().node(), wanted](Reply& reply,
                                                   std::vector<ThreadReport> reports) {
        const Facts facts{node, reports};
        std::string text;
        for (const Section& section : kSections) {
          if (!wanted.contains(&section)) continue;
          if (!text.empty()) text += "\r\n";
          text += fmt::format("# {}\r\n", section.title);
          section.write(facts, text);
        }
        reply.verbatim("txt", text);
      });
}

}  // namespace even
