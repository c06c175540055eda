"""Topics that are given more partitions while clients use them: CreatePartitions, EVEN.TOPIC ALTER, `even topic alter`."""

import json
import subprocess

import pytest
import redis
from even_cluster import BIN, HOST, Cluster, until

kafka = pytest.importorskip("confluent_kafka")
import confluent_kafka.admin  # noqa: E402, F401

from test_emit import Writer, create_strong, drained  # noqa: E402
from test_feeds import admin, create_keyspace, follows  # noqa: E402
from test_topics import Produced, consume, create, leader_of, partition_at, servers  # noqa: E402

UNKNOWN_TOPIC, UNSUPPORTED_VERSION, INVALID_PARTITIONS, INVALID_ASSIGNMENT, INVALID_REQUEST = 3, 35, 37, 39, 42


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path, partitions=16)
    cluster.start()
    linked(cluster)
    yield cluster
    cluster.kill()


def linked(cluster):
    """All nodes have heard from one another."""
    until("links", lambda: all(peer["link"] == "up" for node in cluster.running for peer in node.status()["peers"]))


def partitions_of(node, topic):
    with node.client() as client:
        info = client.execute_command("EVEN.TOPIC", "INFO", topic)
    return dict(zip(info[::2], info[1::2]))["partitions"]


def known_by_all(cluster, topic, partitions):
    """All nodes serve by it, and each partition has a leader."""
    until(f"{partitions} partitions", lambda: all(partitions_of(node, topic) == partitions for node in cluster.running))
    for partition in range(partitions):
        leader_of(cluster, topic, partition)


def grow(client, topic, number, validate_only=False, **options):
    """The error that is answered; 0: none."""
    wanted = kafka.admin.NewPartitions(topic, number, **options)
    future = client.create_partitions([wanted], operation_timeout=30, validate_only=validate_only)[topic]
    try:
        future.result(60)
        return 0
    except kafka.KafkaException as error:
        return error.args[0].code()


def test_partitions_are_given_once_all_nodes_have_said_that_they_know_of_them(cluster):
    """One of an earlier version would execute the change differently."""
    create(cluster, "t", 1)
    leader_of(cluster, "t")
    cluster["n3"].kill9()
    for name in ("n1", "n2"):
        cluster[name].stop()
        cluster[name].start()
    leader_of(cluster, "t")
    with cluster["n1"].client() as redis_client:
        with pytest.raises(redis.ResponseError, match="^UNAVAILABLE nothing was done: .* n3 has not said so"):
            redis_client.execute_command("EVEN.TOPIC", "ALTER", "t", "PARTITIONS", 2)
        redis_client.execute_command("EVEN.TOPIC", "ALTER", "t", "RETENTION", 60_000)
    client = kafka.admin.AdminClient({"bootstrap.servers": servers(cluster)})
    assert grow(client, "t", 2) == UNSUPPORTED_VERSION
    cluster["n3"].start()
    linked(cluster)
    assert grow(client, "t", 2) == 0
    known_by_all(cluster, "t", 2)


def test_a_topic_is_given_partitions_and_clients_see_them(cluster):
    create(cluster, "t", 2)
    create(cluster, "beside", 1)  # so that ids of partitions are not in a row
    for partition in range(2):
        leader_of(cluster, "t", partition)
    options = {"topic.metadata.refresh.interval.ms": 300}
    produced = Produced(cluster, **options, partitioner="murmur2")
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "g", "auto.offset.reset": "earliest",
                               "enable.auto.commit": False, **options})
    consumer.subscribe(["t"])
    seen = {}

    def take(count):
        def some():
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                # When partitions are shared out anew it begins anew, as it commits nothing.
                value = message.value().decode()
                assert seen.setdefault((message.partition(), message.offset()), value) == value
            return len(seen) >= count
        until(f"{count} records", some, 60, 0)

    def send(first, count):
        for number in range(first, first + count):
            produced.send("t", f"v{number}", key=f"k{number}")
        produced.flush()
        return {produced.offsets[f"v{number}"][0] for number in range(first, first + count)}
    assert send(0, 50) == {0, 1}
    take(50)

    client = kafka.admin.AdminClient({"bootstrap.servers": servers(cluster)})
    assert grow(client, "t", 1) == INVALID_PARTITIONS
    assert grow(client, "t", 2) == INVALID_PARTITIONS
    assert grow(client, "t", 100_000) == INVALID_PARTITIONS
    assert grow(client, "u", 3) == UNKNOWN_TOPIC
    assert grow(client, "t/1", 3) == UNKNOWN_TOPIC
    assert grow(client, "t", 3, replica_assignment=[[1, 2]]) == INVALID_ASSIGNMENT
    assert grow(client, "t", 3, validate_only=True) == 0
    assert partitions_of(cluster["n1"], "t") == 2
    assert grow(client, "t", 3) == 0
    known_by_all(cluster, "t", 3)
    with cluster["n2"].client() as redis_client:
        for wrong in ("2", "3", "x", "0"):
            with pytest.raises(redis.ResponseError):
                redis_client.execute_command("EVEN.TOPIC", "ALTER", "t", "PARTITIONS", wrong)
        assert redis_client.execute_command("EVEN.TOPIC", "ALTER", "t", "PARTITIONS", "5", "RETENTION", "86400000") == "OK"
        known_by_all(cluster, "t", 5)
        assert redis_client.execute_command("EVEN.TOPIC", "LIST") == ["beside", "t"]
        with pytest.raises(redis.ResponseError, match="0 to 4"):
            redis_client.execute_command("EVEN.FETCH", "t", 5, 0)
    nodes = [option for node in cluster for option in ("--node", f"{HOST}:{node.port}")]
    outcome = subprocess.run([BIN / "even", "topic", "alter", "t", "--partitions", "6", *nodes], capture_output=True,
                             text=True, timeout=60)
    assert (outcome.returncode, outcome.stdout) == (0, "topic t altered\n"), outcome.stderr
    outcome = subprocess.run([BIN / "even", "topic", "alter", "t", "--partitions", "4", *nodes], capture_output=True,
                             text=True, timeout=60)
    assert outcome.returncode == 1 and "can be given more" in outcome.stderr
    known_by_all(cluster, "t", 6)
    listed = client.list_topics(timeout=20).topics
    assert sorted(listed) == ["beside", "t"] and sorted(listed["t"].partitions) == list(range(6))

    # Who produces, and who consumes, goes on with all of them.
    number = 50

    def all_used():
        nonlocal number
        number += 50
        return send(number - 50, 50) == set(range(6))
    until("records in all", all_used, 60)
    take(number)
    assert sorted(seen.values()) == sorted(f"v{i}" for i in range(number))
    consumer.close()
    for node in cluster:
        node.kill9()
    cluster.start()
    known_by_all(cluster, "t", 6)
    assert sum(len(consume(cluster, "t", partition)) for partition in range(6)) == number
    # It goes as a whole.
    its = {partition_at(cluster["n3"], "t", partition)["group"] for partition in range(6)}
    assert len(its) == 6 and its <= groups(cluster["n3"])
    with cluster["n3"].client() as redis_client:
        assert redis_client.execute_command("EVEN.TOPIC", "DROP", "t") == "OK"
        assert redis_client.execute_command("EVEN.TOPIC", "LIST") == ["beside"]
    until("no group of it", lambda: not any(groups(node) & its for node in cluster))


def groups(node):
    """The groups that it is a member of, by their ids."""
    with node.client() as client:
        return {dict(zip(row[::2], row[1::2]))["group"] for row in client.execute_command("EVEN.GROUPS")}


@pytest.mark.parametrize("prefix", ["o:", "e:"])
def test_each_change_has_its_event_once_while_its_topic_grows(cluster, prefix):
    """The number of partitions changes between an event and its relay, and between two attempts to relay it."""
    create(cluster, "t", 2)
    create_strong(cluster)
    writers = [Writer(cluster, f"w{i}", prefix, keys=20) for i in range(3)]

    def done():
        return sum(len(writer.done) for writer in writers)

    def some_more(count=150):
        before = done()
        until("some transactions", lambda: done() > before + count, 60)
    partitions = 2
    for node in cluster.nodes:
        some_more()
        node.kill9()
        some_more()
        partitions += 3
        admin(cluster, "EVEN.TOPIC", "ALTER", "t", "PARTITIONS", partitions)
        some_more()
        node.start()
    for writer in writers:
        writer.stop()
    known_by_all(cluster, "t", partitions)
    drained(cluster)
    events = {}
    used = set()
    for partition in range(partitions):
        for _, value in consume(cluster, "t", partition):
            key, _, rest = value.partition("=")
            number, _, _ = rest.partition("@")
            events.setdefault(key, []).append((partition, int(number)))
            used.add(partition)
    assert used == set(range(partitions))
    with cluster["n1"].client() as client:
        for writer in writers:
            for key in writer.tried:
                changes = [int(number) for number in client.lrange(key, 0, -1)]
                numbers = [number for _, number in events[key]]
                assert len(set(numbers)) == len(numbers), f"an event of {key} is there twice"
                assert set(numbers) == set(changes), f"events of {key} are not its changes"
                if prefix == "o:":
                    for partition in used:
                        here = [number for at, number in events[key] if at == partition]
                        assert here == [number for number in changes if number in here]
            for key, number in writer.done:
                assert number in [each for _, each in events[key]], f"{key}={number} was acknowledged"


@pytest.mark.parametrize("mode", ["STRONG", "EVENTUAL"])
def test_a_feed_keeps_to_its_partitions_until_it_begins_anew(cluster, mode):
    create(cluster, "changes", 1)
    leader_of(cluster, "changes")
    create_keyspace(cluster, mode, "FEED", "changes")
    follows(cluster)

    def write(value):
        with cluster["n2"].client() as client:
            for number in range(40):
                client.set(f"s:{number}", value)
        drained(cluster)

    def told(partition):
        return [json.loads(value)["after"]["value"] for _, value in consume(cluster, "changes", partition)]
    write("one")
    admin(cluster, "EVEN.TOPIC", "ALTER", "changes", "PARTITIONS", 4)
    known_by_all(cluster, "changes", 4)
    write("two")
    assert sorted(told(0)) == ["one"] * 40 + ["two"] * 40
    admin(cluster, "EVEN.KEYSPACE", "ALTER", "shop", "FEED", "changes")
    follows(cluster)
    with cluster["n1"].client() as client:
        info = client.execute_command("EVEN.KEYSPACE", "INFO", "shop")
        assert dict(zip(info[::2], info[1::2]))["feed"] == "changes"
    write("three")
    everything = [told(partition) for partition in range(4)]
    assert sorted(value for values in everything for value in values) == ["one"] * 40 + ["three"] * 40 + ["two"] * 40
    assert all("three" in values for values in everything)
