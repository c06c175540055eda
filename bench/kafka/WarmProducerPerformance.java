import java.util.Arrays;
import org.apache.kafka.tools.ProducerPerformance;

/**
 * Kafka's ProducerPerformance, twice in one process: first with fewer records, so that Java has
 * loaded and compiled what it runs, then as it is asked for. What counts is what it says last.
 *
 * <p>The first argument is how many records come first, all others are those of
 * ProducerPerformance.
 */
public class WarmProducerPerformance {
  public static void main(String[] args) throws Exception {
    String[] measured = Arrays.copyOfRange(args, 1, args.length);
    String[] warmUp = measured.clone();
    warmUp[Arrays.asList(warmUp).indexOf("--num-records") + 1] = args[0];
    ProducerPerformance.main(warmUp);
    ProducerPerformance.main(measured);
  }
}
