package even;

import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Produces 0, 1, 2, ... to the partitions of a topic in turn until it is asked to end, idempotent as by default:
 * Produce TOPIC PARTITIONS SETTING=VALUE... With a transactional id, twenty records are a transaction, of which each third
 * is aborted. Says "acknowledged N" as it goes on, and "sent N" at the end; whatever fails ends it.
 */
final class Produce {
  private static final int PER_TRANSACTION = 20;
  private static final int PER_MILLISECOND = 2;

  public static void main(String[] arguments) throws Exception {
    String topic = arguments[0];
    int partitions = Integer.parseInt(arguments[1]);
    var settings = Control.settings(arguments, 2, Map.of(
        "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class, "linger.ms", 2));
    boolean transactional = settings.containsKey("transactional.id");
    var ending = Control.ending();
    var acknowledged = new AtomicLong();
    long sent = 0;
    try (var producer = new KafkaProducer<String, String>(settings)) {
      if (transactional) producer.initTransactions();
      while (!ending.get() || (transactional && sent % PER_TRANSACTION != 0)) {
        if (transactional && sent % PER_TRANSACTION == 0) producer.beginTransaction();
        var record = new ProducerRecord<String, String>(topic, (int) (sent % partitions), null, Long.toString(sent));
        producer.send(record, (metadata, error) -> {
          if (error != null) {
            error.printStackTrace();
            Control.say("failed %s", error);
            Runtime.getRuntime().halt(1);
          }
          long now = acknowledged.incrementAndGet();
          if (now % 500 == 0) Control.say("acknowledged %d", now);
        });
        ++sent;
        if (transactional && sent % PER_TRANSACTION == 0) {
          if (sent / PER_TRANSACTION % 3 == 2) {
            producer.flush();
            producer.abortTransaction();
          } else {
            producer.commitTransaction();
          }
        }
        if (sent % PER_MILLISECOND == 0) Thread.sleep(1);
      }
      producer.flush();
    }
    Control.say("sent %d", sent);
  }
}
