"""`even topic` on three nodes: create, list, describe, produce, consume, lag."""

import json
import signal
import subprocess

import pytest
from even_cluster import BIN, HOST, Cluster, until


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.start()
    yield cluster
    cluster.kill()


def command(cluster, *words):
    nodes = [option for node in cluster for option in ("--node", f"{HOST}:{node.port}")]
    return [BIN / "even", "topic", *words, *nodes]


def even(cluster, *words, text=None, code=0):
    outcome = subprocess.run(command(cluster, *words), input=text, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == code, outcome.stderr + outcome.stdout
    return outcome.stdout if code == 0 else outcome.stderr


def test_from_a_topic_to_its_records(cluster):
    assert even(cluster, "create", "orders", "--partitions", "3", "--retention", "7d", "--bytes", "1GiB") \
        == "topic orders created\n"
    assert even(cluster, "list") == "orders\n"
    described = even(cluster, "describe", "orders")
    assert "3 partitions, 3 replicas, retention 7d, bytes 1.0GiB" in described
    lines = [f"k{i}:order {i}" for i in range(2000)]
    even(cluster, "produce", "orders", "--key-separator", ":", text="\n".join(lines) + "\n")
    def complete():
        rows = [row.split() for row in even(cluster, "describe", "orders").splitlines()[3:]]
        return sum(int(row[4]) for row in rows) == 2000 and all(row[1] != "none" for row in rows)
    until("all nodes know all records", complete)
    got = even(cluster, "consume", "orders").splitlines()
    assert sorted(got) == sorted(f"order {i}" for i in range(2000))
    got = even(cluster, "consume", "orders", "--format", "key-value").splitlines()
    assert sorted(got) == sorted(f"k{i}\torder {i}" for i in range(2000))
    got = [json.loads(line) for line in even(cluster, "consume", "orders", "--partition", "1", "--from", "3", "--count",
                                             "2", "--format", "json").splitlines()]
    assert [(record["partition"], record["offset"]) for record in got] == [(1, 3), (1, 4)]
    assert got[0]["key"] == "k" + got[0]["value"].split()[1]


def test_a_group_goes_on_where_it_was(cluster):
    even(cluster, "create", "t")
    even(cluster, "produce", "t", text="a\nb\nc\n")
    until("the records", lambda: even(cluster, "consume", "t") == "a\nb\nc\n")
    assert "none" in even(cluster, "lag", "t", "--group", "g").splitlines()[1]
    assert even(cluster, "consume", "t", "--group", "g", "--count", "2") == "a\nb\n"
    assert even(cluster, "lag", "t", "--group", "g").splitlines()[1].split() == ["0", "2", "3", "1"]
    assert even(cluster, "consume", "t", "--group", "g") == "c\n"
    assert even(cluster, "consume", "t", "--group", "g") == ""
    # Kafka's clients see the same offsets.
    kafka = pytest.importorskip("confluent_kafka")
    consumer = kafka.Consumer({"bootstrap.servers": ",".join(f"{HOST}:{n.kafka_port}" for n in cluster),
                               "group.id": "g"})
    committed, = consumer.committed([kafka.TopicPartition("t", 0)], timeout=30)
    assert committed.offset == 3
    consumer.close()


def test_it_follows_until_it_is_interrupted(cluster):
    even(cluster, "create", "t", "--partitions", "2")
    follower = subprocess.Popen(command(cluster, "consume", "t", "--follow", "--from", "latest"),
                                stdout=subprocess.PIPE, text=True)
    try:
        # It begins at the end of when it looked.
        probe = 0
        while not probe:
            even(cluster, "produce", "t", text="probe\n")
            probe = follower.stdout.readline() == "probe\n"
        # The death of the node that it asks changes nothing.
        cluster["n1"].kill9()
        def produced():
            outcome = subprocess.run(command(cluster, "produce", "t"), input="last\n", capture_output=True, text=True,
                                     timeout=60)
            return outcome.returncode == 0
        until("somebody leads", produced, 60)
        line = follower.stdout.readline()
        while line == "probe\n":
            line = follower.stdout.readline()
        assert line == "last\n"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 0
    finally:
        follower.kill()
        follower.wait()


def test_mistakes_are_said(cluster):
    assert "no topic 'u'" in even(cluster, "describe", "u", code=1)
    assert "no topic 'u'" in even(cluster, "produce", "u", text="x\n", code=1)
    assert "no topic 'u'" in even(cluster, "consume", "u", code=1)
    assert "--retention is a time" in even(cluster, "create", "u", "--retention", "7y", code=2)
    even(cluster, "create", "t")
    assert "there is a topic 't' already" in even(cluster, "create", "t", code=1)
    assert "--from is" in even(cluster, "consume", "t", "--from", "yesterday", code=2)
    assert "partitions 0 to 0" in even(cluster, "consume", "t", "--partition", "1", code=2)
    nobody = subprocess.run([BIN / "even", "topic", "list", "--node", f"{HOST}:1"], capture_output=True, text=True,
                            timeout=60)
    assert nobody.returncode == 1 and f"{HOST}:1" in nobody.stderr
    helped = subprocess.run([BIN / "even", "topic", "consume", "--help"], capture_output=True, text=True, timeout=60)
    assert helped.returncode == 0 and "--from" in helped.stdout and "--group" in helped.stdout
