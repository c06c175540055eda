"""Values of many megabytes: how long they keep other clients waiting, and what they take in memory."""

import threading
import time

from .. import proc, resp
from ..arguments import positive
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison

SHARDS = 8  # more connections than that reach every thread of a node
LIMIT = 100 << 20
LIMIT_VALUES = {"200 values of 1 MB": (1_000_000, 200), "20 values of 10 MB": (10_000_000, 20),
                "200,000 values of 1 kB": (1_000, 200_000)}

WAIT_COLUMNS = [
    Column("SET s", "seconds", "{:.2f}", compared=True),
    Column("longest PING ms", "ping", "{:,.0f}", compared=True),
    Column("longest PING on another node ms", "other", "{:,.0f}"),
    Column("resident MiB after it", "resident"),
]
LIMIT_COLUMNS = [
    Column("peak MiB", "peak", compared=True),
    Column("MiB when it is quiet", "quiet", compared=True),
]


class Pinger(threading.Thread):
    """Asks one server without a pause, on one connection after the other, and keeps the longest wait."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._clients = [resp.Client(port) for _ in range(SHARDS)]
        self._stopping = threading.Event()
        self.longest = 0.0

    def run(self):
        ping = resp.encode("PING")
        while not self._stopping.is_set():
            begun = time.monotonic()
            for client in self._clients:
                client.send(ping)
            for client in self._clients:
                client.reply()
            self.longest = max(self.longest, time.monotonic() - begun)
            time.sleep(0.001)

    def stop(self):
        self._stopping.set()
        self.join()
        for client in self._clients:
            client.close()


def wait(target, nodes, megabytes):
    """SETs one value on the first of `nodes`, with clients on all of them."""
    command = resp.encode("SET", "large", b"x" * (megabytes << 20))
    pingers = [Pinger(node.port) for node in nodes]
    for pinger in pingers:
        pinger.start()
    try:
        with resp.Client(nodes[0].port) as client:
            begun = time.monotonic()
            client.send(command)
            client.reply()
            seconds = time.monotonic() - begun
            if len(nodes) > 1:
                target.catch_up()
            time.sleep(0.5)
    finally:
        for pinger in pingers:
            pinger.stop()
    waits = [pinger.longest * 1e3 for pinger in pingers]
    cpu_seconds_when_quiet(target)
    return {"seconds": seconds, "ping": waits[0], "other": max(waits[1:], default=float("nan")),
            "resident": max(proc.resident_bytes(pid) for pid in target.pids) / 2**20}


def limited(run, server, value_bytes, count):
    value = b"x" * value_bytes
    resp.load(server.port, lambda number: resp.encode("SET", f"key:{number}", value), count, run.progress)
    cpu_seconds_when_quiet(server, limit=60)
    return {"peak": proc.peak_resident_bytes(server.pid) / 2**20, "quiet": proc.resident_bytes(server.pid) / 2**20}


def measure(run):
    megabytes = run.options.large_value
    waits = {"one node": run.empty(run.contestants), "three nodes": run.empty(run.evens)}
    limits = {what: run.empty(run.evens) for what in LIMIT_VALUES}
    for number in run.rounds():
        for contestant in run.turn(number, run.contestants):
            run.progress.step(f"round {number} of {run.options.rounds}, {contestant.name}, one node")
            with run.fresh(contestant) as server:
                waits["one node"][contestant.name].append(wait(server, [server], megabytes))
        for even in run.turn(number, run.evens):
            run.progress.step(f"round {number} of {run.options.rounds}, {even.name}, three nodes")
            with run.home(even) as home, run.running(even.cluster(home, run.fsync)) as cluster:
                waits["three nodes"][even.name].append(wait(cluster, cluster.nodes, megabytes))
            bounded = even.with_setting(f"memory.max_memory={LIMIT}")
            for what, (value_bytes, count) in LIMIT_VALUES.items():
                run.progress.step(f"round {number} of {run.options.rounds}, {even.name}, {what}")
                with run.fresh(bounded) as server:
                    limits[what][even.name].append(limited(run, server, value_bytes, count))
    return (f"A SET of {megabytes} MiB, with {SHARDS} clients on each node that ask PING without a pause; fsync {run.fsync}, "
            f"{run.rounds_text}.\n\n" + comparison("servers", waits, WAIT_COLUMNS, run.baselines)
            + "\nResident memory with `memory.max_memory` = 100 MiB, for values of 200 MB together.\n\n"
            + comparison("values", limits, LIMIT_COLUMNS, [even.name for even in run.evens[:1] if len(run.evens) > 1]))


def add_options(group):
    group.add_argument("--large-value", type=positive, default=64, metavar="MIB", help="size of the value (default %(default)s)")


CASE = Case("large-values", "waits of other clients beside a value of 64 MiB, and memory with a limit", measure, rounds=3,
            add_options=add_options)
