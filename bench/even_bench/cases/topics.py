"""Topics beside Apache Kafka: three nodes each, three replicas, acks=all, measured by Kafka's own tools."""

import pathlib
import re
import resource
import subprocess
import time

from .. import proc, stats
from ..arguments import positive
from ..errors import BenchError
from ..run import Case
from ..servers import Kafka, cpu_seconds_when_quiet
from ..table import Column, comparison, markdown, show, show_ratio

ROOT = pathlib.Path(__file__).resolve().parents[3]
LIBRARIES = ROOT / "build/bench/kafka/lib"
RATE = 2_000  # records per second, where latency is what is measured
# There, so long is produced ahead of it by the same process: its first records wait for Java to load and compile, and are more
# than a hundredth of those of ten seconds.
WARM_UP_SECONDS = 5
WARM_PRODUCER = ROOT / "bench/kafka/WarmProducerPerformance.java"
# Of each size one part is produced ahead of what is measured, so that Java has compiled what it runs.
WARM_UP_PART = 5
TOOLS = "org.apache.kafka.tools"
# Fewer of the large records take as long.
LARGE_PART = 5

PRODUCED = {"produce, 100 bytes": 100, "produce, 1 KiB": 1024}
AT_RATE = f"produce, 100 bytes, {RATE:,}/s"
CONSUMED = {"consume, 100 bytes": 100, "consume, 1 KiB": 1024}
END_TO_END = "end to end, 100 bytes"
LOADS = [*PRODUCED, AT_RATE, *CONSUMED, END_TO_END]

COLUMNS = [
    Column("records/s", "rate", compared=True),
    Column("p50 ms", "p50", "{:.1f}"),
    Column("p99 ms", "p99", "{:.1f}", compared=True),
    Column("CPU us/record", "cpu_us", "{:.1f}", compared=True),
    Column("MB resident, each", "resident", compared=True),
    Column("tool's CPU us/record", "tool_us", "{:.1f}"),
    Column("cores of others", "others", "{:.2f}"),
]

# The figure of a load, and what its ratio to Kafka's should be at least or at most.
WANTED = [
    *((load, "rate", "records/s", 2.0, None) for load in PRODUCED),
    *((load, "cpu_us", "CPU time per record", None, 0.5) for load in PRODUCED),
    *((load, "resident", "memory", None, 0.2) for load in PRODUCED),
    *((load, "rate", "records/s", 1.0, None) for load in CONSUMED),
]
MOST_P99 = 10  # ms, of Even at RATE


def parse_producer(text):
    """The figures of ProducerPerformance's last line; None if it has not come to that."""
    found = re.findall(r"^(\d+) records sent, ([\d.]+) records/sec .*?, ([\d.]+) ms 50th, .*?([\d.]+) ms 99th,", text, re.MULTILINE)
    if not found:
        return None
    records, rate, p50, p99 = found[-1]
    return {"records": int(records), "rate": float(rate), "p50": float(p50), "p99": float(p99)}


def parse_consumer(text):
    """Those of ConsumerPerformance, without the time that joining the group took."""
    lines = [[word.strip() for word in line.split(",")] for line in text.splitlines()]
    for heading, figures in zip(lines, lines[1:]):
        if "fetch.nMsg.sec" in heading and len(figures) == len(heading):
            row = dict(zip(heading, figures))
            return {"records": int(row["data.consumed.in.nMsg"]), "rate": float(row["fetch.nMsg.sec"])}
    return None


def parse_end_to_end(text):
    found = re.search(r"50th = ([\d.]+), 99th = ([\d.]+)", text)
    return {"p50": float(found[1]), "p99": float(found[2])} if found else None


class Tools:
    """Kafka's own, for a running cluster."""

    def __init__(self, kafka, target, partitions):
        self._kafka, self._target, self._partitions = kafka, target, partitions
        self._servers = ",".join(f"127.0.0.1:{port}" for port in target.kafka_ports)

    def create(self, topic, limit=60):
        """A cluster that has just started may refuse it for a while."""
        begun = time.monotonic()
        while True:
            done = self._run("256M", f"{TOOLS}.TopicCommand", "--bootstrap-server", self._servers, "--create", "--topic", topic,
                             "--if-not-exists", "--partitions", self._partitions, "--replication-factor", len(self._target.nodes))
            if done.returncode == 0:
                return
            if time.monotonic() > begun + limit:
                raise BenchError(f"{self._target.name} does not create a topic: {done.stdout}{done.stderr}")

    def produce(self, topic, size, records):
        return self._measured(records, parse_producer, "512M", f"{TOOLS}.ProducerPerformance", *self._produced(topic, size, records, -1))

    def produce_at_rate(self, topic, size, seconds):
        """CPU time is that of the records ahead as well."""
        records, ahead = RATE * seconds, RATE * WARM_UP_SECONDS
        return self._measured(records, parse_producer, "512M", WARM_PRODUCER, ahead, *self._produced(topic, size, records, RATE),
                              ahead=ahead)

    def _produced(self, topic, size, records, rate):
        return ("--topic", topic, "--num-records", records, "--record-size", size, "--throughput", rate, "--producer-props",
                f"bootstrap.servers={self._servers}", "acks=all")

    def consume(self, topic, records):
        return self._measured(records, parse_consumer, "512M", f"{TOOLS}.ConsumerPerformance", "--bootstrap-server", self._servers,
                              "--topic", topic, "--messages", records, "--timeout", 60_000)

    def end_to_end(self, topic, size, records):
        return self._measured(records, parse_end_to_end, "512M", f"{TOOLS}.EndToEndLatency", self._servers, topic, records, "all", size)

    def _run(self, heap, tool, *arguments):
        command = self._kafka.java(heap, tool, *arguments)
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{tool} on {self._target.name} did not end within ten minutes") from None

    def _measured(self, records, parse, *command, ahead=0):
        """Runs a tool. Returns what it says, and what it has cost, with what it sends `ahead` of that."""
        target = self._target
        before, machine, tools = target.cpu_seconds(), proc.machine_cpu_seconds(), _children_cpu_seconds()
        begun = time.monotonic()
        done = self._run(*command)
        elapsed = time.monotonic() - begun
        during = target.cpu_seconds() - before
        machine = proc.machine_cpu_seconds() - machine
        tools = _children_cpu_seconds() - tools
        figures = parse(done.stdout)
        if done.returncode or figures is None:
            raise BenchError(f"{command[1]} on {target.name} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        if figures.get("records", records) < records:
            raise BenchError(f"{command[1]} on {target.name} came to {figures['records']} of {records} records")
        figures["resident"] = max(proc.resident_bytes(pid) for pid in target.pids) / 1e6
        figures["cpu_us"] = (cpu_seconds_when_quiet(target) - before) * 1e6 / (records + ahead)
        figures["tool_us"] = tools * 1e6 / (records + ahead)
        figures["others"] = max(0.0, machine - during - tools) / elapsed
        return figures


def _children_cpu_seconds():
    """Of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def counts(options):
    return {100: options.topics_records, 1024: max(1, options.topics_records // LARGE_PART)}


def topic_of(size):
    return f"bench-{size}"


def measured(run, number, kafka, target, taken):
    def step(load):
        run.progress.step(f"round {number} of {run.options.rounds}, {load} on {target.name}")

    tools = Tools(kafka, target, run.options.topics_partitions)
    records = counts(run.options)
    of_server = {load: taken[load][target.name] for load in LOADS}
    tools.create("warm-up")
    for load, size in PRODUCED.items():
        step(load)
        tools.create(topic_of(size))
        tools.produce("warm-up", size, records[size] // WARM_UP_PART)
        of_server[load].append(tools.produce(topic_of(size), size, records[size]))
    step(AT_RATE)
    of_server[AT_RATE].append(tools.produce_at_rate("warm-up", 100, run.options.topics_seconds))
    step(END_TO_END)
    tools.create("end-to-end")
    of_server[END_TO_END].append(tools.end_to_end("end-to-end", 100, run.options.topics_messages))
    # What is consumed is not in the servers' memory: they are started anew.
    step("start anew")
    target.stop()
    target.start().wait_ready()
    tools.create("warm-up")  # which waits until it knows its topics
    for load, size in CONSUMED.items():
        step(load)
        of_server[load].append(tools.consume(topic_of(size), records[size]))


def wanted(taken, even, kafka):
    rows = []
    for load, key, title, least, most in WANTED:
        ratio = stats.ratio(taken[load][even], taken[load][kafka], key)
        met = ratio and (ratio.median >= least if least else ratio.median <= most)
        rows.append([load, f"{title}, {even} to {kafka}", show_ratio(ratio), f"{least} or more" if least else f"{most} or less",
                     "yes" if met else "no"])
    p99 = stats.medians(taken[AT_RATE][even]).get("p99")
    rows.append([AT_RATE, f"p99 of {even}, ms", show(p99, "{:.1f}"), f"less than {MOST_P99}",
                 "yes" if p99 is not None and p99 < MOST_P99 else "no"])
    return markdown(["load", "figure", "measured", "wanted", "met"], rows)


def measure(run):
    jars = sorted(LIBRARIES.glob("kafka_2.13-*.jar"))
    if not jars:
        raise BenchError("Apache Kafka is missing: ./dev bench topics provides it")
    kafka = Kafka(LIBRARIES)
    contestants = [kafka, *run.evens]
    taken = {load: run.empty(contestants) for load in LOADS}
    for number in run.rounds():
        for contestant in run.turn(number, contestants):
            run.progress.step(f"round {number} of {run.options.rounds}, {contestant.name} starts")
            with run.home(contestant) as home:
                cluster = kafka.cluster(home) if contestant is kafka else contestant.cluster(home, run.fsync)
                with run.running(cluster):
                    measured(run, number, kafka, cluster, taken)
    version = jars[0].stem.removeprefix("kafka_2.13-")
    records = counts(run.options)
    baselines = [kafka.name] + [even.name for even in run.evens[:1] if len(run.evens) > 1]
    return (f"Apache Kafka {version} (KRaft: three brokers that are the controllers too), with its scripts' settings of Java and its "
            "own defaults: it writes to the page cache and syncs nothing, where Even's records are on the disks of a majority "
            "when they are acknowledged. Three nodes on this machine, started without data for each round, never both clusters at a "
            f"time; three replicas, {run.options.topics_partitions} partitions, `acks=all`, idempotent, uncompressed. Measured by "
            f"Kafka's ProducerPerformance, ConsumerPerformance and EndToEndLatency: {records[100]:,} records of 100 bytes, "
            f"{records[1024]:,} of 1 KiB, {run.options.topics_seconds} s at {RATE:,}/s (behind {WARM_UP_SECONDS} s of the same process that count for "
            f"CPU time only), {run.options.topics_messages:,} records end to end, {run.rounds_text}. Consumed is after a restart of all nodes, from files that the page cache may have. CPU time is "
            "that of the three servers together; resident memory that of the largest when the tool has ended; cores of others are "
            "what else ran on the machine.\n\n"
            + comparison("load", taken, COLUMNS, baselines) + "\nWhat is wanted:\n\n"
            + wanted(taken, run.evens[0].name, kafka.name))


def add_options(group):
    group.add_argument("--topics-records", type=positive, default=1_000_000, metavar="N",
                       help="of 100 bytes; a fifth as many of 1 KiB (default %(default)s)")
    group.add_argument("--topics-seconds", type=positive, default=30, metavar="S",
                       help=f"how long {RATE} records a second are produced (default %(default)s)")
    group.add_argument("--topics-messages", type=positive, default=2_000, metavar="N",
                       help="sent one after the other, end to end (default %(default)s)")
    group.add_argument("--topics-partitions", type=positive, default=3, metavar="N", help="(default %(default)s)")


CASE = Case("topics", "topics beside Apache Kafka, three nodes each: throughput, latency, CPU time, memory", measure, rounds=3,
            add_options=add_options)
