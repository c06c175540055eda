"""Commands about all keys where some are in strong keyspaces: KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHALL and FLUSHDB."""

import random
import subprocess

import pytest
import redis

from even_cluster import free_port, until
from test_strong import Refusal, create, until_led

PREFIXES = ["", "o:", "o:nested:", "s:"]


def create_both(cluster):
    """Two strong keyspaces, one within an eventual one, as it were, and one within the other."""
    create(cluster, "orders", "o:", "PARTITIONS", 3)
    create(cluster, "nested", "o:nested:", "PARTITIONS", 2)
    create(cluster, "sessions", "s:", mode="EVENTUAL")
    until_led(cluster, "orders")
    until_led(cluster, "nested")


def scanned(client, **options):
    return list(client.scan_iter(**options))


@pytest.fixture
def redis_server(tmp_path):
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, decode_responses=True)

    def answers():
        try:
            return client.ping()
        except redis.ConnectionError:
            return False
    until("redis-server answers", answers)
    yield client
    server.kill()
    server.wait()


def test_all_keys_are_those_that_redis_has(cluster, redis_server):
    create_both(cluster)
    chance = random.Random(7)
    for _ in range(12):
        # At one node, since a reply tells what was done before.
        at = chance.choice(cluster.nodes)
        for _ in range(25):
            key = chance.choice(PREFIXES) + str(chance.randrange(60))
            command = chance.choice([("SET", key, "x"), ("SET", key, "x"), ("SADD", key + "s", "1"), ("DEL", key),
                                     ("SET", key, "x", "EX", "1000"), ("HSET", key + "h", "f", "v")])
            with at.client() as client:
                assert client.execute_command(*command) == redis_server.execute_command(*command)
        cluster.wait_converged()
        with chance.choice(cluster.nodes).client() as client:
            assert client.dbsize() == redis_server.dbsize()
            for pattern in ("*", "o:*", "o:nested:*", "s:1*", "[os]:?", "o:nes*", "1*", "o\\:1*", "none*"):
                assert sorted(client.keys(pattern)) == sorted(redis_server.keys(pattern)), pattern
                assert sorted(scanned(client, match=pattern, count=7)) == sorted(redis_server.keys(pattern)), pattern
            for kind in ("string", "set", "hash"):
                assert sorted(scanned(client, _type=kind)) == sorted(scanned(redis_server, _type=kind))
            assert {client.randomkey() for _ in range(5)} <= set(redis_server.keys("*"))
            for bad in (("SCAN", "x"), ("SCAN", "0", "COUNT", "0"), ("SCAN", "0", "WHAT"), ("KEYS",), ("FLUSHALL", "X"),
                        ("FLUSHALL", "SYNC", "SYNC")):
                errors = []
                for each in (client, redis_server):
                    with pytest.raises(redis.ResponseError) as error:
                        each.execute_command(*bad)
                    errors.append(str(error.value))
                assert errors[0] == errors[1], bad
            if chance.random() < 0.2:
                flush = chance.choice(["FLUSHALL", "FLUSHDB"])
                assert client.execute_command(flush) == redis_server.execute_command(flush) is True
                assert client.dbsize() == 0 and client.randomkey() is None and client.keys("*") == []
                cluster.wait_converged()


def test_every_key_may_be_drawn(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 2)
    until_led(cluster)
    keys = {"o:1", "o:2", "o:3", "e1", "e2"}
    with cluster["n2"].client() as client:
        for key in keys:
            client.set(key, 1)
        drawn = set()
        until("all have been drawn", lambda: drawn.add(client.randomkey()) or drawn == keys)


def test_what_groups_remember_is_no_key_and_outlives_flushall(cluster):
    # An id is kept for a deadline longer than was asked for, and 5 s.
    create(cluster, "orders", "o:", "PARTITIONS", 1, "DEADLINE", 2000)
    with cluster["n1"].client() as client:
        client.set("e", 1)
        for i in range(3):
            assert client.execute_command("EVEN.ONCE", f"id {i}", "INCR", "o:count") == i + 1
        assert client.dbsize() == 2
        assert sorted(client.keys("*")) == sorted(scanned(client)) == ["e", "o:count"]
        assert client.flushall()
        assert client.dbsize() == 0 and client.keys("*") == [] and scanned(client) == []
        assert client.execute_command("EVEN.ONCE", "id 1", "INCR", "o:count") == 2
        assert client.exists("o:count") == 0
        assert client.execute_command("EVEN.ONCE", "short", "PX", 1, "INCR", "o:count") == 1
        assert client.dbsize() == 1
        until("it is forgotten, and asked for anew",
              lambda: client.execute_command("EVEN.ONCE", "short", "PX", 1, "INCR", "o:count") > 2)
        assert client.dbsize() == 1 == len(client.keys("*"))
    cluster.stop()
    cluster.start()
    until_led(cluster)
    with cluster["n3"].client() as client:
        assert client.dbsize() == 1


def test_a_scan_is_complete_while_leaders_move(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 4)
    until_led(cluster)
    keys = {f"{prefix}{i}" for i in range(100) for prefix in ("o:", "e:")}
    with cluster["n1"].client() as client:
        for key in keys:
            client.set(key, 1)
    cluster.wait_converged()
    found, cursor, steps = [], 0, 0
    while steps == 0 or cursor != 0:
        node = cluster.running[steps % len(cluster.running)]
        with node.client() as client:
            def step():
                try:
                    return client.scan(cursor, count=5)
                except redis.ResponseError as error:  # until there is another leader
                    assert str(error).startswith("UNAVAILABLE"), error
                    return None
            cursor, some = until("a step of the scan", step)
        found += some
        if steps % 10 == 3:
            cluster.nodes[1 + steps // 10 % 2].stop()
        if steps % 10 == 8:
            cluster.nodes[1 + steps // 10 % 2].start()
        if steps == 20:
            create(cluster, "later", "later:", "PARTITIONS", 2)
        steps += 1
    assert sorted(found) == sorted(keys)
    assert steps > 30


def test_what_cannot_be_reached_is_said_and_nothing_else_deleted(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 2, "DEADLINE", 1500)
    until_led(cluster)
    with cluster["n1"].client(single_connection_client=True) as client:
        client.set("o:k", 1)
        client.set("e", 1)
        cluster.isolate("n1")

        def unreachable():
            try:
                client.flushall()
            except redis.ResponseError as error:
                return str(error)
            return None
        message = until("it is refused", unreachable)
        assert message.startswith("UNAVAILABLE nothing has been deleted: keyspace 'orders'"), message
        assert client.get("e") == "1"
        for command in (("DBSIZE",), ("KEYS", "*"), ("KEYS", "o:*"), ("RANDOMKEY",)):
            with Refusal("UNAVAILABLE", "keyspace 'orders'"):
                client.execute_command(*command)
        # What no group can have does not need one.
        assert client.keys("e*") == ["e"]
        # A weaker level is enough for what only reads.
        assert client.execute_command("EVEN.WITH", "ONE", "DBSIZE") == 2
        assert sorted(client.execute_command("EVEN.WITH", "ONE", "KEYS", "*")) == ["e", "o:k"]
        cluster.rejoin("n1")

        def works():
            try:
                return client.flushall()
            except redis.ResponseError:
                return False
        until("all are deleted", works)
        assert client.dbsize() == 0
    with cluster["n3"].client() as client:
        assert client.exists("o:k") == 0


def test_pipelines_see_their_own_writes_in_all_keys(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 3)
    until_led(cluster)
    for node in cluster:
        with node.client() as client:
            pipeline = client.pipeline(transaction=False)
            pipeline.flushall()
            for i in range(10):
                pipeline.set(f"o:{i}", i)
                pipeline.set(f"e:{i}", i)
            pipeline.dbsize()
            pipeline.flushdb()
            pipeline.get("o:3")
            pipeline.set("o:3", 1)
            pipeline.dbsize()
            assert pipeline.execute()[-5:] == [20, True, None, True, 1]
        cluster.wait_converged()
