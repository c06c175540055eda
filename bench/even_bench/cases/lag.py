"""How long a write to one node takes until it is read on another."""

import threading
import time

from .. import resp, stats
from ..arguments import positive, positive_float
from ..errors import BenchError
from ..run import Case
from ..table import Column, comparison

KEYS = 20_000

COLUMNS = [
    Column("writes/s", "rate"),
    Column("probes", "probes"),
    Column("p50 ms", "p50", "{:.2f}", compared=True),
    Column("p99 ms", "p99", "{:.2f}", compared=True),
    Column("max ms", "max", "{:.2f}"),
    Column("p99 of /metrics, at most, ms", "metrics_p99", "{:g}"),
]


class Writer(threading.Thread):
    """Writes increasing numbers to one node at a fixed rate, in batches of a millisecond's worth."""

    def __init__(self, port, rate):
        super().__init__(daemon=True)
        self._client = resp.Client(port)
        self._rate = rate
        self._stopping = threading.Event()
        self.batch = max(1, rate // 1000)
        self.newest = 0  # the last number that was acknowledged
        self.sent = {}  # when the batch that ends with a number was sent

    def run(self):
        number, next_at = 0, time.monotonic()
        while not self._stopping.is_set():
            time.sleep(max(0.0, next_at - time.monotonic()))
            next_at += self.batch / self._rate
            commands = [resp.encode("SET", f"lag:{n % KEYS}", n) for n in range(number + 1, number + self.batch + 1)]
            number += self.batch
            self.sent[number] = time.monotonic()
            self._client.pipeline(commands)
            self.newest = number

    def stop(self):
        self._stopping.set()
        self.join()
        self._client.close()


def probe(reader, writer):
    """Waits for the next batch to be sent, then polls until it is here. Returns seconds."""
    target = writer.newest + writer.batch
    while target not in writer.sent:
        if not writer.is_alive():
            raise BenchError("the writer lost its connection")
        time.sleep(0.0002)
    request = resp.encode("GET", f"lag:{target % KEYS}")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reader.send(request)
        value = reader.reply()
        now = time.monotonic()
        if value is not None and int(value) >= target:
            return now - writer.sent[target]
        time.sleep(0.0002)
    raise BenchError("a write was not replicated within a minute")


def lag(cluster, options, progress):
    writer = Writer(cluster.port, options.lag_rate)
    writer.start()
    lags = []
    begun = time.monotonic()
    try:
        with resp.Client(cluster.nodes[1].port) as reader:
            while time.monotonic() < begun + options.lag_seconds:
                lags.append(probe(reader, writer) * 1e3)
                progress.tick(f"{time.monotonic() - begun:.0f} of {options.lag_seconds:g} s")
    finally:
        writer.stop()
    seconds = time.monotonic() - begun
    seen = stats.histogram_quantile(cluster.metrics(1), "even_replication_delay_seconds", 0.99)
    lags.sort()
    return {"rate": writer.newest / seconds, "probes": len(lags), "p50": stats.percentile(lags, 0.5),
            "p99": stats.percentile(lags, 0.99), "max": lags[-1], "metrics_p99": seen * 1e3}


def measure(run):
    taken = {"": run.empty(run.evens)}
    for number in run.rounds():
        for even in run.turn(number, run.evens):
            run.progress.step(f"round {number} of {run.options.rounds}, {even.name}")
            with run.home(even) as home, run.running(even.cluster(home, run.fsync)) as cluster:
                taken[""][even.name].append(lag(cluster, run.options, run.progress))
    return (f"Three nodes; a client writes to one, another polls a second for one key at a time: from the sending of the write "
            f"to its being read. fsync {run.fsync}, {run.rounds_text} of {run.options.lag_seconds:g} s.\n\n"
            + comparison(None, taken, COLUMNS, [even.name for even in run.evens[:1] if len(run.evens) > 1]))


def add_options(group):
    group.add_argument("--lag-rate", type=positive, default=5000, help="writes per second (default %(default)s)")
    group.add_argument("--lag-seconds", type=positive_float, default=20, help="seconds per round (default %(default)s)")


CASE = Case("lag", "time until a write to one of three nodes is read on another", measure, rounds=1, by_default=True,
            add_options=add_options)
