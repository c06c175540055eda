"""How long a server takes until it answers after it was killed at the end of a flood of new keys."""

import time

from .. import redis_benchmark, resp
from ..arguments import counts
from ..errors import BenchError
from ..run import Case
from ..table import Column, comparison

VALUE_BYTES = 100
CLIENTS = 50
PIPELINE = 100
KEYS = 10**9  # that redis-benchmark draws from: nearly all are new

COLUMNS = [
    Column("writes/s in the flood", "rate"),
    Column("log not yet in the store, MiB", "lag"),
    Column("s until a right GET", "ready", "{:.2f}", compared=True),
    Column("s until DBSIZE", "all", "{:.2f}", compared=True),
    Column("keys lost", "lost"),
]


def lag(client):
    """MiB; nothing for Redis, which has no store."""
    for line in client.call("INFO", "all").decode().splitlines():
        if line.startswith("store_lag_bytes:"):
            return int(line.split(":")[1]) / 2**20
    return None


def one_round(run, server, writes):
    with resp.Client(server.port) as client:
        client.call("SET", "first", "1")
        flood = redis_benchmark.run(server.port, "set", requests=writes, clients=CLIENTS, pipeline=PIPELINE, keys=KEYS,
                                    value_bytes=VALUE_BYTES)
        client.call("SET", "last", "2")
        figures = {"rate": flood["rps"], "lag": lag(client)}
        keys = int(client.call("DBSIZE"))
    server.kill()
    run.progress.step(f"{server.name}: start after kill -9")
    begun = time.monotonic()
    server.start().wait_ready(progress=run.progress)
    with resp.Client(server.port, timeout=600) as client:
        found = client.call("GET", "last"), client.call("GET", "first")
        figures["ready"] = time.monotonic() - begun
        if found != (b"2", b"1"):
            raise BenchError(f"{server.name} answers {found!r} for what was written before its restart")
        lost = keys - int(client.call("DBSIZE"))
        figures["all"] = time.monotonic() - begun
    if lost:
        run.problems.append(f"{server.name} lost {lost:,} keys when it was killed")
    return {name: figure for name, figure in figures.items() if figure is not None} | {"lost": lost}


def measure(run):
    taken = {}
    for number in run.rounds():
        for writes in run.options.floods:
            rounds = taken.setdefault(f"{writes:,} SETs", run.empty(run.contestants))
            for contestant in run.turn(number, run.contestants):
                run.progress.step(f"round {number} of {run.options.rounds}, {writes:,} SETs, {contestant.name}")
                with run.fresh(contestant) as server:
                    rounds[contestant.name].append(one_round(run, server, writes))
    return (f"`redis-benchmark -t set -c {CLIENTS} -P {PIPELINE} -d {VALUE_BYTES}` with random keys, nearly all of them new, "
            f"then kill -9; fsync {run.fsync}, {run.rounds_text}. From the start of the process until two keys are read, and "
            "until DBSIZE is answered, for which all of the log has to be replayed; files are in the page cache.\n\n"
            + comparison("flood", taken, COLUMNS, run.baselines))


def add_options(group):
    group.add_argument("--floods", type=counts, default=[2_000_000, 20_000_000], metavar="N[,N...]",
                       help="writes before the kill (default 2000000,20000000)")


CASE = Case("restart-flood", "time from start to the first right answer after kill -9 at the end of a flood of new keys",
            measure, rounds=3, add_options=add_options)
