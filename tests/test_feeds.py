"""Change feeds: every change of a keyspace as an event of a topic, read by an unmodified client of Kafka."""

import base64
import json
import threading

import pytest
import redis
from even_cluster import Cluster, until

kafka = pytest.importorskip("confluent_kafka")

from test_emit import drained, metric  # noqa: E402
from test_topics import create, leader_of, offsets_of, servers  # noqa: E402


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path, partitions=16)
    cluster.start()
    yield cluster
    cluster.kill()


def admin(cluster, *words):
    def done():
        try:
            with cluster.running[0].client() as client:
                return client.execute_command(*words) == "OK"
        except redis.ResponseError as error:
            if "PARTIAL" in str(error):
                return True
            assert "TRYAGAIN" in str(error), error
            return False
    until(" ".join(str(word) for word in words), done, 30)


def create_keyspace(cluster, mode, *options, name="shop", prefix="s:"):
    strong = ["PARTITIONS", 4] if mode == "STRONG" else []
    admin(cluster, "EVEN.KEYSPACE", "CREATE", name, "PREFIX", prefix, "MODE", mode, *strong, *options)
    if mode == "STRONG":
        def works(node):
            try:
                with node.client() as client:
                    return all(client.get(f"{prefix}{i}") is None for i in range(20))
            except redis.RedisError:
                return False
        until("its leaders", lambda: all(works(node) for node in cluster.running), 30)


def follows(cluster):
    """Every partition follows the feed, and its snapshot is complete."""
    until("the feed is followed",
          lambda: sum(metric(node, "even_feed_waiting_partitions") for node in cluster.running) == 0, 60)


def events(cluster, topic, partition=0):
    """All events of a partition of a topic: [(key, envelope)], in their order."""
    at = kafka.TopicPartition(topic, partition, 0)
    start, end = until("the offsets", lambda: offsets_of(cluster, at), 60)
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none", "enable.auto.commit": False})
    try:
        consumer.assign([kafka.TopicPartition(topic, partition, start)])
        found = []
        while end > start and (not found or found[-1][0] < end - 1):
            message = consumer.poll(30)
            assert message is not None and message.error() is None, message and message.error()
            found.append((message.offset(), message.key(), json.loads(message.value())))
        return [(key, event) for _, key, event in found]
    finally:
        consumer.close()


MODES = ["EVENTUAL", "STRONG"]


@pytest.mark.parametrize("mode", MODES)
def test_changes_of_all_types_come_in_debeziums_envelope(cluster, mode):
    create(cluster, "changes")
    create_keyspace(cluster, mode, "FEED", "changes")
    follows(cluster)
    with cluster["n1"].client() as client:
        client.set("s:k", "v")
        client.set("s:k", "Zürich", px=600_000)
        client.delete("s:k")
        client.delete("s:k")  # changes nothing
        client.hset("s:k", mapping={"a": "1", "b": "2"})
        client.hdel("s:k", "a")
        client.rpush("s:l", "x", "y")
        client.sadd("s:s", "m", "n")
        client.zadd("s:z", {"m": 1.5, "n": float("inf")})
        client.xadd("s:x", {"f": "v"}, id="1-1")
        client.set("s:b", b"\xff\x00")
        client.set("s:long", "x" * 100_000)
        client.set("other", "not of the keyspace")
        client.incr("s:n")
        client.eval("redis.call('incrby', KEYS[1], 5)", 1, "s:n")
    with cluster["n2"].client(db=3) as client:
        client.set("s:k", "of another database")
    drained(cluster)
    by_key = {}
    for key, event in events(cluster, "changes"):
        by_key.setdefault(key.decode(), []).append(event)
        assert event["before"] is None
        source = event["source"]
        assert source["connector"] == "even" and source["db"] == "shop" and source["snapshot"] == "false"
        assert source["ts_ms"] > 1_600_000_000_000 and event["ts_ms"] >= source["ts_ms"] - 1000
        assert int(source["seq"]) > 0 and int(source["hlc"]) > 0
        assert (source["origin"] == "group") == (mode == "STRONG")
    assert "other" not in by_key
    assert [event["op"] for event in by_key["s:k"]] == ["c", "u", "d", "c", "u"]
    assert [event["source"]["cause"] for event in by_key["s:k"]] == ["set", "set", "del", "hset", "hdel"]
    after = [event["after"] for event in by_key["s:k"]]
    assert after[0] == {"key": "s:k", "type": "string", "encoding": "utf8", "value": "v", "omitted": False,
                        "expires_at_ms": None}
    assert after[1]["value"] == "Zürich" and after[1]["expires_at_ms"] > 1_600_000_000_000
    assert after[2] is None
    assert after[3]["type"] == "hash" and after[3]["value"] == {"a": "1", "b": "2"}
    assert after[4]["value"] == {"b": "2"}

    def value(key):
        return by_key[key][-1]["after"]["value"]
    assert value("s:l") == ["x", "y"]
    assert value("s:s") == ["m", "n"]
    assert value("s:z") == [["m", 1.5], ["n", "inf"]]
    assert value("s:x") == [["1-1", ["f", "v"]]]
    assert by_key["s:b"][0]["after"]["encoding"] == "base64" and base64.b64decode(value("s:b")) == b"\xff\x00"
    assert value("s:long") is None and by_key["s:long"][0]["after"]["omitted"]
    assert [event["after"]["value"] for event in by_key["s:n"]] == ["1", "6"]
    assert by_key["s:n"][1]["source"]["cause"] == "incrby"
    elsewhere = [event for events in by_key.values() for event in events if event["source"]["database"] == 3]
    assert [(event["op"], event["after"]["key"], event["after"]["value"]) for event in elsewhere] == [
        ("c", "s:k", "of another database")]


@pytest.mark.parametrize("mode", MODES)
def test_what_goes_by_itself_and_what_is_flushed_is_told(cluster, mode):
    create(cluster, "changes")
    create_keyspace(cluster, mode, "FEED", "changes")
    follows(cluster)
    with cluster["n1"].client() as client:
        client.set("s:gone", "v", px=50)
        client.rename("s:gone", "s:renamed") if mode == "EVENTUAL" else client.pexpire("s:gone", 60)
        name = b"s:renamed" if mode == "EVENTUAL" else b"s:gone"
        until("its end", lambda: [event["source"]["cause"] for key, event in events(cluster, "changes")
                                  if key == name and event["op"] == "d"] == ["expired"], 60)
        client.set("s:1", "v")
        client.set("s:2", "v")
        client.flushall()
    drained(cluster)
    told = [(key, event["op"]) for key, event in events(cluster, "changes") if key in (b"s:1", b"s:2")]
    if mode == "EVENTUAL":  # FLUSHALL is about keys of eventual keyspaces, or of all: each that has gone is told
        assert told.count((b"s:1", "d")) == 1 and told.count((b"s:2", "d")) == 1
    with cluster["n1"].client() as client:
        left = {key for key in (b"s:1", b"s:2") if client.exists(key)}
    for key in (b"s:1", b"s:2"):
        ops = [op for of, op in told if of == key]
        assert (ops[-1] == "d") == (key not in left)


@pytest.mark.parametrize("mode", MODES)
def test_a_snapshot_tells_the_keys_that_there_were(cluster, mode):
    create(cluster, "changes", 2)
    create_keyspace(cluster, mode)
    with cluster["n2"].client() as client:
        for i in range(3000):
            client.set(f"s:{i}", f"old {i}")
        client.set("elsewhere", "v")
        admin(cluster, "EVEN.KEYSPACE", "ALTER", "shop", "FEED", "changes", "SNAPSHOT", "YES")
        for i in range(100):
            client.set(f"s:{i}", f"new {i}")
        client.delete("s:2999")
    follows(cluster)
    drained(cluster)
    # Of a key's events the one with the greatest time counts, and the last one of these.
    state, times = {}, {}
    for partition in range(2):
        for key, event in events(cluster, "changes", partition):
            assert (event["op"] == "r") == (event["source"]["snapshot"] == "true")
            after, time = event["after"], int(event["source"]["hlc"])
            if time >= times.get(key, 0):
                times[key] = time
                state[key.decode()] = after and after["value"]
    expected = {f"s:{i}": f"new {i}" if i < 100 else f"old {i}" for i in range(2999)}
    assert {key: value for key, value in state.items() if value is not None} == expected


def test_a_feed_can_be_ended_and_its_topic_cannot_go_before(cluster):
    create(cluster, "changes")
    create_keyspace(cluster, "EVENTUAL")
    with cluster["n1"].client() as client:
        with pytest.raises(redis.ResponseError, match="there is no topic 'none-such'"):
            client.execute_command("EVEN.KEYSPACE", "ALTER", "shop", "FEED", "none-such")
        with pytest.raises(redis.ResponseError, match="SNAPSHOT is of a feed"):
            client.execute_command("EVEN.KEYSPACE", "ALTER", "shop", "SNAPSHOT", "YES")
        with pytest.raises(redis.ResponseError, match="FEED is the name of a topic"):
            client.execute_command("EVEN.KEYSPACE", "ALTER", "shop", "FEED", "a/b")
        admin(cluster, "EVEN.KEYSPACE", "ALTER", "shop", "FEED", "changes")
        info = client.execute_command("EVEN.KEYSPACE", "INFO", "shop")
        assert dict(zip(info[::2], info[1::2]))["feed"] == "changes"
        client.set("s:1", "told")
        with pytest.raises(redis.ResponseError, match="has the change feed of the keyspace 'shop'"):
            client.execute_command("EVEN.TOPIC", "DROP", "changes")
        admin(cluster, "EVEN.KEYSPACE", "ALTER", "shop", "FEED", "NONE")
        client.set("s:2", "not told")
        drained(cluster)
        assert [key for key, _ in events(cluster, "changes")] == [b"s:1"]
        admin(cluster, "EVEN.TOPIC", "DROP", "changes")


def test_writes_are_refused_when_too_much_waits_and_nothing_is_lost(cluster):
    create(cluster, "changes")
    create_keyspace(cluster, "EVENTUAL", "FEED", "changes")
    follows(cluster)
    leader_of(cluster, "changes")
    written = 0
    with cluster["n1"].client() as client:
        cluster["n2"].kill9()
        cluster["n3"].kill9()
        refused = None
        while refused is None:
            pipeline = client.pipeline(transaction=False)
            for i in range(500):
                pipeline.set("s:k", f"{written + i}")
            for reply in pipeline.execute(raise_on_error=False):
                if isinstance(reply, redis.ResponseError):
                    refused = reply
                else:
                    assert refused is None
                    written += 1
        assert "OUTBOXFULL" in str(refused)
        assert written >= 10_000
        for _ in range(6):  # connections of all threads, the key's own among them
            with cluster["n1"].client(single_connection_client=True) as other:
                with pytest.raises(redis.ResponseError, match="OUTBOXFULL"):
                    other.set("s:k", "v")
        assert client.get("s:k") == str(written - 1)
        with pytest.raises(redis.ResponseError, match="OUTBOXFULL"):
            with client.pipeline(transaction=True) as transaction:
                transaction.set("other", "v")
                transaction.set("s:k", "v")
                transaction.execute()
        assert client.get("other") is None
        client.set("other", "v")  # of no feed
        cluster["n2"].start()
        cluster["n3"].start()
        drained(cluster)
        values = [event["after"]["value"] for _, event in events(cluster, "changes")]
        assert values == [str(i) for i in range(written)]
        until("writes go on", lambda: writes(client), 60)


def writes(client):
    try:
        return client.set("s:k", "again")
    except redis.RedisError:
        return False


class Writer:
    """RPUSH to keys of its own, one after the other, at whatever node answers."""

    def __init__(self, cluster, name, keys=5):
        self.cluster, self.name, self.keys = cluster, name, keys
        self.stopping = False
        self.done = set()  # (key, number): acknowledged
        self.tried = set()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number = at = 0
        client = None
        while not self.stopping:
            if client is None:
                client = self.cluster.nodes[at % len(self.cluster.nodes)].client(socket_timeout=10)
            number += 1
            key = f"s:{self.name}-{number % self.keys}-{number // 100}"
            self.tried.add((key, str(number)))
            try:
                client.rpush(key, number)
                self.done.add((key, str(number)))
            except redis.RedisError:
                at += 1
                client = None

    def stop(self):
        self.stopping = True
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("mode", MODES)
def test_each_change_is_told_once_whoever_dies(cluster, mode):
    create(cluster, "changes", 2)
    create_keyspace(cluster, mode, "FEED", "changes")
    follows(cluster)
    writers = [Writer(cluster, f"w{i}") for i in range(2)]

    def done():
        return sum(len(writer.done) for writer in writers)
    for node in cluster.nodes:
        before = done()
        until("some changes", lambda: done() > before + 200, 60)
        node.kill9()
        before = done()
        until("some more without it", lambda: done() > before + 200, 60)
        node.start()
    for writer in writers:
        writer.stop()
    drained(cluster)
    seen = set()
    told = {}
    order = {}
    for partition in range(2):
        for key, event in events(cluster, "changes", partition):
            source = event["source"]
            change = (source["partition"], source["origin"], source["seq"], key, tuple(event["after"]["value"]))
            assert change not in seen, f"{change} is there twice"
            seen.add(change)
            told.setdefault(key.decode(), []).append(event["after"]["value"])
            # Of one origin, and of a strong keyspace, a key's changes come in their order.
            last = order.get((key, source["origin"]), 0)
            assert int(source["seq"]) >= last
            order[(key, source["origin"])] = int(source["seq"])
    with cluster["n1"].client() as client:
        for writer in writers:
            for key in {key for key, _ in writer.tried}:
                values = client.lrange(key, 0, -1)
                tried = {number for of, number in writer.tried if of == key}
                # Each change adds one: what is there was told, when it was added, and once.
                added = [value[-1] for value in told.get(key, [])]
                assert sorted(added, key=int) == sorted(values, key=int), key
                assert set(added) <= tried
                if mode == "STRONG":
                    assert all(value == values[:i + 1] for i, value in enumerate(told.get(key, [])))
            for key, number in writer.done:
                assert any(value[-1] == number for value in told.get(key, [])), f"{key}: {number} was acknowledged"
