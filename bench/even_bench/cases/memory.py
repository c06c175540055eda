"""Resident memory per key, for shapes of data that are common."""

import dataclasses
import time

from .. import proc, resp
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison


def template(*words):
    """A function from a number to the encoded command, with the number in place of the "%012d" of a word. Encoding each
    command anew would take longer than executing it."""
    encoded = resp.encode(*(word.replace("%012d", "0" * 12) for word in words)).replace(b"0" * 12, b"%012d")
    return lambda number: encoded % number


def _set_members(number):
    return resp.encode(b"SADD", b"key:%012d" % number, *[b"member-%05d" % ((number * 7 + i * 13) % 99_999) for i in range(10)])


def _scored_members(number):
    return resp.encode(b"ZADD", b"key:%012d" % number,
                       *[word for i in range(10) for word in (b"%d" % ((number * 31 + i * 977) % 99_999), b"member-%05d" % ((number * 7 + i * 13) % 99_999))])


def _elements(number):
    return resp.encode(b"RPUSH", b"key:%012d" % number, *[b"member-%05d" % ((number * 7 + i * 13) % 99_999) for i in range(10)])


@dataclasses.dataclass(frozen=True)
class Large:
    """A key that takes many commands: command(number), so many of them for each key."""

    command: object
    commands: int


def _member_of_million(number):
    return resp.encode(b"ZADD", b"key:%d" % (number // 1_000_000), b"%d" % (number * 7919 % 1_000_003), b"member-%07d" % (number % 1_000_000))


def _entry(number):
    return resp.encode(b"XADD", b"key:%012d" % (number // 1000), b"%d-0" % (number % 1000 + 1), b"field", b"value-%03d" % (number % 1000))


# Of 8 KiB: its last bit, then some before it.
def _bit(number):
    return resp.encode(b"SETBIT", b"key:%012d" % (number // 16), b"%d" % (65_535 - 4093 * (number % 16)), b"1")


SHAPES = {
    "string of 32 bytes": template("SET", "key:%012d", "v" * 32),
    "counter": template("INCR", "key:%012d"),
    "hash of 10 short fields": template("HSET", "key:%012d", *[w for i in range(10) for w in (f"field{i}", f"value{i}")]),
    "set of 10 short strings": _set_members,
    "sorted set of 10 short strings": _scored_members,
    "list of 10 short strings": _elements,
    "string of 1,024 bytes": template("SET", "key:%012d", "v" * 1024),
    "sorted set of a million": Large(_member_of_million, 1_000_000),
    "stream of 1,000 entries": Large(_entry, 1000),
    "bitmap of 8 KiB": Large(_bit, 16),
}

COLUMNS = [
    Column("bytes per key", "bytes", "{:,.1f}", compared=True),
    Column("empty server MiB", "empty", "{:,.1f}"),
    Column("loaded MiB", "loaded"),
    Column("commands/s while loading", "rate"),
]


def load(port, command, keys, progress):
    """Returns seconds and the number of commands."""
    if not isinstance(command, Large):
        return resp.load(port, command, keys, progress), keys
    begun = time.monotonic()
    commands = keys * command.commands
    with resp.Client(port) as client:
        for first in range(0, commands, 1000):
            client.pipeline([command.command(number) for number in range(first, min(first + 1000, commands))])
            progress.tick(f"{first:,} of {commands:,} written")
    return time.monotonic() - begun, commands


def bytes_per_key(run, contestant, command):
    keys = run.options.keys
    if isinstance(command, Large):
        keys = max(1, keys // max(command.commands, 100))  # a bitmap takes few, but is long
    with run.fresh(contestant) as server:
        cpu_seconds_when_quiet(server)
        empty = proc.resident_bytes(server.pid)
        seconds, commands = load(server.port, command, keys, run.progress)
        cpu_seconds_when_quiet(server)
        loaded = proc.resident_bytes(server.pid)
    return {"bytes": (loaded - empty) / keys, "empty": empty / 2**20, "loaded": loaded / 2**20,
            "rate": commands / seconds}


def measure(run):
    taken = {shape: run.empty(run.contestants) for shape in SHAPES}
    for number in run.rounds():
        for shape, command in SHAPES.items():
            for contestant in run.turn(number, run.contestants):
                run.progress.step(f"round {number} of {run.options.rounds}, {shape}, {contestant.name}")
                taken[shape][contestant.name].append(bytes_per_key(run, contestant, command))
    return (f"{run.options.keys:,} keys of 16 bytes, of those at the end fewer; {run.rounds_text}. Resident memory (VmRSS) when the server is "
            "quiet after loading, less that of the empty server, by the number of keys.\n\n"
            + comparison("shape", taken, COLUMNS, run.baselines))


CASE = Case("memory", "resident memory per key, for ten shapes of data", measure, rounds=3, keys=1_000_000, by_default=True)
