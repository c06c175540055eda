"""More data than a node may hold in memory."""

import random
import shutil

from .. import proc, redis_benchmark, resp
from ..arguments import size
from ..errors import BenchError
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison

VALUE_BYTES = 1000
SAMPLE = 100_000
REDIS_AT_MOST = 2 * 2**30  # Redis holds everything in memory

COLUMNS = [
    Column("writes/s", "writes", compared=True),
    Column("random reads/s", "rps", compared=True),
    Column("read p50 ms", "p50", "{:.2f}"),
    Column("read p99 ms", "p99", "{:.2f}"),
    Column("peak memory MiB", "peak"),
    Column("disk MiB", "disk"),
    Column("wrong of sample", "wrong"),
]

# Values are cut from this, so that they can be neither compressed nor mixed up, and cost no time to make.
_noise = random.Random(1).randbytes(1 << 20)


def value(number):
    at = number * 7919 % (len(_noise) - VALUE_BYTES)
    return b"%012d" % number + _noise[at : at + VALUE_BYTES - 12]


def write(number):
    return b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n" % (number, VALUE_BYTES, value(number))


def wrong_in_sample(server, keys, progress):
    numbers = random.Random(2).sample(range(keys), min(SAMPLE, keys))
    wrong = 0
    with resp.Client(server.port) as client:
        for at in range(0, len(numbers), 500):
            batch = numbers[at : at + 500]
            replies = client.pipeline([resp.encode("GET", b"key:%012d" % number) for number in batch])
            wrong += sum(reply != value(number) for number, reply in zip(batch, replies))
            progress.tick(f"{at:,} of {len(numbers):,}")
    return wrong


def one_round(run, contestant, keys):
    options, step = run.options, run.progress.step
    with run.fresh(contestant) as server:
        step(f"{contestant.name}: writing")
        writes = keys / resp.load(server.port, write, keys, run.progress)
        step(f"{contestant.name}: until it is quiet")
        cpu_seconds_when_quiet(server, limit=120)
        step(f"{contestant.name}: random reads")
        figures = redis_benchmark.run(server.port, "get", requests=options.requests, clients=options.clients,
                                      pipeline=options.pipeline, keys=keys, value_bytes=options.bytes)
        step(f"{contestant.name}: comparing a sample")
        wrong = wrong_in_sample(server, keys, run.progress)
        if wrong:
            run.problems.append(f"{contestant.name}: {wrong:,} of {min(SAMPLE, keys):,} values are wrong or missing")
        return figures | {"writes": writes, "wrong": wrong, "peak": proc.peak_resident_bytes(server.pid) / 2**20,
                          "disk": server.data_bytes() / 2**20}


def measure(run):
    setting = f"memory.max_memory={run.options.max_memory}"
    evens, notes = [], []
    for even in (even.with_setting(setting) for even in run.evens):
        refusal = even.refusal(run.directory)
        if refusal is None:
            evens.append(even)
        else:
            notes.append(f"{even.name}: not supported by this evend: {refusal}\n")
    if not evens:
        return "\n".join(notes)
    total = run.options.total
    free = shutil.disk_usage(run.directory).free
    if free < 4 * total:  # the log, the store, and both again while they are rewritten
        raise BenchError(f"{free / 1e9:.0f} GB are free, but {4 * total / 1e9:.0f} may be needed: see --dir and --total")
    keys = total // VALUE_BYTES
    contestants = ([run.redis] if total <= REDIS_AT_MOST else []) + evens
    taken = {"": run.empty(contestants)}
    for number in run.rounds():
        for contestant in run.turn(number, contestants):
            taken[""][contestant.name].append(one_round(run, contestant, keys))
    baselines = [name for name in run.baselines if name in taken[""]]
    redis = (f"{run.redis.name} has no limit." if contestants[0] == run.redis
             else f"Without {run.redis.name}, which would need more memory than is wise (--total above 2GiB).")
    return (f"{keys:,} values of {VALUE_BYTES:,} bytes with `{setting}`, fsync {run.fsync}, {run.rounds_text}. Random "
            f"reads: `redis-benchmark -c {run.options.clients} -P {run.options.pipeline} -t get`. {redis}\n\n"
            + comparison(None, taken, COLUMNS, baselines) + "".join("\n" + note for note in notes))


def add_options(group):
    group.add_argument("--total", type=size, default="4GB", help="bytes of values (default %(default)s)")
    group.add_argument("--max-memory", default="512MiB", help="memory.max_memory (default %(default)s)")


CASE = Case("larger-than-memory", "writes, random reads and peak memory when memory.max_memory is exceeded by far", measure,
            rounds=1, requests=500_000, add_options=add_options)
