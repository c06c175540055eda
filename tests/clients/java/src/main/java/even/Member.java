package even;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Consumes a topic as a member of a group until it is asked to end: Member TOPIC SETTING=VALUE... Says what partitions it
 * has ("has", and what it has no more, "revoked" or "lost", each with partitions), each record ("record PARTITION OFFSET VALUE") and after them,
 * when that is acknowledged, what it has committed ("committed PARTITION OFFSET").
 */
final class Member {
  public static void main(String[] arguments) {
    var settings = Control.settings(arguments, 1, Map.of(
        "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class,
        "enable.auto.commit", false, "auto.offset.reset", "earliest", "session.timeout.ms", 6000,
        "heartbeat.interval.ms", 500));
    var ending = Control.ending();
    try (var consumer = new KafkaConsumer<String, String>(settings)) {
      consumer.subscribe(List.of(arguments[0]), new Listener(consumer));
      while (!ending.get()) {
        var records = consumer.poll(Duration.ofMillis(200));
        for (var record : records) Control.say("record %d %d %s", record.partition(), record.offset(), record.value());
        var offsets = records.nextOffsets();
        if (offsets.isEmpty()) continue;
        try {
          consumer.commitSync(offsets);
          offsets.forEach((at, offset) -> Control.say("committed %d %d", at.partition(), offset.offset()));
        } catch (CommitFailedException | RebalanceInProgressException | TimeoutException error) {
          Control.say("failed %s", error);
        }
      }
    }
    Control.say("left");
  }

  private record Listener(KafkaConsumer<String, String> consumer) implements ConsumerRebalanceListener {
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
      say("has", consumer.assignment());
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
      say("revoked", partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
      say("lost", partitions);
    }

    private static void say(String what, Collection<TopicPartition> partitions) {
      Control.say("%s %s", what,
          partitions.stream().map(each -> Integer.toString(each.partition())).sorted().collect(Collectors.joining(" ")));
    }
  }
}
