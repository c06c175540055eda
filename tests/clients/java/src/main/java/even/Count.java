package even;

import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Counts words with Kafka Streams at exactly_once_v2: Count IN OUT SETTING=VALUE... Each word that comes sends its count
 * so far, since nothing is cached: so the counts of a word are 1, 2, 3, ..., each once. Says "state STATE" as that changes.
 */
final class Count {
  public static void main(String[] arguments) throws InterruptedException {
    var properties = new Properties();
    properties.putAll(Control.settings(arguments, 2, Map.of(
        "processing.guarantee", "exactly_once_v2", "commit.interval.ms", 100, "statestore.cache.max.bytes", 0,
        "num.stream.threads", 2, "consumer.session.timeout.ms", 6000, "consumer.heartbeat.interval.ms", 500,
        "consumer.auto.offset.reset", "earliest", "default.key.serde", Serdes.StringSerde.class,
        "default.value.serde", Serdes.StringSerde.class)));

    var builder = new StreamsBuilder();
    KStream<String, String> lines = builder.stream(arguments[0]);
    lines.flatMapValues(line -> Arrays.asList(line.toLowerCase(Locale.ROOT).split(" ")))
        .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
        .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts"))
        .toStream()
        .mapValues(count -> Long.toString(count))
        .to(arguments[1], Produced.with(Serdes.String(), Serdes.String()));

    var ending = Control.ending();
    var streams = new KafkaStreams(builder.build(), properties);
    streams.setStateListener((now, before) -> Control.say("state %s", now));
    streams.start();
    while (!ending.get()) {
      Thread.sleep(50);
      if (streams.state() == KafkaStreams.State.ERROR) System.exit(1);
    }
    streams.close(Duration.ofSeconds(30));
    Control.say("left");
  }
}
