"""How long a server with data takes from its start until it answers, and whether it still has what it acknowledged."""

import threading
import time

from .. import resp
from ..errors import BenchError
from ..run import Case
from ..table import Column, comparison

WRITING_SECONDS = 2.0

COLUMNS = [
    Column("s until PONG and a right GET", "ready", "{:.2f}", compared=True),
    Column("s to stop", "stop", "{:.2f}"),
    Column("log and store MiB", "disk"),
    Column("acknowledged writes lost", "lost"),
]


def key(number):
    return b"key:%012d" % number


def value(number, generation):
    """32 bytes that tell which writing of the key they are from."""
    return b"value:%06d:%012d:vvvvvv" % (generation, number)


def generation(stored):
    return int(stored.split(b":")[1]) if stored else 0


def write(number, generation):
    return b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$32\r\n%s\r\n" % (number, value(number, generation))


class Overwriting(threading.Thread):
    """Overwrites the upper half of the keys, from the middle on, again and again, until the server is gone. The keys were
    written in generation 1; each passage is a further one."""

    def __init__(self, port, keys):
        super().__init__(daemon=True)
        self._load = resp.Load(port)
        self._keys = keys
        self.written = 0

    def target(self, index):
        """Number and generation of a write, counted from 0."""
        half = self._keys // 2
        passage, offset = divmod(index, self._keys - half)
        return half + offset, 2 + passage

    @property
    def acknowledged(self):
        return self._load.acknowledged

    def run(self):
        try:
            while True:
                # Not far ahead of the server, so that it is killed while it writes rather than while it reads.
                self._load.send(b"".join(write(*self.target(self.written + i)) for i in range(1000)))
                self.written += 1000
                self._load.wait(self.written - 10_000)
        except (OSError, BenchError):
            pass  # it has been killed

    def end(self):
        self.join()
        self._load.close()


def start_and_check(server, keys, progress):
    """Seconds from the start of the process until it answers, and answers right."""
    begun = time.monotonic()
    server.start().wait_ready(progress=progress)
    probe = keys // 3  # in the half that is not overwritten
    with resp.Client(server.port) as client:
        found = client.call(b"GET", key(probe))
    if found != value(probe, 1):
        raise BenchError(f"{server.name} answers {found!r} for a key written before its restart, not {value(probe, 1)!r}")
    return time.monotonic() - begun


def lost_writes(server, overwriting, at_most=100_000):
    """How many of the last acknowledged writes are not there any more."""
    last = overwriting.acknowledged
    expected = list(dict(overwriting.target(index) for index in range(max(0, last - at_most), last)).items())
    lost = 0
    with resp.Client(server.port) as client:
        for at in range(0, len(expected), 1000):
            batch = expected[at : at + 1000]
            replies = client.pipeline([resp.encode(b"GET", key(number)) for number, _ in batch])
            # What was written later and not acknowledged may be there as well.
            lost += sum(generation(reply) < newest for (_, newest), reply in zip(batch, replies))
    return lost


def after_clean_stop(run, server):
    run.progress.step(f"{server.name}: clean stop")
    stop = server.stop()
    run.progress.step(f"{server.name}: start after a clean stop")
    return {"ready": start_and_check(server, run.options.keys, run.progress), "stop": stop, "lost": 0}


def after_kill(run, server):
    run.progress.step(f"{server.name}: writing, then kill -9")
    overwriting = Overwriting(server.port, run.options.keys)
    overwriting.start()
    time.sleep(WRITING_SECONDS)
    server.kill()
    overwriting.end()
    run.progress.step(f"{server.name}: start after kill -9")
    ready = start_and_check(server, run.options.keys, run.progress)
    lost = lost_writes(server, overwriting)
    if lost:
        run.problems.append(f"{server.name} lost {lost:,} acknowledged writes when it was killed")
    return {"ready": ready, "lost": lost}


def measure(run):
    ways = {"clean stop": after_clean_stop, "kill -9 while writing": after_kill}
    taken = {way: run.empty(run.contestants) for way in ways}
    for number in run.rounds():
        for way, restart in ways.items():
            for contestant in run.turn(number, run.contestants):
                with run.fresh(contestant) as server:
                    run.progress.step(f"round {number} of {run.options.rounds}, {way}, {contestant.name}: loading")
                    resp.load(server.port, lambda n: write(n, 1), run.options.keys, run.progress)
                    figures = restart(run, server)
                    figures["disk"] = server.data_bytes() / 2**20
                    taken[way][contestant.name].append(figures)
    return (f"{run.options.keys:,} strings of 32 bytes, fsync {run.fsync}, {run.rounds_text}. From the start of the "
            "process until PING is answered by PONG and a GET by the right value; files are in the page cache. Before kill -9, "
            f"half of the keys are overwritten for {WRITING_SECONDS:g} s, as fast as the server takes it.\n\n"
            + comparison("after", taken, COLUMNS, run.baselines))


CASE = Case("restart", "time from start to the first right answer, after a clean stop and after kill -9", measure,
            rounds=3, keys=5_000_000)
