package even;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/**
 * What AdminClient is asked for most: topics, their settings and offsets, consumer groups, quotas. Administer SERVERS GROUP
 * TOPIC: the group has one member, whose client id is "member", that consumes both partitions of the topic. Says "kill" and
 * waits for the end of standard input in the middle, so that a node can be killed, and "done" at the end.
 */
final class Administer {
  private static final String NAME = "administered";

  public static void main(String[] arguments) throws Exception {
    String group = arguments[1];
    String topic = arguments[2];
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0], "default.api.timeout.ms", 60000))) {
      expect(admin.describeCluster().nodes().get().size() == 3, "nodes");
      expect(!admin.describeCluster().clusterId().get().isEmpty(), "a cluster's id");
      topics(admin);
      Control.say("kill");
      var ending = Control.ending();
      while (!ending.get()) Thread.sleep(20);
      topics(admin);
      groups(admin, group, topic);
      quotas(admin);
    }
    Control.say("done");
  }

  private static void topics(Admin admin) throws Exception {
    var wanted = new NewTopic(NAME, 2, (short) 3).configs(Map.of("retention.ms", "3600000"));
    admin.createTopics(List.of(wanted)).all().get();
    refused(TopicExistsException.class, admin.createTopics(List.of(wanted)).all());
    refused(InvalidConfigurationException.class,
        admin.createTopics(List.of(new NewTopic("other", 1, (short) 3).configs(Map.of("no.such", "1")))).all());
    expect(admin.listTopics().names().get().contains(NAME), "it is listed");
    until("its replicas", () -> {
      var described = admin.describeTopics(List.of(NAME)).allTopicNames().get().get(NAME);
      return described.partitions().size() == 2
          && described.partitions().stream().allMatch(each -> each.replicas().size() == 3 && each.leader() != null);
    });
    refused(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of("other")).allTopicNames());

    admin.createPartitions(Map.of(NAME, NewPartitions.increaseTo(4)), new CreatePartitionsOptions().validateOnly(true)).all().get();
    refused(InvalidPartitionsException.class, admin.createPartitions(Map.of(NAME, NewPartitions.increaseTo(2))).all());
    refused(InvalidReplicaAssignmentException.class,
        admin.createPartitions(Map.of(NAME, NewPartitions.increaseTo(3, List.of(List.of(1, 2, 3))))).all());
    refused(UnknownTopicOrPartitionException.class, admin.createPartitions(Map.of("other", NewPartitions.increaseTo(2))).all());
    admin.createPartitions(Map.of(NAME, NewPartitions.increaseTo(3))).all().get();
    until("its third partition", () -> {
      var described = admin.describeTopics(List.of(NAME)).allTopicNames().get().get(NAME);
      return described.partitions().size() == 3
          && described.partitions().stream().allMatch(each -> each.replicas().size() == 3 && each.leader() != null);
    });

    var resource = new ConfigResource(ConfigResource.Type.TOPIC, NAME);
    expect(retention(admin, resource).equals("3600000"), "as it was created");
    admin.incrementalAlterConfigs(Map.of(resource,
        List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET)))).all().get();
    until("as it was altered", () -> retention(admin, resource).equals("7200000"));

    admin.deleteTopics(List.of(NAME)).all().get();
    until("it is gone", () -> !admin.listTopics().names().get().contains(NAME));
    refused(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(NAME)).all());
  }

  private static String retention(Admin admin, ConfigResource resource) throws Exception {
    return admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
  }

  private static void groups(Admin admin, String group, String topic) throws Exception {
    var first = new TopicPartition(topic, 0);
    until("it is listed", () -> admin.listGroups().all().get().stream().anyMatch(each -> each.groupId().equals(group)));
    until("its member", () -> {
      var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
      if (described.groupState() != GroupState.STABLE) return false;
      expect(described.members().size() == 1, "one member");
      var member = described.members().iterator().next();
      expect(member.clientId().equals("member"), "its client id");
      expect(member.host().equals("/127.0.0.1"), "its host " + member.host());
      expect(member.assignment().topicPartitions().equals(Set.of(first, new TopicPartition(topic, 1))), "its partitions");
      expect(described.partitionAssignor().equals("range"), "its assignor");
      return true;
    });
    refused(GroupIdNotFoundException.class, admin.describeConsumerGroups(List.of("none")).all());
    refused(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(group)).all());

    long end = admin.listOffsets(Map.of(first, OffsetSpec.latest())).partitionResult(first).get().offset();
    until("its offsets", () -> {
      var offset = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(first);
      return offset != null && offset.offset() == end;
    });
    admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(end))).all().get();
    expect(admin.listOffsets(Map.of(first, OffsetSpec.earliest())).partitionResult(first).get().offset() == end, "deleted");

    // Of a group without members: offsets are set from outside, and it can be deleted.
    admin.alterConsumerGroupOffsets("idle", Map.of(first, new OffsetAndMetadata(1))).all().get();
    expect(admin.listConsumerGroupOffsets("idle").partitionsToOffsetAndMetadata().get().get(first).offset() == 1, "set");
    expect(admin.describeConsumerGroups(List.of("idle")).all().get().get("idle").groupState() == GroupState.EMPTY, "empty");
    expect(admin.listGroups().all().get().stream().anyMatch(each -> each.groupId().equals("idle")), "listed");
    admin.deleteConsumerGroups(List.of("idle")).all().get();
    refused(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of("idle")).all());
    expect(admin.listConsumerGroupOffsets("idle").partitionsToOffsetAndMetadata().get().isEmpty(), "gone");
  }

  private static void quotas(Admin admin) throws Exception {
    var user = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "administered"));
    var defaults = new HashMap<String, String>();
    defaults.put(ClientQuotaEntity.USER, "administered");
    defaults.put(ClientQuotaEntity.CLIENT_ID, null);
    var clients = new ClientQuotaEntity(defaults);
    admin.alterClientQuotas(List.of(
        new ClientQuotaAlteration(user, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1048576.0))),
        new ClientQuotaAlteration(clients, List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", 2097152.0))))).all().get();
    var ofUser = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, "administered")));
    until("its quotas", () -> admin.describeClientQuotas(ofUser).entities().get().equals(
        Map.of(user, Map.of("producer_byte_rate", 1048576.0), clients, Map.of("consumer_byte_rate", 2097152.0))));
    refused(InvalidRequestException.class, admin.alterClientQuotas(List.of(
        new ClientQuotaAlteration(user, List.of(new ClientQuotaAlteration.Op("request_percentage", 50.0))))).all());
    admin.alterClientQuotas(List.of(
        new ClientQuotaAlteration(user, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", null))),
        new ClientQuotaAlteration(clients, List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", null))))).all().get();
    until("they are lifted", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().isEmpty());
  }

  private static void expect(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  private static void refused(Class<? extends Exception> kind, KafkaFuture<?> future) throws InterruptedException {
    try {
      future.get();
    } catch (ExecutionException error) {
      if (kind.isInstance(error.getCause())) return;
      throw new AssertionError(kind + " was expected", error.getCause());
    }
    throw new AssertionError("it succeeded, where " + kind + " was expected");
  }

  private static void until(String what, Callable<Boolean> condition) throws Exception {
    long deadline = System.nanoTime() + 60_000_000_000L;
    while (!condition.call()) {
      if (System.nanoTime() > deadline) throw new AssertionError("not in a minute: " + what);
      Thread.sleep(50);
    }
  }
}
