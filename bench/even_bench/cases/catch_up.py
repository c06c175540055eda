"""How long a node needs for what it missed while it was cut off, and how long its clients wait meanwhile."""

import time

from .. import resp
from ..arguments import positive
from ..errors import BenchError
from ..run import Case
from ..table import Column, comparison

BATCH = 500
CLIENTS = (0, 2)  # the nodes that are written to; the one between them is cut off
CUT = 1

COLUMNS = [
    Column("s until it has all", "seconds", "{:.2f}", compared=True),
    Column("us for each", "each", "{:.1f}", compared=True),
    Column("longest PING there, ms", "ping", "{:.0f}", compared=True),
    Column("decoded for each", "decoded", "{:.2f}"),
]


def fault(cluster, state):
    for node in CLIENTS:
        for at, peer in ((node, CUT), (CUT, node)):
            with resp.Client(cluster.nodes[at].port) as client:
                client.call("EVEN.FAULT", "LINK", f"n{peer + 1}", state)


def write(cluster, missed, progress):
    """Increments by two clients in turn, so that each record depends on one of the other node's."""
    increments = [resp.encode("INCR", "c")] * BATCH
    clients = [resp.Client(cluster.nodes[node].port) for node in CLIENTS]
    for done in range(0, missed, BATCH):
        clients[done // BATCH % len(clients)].pipeline(increments)
        progress.tick(f"{done:,} of {missed:,} writes")
    for client in clients:
        client.close()


def info(port, name):
    with resp.Client(port) as client:
        for line in client.call("INFO", "even").decode().splitlines():
            if line.startswith(name + ":"):
                return int(line.split(":")[1])
    raise BenchError(f"INFO has no {name}")


def catch_up(cluster, missed, progress):
    port = cluster.nodes[CUT].port
    fault(cluster, "DOWN")
    write(cluster, missed, progress)
    received, decoded = info(port, "records_received"), info(port, "records_decoded")
    longest = 0.0
    with resp.Client(port) as client:
        begun = time.monotonic()
        fault(cluster, "UP")
        get = resp.encode("GET", "c")
        while True:
            sent = time.monotonic()
            client.call("PING")
            longest = max(longest, time.monotonic() - sent)
            client.send(get)
            value = client.reply()
            if value is not None and int(value) == missed:
                break
            if sent - begun > 600:
                raise BenchError("the node did not catch up in 10 minutes")
            time.sleep(0.001)
        seconds = time.monotonic() - begun
    received, decoded = info(port, "records_received") - received, info(port, "records_decoded") - decoded
    return {"seconds": seconds, "each": seconds / missed * 1e6, "ping": longest * 1e3,
            "decoded": decoded / max(received, 1)}


def measure(run):
    evens = [even.with_setting("faults.enabled=true") for even in run.evens]
    taken = {f"{missed:,}": run.empty(evens) for missed in run.options.missed}
    for number in run.rounds():
        for missed in run.options.missed:
            for even in run.turn(number, evens):
                run.progress.step(f"round {number} of {run.options.rounds}, {even.name}, {missed:,}")
                with run.home(even) as home, run.running(even.cluster(home, run.fsync)) as cluster:
                    taken[f"{missed:,}"][even.name].append(catch_up(cluster, missed, run.progress))
    return (f"Three nodes; one is cut off while two clients INCR one key at the other two in turn, {BATCH} at a time; then the cut "
            f"is mended. The node that was cut off is asked for a PING and for the sum every millisecond. fsync {run.fsync}, "
            f"{run.rounds_text}.\n\n"
            + comparison("missed writes", taken, COLUMNS, [even.name for even in evens[:1] if len(evens) > 1]))


def add_options(group):
    group.add_argument("--missed", type=positive, nargs="+", default=[1_000, 20_000, 80_000, 1_000_000],
                       help="writes that the node misses (default 1000 20000 80000 1000000)")


CASE = Case("catch-up", "time until a node that was cut off has what it missed, and PINGs meanwhile", measure, rounds=1,
            add_options=add_options)
