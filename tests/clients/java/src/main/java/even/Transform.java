package even;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Consumes numbers, squares them and produces the squares to the partition that they came from, within transactions that
 * commit what was consumed as well, until it is asked to end: Transform SERVERS GROUP IN OUT TRANSACTIONAL-ID. Whatever ends
 * a transaction otherwise than as intended ends both clients; new ones go on behind what was committed.
 */
final class Transform {
  public static void main(String[] arguments) {
    var ending = Control.ending();
    while (!ending.get()) {
      try {
        transform(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], ending);
      } catch (KafkaException error) {
        error.printStackTrace();
        Control.say("again %s", error);
      }
    }
    Control.say("left");
  }

  private static void transform(String servers, String group, String in, String out, String id, AtomicBoolean ending) {
    Map<String, Object> producing = Map.of(
        "bootstrap.servers", servers, "transactional.id", id, "transaction.timeout.ms", 10000, "linger.ms", 1,
        "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class);
    Map<String, Object> consuming = Map.of(
        "bootstrap.servers", servers, "group.id", group, "isolation.level", "read_committed", "enable.auto.commit", false,
        "auto.offset.reset", "earliest", "session.timeout.ms", 6000, "heartbeat.interval.ms", 500, "max.poll.records", 100,
        "key.deserializer", StringDeserializer.class, "value.deserializer", StringDeserializer.class);
    try (var producer = new KafkaProducer<String, String>(producing);
         var consumer = new KafkaConsumer<String, String>(consuming)) {
      producer.initTransactions();
      consumer.subscribe(List.of(in));
      while (!ending.get()) {
        var records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        producer.beginTransaction();
        try {
          for (var record : records) {
            long number = Long.parseLong(record.value());
            producer.send(new ProducerRecord<>(out, record.partition(), null, number + " " + number * number));
          }
          producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
          producer.commitTransaction();
          Control.say("committed %d", records.count());
        } catch (KafkaException error) {
          abort(producer, error);
          throw error;
        }
      }
    }
  }

  private static void abort(KafkaProducer<String, String> producer, KafkaException cause) {
    try {
      producer.abortTransaction();
    } catch (KafkaException error) {
      cause.addSuppressed(error);  // as who was fenced may not
    }
  }
}
