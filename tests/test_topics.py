"""Topics as unmodified clients of Kafka use them: kcat and librdkafka, on three nodes."""

import socket
import struct
import subprocess
import threading

import pytest
import redis
from even_cluster import HOST, Cluster, until

kafka = pytest.importorskip("confluent_kafka")
from confluent_kafka.admin import AdminClient  # noqa: E402


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.start()
    yield cluster
    cluster.kill()


def servers(cluster):
    return ",".join(f"{HOST}:{node.kafka_port}" for node in cluster)


def create(cluster, topic, partitions=1):
    with cluster.running[0].client() as client:
        assert client.execute_command("EVEN.TOPIC", "CREATE", topic, "PARTITIONS", partitions)


def partition_at(node, topic, partition=0):
    """What a node says of a partition: {"leader": ..., "end": ...}; None if it has none or knows no such topic yet."""
    with node.client() as client:
        try:
            info = client.execute_command("EVEN.TOPIC", "INFO", topic)
        except redis.ResponseError:
            return None
    for here in dict(zip(info[::2], info[1::2]))["here"]:
        here = dict(zip(here[::2], here[1::2]))
        if here["partition"] == partition:
            return here
    return None


def leader_of(cluster, topic, partition=0):
    """The node that leads a partition, as all running nodes say."""
    def agreed():
        leaders = {here["leader"] if here else None
                   for here in (partition_at(node, topic, partition) for node in cluster.running)}
        leader = leaders.pop()
        return leader if not leaders and leader and cluster[leader].running else None
    return cluster[until(f"a leader of {topic}/{partition}", agreed)]


class Produced:
    """A producer, and what it was told about each record."""

    def __init__(self, cluster, **options):
        self.producer = kafka.Producer({"bootstrap.servers": servers(cluster), "acks": "all", "linger.ms": 2,
                                        "message.timeout.ms": 60000, **options})
        self.offsets = {}  # of acknowledged records: value -> (partition, offset)
        self.errors = []

    def send(self, topic, value, key=None):
        def told(error, message):
            if error is not None:
                self.errors.append((value, str(error)))
            else:
                self.offsets[value] = (message.partition(), message.offset())
        while True:
            try:
                self.producer.produce(topic, value=value, key=key, callback=told)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def flush(self):
        assert self.producer.flush(60) == 0


def offsets_of(cluster, at):
    """The first and the last offset of a partition; None while its leader changes or a node does not know the topic yet.

    Each attempt is a client of its own: one that was told that there is no such topic believes it for half a minute.
    """
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none"})
    try:
        return consumer.get_watermark_offsets(at, timeout=5)
    except kafka.KafkaException as error:
        known = (kafka.KafkaError.NOT_LEADER_FOR_PARTITION, kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
                 kafka.KafkaError._UNKNOWN_PARTITION, kafka.KafkaError._UNKNOWN_TOPIC)
        assert error.args[0].retriable() or error.args[0].code() in known, error
        return None
    finally:
        consumer.close()


def until_all_vote(cluster):
    """Waits until a node that has lost its disk is a member again of every group, and its former member of none."""
    def groups_of(node):
        with node.client() as client:
            return [dict(zip(g[::2], g[1::2])) for g in client.execute_command("EVEN.GROUPS")]

    def vote():
        groups = {node.name: groups_of(node) for node in cluster}
        return (len({tuple(group["group"] for group in each) for each in groups.values()}) == 1
                and not any(group["learners"] or group["outgoing"] for each in groups.values() for group in each))
    until("all members vote", vote, 60)


def consume(cluster, topic, partition=0, start=0, end=None):
    """All records of a partition up to its end: [(offset, value)]."""
    at = kafka.TopicPartition(topic, partition, start)
    if end is None:
        end = until("the offsets", lambda: offsets_of(cluster, at), 60)[1]
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none", "enable.auto.commit": False})
    try:
        consumer.assign([at])
        records = []
        while not records or records[-1][0] < end - 1:
            if end == start:
                break
            message = consumer.poll(30)
            assert message is not None, f"{len(records)} of {end - start} records"
            assert message.error() is None, message.error()
            records.append((message.offset(), message.value().decode()))
        return records
    finally:
        consumer.close()


def kcat(cluster, *arguments, text=None):
    outcome = subprocess.run(["kcat", "-b", servers(cluster), *arguments], input=text, capture_output=True, text=True,
                             timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def test_kcat_gets_what_it_has_sent(cluster):
    create(cluster, "orders", 3)
    lines = [f"order {i}" for i in range(2000)]
    kcat(cluster, "-P", "-t", "orders", "-X", "acks=all", text="\n".join(lines) + "\n")
    got = kcat(cluster, "-C", "-t", "orders", "-e", "-q").splitlines()
    assert sorted(got) == sorted(lines)
    listed = kcat(cluster, "-L")
    assert 'topic "orders" with 3 partitions' in listed
    assert "3 brokers" in listed


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_stay_as_they_came(cluster, codec):
    create(cluster, "t")
    produced = Produced(cluster, **{"compression.type": codec, "linger.ms": 50})
    values = [f"{i} " + "x" * 200 for i in range(500)]
    for value in values:
        produced.send("t", value)
    produced.flush()
    assert not produced.errors
    assert consume(cluster, "t") == list(enumerate(values))


def test_an_admin_creates_and_drops(cluster):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({"bootstrap.servers": servers(cluster)})
    for future in admin.create_topics([NewTopic("a", 2, 3), NewTopic("b", 1, 3)]).values():
        future.result(30)
    assert {"a", "b"} <= set(admin.list_topics(timeout=10).topics)
    with pytest.raises(kafka.KafkaException, match="TOPIC_ALREADY_EXISTS"):
        admin.create_topics([NewTopic("a", 2, 3)])["a"].result(30)
    with pytest.raises(kafka.KafkaException, match="INVALID_REPLICATION_FACTOR"):
        admin.create_topics([NewTopic("c", 2, 4)])["c"].result(30)
    with pytest.raises(kafka.KafkaException, match="INVALID_CONFIG"):
        admin.create_topics([NewTopic("c", 2, 3, config={"compression.type": "gzip"})])["c"].result(30)
    admin.delete_topics(["a"])["a"].result(30)
    with cluster["n2"].client() as client:
        assert client.execute_command("EVEN.TOPIC", "LIST") == ["b"]
    with pytest.raises(kafka.KafkaException, match="UNKNOWN_TOPIC_OR_PART"):
        admin.delete_topics(["a"])["a"].result(30)


def test_a_leaders_death_loses_nothing_that_was_acknowledged(cluster):
    create(cluster, "t", 3)
    leaders = [leader_of(cluster, "t", partition) for partition in range(3)]
    produced = Produced(cluster)
    victim = leaders[0]
    killed = threading.Event()

    def kill():
        until("some records", lambda: len(produced.offsets) > 2000, 60)
        victim.kill9()
        killed.set()
    killer = threading.Thread(target=kill)
    killer.start()
    number = 0
    # Until well after the death of the leader.
    after = None
    while after is None or number < after:
        produced.send("t", f"{number}", key=f"{number}")
        number += 1
        if after is None and killed.is_set():
            after = number + 5000
    produced.flush()
    killer.join()
    assert len(produced.offsets) > 2000
    seen = {}
    for partition in range(3):
        records = consume(cluster, "t", partition)
        assert [offset for offset, _ in records] == list(range(len(records))), "offsets are dense"
        seen.update({(partition, offset): value for offset, value in records})
    for value, place in produced.offsets.items():
        assert seen[place] == value, f"{value} was acknowledged at {place}"


def test_records_survive_restarts_and_are_read_from_the_store(cluster):
    create(cluster, "t")
    produced = Produced(cluster)
    values = [f"{i} " + "y" * 300 for i in range(3000)]
    for value in values[:2000]:
        produced.send("t", value)
    produced.flush()
    cluster.stop()  # which stores all
    cluster.start()
    leader_of(cluster, "t")
    for value in values[2000:]:
        produced.send("t", value)
    produced.flush()
    assert not produced.errors
    expected = list(enumerate(values))
    assert consume(cluster, "t") == expected
    cluster.kill()  # what is not stored is in the logs
    cluster.start()
    leader_of(cluster, "t")
    assert consume(cluster, "t") == expected


def test_a_node_with_an_emptied_disk_is_given_all_records(cluster):
    create(cluster, "t")
    leader = leader_of(cluster, "t")
    produced = Produced(cluster)
    values = [f"{i} " + "z" * 500 for i in range(5000)]
    for value in values:
        produced.send("t", value)
    produced.flush()
    cluster.stop()
    cluster.start()
    leader = leader_of(cluster, "t")
    lost, other = [node for node in cluster if node is not leader]
    lost.kill9()
    subprocess.run(["rm", "-rf", lost.data], check=True)
    lost.data.mkdir()
    lost.start()

    until("all records at the node", lambda: (partition_at(lost, "t") or {"end": 0})["end"] == len(values), 60)
    until_all_vote(cluster)
    values += ["behind the change of members", "last"]
    produced.send("t", values[-2])
    produced.flush()
    other.kill9()
    leader_of(cluster, "t")
    produced.send("t", values[-1])
    produced.flush()
    assert consume(cluster, "t") == list(enumerate(values))


def test_offsets_are_found_by_time(cluster):
    create(cluster, "t")
    produced = Produced(cluster, **{"linger.ms": 0})
    for i in range(10):
        produced.producer.produce("t", value=f"{i}", timestamp=1000 + i * 100)
        produced.flush()
    consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": "none"})
    def at(time):
        found = consumer.offsets_for_times([kafka.TopicPartition("t", 0, time)], timeout=20)[0]
        assert found.error is None
        return found.offset
    assert [at(1000), at(1001), at(1500), at(1900)] == [0, 1, 5, 9]
    assert at(1901) in (-1, 10)  # the end, as this client has it
    assert consumer.get_watermark_offsets(kafka.TopicPartition("t", 0), timeout=20) == (0, 10)
    consumer.close()


def request(key, version, body, correlation=7):
    frame = struct.pack(">hhi", key, version, correlation) + struct.pack(">h", 2) + b"me" + body
    return struct.pack(">i", len(frame)) + frame


def exchange(node, *frames):
    """The answers to these, without their lengths; fewer if the node ends the connection."""
    with socket.create_connection((HOST, node.kafka_port), timeout=20) as connection:
        connection.sendall(b"".join(frames))
        stream = connection.makefile("rb")
        answers = []
        for _ in frames:
            size = stream.read(4)
            if len(size) < 4:
                break
            answers.append(stream.read(struct.unpack(">i", size)[0]))
        return answers


def test_bad_input_is_refused_as_kafka_does(cluster):
    create(cluster, "t")
    leader = leader_of(cluster, "t")
    node = cluster["n1"]
    # An unknown version of ApiVersions is answered in version 0, with error 35 and the whole list.
    answer, = exchange(node, request(18, 99, b""))
    correlation, error, count = struct.unpack(">ihi", answer[:10])
    assert (correlation, error) == (7, 35) and len(answer) == 10 + 6 * count
    # Unknown requests, versions and malformed ones end the connection.
    assert exchange(node, request(999, 0, b"")) == []
    assert exchange(node, request(3, 99, b"")) == []
    assert exchange(node, request(3, 1, b"\x7f\xff\xff\xff")) == []
    assert exchange(node, struct.pack(">i", 0)) == []
    assert exchange(node, struct.pack(">i", -1)) == []

    def produce(records, topic=b"t", partition=0, acks=-1):
        body = struct.pack(">hhi", -1, acks, 10000) + struct.pack(">i", 1) + struct.pack(">h", len(topic)) + topic
        body += struct.pack(">iii", 1, partition, len(records)) + records
        answer, = exchange(leader, request(0, 3, body))
        return struct.unpack(">h", answer[4 + 4 + 2 + len(topic) + 4 + 4:][:2])[0]
    assert produce(b"") == 2  # CORRUPT_MESSAGE
    assert produce(b"x" * 70) == 2
    assert produce(b"\0" * 2_000_000) == 10  # MESSAGE_TOO_LARGE
    assert produce(b"\0" * 70, topic=b"u") == 3  # UNKNOWN_TOPIC_OR_PARTITION
    assert produce(b"\0" * 70, partition=1) == 3
    assert produce(b"\0" * 70) == 43  # UNSUPPORTED_FOR_MESSAGE_FORMAT: an older one
    assert produce(b"\0" * 70, acks=5) == 42  # INVALID_REQUEST
    assert consume(cluster, "t", end=0) == []
    # All of it left the nodes as they were.
    produced = Produced(cluster)
    produced.send("t", "fine")
    produced.flush()
    assert consume(cluster, "t") == [(0, "fine")]


def test_without_a_majority_nothing_is_acknowledged(cluster):
    create(cluster, "t")
    leader = leader_of(cluster, "t")
    produced = Produced(cluster)
    produced.send("t", "first")
    produced.flush()
    for node in cluster:
        if node is not leader:
            node.kill9()
    alone = Produced(cluster, **{"message.timeout.ms": 4000})
    alone.send("t", "alone")
    alone.producer.flush(30)
    assert alone.errors and not alone.offsets
    for node in cluster:
        if not node.running:
            node.start()
    leader_of(cluster, "t")
    produced.send("t", "second")
    produced.flush()
    values = [value for _, value in consume(cluster, "t")]
    assert values[0] == "first" and values[-1] == "second" and len(values) <= 3


class Member:
    """A consumer in a group, on a thread of its own, and what it has got."""

    def __init__(self, cluster, group, topic, **options):
        self.consumer = kafka.Consumer({"bootstrap.servers": servers(cluster), "group.id": group,
                                        "auto.offset.reset": "earliest", "session.timeout.ms": 6000,
                                        "enable.auto.commit": False, **options})
        self.assigned = None
        self.changes = 0
        self.values = []
        self.stopping = False
        self.consumer.subscribe([topic], on_assign=lambda _, partitions: self.note(partitions),
                                on_revoke=lambda _, partitions: self.note(()))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def note(self, partitions):
        self.assigned = {partition.partition for partition in partitions}
        self.changes += 1

    def run(self):
        while not self.stopping:
            message = self.consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            self.values.append(message.value().decode())
            try:
                self.consumer.commit(message=message, asynchronous=False)
            except kafka.KafkaException:
                pass  # it is given the record again, or another member is

    def stop(self):
        self.stopping = True
        self.thread.join(60)
        assert not self.thread.is_alive()
        self.consumer.close()


def test_a_group_shares_partitions_and_goes_on_where_it_was(cluster):
    create(cluster, "t", 4)
    produced = Produced(cluster)
    for i in range(400):
        produced.send("t", f"{i}", key=f"{i}")
    produced.flush()
    one, two = Member(cluster, "g", "t"), Member(cluster, "g", "t")
    until("both have partitions, all together",
          lambda: one.assigned and two.assigned and not one.assigned & two.assigned
          and one.assigned | two.assigned == {0, 1, 2, 3}, 60)
    until("all records", lambda: len(set(one.values + two.values)) == 400, 60)
    one.stop()
    until("the other has all partitions", lambda: two.assigned == {0, 1, 2, 3}, 60)
    before = len(two.values)
    for i in range(400, 500):
        produced.send("t", f"{i}", key=f"{i}")
    produced.flush()
    until("the new records", lambda: len(two.values) >= before + 100, 60)
    two.stop()
    # Whoever comes later begins behind what was committed.
    produced.send("t", "new", key="new")
    produced.flush()
    three = Member(cluster, "g", "t")
    until("the newest record", lambda: three.values, 60)
    three.stop()
    assert three.values == ["new"]


def test_a_coordinators_death_loses_no_offset(cluster):
    create(cluster, "t", 2)
    produced = Produced(cluster)
    for i in range(100):
        produced.send("t", f"{i}", key=f"{i}")
    produced.flush()
    member = Member(cluster, "g", "t")
    until("the first records", lambda: len(set(member.values)) == 100, 60)
    with cluster["n1"].client() as client:
        offsets = until("all are committed", lambda: sum(
            int(value.split()[0]) for value in client.hgetall("__consumer_groups:g").values()) == 100 and
            client.hgetall("__consumer_groups:g"))
    assert set(offsets) == {"t/0", "t/1"}
    answer, = exchange(cluster["n1"], request(10, 0, struct.pack(">h", 1) + b"g"))  # FindCoordinator
    _, error, number = struct.unpack(">ihi", answer[:10])
    assert error == 0
    coordinator = cluster[f"n{number}"]
    coordinator.kill9()
    for i in range(100, 200):
        produced.send("t", f"{i}", key=f"{i}")
    produced.flush()
    until("the rest", lambda: len(set(member.values)) == 200, 90)
    member.stop()
    assert len(member.values) <= 202, "what was committed is not read again"


def test_an_idempotent_producer_goes_on_when_its_topic_is_made_again(cluster):
    create(cluster, "t")
    leader_of(cluster, "t")
    produced = Produced(cluster, **{"enable.idempotence": True, "linger.ms": 0, "batch.num.messages": 5})
    stop = threading.Event()
    sent = 0

    def send():
        nonlocal sent
        while not stop.is_set():
            produced.send("t", f"{sent}")
            sent += 1
            # No more is on its way than is acknowledged in a moment, also on a busy machine.
            produced.producer.poll(0.01 if len(produced.producer) > 500 else 0)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(3):
            before = len(produced.offsets)
            until("records are acknowledged", lambda: produced.errors or len(produced.offsets) > before + 500, 60)
            with cluster["n1"].client() as client:
                assert client.execute_command("EVEN.TOPIC", "DROP", "t") == "OK"
            create(cluster, "t")
        before = len(produced.offsets)
        until("records of the new topic are acknowledged",
              lambda: produced.errors or len(produced.offsets) > before + 500, 60)
    finally:
        stop.set()
        sender.join()
    produced.flush()
    assert not produced.errors, produced.errors[:3]
    # What is not in the former topics is in this one, each once and in its order.
    values = [int(value) for _, value in consume(cluster, "t")]
    assert values == list(range(values[0], sent)), (values[:3], values[-3:], len(values), sent)


def coordinator_of(cluster, group):
    """The node that coordinates a group, as a node says that does."""
    def found():
        for node in cluster.running:
            # FindCoordinator
            answer, = exchange(node, request(10, 0, struct.pack(">h", len(group)) + group.encode()))
            _, error, number = struct.unpack(">ihi", answer[:10])
            if error == 0 and cluster[f"n{number}"].running:
                return f"n{number}"
        return None
    return cluster[until(f"a coordinator of {group}", found)]


def test_no_coordinator_is_made_that_would_hide_keys(cluster):
    def ask(name, key_type):  # FindCoordinator
        answer, = exchange(cluster["n1"], request(10, 1, struct.pack(">h", len(name)) + name + struct.pack(">b", key_type)))
        return struct.unpack(">h", answer[8:10])[0]
    # No keys are hidden by the keyspaces that are made for it.
    keys = ["__consumer_groups:mine", "__transactions:mine"]
    with cluster["n2"].client() as client:
        for key, name, key_type in zip(keys, (b"g", b"tx"), (0, 1)):
            client.set(key, "v")
            assert ask(name, key_type) == 15
            assert client.get(key) == "v"
            assert client.execute_command("EVEN.KEYSPACE", "LIST") == ["default"]
        client.delete(*keys)
    until("there is one of groups", lambda: ask(b"g", 0) == 0, 30)
    until("there is one of transactions", lambda: ask(b"tx", 1) == 0, 30)


def test_whoever_asks_for_a_coordinator_first_is_told_of_one(cluster):
    """Not that there is none at the moment: librdkafka 2.0 asks for 200 ms, and then lets its caller wait for good."""
    def ask(name, key_type):  # FindCoordinator
        answer, = exchange(cluster["n1"], request(10, 1, struct.pack(">h", len(name)) + name + struct.pack(">b", key_type)))
        return struct.unpack(">h", answer[8:10])[0]
    assert ask(b"g", 0) == 0
    assert ask(b"tx", 1) == 0
    # Without a majority there is none, and that is said.
    cluster["n2"].kill9()
    cluster["n3"].kill9()
    until("there is no coordinator", lambda: ask(b"g", 0) == 15, 60)


def described(cluster, group):
    """Of a group: its state, and of each member its id and what it is assigned, in bytes."""
    def found():
        try:
            groups = AdminClient({"bootstrap.servers": servers(cluster)}).list_groups(group, timeout=10)
        except kafka.KafkaException:
            return None  # nobody leads it for now
        if len(groups) != 1 or groups[0].error is not None:
            return None
        return groups[0].state, {member.id: member.assignment for member in groups[0].members}
    return until(f"what {group} is", found, 60)


def test_a_coordinators_death_moves_no_member(cluster):
    """Whichever node coordinates is killed, in turn: nobody is told of a rebalance, and no record comes twice or never."""
    create(cluster, "t", 4)
    leader_of(cluster, "t")
    produced = Produced(cluster)
    options = {"session.timeout.ms": 30000, "heartbeat.interval.ms": 500}
    members = [Member(cluster, "g", "t", **options) for _ in range(2)]
    until("both have partitions, all together",
          lambda: all(m.assigned for m in members) and not members[0].assigned & members[1].assigned
          and members[0].assigned | members[1].assigned == {0, 1, 2, 3}, 60)
    state, before = described(cluster, "g")
    assert state == "Stable" and len(before) == 2 and all(before.values())
    changes = [each.changes for each in members]

    sent = 0
    for _ in range(3):
        coordinator = coordinator_of(cluster, "g")
        coordinator.kill9()
        for i in range(sent, sent + 200):
            produced.send("t", f"{i}", key=f"{i}")
        sent += 200
        produced.flush()
        until("all records", lambda: len(members[0].values) + len(members[1].values) >= sent, 90)
        assert coordinator_of(cluster, "g") is not coordinator
        # Members are as they were, and heartbeats of the same generation go on.
        assert described(cluster, "g") == ("Stable", before)
        coordinator.start()
        leader_of(cluster, "t")
    assert [each.changes for each in members] == changes, "nobody was told of a rebalance"
    for member in members:
        member.stop()
    assert sorted(members[0].values + members[1].values, key=int) == [str(i) for i in range(sent)]
    # Nor is anything lost that was committed, or committed anew when the coordinator was gone.
    offsets = until("all is committed", lambda: committed(cluster, "g"))
    assert sum(offsets.values()) >= sent - 8


def committed(cluster, group):
    """The offsets of a group, by topic and partition."""
    with cluster.running[0].client() as client:
        return {place: int(value.split()[0]) for place, value in client.hgetall(f"__consumer_groups:{group}").items()}


def test_static_members_keep_their_places_where_the_coordinator_dies(cluster):
    create(cluster, "t", 4)
    leader_of(cluster, "t")
    members = {name: StaticMember(cluster, name, "t") for name in ("A", "B")}
    try:
        until("the partitions are shared out", lambda: all(m.assigned for m in members.values()) and
              sorted(members["A"].assigned + members["B"].assigned) == [0, 1, 2, 3], 60)
        had = members["B"].assigned
        changes = members["A"].changes
        members.pop("B").stop()  # it does not leave
        coordinator = coordinator_of(cluster, "static")
        coordinator.kill9()
        members["B"] = StaticMember(cluster, "B", "t")
        until("it has partitions again", lambda: members["B"].assigned, 90)
        assert members["B"].assigned == had
        # And again, with the id that it has been given by the successor.
        state, known = described(cluster, "static")
        assert state == "Stable" and len(known) == 2 and all(known.values())
        coordinator.start()
        leader_of(cluster, "t")
        coordinator_of(cluster, "static").kill9()
        assert described(cluster, "static") == (state, known)
        assert members["A"].changes == changes and members["A"].assigned
        assert members["B"].assigned == had
        produced = Produced(cluster)
        for i in range(40):
            produced.send("t", f"v{i}", key=f"k{i}")
        produced.flush()
        until("all is consumed", lambda: len(members["A"].seen) + len(members["B"].seen) == 40, 60)
    finally:
        for member in members.values():
            member.stop()


def test_who_is_gone_with_the_coordinator_is_out_after_its_session(cluster):
    create(cluster, "t", 4)
    leader_of(cluster, "t")
    members = {name: StaticMember(cluster, name, "t", **{"session.timeout.ms": 8000}) for name in ("A", "B")}
    try:
        until("the partitions are shared out", lambda: all(m.assigned for m in members.values()) and
              sorted(members["A"].assigned + members["B"].assigned) == [0, 1, 2, 3], 60)
        members.pop("B").stop()  # it does not leave
        coordinator_of(cluster, "static").kill9()
        assert len(described(cluster, "static")[1]) == 2
        until("the other has all partitions", lambda: members["A"].assigned == [0, 1, 2, 3], 60)
        assert len(described(cluster, "static")[1]) == 1
    finally:
        for member in members.values():
            member.stop()


class StaticMember:
    """A static member of a group, polled by a thread, and what it has been assigned."""

    def __init__(self, cluster, instance, topic, **options):
        self.assigned = None
        self.changes = 0
        self.error = None
        self.seen = []
        self.stopping = threading.Event()
        self.consumer = kafka.Consumer({
            "bootstrap.servers": servers(cluster), "group.id": "static", "group.instance.id": instance,
            "auto.offset.reset": "earliest", "session.timeout.ms": 30000, "heartbeat.interval.ms": 500,
            "enable.auto.commit": False, **options})
        self.consumer.subscribe([topic], on_assign=self._changed, on_revoke=self._revoked)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _changed(self, _, partitions):
        self.assigned = sorted(each.partition for each in partitions)
        self.changes += 1

    def _revoked(self, _, __):
        self.assigned = None

    def _run(self):
        while not self.stopping.is_set():
            message = self.consumer.poll(0.2)
            # A member that is fenced is told so, or that what it was told is fatal.
            if message is not None and message.error() is not None and \
                    message.error().code() in (kafka.KafkaError._FATAL, kafka.KafkaError.FENCED_INSTANCE_ID):
                self.error = message.error()
                return
            if message is not None and message.error() is None:
                self.seen.append(message.value().decode())

    def stop(self):
        self.stopping.set()
        self.thread.join(30)
        self.consumer.close()


def test_a_static_member_that_comes_back_has_its_partitions_and_disturbs_nobody(cluster):
    create(cluster, "t", 4)
    leader_of(cluster, "t")
    members = {name: StaticMember(cluster, name, "t") for name in ("A", "B")}
    try:
        def shared():
            return all(m.assigned for m in members.values()) and \
                sorted(members["A"].assigned + members["B"].assigned) == [0, 1, 2, 3]
        until("the partitions are shared out", shared, 60)
        had = members["B"].assigned
        changes = members["A"].changes
        members.pop("B").stop()  # it does not leave
        members["B"] = StaticMember(cluster, "B", "t")
        until("it has partitions again", lambda: members["B"].assigned, 60)
        assert members["B"].assigned == had
        assert members["A"].changes == changes and members["A"].assigned
        produced = Produced(cluster)
        for i in range(40):
            produced.send("t", f"v{i}", key=f"k{i}")
        produced.flush()
        until("all is consumed", lambda: len(members["A"].seen) + len(members["B"].seen) == 40, 60)
        # Another one of the same name shuts the first out.
        members["other"] = StaticMember(cluster, "B", "t")
        until("the first is fenced", lambda: members["B"].error, 60)
        assert "FENCED" in str(members["B"].error).upper()
        until("the other has its partitions", lambda: members["other"].assigned == had, 60)
    finally:
        for member in members.values():
            member.stop()
