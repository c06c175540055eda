"""Leader epochs of topics: what a consumer is told that asks whether what it has read is still there (KIP-320)."""

import struct

import pytest
from even_cluster import Cluster, until

kafka = pytest.importorskip("confluent_kafka")

from test_topics import Produced, create, exchange, leader_of, partition_at, request  # noqa: E402

NONE, UNKNOWN_TOPIC, NOT_LEADER, FENCED, UNKNOWN = 0, 3, 6, 74, 75


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.start()
    yield cluster
    cluster.kill()


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def epoch_end(node, epoch, topic="t", partition=0, current=-1, version=3):
    """What OffsetForLeaderEpoch answers: (error, epoch, end offset)."""
    body = struct.pack(">i", -1) if version >= 3 else b""
    body += struct.pack(">i", 1) + text(topic) + struct.pack(">ii", 1, partition)
    body += struct.pack(">i", current) if version >= 2 else b""
    answer, = exchange(node, request(23, version, body + struct.pack(">i", epoch)))
    at = 4 + (4 if version >= 2 else 0) + 4 + 2 + len(topic) + 4
    if version == 0:
        error, number, end = struct.unpack(">hiq", answer[at:])
        return error, None, end
    error, number, known, end = struct.unpack(">hiiq", answer[at:])
    assert number == partition
    return error, known, end


def epoch_of(node, topic="t"):
    """The leader epoch of the first partition, as Metadata has it."""
    answer, = exchange(node, request(3, 7, struct.pack(">i", 1) + text(topic) + b"\0"))
    at = 4 + 4
    brokers, = struct.unpack(">i", answer[at:at + 4])
    at += 4
    for _ in range(brokers):
        at += 4
        at += 2 + struct.unpack(">h", answer[at:at + 2])[0] + 4
        at += 2 + max(struct.unpack(">h", answer[at:at + 2])[0], 0)
    at += 2 + struct.unpack(">h", answer[at:at + 2])[0] + 4  # the cluster, and its controller
    at += 4 + 2 + 2 + len(topic) + 1 + 4
    error, _, leader, epoch = struct.unpack(">hiii", answer[at:at + 14])
    return epoch if error == NONE and leader > 0 else None


def listed(node, time, topic="t"):
    """What ListOffsets answers: (offset, epoch)."""
    body = struct.pack(">ibi", -1, 0, 1) + text(topic) + struct.pack(">iiiq", 1, 0, -1, time)
    answer, = exchange(node, request(2, 5, body))
    error, _, offset, epoch = struct.unpack(">hqqi", answer[-22:])
    assert error == NONE
    return offset, epoch


def epochs_of_batches(node, topic="t"):
    """Of what Fetch gives: [(base offset, leader epoch)]."""
    body = struct.pack(">iiiibii", -1, 0, 0, 1 << 20, 0, 0, -1) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">iiiqqi", 1, 0, -1, 0, -1, 1 << 20) + struct.pack(">i", 0) + text("")
    answer, = exchange(node, request(1, 11, body))
    at = 4 + 4 + 2 + 4 + 4 + 2 + len(topic) + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 4
    records = answer[at + 4:]
    assert len(records) == struct.unpack(">i", answer[at:at + 4])[0]
    batches = []
    while records:
        base, size, epoch = struct.unpack(">qii", records[:16])
        batches.append((base, epoch))
        records = records[12 + size:]
    return batches


def ends_of(batches, end):
    """As defined: {epoch: where the next one begins}."""
    epochs = sorted({epoch for _, epoch in batches})
    later = [min(base for base, of in batches if of == epoch) for epoch in epochs[1:]]
    return dict(zip(epochs, [*later, end]))


def known(cluster, end):
    """The leader, its epoch, the batches it serves, and what it answers about each epoch; of one and the same leader."""
    def attempt():
        node = leader_of(cluster, "t")
        current = epoch_of(node)
        if current is None or (partition_at(node, "t") or {}).get("end") != end:
            return None
        batches = epochs_of_batches(node)
        answers = {epoch: epoch_end(node, epoch) for epoch in range(current + 2)}
        same = epoch_of(node) == current and not any(answer[0] == NOT_LEADER for answer in answers.values())
        return (node, current, batches, answers) if same else None
    return until("a leader that stays", attempt, 60)


def check(cluster, end):
    """Every epoch's end is where the records of the next begin; the last epoch."""
    node, current, batches, answers = known(cluster, end)
    ends = ends_of(batches, end)
    for epoch in range(current):
        below = max((each for each in ends if each <= epoch), default=None)
        assert answers[epoch] == (NONE, epoch, 0) if below is None else (NONE, below, ends[below]), (epoch, answers, batches)
    assert answers[current] == (NONE, current, end)
    assert answers[current + 1] == (NONE, -1, -1)
    return node, current, batches


def test_the_end_of_an_epoch_is_where_the_next_begins(cluster):
    create(cluster, "t")
    leader_of(cluster, "t")
    produced = Produced(cluster)
    end = 0
    epochs = []
    for _ in range(3):
        for _ in range(3):
            produced.send("t", str(end))
            produced.flush()
            end += 1
        node, current, batches = check(cluster, end)
        epochs.append(current)
        node.kill9()
        leader_of(cluster, "t")
        node.start()
        until("the node again", lambda node=node: (partition_at(node, "t") or {}).get("end") == end)
    assert epochs == sorted(set(epochs))
    # From the store alone.
    for node in cluster:
        node.stop()
        node.start()
    until("the records", lambda: all((partition_at(node, "t") or {}).get("end") == end for node in cluster), 60)
    node, current, batches = check(cluster, end)
    first = batches[0][1]
    assert len({epoch for _, epoch in batches}) >= 3

    def settled():
        """What else is answered, by a leader that has been one meanwhile."""
        node, current, batches, answers = known(cluster, end)
        answers = {
            "each version": [epoch_end(node, first, version=version) for version in range(4)],
            "right": epoch_end(node, first, current=current), "early": epoch_end(node, first, current=current - 1),
            "late": epoch_end(node, first, current=current + 1), "none": epoch_end(node, -1),
            "topic": epoch_end(node, first, topic="u"), "partition": epoch_end(node, first, partition=1),
            "others": {epoch_end(other, first)[0] for other in cluster if other is not node},
            "listed": [listed(node, time) for time in (-2, -1, 0)]}
        return (answers, current) if epoch_of(node) == current else None
    answers, current = until("answers of one leader", settled, 60)
    end_of_first = ends_of(batches, end)[first]
    assert answers["each version"] == [(NONE, None, end_of_first), *[(NONE, first, end_of_first)] * 3]
    assert answers["right"] == (NONE, first, end_of_first)
    assert answers["early"] == (FENCED, -1, -1)
    assert answers["late"] == (UNKNOWN, -1, -1)
    assert answers["none"] == (NONE, -1, -1)
    assert answers["topic"] == answers["partition"] == (UNKNOWN_TOPIC, -1, -1)
    assert answers["others"] == {NOT_LEADER}
    assert answers["listed"] == [(0, first), (end, current), (0, first)]
