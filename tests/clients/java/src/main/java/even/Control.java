package even;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/** How a test and a program of it speak: lines on standard output, and the end of standard input, which asks it to end. */
final class Control {
  private Control() {}

  /** Becomes true when the test has closed standard input. */
  static AtomicBoolean ending() {
    var ending = new AtomicBoolean();
    var reader = new Thread(() -> {
      try {
        while (System.in.read() >= 0) {
          // Nothing is said there.
        }
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
      ending.set(true);
    });
    reader.setDaemon(true);
    reader.start();
    return ending;
  }

  static synchronized void say(String format, Object... arguments) {
    System.out.println(String.format(format, arguments));
    System.out.flush();
  }

  /** Settings of a client: those of the program, and behind them what its command line has as name=value, from a place on. */
  static Map<String, Object> settings(String[] arguments, int from, Map<String, Object> own) {
    var all = new HashMap<String, Object>(own);
    for (int i = from; i < arguments.length; ++i) {
      String[] each = arguments[i].split("=", 2);
      all.put(each[0], each[1]);
    }
    return all;
  }
}
