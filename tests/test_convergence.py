"""Clients write to any node and every replica ends up the same, whatever happens in between."""

import subprocess
import threading

import pytest
import redis

from even_cluster import HOST, until


def redis_cli(node, *arguments):
    return subprocess.run(["redis-cli", "-h", HOST, "-p", str(node.port), *arguments],
                          check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def batches(items, size=1000):
    for start in range(0, len(items), size):
        yield items[start:start + size]


def run(client, commands, size=1000):
    """Executes commands (tuples) in pipelines and returns the replies."""
    replies = []
    for batch in batches(commands, size):
        pipeline = client.pipeline(transaction=False)
        for command in batch:
            pipeline.execute_command(*command)
        replies += pipeline.execute()
    return replies


def test_a_value_set_on_one_node_is_read_on_another(cluster):
    """redis-cli sets a key on n1; redis-cli on n2 and n3 gets it."""
    assert redis_cli(cluster["n1"], "SET", "k", "v") == "OK"
    for name in ("n2", "n3"):
        until(f"{name} has the value", lambda: redis_cli(cluster[name], "GET", "k") == "v", seconds=5)


class Incrementer(threading.Thread):
    """Sends INCR to one node, one at a time, until `count` are acknowledged, reconnecting as often as it must."""

    def __init__(self, node, count):
        super().__init__(daemon=True)
        self.node, self.count = node, count
        self.acknowledged = 0
        self.unknown = 0  # sent, but the reply was lost with the connection
        self.failure = None

    def run(self):
        # redis-py must not send anything again by itself: that would be an increment that nobody counts.
        client = self.node.client(single_connection_client=False, retry_on_timeout=False, retry=None)
        try:
            while self.acknowledged < self.count:
                try:
                    client.incr("counter")
                    self.acknowledged += 1
                except redis.exceptions.ConnectionError as error:
                    # A refused connection sent nothing; any other error may have come after the request.
                    if "Connection refused" not in str(error):
                        self.unknown += 1
                    client.close()
                    until(f"{self.node} takes connections again", lambda: self.can_connect(client), seconds=60)
        except Exception as error:  # the test's own thread reports it
            self.failure = error

    @staticmethod
    def can_connect(client):
        try:
            return client.ping()
        except redis.exceptions.RedisError:
            return False


def test_a_counter_ends_at_the_acknowledged_increments_through_two_kills(cluster):
    """10,000 INCR on each node while n2 is killed with -9 and started again twice.

    All nodes end at one value: the acknowledged increments, plus at most those whose reply was lost.
    """
    count = 10_000
    threads = {node.name: Incrementer(node, count) for node in cluster}
    for thread in threads.values():
        thread.start()
    victim = threads["n2"]
    for threshold in (count // 4, count // 2):
        until(f"n2 has acknowledged {threshold}",
              lambda: victim.acknowledged >= threshold or victim.failure, seconds=60)
        cluster["n2"].kill9()
        cluster["n2"].start()
    for thread in threads.values():
        thread.join(timeout=120)
        assert not thread.is_alive(), f"the client of {thread.node} is stuck at {thread.acknowledged}"
        assert thread.failure is None, f"the client of {thread.node}: {thread.failure!r}"
    cluster.wait_converged()

    values = {node.name: int(node.client().get("counter")) for node in cluster}
    assert len(set(values.values())) == 1, values
    acknowledged = sum(thread.acknowledged for thread in threads.values())
    unknown = sum(thread.unknown for thread in threads.values())
    assert acknowledged == 3 * count
    assert unknown <= 2  # one client, two kills
    assert acknowledged <= values["n1"] <= acknowledged + unknown


KEYS = 10_000
# What the two sides do to key number i while they cannot see each other: i % 3.
BOTH_RECREATE, A_DELETES, BOTH_DELETE = range(3)


def base_commands():
    """Every key's state before the cut, known to all nodes."""
    for i in range(KEYS):
        yield ("SET", f"r:{i}", "base")
        yield ("INCRBY", f"c:{i}", 5)
        yield ("SADD", f"s:{i}", "base", "other")
        yield ("HSET", f"h:{i}", "base", "x", "shared", "x", "n", 100)


def side_commands(side, amount):
    """What side "a" or "b" does to every key; `amount` is what it adds to counters in the end."""
    for i in range(KEYS):
        kind = i % 3
        keys = (f"r:{i}", f"c:{i}", f"s:{i}", f"h:{i}")
        deletes = side == "a" or kind != A_DELETES
        writes = side == "b" or kind != A_DELETES
        if deletes:
            # Writes that the delete observes, and so removes.
            yield ("SET", f"r:{i}", f"{side}-first")
            yield ("INCRBY", f"c:{i}", 1000)
            yield ("SADD", f"s:{i}", f"{side}-first")
            yield ("HSET", f"h:{i}", f"{side}-first", "x")
            yield ("DEL", *keys)
        if writes and kind != BOTH_DELETE:
            yield ("SET", f"r:{i}", f"{side}-last")
            yield ("INCRBY", f"c:{i}", amount)
            yield ("SADD", f"s:{i}", f"{side}-last", "both")
            yield ("HSET", f"h:{i}", f"{side}-last", "x", "shared", side)
            yield ("HINCRBY", f"h:{i}", "n", amount)


def read_all(client):
    """[(register, counter, set, hash)] by key number."""
    commands = []
    for i in range(KEYS):
        commands += [("GET", f"r:{i}"), ("GET", f"c:{i}"), ("SMEMBERS", f"s:{i}"), ("HGETALL", f"h:{i}")]
    replies = run(client, commands)
    return [tuple(replies[at:at + 4]) for at in range(0, len(replies), 4)]


def check_key(i, register, counter, members, fields):
    kind = i % 3
    if kind == BOTH_RECREATE:
        # All that was there before is gone, and what each side wrote after its delete is there.
        assert register in ("a-last", "b-last")
        assert counter == "30"
        assert members == {"a-last", "b-last", "both"}
        assert fields.pop("shared") in ("a", "b")
        assert fields == {"a-last": "x", "b-last": "x", "n": "30"}
    elif kind == A_DELETES:
        # a's delete removed what it had observed; b's concurrent updates, and only those, survive it.
        assert register == "b-last"
        assert counter == "20"
        assert members == {"b-last", "both"}
        assert fields == {"b-last": "x", "shared": "b", "n": "20"}
    else:
        assert (register, counter, members, fields) == (None, None, set(), {})


def test_both_sides_of_a_cut_change_the_same_keys_and_agree_in_the_end(cluster):
    """n3 is cut off; n1 and n3 write, delete and re-create the same 10,000 keys of each type.

    When the link is back, all nodes soon have equal vectors and digests, and every key has the value that
    docs/consistency.md promises, the same on all nodes.
    """
    a, b = cluster["n1"].client(), cluster["n3"].client()
    run(a, list(base_commands()))
    cluster.wait_converged()

    cluster.isolate("n3")
    run(a, list(side_commands("a", 10)))
    run(b, list(side_commands("b", 20)))
    assert cluster.differences(), "the cut did not hold: n3 has what n1 wrote"
    cluster.rejoin("n3")
    print(f"equal {cluster.wait_converged():.2f} s after the link was back")

    states = {node.name: read_all(node.client()) for node in cluster}
    assert states["n2"] == states["n1"]
    assert states["n3"] == states["n1"]
    for i, state in enumerate(states["n1"]):
        check_key(i, *state)


def test_nothing_deleted_comes_back_because_a_node_was_down(cluster):
    """100,000 keys are deleted while n3 is down; when it is back, none of them is on any node."""
    count = 100_000
    client = cluster["n1"].client()
    for batch in batches(range(count)):
        client.mset({f"key:{i}": "x" * 16 for i in batch})
    cluster.wait_converged()
    assert {node.client().dbsize() for node in cluster} == {count}

    cluster["n3"].kill9()
    deleted = sum(client.delete(*[f"key:{i}" for i in batch]) for batch in batches(range(count)))
    assert deleted == count
    cluster["n3"].start()
    cluster.wait_converged()
    for node in cluster:
        with node.client() as reader:
            assert reader.dbsize() == 0, node
            assert sum(reader.exists(*[f"key:{i}" for i in batch]) for batch in batches(range(count))) == 0, node


def test_a_paused_node_catches_up(cluster):
    """n3 is stopped (SIGSTOP) while the others take writes, and has them all soon after it goes on."""
    cluster["n3"].pause()
    client = cluster["n1"].client()
    run(client, [("INCR", f"key:{i % 100}") for i in range(20_000)])
    cluster["n3"].resume()
    cluster.wait_converged()
    assert set(run(cluster["n3"].client(), [("GET", f"key:{i}") for i in range(100)])) == {"200"}


def test_everything_acknowledged_is_there_after_all_nodes_were_killed(cluster):
    """All nodes are killed with -9 at once and started again: what was acknowledged is still there."""
    run(cluster["n2"].client(), [("SET", f"key:{i}", i) for i in range(5_000)])
    cluster.wait_converged()
    cluster.kill()
    cluster.start()
    cluster.wait_converged()
    for node in cluster:
        assert run(node.client(), [("GET", f"key:{i}") for i in range(5_000)]) == [str(i) for i in range(5_000)]


def test_a_node_that_does_not_hold_a_key_forwards_to_one_that_does(make_cluster):
    """Five nodes with two replicas each: any node serves any key, and only two nodes hold each partition."""
    cluster = make_cluster(nodes=5, replicas=2)
    run(cluster["n1"].client(), [("SET", f"key:{i}", i) for i in range(1_000)])
    cluster.wait_converged()
    for node in cluster:
        assert run(node.client(), [("GET", f"key:{i}") for i in range(1_000)]) == [str(i) for i in range(1_000)]
    held = [partition for node in cluster for partition in node.digest()]
    assert sorted(held) == sorted(list(range(256)) * 2)


@pytest.mark.parametrize("shards", [1, 2])
def test_commands_over_the_whole_database_reach_every_node(make_cluster, shards):
    """Five nodes with two replicas each: each partition is asked of one of its nodes, and of no other."""
    cluster = make_cluster(nodes=5, replicas=2, options={"node.shards": shards})
    keys = {f"key:{i}" for i in range(3_000)}
    run(cluster["n1"].client(), [("SET", key, 1) for key in keys])
    cluster.wait_converged()
    for node in cluster:
        client = node.client()
        assert client.dbsize() == len(keys)
        assert sorted(client.keys("*")) == sorted(keys)
        assert sorted(client.scan_iter(count=100)) == sorted(keys)  # each once
        assert sorted(client.scan_iter(match="key:1*", count=1000)) == sorted(k for k in keys if k.startswith("key:1"))
        assert client.execute_command("SCAN", 2**64 - 1)[1] == []  # beyond the last partition
        with pytest.raises(redis.exceptions.ResponseError, match="syntax error"):
            client.execute_command("SCAN", 2**64 - 1, "BOGUS")
    drawn = {cluster["n2"].client().randomkey() for _ in range(300)}
    assert drawn <= keys and len(drawn) > 200
    # A pipeline sees its own writes, also those that go elsewhere.
    pipeline = cluster["n3"].client().pipeline(transaction=False)
    pipeline.set("a", 1).set("b", 2).dbsize().delete("a", "b").dbsize().flushall().dbsize()
    assert pipeline.execute() == [True, True, len(keys) + 2, 2, len(keys), True, 0]
    cluster.wait_converged()
    assert [node.client().dbsize() for node in cluster] == [0] * 5
    cluster["n4"].client().set("c", 3)
    cluster.wait_converged()
    assert [node.client().randomkey() for node in cluster] == ["c"] * 5

    # Replies are about all keys, or errors: a part is never shown for the whole.
    cluster["n4"].kill9()
    cluster["n5"].kill9()
    client = cluster["n1"].client()

    def dbsize_error():
        try:
            client.dbsize()
        except redis.exceptions.ResponseError as error:
            return str(error)
        return ""
    until("DBSIZE fails", lambda: dbsize_error().startswith("CLUSTERDOWN no node that holds partition"))
    with pytest.raises(redis.exceptions.ResponseError, match="CLUSTERDOWN"):
        client.flushall()
    with pytest.raises(redis.exceptions.ResponseError, match="CLUSTERDOWN"):
        list(client.scan_iter())
