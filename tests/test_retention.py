"""How much of topics stays, as unmodified clients of Kafka see it and as the disk does; on three nodes."""

import struct
import subprocess
import time

import pytest
import redis
from even_cluster import Cluster, connect, until
from test_topics import Produced, consume, exchange, leader_of, offsets_of, partition_at, request, servers, until_all_vote

kafka = pytest.importorskip("confluent_kafka")
from confluent_kafka import admin as kafka_admin  # noqa: E402

MIB = 1 << 20
KEPT = 4 * MIB
PRODUCED = 96 * MIB
RECORD = 16 << 10


@pytest.fixture
def cluster(tmp_path):
    # So that what is not needed any more goes soon.
    cluster = Cluster(tmp_path, options={"store.pass_bytes": "4MiB", "log.segment_bytes": "2MiB",
                                         "log.retain_bytes": "4MiB"})
    cluster.start()
    yield cluster
    cluster.kill()


def create(cluster, topic, *options):
    with cluster.running[0].client() as client:
        assert client.execute_command("EVEN.TOPIC", "CREATE", topic, *options)


def size(path):
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:  # it has just gone
        return 0


def bytes_on_disk(node):
    return sum(size(path) for path in node.data.rglob("*"))


def produce(cluster, first, count, **options):
    """Records whose values begin with their numbers."""
    produced = Produced(cluster, **options)
    for i in range(first, first + count):
        produced.send("t", f"{i} ".ljust(RECORD, "x"))
    produced.flush()
    assert not produced.errors


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def delete_records(node, offset, partition=0):
    """DeleteRecords of topic t: the start that there is then, and the error."""
    body = struct.pack(">i", 1) + text("t") + struct.pack(">iiqi", 1, partition, offset, 20000)
    answer, = exchange(node, request(21, 1, body))
    index, start, error = struct.unpack(">iqh", answer[-14:])
    assert index == partition
    return start, error


def incremental_alter(node, name, operation, value=None):
    """IncrementalAlterConfigs of topic t: the error."""
    body = struct.pack(">ib", 1, 2) + text("t") + struct.pack(">i", 1) + text(name) + struct.pack(">b", operation)
    answer, = exchange(node, request(44, 0, body + text(value) + struct.pack(">b", 0)))
    return struct.unpack(">h", answer[12:14])[0]


def check(cluster, end):
    """Each record from the start on is there; the start."""
    at = kafka.TopicPartition("t", 0)

    def settled():
        before = offsets_of(cluster, at)
        time.sleep(1)  # those at the front go no more
        return before if before is not None and before == offsets_of(cluster, at) else None
    first, last = until("the offsets rest", settled, 60)
    assert last == end
    records = consume(cluster, "t", start=first, end=end)
    assert [offset for offset, _ in records] == list(range(first, end))
    assert all(int(value.split()[0]) == offset for offset, value in records)
    return first


def test_disk_space_is_given_back_and_a_new_member_is_caught_up(cluster):
    create(cluster, "t", "BYTES", KEPT)
    leader_of(cluster, "t")
    count = PRODUCED // RECORD
    most = 0
    for step in range(16):
        produce(cluster, step * count // 16, count // 16)
        most = max(most, *(bytes_on_disk(node) for node in cluster))
    # 24 times what is kept has been written.
    assert most < PRODUCED * 2 // 3, f"{most >> 20} MiB were on disk"
    for node in cluster:
        until(lambda: f"{node} has {bytes_on_disk(node) >> 20} MiB", lambda: bytes_on_disk(node) < 10 * KEPT, 60)
    first = check(cluster, count)
    assert 0 < first < count
    assert KEPT <= (count - first) * RECORD * 1.01 < 3 * KEPT
    for node in cluster:
        until(f"{node} agrees", lambda: partition_at(node, "t")["start"] >= first)
        assert partition_at(node, "t")["bytes"] < 3 * KEPT

    leader = leader_of(cluster, "t")
    lost, other = [node for node in cluster if node is not leader]
    lost.kill9()
    subprocess.run(["rm", "-rf", lost.data], check=True)
    lost.data.mkdir()
    lost.start()
    until("all records at the node", lambda: (partition_at(lost, "t") or {"end": 0})["end"] == count, 60)
    assert partition_at(lost, "t")["start"] >= first

    until_all_vote(cluster)
    other.kill9()
    leader_of(cluster, "t")
    produce(cluster, count, 10)
    check(cluster, count + 10)
    # All of it again, from disks.
    cluster.stop()
    cluster.start()
    leader_of(cluster, "t")
    check(cluster, count + 10)


def test_records_go_by_age(cluster):
    create(cluster, "t", "RETENTION", 2000)
    leader_of(cluster, "t")
    produce(cluster, 0, 20)
    at = kafka.TopicPartition("t", 0)
    until("all have gone", lambda: offsets_of(cluster, at) == (20, 20), 60)
    produce(cluster, 20, 5)
    first, end = until("the offsets", lambda: offsets_of(cluster, at), 60)
    assert first >= 20 and end == 25


def test_admins_set_limits_and_delete_records(cluster):
    admin = kafka_admin.AdminClient({"bootstrap.servers": servers(cluster)})
    new = kafka_admin.NewTopic("t", 1, 3, config={"retention.ms": "86400000", "cleanup.policy": "delete"})
    admin.create_topics([new])["t"].result(30)
    resource = kafka_admin.ConfigResource(kafka_admin.ConfigResource.Type.TOPIC, "t")

    def configs():
        return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result(30).items()}
    told = configs()
    assert told["retention.ms"] == "86400000" and told["retention.bytes"] == "-1"
    assert told["cleanup.policy"] == "delete"
    assert incremental_alter(cluster["n1"], "retention.bytes", 0, "1000000") == 0
    told = configs()
    assert told["retention.ms"] == "86400000" and told["retention.bytes"] == "1000000"
    assert incremental_alter(cluster["n2"], "retention.ms", 1) == 0  # delete
    assert incremental_alter(cluster["n2"], "retention.ms", 2, "5") == 40  # append: INVALID_CONFIG
    assert incremental_alter(cluster["n2"], "cleanup.policy", 0, "squeeze") == 40
    told = configs()
    assert told["retention.ms"] == "-1" and told["retention.bytes"] == "1000000"
    whole = kafka_admin.ConfigResource(kafka_admin.ConfigResource.Type.TOPIC, "t",
                                       set_config={"retention.bytes": "-1"})
    admin.alter_configs([whole])[whole].result(30)
    told = configs()
    assert told["retention.ms"] == "-1" and told["retention.bytes"] == "-1"
    for name, value in (("cleanup.policy", "squeeze"), ("retention.ms", "x"), ("retention.ms", "-2")):
        bad = kafka_admin.ConfigResource(kafka_admin.ConfigResource.Type.TOPIC, "t", set_config={name: value})
        with pytest.raises(kafka.KafkaException, match="INVALID_CONFIG"):
            admin.alter_configs([bad])[bad].result(30)
    missing = kafka_admin.ConfigResource(kafka_admin.ConfigResource.Type.TOPIC, "u", set_config={})
    with pytest.raises(kafka.KafkaException, match="UNKNOWN_TOPIC_OR_PART"):
        admin.alter_configs([missing])[missing].result(30)

    leader_of(cluster, "t")
    produce(cluster, 0, 50)

    def delete(offset):
        return delete_records(leader_of(cluster, "t"), offset)
    assert delete(20) == (20, 0)
    assert check(cluster, 50) == 20
    assert delete(7) == (20, 0)  # never back
    assert delete(51) == (-1, 1)  # OFFSET_OUT_OF_RANGE
    assert delete_records(leader_of(cluster, "t"), 0, partition=1) == (-1, 3)  # UNKNOWN_TOPIC_OR_PARTITION
    other = next(node for node in cluster if node is not leader_of(cluster, "t"))
    assert delete_records(other, 30) == (-1, 6)  # NOT_LEADER_OR_FOLLOWER
    # Below the start a consumer is told so.
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none",
                               "auto.offset.reset": "error", "enable.auto.commit": False})
    consumer.assign([kafka.TopicPartition("t", 0, 19)])
    message = consumer.poll(30)
    assert message is not None and message.error() is not None
    assert message.error().code() in (kafka.KafkaError._AUTO_OFFSET_RESET, kafka.KafkaError.OFFSET_OUT_OF_RANGE)
    consumer.close()
    assert delete(-1) == (50, 0)  # all
    assert until("the offsets", lambda: offsets_of(cluster, kafka.TopicPartition("t", 0)), 60) == (50, 50)
    produce(cluster, 50, 3)
    check(cluster, 53)


def test_limits_of_redis_clients(cluster):
    create(cluster, "t", "RETENTION", 60000, "BYTES", 5000, "CLEANUP", "DELETE")
    with cluster["n2"].client() as client:
        def info():
            reply = client.execute_command("EVEN.TOPIC", "INFO", "t")
            return dict(zip(reply[::2], reply[1::2]))
        assert (info()["retention"], info()["bytes"]) == (60000, 5000)
        assert client.execute_command("EVEN.TOPIC", "ALTER", "t", "BYTES", -1)
        assert (info()["retention"], info()["bytes"]) == (60000, -1)
        for words, error in ((("ALTER", "t", "BYTES", "x"), "BYTES is a number"),
                             (("ALTER", "t", "REPLICAS", 2), "cannot be altered"),
                             (("ALTER", "t", "PARTITIONS", 1), "can be given more"),
                             (("ALTER", "u", "BYTES", 3), "no topic"),
                             (("CREATE", "u", "CLEANUP", "SOMETIMES"), "CLEANUP"),
                             (("CREATE", "u", "RETENTION", "-5"), "RETENTION is a number")):
            with pytest.raises(redis.ResponseError, match=error):
                client.execute_command("EVEN.TOPIC", *words)


def test_redis_clients_fetch_records(cluster):
    create(cluster, "t")
    leader_of(cluster, "t")
    with cluster["n1"].client() as client, cluster["n3"].client() as other:
        client.execute_command("EVEN.EMIT", "t", "k", "v", "HEADER", "h", "1")
        for i in range(1, 5):
            client.execute_command("EVEN.EMIT", "t", "", f"v{i}")

        def fetch(client, offset, *options):
            return client.execute_command("EVEN.FETCH", "t", 0, offset, *options)
        for each in (client, other):
            records = until("all records", lambda: len(found := fetch(each, 0)) == 5 and found)
            assert [record[0] for record in records] == [0, 1, 2, 3, 4]
            assert records[0][2:] == ["k", "v", ["h", "1"]] and records[4][2:] == [None, "v4", []]
            assert [record[3] for record in fetch(each, 2, "COUNT", 2)] == ["v2", "v3"]
            assert fetch(each, 5) == []
            assert fetch(each, 5, "BLOCK", 20) == []
        # One that waits is given what comes.
        connection, stream = connect(cluster["n3"])
        with connection:
            connection.sendall(b"EVEN.FETCH t 0 5 BLOCK 20000\r\n")
            client.execute_command("EVEN.EMIT", "t", "", "late")
            assert stream.readline() == b"*1\r\n"
        leader = leader_of(cluster, "t")
        with leader.client() as at_leader:
            with pytest.raises(redis.ResponseError, match="OFFSETOUTOFRANGE.*0 to before 6"):
                fetch(at_leader, 7)
        for words, error in (((1, 0), "has the partitions 0 to 0"), ((0, -1), "an offset is"),
                             ((0, 0, "COUNT", 0), "COUNT is a number"), ((0, 0, "FOO", 1), "syntax error")):
            with pytest.raises(redis.ResponseError, match=error):
                client.execute_command("EVEN.FETCH", "t", *words)
        with pytest.raises(redis.ResponseError, match="no topic"):
            client.execute_command("EVEN.FETCH", "u", 0, 0)
    produced = Produced(cluster, **{"compression.type": "lz4", "linger.ms": 50})
    for _ in range(100):
        produced.send("t", "x" * 100)
    produced.flush()
    with cluster["n1"].client() as client:
        until("the records", lambda: partition_at(cluster["n1"], "t")["end"] > 6)
        with pytest.raises(redis.ResponseError, match="compressed .lz4."):
            client.execute_command("EVEN.FETCH", "t", 0, 6)
