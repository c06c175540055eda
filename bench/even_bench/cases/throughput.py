"""Throughput, latency and CPU time under redis-benchmark, and the ceilings to see them against."""

import contextlib
import os
import time

from .. import redis_benchmark, stats
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison, markdown

COLUMNS = [
    Column("op/s", "rps", compared=True),
    Column("p50 ms", "p50", "{:.2f}"),
    Column("p99 ms", "p99", "{:.2f}"),
    Column("CPU us/op", "cpu_us", "{:.2f}", compared=True),
]


def measure(target, test, options, pipeline):
    """One round. CPU time is that of all threads and processes of the server, its background work until it is quiet again
    included. A cluster's replicas have caught up at the end; "behind" are the seconds that this took."""
    before = target.cpu_seconds()
    figures = redis_benchmark.run(
        target.port, test, requests=options.requests, clients=options.clients, pipeline=pipeline,
        keys=options.keys, value_bytes=options.bytes)
    if hasattr(target, "catch_up"):
        figures["behind"] = target.catch_up()
    figures["cpu_us"] = (cpu_seconds_when_quiet(target) - before) * 1e6 / options.requests
    return figures


def compare(run, targets, tests, pipelines, title=""):
    """All tests on all targets in turns. Gives taken[item][name of target], see table.comparison."""
    pairs = [(test, pipeline) for pipeline in pipelines for test in tests]
    items = {pair: pair[0].upper() + (f" -P {pair[1]}" if len(pipelines) > 1 else "") for pair in pairs}
    taken = {item: run.empty(targets) for item in items.values()}
    for number in run.rounds():
        for (test, pipeline), item in items.items():
            for target in run.turn(number, targets):
                run.progress.step(f"{title}round {number} of {run.options.rounds}, {item} on {target.name}")
                taken[item][target.name].append(measure(target, test, run.options, pipeline))
    return taken


def describe(run, pipeline):
    options = run.options
    return (f"`redis-benchmark -c {options.clients} -P {pipeline} -r {options.keys} -d {options.bytes} "
            f"-n {options.requests}`, {run.rounds_text}")


@contextlib.contextmanager
def all_running(run, contestants, fsync):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(run.fresh(contestant, fsync)) for contestant in contestants]


def commands_case(pipeline_of):
    def section(run):
        pipeline = pipeline_of(run.options)
        text = [describe(run, pipeline) + ". SADD, HSET and those on lists go to one key, the former with random members and fields.\n"]
        for fsync in run.options.fsync:
            with all_running(run, run.contestants, fsync) as targets:
                taken = compare(run, targets, run.options.commands, [pipeline], f"fsync {fsync}, ")
            text += [f"fsync {fsync}:\n", comparison("command", taken, COLUMNS, run.baselines)]
        return "\n".join(text)

    return section


def ceilings(run):
    pipelines = [run.options.pipeline, 1]
    with all_running(run, run.contestants, run.fsync) as targets:
        taken = compare(run, targets, ["ping_mbulk"], pipelines)
    rounds = []
    for number in run.rounds():
        run.progress.step(f"round {number} of {run.options.rounds}, fdatasync")
        rounds.append(disk_syncs(run.directory / "fdatasync"))
    medians = stats.medians(rounds)
    disk = markdown(["fdatasync/s", "p50 ms", "p99 ms"],
                    [[f"{medians['rate']:,.0f}", f"{medians['p50']:.3f}", f"{medians['p99']:.3f}"]])
    return (f"`redis-benchmark -c {run.options.clients} -n {run.options.requests}`, {run.rounds_text}: what the "
            "network and the client allow, with commands that do nothing.\n\n"
            + comparison("command", taken, COLUMNS, run.baselines)
            + "\nThe disk alone: 128 bytes are appended to a file and synced (`fdatasync`), one after the other.\n\n" + disk)


def disk_syncs(path, seconds=2.0):
    taken = []
    with open(path, "wb", buffering=0) as file:
        begun = last = time.monotonic()
        while last < begun + seconds:
            file.write(b"\0" * 128)
            os.fdatasync(file.fileno())
            now = time.monotonic()
            taken.append(now - last)
            last = now
    path.unlink()
    taken.sort()
    return {"rate": len(taken) / (last - begun), "p50": stats.percentile(taken, 0.5) * 1e3,
            "p99": stats.percentile(taken, 0.99) * 1e3}


def shards(run):
    contestants = [run.redis]
    for even in run.evens:
        for count in (1, 2):
            name = f"{even.name}, {count} shard{'s' if count > 1 else ''}"
            contestants.append(even.with_setting(f"node.shards={count}", name))
    with all_running(run, contestants, run.fsync) as targets:
        taken = compare(run, targets, ["set", "get"], [run.options.pipeline])
    return (describe(run, run.options.pipeline)
            + f". The client takes one of the machine's {os.cpu_count()} cores.\n\n"
            + comparison("command", taken, COLUMNS, [run.redis.name, contestants[1].name]))


def cluster(run):
    text = [describe(run, run.options.pipeline)
            + ". Three nodes that replicate to each other, clients at one of them, beside one Redis. Even's CPU time is that "
            "of the three processes together.\n"]
    for fsync in run.options.fsync:
        with contextlib.ExitStack() as stack:
            targets = [stack.enter_context(run.fresh(run.redis, fsync))]
            for even in run.evens:
                home = stack.enter_context(run.home(even))
                targets.append(stack.enter_context(run.running(even.cluster(home, fsync))))
            taken = compare(run, targets, run.options.commands, [run.options.pipeline], f"fsync {fsync}, ")
        all_rounds = [r for by_server in taken.values() for rounds in by_server.values() for r in rounds]
        behind = max(r.get("behind", 0) for r in all_rounds)
        text += [f"fsync {fsync}:\n", comparison("command", taken, COLUMNS, run.baselines),
                 f"The replicas had all of it at most {behind * 1e3:.0f} ms after a test's end.\n"]
    return "\n".join(text)


CASES = [
    Case("pipelined", "SET, GET, INCR, SADD, HSET with pipelines of 16: op/s, latency, CPU time per operation",
         commands_case(lambda options: options.pipeline), rounds=5, keys=100_000, requests=500_000, by_default=True),
    Case("single", "the same without pipelines",
         commands_case(lambda options: 1), rounds=5, keys=100_000, requests=200_000, by_default=True),
    Case("ceilings", "PING with and without pipelines, and how often the disk alone can sync",
         ceilings, rounds=5, keys=100_000, requests=300_000, by_default=True),
    Case("shards", "SET and GET with one and two shards", shards, rounds=5, keys=100_000, requests=500_000),
    Case("cluster", "the commands of pipelined on one of three replicating nodes, beside one Redis",
         cluster, rounds=5, keys=100_000, requests=500_000, by_default=True),
]
