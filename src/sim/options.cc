#include "sim/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/undisturbed.h"

namespace even::sim {

RunOptions RunOptions::draw(std::uint64_t seed) {
  if (const auto undisturbed = draw_undisturbed(seed)) return *undisturbed;
  Random random(seed * 0x9e3779b97f4a7c15ULL + 1);
  const auto among = [&random](auto... values) {
    const std::common_type_t<decltype(values)...> all[] = {values...};
    return all[random.below(sizeof...(values))];
  };
  RunOptions o;
  o.seed = seed;
  o.nodes = among(1, 2, 3, 3, 3, 3, 4, 5);
  o.replicas = std::min(o.nodes, among(2, 3, 3, 3));
  o.partitions = static_cast<std::uint16_t>(among(1, 2, 4, 8));
  o.fsync = among(FsyncPolicy::kAlways, FsyncPolicy::kAlways, FsyncPolicy::kEverySecond,
                  FsyncPolicy::kNo);
  o.segment_bytes = among(2u << 10, 8u << 10, 64u << 10);
  o.tail_bytes = among(512u, 4u << 10, 1u << 20);
  o.pass_bytes = among(4u << 10, 32u << 10, 1u << 20);
  o.retain_bytes = among(4u << 10, 32u << 10, 1u << 20, 1u << 20);
  o.window_bytes = among(1u << 10, 16u << 10, 1u << 20);
  o.clients = among(1, 3, 6, 12);
  o.pipeline = among(1, 1, 1, 4, 16);
  o.quick_sync_us = among(0, 0, 500);
  o.turn_us = among(30, 30, 2'000, 10'000);
  o.duration_us = among(1'000'000, 2'000'000, 5'000'000);
  if (o.pipeline > 1) o.duration_us /= o.pipeline == 4 ? 4 : 10;  // about as many commands
  o.harsh = random.chance(0.5);
  if (o.harsh) {
    o.loss = among(0.0, 0.01, 0.1);
    o.duplication = among(0.0, 0.02, 0.2);
  }
  o.delay_us = among(50, 500, 5'000, 30'000);
  o.partition_every_us = among(0, 300'000, 1'000'000);
  o.crash_every_us = among(0, 400'000, 1'500'000);
  o.clock_jump_every_us = among(0, 0, 500'000);
  o.disk_full_every_us = among(0, 0, 0, 1'000'000);
  o.wipe = o.nodes > 1 ? among(0.0, 0.0, 0.3) : 0.0;
  o.failing_sync = among(0.0, 0.0, 0.002, 0.05);
  o.skew_ms = among(0, 5, 200, 3'600'000);
  o.type_confusion = among(0.0, 0.0, 0.1);
  o.expiry = among(0.0, 0.05, 0.2, 0.2);
  o.keys = among(2, 8, 30);
  o.expiry_wait_ms = among(100, 1'000, 3'600'000, 3'600'000);
  o.sessions = among(0.0, 0.1, 0.5);
  o.bounded = among(0.0, 0.0, 0.05, 0.3);
  o.large = among(0.0, 0.03, 0.03);
  o.failing_commit = among(0.0, 0.0, 0.1);
  o.store_behind = among(0.0, 0.0, 0.05, 0.3);
  o.evict = among(0.0, 0.1, 0.9);
  o.zero_bytes = among(512u, 4u << 10, 16u << 10);
  o.backup_every_us = among(0, 200'000, 500'000);
  o.restore = among(0.0, 0.2, 0.5);
  o.kill = among(0.0, 0.5, 0.5);
  if (o.replicas > 1 && random.chance(0.3)) {
    o.damage_every_us = among(50'000, 300'000, 1'000'000);
    o.failing_read = among(0.0, 0.0, 0.002);
    o.evict = among(0.1, 0.9);
    o.retain_bytes = std::uint64_t{1} << 30;
    o.wipe = o.restore = o.failing_sync = 0;
    o.backup_every_us = 0;
  }
  if (random.chance(0.3)) {
    o.policy = static_cast<CachePolicy>(1 + random.below(kCachePolicyNames.size() - 1));
    o.evict = among(0.02, 0.1, 0.5);
  }
  o.piece_bytes = among(100u, 1u << 10, 256u << 10);
  o.shards = among(ShardId{1}, ShardId{1}, ShardId{1}, ShardId{2}, ShardId{3});
  // What repair draws on is also in the logs, which a change of the number removes.
  if (o.damage_every_us == 0 && random.chance(0.5)) {
    o.reshard_every_us = o.duration_us / among(2, 4, 8, 8);
    o.crash_in_resharding = among(0.0, 0.05, 0.2, 0.2);
  }
  o.listing_step = among(std::size_t{1}, std::size_t{5}, std::size_t{20});
  o.replay_bytes = among(1u << 10, 1u << 20, 1u << 20, 1u << 20);
  o.replay_batch_bytes = among(1u, 1u, 300u, 2u << 10);
  o.crash_in_replay = among(0.0, 0.02, 0.1);
  o.restart_every_us = among(0, 0, 30'000, 150'000);
  o.background_bytes = among(200u, 2u << 10, 1u << 20);
  // Damage would stop them, and they keep the number of shards.
  if (o.damage_every_us == 0 && o.reshard_every_us == 0 && random.chance(0.9)) {
    o.groups = o.shards * among(1, 2);
    // Most of what can go wrong takes three of them.
    if (o.nodes < 3 && random.chance(0.7)) o.nodes = 3;
    o.group_replicas = among(1, 3, 3, 3, 3, 5);
    while (o.group_replicas > o.nodes) o.group_replicas -= 2;
    o.strong_clients = among(4, 8, 16);
    o.strong_think_us = among(1'000, 5'000, 20'000);
    o.strong_patience_us = among(50'000, 300'000, 1'500'000, 6'000'000);
    o.group_log_bytes = among(400u, 400u, 4u << 10, 64u << 20);
    // Time for some elections, with fewer other requests.
    o.pipeline = 1;
    o.clients = among(1, 1, 3);
    o.duration_us = among(3'000'000, 6'000'000);
    // Long enough for others to elect a leader, while clients ask the one that is cut off.
    o.cut_us = among(500'000, 2'000'000, 2'000'000);
    // An election takes half a second: some have to be left in peace for longer than that.
    o.crash_every_us *= among(1, 3);
    o.restart_every_us *= among(1, 10, 30);
    if (o.partition_every_us == 0) o.partition_every_us = among(0, 1'000'000);
    o.crash_when_answered = o.crash_every_us > 0 ? among(0.0, 0.002, 0.01) : 0.0;
    // Nothing makes up for what is lost of the words that the metadata group is founded by.
    o.keyspaces = o.loss == 0 && random.chance(0.5);
    if (o.keyspaces) {
      if (o.crash_every_us == 0) o.crash_every_us = 500'000;
      if (o.nodes > 1) o.wipe = among(0.0, 0.5, 0.8);
    }
    // What is aimed at a leader takes peace elsewhere.
    if (o.group_replicas > 1 && random.chance(0.5)) {
      o.depose_every_us = among(30'000, 300'000);
      o.strong_clients = among(8, 16, 16);
      o.strong_think_us = among(1'000, 5'000);
      o.strong_patience_us = among(50'000, 300'000);
      o.strong_patient = among(0.1, 0.5, 0.8);
      o.group_log_bytes = among(400u, 400u, 4u << 10);
      o.duration_us = 6'000'000;
      o.clients = 1;
      o.partition_every_us = among(0, 2'000'000);
      o.cut_us = 500'000;
      o.crash_every_us *= 3;
      o.restart_every_us *= 10;
    }
  }
  // What a majority has said to have must not be lost.
  if (o.replicas > 1 && o.fsync == FsyncPolicy::kAlways && o.damage_every_us == 0 && !o.keyspaces &&
      random.chance(0.7)) {
    o.wipe = o.restore = 0;
    o.quorum_every_us = among(1'000, 5'000, 20'000);
  }
  if (o.replicas > 1) o.session_every_us = among(0, 500, 2'000, 10'000);
  // Others have keyspaces of their own.
  if (!o.keyspaces) o.siblings = among(0.0, 0.0, 0.05, 0.2);
  if (o.keyspaces) o.topic_every_us = among(0, 5'000, 20'000, 50'000);
  if (o.replicas > 1) o.causal_every_us = among(0, 1'000, 5'000, 20'000);
  // What is served before it is durable has to be that for longer than shards take to serve it.
  if (o.keyspaces || o.quorum_every_us > 0) o.sync_us = among(300, 300, 5'000);
  if (o.sync_us > 300) o.crash_when_answered = std::max(o.crash_when_answered, 0.002);
  // Nodes must be left to stand in for others.
  if (o.nodes >= 3 && o.replicas == o.nodes && random.chance(0.3)) --o.replicas;
  if (o.replicas > 1 && o.replicas < o.nodes && o.fsync == FsyncPolicy::kAlways) {
    o.hint_every_us = among(1'000, 5'000);
    o.hint_max_bytes = among(1u << 10, 64u << 20, 64u << 20);
    o.crash_when_kept = among(0.0, 0.01, 0.05);
    // So that owners are away.
    if (o.crash_every_us == 0) o.crash_every_us = 400'000;
    if (o.partition_every_us == 0) o.partition_every_us = 300'000;
  }
  if (o.topic_every_us > 0 && random.chance(0.5)) {
    o.topic_retention_ms = among(-1, 500, 2'000);
    o.topic_retention_bytes = among(-1, 2 << 10, 20 << 10);
    o.topic_deletes = random.chance(0.2);
  }
  o.check_interval_ms = among(0, 100, 1'000, 5'000);
  o.check_keys = among(1, 4, 256);
  if (o.replicas >= 3 && random.chance(o.groups == 0 ? 0.35 : 0.2)) {
    o.falsify_every_us = among(20'000, 100'000, 500'000);
    o.retain_bytes = std::uint64_t{1} << 30;
    o.wipe = o.restore = o.failing_read = o.bounded = o.siblings = 0;
    o.damage_every_us = o.reshard_every_us = o.backup_every_us = 0;
    o.quorum_every_us = o.session_every_us = o.causal_every_us = o.hint_every_us = 0;
    // What differs is compared while answers are long on their way.
    if (o.groups == 0 && random.chance(0.6)) {
      o.delay_us = among(5'000, 30'000);
      o.falsify_every_us = among(20'000, 100'000);
      o.check_interval_ms = among(0, 100);
    }
  }
  if (o.topic_every_us > 0 && random.chance(0.7)) {
    o.compacts = true;
    // What was appended is stored, and so compacted, while there are others who lack it.
    o.pass_bytes = among(512u, 4u << 10, 32u << 10);
    o.tombstones_ms = among(0, 300, 2'000);
    o.dirty_millionths = among(0u, 200'000u, 500'000u);
    o.min_lag_ms = among(0, 0, 200);
    // Of 6, 24 and 96 keys.
    o.clean_map_bytes = among(8u * 24, 32u * 24, 128u * 24);
  }
  if (o.replicas > 1 && random.chance(0.4)) {
    o.delay_ms = among(2, 20, 200, 2'000, 10'000);
    o.delay_change_every_us = among(std::int64_t{0}, o.duration_us / 4);
    o.prompt_types = among(0, 0, 1, 3);
    o.earlier_nodes = among(0.0, 0.0, 0.3, 1.0);
    if (o.keyspaces) o.earlier_nodes = 0;  // no delay is given where there are some
  }
  if (o.falsify_every_us > 0 && o.groups == 0 && random.chance(0.5)) {
    o.retain_bytes = 4u << 10;
    o.segment_bytes = 2u << 10;
    // It is wrong nearly always, then, and has time to be asked.
    o.falsify_every_us = 20'000;
    if (o.pipeline > 1) {
      o.pipeline = 1;
      o.duration_us = 2'000'000;
    }
    o.lose_beside_every_us = o.duration_us / 8;
  }
  // The log goes with what the store has; and who has lost its disk is given a checkpoint then.
  if (o.trims()) {
    o.pass_bytes = std::min<std::uint64_t>(o.pass_bytes, among(512u, 4u << 10));
    if (o.wipe > 0) o.crash_every_us = std::min<std::int64_t>(o.crash_every_us, 700'000);
  }
  // Not gone by the end, so that they can be missed.
  if (o.compacts && random.chance(0.3)) o.tombstones_ms = 600'000;
  // It takes peace elsewhere, and seconds.
  const bool may_lose =
      o.damage_every_us == 0 && o.quorum_every_us == 0 && o.falsify_every_us == 0 && o.groups == 0;
  if (may_lose && o.pipeline == 1 && o.replicas >= 3 && o.causal_every_us > 0) {
    o.lose_unheard_every_us = 300'000;
    o.reshard_every_us = 0;
    o.causal_every_us = std::min<std::int64_t>(o.causal_every_us, 5'000);
    o.duration_us = std::max<std::int64_t>(o.duration_us, 3'000'000);
    o.clients = std::min(o.clients, 3);
    o.crash_every_us *= 3;
    o.restart_every_us *= 30;
    o.partition_every_us *= 3;
  }
  // A transaction takes a dozen answers: some runs are left in peace for as long as that.
  if (o.topic_every_us > 0 && !o.trims() && random.chance(0.6)) {
    o.topic_every_us = among(20'000, 50'000);
    o.duration_us = 6'000'000;
    o.delay_us = among(50, 500, 5'000);
    o.crash_every_us = among(700'000, 2'000'000);
    o.partition_every_us = among(0, 2'000'000);
    o.cut_us = 500'000;
    o.depose_every_us = o.group_replicas > 1 ? among(0, 300'000) : 0;
    o.restart_every_us = o.disk_full_every_us = 0;
    o.failing_sync = 0;
    o.crash_when_answered = among(0.0, 0.002);
    o.strong_clients = 4;
    o.strong_think_us = 20'000;
  }
  // A generation takes a second; and others have to come to lead while it is begun.
  if (o.groups > 0 && o.group_replicas > 1 && !o.keyspaces) {
    o.consumers = true;
    o.duration_us = std::max<std::int64_t>(o.duration_us, 8'000'000);
    if (random.chance(0.5)) {
      o.depose_every_us = among(300'000, 1'000'000);
      o.crash_every_us = among(1'000'000, 3'000'000);
      o.restart_every_us = among(0, 2'000'000);
      o.partition_every_us = among(0, 2'000'000);
      o.cut_us = among(500'000, 1'000'000);
      o.failing_sync = o.disk_full_every_us = 0;
      // Some wait at the leader that was deposed, while others bring its successor past what that
      // keeps in its log. States are encoded a few keys at a time then, between writes.
      o.strong_clients = 8;
      o.strong_think_us = 20'000;
      o.strong_patience_us = 300'000;
      o.strong_patient = 0.5;
      o.group_log_bytes = 400;
      o.piece_bytes = 30;
      o.turn_us = std::max<std::int64_t>(o.turn_us, 2'000);
    }
  }
  // They take some peace elsewhere.
  if (o.hint_every_us > 0 && o.damage_every_us == 0 && !o.keyspaces && random.chance(0.8)) {
    o.stand_in_every_us = 200'000;
    o.pipeline = 1;
    o.duration_us = std::max<std::int64_t>(o.duration_us, 4'000'000);
    o.hint_every_us = 5'000;
    o.clients = std::min(o.clients, 3);
    o.crash_every_us *= 5;
    o.restart_every_us *= 30;
    o.partition_every_us *= 5;
    if (o.reshard_every_us > 0) o.reshard_every_us = 2'000'000;
  }
  const bool may_spend_again = o.replicas > 1 && o.bounded > 0 && o.fsync != FsyncPolicy::kNo &&
                               o.damage_every_us == 0 && o.groups == 0;
  if (may_spend_again && random.chance(0.5)) {
    o.spend_again_every_us = 200'000;
    o.duration_us = std::max<std::int64_t>(o.duration_us, 4'000'000);
    o.clients = std::min(o.clients, 3);
    o.pipeline = 1;
    o.crash_every_us *= 3;
    o.restart_every_us *= 30;
    if (o.reshard_every_us > 0) o.reshard_every_us = 2'000'000;
    o.failing_sync = 0;
  }
  o.closings = o.keyspaces && random.chance(0.5);
  if (o.closings) {
    o.duration_us = 10'000'000;
    o.delay_us = std::min<std::int64_t>(o.delay_us, 5'000);
    o.crash_every_us *= 3;
    o.restart_every_us *= 10;
    o.partition_every_us *= 3;
    o.depose_every_us *= 3;
  }
  // Answers to a comparison are of before a change only where that is late.
  if (o.falsify_every_us > 0 && o.groups == 0 && random.chance(0.5)) {
    o.harsh = true;
    o.loss = 0.1;
    o.delay_us = among(5'000, 30'000);
    o.keys = among(2, 8);
    o.check_keys = 256;
    o.check_interval_ms = 100;
    o.falsify_every_us = 20'000;
  }
  const bool may_succeed = o.groups > 0 && o.group_replicas > 1;  // another leader
  // States are encoded a few keys at a time, between many writes.
  if (may_succeed && o.group_log_bytes <= 4u << 10 && random.chance(0.3)) {
    o.group_log_bytes = 400;
    o.piece_bytes = 30;
    o.turn_us = 10'000;
    o.strong_clients = 16;
    o.strong_think_us = 1'000;
    o.delay_us = std::min<std::int64_t>(o.delay_us, 5'000);
  }
  if (random.chance(o.consumers ? 0.8 : may_succeed ? 0.5 : 0.25)) {
    o.pause_us = among(2'000, 50'000, 500'000, 3'000'000);
    o.pause_every_us = std::max<std::int64_t>(o.pause_us, among(100'000, 500'000, 1'500'000));
    if (may_succeed) o.pause_every_us = std::max<std::int64_t>(o.pause_every_us, 500'000);
  }
  // A generation takes seconds that a coordinator misses: peace for all others.
  if (o.consumers && random.chance(0.35)) {
    o.pause_us = 500'000;
    o.pause_every_us = 1'500'000;
    o.duration_us = 12'000'000;
    o.crash_every_us = o.restart_every_us = o.partition_every_us = o.depose_every_us = 0;
    o.disk_full_every_us = o.clock_jump_every_us = 0;
    o.failing_sync = o.loss = o.crash_when_answered = 0;
    o.delay_us = std::min<std::int64_t>(o.delay_us, 5'000);
  }
  return o;
}

std::string RunOptions::describe() const {
  static constexpr const char* kPolicies[] = {"always", "everysec", "no"};
  return fmt::format(
      "nodes={} replicas={} partitions={} shards={} fsync={} segment={} tail={} pass={} retain={} "
      "window={} piece={} quick_sync={}us sync={}us zero={} background={} clients={} pipeline={} "
      "turn={}us "
      "duration={}ms network={} loss={} duplication={} delay={}us partition_every={}ms cut={}ms "
      "crash_every={}ms restart_every={}ms "
      "clock_jump_every={}ms pause_every={}ms pause={}ms disk_full_every={}ms wipe={} "
      "failing_sync={} skew={}ms "
      "type_confusion={} expiry={} keys={} expiry_wait={}ms sessions={} bounded={} "
      "spend_again_every={}ms siblings={} "
      "large={} "
      "listing={} "
      "failing_commit={} store_behind={} "
      "evict={} "
      "backup_every={}ms restore={} kill={} lose_unheard_every={}ms damage_every={}ms "
      "failing_read={} policy={} "
      "reshard_every={}ms crash_in_resharding={} replay={} replay_batch={} crash_in_replay={} "
      "groups={} keyspaces={} closings={} consumers={} group_replicas={} strong_clients={} "
      "strong_think={}us "
      "strong_patience={}ms "
      "strong_patient={} "
      "group_log={} depose_every={}ms crash_when_answered={} quorum_every={}us "
      "session_every={}us topic_every={}us causal_every={}us hint_every={}us hint_max={} "
      "crash_when_kept={} stand_in_every={}ms topic_retention={}ms topic_bytes={} topic_deletes={} "
      "compacts={} tombstones={}ms dirty={} min_lag={}ms clean_map={} "
      "falsify_every={}us lose_beside_every={}ms check={}ms check_keys={} held_back={}ms "
      "held_back_changes={}ms "
      "prompt_types={} earlier_nodes={}",
      nodes, replicas, partitions, shards, kPolicies[static_cast<int>(fsync)], segment_bytes,
      tail_bytes, pass_bytes, retain_bytes, window_bytes, piece_bytes, quick_sync_us, sync_us,
      zero_bytes, background_bytes, clients, pipeline, turn_us, duration_us / 1000,
      harsh ? "harsh" : "plain", loss, duplication, delay_us, partition_every_us / 1000,
      cut_us / 1000, crash_every_us / 1000, restart_every_us / 1000, clock_jump_every_us / 1000,
      pause_every_us / 1000, pause_us / 1000, disk_full_every_us / 1000, wipe, failing_sync,
      skew_ms, type_confusion, expiry, keys, expiry_wait_ms, sessions, bounded,
      spend_again_every_us / 1000, siblings, large, listing_step, failing_commit, store_behind,
      evict, backup_every_us / 1000, restore, kill, lose_unheard_every_us / 1000,
      damage_every_us / 1000, failing_read, to_string(policy), reshard_every_us / 1000,
      crash_in_resharding, replay_bytes, replay_batch_bytes, crash_in_replay, groups, keyspaces,
      closings, consumers, group_replicas, strong_clients, strong_think_us,
      strong_patience_us / 1000, strong_patient, group_log_bytes, depose_every_us / 1000,
      crash_when_answered, quorum_every_us, session_every_us, topic_every_us, causal_every_us,
      hint_every_us, hint_max_bytes, crash_when_kept, stand_in_every_us / 1000, topic_retention_ms,
      topic_retention_bytes, topic_deletes, compacts, tombstones_ms, dirty_millionths, min_lag_ms,
      clean_map_bytes, falsify_every_us, lose_beside_every_us / 1000, check_interval_ms, check_keys,
      delay_ms, delay_change_every_us / 1000, prompt_types, earlier_nodes);
}

}  // namespace even::sim
