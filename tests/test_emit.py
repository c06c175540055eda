"""Idempotent producers, and events that come with changes: EVEN.EMIT, alone and within MULTI."""

import os
import threading
import time

import pytest
import redis
from even_cluster import Cluster, until

kafka = pytest.importorskip("confluent_kafka")

from test_topics import Produced, consume, create, kcat, leader_of, servers  # noqa: E402

TRANSACTIONS = int(os.environ.get("EVEN_EMIT_TRANSACTIONS", "3600"))  # acknowledged ones, at least


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path, partitions=16)
    cluster.start()
    yield cluster
    cluster.kill()


def metric(node, name):
    code, body = node.http("/metrics")
    assert code == 200
    return sum(float(line.split()[-1]) for line in body.splitlines() if line.split("{")[0].split(" ")[0] == name)


def drained(cluster):
    """Nothing waits, in ten looks in a row: a node counts in its ticks what it is to relay, and only what has reached it."""
    def nothing():
        return sum(metric(node, "even_emit_waiting_events") for node in cluster.running) == 0
    until("nothing waits", lambda: all(time.sleep(0.1) or nothing() for _ in range(10)), 60)


def create_strong(cluster, name="orders", prefix="o:"):
    with cluster.running[0].client() as client:
        until("the keyspace", lambda: created(client, name, prefix))
    until("its leaders", lambda: all(works(node, prefix) for node in cluster.running), 30)


def created(client, name, prefix):
    try:
        return client.execute_command("EVEN.KEYSPACE", "CREATE", name, "PREFIX", prefix, "MODE", "STRONG",
                                      "PARTITIONS", 4)
    except redis.ResponseError as error:
        assert "TRYAGAIN" in str(error) or "PARTIAL" in str(error), error
        return "PARTIAL" in str(error)


def works(node, prefix):
    try:
        with node.client() as client:
            return all(client.get(f"{prefix}{i}") is None for i in range(20))
    except redis.RedisError:
        return False


# --- Idempotent producers

def test_an_idempotent_producer_has_each_record_there_once(cluster):
    create(cluster, "t")
    kcat(cluster, "-P", "-t", "t", "-X", "enable.idempotence=true", text="a\nb\nc\n")
    assert [value for _, value in consume(cluster, "t")] == ["a", "b", "c"]
    again = Produced(cluster, **{"enable.idempotence": True})
    again.send("t", "d")
    again.flush()
    assert [value for _, value in consume(cluster, "t")] == ["a", "b", "c", "d"]


def test_a_leaders_death_neither_loses_nor_repeats_records_of_idempotent_producers(cluster):
    create(cluster, "t")
    producers = [Produced(cluster, **{"enable.idempotence": True, "batch.num.messages": 50}) for _ in range(2)]
    number = 0

    def send(count):
        nonlocal number
        for _ in range(count):
            for index, produced in enumerate(producers):
                produced.send("t", f"{index}:{number}")
            number += 1
    for _ in range(3):
        send(2000)
        victim = leader_of(cluster, "t")
        victim.kill9()
        send(3000)
        for produced in producers:
            produced.flush()
        victim.start()
    for produced in producers:
        assert not produced.errors
    records = consume(cluster, "t")
    assert [offset for offset, _ in records] == list(range(len(records)))
    for index in range(len(producers)):
        own = [value for _, value in records if value.startswith(f"{index}:")]
        assert own == [f"{index}:{i}" for i in range(number)]


# --- EVEN.EMIT

def test_emit_alone_appends_and_says_where(cluster):
    create(cluster, "t", 3)
    for partition in range(3):
        leader_of(cluster, "t", partition)
    for node in cluster:
        with node.client() as client:
            places = [client.execute_command("EVEN.EMIT", "t", f"k{i}", f"v{i}") for i in range(10)]
            assert all(0 <= partition < 3 and offset >= 0 for partition, offset in places)
            with pytest.raises(redis.ResponseError, match="there is no topic 'u'"):
                client.execute_command("EVEN.EMIT", "u", "k", "v")
            with pytest.raises(redis.ResponseError, match="HEADER name value"):
                client.execute_command("EVEN.EMIT", "t", "k", "v", "HEADER", "h")
            with pytest.raises(redis.ResponseError, match="at most"):
                client.execute_command("EVEN.EMIT", "t", "k", "v" * 1_100_000)
    # The partition is the one that Kafka's Java client takes.
    produced = Produced(cluster, partitioner="murmur2")
    for i in range(10):
        produced.send("t", f"p{i}", key=f"k{i}")
    produced.flush()
    assert [produced.offsets[f"p{i}"][0] for i in range(10)] == [partition for partition, _ in places]
    with cluster["n1"].client() as client:
        client.execute_command("EVEN.EMIT", "t", "k0", "with", "HEADER", "a", "1", "HEADER", "b", "2")
    got = kcat(cluster, "-C", "-t", "t", "-e", "-q", "-f", "%k %s %h\n").splitlines()
    assert "k0 with a=1,b=2" in got
    assert len(got) == 41


@pytest.mark.parametrize("prefix", ["o:", "e:"])
def test_an_event_of_a_transaction_reaches_its_topic(cluster, prefix):
    create(cluster, "t")
    create_strong(cluster)
    with cluster["n2"].client() as client:
        with client.pipeline(transaction=True) as transaction:
            transaction.set(f"{prefix}1", "paid")
            transaction.execute_command("EVEN.EMIT", "t", "1", "paid", "HEADER", "by", "me")
            transaction.execute_command("EVEN.EMIT", "t", "1", "sent")
            replies = transaction.execute()
        assert replies[0] and replies[1:] == ["OK", "OK"]
        assert client.get(f"{prefix}1") == "paid"
        until("the events", lambda: [value for _, value in consume(cluster, "t")] == ["paid", "sent"])
        # The outbox is no key of anybody.
        assert client.keys("*") == [f"{prefix}1"]
        assert client.dbsize() == len(client.keys("*"))
        # A transaction with an event to a topic that there is not does nothing.
        with pytest.raises(redis.ResponseError, match="there is no topic 'u'"):
            with client.pipeline(transaction=True) as transaction:
                transaction.set(f"{prefix}1", "lost")
                transaction.execute_command("EVEN.EMIT", "u", "1", "lost")
                transaction.execute()
        assert client.get(f"{prefix}1") == "paid"
    got = kcat(cluster, "-C", "-t", "t", "-e", "-q", "-f", "%k %s %h\n").splitlines()
    assert got == ["1 paid by=me", "1 sent "]
    drained(cluster)
    assert sum(metric(node, "even_emit_relayed_events_total") for node in cluster) == 2


@pytest.mark.parametrize("prefix", ["o:", "e:"])
def test_a_transaction_may_hold_nothing_but_events(cluster, prefix):
    create(cluster, "t")
    create_strong(cluster)
    expected = []
    for node in cluster:
        with node.client() as client:
            for i in range(8):  # several partitions, and shards
                key = f"{prefix}{node}-{i}"
                with client.pipeline(transaction=True) as transaction:
                    transaction.execute_command("EVEN.EMIT", "t", key, key)
                    transaction.execute_command("EVEN.EMIT", "t", key, f"{key}+")
                    assert transaction.execute() == ["OK", "OK"]
                expected += [key, f"{key}+"]
            # What is watched leads as well, whatever the event's own key.
            with client.pipeline(transaction=True) as transaction:
                transaction.watch(f"{prefix}{node}")
                transaction.multi()
                transaction.execute_command("EVEN.EMIT", "t", "", f"watched by {node}")
                assert transaction.execute() == ["OK"]
            expected.append(f"watched by {node}")
    until("the events", lambda: sorted(value for _, value in consume(cluster, "t")) == sorted(expected))
    # Events of several groups are no transaction.
    with cluster["n1"].client() as client, pytest.raises(redis.ResponseError, match="CROSSGROUP"):
        with client.pipeline(transaction=True) as transaction:
            transaction.execute_command("EVEN.EMIT", "t", "o:1", "a")
            transaction.execute_command("EVEN.EMIT", "t", "e:1", "b")
            transaction.execute()


def test_events_wait_while_their_topic_has_no_leader_and_survive_a_flush(cluster):
    create(cluster, "t")
    with cluster["n1"].client() as client:
        leader_of(cluster, "t")
        cluster["n2"].kill9()
        cluster["n3"].kill9()
        with client.pipeline(transaction=True) as transaction:
            transaction.set("e:1", "a")
            transaction.execute_command("EVEN.EMIT", "t", "1", "a")
            transaction.execute()
        until("the event waits", lambda: metric(cluster["n1"], "even_emit_waiting_events") == 1)
        assert client.flushall()
        assert client.dbsize() == 0
        cluster["n1"].kill9()
        cluster.start()
        leader_of(cluster, "t")
        until("the event", lambda: [value for _, value in consume(cluster, "t")] == ["a"], 60)


class Writer:
    """Transactions of SET and EVEN.EMIT on keys of its own, one after the other, at whatever node answers."""

    def __init__(self, cluster, name, prefix, keys=5):
        self.cluster, self.name, self.prefix, self.keys = cluster, name, prefix, keys
        self.stopping = False
        self.tried = {}    # key -> numbers, in their order
        self.done = set()  # (key, number): acknowledged
        self.failed = set()  # (key, number): said not to have been done
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number = 0
        at = 0
        client = None
        while not self.stopping:
            node = self.cluster.nodes[at % len(self.cluster.nodes)]
            if client is None:
                client = node.client(socket_timeout=10)
            number += 1
            key = f"{self.prefix}{self.name}-{number % self.keys}"
            self.tried.setdefault(key, []).append(number)
            try:
                with client.pipeline(transaction=True) as transaction:
                    transaction.rpush(key, number)
                    transaction.execute_command("EVEN.EMIT", "t", key, f"{key}={number}@{node}")
                    transaction.execute()
                self.done.add((key, number))
            except redis.ResponseError as error:
                if "UNAVAILABLE" in str(error) or "OUTBOXFULL" in str(error) or "TRYAGAIN" in str(error):
                    self.failed.add((key, number))
                at += 1
                client = None
            except redis.RedisError:
                at += 1
                client = None

    def stop(self):
        self.stopping = True
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("prefix", ["o:", "e:"])
def test_each_change_has_its_event_once_whoever_dies(cluster, prefix):
    create(cluster, "t", 2)
    create_strong(cluster)
    writers = [Writer(cluster, f"w{i}", prefix) for i in range(3)]

    def done():
        return sum(len(writer.done) for writer in writers)
    lives = [*cluster.nodes, *cluster.nodes]
    part = TRANSACTIONS // (2 * len(lives))
    for node in lives:
        before = done()
        until("some transactions", lambda: done() > before + part, 60 + part / 20)
        node.kill9()
        before = done()
        until("some more without it", lambda: done() > before + part, 60 + part / 20)
        node.start()
    for writer in writers:
        writer.stop()
    assert done() > TRANSACTIONS

    drained(cluster)
    events = {}
    by_node = {}
    for partition in range(2):
        for _, value in consume(cluster, "t", partition):
            key, _, rest = value.partition("=")
            number, _, node = rest.partition("@")
            events.setdefault(key, []).append(int(number))
            by_node.setdefault((key, node), []).append(int(number))
    changes = {}
    with cluster["n1"].client() as client:
        for writer in writers:
            for key in writer.tried:
                changes[key] = [int(number) for number in client.lrange(key, 0, -1)]
    for key in changes:
        assert len(set(events[key])) == len(events[key]), f"an event of {key} is there twice"
        assert set(events[key]) == set(changes[key]), f"events of {key} are not its changes"
        if prefix == "o:":
            assert events[key] == changes[key]
    # What a node has not heard of before it makes a change of its own has no order with that.
    for (key, node), numbers in by_node.items():
        assert numbers == sorted(numbers), f"events of {key} at {node} are not in their order"
    for writer in writers:
        for key, number in writer.done:
            assert number in events[key], f"{key}={number} was acknowledged"
        for key, number in writer.failed:
            assert number not in events[key], f"{key}={number} was refused"
