"""What topics in which nothing happens cost the keyspaces beside them, on three nodes."""

from .. import redis_benchmark, resp, stats
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import Column, comparison, markdown, show_ratio
from .strong import retried_until_all_are_members

TOPICS = 16
PARTITIONS = 4
RECORDS = 100  # in each topic
CLIENTS = 50
KINDS = {"no topics": 0, "idle topics": TOPICS}
WANTED = 0.97

COLUMNS = [
    Column("op/s", "rps", compared=True),
    Column("p50 ms", "p50", "{:.3f}"),
    Column("p99 ms", "p99", "{:.3f}"),
    Column("CPU us/op", "cpu_us", "{:.2f}", compared=True),
]


def loads():
    """The words of a command, how many of them each client has under way, which share of the requests."""
    for name, words in (("SET", ["SET", f"key:{redis_benchmark.NUMBER}", redis_benchmark.VALUE]),
                        ("GET", ["GET", f"key:{redis_benchmark.NUMBER}"])):
        yield f"{name} -P 16", words, 16, 1
        yield name, words, 1, 0.3


def prepare(cluster, topics):
    with resp.Client(cluster.port) as client:
        for i in range(topics):
            retried_until_all_are_members(cluster, client, "EVEN.TOPIC", "CREATE", f"t{i}", "PARTITIONS", PARTITIONS,
                                          "REPLICAS", len(cluster.nodes))
        for i in range(topics):
            client.pipeline([resp.encode("EVEN.EMIT", f"t{i}", f"k{number}", "x" * 100) for number in range(RECORDS)])
    cluster.catch_up()
    cpu_seconds_when_quiet(cluster)


def measure(run):
    options = run.options
    even = run.evens[0]
    taken = {load: {kind: [] for kind in KINDS} for load, *_ in loads()}
    for number in run.rounds():
        for kind in run.turn(number, list(KINDS)):
            with run.home(even) as home, run.running(even.cluster(home, run.fsync)) as cluster:
                run.progress.step(f"round {number} of {options.rounds}, {kind}: is made ready")
                prepare(cluster, KINDS[kind])
                for load, words, pipeline, share in loads():
                    run.progress.step(f"round {number} of {options.rounds}, {kind}: {load}")
                    requests = max(1000, int(options.requests * share))
                    before = cluster.cpu_seconds()
                    figures = redis_benchmark.run_words(cluster.port, words, requests=requests, clients=CLIENTS,
                                                        pipeline=pipeline, keys=options.keys, value_bytes=options.bytes)
                    figures["cpu_us"] = (cpu_seconds_when_quiet(cluster) - before) * 1e6 / requests
                    taken[load][kind].append(figures)
    rows = []
    for load in taken:
        ratio = stats.ratio(taken[load]["idle topics"], taken[load]["no topics"], "rps")
        rows.append([load, show_ratio(ratio), f"{WANTED} or more", "yes" if ratio.median >= WANTED else "no"])
    return "\n".join([
        f"`redis-benchmark -c {CLIENTS} -r {options.keys} -d {options.bytes}`, up to {options.requests:,} requests, "
        f"{run.rounds_text}. Three nodes on this machine, started without data for each round, with clients at one of them. "
        f"Idle: {TOPICS} topics of {PARTITIONS} partitions at all nodes, with {RECORDS} records in each, of which nobody reads or "
        "writes any more. CPU time is that of the three together, until they are quiet.\n",
        comparison("load", taken, COLUMNS, ["no topics"]),
        "\nWhat is wanted:\n",
        markdown(["load", "op/s, with idle topics to without", "wanted", "met"], rows)])


CASE = Case("idle-topics", "what topics in which nothing happens cost keyspaces beside them", measure, rounds=5,
            keys=100_000, requests=500_000)
