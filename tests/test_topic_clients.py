"""Clients of topics, unmodified, on three nodes of which the leader of a partition is killed: Java's kafka-clients and Kafka
Streams, franz-go, and kafka-python.

Their programs are those of tests/clients. Each runs in a process of its own, and ends when its standard input does.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from even_cluster import PATIENCE, ROOT, Cluster, until

kafka = pytest.importorskip("confluent_kafka")

from test_topic_transactions import read, settled  # noqa: E402
from test_topics import consume, coordinator_of, create, leader_of, servers  # noqa: E402

CLIENTS = ROOT / "tests/clients"
BUILT = ROOT / "build/clients"
ALL = ["java", "franz-go", "kafka-python"]
WORDS = "apple pear plum fig".split()
# How often the application of Kafka Streams is killed, and after it a node.
KILLS = int(os.environ.get("EVEN_STREAMS_KILLS", "2"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """One for all scenarios: whatever a scenario kills it starts again."""
    cluster = Cluster(tmp_path_factory.mktemp("java"))
    cluster.start()
    yield cluster
    cluster.kill()


def command_of(client, what):
    """How a program is started."""
    if client == "java":
        assert shutil.which("java") and (BUILT / "java/classes/even").is_dir(), "./dev setup installs what this needs"
        # Little memory and no optimizing compiler: it runs for seconds, beside other tests.
        return ["java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", f"{BUILT}/java/classes:{BUILT}/java/lib/*",
                f"even.{what.capitalize()}"]
    if client == "franz-go":
        if not (BUILT / "franz-go").exists():
            pytest.skip("franz-go needs a newer Go than there is here: see tests/clients/franz-go/go.mod")
        return [BUILT / "franz-go", what]
    assert (BUILT / "python/kafka").is_dir(), "./dev setup installs what this needs"
    return [sys.executable, CLIENTS / "python_topics.py", what]


class Program:
    """A program of a client, and the lines that it has written."""

    def __init__(self, directory, name, client, what, *arguments):
        self.name = name
        self.timed = []  # lines, and when each was read
        self.log = directory / f"{name}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command_of(client, what), *map(str, arguments)], env={**os.environ, "PYTHONPATH": f"{BUILT}/python"},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.timed.append((time.monotonic(), line.rstrip()))

    @property
    def lines(self):
        return [line for _, line in list(self.timed)]

    def said(self, what):
        """The words behind `what` of the lines that begin with it."""
        return [line.split()[1:] for line in self.lines if line.split()[0] == what]

    def wait(self, what, condition, seconds=60, interval=0.01):
        def lives():
            value = condition()
            assert value or self.process.poll() is None, f"{self.name} has ended: {self.tail()}"
            return value
        return until(lambda: f"{self.name}: {what}: {self.tail()}", lives, seconds, interval)

    def end(self, seconds=90):
        """Asks it to end, which it does in good order."""
        self.process.stdin.close()
        try:
            code = self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            time.sleep(1)
            raise AssertionError(f"{self.name} does not end: {self.tail()}") from None
        self.reader.join()
        assert code == 0, f"{self.name} ended with {code}: {self.tail()}"

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def tail(self):
        return "\n".join([*self.lines[-10:], *self.log.read_text(errors="replace").splitlines()[-60:]])


@pytest.fixture
def program(tmp_path):
    programs = []

    def start(name, client, what, *arguments):
        programs.append(Program(tmp_path, name, client, what, *arguments))
        return programs[-1]
    yield start
    for each in programs:
        each.kill9()


def kill_leader(cluster, topic, partition=0):
    """Kills the leader of a partition, and starts it again when another one leads."""
    leader = leader_of(cluster, topic, partition)
    leader.kill9()
    leader_of(cluster, topic, partition)
    leader.start()


def some_more(producer, records=1500):
    """Waits until so many more are acknowledged."""
    before = len(producer.said("acknowledged"))
    producer.wait("more acknowledged", lambda: len(producer.said("acknowledged")) >= before + records // 500)


@pytest.mark.parametrize("client", ALL)
def test_no_record_of_a_producer_is_lost_or_there_twice(cluster, program, client):
    topic = f"{client}-produced"
    create(cluster, topic, 2)
    producer = program("producer", client, "produce", topic, 2, f"bootstrap.servers={servers(cluster)}")
    some_more(producer)
    kill_leader(cluster, topic)
    some_more(producer)
    producer.end()
    sent = int(producer.said("sent")[0][0])
    for partition in range(2):
        values = [value for _, value in consume(cluster, topic, partition)]
        assert values == [str(number) for number in range(partition, sent, 2)]


def test_transactions_are_read_as_a_whole_or_not_at_all(cluster, program):
    create(cluster, "transacted", 2)
    producer = program("producer", "java", "produce", "transacted", 2, f"bootstrap.servers={servers(cluster)}",
                       "transactional.id=java")
    reader = program("reader", "java", "member", "transacted", f"bootstrap.servers={servers(cluster)}", "group.id=java-reader",
                     "isolation.level=read_committed")
    some_more(producer)
    kill_leader(cluster, "transacted")
    some_more(producer)
    producer.end()
    sent = int(producer.said("sent")[0][0])
    assert sent % 20 == 0
    wanted = [[str(number) for number in range(partition, sent, 2) if number // 20 % 3 != 1] for partition in range(2)]
    # The markers of a transaction follow its decision.
    for partition in range(2):
        until("the last transaction", lambda at=partition: read(cluster, "transacted", at) == wanted[at])
    reader.wait("the last records", lambda: all(
        [str(partition), wanted[partition][-1]] in [[at, value] for at, _, value in reader.said("record")]
        for partition in range(2)))
    reader.end()
    for partition in range(2):
        offsets = {int(offset): value for at, offset, value in reader.said("record") if at == str(partition)}
        assert [offsets[offset] for offset in sorted(offsets)] == wanted[partition]


def check_delivery(members, sent):
    """Each record has come to some member, and to none after it was committed."""
    committed, came = {}, {}
    for _, name, line in sorted((at, member.name, line) for member in members for at, line in member.timed):
        what, *words = line.split()
        if what == "committed":
            partition, offset = map(int, words)
            committed[partition] = max(committed.get(partition, 0), offset)
        elif what == "record":
            partition, offset, value = map(int, words)
            assert value % 2 == partition
            assert offset >= committed.get(partition, 0), f"{name} was given {line} after it had been committed"
            assert came.setdefault((partition, offset), value) == value
    assert sorted(came.values()) == list(range(sent))


@pytest.mark.parametrize("client", ALL)
def test_a_member_that_dies_is_replaced_by_the_other_one(cluster, program, client):
    topic = group = f"{client}-shared"
    create(cluster, topic, 2)
    settled(cluster, group)
    settings = [f"bootstrap.servers={servers(cluster)}", f"group.id={group}"]
    if client == "java":
        # The others share out as their clients do by default: franz-go so as well, kafka-python by ranges.
        settings.append("partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor")
    members = [program(f"member-{number}", client, "member", topic, *settings) for number in range(2)]
    for member in members:
        member.wait("one partition", lambda: [len(each) for each in member.said("has")][-1:] == [1])
    producer = program("producer", client, "produce", topic, 2, f"bootstrap.servers={servers(cluster)}")
    some_more(producer)
    kill_leader(cluster, topic)
    some_more(producer)
    members[1].wait("something committed", lambda: members[1].said("committed"))
    members[1].kill9()
    some_more(producer)
    producer.end()
    sent = int(producer.said("sent")[0][0])
    members[0].wait("both partitions", lambda: members[0].said("has")[-1] == ["0", "1"])

    def all_came():
        return len({tuple(record[:2]) for member in members for record in member.said("record")}) >= sent
    members[0].wait("all records", all_came)
    members[0].end()
    check_delivery(members, sent)


def test_a_static_member_that_comes_back_has_what_it_had(cluster, program):
    create(cluster, "static", 2)
    settled(cluster, "java-static")

    def member(number, name):
        return program(name, "java", "member", "static", f"bootstrap.servers={servers(cluster)}", "group.id=java-static",
                       "session.timeout.ms=60000", f"group.instance.id=i{number}")
    members = [member(number, f"member-{number}") for number in range(2)]
    for each in members:
        each.wait("one partition", lambda: [len(words) for words in each.said("has")][-1:] == [1])
    producer = program("producer", "java", "produce", "static", 2, f"bootstrap.servers={servers(cluster)}")
    members[1].wait("something committed", lambda: members[1].said("committed"))
    members[1].kill9()
    def told():
        return [members[0].said(what) for what in ("has", "revoked", "lost")]
    before = told()  # the other one may have come when it had all
    members.append(member(1, "member-1-again"))
    members[2].wait("its partition", lambda: members[2].said("has") == members[1].said("has")[-1:])
    assert told() == before
    # The other one's records as well, though their leader dies.
    some_more(producer)
    kill_leader(cluster, "static", int(before[0][-1][0]))
    some_more(producer)
    producer.end()
    sent = int(producer.said("sent")[0][0])
    members[2].wait("all records", lambda: len(
        {tuple(record[:2]) for each in members for record in each.said("record")}) >= sent)
    members[0].end()
    members[2].end()
    check_delivery(members, sent)


def runs(values):
    """The numbers that were squared, as "first..last" where each is the next of its partition."""
    out = []
    for number in (int(value.split()[0]) for value in values):
        if out and number == out[-1][1] + 2:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ", ".join(f"{first}..{last}" for first, last in out)


def account(cluster, target, partition, values, workers):
    """Of output that is wrong: what is there, and what those who wrote it have to say."""
    lines = [f"partition {partition}, committed: {runs(values)}",
             f"now: {runs(read(cluster, target, partition))}",
             f"uncommitted too: {runs(read(cluster, target, partition, 'read_uncommitted'))}"]
    for worker in workers:
        lines += [f"-- {worker.name}", ", ".join(worker.lines), *worker.log.read_text(errors="replace").splitlines()[-400:]]
    return "\n".join(lines)


@pytest.mark.parametrize("client", ALL)
def test_what_is_transformed_in_transactions_comes_out_once(cluster, program, client):
    source, target, group = f"{client}-numbers", f"{client}-squares", f"{client}-transform"
    create(cluster, source, 2)
    create(cluster, target, 2)
    settled(cluster, group)
    producer = program("producer", client, "produce", source, 2, f"bootstrap.servers={servers(cluster)}")
    arguments = [servers(cluster), group, source, target]
    workers = [program(f"worker-{number}", client, "transform", *arguments, f"{client}-{number}") for number in range(2)]
    for worker in workers:
        worker.wait("a transaction", lambda: worker.said("committed"))
    kill_leader(cluster, target)
    some_more(producer)
    workers[0].kill9()
    workers.append(program("worker-0-again", client, "transform", *arguments, f"{client}-0"))
    # While partitions are shared out anew, the node dies that coordinates it.
    coordinator = coordinator_of(cluster, group)
    coordinator.kill9()
    some_more(producer)
    coordinator.start()
    kill_leader(cluster, source, 1)
    some_more(producer)
    producer.end()
    sent = int(producer.said("sent")[0][0])

    def transformed():
        return sum(int(count) for worker in workers for count, in worker.said("committed"))
    # What the one that was killed has committed it may not have said.
    workers[1].wait(lambda: f"{transformed()} of {sent}", lambda: transformed() >= sent - 100, 120)
    for partition in range(2):
        wanted = [f"{number} {number * number}" for number in range(partition, sent, 2)]
        values = until("the last transaction", lambda: len(got := read(cluster, target, partition)) >= len(wanted) and got,
                       60)
        if values != wanted:
            pytest.fail(account(cluster, target, partition, values, workers))
    for worker in workers[1:]:
        worker.end()


def test_administration(cluster, program):
    create(cluster, "watched", 2)
    producer = program("producer", "java", "produce", "watched", 2, f"bootstrap.servers={servers(cluster)}")
    member = program("member", "java", "member", "watched", f"bootstrap.servers={servers(cluster)}", "group.id=java-watched",
                     "client.id=member")
    some_more(producer)
    producer.end()
    member.wait("both partitions", lambda: member.said("has")[-1:] == [["0", "1"]])
    administrator = program("administrator", "java", "administer", servers(cluster), "java-watched", "watched")
    administrator.wait("its first half", lambda: "kill" in administrator.lines)
    kill_leader(cluster, "watched")
    administrator.end()
    assert administrator.lines[-1] == "done"
    member.end()


def test_streams_count_each_word_once(cluster, program, tmp_path):
    """A word's counts are 1, 2, 3, ... in this order, each once, at read_committed."""
    create(cluster, "lines", 2)
    create(cluster, "counts", 2)
    settled(cluster, "java-count")
    runs = 0

    def start():
        nonlocal runs
        runs += 1
        return program(f"count-{runs}", "java", "count", "lines", "counts", f"bootstrap.servers={servers(cluster)}",
                       "application.id=java-count", f"state.dir={tmp_path / 'state'}", "replication.factor=3")
    chance = random.Random(1)
    producer = kafka.Producer({"bootstrap.servers": servers(cluster), "enable.idempotence": True})
    sent = dict.fromkeys(WORDS, 0)

    def send(count):
        for _ in range(count):
            line = chance.choices(WORDS, k=3)
            for word in line:
                sent[word] += 1
            producer.produce("lines", " ".join(line), partition=chance.randrange(2))
        assert producer.flush(60) == 0

    def counts():
        """What has come out, of each word in its order."""
        found = {word: [] for word in WORDS}
        for partition in range(2):
            for word, count in keyed(cluster, "counts", partition):
                found[word].append(int(count))
        return found

    def counted(atleast):
        return lambda: sum(len(each) for each in counts().values()) >= atleast
    application = start()
    send(500)
    application.wait("something is counted", counted(100), 120, 0.5)
    topics = ["counts", "java-count-counts-changelog", "lines", "java-count-counts-repartition"]
    for kill in range(KILLS):
        send(500)
        application.kill9()
        if kill % 2 == 1:
            # Without what it had on disk: it restores its state from the changelog topic.
            shutil.rmtree(tmp_path / "state")
        application = start()
        send(500)
        application.wait("it goes on", lambda: ["RUNNING"] in application.said("state"), 120)
        kill_leader(cluster, topics[kill % len(topics)], kill // len(topics) % 2)
    send(500)
    application.wait("all is counted", counted(sum(sent.values())), 120, 0.5)
    application.end()
    assert counts() == {word: list(range(1, sent[word] + 1)) for word in WORDS}


def keyed(cluster, topic, partition):
    """All committed records of a partition as (key, value)."""
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none", "enable.auto.commit": False,
                               "isolation.level": "read_committed", "enable.partition.eof": True})
    found = []
    deadline = time.monotonic() + 60 * PATIENCE
    try:
        consumer.assign([kafka.TopicPartition(topic, partition, kafka.OFFSET_BEGINNING)])
        while time.monotonic() < deadline:
            message = consumer.poll(5)
            if message is None:
                continue
            if message.error() is None:
                found.append((message.key().decode(), message.value().decode()))
            elif message.error().code() == kafka.KafkaError._PARTITION_EOF:
                return found
        raise AssertionError(f"{topic}/{partition} has no end")
    finally:
        consumer.close()
