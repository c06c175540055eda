"""Quotas of clients of topics: who may set them and how, and who is slowed by them. librdkafka, kafka-python and bare frames,
on three nodes."""

import os
import re
import socket
import struct
import subprocess
import sys
import time

import pytest
import redis
from even_cluster import HOST, ROOT, Cluster, until

kafka = pytest.importorskip("confluent_kafka")

from test_topics import Produced, consume, create, leader_of, request, servers  # noqa: E402

NONE, CLUSTER_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION, INVALID_REQUEST = 0, 31, 35, 42
EXACT, DEFAULT, ANY = 0, 1, 2
DESCRIBE, ALTER = 48, 49


@pytest.fixture
def make(tmp_path):
    clusters = []

    def make(**options):
        clusters.append(Cluster(tmp_path, partitions=16, **options))
        clusters[0].start()
        linked(clusters[0])
        return clusters[0]
    yield make
    for cluster in clusters:
        cluster.kill()


@pytest.fixture
def cluster(make):
    return make()


def linked(cluster):
    """All nodes have heard from one another."""
    until("links", lambda: all(peer["link"] == "up" for node in cluster.running for peer in node.status()["peers"]))


def run(node, *words, **options):
    with node.client(**options) as client:
        return client.execute_command(*words)


def quotas(node):
    return sorted(run(node, "EVEN.QUOTA", "LIST"))


# --- Frames

class Frames:
    """A connection that sends frames and reads answers."""

    def __init__(self, node):
        self.socket = socket.create_connection((HOST, node.kafka_port), timeout=60)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def answer(self):
        """One without its length and its correlation id."""
        return self.stream.read(struct.unpack(">i", self.stream.read(4))[0])[4:]

    def ask(self, frame):
        self.send(frame)
        return self.answer()


class Fields:
    """Reads an answer; in version 1 these are flexible."""

    def __init__(self, answer, flexible):
        self.rest, self.flexible = answer, flexible
        self.tags()

    def tags(self):
        if self.flexible:
            assert self.take(1) == b"\0"

    def take(self, size):
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def text(self):
        size = self.number("B") - 1 if self.flexible else self.number("h")
        return None if size < 0 else self.take(size).decode()

    def array(self, read):
        count = self.number("B") - 1 if self.flexible else self.number("i")
        if count < 0:
            return None
        elements = []
        for _ in range(count):
            elements.append(read())
            self.tags()
        return elements


def text(value, flexible=False):
    data = b"" if value is None else value.encode()
    if flexible:
        return bytes([0 if value is None else len(data) + 1]) + data
    return struct.pack(">h", -1 if value is None else len(data)) + data


def array(elements, flexible=False):
    head = bytes([len(elements) + 1]) if flexible else struct.pack(">i", len(elements))
    return head + b"".join(element + (b"\0" if flexible else b"") for element in elements)


def part(fields):
    return fields.text(), fields.text()


def describe(connection, *components, strict=False, version=0):
    """The error, and {entity: {name: value}} of those that match (type, how, name)."""
    flexible = version == 1
    body = (b"\0" if flexible else b"") + array(
        [text(kind, flexible) + struct.pack(">b", how) + text(name, flexible) for kind, how, name in components], flexible)
    body += struct.pack(">b", strict) + (b"\0" if flexible else b"")
    fields = Fields(connection.ask(request(DESCRIBE, version, body)), flexible)
    assert fields.number("i") == 0
    error, message = fields.number("h"), fields.text()
    entries = fields.array(lambda: (tuple(fields.array(lambda: part(fields))),
                                    dict(fields.array(lambda: (fields.text(), fields.number("d"))))))
    fields.tags()
    assert not fields.rest and bool(error) == bool(message)
    return error, entries if entries is None else dict(entries)


def alter(connection, *entries, validate_only=False, version=0):
    """The errors for entries: ({type: name}, {quota: value, or None to remove it})."""
    flexible = version == 1
    encoded = []
    for entity, values in entries:
        parts = [text(kind, flexible) + text(name, flexible) for kind, name in entity]
        ops = [text(key, flexible) + struct.pack(">db", value or 0, value is None) for key, value in values.items()]
        encoded.append(array(parts, flexible) + array(ops, flexible))
    body = (b"\0" if flexible else b"") + array(encoded, flexible) + struct.pack(">b", validate_only)
    fields = Fields(connection.ask(request(ALTER, version, body + (b"\0" if flexible else b""))), flexible)
    assert fields.number("i") == 0
    results = fields.array(lambda: (fields.number("h"), fields.text(), fields.array(lambda: part(fields))))
    assert [list(entity) for _, _, entity in results] == [list(entity) for entity, _ in entries]
    return [error for error, _, _ in results]


def of(user=(), client=()):
    """An entity; None is the default."""
    return (*([("user", user)] if user != () else []), *([("client-id", client)] if client != () else []))


@pytest.mark.parametrize("version", [0, 1])
def test_quotas_are_set_and_described_as_in_kafka(cluster, version):
    with Frames(cluster["n2"]) as connection, Frames(cluster["n3"]) as other:
        def set_all(*entries, **options):
            return alter(connection, *entries, version=version, **options)

        def described(*components, **options):
            return describe(other, *components, version=version, **options)
        assert described() == (NONE, {})
        assert set_all((of("alice"), {"producer_byte_rate": 1000}), validate_only=True) == [NONE]
        assert described() == (NONE, {})
        rates = {"producer_byte_rate": 1024.0, "consumer_byte_rate": 2048.0}
        alice, both, defaults, web = of("alice"), of("alice", "web app"), of(None, None), of(client="web app")
        assert set_all((alice, rates), (both, rates), (defaults, {"consumer_byte_rate": 7}),
                       (web, {"producer_byte_rate": 9})) == [NONE] * 4
        everything = {alice: rates, both: rates, defaults: {"consumer_byte_rate": 7}, web: {"producer_byte_rate": 9}}
        assert described() == (NONE, everything)

        def some(*entities):
            return NONE, {entity: everything[entity] for entity in entities}
        assert described(("user", EXACT, "alice")) == some(alice, both)
        assert described(("user", EXACT, "alice"), strict=True) == some(alice)
        assert described(("user", DEFAULT, None)) == some(defaults)
        assert described(("client-id", ANY, None)) == some(both, defaults, web)
        assert described(("client-id", ANY, None), strict=True) == some(web)
        assert described(("user", EXACT, "alice"), ("client-id", EXACT, "web app"), strict=True) == some(both)
        assert described(("user", EXACT, "bob")) == described(("ip", ANY, None)) == (NONE, {})
        assert described(strict=True) == (NONE, {})
        for wrong in ([("user", EXACT, None)], [("user", ANY, "alice")], [("user", DEFAULT, "")], [("user", 3, None)],
                      [("user", EXACT, "a"), ("user", EXACT, "b")]):
            assert described(*wrong) == (INVALID_REQUEST, None)
        assert described(("group", ANY, None)) == (UNSUPPORTED_VERSION, None)

        # Others of one request are set all the same.
        nothing, one = {"producer_byte_rate": None}, {"producer_byte_rate": 1}
        wrong = [(of("bob"), {"producer_byte_rate": rate}) for rate in (0.5, -1, 0, float("nan"), 1e300)]
        wrong += [(of("bob"), {"request_percentage": 50}), ((("ip", "127.0.0.1"),), {"connection_creation_rate": 1}),
                  ((), one), ((("user", "a"), ("user", "b")), one), (of(""), one)]
        assert set_all((alice, nothing), *wrong, (web, nothing), (of("nobody"), nothing)) == [
            NONE, *[INVALID_REQUEST] * len(wrong), NONE, NONE]
        assert described() == (NONE, {alice: {"consumer_byte_rate": 2048.0}, both: rates, defaults: {"consumer_byte_rate": 7}})


def test_quotas_are_set_by_words_and_stay(cluster):
    node = cluster["n1"]
    assert quotas(node) == []
    run(node, "EVEN.QUOTA", "SET", "USER", "alice", "client", "web app", "PRODUCER", 1000, "CONSUMER", 2000)
    run(node, "EVEN.QUOTA", "SET", "CONSUMER", 3000, "USER-DEFAULTS")
    run(node, "EVEN.QUOTA", "SET", "CLIENT-DEFAULTS", "PRODUCER", 4000)
    run(node, "EVEN.QUOTA", "SET", "USER", "alice", "PRODUCER", 5000)
    all_of_them = [["CLIENT-DEFAULTS", "PRODUCER", "4000"],
                   ["USER", "alice", "CLIENT", "web app", "PRODUCER", "1000", "CONSUMER", "2000"],
                   ["USER", "alice", "PRODUCER", "5000"], ["USER-DEFAULTS", "CONSUMER", "3000"]]
    assert [quotas(each) for each in cluster] == [all_of_them] * 3
    assert run(node, "EVEN.QUOTA", "GET", "USER", "alice") == ["producer", 5000, "consumer", None]
    assert run(node, "EVEN.QUOTA", "GET", "USER", "bob") == ["producer", None, "consumer", None]
    cluster.stop()
    cluster.start()
    assert [quotas(each) for each in cluster] == [all_of_them] * 3
    linked(cluster)
    for row in all_of_them[:2]:  # they are the words that set them
        run(node, "EVEN.QUOTA", "SET", *row)
    assert quotas(node) == all_of_them
    run(node, "EVEN.QUOTA", "SET", "USER", "alice", "CLIENT", "web app", "PRODUCER", "NONE")
    run(node, "EVEN.QUOTA", "DEL", "CLIENT-DEFAULTS")
    run(node, "EVEN.QUOTA", "DEL", "USER", "alice")
    run(node, "EVEN.QUOTA", "DEL", "USER", "nobody")
    left = [["USER", "alice", "CLIENT", "web app", "CONSUMER", "2000"], ["USER-DEFAULTS", "CONSUMER", "3000"]]
    assert [quotas(each) for each in cluster] == [left] * 3


def test_words_that_set_no_quota_are_refused(cluster):
    node = cluster["n1"]
    for words, error in ((("SET", "PRODUCER", "1", "CONSUMER", "1"), "whom the quota is for is to be said"),
                         (("SET", "USER", "a", "CLIENT", "b"), "a rate is to be said"),
                         (("SET", "USER", "a", "PRODUCER", "0"),
                          "PRODUCER is a number of bytes a second from 1 on, or NONE, not '0'"),
                         (("SET", "USER", "a", "CONSUMER", "1.5"), "CONSUMER is a number .* not '1.5'"),
                         (("SET", "USER", "a", "CONSUMER", "1", "CONSUMER", "2"), "CONSUMER is said twice"),
                         (("SET", "USER", "a", "USER-DEFAULTS", "CONSUMER", "1"), "user is said twice"),
                         (("SET", "USER", "", "CONSUMER", "1"), "the user has an empty name"),
                         (("SET", "USER", "a", "REQUEST", "1"), "unknown option 'REQUEST'. Try EVEN.QUOTA HELP"),
                         (("SET", "USER-DEFAULTS", "PRODUCER"), "wrong number of arguments"),
                         (("SET", "USER", "a", "PRODUCER", "1", "CLIENT"), "a value must follow 'CLIENT'"),
                         (("DEL", "USER", "a", "PRODUCER", "1"), "unknown option 'PRODUCER'"),
                         (("GIVE", "USER", "a"), "unknown subcommand 'GIVE'. Try EVEN.QUOTA HELP")):
        with pytest.raises(redis.ResponseError, match=error):
            run(node, "EVEN.QUOTA", *words)
    assert quotas(node) == []
    assert any("PRODUCER" in line for line in run(node, "EVEN.QUOTA", "HELP"))


def test_quotas_are_set_once_all_nodes_have_said_that_they_know_of_them(cluster):
    """One of an earlier version would not execute the change."""
    run(cluster["n1"], "EVEN.QUOTA", "SET", "USER", "alice", "PRODUCER", 1000)
    cluster["n3"].kill9()
    for name in ("n1", "n2"):
        cluster[name].stop()
        cluster[name].start()
    with pytest.raises(redis.ResponseError, match="^UNAVAILABLE nothing was done: a quota needs .* n3 has not said so"):
        run(cluster["n1"], "EVEN.QUOTA", "SET", "USER", "alice", "PRODUCER", 2000)
    with Frames(cluster["n1"]) as connection:
        assert alter(connection, (of("alice"), {"producer_byte_rate": 2000})) == [UNSUPPORTED_VERSION]
        assert describe(connection) == (NONE, {of("alice"): {"producer_byte_rate": 1000}})
    cluster["n3"].start()
    linked(cluster)
    run(cluster["n1"], "EVEN.QUOTA", "SET", "USER", "alice", "PRODUCER", 2000)
    assert quotas(cluster["n3"]) == [["USER", "alice", "PRODUCER", "2000"]]


def test_who_may_not_set_quotas_is_refused(cluster):
    """Here the user is whoever does not log in."""
    node = cluster["n1"]
    run(node, "ACL", "SETUSER", "default", "-even.quota|set", "-even.quota|list")
    with Frames(node) as connection:
        assert alter(connection, (of("alice"), {"producer_byte_rate": 2000})) == [CLUSTER_AUTHORIZATION_FAILED]
        assert describe(connection) == (CLUSTER_AUTHORIZATION_FAILED, None)
        run(node, "ACL", "SETUSER", "default", "+even.quota|list")
        assert describe(connection) == (NONE, {})
        run(node, "ACL", "SETUSER", "default", "+even.quota|set", "-even.quota|list")
        assert alter(connection, (of("alice"), {"producer_byte_rate": 2000})) == [NONE]


# --- Being slowed

def settled_leader(cluster, topic):
    """The leader once it has stayed so for some seconds: that of a new group may hand over to the preferred one."""
    found, since = None, time.monotonic()

    def same():
        nonlocal found, since
        now = leader_of(cluster, topic)
        if now is not found:
            found, since = now, time.monotonic()
        return time.monotonic() - since > 5
    until("the leader stays", same, 90, 0.1)
    return found


def produce_frame(size, version=5):
    """A Produce of so many bytes to a topic that there is none of: it counts as any."""
    body = text(None) + struct.pack(">hi", 1, 10_000) + array([text("none") + array([struct.pack(">i", 0)])])
    frame = request(0, version, body)
    missing = size - (len(frame) - 4) - 4  # without the length of the frame, with that of the records
    body = text(None) + struct.pack(">hi", 1, 10_000)
    body += array([text("none") + array([struct.pack(">ii", 0, missing) + bytes(missing)])])
    frame = request(0, version, body)
    assert len(frame) - 4 == size
    return frame


def throttle_time(answer):
    """That an answer to Produce ends with."""
    return struct.unpack(">i", answer[-4:])[0]


def metrics(node, name):
    """{(user, client id): value}."""
    found = re.findall(rf'^{name}{{user="(.*)",client_id="(.*)"}} (\S+)$', node.http("/metrics")[1], re.MULTILINE)
    return {(user, client): float(value) for user, client, value in found}


def test_a_producer_over_its_rate_is_told_how_long_it_waits_and_its_next_request_does(cluster):
    node = cluster["n1"]
    run(node, "EVEN.QUOTA", "SET", "USER-DEFAULTS", "CLIENT-DEFAULTS", "PRODUCER", 20_000)
    with Frames(node) as connection:
        # Ten seconds' worth is what may come at once.
        assert throttle_time(connection.ask(produce_frame(150_000))) == 0
        connection.send(produce_frame(100_000), produce_frame(40_000), produce_frame(20_000))
        # Each wait is for its own request alone: what came before was waited for before it was read. (The bucket fills
        # meanwhile, and what is left of a wait is told.)
        waits = [throttle_time(connection.answer()) for _ in range(3)]
        assert 0 < waits[0] <= 2500 and 0 < waits[1] <= 2000 and 0 < waits[2] <= 1000, waits
    assert metrics(node, "even_kafka_produce_bytes_total") == {("<default>", "<default>"): 310_000}
    assert metrics(node, "even_kafka_produce_throttled_requests_total") == {("<default>", "<default>"): 3}
    assert 3 < metrics(node, "even_kafka_produce_throttle_time_seconds_total")[("<default>", "<default>")] <= 5.5
    # Who has another client id has a quota of its own, and who shares it waits in another connection, too.
    run(node, "EVEN.QUOTA", "SET", "USER-DEFAULTS", "CLIENT-DEFAULTS", "PRODUCER", 1_000)
    other = produce_frame(11_000).replace(b"\0\2me", b"\0\2us", 1)
    with Frames(node) as first, Frames(node) as second, Frames(node) as third:
        assert throttle_time(first.ask(produce_frame(30_000))) > 10_000
        assert throttle_time(second.ask(produce_frame(100))) > 10_000
        assert throttle_time(third.ask(other)) <= 1000
    # And so does who connects anew; a quota that is lifted is not kept.
    with Frames(node) as again:
        assert throttle_time(again.ask(produce_frame(100))) > 5_000
    run(node, "EVEN.QUOTA", "DEL", "USER-DEFAULTS", "CLIENT-DEFAULTS")
    with Frames(node) as free:
        assert throttle_time(free.ask(produce_frame(900_000))) == 0
    assert metrics(node, "even_kafka_produce_bytes_total") == {}


def fetch_frame(topic, offset=0, max_wait_ms=500, min_bytes=1):
    body = struct.pack(">iiiib", -1, max_wait_ms, min_bytes, 50_000_000, 0)
    body += array([text(topic) + array([struct.pack(">iqi", 0, offset, 10_000_000)])])
    return request(1, 4, body)


def test_a_fetch_over_the_rate_is_answered_without_records(cluster):
    create(cluster, "t")
    node = settled_leader(cluster, "t")
    produced = Produced(cluster)
    produced.send("t", bytes(60_000))
    produced.flush()
    run(node, "EVEN.QUOTA", "SET", "CLIENT", "me", "CONSUMER", 1_000)
    with Frames(node) as first, Frames(node) as second, Frames(node) as third:
        third.send(fetch_frame("t", offset=1, max_wait_ms=300_000))  # waits for a record
        # At least a batch is given, as ever; more than may be given at once is not waited for.
        answer = first.ask(fetch_frame("t", max_wait_ms=300_000, min_bytes=1_000_000))
        wait, topics = struct.unpack(">ii", answer[:8])
        assert topics == 1 and len(answer) > 60_000 and 10_000 < wait <= 50_500
        wait, topics = struct.unpack(">ii", second.ask(fetch_frame("t"))[:8])
        assert topics == 0 and wait > 5_000
        produced.send("t", "one more")
        produced.flush()
        wait, topics = struct.unpack(">ii", third.answer()[:8])
        assert topics == 0 and wait > 5_000
    [(entity, got)] = metrics(node, "even_kafka_fetch_bytes_total").items()
    # What was not given has not been counted.
    assert entity == ("", "me") and abs(got - len(answer)) < 200
    assert metrics(node, "even_kafka_fetch_throttled_requests_total") == {("", "me"): 3}
    # A request that comes while nothing is to be read from its connection is served when the wait is over.
    run(node, "EVEN.QUOTA", "SET", "CLIENT", "me", "CONSUMER", 5_500)
    with Frames(node) as patient:
        for _ in range(2):
            wait, topics = struct.unpack(">ii", patient.ask(fetch_frame("t"))[:8])
            assert topics == 1 and wait > 0


class Throttled:
    """What a client of librdkafka was told of throttling."""

    def __init__(self):
        self.waits = []

    def __call__(self, event):
        if event.throttle_time > 0:
            self.waits.append(event.throttle_time)


def test_a_producer_with_a_quota_is_slowed_and_loses_nothing_others_are_not(cluster):
    create(cluster, "t")
    create(cluster, "u")
    leader = settled_leader(cluster, "t")
    run(leader, "EVEN.QUOTA", "SET", "CLIENT", "slow", "PRODUCER", 30_000)
    run(leader, "EVEN.QUOTA", "SET", "CLIENT-DEFAULTS", "PRODUCER", 1 << 40)
    slow_told, fast_told = Throttled(), Throttled()
    small = {"batch.num.messages": 10, "enable.idempotence": True}
    slow = Produced(cluster, **small, **{"client.id": "slow", "throttle_cb": slow_told})
    slow_values = [f"{number:04} {'s' * 1000}" for number in range(500)]
    for value in slow_values:
        slow.send("t", value)

    def throttled():
        slow.producer.poll(0.05)
        return metrics(leader, "even_kafka_produce_throttled_requests_total").get(("", "slow"), 0) > 2
    until("the producer is slowed", throttled, 60)
    fast = Produced(cluster, **small, **{"client.id": "fast", "throttle_cb": fast_told})
    fast_values = [f"{number:04} {'f' * 1000}" for number in range(3000)]
    for value in fast_values:
        fast.send("u", value)
    fast.flush()
    # Whoever leads now, and after a restart, holds to the same.
    leader.kill9()
    leader.start()
    slow.flush()
    assert not slow.errors and not fast.errors
    assert slow_told.waits and not fast_told.waits
    assert [value for _, value in consume(cluster, "t")] == slow_values
    assert sorted(value for _, value in consume(cluster, "u")) == fast_values
    linked(cluster)
    assert quotas(leader) == [["CLIENT", "slow", "PRODUCER", "30000"], ["CLIENT-DEFAULTS", "PRODUCER", str(1 << 40)]]
    again = Produced(cluster, **small, **{"client.id": "slow"})
    for value in slow_values[:400]:
        again.send("t", value)
    until("it is slowed after the restart", lambda: again.producer.poll(0.05) is not None and any(
        metrics(node, "even_kafka_produce_throttled_requests_total").get(("", "slow"), 0) > 0 for node in cluster.running), 60)
    again.producer.purge()
    assert all(metrics(node, "even_kafka_produce_throttled_requests_total")[("", "<default>")] == 0
               for node in cluster.running)


def test_a_consumer_with_a_quota_is_slowed_and_misses_nothing_others_are_not(cluster):
    create(cluster, "t")
    leader = settled_leader(cluster, "t")
    produced = Produced(cluster, **{"batch.num.messages": 10})
    values = [f"{number:04} {'v' * 1000}" for number in range(500)]
    for value in values:
        produced.send("t", value)
    produced.flush()
    run(leader, "EVEN.QUOTA", "SET", "USER", "default", "CLIENT", "slow", "CONSUMER", 30_000)
    run(leader, "EVEN.QUOTA", "SET", "USER", "default", "CONSUMER", 1 << 40)

    def consumed(client_id, told):
        consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none", "client.id": client_id,
                                   "enable.auto.commit": False, "throttle_cb": told})
        consumer.assign([kafka.TopicPartition("t", 0, 0)])
        got = []

        def some():
            message = consumer.poll(0.2)
            if message is not None:
                assert message.error() is None, message.error()
                got.append(message.value().decode())
            return len(got) >= len(values)
        until("all records", some, 90, 0)
        consumer.close()
        return got
    told = Throttled()
    assert consumed("fast", told) == values and not told.waits
    assert consumed("slow", told) == values and told.waits
    throttled = metrics(leader, "even_kafka_fetch_throttled_requests_total")
    assert throttled[("default", "slow")] > 0 and throttled[("default", "")] == 0
    assert metrics(leader, "even_kafka_fetch_bytes_total")[("default", "slow")] > 500_000
    assert metrics(leader, "even_kafka_fetch_throttle_time_seconds_total")[("default", "slow")] > 1
    # Of the 500 kB 300 may come at once, and then no more than a second's worth, with a batch: the rest is many answers.
    assert throttled[("default", "slow")] >= 4


def test_kafka_python_is_slowed_and_loses_nothing(cluster, tmp_path):
    built = ROOT / "build/clients/python"
    assert (built / "kafka").is_dir(), "./dev setup installs what this needs"
    create(cluster, "t")
    leader = settled_leader(cluster, "t")
    run(leader, "EVEN.QUOTA", "SET", "CLIENT", "slow", "PRODUCER", 3_000)
    with (tmp_path / "client.log").open("w") as log:
        program = subprocess.Popen([sys.executable, ROOT / "tests/clients/python_topics.py", "produce", "t", "1",
                                    f"bootstrap.servers={servers(cluster)}", "client.id=slow", "acks=all"],
                                   env={**os.environ, "PYTHONPATH": str(built)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=log, text=True)
        try:
            until("it is slowed", lambda: program.poll() is None and
                  metrics(leader, "even_kafka_produce_throttled_requests_total").get(("", "slow"), 0) > 3, 90)
            out, _ = program.communicate(timeout=120)
        finally:
            program.kill()
            program.wait()
    sent = int(re.search(r"^sent (\d+)$", out, re.MULTILINE).group(1))
    assert program.returncode == 0 and "failed" not in out
    assert [value for _, value in consume(cluster, "t")] == [str(number) for number in range(sent)]
