"""An expiry that is prolonged in time is never lost, whoever is cut off meanwhile; what nobody prolongs is gone."""

import threading
import time

import pytest

from even_cluster import until


class Refresher(threading.Thread):
    """Uses a key four times a second, each time with `refresh(client)`, and remembers if it was ever missing."""

    def __init__(self, node, refresh):
        super().__init__(daemon=True)
        self.client, self.refresh = node.client(), refresh
        self.stopping = threading.Event()
        self.missed = 0

    def run(self):
        while not self.stopping.wait(0.25):
            if not self.refresh(self.client):
                self.missed += 1

    def stop(self):
        self.stopping.set()
        self.join()
        assert self.missed == 0, "the key was missing where it is used"


def pass_time(seconds):
    """For what is to happen, or not, by the clock."""
    end = time.monotonic() + seconds
    until("the time is over", lambda: time.monotonic() >= end, seconds + 5, interval=0.05)


def cut_off_for(cluster, name, seconds):
    cluster.isolate(name)
    pass_time(seconds)
    cluster.rejoin(name)


REFRESHES = {
    "EXPIRE": lambda client: client.expire("sess", 3),
    "GETEX": lambda client: client.getex("sess", ex=3) == "v",
}


@pytest.mark.parametrize("how", REFRESHES)
def test_a_session_that_is_refreshed_in_time_survives_a_cut(cluster, how):
    """SET sess v EX 3 on n1, refreshed there four times a second; n3 is cut off for 5 s. The key stays on all nodes."""
    cluster["n1"].client().set("sess", "v", ex=3)
    refresher = Refresher(cluster["n1"], REFRESHES[how])
    refresher.start()
    cluster.wait_converged()
    cut_off_for(cluster, "n3", 5)
    for node in cluster:
        until(f"{node} has the key again", lambda: node.client().get("sess") == "v", seconds=5)
    pass_time(1)  # longer than a node takes to purge
    for node in cluster:
        assert node.client().get("sess") == "v"
    refresher.stop()
    for node in cluster:
        until(f"{node} has removed it when nobody refreshes it", lambda: node.client().dbsize() == 0)
    cluster.wait_converged()
    for node in cluster:
        with node.client() as client:
            until(f"nothing is kept of it on {node}", lambda: "keys=" not in str(client.info("keyspace")))


def test_a_counter_that_loses_its_expiry_in_time_keeps_its_value_through_a_cut(cluster):
    """SET k 100 EX 3, then INCR k and PERSIST k on n1 while n3 is cut off: 101 without expiry on all nodes."""
    with cluster["n1"].client() as client:
        client.set("k", 100, ex=3)
        client.hset("h", mapping={"f": "1", "g": "2"})
        client.sadd("s", "x", "y")
        client.expire("h", 3)
        client.expire("s", 3)
        cluster.wait_converged()
        cluster.isolate("n3")
        client.incr("k")
        client.persist("k")
        client.expire("h", 600)
        client.set("str", "old", ex=600)
        client.expire("s", 600)
    n3 = cluster["n3"].client()
    until("n3 takes the keys for expired", lambda: n3.exists("k", "h", "s") == 0, seconds=10)
    until("and counts none", lambda: n3.dbsize() == 0)
    pass_time(2)  # longer than a node takes to purge
    cluster.rejoin("n3")
    cluster.wait_converged()
    for node in cluster:
        with node.client() as client:
            assert client.get("k") == "101" and client.ttl("k") == -1
            assert client.hgetall("h") == {"f": "1", "g": "2"}
            assert client.smembers("s") == {"x", "y"}
            assert client.dbsize() == 4


def test_what_expires_while_a_node_is_away_is_not_seen_and_is_removed_when_it_is_back(cluster):
    cluster.isolate("n3")
    with cluster["n1"].client() as client:
        for i in range(100):
            client.set(f"k{i}", "v", px=500)
        until("no key is seen", lambda: client.dbsize() == 0)
        assert client.keys("*") == [] and client.randomkey() is None
    assert keys_held(cluster["n1"]) == 100, "n3 might have prolonged them"
    cluster.rejoin("n3")
    for node in cluster:
        until(f"{node} holds none", lambda: keys_held(node) == 0)


def keys_held(node):
    """How many there are, whether a reader sees them or not."""
    with node.client() as client:
        return sum("type: none" not in str(client.execute_command("EVEN.EXPLAIN", f"k{i}")) for i in range(100))
