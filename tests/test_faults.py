"""Faults that a running node can be given: that they do what they say, and end when they are taken back."""

import time

import pytest
import redis

from even_cluster import until


def test_a_link_that_loses_one_direction_brings_the_other(cluster):
    n1, n2 = cluster["n1"], cluster["n2"]
    for peer in ("n2", "n3"):
        cluster.link("n1", peer, "DROP", 100, "OUT")
    with n1.client() as one, n2.client() as two:
        one.set("from n1", 1)
        two.set("from n2", 2)
        until("n1 has what n2 wrote", lambda: one.get("from n2") == "2")
        two.set("later", 3)
        until("n1 still gets what n2 writes", lambda: one.get("later") == "3")
        assert two.get("from n1") is None
        peers = {peer["name"]: peer for peer in n1.status()["peers"]}
        assert (peers["n2"]["link"], peers["n2"]["fault"]) == ("up", "DROP 100 % OUT")

        for peer in ("n2", "n3"):
            cluster.link("n1", peer, "UP")
        until("n2 has what n1 wrote", lambda: two.get("from n1") == "1")

        for peer in ("n2", "n3"):
            cluster.link("n1", peer, "DROP", 100, "IN")
        two.set("from n2", 4)
        one.set("from n1", 5)
        until("n2 has what n1 wrote", lambda: two.get("from n1") == "5")
        assert one.get("from n2") == "2"
        for peer in ("n2", "n3"):
            cluster.link("n1", peer, "UP")
    cluster.wait_converged()


def clock(node, *words):
    with node.client() as client:
        return client.execute_command("EVEN.FAULT", "CLOCK", *words)


def wall(node):
    with node.client() as client:
        seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


def test_a_nodes_wall_clock_jumps_and_is_put_right(cluster):
    n1, n2 = cluster["n1"], cluster["n2"]
    with n1.client() as client:
        client.set("k", "v", ex=600)
    until("n2 has it", lambda: n2.client().get("k") == "v")
    assert clock(n1, "OFFSET", 3_600_000) == "OK"
    assert wall(n1) > time.time() + 1800 and wall(n2) < time.time() + 1800
    assert n1.client().get("k") is None, "its own clock says that it has expired"
    assert n2.client().get("k") == "v"
    assert clock(n1, "OFFSET", -3_600_000) == "OK"
    assert wall(n1) < time.time() - 1800
    assert clock(n1, "OFFSET", 0, "RATE", 1000) == "OK"
    until("it has run ahead", lambda: wall(n1) > time.time() + 1)
    assert clock(n1, "OFFSET", 0) == "OK"
    until("it is right", lambda: abs(wall(n1) - time.time()) < 1800)
    with n1.client() as client:
        client.set("after", 1)
    cluster.wait_converged()


def test_a_clock_out_of_range_is_refused_with_its_limits(cluster):
    for words, message in ((("OFFSET", "x"), "OFFSET of 'x' is not allowed: it is -31536000000 to 31536000000 milliseconds"),
                           (("OFFSET", 31536000001), "OFFSET of '31536000001' is not allowed"),
                           (("OFFSET", 1, "RATE", 1001), "RATE of '1001' is not allowed: it is 0 to 1000 percent"),
                           (("OFFSET", 1, "RATE", "x"), "RATE of 'x' is not allowed"),
                           (("OFFSET", 1, "RATE"), "syntax error: EVEN.FAULT CLOCK OFFSET ms"),
                           (("FORWARD", 1), "syntax error: EVEN.FAULT CLOCK OFFSET ms")):
        with pytest.raises(redis.ResponseError, match=message):
            clock(cluster["n1"], *words)
    assert abs(wall(cluster["n1"]) - time.time()) < 1800, "nothing was changed"


@pytest.mark.parametrize("fsync, kept", [("always", True), ("no", False)])
def test_a_kill_loses_what_is_not_synced_where_that_is_asked_for(make_cluster, fsync, kept):
    node = make_cluster(nodes=1, options={"faults.lose_unsynced_writes": True, "log.fsync": fsync})["n1"]
    with node.client() as client:
        client.set("k", "v")
    node.kill9()
    node.start()
    assert node.client().get("k") == ("v" if kept else None)
    with node.client() as client:
        client.set("k", "w")
    node.stop()
    node.start()
    assert node.client().get("k") == "w", "a stop in good order loses nothing"
