"""Throughput, latency and CPU time under redis-benchmark."""

import contextlib

from .. import redis_benchmark
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison

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
        text = [describe(run, pipeline) + ". SADD and HSET go to one key, with random members and fields.\n"]
        for fsync in run.options.fsync:
            with all_running(run, run.contestants, fsync) as targets:
                taken = compare(run, targets, run.options.commands, [pipeline], f"fsync {fsync}, ")
            text += [f"fsync {fsync}:\n", comparison("command", taken, COLUMNS, run.baselines)]
        return "\n".join(text)

    return section


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
    Case("cluster", "the commands of pipelined on one of three replicating nodes, beside one Redis",
         cluster, rounds=5, keys=100_000, requests=500_000, by_default=True),
]
