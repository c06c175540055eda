"""Bounded counters (EVEN.BOUND) on whole clusters: see docs/bounds.md."""

import concurrent.futures
import re
import shutil

import pytest
import redis

from even_cluster import until
from test_strong import Refusal


def bound(client, key, *words):
    return client.execute_command("EVEN.BOUND", key, *words)


def rights_here(node, key):
    """The rights that this node may use; None: it does not know the counter."""
    with node.client() as client:
        found = re.search(r"(-?\d+) may be used here", client.execute_command("EVEN.EXPLAIN", key))
    return int(found.group(1)) if found else None


def wait_for_shares(cluster, key, least):
    until(lambda: f"rights of {[rights_here(node, key) for node in cluster]}",
          lambda: all((rights_here(node, key) or 0) >= least for node in cluster.running))


def take_all(node, key, by=1):
    """Decrements until there are no rights left; how often that went well, and the refusal."""
    taken = 0
    with node.client() as client:
        while True:
            try:
                client.decrby(key, by)
            except redis.ResponseError as error:
                return taken, str(error)
            taken += 1


def test_words_and_refusals(cluster):
    with cluster["n1"].client() as one:
        one.set("c", 10)
        assert bound(one, "c", "MIN", 5) == "OK"
        assert one.get("c") == "10" and one.type("c") == "string" and one.strlen("c") == 2
        assert one.decrby("c", 2) == 8 and one.incr("c") == 9
        with Refusal("NORIGHTS the counter is 4 from its bound 5: 5 are needed"):
            one.decrby("c", 5)
        with Refusal("a bounded counter takes integers from 5 only"):
            one.set("c", 4)
        with Refusal("a bounded counter takes integers"):
            one.append("c", "x")
        with Refusal("a bounded counter takes integers only"):
            one.incrbyfloat("c", 0.5)
        with Refusal("the counter has a lowest value"):
            bound(one, "c", "MAX", 50)
        with Refusal("NORIGHTS"):
            bound(one, "c", "MIN", 10)
        assert bound(one, "c", "MIN", 7) == "OK"
        # What is refused leaves the other keys of the command alone, too.
        with Refusal("a bounded counter"):
            one.mset({"c": 1, "other": 2})
        assert one.get("other") is None and one.get("c") == "9"
        assert one.set("c", 20, ex=1000) and one.ttl("c") > 900
        with Refusal("NORIGHTS"):
            one.decrby("c", 14)
        assert one.rename("c", "d") and one.copy("d", "e")
        for key in ("d", "e"):
            with Refusal("NORIGHTS"):
                one.decrby(key, 14)
            assert one.decrby(key, 13) == 7
        assert bound(one, "d", "NONE") == "OK" and one.decrby("d", 100) == -93
        assert one.delete("e") == 1 and one.decr("e") == -1
        assert bound(one, "m", "MAX", 2) == "OK" and one.incrby("m", 2) == 2 and one.decr("m") == 1
        with Refusal("NORIGHTS"):
            one.incrby("m", 2)
        with Refusal("the value is 1, which is beyond that bound"):
            one.set("n", 1)
            bound(one, "n", "MIN", 2)
        # In a transaction, only what lacks rights is refused, and nothing waits.
        pipeline = one.pipeline()
        pipeline.incr("m").incr("m").set("x", 1)
        replies = pipeline.execute(raise_on_error=False)
        assert replies[0] == 2 and str(replies[1]).startswith("NORIGHTS") and replies[2] is True
    cluster.wait_converged()


def test_rights_come_to_where_they_are_needed(cluster):
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        one.set("stock", 300)
        bound(one, "stock", "MIN", 0)
        wait_for_shares(cluster, "stock", 50)
        # More than the node's own: from both others, within the request.
        assert three.decrby("stock", 290) == 10
        assert two.execute_command("EVEN.WITH", "QUORUM", "DECRBY", "stock", 10) == 0
        for client in (one, two, three):
            until("all at the bound", lambda client=client: client.get("stock") == "0")
            with Refusal("NORIGHTS the counter is 0 from its bound 0"):
                client.decr("stock")
        assert one.incrby("stock", 3) == 3
        until("the increment", lambda: two.get("stock") == "3")
        assert two.decrby("stock", 3) == 0
    cluster.wait_converged()


def test_no_oversell(cluster):
    """Three nodes isolated from one another, 100 clients: never beyond the bound, and in the end all is sold."""
    stock = 30_000
    with cluster["n1"].client() as one:
        one.set("stock", stock)
        bound(one, "stock", "MIN", 0)
    wait_for_shares(cluster, "stock", stock // 8)
    for node in cluster:
        cluster.isolate(node.name)
    nodes = list(cluster)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        apart = [pool.submit(take_all, nodes[i % 3], "stock") for i in range(100)]
        sold = 0
        for client in apart:
            taken, refusal = client.result()
            assert refusal.startswith("NORIGHTS"), refusal
            sold += taken
        left = []
        for node in nodes:
            with node.client() as client:
                left.append(int(client.get("stock")))
                assert rights_here(node, "stock") == 0
        assert all(value >= 0 for value in left), left
        assert sold == stock  # each its share, and all shares together are all there was
        for node in nodes:
            cluster.rejoin(node.name)
        cluster.wait_converged()
        for node in nodes:
            with node.client() as client:
                assert client.get("stock") == "0"
        for node in nodes:
            with node.client() as client:
                client.incrby("stock", 100)
        rest = [pool.submit(take_all, nodes[i % 3], "stock") for i in range(30)]
        sold = sum(client.result()[0] for client in rest)
    cluster.wait_converged()
    # The last ones may have been refused at a node that had not heard of the others' increments yet.
    sold += take_all(nodes[0], "stock")[0]
    assert sold == 300
    with nodes[1].client() as client:
        until("all at the bound", lambda: client.get("stock") == "0")


def test_restarts_keep_rights_and_spend_none_twice(make_cluster):
    cluster = make_cluster(options={"log.fsync": "always"})
    stock = 3_000
    with cluster["n1"].client() as one:
        one.set("stock", stock)
        bound(one, "stock", "MIN", 0)
    wait_for_shares(cluster, "stock", stock // 8)
    sold = 0
    for round_number in range(4):
        node = list(cluster)[round_number % 3]
        with node.client() as client:
            for _ in range(50):
                client.decr("stock")
                sold += 1
        node.kill9()
        node.start()
    with cluster["n2"].client() as two:
        two.decrby("stock", 1000)
        sold += 1000
    cluster["n2"].kill9()
    cluster["n2"].start()
    # What earlier runs had is this run's once all have agreed on what those have made.
    cluster.wait_converged()
    taken = [take_all(node, "stock")[0] for node in cluster]
    assert sold + sum(taken) == stock, (sold, taken)
    cluster.wait_converged()
    with cluster["n3"].client() as three:
        assert three.get("stock") == "0"


def test_a_lost_disk_takes_its_rights_along(make_cluster):
    """They are not spent again, and a new beginning gives them back."""
    cluster = make_cluster(options={"log.fsync": "always"})
    with cluster["n1"].client() as one, cluster["n2"].client() as two:
        one.set("stock", 900)
        bound(one, "stock", "MIN", 0)
        wait_for_shares(cluster, "stock", 150)
        cluster.isolate("n3")
        had = rights_here(cluster["n3"], "stock")
        assert take_all(cluster["n3"], "stock")[0] == had
        # Sold, acknowledged, and known to nobody else.
        cluster["n3"].kill9()
        shutil.rmtree(cluster["n3"].data)
        cluster["n3"].data.mkdir()
        for other in ("n1", "n2"):
            cluster.link(other, "n3", "UP")
        cluster["n3"].start()
        cluster.wait_converged()
        taken = sum(take_all(node, "stock")[0] for node in cluster)
        assert taken + had <= 900
        assert int(two.get("stock")) == 900 - taken == had
        one.set("stock", 60)
        until("the new beginning", lambda: two.get("stock") == "60")
        assert sum(take_all(node, "stock")[0] for node in cluster) == 60
