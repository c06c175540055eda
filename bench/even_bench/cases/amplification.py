"""What small writes to a large collection cost the disk."""

import random
import time

from .. import proc, resp
from ..run import Case
from ..table import Column, comparison

STILL_SECONDS = 3.0
OPERATIONS = 100_000
PER_SECOND = 10_000
BATCH = 100
MEMBERS_PER_COMMAND = 100

COLUMNS = [
    Column("bytes written per SADD", "per_operation", "{:,.0f}", compared=True),
    Column("MiB written", "written", "{:,.1f}"),
    Column("s until still", "still", "{:.1f}"),
]


def load_command(members):
    def command(n):
        numbers = range(n * MEMBERS_PER_COMMAND, min(members, (n + 1) * MEMBERS_PER_COMMAND))
        return resp.encode(b"SADD", b"big", *[b"member-%010d" % number for number in numbers])

    return command


def wait_still(server, progress, limit=600):
    """Until the server has written nothing for three seconds. Returns the bytes that it has written, the seconds that
    this took, and whether it came to that."""
    begun = changed = time.monotonic()
    last = proc.written_bytes(server.pid)
    while (now := time.monotonic()) < changed + STILL_SECONDS:
        if now > begun + limit:
            return last, now - begun, False
        time.sleep(0.1)
        written = proc.written_bytes(server.pid)
        if written != last:
            last, changed = written, time.monotonic()
        progress.tick(f"{last / 2**20:,.1f} MiB written, still for {time.monotonic() - changed:.0f} s")
    return last, changed - begun, True


def add_members(port, progress):
    """One SADD for each new member, at a rate at which background work goes on beside it. Each is answered before the next
    is sent: commands that arrive together may share a record of the log."""
    members = random.Random(3)
    begun = time.monotonic()
    with resp.Client(port) as client:
        for number in range(OPERATIONS):
            if number % BATCH == 0:
                time.sleep(max(0.0, begun + number / PER_SECOND - time.monotonic()))
                progress.tick(f"{number:,} of {OPERATIONS:,}")
            client.call(b"SADD", b"big", members.randbytes(8).hex())


def one_round(run, contestant, prefix):
    name, step = contestant.name, run.progress.step
    with run.fresh(contestant) as server:
        step(f"{prefix}, {name}: loading the set")
        resp.load(server.port, load_command(run.options.keys), -(-run.options.keys // MEMBERS_PER_COMMAND), run.progress)
        step(f"{prefix}, {name}: until it is idle")
        before, _, idle = wait_still(server, run.progress)
        step(f"{prefix}, {name}: adding members")
        add_members(server.port, run.progress)
        step(f"{prefix}, {name}: until it is idle again")
        after, still, idle_again = wait_still(server, run.progress)
        if not (idle and idle_again):
            run.problems.append(f"{name} never stops writing to the disk: its figures say little")
        return {"per_operation": (after - before) / OPERATIONS, "written": (after - before) / 2**20, "still": still}


def measure(run):
    taken = {"": run.empty(run.contestants)}
    for number in run.rounds():
        for contestant in run.turn(number, run.contestants):
            prefix = f"round {number} of {run.options.rounds}"
            taken[""][contestant.name].append(one_round(run, contestant, prefix))
    return (f"A set of {run.options.keys:,} members; once the server is idle, {OPERATIONS:,} SADDs of one new member of 16 "
            f"bytes each, one by one, at most {PER_SECOND:,} a second. Bytes that the process caused to be written (write_bytes "
            f"of /proc/PID/io) until it had written nothing for {STILL_SECONDS:g} s. fsync {run.fsync}, {run.rounds_text}.\n\n"
            + comparison(None, taken, COLUMNS, run.baselines))


CASE = Case("amplification", "bytes written to disk for each SADD to a set of a million", measure, rounds=3, keys=1_000_000)
