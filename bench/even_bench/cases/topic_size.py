"""A topic much larger than what nodes may hold in memory: written, read from the beginning, compacted by key, read again."""

import random
import shutil
import subprocess
import threading
import time

from .. import proc, resp
from ..arguments import positive, size
from ..errors import BenchError
from ..run import Case
from ..servers import cpu_seconds_when_quiet
from ..table import markdown

TOPIC = "size"
MOST_MEMORY = 500  # MB resident, of each node
SAMPLE_SECONDS = 0.25
QUIET_LIMIT = 120  # seconds, for what is done in the background
COMPACTION_LIMIT = 2 * 3600  # seconds

# Values are cut from this: they compress a little, as base64 does, and have no line breaks, which kcat takes for their ends.
_noise = bytes(random.Random(1).choices(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=1 << 20))


def key(number, keys):
    """Of the record with this offset: they come in no order, and each about as often as any other."""
    return number * 2654435761 % 2**32 * keys >> 32


class Memory:
    """Watches what nodes have resident, by phases of the case. MB."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._phase = None
        self._stop = threading.Event()
        self._peak = 0
        self.most, self.sums, self.samples = {}, {}, {}
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def phase(self, name):
        self._phase = name

    def end(self):
        self._stop.set()
        self._thread.join()

    def of(self, phase):
        """The most of any node, and the mean of all."""
        return self.most.get(phase, 0), self.sums.get(phase, 0) / max(1, self.samples.get(phase, 0))

    def peak(self):
        """The most that any node has ever had: as the kernel has noted it, between two looks as well."""
        self._peak = max(self._peak, *(proc.peak_resident_bytes(pid) / 1e6 for pid in self._cluster.pids))
        return self._peak

    def _watch(self):
        while not self._stop.wait(SAMPLE_SECONDS):
            phase = self._phase
            if phase is None:
                continue
            now = [proc.resident_bytes(pid) / 1e6 for pid in self._cluster.pids]
            self.most[phase] = max(self.most.get(phase, 0), *now)
            self.sums[phase] = self.sums.get(phase, 0) + sum(now) / len(now)
            self.samples[phase] = self.samples.get(phase, 0) + 1


class Clients:
    """kcat, which is librdkafka: one for each partition, so that a record's place in what is sent is its offset."""

    def __init__(self, run, cluster):
        self._servers = ",".join(f"127.0.0.1:{port}" for port in cluster.kafka_ports)
        self._partitions = run.options.topic_size_partitions
        self._value_bytes = run.options.topic_size_value
        self._keys = max(1, run.options.topic_size_keys // self._partitions)
        self.records = max(1, run.options.topic_size // (self._partitions * self._value_bytes))  # of a partition
        self._progress = run.progress
        self._latest = None

    @property
    def all_records(self):
        return self.records * self._partitions

    def write(self):
        self._each(self._write_partition)

    def read(self):
        """All records, with keys, in their order, none missing."""
        return self._each(lambda partition, done: self._read_partition(partition, done, self._is_next))

    def read_compacted(self):
        """Of each key the latest record, and no record that was not written. Returns how many are left."""
        self._latest = {key(number, self._keys): number for number in range(self.records)}
        return self._each(lambda partition, done: self._read_partition(partition, done, self._may_be_left))

    def _kcat(self, partition, *arguments, **streams):
        return subprocess.Popen(["kcat", "-b", self._servers, "-t", TOPIC, "-p", str(partition), *arguments], **streams)

    def _each(self, what):
        """In a thread for each partition; what went wrong in one is raised. Returns the sum of what they return."""
        done, outcomes = [0] * self._partitions, [None] * self._partitions

        def work(partition):
            try:
                outcomes[partition] = what(partition, done)
            except Exception as error:  # pylint: disable=broad-except  # is raised below
                outcomes[partition] = error

        threads = [threading.Thread(target=work, args=(partition,), daemon=True) for partition in range(self._partitions)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.1)
            self._progress.tick(f"{sum(done):,} of {self.all_records:,} records")
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return sum(outcomes)

    def _write_partition(self, partition, done):
        kcat = self._kcat(partition, "-P", "-K", "\t", "-X", "acks=all", "-X", "enable.idempotence=true", "-X", "linger.ms=5",
                          "-X", "queue.buffering.max.kbytes=32768", stdin=subprocess.PIPE)
        body = self._value_bytes - 12
        for number in range(self.records):
            at = number * 7919 % (len(_noise) - body)
            kcat.stdin.write(b"%d\t%012d%s\n" % (key(number, self._keys), number, _noise[at:at + body]))
            done[partition] = number
        kcat.stdin.close()
        if kcat.wait():
            raise BenchError(f"kcat ended with {kcat.returncode} while it wrote partition {partition}")
        return self.records

    def _read_partition(self, partition, done, check):
        kcat = self._kcat(partition, "-C", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true", "-X",
                          "queued.max.messages.kbytes=16384", "-f", "%o\t%k\t%S\n", stdout=subprocess.PIPE)
        seen, latest = 0, {}
        for line in kcat.stdout:
            offset, own_key, length = map(int, line.split(b"\t"))
            if not check(seen, offset) or own_key != key(offset, self._keys) or length != self._value_bytes:
                kcat.kill()
                raise BenchError(f"partition {partition} has at offset {offset} a record of {length} bytes with key {own_key}, "
                                 f"as number {seen}")
            latest[own_key] = offset
            seen += 1
            done[partition] = offset
        if kcat.wait():
            raise BenchError(f"kcat ended with {kcat.returncode} while it read partition {partition}")
        if latest != (self._latest or {key(number, self._keys): number for number in range(self.records)}):
            raise BenchError(f"partition {partition} does not end with the latest records of all keys")
        return seen

    @staticmethod
    def _is_next(seen, offset):
        return seen == offset

    def _may_be_left(self, _seen, offset):
        return 0 <= offset < self.records


def fields(reply):
    return dict(zip(reply[::2], reply[1::2]))


def told(node, *words):
    with resp.Client(node.port) as client:
        return client.call("EVEN.TOPIC", *words)


def create(cluster, run, limit=60):
    """A cluster that has just started may refuse it for a while."""
    begun = time.monotonic()
    while True:
        try:
            return told(cluster.nodes[0], "CREATE", TOPIC, "PARTITIONS", run.options.topic_size_partitions, "REPLICAS",
                        run.options.topic_size_replicas)
        except resp.ErrorReply as error:
            if time.monotonic() > begun + limit:
                raise BenchError(f"the topic is not created: {error}") from None
            time.sleep(0.2)


def wait_compacted(cluster, run, records):
    """Until each member of each partition has compacted all of it."""
    begun = time.monotonic()
    members = run.options.topic_size_partitions * run.options.topic_size_replicas
    while True:
        here = [fields(each) for node in cluster.nodes for each in fields(told(node, "INFO", TOPIC))[b"here"]]
        ends = [int(each[b"compacted"]) for each in here]
        if len(here) == members and all(end >= records for end in ends):
            return
        if time.monotonic() > begun + COMPACTION_LIMIT:
            raise BenchError(f"compaction has come to {ends} of {records} in so many seconds: {COMPACTION_LIMIT}")
        run.progress.tick(f"{sum(ends):,} of {members * records:,} offsets")
        time.sleep(1)


def disk_mb(cluster):
    return sum(node.data_bytes() for node in cluster.nodes) / 1e6


def one_round(run, even):
    rows = []
    with run.home(even) as home, run.running(even.cluster(home, run.fsync)) as cluster:
        clients = Clients(run, cluster)
        create(cluster, run)
        memory = Memory(cluster)

        def phase(name, what):
            run.progress.step(f"{even.name}: {name}")
            memory.phase(name)
            used, begun = cluster.cpu_seconds(), time.monotonic()
            records = what()
            seconds = time.monotonic() - begun
            memory.phase(None)
            rate = f"{records / seconds:,.0f}" if records else "-"
            throughput = f"{records * run.options.topic_size_value / seconds / 1e6:,.0f}" if records else "-"
            most, mean = memory.of(name)
            rows.append([even.name, name, f"{seconds:,.0f}", f"{records:,}" if records else "-", rate, throughput,
                         f"{cluster.cpu_seconds() - used:,.0f}", f"{most:,.0f}", f"{mean:,.0f}", f"{disk_mb(cluster):,.0f}"])

        def write():
            clients.write()
            return clients.all_records

        def compact():
            told(cluster.nodes[0], "ALTER", TOPIC, "CLEANUP", "COMPACT")
            wait_compacted(cluster, run, clients.records)
            cpu_seconds_when_quiet(cluster, QUIET_LIMIT)
            return 0

        try:
            phase("write", write)
            memory.peak()
            # Then all is in the store, as compaction wants it, and nothing in the nodes' memory.
            run.progress.step(f"{even.name}: start anew")
            cluster.stop()
            cluster.start().wait_ready()
            phase("read from the beginning", clients.read)
            phase("compact", compact)
            phase("read what is left", clients.read_compacted)
            peak = memory.peak()
        finally:
            memory.end()
    if peak >= MOST_MEMORY:
        run.problems.append(f"{even.name}: {peak:,.0f} MB were resident, {MOST_MEMORY} are to be enough")
    return rows, peak


def measure(run):
    options = run.options
    if shutil.which("kcat") is None:
        raise BenchError("kcat is missing: ./dev setup installs it")
    setting = f"memory.max_memory={options.topic_size_memory}"
    # The log of each node beside the records, and what compaction rewrites before the rest goes.
    needed = options.topic_size * options.topic_size_replicas * 1.25 + 6e9
    free = shutil.disk_usage(run.directory).free
    if free < needed:
        raise BenchError(f"{free / 1e9:.0f} GB are free, but {needed / 1e9:.0f} may be needed: see --dir and --topic-size")
    rows, notes = [], []
    for _ in run.rounds():
        for even in (even.with_setting(setting) for even in run.evens):
            more, peak = one_round(run, even)
            rows += more
            notes.append(f"{even.name}: at most {peak:,.0f} MB were ever resident, of any node; less than {MOST_MEMORY} is wanted.\n")
    return (f"{options.topic_size / 1e9:,.1f} GB in values of {options.topic_size_value:,} bytes with {options.topic_size_keys:,} "
            f"keys, in a topic of {options.topic_size_partitions} partitions with {options.topic_size_replicas} replica(s) on three "
            f"nodes of one shard with `{setting}`, fsync {run.fsync}, {run.rounds_text}. Clients are kcat (librdkafka), one for "
            "each partition: `acks=all`, idempotent, uncompressed; those that read check each batch's checksum, each record's "
            "offset, key and length, and of each key the offset of its latest record. "
            "The nodes are started anew when all has been written, so that it is read from their stores, from files that the page "
            "cache may have. Compaction begins when all has been read, reads 10 MiB/s at most on each node, and has come to its end "
            "when all offsets are compacted and the nodes are quiet. Resident memory is looked at each "
            f"{SAMPLE_SECONDS} s. CPU time is that of the three nodes together, MB on disk that of all their data, logs included, "
            "at the end of the phase.\n\n"
            + markdown(["server", "phase", "seconds", "records", "records/s", "MB/s", "CPU s", "MB resident, most of a node",
                        "mean of all", "MB on disk"], rows) + "".join("\n" + note for note in notes))


def add_options(group):
    group.add_argument("--topic-size", type=size, default="500MB", help="bytes of values (default %(default)s)")
    group.add_argument("--topic-size-value", type=positive, default=4096, metavar="BYTES", help="of a record (default %(default)s)")
    group.add_argument("--topic-size-keys", type=positive, default=20_000, metavar="N", help="in all (default %(default)s)")
    group.add_argument("--topic-size-partitions", type=positive, default=6, metavar="N", help="(default %(default)s)")
    group.add_argument("--topic-size-replicas", type=positive, default=1, metavar="N", help="(default %(default)s)")
    group.add_argument("--topic-size-memory", default="256MiB", help="memory.max_memory (default %(default)s)")


CASE = Case("topic-size", "memory of nodes with a topic that is much larger: written, read, compacted", measure, rounds=1,
            add_options=add_options)
