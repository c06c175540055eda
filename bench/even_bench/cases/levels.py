"""What consistency by request costs on three nodes: writes at ONE and at QUORUM, and counters with a bound."""

import multiprocessing
from statistics import median

from .. import redis_benchmark, resp, stats
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison, markdown, show_ratio
from .strong import retried_until_all_are_members
from .throughput import disk_syncs

KEYSPACES = {"ONE": "one:", "QUORUM": "quorum:"}
RIGHTS = 2**40  # to be sold: more than any round takes
CLIENTS = 64
NODES = 3

COLUMNS = [
    Column("op/s", "rps", compared=True),
    Column("p50 ms", "p50", "{:.3f}", compared=True),
    Column("p99 ms", "p99", "{:.3f}"),
    Column("CPU us/op", "cpu_us", "{:.2f}", compared=True),
]


def loads():
    """The words of a command, how many clients, how many commands each has under way, which share of the requests."""
    yield "PING, 1 client", ["PING"], 1, 1, 0.1
    for level, prefix in KEYSPACES.items():
        words = ["SET", prefix + redis_benchmark.NUMBER, redis_benchmark.VALUE]
        yield f"SET at {level}, 1 client", words, 1, 1, 0.05
        yield f"SET at {level}, {CLIENTS} clients", words, CLIENTS, 1, 0.5
        yield f"SET at {level}, {CLIENTS} clients -P 16", words, CLIENTS, 16, 1
    for pipeline in (1, 16):
        suffix = f"{CLIENTS} clients" + (f" -P {pipeline}" if pipeline > 1 else "")
        for name in ("plain", "bounded"):
            yield f"DECR {name}, {suffix}", ["DECR", f"counter:{name}"], CLIENTS, pipeline, 0.5 if pipeline == 1 else 1


def prepare(cluster):
    with resp.Client(cluster.port) as client:
        for level, prefix in KEYSPACES.items():
            retried_until_all_are_members(cluster, client, "EVEN.KEYSPACE", "CREATE", level.lower(), "PREFIX", prefix,
                                          "MODE", "EVENTUAL", "REPLICAS", len(cluster.nodes), "WRITE", level)
        client.call("EVEN.BOUND", "counter:bounded", "MIN", 0)
        for name in ("plain", "bounded"):
            client.call("INCRBY", f"counter:{name}", RIGHTS)
    cluster.catch_up()


def measured(run, number, fsync, cluster, taken):
    options = run.options
    for load, words, clients, pipeline, share in loads():
        run.progress.step(f"fsync {fsync}, round {number} of {options.rounds}, {load} on {cluster.name}")
        requests = max(1000, int(options.requests * share))
        before = cluster.cpu_seconds()
        figures = redis_benchmark.run_words(cluster.port, words, requests=requests, clients=clients, pipeline=pipeline,
                                            keys=options.keys, value_bytes=options.bytes)
        figures["cpu_us"] = (cpu_seconds_when_quiet(cluster) - before) * 1e6 / requests
        taken[load][cluster.name].append(figures)


def syncs_at_once(directory, count):
    """The median time in ms that a sync takes while others sync other files."""
    with multiprocessing.Pool(count) as pool:
        return median(each["p50"] for each in pool.map(disk_syncs, [directory / f"fdatasync{i}" for i in range(count)]))


def sold(cluster):
    """What has been taken of each counter."""
    with resp.Client(cluster.port) as client:
        return [RIGHTS - int(client.call("GET", f"counter:{name}")) for name in ("plain", "bounded")]


def wanted(taken, even, syncs):
    """Of the first Even."""
    rows = []
    for load in (f"{CLIENTS} clients", f"{CLIENTS} clients -P 16"):
        ratio = stats.ratio(taken[f"DECR bounded, {load}"][even], taken[f"DECR plain, {load}"][even], "rps")
        rows.append([f"DECR bounded to plain, {load}", show_ratio(ratio), "0.8 or more", "yes" if ratio.median >= 0.8 else "no"])
    ping, one, quorum = (stats.medians(taken[f"{load}, 1 client"][even])["p50"] for load in ("PING", "SET at ONE", "SET at QUORUM"))
    bound = ping + syncs + 0.2
    rows.append(["p50 of SET at QUORUM, 1 client", f"{quorum:.3f} ms (ONE {one:.3f})", f"under {bound:.3f} ms",
                 "yes" if quorum < bound else "no"])
    return markdown(["figure", "measured", "wanted", "met"], rows)


def measure(run):
    options = run.options
    text = [f"`redis-benchmark -r {options.keys} -d {options.bytes}`, up to {options.requests:,} requests, {run.rounds_text}. "
            "Three nodes on this machine, with clients at one of them. CPU time is that of the three together, until they are "
            "quiet. Each of the two counters is one key; a million million of the one with a bound are this node's to sell.\n"]
    for fsync in options.fsync:
        taken = {load: run.empty(run.evens) for load, *_ in loads()}
        for number in run.rounds():
            for even in run.turn(number, run.evens):
                run.progress.step(f"fsync {fsync}, round {number} of {options.rounds}, {even.name} starts")
                with run.home(even) as home, run.running(even.cluster(home, fsync)) as cluster:
                    prepare(cluster)
                    measured(run, number, fsync, cluster, taken)
                    plain, bounded = sold(cluster)
                    if plain != bounded:
                        run.problems.append(f"{even.name}, round {number}: {plain} were sold of one counter, {bounded} of the other")
        syncs, group_commit = 0.0, "nothing"
        if fsync == "always":  # else no write waits for the disk
            syncs = syncs_at_once(run.directory, NODES)
            alone = disk_syncs(run.directory / "fdatasync")["p50"]
            group_commit = (f"a sync of each of {NODES} files at once, as by {NODES} nodes on one disk: {syncs:.3f} ms (of one "
                            f"alone: {alone:.3f} ms)")
        text += [f"fsync {fsync}:\n", comparison("load", taken, COLUMNS, [run.evens[0].name] if len(run.evens) > 1 else []),
                 f"\nWhat is wanted; a round trip is that of PING, a group commit {group_commit}:\n",
                 wanted(taken, run.evens[0].name, syncs)]
    return "\n".join(text)


CASE = Case("levels", "writes at ONE and at QUORUM, and counters with a bound, on three nodes", measure, rounds=3,
            keys=100_000, requests=400_000)
