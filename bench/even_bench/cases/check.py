"""How long it takes until what differs behind Even's back is found and repaired, by `even check` and by the background pass."""

import hashlib
import re
import subprocess
import time

from .. import resp
from ..arguments import positive
from ..errors import BenchError
from ..run import Case
from ..table import markdown

NODES, REPLICAS = 5, 3
EVERY = 100  # of so many keys one is made to differ
BATCH = 1_000
LIMIT = 900  # seconds without the wanted outcome


def name(number):
    return b"key:%012d" % number


def write(number):
    return resp.encode("SET", name(number), b"value of %d" % number)


def content(cluster, keys, progress):
    """Of each node: a hash of all values as it replies them, and the number of keys."""
    seen = []
    for node in cluster.nodes:
        digest = hashlib.sha256()
        with resp.Client(node.port) as client:
            for first in range(0, keys, BATCH):
                gets = [resp.encode("GET", name(number)) for number in range(first, min(first + BATCH, keys))]
                for value in client.pipeline(gets):
                    digest.update(b"%d " % len(value) + value if value is not None else b"-")
                progress.tick(f"reading at {node.name}: {first:,} of {keys:,} keys")
            seen.append((digest.hexdigest(), client.call("DBSIZE")))
    return seen


def falsify(cluster, keys):
    """Of each three keys one is lost, one changed, and one made up, at one replica of it. Returns how many at each node."""
    done = [0] * NODES
    clients = [resp.Client(node.port) for node in cluster.nodes]
    for index, number in enumerate(range(0, keys, EVERY)):
        key = name(number)
        words = ["LOSE"] if index % 3 == 0 else ["VALUE", "wrong"]
        if index % 3 == 2:
            key = b"made-up:" + key
        for turn in range(NODES):
            node = (index + turn) % NODES
            try:
                if clients[node].call("EVEN.FAULT", "KEY", key, *words) == b"1":
                    done[node] += 1
                    break
            except resp.ErrorReply:
                pass  # it does not hold the key
        else:
            raise BenchError(f"no node takes a fault of {key.decode()}")
    for client in clients:
        client.close()
    return done


def metric(cluster, node, which):
    return int(float(re.search(rf"^{which}(?:{{[^}}]*}})? (\S+)$", cluster.metrics(node), re.M).group(1)))


def repaired(cluster):
    return [metric(cluster, node, "even_check_repaired_keys_total") for node in range(NODES)]


def looked_at(cluster):
    return sum(metric(cluster, node, "even_check_keys_total") for node in range(NODES))


def by_command(run, even, cluster):
    command = [even.program.parent / "even", "check"]
    for node in cluster.nodes:
        command += ["--node", f"127.0.0.1:{node.port}"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=LIMIT)
    if done.returncode not in (0, 1):
        raise BenchError(f"even check: {done.stdout[-500:]}{done.stderr[-500:]}")


def by_background(cluster, wanted, progress):
    begun = time.monotonic()
    while repaired(cluster) != wanted:
        if time.monotonic() > begun + LIMIT:
            raise BenchError(f"after {LIMIT} s the background pass has repaired {repaired(cluster)} of {wanted} keys")
        progress.tick(f"{sum(repaired(cluster)):,} of {sum(wanted):,} keys repaired")
        time.sleep(0.2)


def found_by(run, how, even, rows):
    """One cluster; `how` is called when the keys differ, with the cluster and what is to have been repaired by then."""
    keys = run.options.keys
    with run.home(even) as home, run.running(even.cluster(home, run.fsync, NODES, REPLICAS)) as cluster:
        run.progress.step(f"{even.name}: {keys:,} keys")
        resp.load(cluster.port, write, keys, run.progress)
        cluster.catch_up()
        before = content(cluster, keys, run.progress)
        looked, had = looked_at(cluster), repaired(cluster)
        wanted = [had + made for had, made in zip(had, falsify(cluster, keys))]
        cpu, begun = cluster.cpu_seconds(), time.monotonic()
        how(cluster, wanted)
        seconds, cpu = time.monotonic() - begun, cluster.cpu_seconds() - cpu
        looked = looked_at(cluster) - looked
        now, after = repaired(cluster), content(cluster, keys, run.progress)
        if now != wanted:
            run.problems.append(f"{even.name}: {now} keys were repaired at the nodes, not {wanted}")
        if after != before:
            run.problems.append(f"{even.name}: not all keys are as they were")
        rows.append([even.name, f"{sum(wanted):,}", f"{seconds:.1f}", f"{cpu:.1f}", f"{looked:,}",
                     "no" if after == before else "YES"])


def measure(run):
    interval, rows = run.options.check_interval, []
    for even in run.evens:
        faulty = even.with_setting("faults.enabled=true")
        found_by(run, lambda cluster, wanted: by_command(run, even, cluster),
                 faulty.with_setting("check.interval_s=0", f"{even.name}, even check"), rows)
        found_by(run, lambda cluster, wanted: by_background(cluster, wanted, run.progress),
                 faulty.with_setting(f"check.interval_s={interval}", f"{even.name}, background pass of {interval} s"), rows)
    headings = ["found by", "keys repaired", "s until all are", "CPU s of all nodes", "keys looked at", "anything else changed"]
    return (f"{NODES} nodes, {REPLICAS} replicas of each of {run.options.keys:,} keys; of every {EVERY} keys one is lost or "
            f"changed at one replica, or another one made up there. Then they are repaired. fsync {run.fsync}.\n\n"
            + markdown(headings, rows))


def add_options(group):
    group.add_argument("--check-interval", type=positive, metavar="S", default=120,
                       help="seconds of a background pass (default 120)")


CASE = Case("check", "time until what differs behind Even's back is found and repaired", measure, rounds=1, keys=1_000_000,
            add_options=add_options)
