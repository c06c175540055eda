"""Strong keyspaces beside etcd: three nodes each, writes that a majority has on disk, linearizable reads."""

import json
import shutil
import subprocess
import threading
import time

from .. import proc, resp, stats
from ..arguments import positive
from ..errors import BenchError
from ..run import Case
from ..servers import Etcd, cpu_seconds_when_quiet
from ..table import Column, comparison, markdown, show_ratio

PREFIX = "b:"
VALUE_BYTES = 100
WARM_UP = 2  # seconds
# How often a cluster is filled anew, when some of its partitions have no leader yet.
FILLS = 30
# Objects of etcd's client library. Each has a connection to each node, which its clients share: fewer are faster.
ETCD_CONNECTIONS = 1

# Where a client of Even sends a request. That of etcd's library goes to all nodes in turn.
ROUTES = {
    "slots": "to the node that CLUSTER SLOTS names for the key, as clients that know Redis Cluster do",
    "any": "to one node each, whatever the key",
}

LOADS = {
    "put, 1 client": ("put", 1),
    "put, 64 clients": ("put", 64),
    "put, 256 clients": ("put", 256),
    "get, 64 clients": ("get", 64),
    "get, 256 clients": ("get", 256),
}

COLUMNS = [
    Column("op/s", "rate", compared=True),
    Column("p50 ms", "p50", "{:.2f}", compared=True),
    Column("p99 ms", "p99", "{:.2f}"),
    Column("errors", "errors"),
    Column("CPU us/op", "cpu_us", "{:.1f}", compared=True),
    Column("driver's CPU us/op", "driver_us", "{:.1f}"),
    Column("cores of others", "others", "{:.2f}"),
]

# The figure of a load, what its ratio to etcd's should be at least or at most.
WANTED = [
    ("put, 64 clients", "rate", "op/s", 5, None),
    ("put, 256 clients", "rate", "op/s", 5, None),
    ("get, 64 clients", "rate", "op/s", 8, None),
    ("get, 256 clients", "rate", "op/s", 8, None),
    ("put, 1 client", "p50", "p50", None, 0.5),
    *((load, "cpu_us", "CPU time per operation", None, 1) for load in LOADS),
]


class Driver:
    """bench/strong_driver, the program that is the client of both."""

    def __init__(self, run, system, ports):
        self._command = ["strong_driver", "--system", system, "--endpoints", ",".join(f"127.0.0.1:{port}" for port in ports),
                         "--prefix", PREFIX, "--keys", str(run.options.keys), "--value-bytes", str(VALUE_BYTES),
                         "--connections", str(ETCD_CONNECTIONS)]
        if run.options.strong_routes == "slots":
            self._command.append("--routes")
        self._seconds = run.options.strong_seconds

    def fill(self):
        """Puts each key once. Returns what went wrong."""
        with self._started("fill", 64) as process:
            summary = self._summary(process)
        return summary["example"]

    def measure(self, operation, clients, target):
        """One round. Returns its figures, and what one of the errors said."""
        with self._started(operation, clients) as process:
            if process.stdout.readline() != "begin\n":
                self._summary(process)
            before, machine = target.cpu_seconds(), proc.machine_cpu_seconds()
            begun = time.monotonic()
            summary = self._summary(process)
            during = target.cpu_seconds() - before
            elapsed = time.monotonic() - begun
            machine = proc.machine_cpu_seconds() - machine
        used = cpu_seconds_when_quiet(target) - before
        if not summary["operations"]:
            raise BenchError(f"{target.name} has done nothing of {operation}: {summary['example']}")
        figures = {"rate": summary["operations"] / summary["seconds"], "p50": summary["p50_ms"], "p99": summary["p99_ms"],
                   "errors": summary["errors"], "cpu_us": used * 1e6 / summary["operations"],
                   "driver_us": summary["driver_cpu_seconds"] * 1e6 / summary["operations"],
                   "others": max(0.0, machine - during - summary["driver_cpu_seconds"]) / elapsed}
        return figures, summary["example"]

    def _started(self, operation, clients):
        command = [*self._command, "--operation", operation, "--clients", str(clients), "--warm-up", f"{WARM_UP}s",
                   "--duration", f"{self._seconds}s"]
        return Limited(command, limit=60 + WARM_UP + self._seconds)

    @staticmethod
    def _summary(process):
        output, errors = process.communicate()
        if process.returncode:
            raise BenchError(f"the driver ended with {process.returncode}: {errors.strip() or output.strip()}")
        return json.loads(output)


class Limited:
    """A process that is killed when it takes longer than `limit` seconds, or when whoever started it gives up."""

    def __init__(self, command, limit):
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._timer = threading.Timer(limit, self._process.kill)

    def __enter__(self):
        self._timer.start()
        return self._process

    def __exit__(self, *_):
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()


def prepared(run, system, target):
    """A driver for a running cluster, in which every key has a value."""
    driver = Driver(run, system, [node.port for node in target.nodes])
    for _ in range(FILLS):
        problem = driver.fill()
        if not problem:
            return driver
        time.sleep(1)
    raise BenchError(f"{target.name} does not take all keys: {problem}")


def retried_until_all_are_members(cluster, client, *words, limit=30):
    """EVEN.KEYSPACE: a new cluster refuses it until all nodes are members of its metadata group."""
    begun = time.monotonic()
    while True:
        try:
            return client.call(*words)
        except resp.ErrorReply as error:
            if time.monotonic() > begun + limit:
                raise BenchError(f"{cluster.name} does not create a keyspace: {error}") from error
        time.sleep(0.05)


def create_keyspace(cluster, partitions):
    with resp.Client(cluster.port) as client:
        retried_until_all_are_members(cluster, client, "EVEN.KEYSPACE", "CREATE", "bench", "PREFIX", PREFIX, "MODE", "STRONG",
                                      "REPLICAS", len(cluster.nodes), "PARTITIONS", partitions)


def measured(run, number, system, target, taken):
    driver = prepared(run, system, target)
    for load, (operation, clients) in LOADS.items():
        run.progress.step(f"round {number} of {run.options.rounds}, {load} on {target.name}")
        figures, example = driver.measure(operation, clients, target)
        taken[load][target.name].append(figures)
        if figures["errors"]:
            run.problems.append(f"{target.name}, {load}, round {number}: {figures['errors']} errors, as {example}")


def wanted(taken, even, etcd):
    rows = []
    for load, key, title, least, most in WANTED:
        ratio = stats.ratio(taken[load][even], taken[load][etcd], key)
        bound = f"{least} or more" if least else "less than 1" if most == 1 else f"{most} or less"
        met = ratio and (ratio.median >= least if least else ratio.median < 1 if most == 1 else ratio.median <= most)
        rows.append([load, title, show_ratio(ratio), bound, "yes" if met else "no"])
    return markdown(["load", "figure", f"{even} to {etcd}", "wanted", "met"], rows)


def measure(run):
    for program in ("etcd", "strong_driver"):
        if shutil.which(program) is None:
            raise BenchError(f"{program} is missing: ./dev bench strong provides it")
    etcd = Etcd()
    contestants = [etcd, *run.evens]
    taken = {load: run.empty(contestants) for load in LOADS}
    for number in run.rounds():
        for contestant in run.turn(number, contestants):
            run.progress.step(f"round {number} of {run.options.rounds}, {contestant.name} starts")
            with run.home(contestant) as home:
                if contestant is etcd:
                    with run.running(etcd.cluster(home)) as cluster:
                        measured(run, number, "etcd", cluster, taken)
                else:
                    with run.running(contestant.cluster(home, run.fsync)) as cluster:
                        create_keyspace(cluster, run.options.strong_partitions)
                        measured(run, number, "even", cluster, taken)
    version = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True).stdout.split("\n", 1)[0]
    baselines = [etcd.name] + [even.name for even in run.evens[:1] if len(run.evens) > 1]
    return (f"{version}, with its defaults. Three nodes on this machine, started without data for each round, never both "
            f"clusters at a time. {VALUE_BYTES}-byte values, {run.options.keys:,} keys, each client with one request under way, "
            f"{WARM_UP} s of warm-up and {run.options.strong_seconds} s measured, {run.rounds_text}. Puts are on the disks of a "
            f"majority when they are answered, gets are linearizable; Even with {run.options.strong_partitions} partitions, whose "
            f"clients go {ROUTES[run.options.strong_routes]}. "
            "CPU time is that of the three servers together.\n\n"
            + comparison("load", taken, COLUMNS, baselines) + "\nWhat is wanted:\n\n"
            + wanted(taken, run.evens[0].name, etcd.name))


def add_options(group):
    group.add_argument("--strong-seconds", type=positive, default=6, metavar="S",
                       help="how long each load is measured (default %(default)s)")
    group.add_argument("--strong-routes", choices=list(ROUTES), default="slots",
                       help="whether Even's clients know where keys are (default %(default)s)")
    group.add_argument("--strong-partitions", type=positive, default=16, metavar="N",
                       help="of the keyspace (default %(default)s)")


CASE = Case("strong", "strong keyspaces beside etcd, three nodes each: puts, linearizable gets, latency, CPU time", measure,
            rounds=5, keys=10_000, add_options=add_options)
