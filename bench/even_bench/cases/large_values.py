"""Values of many megabytes: how long they keep other clients waiting, and what they take in memory."""

import multiprocessing
import socket
import time

from .. import proc, resp
from ..arguments import positive
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison

KEYS = 3  # each is written as a new key and then overwritten
SHARDS = 8  # more connections than that reach every thread of a node
LIMIT = 100 << 20
LIMIT_VALUES = {"200 values of 1 MB": (1_000_000, 200), "20 values of 10 MB": (10_000_000, 20),
                "200,000 values of 1 kB": (1_000, 200_000)}

WAIT_COLUMNS = [
    Column("SET s", "seconds", "{:.2f}", compared=True),
    Column("longest PING ms", "ping", "{:,.0f}", compared=True),
    Column("longest PING on another node ms", "other", "{:,.0f}"),
    Column("longest PING of an idle process ms", "idle", "{:,.0f}"),
    Column("resident MiB after it", "resident"),
]
LIMIT_COLUMNS = [
    Column("peak MiB", "peak", compared=True),
    Column("MiB when it is quiet", "quiet", compared=True),
]


class Beside(multiprocessing.Process):
    """Does something again and again, in a process of its own, so that it waits for nobody here."""

    def __init__(self):
        super().__init__(daemon=True)
        self._stopping = multiprocessing.Event()

    def run(self):
        self.begin()
        while not self._stopping.is_set():
            self.step()

    def stop(self):
        self._stopping.set()
        self.join()


class Pinger(Beside):
    """Asks one server without a pause, and keeps the longest wait."""

    def __init__(self, port):
        super().__init__()
        self._port = port
        self._longest = multiprocessing.Value("d", 0.0)

    @property
    def longest(self):
        return self._longest.value

    def begin(self):
        self._clients = [resp.Client(self._port) for _ in range(SHARDS)]

    def step(self):
        ping = resp.encode("PING")
        begun = time.monotonic()
        for client in self._clients:
            client.send(ping)
        for client in self._clients:
            client.reply()
        self._longest.value = max(self.longest, time.monotonic() - begun)
        time.sleep(0.001)


class Idle(Beside):
    """Answers PINGs and does nothing else: what it takes to ask it is what the machine adds."""

    def __init__(self):
        super().__init__()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def begin(self):
        self._connections = [self._listener.accept()[0] for _ in range(SHARDS)]

    def step(self):
        for connection in self._connections:
            if not connection.recv(100):
                self._stopping.set()
            else:
                connection.sendall(b"+PONG\r\n")


class Reader(Beside):
    """Reads the values one after the other."""

    def __init__(self, port):
        super().__init__()
        self._port = port

    def begin(self):
        self._client = resp.Client(self._port)

    def step(self):
        for key in range(KEYS):
            self._client.call("GET", f"large:{key}")
        time.sleep(0.01)


def wait(target, nodes, megabytes):
    """SETs values on the first of `nodes` while the last one is asked for them, with clients on all of them."""
    commands = [resp.encode("SET", f"large:{key}", bytes([ord("a") + key]) * (megabytes << 20)) for key in range(KEYS)]
    idle = Idle()
    pingers = [Pinger(port) for port in [node.port for node in nodes] + [idle.port]]
    beside = [idle, *pingers, Reader(nodes[-1].port)]
    for process in beside:
        process.start()
    try:
        with resp.Client(nodes[0].port) as client:
            begun = time.monotonic()
            for command in 2 * commands:
                client.send(command)
                client.reply()
            seconds = (time.monotonic() - begun) / (2 * KEYS)
            if len(nodes) > 1:
                target.catch_up()
            time.sleep(0.5)
    finally:
        for process in reversed(beside):
            process.stop()
    *waits, machine = (pinger.longest * 1e3 for pinger in pingers)
    cpu_seconds_when_quiet(target)
    return {"seconds": seconds, "ping": waits[0], "other": max(waits[1:], default=float("nan")), "idle": machine,
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
    return (f"{KEYS} values of {megabytes} MiB, written by SET and then overwritten while another client reads them, with "
            f"{SHARDS} clients on each node that ask PING without a pause; fsync {run.fsync}, {run.rounds_text}.\n\n" + comparison("servers", waits, WAIT_COLUMNS, run.baselines)
            + "\nResident memory with `memory.max_memory` = 100 MiB, for values of 200 MB together.\n\n"
            + comparison("values", limits, LIMIT_COLUMNS, [even.name for even in run.evens[:1] if len(run.evens) > 1]))


def add_options(group):
    group.add_argument("--large-value", type=positive, default=64, metavar="MIB", help="size of the value (default %(default)s)")


CASE = Case("large-values", "waits of other clients beside values of 64 MiB, and memory with a limit", measure, rounds=3,
            add_options=add_options)
