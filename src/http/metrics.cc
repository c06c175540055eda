#include "http/metrics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "base/memory.h"
#include "base/version.h"
#include "http/consistency_report.h"
#include "http/metric_writer.h"
#include "kafka/quotas.h"
#include "node/backup_runner.h"
#include "node/statistics.h"

namespace even {
namespace {

template <typename Of>
auto sum(std::span<const ThreadReport> reports, Of of) {
  decltype(of(std::declval<const ThreadReport&>())) total{};
  for (const ThreadReport& report : reports) total += of(report);
  return total;
}

// One peer's state, put together from all shards.
struct PeerSummary {
  bool up = true;
  bool suspected = false;
  std::uint64_t lag_records = 0;
  double lag_seconds = 0;
  std::uint64_t bytes_in_flight = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t sent_bytes = 0;
  std::vector<std::uint64_t> delays =
      std::vector<std::uint64_t>(std::size(ShardStats::kLagBucketsUs) + 1);
  double delay_sum_seconds = 0;
};

PeerSummary summarize(std::span<const ThreadReport> reports, NodeNumber peer) {
  PeerSummary summary;
  summary.up = !reports.empty();
  for (const ThreadReport& report : reports) {
    const auto link = report.links.find(peer);
    summary.up = summary.up && link != report.links.end() && link->second;
    const auto suspected = report.suspected.find(peer);
    summary.suspected |= suspected != report.suspected.end() && suspected->second;
    const auto sent = report.sent_bytes.find(peer);
    if (sent != report.sent_bytes.end()) summary.sent_bytes += sent->second;
    for (const PeerStatus& status : report.peers) {
      if (status.node != peer) continue;
      summary.lag_records += status.lag_records;
      summary.lag_seconds = std::max(summary.lag_seconds, status.lag_seconds);
      summary.bytes_in_flight += status.bytes_in_flight;
      summary.snapshot_bytes += status.snapshot_bytes;
      summary.held_bytes += status.held_bytes;
      summary.delay_sum_seconds += status.delay_sum_seconds;
      for (std::size_t i = 0; i < std::min(summary.delays.size(), status.delay_histogram.size());
           ++i) {
        summary.delays[i] += status.delay_histogram[i];
      }
    }
  }
  return summary;
}

void write_commands(MetricWriter& writer, const NodeContext& node,
                    std::span<const ThreadReport> reports) {
  const Statistics statistics = Statistics::of(node, reports);
  std::map<std::string_view, LatencyHistogram> latencies;
  for (const ThreadReport& report : reports) {
    for (const auto& [name, command] : report.commands) latencies[name].merge(command.latency);
  }
  const auto family = [&](std::string_view name, std::string_view help, auto get) {
    writer.family(name, "counter", help);
    for (const auto& [command, calls] : statistics.commands) {
      writer.value(fmt::format("command=\"{}\"", command), get(calls));
    }
  };
  using Calls = Statistics::Calls;
  family("even_commands_total", "Commands executed for clients of this node.",
         [](const Calls& calls) { return calls.calls; });
  family("even_commands_rejected_total", "Commands refused before they were executed.",
         [](const Calls& calls) { return calls.rejected; });
  family("even_commands_failed_total", "Commands that replied an error.",
         [](const Calls& calls) { return calls.failed; });
  family("even_command_execution_seconds_total", "Time spent executing commands.",
         [](const Calls& calls) { return calls.us * 1e-6; });
  writer.family("even_command_duration_seconds", "histogram",
                "Time from the read of a command's turn to the end of the turn.");
  for (const auto& [name, latency] : latencies) {
    writer.histogram(fmt::format("command=\"{}\"", name), LatencyHistogram::kBoundsUs,
                     latency.buckets, latency.sum_seconds);
  }
  writer.family("even_error_replies_total", "counter", "Errors replied to clients, by their code.");
  for (const auto& [code, count] : statistics.errors) {
    writer.value(fmt::format("code=\"{}\"", code), count);
  }
  writer.family(
      "even_requests_at_level_total", "counter",
      "Requests with a level of consistency of their own, of their connection or of their "
      "keyspace, by its kind.");
  static constexpr std::pair<cluster::Level::Kind, std::string_view> kLevels[] = {
      {cluster::Level::Kind::kOne, "one"},
      {cluster::Level::Kind::kReplicas, "number"},
      {cluster::Level::Kind::kQuorum, "quorum"},
      {cluster::Level::Kind::kAll, "all"},
      {cluster::Level::Kind::kSession, "session"},
      {cluster::Level::Kind::kCausal, "causal"},
      {cluster::Level::Kind::kBounded, "bounded"},
      {cluster::Level::Kind::kSequential, "sequential"},
      {cluster::Level::Kind::kLinearizable, "linearizable"}};
  for (const auto& [kind, name] : kLevels) {
    writer.value(fmt::format("level=\"{}\"", name), sum(reports, [kind](const ThreadReport& r) {
                   return r.at_level[static_cast<std::size_t>(kind)];
                 }));
  }
  const auto waits = [&](std::string_view name, std::string_view help, auto member) {
    writer.single(name, "counter", help,
                  sum(reports, [member](const ThreadReport& r) { return r.*member; }));
  };
  waits("even_session_waits_total", "How often requests had to wait for what a session had seen.",
        &ThreadReport::session_waits);
  waits("even_bounded_questions_total", "How often bounded reads had to ask the other replicas.",
        &ThreadReport::bounded_questions);
  waits("even_bounded_handed_on_total", "Bounded reads that were given to another node.",
        &ThreadReport::bounded_handed_on);
  waits("even_reads_hedged_total",
        "Reads that a second node was asked for, as the first one was late.",
        &ThreadReport::reads_hedged);
  waits("even_reads_hedged_won_total", "Of these, those that another one than the first answered.",
        &ThreadReport::hedges_won);
  writer.single("even_client_received_bytes_total", "counter", "Bytes received from clients.",
                statistics.input_bytes);
  writer.single("even_client_sent_bytes_total", "counter", "Bytes sent to clients.",
                statistics.output_bytes);
  writer.single("even_keyspace_hits_total", "counter", "Keys read that were there.",
                statistics.keyspace_hits);
  writer.single("even_keyspace_misses_total", "counter", "Keys read that were not there.",
                statistics.keyspace_misses);
}

void write_peers(MetricWriter& writer, const NodeContext& node,
                 std::span<const ThreadReport> reports) {
  std::map<std::string, PeerSummary> peers;
  for (const cluster::Node& peer : node.config.cluster.nodes) {
    if (peer.number == node.number) continue;
    peers[fmt::format("peer=\"{}\"", peer.name)] = summarize(reports, peer.number);
  }
  writer.family("even_peer_up", "gauge", "1 when the links of all shards to the peer are up.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.up ? 1 : 0);
  writer.family("even_peer_suspected", "gauge",
                "1 when the peer has been silent for so long that others are asked in its place.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.suspected ? 1 : 0);
  writer.family("even_replication_lag_records", "gauge",
                "Records of this node that the peer has not acknowledged.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.lag_records);
  writer.family("even_replication_lag_seconds", "gauge", "Age of the oldest of those records.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.lag_seconds);
  writer.family("even_replication_in_flight_bytes", "gauge",
                "Bytes of records and states sent to the peer and not acknowledged.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.bytes_in_flight);
  writer.family("even_replication_snapshot_bytes", "gauge",
                "Bytes in memory of states that are on their way to the peer or from it.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.snapshot_bytes);
  writer.family("even_replication_held_bytes", "gauge",
                "Bytes of records that are held back for the peer: EVEN.KEYSPACE ... DELAY.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.held_bytes);
  writer.family("even_peer_sent_bytes_total", "counter",
                "Bytes of all that was sent to the peer, without what TLS adds.");
  for (const auto& [label, peer] : peers) writer.value(label, peer.sent_bytes);
  writer.family("even_replication_delay_seconds", "histogram",
                "Time from a record's making at the peer to its joining here.");
  for (const auto& [label, peer] : peers) {
    writer.histogram(label, ShardStats::kLagBucketsUs, peer.delays, peer.delay_sum_seconds);
  }
}

void write_shards(MetricWriter& writer, std::span<const ThreadReport> reports) {
  struct Counter {
    std::string_view name;
    std::string_view help;
    std::uint64_t (*get)(const ThreadReport&);
  };
  static constexpr Counter kCounters[] = {
      {"even_records_local_total", "Records made by commands of this node.",
       [](const ThreadReport& r) { return r.stats.records_local; }},
      {"even_records_joined_total", "Records of other nodes that were joined.",
       [](const ThreadReport& r) { return r.stats.records_joined; }},
      {"even_records_duplicate_total", "Records that arrived again and were recognised.",
       [](const ThreadReport& r) { return r.stats.records_duplicate; }},
      {"even_snapshots_joined_total", "Full states of partitions that were joined.",
       [](const ThreadReport& r) { return r.stats.snapshots_joined; }},
      {"even_snapshots_refused_total",
       "States of partitions that did not match their checksum: must stay 0.",
       [](const ThreadReport& r) { return r.stats.snapshots_refused; }},
      {"even_snapshots_resumed_total",
       "Times that sending a state of a partition went on from the middle.",
       [](const ThreadReport& r) { return r.stats.snapshots_resumed; }},
      {"even_snapshot_sent_pieces_total", "Pieces of states of partitions that were sent.",
       [](const ThreadReport& r) { return r.stats.snapshot_pieces_sent; }},
      {"even_snapshot_sent_bytes_total", "Bytes of these.",
       [](const ThreadReport& r) { return r.stats.snapshot_bytes_sent; }},
      {"even_conflicts_total", "Concurrent writes that were resolved.",
       [](const ThreadReport& r) { return r.stats.conflicts; }},
      {"even_type_conflicts_total", "Keys created concurrently with different types.",
       [](const ThreadReport& r) { return r.stats.type_conflicts; }},
      {"even_digest_comparisons_total", "Comparisons of digests at equal vectors.",
       [](const ThreadReport& r) { return r.stats.digest_comparisons; }},
      {"even_digest_mismatches_total", "Equal vectors with different digests: must stay 0.",
       [](const ThreadReport& r) { return r.stats.digest_mismatches; }},
      {"even_clock_clamped_total", "Remote times beyond clock.max_drift_ms.",
       [](const ThreadReport& r) { return r.stats.clock_clamped; }},
      {"even_records_received_total", "Records that peers have sent.",
       [](const ThreadReport& r) { return r.stats.records_received; }},
      {"even_records_decoded_total", "How often one of them was decoded to take it in.",
       [](const ThreadReport& r) { return r.stats.records_decoded; }},
      {"even_pubsub_received_messages_total", "Messages that clients of other nodes published.",
       [](const ThreadReport& r) { return r.publisher.received; }},
      {"even_pubsub_dropped_messages_total",
       "Messages that were not sent to another node since too much waited for it.",
       [](const ThreadReport& r) { return r.publisher.dropped; }},
      {"even_hash_fields_expired_total", "Fields of hashes removed because they had expired.",
       [](const ThreadReport& r) { return r.stats.fields_expired; }},
      {"even_keys_expired_total", "Keys removed because they had expired.",
       [](const ThreadReport& r) { return r.stats.keys_expired; }},
      {"even_keys_evicted_total", "Keys deleted by this node's cache policy.",
       [](const ThreadReport& r) { return r.stats.keys_evicted; }},
      {"even_log_written_bytes_total", "Bytes written to the log.",
       [](const ThreadReport& r) { return r.log.bytes_written; }},
      {"even_log_syncs_total", "Times that the log was forced to disk.",
       [](const ThreadReport& r) { return r.log.syncs; }},
      {"even_log_sync_errors_total", "Times that this failed.",
       [](const ThreadReport& r) { return r.log.sync_errors; }},
      {"even_log_rescues_total", "Times that what had not been synced was written anew.",
       [](const ThreadReport& r) { return r.log.rescues; }},
      {"even_store_passes_total",
       "Passes that brought the store up to date with the log, those of topics alone included.",
       [](const ThreadReport& r) { return r.store.passes; }},
      {"even_store_failed_passes_total", "Times that this failed.",
       [](const ThreadReport& r) { return r.store.failed_passes; }},
      {"even_store_evicted_objects_total",
       "Objects, and elements of large collections, that left memory and are in the store only.",
       [](const ThreadReport& r) { return r.store.evicted; }},
      {"even_store_read_rows_total", "Rows of the store that were read.",
       [](const ThreadReport& r) { return r.store.rows_read; }},
      {"even_store_repaired_partitions_total",
       "Damaged partitions that were made anew from another replica.",
       [](const ThreadReport& r) { return r.store.repaired; }},
  };
  for (const Counter& counter : kCounters) {
    writer.single(counter.name, "counter", counter.help, sum(reports, counter.get));
  }
  writer.single("even_log_sync_seconds_total", "counter", "Time spent in it.",
                sum(reports, [](const ThreadReport& r) { return r.log.sync_seconds; }));
  double last_sync = 0;
  for (const ThreadReport& report : reports) {
    last_sync = std::max(last_sync, report.log.last_sync_seconds);
  }
  writer.single("even_log_last_sync_seconds", "gauge",
                "How long the last one took, at the slowest shard.", last_sync);
  writer.single("even_log_bytes", "gauge", "Size of the log's segments on disk.",
                sum(reports, [](const ThreadReport& r) { return r.log.bytes_on_disk; }));
  writer.single("even_log_segments", "gauge", "Number of the log's segments on disk.",
                sum(reports, [](const ThreadReport& r) { return r.log.segments; }));
  writer.single("even_log_replay_left_bytes", "gauge",
                "Of the log as it was at the start, what has not been replayed yet.",
                sum(reports, [](const ThreadReport& r) { return r.replay.bytes - r.replay.done; }));
  writer.single("even_store_lag_bytes", "gauge",
                "Log behind the positions from which it completes the store.",
                sum(reports, [](const ThreadReport& r) { return r.store.lag_bytes; }));
  writer.single("even_store_damaged_partitions", "gauge",
                "Partitions of which something in the store cannot be read.",
                sum(reports, [](const ThreadReport& r) { return r.store.damaged; }));
  const HintStats hints = hints_of(reports);
  writer.single("even_hints_records", "gauge", "Records that are kept for other nodes.",
                hints.records);
  writer.single("even_hints_bytes", "gauge", "Bytes of these.", hints.bytes);
  writer.single("even_hints_kept_total", "counter", "Records that were kept for other nodes.",
                hints.kept);
  writer.single("even_hints_sent_total", "counter",
                "Of these, how often one was sent to a node that lacked it.", hints.sent);
  writer.single("even_hints_handed_over_total", "counter",
                "Of these, what all owners have had by the time it was forgotten.",
                hints.handed_over);
  writer.single("even_hints_refused_total", "counter",
                "Records that were not kept for want of room: left to anti-entropy.",
                hints.refused);
  writer.single("even_hints_expired_total", "counter",
                "Records that were dropped as too old: left to anti-entropy.", hints.expired);
  writer.single("even_check_keys_total", "counter", "Keys that checks have looked at.",
                sum(reports, [](const ThreadReport& r) { return r.check.keys; }));
  writer.single("even_check_rounds_total", "counter",
                "How often a shard has been through all of its partitions.",
                sum(reports, [](const ThreadReport& r) { return r.check.rounds; }));
  writer.single("even_check_failed_audits_total", "counter",
                "Partitions that held what no record had put there: should stay 0.",
                sum(reports, [](const ThreadReport& r) { return r.check.audits_failed; }));
  writer.single("even_check_repaired_keys_total", "counter",
                "Keys that were not as other replicas have them: should stay 0.",
                sum(reports, [](const ThreadReport& r) { return r.check.repaired; }));
  writer.single("even_check_undecided_keys", "gauge",
                "Keys that differ and wait for the votes of other replicas.",
                sum(reports, [](const ThreadReport& r) { return r.check.undecided; }));
  writer.single("even_check_suspect_partitions", "gauge",
                "Partitions that hold what no record has put there, and are not repaired yet.",
                sum(reports, [](const ThreadReport& r) { return r.check.suspect.size(); }));
  writer.single("even_records_pending", "gauge", "Records that wait for one they depend on.",
                sum(reports, [](const ThreadReport& r) { return r.stats.records_pending; }));
  writer.single("even_keys_lapsed", "gauge",
                "Keys that have expired and wait until no replica can have prolonged them.",
                sum(reports, [](const ThreadReport& r) { return r.keys_lapsed; }));
  writer.single("even_keys", "gauge", "Keys.",
                sum(reports, [](const ThreadReport& r) { return r.keys; }));
  writer.single("even_keys_with_expiry", "gauge", "Keys that will expire.",
                sum(reports, [](const ThreadReport& r) { return r.keys_with_expiry; }));
  writer.single("even_write_errors", "gauge", "Shards that refuse writes at present.",
                std::ranges::count_if(
                    reports, [](const ThreadReport& r) { return r.write_error.has_value(); }));
}

void write_store(MetricWriter& writer, const RocksStats& stats) {
  writer.single("even_store_bytes", "gauge", "Size of the store's files on disk.", stats.live);
  writer.single("even_store_pending_compaction_bytes", "gauge",
                "Estimate of what is to be rewritten.", stats.pending_compaction);
  writer.single("even_store_level0_files", "gauge", "Files that every read looks at.",
                stats.level0_files);
  writer.single("even_store_block_cache_bytes", "gauge", "Blocks of the store in memory.",
                stats.block_cache);
  writer.single("even_store_pass_bytes_total", "counter", "Bytes written by passes.",
                stats.written_by_passes);
  writer.single("even_store_compaction_written_bytes_total", "counter",
                "Bytes written by compaction.", stats.written_by_compaction);
  writer.single("even_store_compaction_read_bytes_total", "counter", "Bytes read by compaction.",
                stats.read_by_compaction);
  writer.single("even_store_background_errors_total", "counter", "Compactions that failed.",
                stats.background_errors);
}

void write_backups(MetricWriter& writer, const BackupRunner::Status& status) {
  writer.single("even_backup_in_progress", "gauge", "1 while a backup is under way.",
                status.stage == BackupRunner::Stage::kIdle ? 0 : 1);
  writer.single("even_backup_copied_bytes", "gauge", "What it has copied so far.", status.copied);
  writer.single("even_backup_expected_bytes", "gauge", "Estimate of what it will copy.",
                status.expected);
  writer.single("even_backups_total", "counter", "Backups made.", status.succeeded);
  writer.single("even_backups_failed_total", "counter", "Backups that failed or were cancelled.",
                status.failed);
  writer.single("even_last_good_backup_time_seconds", "gauge",
                "When the last backup was made that did not fail, Unix time; 0: none yet.",
                status.succeeded_s);
  if (!status.last) return;
  writer.single("even_last_backup_success", "gauge", "1 unless the last backup failed.",
                status.last->error ? 0 : 1);
  writer.single("even_last_backup_duration_seconds", "gauge", "How long it took.",
                status.last->seconds);
  writer.single("even_last_backup_bytes", "gauge", "Size of all that it consists of.",
                status.last->backup.bytes);
  writer.single("even_last_backup_copied_bytes", "gauge", "What of that was copied.",
                status.last->copied);
}

// What a node says of the groups that it is a member of.
struct GroupSummary {
  std::size_t members = 0;
  std::size_t leads = 0;
  std::vector<PartitionId> without_leader;
  std::vector<PartitionId> diverged;
  std::uint64_t term = 0;       // the highest
  std::uint64_t apply_lag = 0;  // entries that are committed and not applied here, of all
  std::uint64_t lag = 0;        // the most that a member lacks of a group that is led here
};

GroupSummary summarize_groups(std::span<const ThreadReport> reports) {
  GroupSummary out;
  for (const ThreadReport& report : reports) {
    for (const GroupStatus& group : report.groups) {
      ++out.members;
      out.leads += group.leads ? 1 : 0;
      if (group.leader == 0) out.without_leader.push_back(group.group);
      if (group.diverged) out.diverged.push_back(group.group);
      out.term = std::max<std::uint64_t>(out.term, group.term);
      out.apply_lag += group.committed - std::min(group.committed, group.applied);
      for (const auto& [node, entries] : group.lags) out.lag = std::max(out.lag, entries);
    }
  }
  std::ranges::sort(out.without_leader);
  std::ranges::sort(out.diverged);
  return out;
}

void write_groups(MetricWriter& writer, std::span<const ThreadReport> reports) {
  const GroupSummary groups = summarize_groups(reports);
  writer.single("even_groups", "gauge", "Groups of strong keyspaces that this node is a member of.",
                groups.members);
  writer.single("even_groups_led", "gauge", "Groups that this node leads.", groups.leads);
  writer.single("even_groups_without_leader", "gauge", "Groups of which no leader is known here.",
                groups.without_leader.size());
  writer.single("even_group_highest_term", "gauge", "The highest term of a group.", groups.term);
  writer.single("even_group_apply_lag_entries", "gauge",
                "Entries that are committed and not applied here.", groups.apply_lag);
  writer.single("even_group_member_lag_entries", "gauge",
                "The most entries that a member lacks of a group that is led here.", groups.lag);
  const auto counter = [&](std::string_view name, std::string_view help, auto of) {
    writer.single(name, "counter", help,
                  sum(reports, [of](const ThreadReport& report) { return report.stats.*of; }));
  };
  counter("even_group_elections_total", "Elections that this node stood in.",
          &ShardStats::elections);
  counter("even_group_proposals_total", "Writes that groups led here were asked for.",
          &ShardStats::proposals);
  counter("even_group_proposals_refused_total", "Those that were not proposed.",
          &ShardStats::proposals_refused);
  counter("even_group_proposals_answered_total", "Those that have been executed.",
          &ShardStats::proposals_answered);
  counter("even_group_proposal_seconds_total",
          "Time from the proposals of these to their execution, in all.",
          &ShardStats::proposal_seconds);
  counter("even_group_entries_applied_total", "Entries of groups that were executed here.",
          &ShardStats::entries_applied);
  counter("even_topic_compactions_total", "Times that a topic's partition was compacted here.",
          &ShardStats::topic_compactions);
  counter("even_topic_compaction_read_bytes_total", "Bytes of topics read for compaction.",
          &ShardStats::topic_bytes_read);
  counter("even_topic_compaction_removed_bytes_total", "Bytes of topics removed by compaction.",
          &ShardStats::topic_bytes_removed);
  counter("even_group_read_rounds_total",
          "Rounds by which leaders made sure that they lead, each for all reads of a turn.",
          &ShardStats::read_rounds);
  counter("even_group_snapshots_sent_total", "States of groups that were sent to members.",
          &ShardStats::group_snapshots_sent);
  writer.single(
      "even_emit_waiting_events", "gauge",
      "Events of transactions that this node is to relay to their topics.",
      sum(reports, [](const ThreadReport& report) { return report.stats.events_waiting; }));
  double lag_seconds = 0;
  for (const ThreadReport& report : reports) {
    lag_seconds = std::max(lag_seconds, report.stats.event_lag_seconds);
  }
  writer.single("even_emit_relay_lag_seconds", "gauge", "The age of the oldest of these.",
                lag_seconds);
  counter("even_emit_relayed_events_total", "Events that this node has relayed.",
          &ShardStats::events_relayed);
  counter("even_emit_repeated_events_total",
          "Events that this node has sent to their topics, which had them already.",
          &ShardStats::events_repeated);
  counter("even_feed_events_total", "Events of change feeds that were made by this node.",
          &ShardStats::feed_changes);
  counter("even_feed_lost_changes_total",
          "Changes without an event in their feed, since something could not be read.",
          &ShardStats::feed_lost);
  writer.single(
      "even_feed_waiting_partitions", "gauge",
      "Partitions that do not follow their change feed yet, or whose snapshot is not complete.",
      sum(reports, [](const ThreadReport& report) { return report.stats.feed_snapshots; }));
}

// As Kafka labels it.
std::string label_of(const cluster::QuotaName& name) {
  using Kind = cluster::QuotaName::Kind;
  if (name.kind == Kind::kDefault) return "<default>";
  if (name.kind == Kind::kAbsent) return "";
  // Clients choose it; a label is UTF-8.
  std::string out;
  for (const char c : name.name) {
    const bool plain = c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '%';
    out += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return out;
}

void write_quotas(MetricWriter& writer, const kafka::Quotas& quotas) {
  using cluster::QuotaKind;
  const std::vector<kafka::Quotas::Row> rows = quotas.rows();
  const auto family = [&](QuotaKind kind, std::string_view name, std::string_view help, auto get) {
    writer.family(name, "counter", help);
    for (const kafka::Quotas::Row& row : rows) {
      if (row.kind != kind) continue;
      writer.value(fmt::format("user=\"{}\",client_id=\"{}\"", label_of(row.entity.user),
                               label_of(row.entity.client_id)),
                   get(*row.counters));
    }
  };
  const auto bytes = [](const kafka::QuotaCounters& of) { return of.bytes.load(); };
  const auto throttled = [](const kafka::QuotaCounters& of) { return of.throttled.load(); };
  const auto seconds = [](const kafka::QuotaCounters& of) {
    return static_cast<double>(of.throttled_us.load()) * 1e-6;
  };
  family(QuotaKind::kProduce, "even_kafka_produce_bytes_total",
         "Bytes of requests of producers that have this quota.", bytes);
  family(QuotaKind::kProduce, "even_kafka_produce_throttled_requests_total",
         "Of these requests, those that were over it.", throttled);
  family(QuotaKind::kProduce, "even_kafka_produce_throttle_time_seconds_total",
         "How long the producers were to wait for that, in all.", seconds);
  family(QuotaKind::kFetch, "even_kafka_fetch_bytes_total",
         "Bytes of answers to consumers that have this quota.", bytes);
  family(QuotaKind::kFetch, "even_kafka_fetch_throttled_requests_total",
         "Requests of these consumers that were over it.", throttled);
  family(QuotaKind::kFetch, "even_kafka_fetch_throttle_time_seconds_total",
         "How long the consumers were to wait for that, in all.", seconds);
}

}  // namespace

std::string render_metrics(const NodeContext& node, std::span<const ThreadReport> reports) {
  MetricWriter writer;
  writer.family("even_info", "gauge", "1, with facts in the labels.");
  writer.value(fmt::format("node=\"{}\",version=\"{}\",cluster=\"{}\"", node.config.node.name,
                           version(), json_escape(node.config.cluster.id)),
               1);
  writer.single("even_ready", "gauge", "1 when the node serves clients.", node.ready ? 1 : 0);
  writer.single("even_users_known", "gauge",
                "1 when the node knows the cluster's users; else nobody can log in.",
                node.users_known ? 1 : 0);
  writer.single("even_shards", "gauge", "Shard threads.", node.shards);
  writer.single(
      "even_start_time_seconds", "gauge", "When the process started, Unix time.",
      std::chrono::duration_cast<std::chrono::seconds>(node.started.time_since_epoch()).count());
  writer.single("even_connected_clients", "gauge", "Clients.", node.connected_clients.load());
  writer.single("even_connections_total", "counter", "Connections taken from clients.",
                node.connections_received.load());
  writer.single("even_connections_rejected_total", "counter", "Connections refused to clients.",
                node.connections_rejected.load());
  writer.single("even_memory_allocated_bytes", "gauge", "Memory that the process has allocated.",
                allocated_bytes());
  const MemoryUse memory = memory_use();
  writer.single("even_memory_resident_bytes", "gauge", "Memory of the process.", memory.resident);
  writer.single("even_memory_peak_bytes", "gauge", "The most that it was.", memory.peak);
  write_commands(writer, node, reports);
  write_shards(writer, reports);
  if (node.store != nullptr) write_store(writer, node.store->stats());
  write_backups(writer, node.backups->status());
  write_peers(writer, node, reports);
  write_groups(writer, reports);
  write_quotas(writer, *node.kafka_quotas);
  return writer.take() + render_consistency_metrics(node, reports);
}

std::string json_escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

std::string render_status(const NodeContext& node, std::span<const ThreadReport> reports) {
  std::string out;
  auto end = std::back_inserter(out);
  fmt::format_to(
      end,
      "{{\"node\":\"{}\",\"number\":{},\"replica\":\"{}\",\"ready\":{},"
      "\"version\":\"{}\",\"keys\":{},\"shards\":{},\"replay\":{{\"bytes\":{},\"done\":{}}},"
      "\"peers\":[",
      node.config.node.name, node.number,
      reports.empty() ? "" : reports.front().replica.to_string(),
      node.ready && node.users_known &&
          std::ranges::none_of(
              reports, [](const ThreadReport& report) { return report.write_error.has_value(); }),
      version(), sum(reports, [](const ThreadReport& r) { return r.keys; }), node.shards,
      sum(reports, [](const ThreadReport& r) { return r.replay.bytes; }),
      sum(reports, [](const ThreadReport& r) { return r.replay.done; }));
  const HintStats hints = hints_of(reports);
  std::string_view comma;
  for (const cluster::Node& peer : node.config.cluster.nodes) {
    if (peer.number == node.number) continue;
    const PeerSummary summary = summarize(reports, peer.number);
    const auto waiting = hints.waiting.find(peer.number);
    fmt::format_to(end,
                   "{}{{\"name\":\"{}\",\"number\":{},\"link\":\"{}\",\"fault\":\"{}\","
                   "\"lag_records\":{},\"lag_seconds\":{:.6f},\"hints\":{},\"held_bytes\":{}}}",
                   comma, peer.name, peer.number, summary.up ? "up" : "down",
                   node.faults.get(peer.number).to_text(), summary.lag_records, summary.lag_seconds,
                   waiting == hints.waiting.end() ? 0 : waiting->second, summary.held_bytes);
    comma = ",";
  }
  const GroupSummary groups = summarize_groups(reports);
  fmt::format_to(end,
                 "],\"hints\":{{\"records\":{},\"bytes\":{},\"kept\":{},\"sent\":{},"
                 "\"handed_over\":{},\"refused\":{},\"expired\":{}}}",
                 hints.records, hints.bytes, hints.kept, hints.sent, hints.handed_over,
                 hints.refused, hints.expired);
  std::vector<PartitionId> suspect;
  for (const ThreadReport& report : reports) {
    suspect.insert(suspect.end(), report.check.suspect.begin(), report.check.suspect.end());
  }
  std::ranges::sort(suspect);
  fmt::format_to(end, ",\"check\":{{\"repaired\":{},\"undecided\":{},\"suspect\":[{}]}}",
                 sum(reports, [](const ThreadReport& r) { return r.check.repaired; }),
                 sum(reports, [](const ThreadReport& r) { return r.check.undecided; }),
                 fmt::join(suspect, ","));
  fmt::format_to(
      end, ",\"groups\":{{\"members\":{},\"leads\":{},\"without_leader\":[{}],\"diverged\":[{}]}}",
      groups.members, groups.leads, fmt::join(groups.without_leader, ","),
      fmt::join(groups.diverged, ","));
  out += ",\"consistency\":" + render_consistency(node, reports);
  out += ",\"partitions\":[";
  std::map<PartitionId, const PartitionStatus*> partitions;
  for (const ThreadReport& report : reports) {
    for (const PartitionStatus& status : report.partitions) partitions[status.partition] = &status;
  }
  comma = "";
  for (const auto& [id, status] : partitions) {
    fmt::format_to(end, "{}{{\"id\":{},\"vector\":\"{}\",\"digest\":\"{:016x}\"", comma, id,
                   status->vector.to_string(), status->digest);
    if (status->damage) fmt::format_to(end, ",\"damage\":\"{}\"", json_escape(*status->damage));
    out += '}';
    comma = ",";
  }
  out += "]}\n";
  return out;
}

}  // namespace even
