"""Whether memory and disk stay bounded when the same keys are overwritten for a long time."""

import contextlib
import random
import threading
import time

from .. import proc, resp, stats
from ..arguments import positive, positive_float
from ..errors import BenchError
from ..run import Case
from ..table import Column, comparison

BATCHES_PER_SECOND = 100
SAMPLE_SECONDS = 10.0
FEWEST_SAMPLES = 40
VALUE = b"v" * 64

COLUMNS = [
    Column("first quarter MiB", "first", "{:,.1f}"),
    Column("last quarter MiB", "last", "{:,.1f}", compared=True),
    Column("max MiB", "max", "{:,.1f}", compared=True),
    Column("last by first", "growth", "{:.2f}"),
    Column("overwrites/s", "rate"),
]


class Overwriting(threading.Thread):
    """Overwrites random keys at a fixed rate until it is stopped."""

    def __init__(self, port, keys, rate):
        super().__init__(daemon=True)
        self._client = resp.Client(port)
        self._commands = [resp.encode(b"SET", b"key:%012d" % n, VALUE) for n in range(keys)]
        random.Random(4).shuffle(self._commands)
        self._rate = rate
        self._batch = max(1, rate // BATCHES_PER_SECOND)
        self._stopping = threading.Event()
        self.written = 0
        self.error = None

    def run(self):
        begun, at = time.monotonic(), 0
        commands = self._commands * 2  # a batch may begin anywhere
        try:
            while not self._stopping.is_set():
                time.sleep(max(0.0, begun + self.written / self._rate - time.monotonic()))
                self._client.pipeline(commands[at : at + self._batch])
                self.written += self._batch
                at = (at + self._batch) % len(self._commands)
        except (OSError, resp.ErrorReply) as error:
            self.error = error

    def stop(self):
        self._stopping.set()
        self.join()
        self._client.close()


def sample(run, servers, writers, seconds):
    """Series of resident memory and of disk space for each server, in MiB."""
    interval = min(SAMPLE_SECONDS, seconds / FEWEST_SAMPLES)
    memory, disk = run.empty(servers), run.empty(servers)
    begun = time.monotonic()
    while (elapsed := time.monotonic() - begun) < seconds:
        time.sleep(interval)
        for server, writer in zip(servers, writers):
            if writer.error:
                raise BenchError(f"{server.name} stopped taking writes: {writer.error}")
            memory[server.name].append(proc.resident_bytes(server.pid) / 2**20)
            disk[server.name].append(server.data_bytes() / 2**20)
        latest = ", ".join(f"{name} {memory[name][-1]:,.0f}/{disk[name][-1]:,.0f}" for name in memory)
        run.progress.tick(f"{elapsed:,.0f} of {seconds:,.0f} s; MiB of memory/disk: {latest}")
    return memory, disk


def summary(series, rate):
    first, last = stats.first_and_last_quarter(series)
    return {"first": first, "last": last, "max": max(series), "growth": last / first if first else stats.NAN, "rate": rate}


def measure(run):
    options = run.options
    taken = {"resident memory": run.empty(run.contestants), "data directory": run.empty(run.contestants)}
    for number in run.rounds():
        run.progress.step(f"round {number} of {options.rounds}")
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(run.fresh(contestant)) for contestant in run.contestants]
            writers = [Overwriting(server.port, options.keys, options.rate) for server in servers]
            begun = time.monotonic()
            for writer in writers:
                writer.start()
            try:
                memory, disk = sample(run, servers, writers, options.minutes * 60)
                seconds = time.monotonic() - begun
            finally:
                for writer in writers:
                    writer.stop()
            for server, writer in zip(servers, writers):
                rate = writer.written / seconds
                taken["resident memory"][server.name].append(summary(memory[server.name], rate))
                taken["data directory"][server.name].append(summary(disk[server.name], rate))
    return (f"{options.keys:,} keys, values of {len(VALUE)} bytes, overwritten at {options.rate:,} a second in "
            f"{BATCHES_PER_SECOND} pipelines for {options.minutes:g} min, all servers at the same time, fsync {run.fsync}, "
            f"{run.rounds_text}. Means over the first and the last quarter of the time, and the maximum.\n\n"
            + comparison("what", taken, COLUMNS, run.baselines))


def add_options(group):
    group.add_argument("--minutes", type=positive_float, default=20, help="duration of a round (default %(default)s)")
    group.add_argument("--rate", type=positive, default=20_000, help="overwrites per second (default %(default)s)")


CASE = Case("steady", "memory and disk while the same keys are overwritten for a long time", measure,
            rounds=1, keys=100_000, add_options=add_options)
