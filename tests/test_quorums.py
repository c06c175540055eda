"""Reads and writes at several replicas of eventual keyspaces, WAIT and WAITAOF, on whole clusters."""

import concurrent.futures
import json
import subprocess
import threading
import time

import pytest
import redis

from even_cluster import BIN, until
from test_strong import Refusal, keyspace


def at(client, level, *words):
    return client.execute_command("EVEN.WITH", level, *words)


def linked(node):
    return sum(peer["link"] == "up" for peer in node.status()["peers"])


def test_a_write_is_at_as_many_replicas_as_it_asks_for(make_cluster):
    cluster = make_cluster(nodes=3, options={"node.shards": 2})
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        for number in range(200):
            assert at(one, "ALL", "SET", f"k:{number}", number) == "OK"
            assert two.get(f"k:{number}") == three.get(f"k:{number}") == str(number)
        for level in ("2", "two", "QUORUM"):
            assert at(one, level, "INCR", f"c:{level}") == 1
            assert "1" in (two.get(f"c:{level}"), three.get(f"c:{level}"))
        # Several keys, in partitions of both shards; and transactions.
        assert at(one, "ALL", "MSET", *[word for n in range(50) for word in (f"m:{n}", n)]) == "OK"
        assert three.mget([f"m:{n}" for n in range(50)]) == [str(n) for n in range(50)]
        assert at(two, "QUORUM", "MGET", *[f"m:{n}" for n in range(50)]) == [str(n) for n in range(50)]
        one.execute_command("EVEN.CONSISTENCY", "WRITE", "ALL")
        pipeline = one.pipeline()
        pipeline.set("t:1", "x").incr("t:3").echo("y")
        assert pipeline.execute() == [True, 1, "y"]
        one.execute_command("EVEN.CONSISTENCY", "WRITE", "DEFAULT")
        assert at(one, "ALL", "SADD", "t:2", "y") == 1
        assert three.get("t:1") == "x" and two.smembers("t:2") == {"y"}
        # One that fails is not waited for.
        with Refusal("WRONGTYPE"):
            at(one, "ALL", "INCR", "t:2")


def test_readers_at_a_quorum_see_what_writers_at_a_quorum_have_written(cluster):
    """Whoever asks, wherever, and while links between two nodes come and go."""
    stopped = threading.Event()
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        def cut():
            with cluster["n1"].client() as client:
                while not stopped.is_set():
                    for state in ("DOWN", "UP"):
                        client.execute_command("EVEN.FAULT", "LINK", "n3", state)
                        stopped.wait(0.05)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            cutting = pool.submit(cut)
            try:
                stale_at_one = 0
                for number in range(1, 300):
                    at(one, "QUORUM", "SET", "k", number)
                    stale_at_one += three.get("k") != str(number)
                    for reader in (three, two):
                        assert int(at(reader, "QUORUM", "GET", "k")) == number
                assert stale_at_one > 0  # else this shows nothing
            finally:
                stopped.set()
            cutting.result()
    with cluster["n1"].client() as client:
        client.execute_command("EVEN.FAULT", "LINK", "n3", "UP")


def test_what_a_read_has_shown_the_next_one_shows_too(make_cluster):
    """Of a write that one replica alone has, a reader at a quorum makes one that a majority has."""
    cluster = make_cluster(nodes=5, replicas=5)
    clients = {node.name: node.client() for node in cluster}
    for round_number in range(20):
        key = f"k:{round_number}"
        # n1 can reach n2 alone, and so writes to itself and n2.
        for other in ("n3", "n4", "n5"):
            cluster.link("n1", other, "DOWN")
        assert at(clients["n1"], "TWO", "SET", key, "new") == "OK"
        shown = at(clients["n2"], "QUORUM", "GET", key)
        assert shown == "new"
        for reader in ("n3", "n4", "n5"):
            assert at(clients[reader], "QUORUM", "GET", key) == "new"
        for other in ("n3", "n4", "n5"):
            cluster.link("n1", other, "UP")
        until("links are up", lambda: linked(cluster["n1"]) == 4)
    for client in clients.values():
        client.close()


def test_quorums_are_not_linearizable_and_even_verify_says_so(make_cluster, tmp_path):
    """The run that docs/quorums.md shows."""
    cluster = make_cluster(nodes=3)
    history = tmp_path / "quorums.jsonl"
    lines = []

    def operation(process, client, f, value=None):
        lines.append({"process": process, "type": "invoke", "f": f, "key": "x", "value": value})
        if f == "write":
            assert at(client, "QUORUM", "SET", "x", value) == "OK"
        else:
            value = int(at(client, "QUORUM", "GET", "x"))
        lines.append({"process": process, "type": "ok", "f": f, "key": "x", "value": value})
        return value

    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        # A node whose clock is behind, and which hears late of what others have written.
        three.execute_command("EVEN.FAULT", "CLOCK", "OFFSET", "-10000")
        for node in ("n1", "n2"):
            three.execute_command("EVEN.FAULT", "LINK", node, "DELAY", "700", "IN")
        operation(0, one, "write", 1)
        operation(1, three, "write", 2)
        assert operation(2, two, "read") == 1
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    verdict = subprocess.run([BIN / "even", "verify", "linearizable", history], capture_output=True, text=True)
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    assert "read → 1" in verdict.stdout, verdict.stdout


def test_without_enough_replicas_it_is_said_what_is_known(make_cluster):
    cluster = make_cluster(nodes=3)
    assert keyspace(cluster["n1"], "CREATE", "fast", "PREFIX", "f:", "WRITE", "ALL", "DEADLINE", 700) == "OK"
    with cluster["n1"].client() as one:
        cluster["n3"].pause()
        # It has a link still, and does not answer.
        with Refusal("PARTIAL", "ALL needs 3 of 3 replicas, 2 have it within 700 ms"):
            one.set("f:k", "v")
        assert one.get("f:k") == "v"
        with Refusal("UNAVAILABLE", "ALL needs 3 of 3 replicas, 2 answered within 700 ms"):
            at(one, "ALL", "GET", "f:k")
        assert at(one, "QUORUM", "GET", "f:k") == "v"
        cluster["n3"].resume()
        cluster["n3"].kill9()
        cluster["n2"].kill9()
        until("it is alone", lambda: linked(cluster["n1"]) == 0)
        with Refusal("UNAVAILABLE", "QUORUM needs 2 of 3 replicas, 1 reachable"):
            at(one, "QUORUM", "SET", "k", "not done")
        with Refusal("UNAVAILABLE", "TWO needs 2 of 3 replicas, 1 reachable"):
            at(one, "TWO", "GET", "k")
        assert one.get("k") is None and one.set("k", "done")
        with Refusal("CONSISTENCY", "4 replicas cannot be had: each key has 3"):
            at(one, "4", "GET", "k")
        with Refusal("CONSISTENCY", "QUORUM is for commands about keys"):
            at(one, "QUORUM", "DBSIZE")
        for level in (("SEQUENTIAL",), ("LINEARIZABLE",)):
            with Refusal("CONSISTENCY", "not supported in eventual keyspaces"):
                at(one, *level, "GET", "k")


def test_levels_of_connections_and_keyspaces(cluster):
    node = cluster["n1"]
    assert keyspace(node, "CREATE", "carts", "PREFIX", "cart:", "READ", "QUORUM", "WRITE", "ALL") == "OK"
    with Refusal("CONSISTENCY", "4 replicas cannot be had"):
        keyspace(node, "CREATE", "more", "PREFIX", "m:", "WRITE", "4")
    with cluster["n2"].client() as client, cluster["n3"].client() as other:
        for number in range(100):
            client.set(f"cart:{number}", number)
            assert other.get(f"cart:{number}") == str(number)
        # The strictest of several keys.
        client.mset({"plain": 1, "cart:x": 1})
        assert other.get("plain") == "1"
        other.execute_command("EVEN.CONSISTENCY", "READ", "ALL", "WRITE", "TWO")
        assert other.set("k", "v") and other.get("k") == "v"
        assert keyspace(node, "ALTER", "carts", "WRITE", "ONE") == "OK"
        cluster["n1"].pause()
        began = time.monotonic()
        assert client.set("cart:1", "at one")
        assert time.monotonic() - began < 4
        with Refusal("UNAVAILABLE", "ALL needs 3 of 3"):
            other.get("k")
        cluster["n1"].resume()


def test_what_names_no_key_is_answered(make_cluster):
    node = make_cluster(nodes=1, replicas=1)["n1"]
    with node.client() as client:
        client.execute_command("EVEN.CONSISTENCY", "READ", "QUORUM", "WRITE", "ALL")
        for words in (("ZUNION", 0, "a"), ("ZINTERCARD", "x", "a"), ("ZMPOP", 0, "a", "MIN"), ("ZUNION", 5, "a")):
            with pytest.raises(redis.ResponseError, match="numkeys|not an integer|syntax|greater than 0|at least 1"):
                client.execute_command(*words)
        assert client.set("k", "v") and client.get("k") == "v"
        # There are no others.
        assert client.wait(5, 100) == 0
        assert client.execute_command("WAITAOF", 1, 3, 1000) == [1, 0]
        with pytest.raises(redis.ResponseError, match="timeout is out of range"):
            client.execute_command("WAIT", 1, 2**63 - 1)


def test_a_node_without_a_replica_has_one_coordinate(make_cluster):
    cluster = make_cluster(nodes=4, replicas=2)
    with cluster["n1"].client() as client:
        for number in range(100):
            assert at(client, "ALL", "SET", f"k:{number}", number) == "OK"
        for node in cluster:
            with node.client() as reader:
                for number in range(100):
                    assert reader.get(f"k:{number}") == str(number)
                    assert at(reader, "QUORUM", "GET", f"k:{number}") == str(number)
                values = at(reader, "ALL", "MGET", *[f"k:{number}" for number in range(100)])
                assert values == [str(number) for number in range(100)]
        assert at(client, "ALL", "MSET", *[word for n in range(20) for word in (f"m:{n}", n)]) == "OK"
        with Refusal("CONSISTENCY", "does not hold"):
            client.execute_command("WAIT", 1, 100)


def test_wait_says_how_many_replicas_have_it(make_cluster):
    cluster = make_cluster(nodes=3, options={"node.shards": 2})
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        for number in range(300):
            one.set(f"k:{number % 50}", number)
            assert one.wait(2, 5000) == 2
            assert two.get(f"k:{number % 50}") == three.get(f"k:{number % 50}") == str(number)
        assert one.execute_command("WAITAOF", 1, 2, 5000) == [1, 2]
        cluster["n3"].pause()
        one.set("k", "v")
        assert one.wait(1, 5000) == 1
        began = time.monotonic()
        assert one.wait(2, 300) == 1
        assert time.monotonic() - began >= 0.3
        assert one.execute_command("WAITAOF", 1, 2, 200) == [1, 1]
        one.set("k", "w")
        assert one.execute_command("WAITAOF", 0, 1, 5000)[1] == 1
        cluster["n2"].kill9()
        cluster["n1"].kill9()
        cluster["n2"].start()
        cluster["n3"].resume()
        with cluster["n2"].client() as again:
            assert again.get("k") == "w"
        for words in (("WAIT", "x", 1), ("WAIT", 1, "x"), ("WAIT", 1, -1), ("WAITAOF", 2, 1, 1), ("WAITAOF", 0, -1, 1)):
            with pytest.raises(redis.ResponseError), cluster["n2"].client() as client:
                client.execute_command(*words)


def test_a_pipeline_at_a_quorum_keeps_its_order(cluster):
    with cluster["n1"].client() as client, cluster["n2"].client() as other:
        for round_number in range(20):
            pipeline = client.pipeline(transaction=False)
            for number in range(50):
                pipeline.execute_command("EVEN.WITH", "QUORUM", "APPEND", f"k:{round_number}", number % 10)
                pipeline.set(f"plain:{round_number}", number)
            pipeline.execute_command("EVEN.WITH", "QUORUM", "GET", f"k:{round_number}")
            pipeline.get(f"plain:{round_number}")
            replies = pipeline.execute()
            assert replies[-2] == "0123456789" * 5 and replies[-1] == "49"
            assert replies[0:100:2] == list(range(1, 51))
            assert at(other, "QUORUM", "GET", f"k:{round_number}") == "0123456789" * 5
