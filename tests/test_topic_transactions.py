"""Transactions of Kafka's protocol as librdkafka uses them, on three nodes: see docs/topic-transactions.md."""

import os
import random
import struct
import subprocess
import sys
import threading
import time

import pytest
from even_cluster import Cluster, until

kafka = pytest.importorskip("confluent_kafka")

from test_topics import create, exchange, leader_of, request, servers  # noqa: E402

# Seconds for which the consume-transform-produce loop is disturbed; the acceptance is 600.
SECONDS = int(os.environ.get("EVEN_TRANSACTIONS_SECONDS", "20"))


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.start()
    yield cluster
    cluster.kill()


def transactional(cluster, name="tx", timeout_ms=60000):
    producer = kafka.Producer({"bootstrap.servers": servers(cluster), "transactional.id": name,
                               "transaction.timeout.ms": timeout_ms, "linger.ms": 1})
    producer.init_transactions(60)
    return producer


def retried(what, *arguments):
    """Calls it until it succeeds, as long as librdkafka says that it may be called again."""
    deadline = time.monotonic() + 90
    while True:
        try:
            return what(*arguments)
        except kafka.KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise


def commit(producer):
    retried(producer.commit_transaction, 30)


def abort(producer):
    retried(producer.abort_transaction, 30)


def read(cluster, topic, partition=0, isolation="read_committed"):
    """All values of a partition, up to the end that there is at this level."""
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none", "enable.auto.commit": False,
                               "isolation.level": isolation, "enable.partition.eof": True,
                               "auto.offset.reset": "earliest"})
    at = kafka.TopicPartition(topic, partition, kafka.OFFSET_BEGINNING)
    values = []
    deadline = time.monotonic() + 60
    try:
        consumer.assign([at])
        while True:
            message = consumer.poll(5)
            assert time.monotonic() < deadline, values
            if message is None:
                continue
            if message.error() is None:
                values.append(message.value().decode())
            elif message.error().code() == kafka.KafkaError._PARTITION_EOF:
                return values
            else:
                known = (kafka.KafkaError._TRANSPORT, kafka.KafkaError._ALL_BROKERS_DOWN,
                         kafka.KafkaError.UNKNOWN_TOPIC_OR_PART)
                assert message.error().retriable() or message.error().code() in known, message.error()
    finally:
        consumer.close()


def asked(node, frame):
    """Like exchange(); nothing if the node is gone."""
    try:
        return exchange(node, frame)
    except OSError:
        return []


def coordinator_of(cluster, name, key_type=1):
    """The node that coordinates a transactional id (1) or a consumer group (0)."""
    key = name.encode()
    def found():
        for node in cluster.running:
            answers = asked(node, request(10, 1, struct.pack(">h", len(key)) + key + struct.pack(">b", key_type)))
            if not answers:
                continue
            error, = struct.unpack(">h", answers[0][8:10])
            if error == 0:
                at = 10 + 2 + max(struct.unpack(">h", answers[0][10:12])[0], 0)
                node = cluster[f"n{struct.unpack('>i', answers[0][at:at + 4])[0]}"]
                if node.running:
                    return node
        return None
    return until(f"a coordinator of {name}", found, 60)


def settled(cluster, group):
    """Waits until a group has had the same coordinator for some seconds: leadership of its keyspace, which has just
    been created, may move to the preferred nodes, and members of the group then join anew."""
    found, since = None, time.monotonic()

    def same():
        nonlocal found, since
        now = coordinator_of(cluster, group, 0)
        if now is not found:
            found, since = now, time.monotonic()
        return time.monotonic() - since > 5
    until("the coordinator stays", same, 90)


def test_flushing_all_keys_takes_nothing_of_what_clients_of_topics_have_committed(cluster):
    create(cluster, "t")
    create(cluster, "in")
    redis = cluster["n1"].client()
    redis.execute_command("EVEN.KEYSPACE", "CREATE", "s", "PREFIX", "s:", "MODE", "STRONG")
    until("the keyspace serves", lambda: redis.set("s:k", "v"), 60)
    redis.set("e", "v")
    producer = transactional(cluster)
    done = kafka.TopicPartition("in", 0, 20)
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "g", "enable.auto.commit": False})
    producer.begin_transaction()
    producer.produce("t", "first", partition=0)
    # The first use of consumer groups: librdkafka would not ask for long enough where their coordinator is.
    producer.send_offsets_to_transaction([done], consumer.consumer_group_metadata(), 30)
    commit(producer)
    producer.begin_transaction()
    producer.produce("t", "second", partition=0)
    producer.flush(30)
    for command in ("FLUSHDB", "FLUSHALL"):
        assert redis.execute_command(command)
        kept = sorted(redis.scan_iter())
        assert kept == ["__consumer_groups:g", "__transactions:tx"]
        assert redis.dbsize() == 2 and sorted(redis.keys("*")) == kept and redis.randomkey() in kept
    assert redis.get("s:k") is None and redis.get("e") is None
    commit(producer)
    assert read(cluster, "t") == ["first", "second"]
    assert redis.hget("__consumer_groups:g", "in/0").startswith("20 ")
    consumer.close()


def test_a_row_is_written_by_transactions_only(cluster):
    """Without it nobody would end what a transaction has open, and readers would wait at it for ever."""
    create(cluster, "t")
    producer = transactional(cluster)
    producer.begin_transaction()
    producer.produce("t", "first", partition=0)
    producer.flush(30)
    redis = cluster["n1"].client(single_connection_client=True)
    row = "__transactions:tx"
    assert redis.strlen(row)
    for words in (("DEL", row), ("SET", row, "x"), ("EXPIRE", row, 1), ("EVAL", "return redis.call('DEL', KEYS[1])", 1, row)):
        with pytest.raises(Exception, match="by transactions of topics only"):
            redis.execute_command(*words)
    with redis.pipeline() as pipeline, pytest.raises(Exception, match="by transactions of topics only"):
        pipeline.delete(row).execute()
    for words in (["FORCE"], []):
        with pytest.raises(Exception, match="nobody would end the transactions"):
            redis.execute_command("EVEN.KEYSPACE", "DROP", "__transactions", *words)
    commit(producer)
    assert read(cluster, "t") == ["first"]


def test_what_is_committed_is_read_and_what_is_aborted_is_not(cluster):
    create(cluster, "t", 2)
    producer = transactional(cluster)
    for number in range(6):
        producer.begin_transaction()
        for i in range(10):
            producer.produce("t", f"{number}:{i}", partition=i % 2)
        if number % 3 == 1:
            producer.flush(30)
            abort(producer)
        else:
            commit(producer)
    for partition in range(2):
        expected = [f"{number}:{i}" for number in (0, 2, 3, 5) for i in range(partition, 10, 2)]
        assert read(cluster, "t", partition) == expected
        everything = [f"{number}:{i}" for number in range(6) for i in range(partition, 10, 2)]
        assert read(cluster, "t", partition, "read_uncommitted") == everything
    # It is there after a restart, from the store alone.
    cluster.stop()
    cluster.start()
    leader_of(cluster, "t")
    assert read(cluster, "t", 0) == [f"{number}:{i}" for number in (0, 2, 3, 5) for i in range(0, 10, 2)]


def test_nothing_behind_an_open_transaction_is_read(cluster):
    create(cluster, "t")
    one, two = transactional(cluster, "one"), transactional(cluster, "two")
    one.begin_transaction()
    one.produce("t", "one")
    one.flush(30)
    two.begin_transaction()
    two.produce("t", "two")
    commit(two)
    assert read(cluster, "t") == []
    assert read(cluster, "t", isolation="read_uncommitted") == ["one", "two"]
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "g", "auto.offset.reset": "earliest",
                               "isolation.level": "read_committed"})
    consumer.assign([kafka.TopicPartition("t", 0, 0)])
    assert consumer.poll(2) is None
    commit(one)  # which wakes who waits
    message = consumer.poll(30)
    assert message.value() == b"one"
    assert consumer.poll(30).value() == b"two"
    consumer.close()


def test_offsets_are_committed_with_the_records(cluster):
    create(cluster, "in")
    create(cluster, "out")
    settled(cluster, "g")
    plain = kafka.Producer({"bootstrap.servers": servers(cluster), "acks": "all"})
    for i in range(20):
        plain.produce("in", f"{i}")
    assert plain.flush(30) == 0
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "g", "enable.auto.commit": False,
                               "auto.offset.reset": "earliest"})
    consumer.subscribe(["in"])
    until("an assignment", lambda: consumer.poll(0.2) is not None or consumer.assignment(), 60)
    producer = transactional(cluster)

    def committed():
        at, = consumer.committed([kafka.TopicPartition("in", 0)], timeout=30)
        return at.offset

    def attempt(offset, end):
        producer.begin_transaction()
        producer.produce("out", f"up to {offset}")
        retried(producer.send_offsets_to_transaction, [kafka.TopicPartition("in", 0, offset)],
                consumer.consumer_group_metadata(), 30)
        end(producer)
    attempt(5, commit)
    assert committed() == 5
    attempt(9, abort)
    assert committed() == 5
    attempt(20, commit)
    assert committed() == 20
    assert read(cluster, "out") == ["up to 5", "up to 20"]
    consumer.close()


def test_who_asks_for_offsets_waits_while_some_are_pending(cluster):
    create(cluster, "in")
    settled(cluster, "g")
    producer = transactional(cluster)
    group = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "g", "enable.auto.commit": False})
    group.subscribe(["in"])
    until("an assignment", lambda: group.poll(0.2) is not None or group.assignment(), 60)
    producer.begin_transaction()
    retried(producer.send_offsets_to_transaction, [kafka.TopicPartition("in", 0, 7)],
            group.consumer_group_metadata(), 30)
    found = []
    asker = threading.Thread(
        target=lambda: found.append(group.committed([kafka.TopicPartition("in", 0)], timeout=60)[0].offset))
    asker.start()
    asker.join(2)
    assert not found, "what is pending may be committed yet"
    commit(producer)
    asker.join(60)
    assert found == [7]
    group.close()


def test_a_producer_that_was_followed_is_shut_out(cluster):
    create(cluster, "t")
    first = transactional(cluster)
    first.begin_transaction()
    first.produce("t", "of the first, open")
    first.flush(30)
    second = transactional(cluster)  # aborts what was open
    second.begin_transaction()
    second.produce("t", "of the second")
    commit(second)
    with pytest.raises(kafka.KafkaException) as refused:
        first.produce("t", "of the first, late")
        first.commit_transaction(30)
    assert refused.value.args[0].fatal(), refused.value
    assert refused.value.args[0].code() in (kafka.KafkaError._FENCED, kafka.KafkaError.INVALID_PRODUCER_EPOCH)
    assert read(cluster, "t") == ["of the second"]


def test_a_transaction_that_takes_too_long_is_aborted(cluster):
    create(cluster, "t")
    slow = transactional(cluster, timeout_ms=2000)
    slow.begin_transaction()
    slow.produce("t", "slow")
    slow.flush(30)
    other = transactional(cluster, "other")
    other.begin_transaction()
    other.produce("t", "other")
    commit(other)
    until("the slow one is over", lambda: read(cluster, "t") == ["other"], 60)
    with pytest.raises(kafka.KafkaException) as refused:
        commit(slow)
    assert not refused.value.args[0].retriable()
    assert read(cluster, "t") == ["other"]


# --- Requests as bytes

def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Raw:
    """Requests of a transactional id to its coordinator, and the errors that they are answered with."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.node = coordinator_of(cluster, name)

    def error(self, key, version, body, at):
        def answered():
            answers = asked(self.node, request(key, version, body))
            if not answers:
                self.node = coordinator_of(self.cluster, self.name)
                return None
            answer, = answers
            error, = struct.unpack(">h", answer[at:at + 2])
            # Not its coordinator (any more), or not all of it is known yet.
            if error in (14, 15, 16, 51):
                self.node = coordinator_of(self.cluster, self.name)
                return None
            return error, answer
        return until("an answer", answered, 60)

    def give_id(self, timeout_ms=60000):
        error, answer = self.error(22, 1, text(self.name) + struct.pack(">i", timeout_ms), 8)
        return error, *struct.unpack(">qh", answer[10:20])

    def add(self, producer, epoch, topic, partition=0, version=2):
        body = text(self.name) + struct.pack(">qh", producer, epoch)
        body += struct.pack(">i", 1) + text(topic) + struct.pack(">ii", 1, partition)
        return self.error(24, version, body, 4 + 4 + 4 + 2 + len(topic) + 4 + 4)[0]

    def add_offsets(self, producer, epoch, group, version=2):
        return self.error(25, version, text(self.name) + struct.pack(">qh", producer, epoch) + text(group), 8)[0]

    def end(self, producer, epoch, commit, version=2):
        return self.error(26, version, text(self.name) + struct.pack(">qh?", producer, epoch, commit), 8)[0]

    def offsets(self, producer, epoch, group, topic, offset):
        body = text(self.name) + text(group) + struct.pack(">qh", producer, epoch)
        body += struct.pack(">i", 1) + text(topic) + struct.pack(">iiqih", 1, 0, offset, -1, -1)
        at = 4 + 4 + 4 + 2 + len(topic) + 4 + 4

        def answered():
            answers = asked(coordinator_of(self.cluster, group, 0), request(28, 2, body))
            if not answers:
                return None
            answer, = answers
            error, = struct.unpack(">h", answer[at:at + 2])
            return None if error in (14, 15, 16, 51) else (error,)
        return until("an answer", answered, 60)[0]


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def batch(producer, epoch, sequence, value):
    """A transactional batch of one record."""
    record = b"\0\0\0" + varint(-1) + varint(len(value)) + value + b"\0"
    body = struct.pack(">hiqqqhii", 16, 0, 1000, 1000, producer, epoch, sequence, 1) + varint(len(record)) + record
    return struct.pack(">qii", 0, len(body) + 9, -1) + b"\x02" + struct.pack(">I", crc32c(body)) + body


def test_a_batch_has_to_belong_to_an_open_transaction(cluster):
    create(cluster, "t", 2)
    raw = Raw(cluster, "tx")
    error, producer, epoch = raw.give_id()
    assert error == 0

    def produce(records, partition=0, name="tx"):
        body = (text(name) if name else struct.pack(">h", -1)) + struct.pack(">hi", -1, 10000)
        body += struct.pack(">i", 1) + text("t") + struct.pack(">iii", 1, partition, len(records)) + records

        def answered():
            answers = asked(leader_of(cluster, "t", partition), request(0, 3, body))
            error = struct.unpack(">h", answers[0][4 + 4 + 3 + 4 + 4:][:2])[0] if answers else 6
            return None if error in (6, 7) else (error,)  # its leader has changed; it is not known
        return until("an answer", answered, 60)[0]
    one = batch(producer, epoch, 0, b"one")
    assert produce(one) == 48, "nothing was added"
    assert raw.add(producer, epoch, "t") == 0
    assert produce(one, 1) == 48, "another partition was added"
    assert produce(one, name=None) == 42  # INVALID_REQUEST: of no transactional id
    assert produce(one, name="other") == 49  # INVALID_PRODUCER_ID_MAPPING
    for _ in range(2):
        # Nor is it, once the row of the id is known.
        assert produce(batch(producer + 1000, epoch, 0, b"of nobody")) == 49
    assert produce(one) == 0
    assert produce(batch(producer + 1000, epoch, 0, b"of nobody")) == 49
    assert raw.end(producer, epoch, False) == 0
    assert produce(batch(producer, epoch, 1, b"late")) == 48, "it is over"
    assert raw.add(producer, epoch, "t") == 0
    assert produce(batch(producer, epoch, 1, b"two")) == 0
    assert produce(batch(producer, epoch, 2, b"three")) == 0
    assert raw.end(producer, epoch, True) == 0
    assert read(cluster, "t") == ["two", "three"]
    assert raw.give_id() == (0, producer, epoch + 1)
    assert produce(batch(producer, epoch, 3, b"of the former")) == 47  # INVALID_PRODUCER_EPOCH
    assert read(cluster, "t", isolation="read_uncommitted") == ["one", "two", "three"]


def test_errors_are_kafkas(cluster):
    create(cluster, "t")
    leader_of(cluster, "t")
    raw = Raw(cluster, "tx")
    assert raw.give_id(0)[0] == 50  # INVALID_TRANSACTION_TIMEOUT
    assert raw.give_id(900_001)[0] == 50
    error, producer, epoch = raw.give_id()
    assert (error, epoch) == (0, 0)
    assert raw.give_id() == (0, producer, 1)
    assert raw.add(producer, 0, "t") == 90  # PRODUCER_FENCED
    assert raw.add(producer, 0, "t", version=1) == 47  # INVALID_PRODUCER_EPOCH, where clients know no better
    assert raw.end(producer, 0, True) == 90
    assert raw.end(producer, 1, True) == 48  # INVALID_TXN_STATE: none is open
    assert raw.add(producer + 1, 1, "t") == 49  # INVALID_PRODUCER_ID_MAPPING
    assert raw.add(producer, 1, "u") == 3  # UNKNOWN_TOPIC_OR_PARTITION
    assert raw.add(producer, 1, "t", 7) == 3
    assert raw.end(producer, 1, True) == 48, "nothing was added"
    assert raw.add(producer, 1, "t") == 0
    assert raw.add(producer, 1, "t") == 0
    assert raw.offsets(producer, 1, "g", "t", 5) == 48, "the group was not added"
    assert raw.add_offsets(producer, 1, "g") == 0
    assert raw.add_offsets(producer, 0, "g") == 90
    assert raw.offsets(producer, 0, "g", "t", 5) == 47
    assert raw.offsets(producer + 1, 1, "g", "t", 5) == 49
    assert raw.offsets(producer, 1, "g", "u", 5) == 3
    assert raw.offsets(producer, 1, "g", "t", 5) == 0
    assert raw.end(producer, 1, True) == 0
    assert raw.end(producer, 1, True) == 0, "who has not heard the answer asks again"
    assert raw.end(producer, 1, False) == 48
    assert raw.offsets(producer, 1, "g", "t", 6) == 48, "late"
    with cluster.running[0].client() as client:
        assert client.hget("__consumer_groups:g", "t/0") == "5 -1 "
    # A transaction that is left open is aborted for who comes next; its offsets go with it.
    assert raw.add_offsets(producer, 1, "g") == 0
    assert raw.offsets(producer, 1, "g", "t", 9) == 0
    assert raw.give_id() == (0, producer, 3)
    assert raw.end(producer, 1, True) == 90
    with cluster.running[0].client() as client:
        assert client.hget("__consumer_groups:g", "t/0") == "5 -1 "


# --- Deaths

class Transactions:
    """One transactional producer that goes on whatever happens, and what has become of its transactions."""

    def __init__(self, cluster, partitions):
        self.cluster, self.partitions = cluster, partitions
        self.committed, self.aborted, self.unknown = [], [], []
        self.producer = None

    def one(self, name, is_to_commit):
        """Whether it came to an end as it was to."""
        decided = False
        try:
            if self.producer is None:
                self.producer = transactional(self.cluster)
            self.producer.begin_transaction()
            for partition in range(self.partitions):
                for i in range(3):
                    self.producer.produce("t", f"{name}:{i}", partition=partition)
            if is_to_commit:
                decided = True
                commit(self.producer)
                self.committed.append(name)
            else:
                self.producer.flush(30)
                abort(self.producer)
                self.aborted.append(name)
            return True
        except kafka.KafkaException as error:
            (self.unknown if decided else self.aborted).append(name)
            if error.args[0].txn_requires_abort():
                abort(self.producer)
                if decided:
                    self.unknown.remove(name)
                    self.aborted.append(name)
            else:
                self.producer = None  # fenced, perhaps; the next one shuts it out
            return False

    def check(self):
        seen = [read(self.cluster, "t", partition) for partition in range(self.partitions)]
        assert all(values == seen[0] for values in seen), "all of a transaction is there, or nothing, in its order"
        names = []
        for i in range(0, len(seen[0]), 3):
            name = seen[0][i].split(":")[0]
            assert seen[0][i:i + 3] == [f"{name}:{j}" for j in range(3)]
            names.append(name)
        assert len(set(names)) == len(names)
        assert set(self.committed) <= set(names) and not set(self.aborted) & set(names)
        assert set(names) <= set(self.committed) | set(self.unknown)


@pytest.mark.parametrize("victim", ["coordinator", "leader"])
def test_deaths_in_the_middle(cluster, victim):
    create(cluster, "t", 2)
    leader_of(cluster, "t", 1)
    run = Transactions(cluster, 2)
    number = 0
    for _ in range(3):
        for _ in range(5):
            run.one(f"{number}", number % 4 != 3)
            number += 1
        node = coordinator_of(cluster, "tx") if victim == "coordinator" else leader_of(cluster, "t", 1)
        killer = threading.Timer(random.random() * 0.05, node.kill9)
        killer.start()
        for _ in range(5):
            run.one(f"{number}", number % 4 != 3)
            number += 1
        killer.join()
        node.start()
        until("all nodes answer", lambda: leader_of(cluster, "t", 0) and leader_of(cluster, "t", 1), 60)
    assert len(run.committed) > 5
    run.check()


def test_what_a_dead_coordinator_has_decided_is_carried_out(cluster):
    """EndTxn is asked for, and the coordinator killed at once: whether it has decided by then or not, the next one
    carries out what is asked for, and a transaction of another producer is not in the way."""
    create(cluster, "t")
    leader_of(cluster, "t")
    raw = Raw(cluster, "tx")
    _, producer, epoch = raw.give_id()
    assert raw.add(producer, epoch, "t") == 0
    first = transactional(cluster, "plain")
    first.begin_transaction()
    first.produce("t", "x")
    commit(first)
    with cluster.running[0].client() as client:
        rows = [key for key in client.scan_iter("__transactions:*")]
    assert sorted(rows) == ["__transactions:plain", "__transactions:tx"]
    coordinator = coordinator_of(cluster, "tx")
    answers = []

    def end():
        try:
            answers.append(raw.end(producer, epoch, True))
        except OSError as error:
            answers.append(error)
    asker = threading.Thread(target=end, daemon=True)
    asker.start()
    coordinator.kill9()
    asker.join(90)
    # Asked again at the next coordinator: it is committed by now, or it can be.
    raw.node = coordinator_of(cluster, "tx")
    assert raw.end(producer, epoch, True) == 0
    assert raw.give_id() == (0, producer, epoch + 1)
    assert read(cluster, "t") == ["x"]


def test_consume_transform_produce_is_exactly_once(cluster):
    """Workers and nodes are killed all the time; what comes out is what went in, each once, in its order."""
    from transform_client import transformed
    partitions = 4
    create(cluster, "in", partitions)
    create(cluster, "out", partitions)
    leader_of(cluster, "out", partitions - 1)
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    stopping = threading.Event()
    workers = {}
    log = open(cluster.dir / "transform_client.log", "wb")

    def supervise():
        while not stopping.is_set():
            for name in ("w1", "w2"):
                if name not in workers or workers[name].poll() is not None:
                    script = os.path.join(os.path.dirname(__file__), "transform_client.py")
                    workers[name] = subprocess.Popen([sys.executable, script, servers(cluster), name], stdout=log,
                                                     stderr=log)
            stopping.wait(0.2)
    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    plain = kafka.Producer({"bootstrap.servers": servers(cluster), "acks": "all", "enable.idempotence": True,
                            "message.timeout.ms": 120000})
    sent = [[] for _ in range(partitions)]
    failed = []
    number = 0
    end = time.monotonic() + SECONDS
    next_death = time.monotonic() + 5
    kills = {"node": 0, "worker": 0}
    down = None
    try:
        while time.monotonic() < end:
            for _ in range(10):
                partition = number % partitions
                plain.produce("in", f"{number}", partition=partition,
                              callback=lambda error, _: failed.append(error) if error else None)
                sent[partition].append(f"{number}")
                number += 1
            plain.poll(0)
            time.sleep(0.02)  # not more than the workers get through
            if time.monotonic() < next_death:
                continue
            next_death = time.monotonic() + 2 + 4 * chance.random()
            if down is not None:
                down.start()
                down = None
            elif chance.random() < 0.5:
                down = chance.choice(list(cluster))
                down.kill9()
                kills["node"] += 1
            else:
                name = chance.choice(["w1", "w2"])
                if name in workers:
                    workers[name].kill()
                    kills["worker"] += 1
        if down is not None:
            down.start()
        assert plain.flush(120) == 0 and not failed
        group = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "transform"})

        def committed():
            try:
                at = group.committed([kafka.TopicPartition("in", p) for p in range(partitions)], timeout=20)
            except kafka.KafkaException:
                return None
            return [each.offset for each in at]
        before = None
        while before != (wanted := [len(values) for values in sent]):
            print(f"committed {before} of {wanted}", flush=True)
            before = until("some more is transformed", lambda: (now := committed()) and now != before and now, 90)
        group.close()
    finally:
        stopping.set()
        supervisor.join()
        for worker in workers.values():
            worker.kill()
            worker.wait()
        log.close()
    print(f"{number} records, {kills}")
    for partition in range(partitions):
        values = until("the end of the last transaction",
                       lambda: len(got := read(cluster, "out", partition)) >= len(sent[partition]) and got, 60)
        assert values == [transformed(value) for value in sent[partition]], f"partition {partition}"
