"""Reads of keys that a node does not hold, while the node that it asks first is stopped."""

import re

import pytest

from even_cluster import until
from test_quorums import at
from test_sessions import metric


@pytest.fixture
def forwarding(make_cluster):
    """Five nodes with three replicas of each key."""
    return make_cluster(nodes=5, replicas=3)


def replicas(client, key):
    """The nodes that hold the key, in the order of placement."""
    where = client.execute_command("EVEN.EXPLAIN", key).split(" on nodes ")[1]
    return [f"n{number}" for number in re.match(r"[\d, ]+", where)[0].replace(",", " ").split()]


def keys_asked_of(client, node, count):
    """Keys that n1 does not hold and `node` is the first replica of."""
    found = []
    for number in range(5_000):
        holders = replicas(client, f"k:{number}")
        if holders[0] == node and "n1" not in holders:
            found.append(f"k:{number}")
        if len(found) == count:
            return found
    raise AssertionError(f"no {count} keys of {node}")


@pytest.fixture
def paused(forwarding):
    """n2 is stopped; and continues in the end."""
    node = forwarding["n2"]
    yield node
    if node.running:
        node.resume()


def test_a_read_does_not_wait_for_a_replica_that_is_stopped(forwarding, paused):
    with forwarding["n1"].client() as one:
        keys = keys_asked_of(one, "n2", 20)
        for key in keys:
            assert at(one, "ALL", "SET", key, "v") == "OK"
            assert at(one, "QUORUM", "GET", key) == "v"
        assert metric(forwarding["n1"], 'even_peer_suspected{peer="n2"}') == 0
        paused.pause()
        # Whoever answers at a quorum has seen what there is: the next one is asked as soon as n2 is late.
        for key in keys[:5]:
            assert at(one, "QUORUM", "GET", key) == "v"
        assert metric(forwarding["n1"], "even_reads_hedged_won_total") >= 1
        # At ONE the next one may have seen less, and is asked when n2 is taken for stopped.
        assert one.get(keys[5]) == "v"
        until("n2 is suspected", lambda: metric(forwarding["n1"], 'even_peer_suspected{peer="n2"}') == 1)
        # From then on others are asked at once: all reads, and writes too.
        hedged = metric(forwarding["n1"], "even_reads_hedged_total")
        for key in keys:
            assert at(one, "QUORUM", "GET", key) == "v"
            assert one.get(key) == "v"
            assert one.set(key, "w")
            assert one.get(key) == "w"
        # Others may be late for a moment on a busy machine; n2 would have been so each time.
        assert metric(forwarding["n1"], "even_reads_hedged_total") < hedged + len(keys)
        paused.resume()
        until("n2 is heard again", lambda: metric(forwarding["n1"], 'even_peer_suspected{peer="n2"}') == 0)
        for key in keys:
            assert at(one, "QUORUM", "GET", key) == "w"


def test_a_read_goes_on_elsewhere_when_the_node_that_was_asked_dies(forwarding, paused):
    with forwarding["n1"].client() as one:
        (key,) = keys_asked_of(one, "n2", 1)
        assert at(one, "ALL", "SET", key, "v") == "OK"
        paused.pause()
        connection = one.connection_pool.make_connection()
        connection.connect()
        connection.send_command("GET", key)
        # It is on its way to a node that will not answer: nobody else is asked before that is suspected or gone.
        assert not connection.can_read(timeout=0.2)
        paused.kill9()
        assert connection.read_response() == "v"
        connection.disconnect()


def test_a_slow_or_one_way_link_costs_a_detour_and_no_storm(forwarding):
    n1 = forwarding["n1"]
    with n1.client() as one:
        keys = keys_asked_of(one, "n2", 10)
        for key in keys:
            assert at(one, "ALL", "SET", key, "v") == "OK"
            assert at(one, "QUORUM", "GET", key) == "v"
        before = metric(n1, "even_reads_hedged_total")
        one.execute_command("EVEN.FAULT", "LINK", "n2", "DELAY", "60")
        for _ in range(10):
            for key in keys:
                assert at(one, "QUORUM", "GET", key) == "v"
        # n2 is slow, and known to be: nobody is asked in its place for long.
        assert metric(n1, 'even_peer_suspected{peer="n2"}') == 0
        assert metric(n1, "even_reads_hedged_total") - before < 60
        # What n1 says does not come to n2, which n1 hears.
        one.execute_command("EVEN.FAULT", "LINK", "n2", "UP")
        one.execute_command("EVEN.FAULT", "LINK", "n2", "DROP", "100", "OUT")
        for _ in range(5):
            for key in keys:
                assert at(one, "QUORUM", "GET", key) == "v"
        assert metric(n1, 'even_peer_suspected{peer="n2"}') == 0
        assert metric(forwarding["n2"], "even_reads_hedged_total") == 0
