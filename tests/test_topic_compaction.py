"""Topics that are compacted by key, as unmodified clients of Kafka see them and as the disk does; on three nodes."""

import subprocess
import threading
import time

import pytest
import redis
from even_cluster import BIN, Cluster, until
from test_retention import bytes_on_disk, incremental_alter
from test_topics import Produced, leader_of, offsets_of, partition_at, servers, until_all_vote

kafka = pytest.importorskip("confluent_kafka")
from confluent_kafka import admin as kafka_admin  # noqa: E402

MIB = 1 << 20
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.fixture
def cluster(tmp_path):
    # So that what is produced is stored soon.
    cluster = Cluster(tmp_path, options={"store.pass_bytes": "1MiB", "log.segment_bytes": "1MiB",
                                         "log.retain_bytes": "2MiB"})
    cluster.start()
    yield cluster
    cluster.kill()


def create(cluster, topic, **configs):
    config = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01",
              **{name.replace("_", "."): value for name, value in configs.items()}}
    admin = kafka_admin.AdminClient({"bootstrap.servers": servers(cluster)})
    admin.create_topics([kafka_admin.NewTopic(topic, 1, 3, config=config)])[topic].result(30)
    return leader_of(cluster, topic)


def read(cluster, topic, isolation="read_committed", start=0):
    """All records from an offset on: [(offset, key, value)]."""
    at = kafka.TopicPartition(topic, 0, start)
    end = until("the offsets", lambda: offsets_of(cluster, at), 60)[1]
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none", "enable.auto.commit": False,
                               "enable.partition.eof": True, "isolation.level": isolation})
    try:
        consumer.assign([at])
        records = []
        while True:
            message = consumer.poll(30)
            assert message is not None, f"the end, which is {end}, is never reached"
            if message.error() is not None:
                assert message.error().code() == kafka.KafkaError._PARTITION_EOF, message.error()
                if message.offset() >= end:
                    return records
                continue
            value = message.value()
            records.append((message.offset(), message.key().decode(), value if value is None else value.decode()))
    finally:
        consumer.close()


def final(records):
    state = {}
    for _, key, value in records:
        state[key] = value
    return {key: value for key, value in state.items() if value is not None}


class Keys:
    """A writer of keys, and what was acknowledged last of each."""

    def __init__(self, cluster, topic, **options):
        self.topic = topic
        self.produced = Produced(cluster, **options)
        self.state = {}
        self.sent = 0

    def put(self, key, value):
        self.produced.producer.poll(0)
        self.produced.producer.produce(self.topic, key=key, value=value)
        self.sent += 1
        self.state[key] = value

    def flush(self):
        self.produced.flush()
        return {key: value for key, value in self.state.items() if value is not None}

    def fill(self, count, keys, size=1000):
        for i in range(count):
            if i % 500 == 499:
                self.produced.flush()
            self.put(f"k{i % keys}", f"{self.sent} ".ljust(size, "x"))


def compacted(cluster, topic, beyond):
    """All running nodes have compacted what there is, beyond an offset."""
    for node in cluster.running:
        until(lambda: f"{node} has compacted: {partition_at(node, topic)}",
              lambda: (partition_at(node, topic) or {"compacted": -1})["compacted"] > beyond, 90)


def push(cluster, keys, topic, offset):
    """Has what is before an offset compacted: the store takes more when there is more."""
    def done():
        if all((partition_at(node, topic) or {"compacted": -1})["compacted"] > offset for node in cluster.running):
            return True
        for i in range(1500):
            keys.put(f"filler{i % 10}", f"{keys.sent} ".ljust(1000, "y"))
        keys.flush()
        return False
    until(f"{topic} is compacted beyond {offset}", done, 120, 0.5)


@pytest.mark.parametrize("codec", CODECS)
def test_the_latest_record_of_each_key_stays(cluster, codec):
    create(cluster, "t")
    keys = Keys(cluster, "t", **{"compression.type": codec, "linger.ms": 20, "batch.num.messages": 50})
    keys.fill(4000, 100)
    expected = keys.flush()
    upto = keys.sent
    push(cluster, keys, "t", upto - 1)
    expected = keys.flush()
    # It goes on meanwhile, and what is read is from the leader alone.
    at_least = min(partition_at(node, "t")["compacted"] for node in cluster)
    records = read(cluster, "t")
    assert final(records) == expected
    # Of what is compacted nothing else is left, and offsets are what they were.
    offsets = [offset for offset, _, _ in records]
    assert offsets == sorted(set(offsets))
    old = [key for offset, key, _ in records if offset < at_least]
    assert len(old) == len(set(old)) and len(old) <= 110
    # From any offset on.
    for start in (1, 1777, upto - 1):
        assert final(read(cluster, "t", start=start)).items() <= expected.items()
    with cluster["n1"].client() as client:
        fetched = client.execute_command("EVEN.FETCH", "t", 0, 1, "COUNT", 1) if codec == "none" else None
    assert fetched is None or fetched[0][0] == next(offset for offset in offsets if offset >= 1)


def test_disk_space_is_given_back_and_an_emptied_disk_gets_what_is_left(cluster):
    create(cluster, "t")
    keys = Keys(cluster, "t", **{"linger.ms": 50, "batch.num.messages": 100})
    for step in range(16):
        keys.fill(4000, 50)
        keys.flush()
    # 64 MB; what is left of it is 50 KB, and what is not stored yet.
    push(cluster, keys, "t", 63_999)
    for node in cluster:
        until(lambda: f"{node} has {bytes_on_disk(node) >> 20} MiB", lambda: bytes_on_disk(node) < 24 * MIB, 60)
    expected = keys.flush()
    assert final(read(cluster, "t")) == expected
    lost = next(node for node in cluster if node is not leader_of(cluster, "t"))
    end = partition_at(leader_of(cluster, "t"), "t")["end"]
    lost.kill9()
    subprocess.run(["rm", "-rf", lost.data], check=True)
    lost.data.mkdir()
    lost.start()
    until("all records at the node", lambda: (partition_at(lost, "t") or {"end": 0})["end"] == end, 60)
    until_all_vote(cluster)
    next(node for node in cluster.running if node is not lost).kill9()
    leader_of(cluster, "t")
    assert final(read(cluster, "t")) == expected
    cluster.stop()
    cluster.start()
    leader_of(cluster, "t")
    assert final(read(cluster, "t")) == expected
    for node in cluster:
        assert node.http("/metrics")[0] == 200 and "even_digest_mismatches_total 0" in node.http("/metrics")[1]


def test_deleted_keys_go_with_their_tombstones(cluster):
    create(cluster, "t", delete_retention_ms="1000")
    keys = Keys(cluster, "t")
    keys.fill(100, 100)
    for i in range(0, 100, 2):
        keys.put(f"k{i}", None)
    expected = keys.flush()
    assert len(expected) == 50
    push(cluster, keys, "t", keys.sent - 1)
    expected = keys.flush()
    assert final(read(cluster, "t")) == expected

    def gone():
        push(cluster, keys, "t", keys.sent - 1)
        return not any(value is None for _, _, value in read(cluster, "t"))
    until("no tombstone is left", gone, 120, 1)
    assert final(read(cluster, "t")) == keys.flush()


def test_transactions_are_compacted_as_they_ended(cluster):
    create(cluster, "t")
    keys = Keys(cluster, "t")
    keys.put("a", "before")
    keys.put("b", "before")
    keys.flush()
    producer = kafka.Producer({"bootstrap.servers": servers(cluster), "transactional.id": "x"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("t", key="a", value="aborted")
    producer.flush(30)
    producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce("t", key="b", value="committed")
    producer.commit_transaction(30)
    producer.begin_transaction()
    producer.produce("t", key="a", value="open")
    producer.flush(30)
    keys.state["b"] = "committed"
    stable = 6  # two records, one and a marker, one and a marker
    push(cluster, keys, "t", stable - 1)
    keys.fill(3000, 10)
    expected = keys.flush()
    # Behind the open transaction nothing is compacted, and nothing read.
    for node in cluster:
        assert partition_at(node, "t")["compacted"] <= stable
    records = read(cluster, "t", isolation="read_uncommitted")
    assert {(key, value) for _, key, value in records[:3]} == {("a", "before"), ("b", "committed"), ("a", "open")}
    producer.abort_transaction(30)
    push(cluster, keys, "t", keys.sent)
    expected = keys.flush()
    assert final(read(cluster, "t")) == expected
    assert final(read(cluster, "t", isolation="read_uncommitted")) == expected


def test_nothing_is_lost_while_leaders_die(cluster):
    create(cluster, "t", delete_retention_ms="500")
    stop = threading.Event()
    expected = {}

    def write():
        keys = Keys(cluster, "t", **{"enable.idempotence": True, "linger.ms": 20})
        while not stop.is_set():
            keys.fill(500, 40, 2000)
            keys.put(f"k{keys.sent % 40}", None)
            keys.flush()
            # Compaction has a limit to its rate: a pass over what is written at full speed takes minutes.
            time.sleep(0.2)
        expected.update(keys.flush())
        assert not keys.produced.errors
    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        before = max((partition_at(node, "t") or {"compacted": 0})["compacted"] for node in cluster.running)
        until("compaction goes on", lambda: max((partition_at(node, "t") or {"compacted": 0})["compacted"]
                                                for node in cluster.running) > before, 60)
        leader = leader_of(cluster, "t")
        leader.kill9()
        until("another leader", lambda: leader_of(cluster, "t") is not leader, 60)
        leader.start()
        until("it is back", lambda: partition_at(leader, "t"), 60)
    stop.set()
    writer.join(120)
    assert expected
    for node in cluster:  # each of them alone has it all
        leader_of(cluster, "t")
        with node.client() as client:
            end = partition_at(leader_of(cluster, "t"), "t")["end"]
            until(f"{node} has all", lambda: partition_at(node, "t")["end"] == end, 60)
            state, offset = {}, 0
            while True:
                records = client.execute_command("EVEN.FETCH", "t", 0, offset, "COUNT", 1000)
                if not records:
                    break
                for record in records:
                    state[record[2]] = record[3]
                offset = records[-1][0] + 1
        assert {key: value for key, value in state.items() if value is not None} == expected, node


def test_records_without_keys_are_refused(cluster):
    create(cluster, "t")
    for codec in CODECS:
        produced = Produced(cluster, **{"compression.type": codec})
        produced.send("t", "x" * 1000)
        produced.producer.flush(60)
        (_, error), = produced.errors
        assert "INVALID_RECORD" in error or "record" in error.lower(), error
    assert offsets_of(cluster, kafka.TopicPartition("t", 0)) == (0, 0)


def test_settings_are_set_and_shown(cluster):
    create(cluster, "t", delete_retention_ms="1234", min_compaction_lag_ms="5", segment_bytes="1000000")
    admin = kafka_admin.AdminClient({"bootstrap.servers": servers(cluster)})
    resource = kafka_admin.ConfigResource(kafka_admin.ConfigResource.Type.TOPIC, "t")

    def configs():
        return {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result(30).items()}
    told = configs()
    assert told["cleanup.policy"] == "compact" and told["delete.retention.ms"] == "1234"
    assert told["min.cleanable.dirty.ratio"] == "0.01" and told["min.compaction.lag.ms"] == "5"
    assert told["max.compaction.lag.ms"] == str((1 << 63) - 1)
    assert incremental_alter(cluster["n1"], "cleanup.policy", 2, "delete") == 0  # append
    assert configs()["cleanup.policy"] == "compact,delete"
    assert incremental_alter(cluster["n1"], "cleanup.policy", 3, "compact") == 0  # subtract
    assert configs()["cleanup.policy"] == "delete"
    assert incremental_alter(cluster["n1"], "cleanup.policy", 3, "delete") == 40
    assert incremental_alter(cluster["n1"], "cleanup.policy", 0, "compact") == 0
    assert incremental_alter(cluster["n1"], "max.compaction.lag.ms", 0, "60000") == 0
    assert incremental_alter(cluster["n1"], "min.cleanable.dirty.ratio", 0, "1.5") == 40
    assert configs()["max.compaction.lag.ms"] == "60000"
    with cluster["n2"].client() as client:
        info = client.execute_command("EVEN.TOPIC", "INFO", "t")
        told = dict(zip(info[::2], info[1::2]))
        assert (told["cleanup"], told["tombstones"], told["dirty"], told["minlag"], told["maxlag"]) == \
            ("compact", "1234", "0.01", "5", "60000")
        client.execute_command("EVEN.TOPIC", "CREATE", "u", "CLEANUP", "COMPACT", "TOMBSTONES", 7)
        client.execute_command("EVEN.TOPIC", "ALTER", "u", "CLEANUP", "compact,delete", "DIRTY", "0.25")
        info = client.execute_command("EVEN.TOPIC", "INFO", "u")
        told = dict(zip(info[::2], info[1::2]))
        assert (told["cleanup"], told["tombstones"], told["dirty"]) == ("compact,delete", "7", "0.25")
        with pytest.raises(redis.ResponseError, match="CLEANUP is DELETE, COMPACT or"):
            client.execute_command("EVEN.TOPIC", "ALTER", "u", "CLEANUP", "squeeze")
    described = subprocess.run([BIN / "even", "topic", "describe", "u", "--dir", cluster.dir, "--node",
                                f"127.0.0.1:{cluster['n1'].port}"], capture_output=True, text=True, timeout=60)
    assert "cleanup compact,delete" in described.stdout, described.stderr
