"""Commands on sorted sets, lists, streams and scripts, under redis-benchmark; and lists of a million elements."""

import dataclasses
import time

from .. import redis_benchmark, resp, stats
from ..redis_benchmark import NUMBER, VALUE
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison
from .throughput import COLUMNS, all_running

LIST = 1_000_000
LIST_COMMANDS = 2_000


@dataclasses.dataclass(frozen=True)
class Test:
    words: tuple
    # What has to be there: encoded commands, by the number of keys.
    before: object = None


def board(keys):
    return [resp.encode("ZADD", "board", number, f"member:{number:012d}") for number in range(keys)]


def strings(keys):
    return [resp.encode("SET", f"key:{number:012d}", "xxx") for number in range(keys)]


# RPOP is given what LPUSH has left behind.
TESTS = {
    "ZADD": Test(("ZADD", "board", NUMBER, f"member:{NUMBER}"), board),
    "ZRANGE of 10": Test(("ZRANGE", "board", "0", "9")),
    "LPUSH": Test(("LPUSH", "list", VALUE)),
    "RPOP": Test(("RPOP", "list")),
    "LRANGE of 100": Test(("LRANGE", "hundred", "0", "99"), lambda _: [resp.encode("RPUSH", "hundred", *["xxx"] * 100)]),
    "MGET of 10": Test(("MGET", *[f"key:{NUMBER}"] * 10), strings),
    "XADD": Test(("XADD", "stream", "*", "field", VALUE)),
    "EVAL of one line": Test(("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", f"key:{NUMBER}", VALUE)),
}


def prepare(target, test, keys):
    if test.before is not None:
        with resp.Client(target.port) as client:
            commands = test.before(keys)
            for at in range(0, len(commands), 1000):
                client.pipeline(commands[at : at + 1000])


def measure_words(target, test, options):
    before = target.cpu_seconds()
    figures = redis_benchmark.run_words(target.port, test.words, requests=options.requests, clients=options.clients,
                                        pipeline=options.pipeline, keys=options.keys, value_bytes=options.bytes)
    figures["cpu_us"] = (cpu_seconds_when_quiet(target) - before) * 1e6 / options.requests
    return figures


def types(run):
    options = run.options
    taken = {name: run.empty(run.contestants) for name in TESTS}
    with all_running(run, run.contestants, run.fsync) as targets:
        for number in run.rounds():
            for name, test in TESTS.items():
                for target in run.turn(number, targets):
                    run.progress.step(f"round {number} of {options.rounds}, {name} on {target.name}")
                    if number == 1:
                        prepare(target, test, options.keys)
                        cpu_seconds_when_quiet(target)
                    taken[name][target.name].append(measure_words(target, test, options))
    return (f"`redis-benchmark -c {options.clients} -P {options.pipeline} -r {options.keys} -n {options.requests}`, values of "
            f"{options.bytes} bytes, {run.rounds_text}. One sorted set, list and stream each; a sorted set of {options.keys:,} "
            f"members, random ones in ZADD.\n\n" + comparison("command", taken, COLUMNS, run.baselines))


def long_list(run):
    """Commands that look for a place in a list, one after the other on one connection: time of each at the ends and in the
    middle."""
    places = {"start": 1, "middle": LIST // 2, "end": LIST - 2}
    columns = [Column(f"us at {place}", place, "{:.1f}") for place in places]
    taken = {name: run.empty(run.contestants) for name in ("LINDEX", "LSET", "LINSERT")}
    for number in run.rounds():
        for contestant in run.turn(number, run.contestants):
            run.progress.step(f"round {number} of {run.options.rounds}, {contestant.name}")
            with run.fresh(contestant) as target, resp.Client(target.port, timeout=600) as client:
                for first in range(0, LIST, 1000):
                    client.call("RPUSH", "list", *[f"element:{n}" for n in range(first, first + 1000)])
                cpu_seconds_when_quiet(target)
                for name, rounds in taken.items():
                    rounds[contestant.name].append({place: seconds_each(client, name, at) * 1e6 for place, at in places.items()})
    return (f"A list of {LIST:,} elements, {run.rounds_text}; {LIST_COMMANDS:,} commands, one after the other. LINSERT looks for "
            "its pivot from the left, so Redis takes longer the farther it is.\n\n"
            + comparison("command", taken, columns, run.baselines))


def seconds_each(client, name, at):
    words = {
        "LINDEX": lambda _: ("LINDEX", "list", at),
        "LSET": lambda n: ("LSET", "list", at, f"element:{at}"),
        "LINSERT": lambda n: ("LINSERT", "list", "BEFORE", f"element:{at}", "new"),
    }[name]
    count = LIST_COMMANDS if name != "LINSERT" else LIST_COMMANDS // 20
    taken = []
    for number in range(count):
        begun = time.perf_counter()
        client.call(*words(number))
        taken.append(time.perf_counter() - begun)
    return stats.percentile(sorted(taken), 0.5)


CASES = [
    Case("types", "ZADD, ZRANGE, LPUSH, RPOP, LRANGE, MGET, XADD and EVAL with pipelines of 16", types,
         rounds=5, keys=100_000, requests=500_000, by_default=True),
    Case("long-list", "LINDEX, LSET and LINSERT in a list of a million elements", long_list, rounds=3),
]
