"""Nodes that are killed in the middle of a flood of writes, and serve while they replay their logs."""

import threading

import pytest
import redis

from even_cluster import Cluster, until

BATCH = 500
WRITERS = 4
LOADING = ["loading_start_time", "loading_total_bytes", "loading_loaded_bytes", "loading_loaded_perc", "loading_eta_seconds"]


class Flood(threading.Thread):
    """Sets new keys, pipelined, until the node is gone."""

    def __init__(self, node, name):
        super().__init__(daemon=True)
        self._client = node.client()
        self._name = name
        self.acknowledged = 0

    def key(self, number):
        return f"{self._name}:{number}"

    @staticmethod
    def value(number):
        return f"{number:0>100}"

    def run(self):
        try:
            while True:
                with self._client.pipeline(transaction=False) as pipeline:
                    for number in range(self.acknowledged, self.acknowledged + BATCH):
                        pipeline.set(self.key(number), self.value(number))
                    pipeline.execute()
                self.acknowledged += BATCH
        except redis.ConnectionError:
            pass  # it has been killed


@pytest.fixture
def node(tmp_path):
    cluster = Cluster(tmp_path, nodes=1, replicas=1)
    try:
        yield cluster.start()["n1"]
    finally:
        cluster.kill()


def flood_and_kill(node, writes):
    floods = [Flood(node, f"w{number}") for number in range(WRITERS)]
    for flood in floods:
        flood.start()
    until("so much is written", lambda: sum(flood.acknowledged for flood in floods) >= writes, 120)
    node.kill9()
    for flood in floods:
        flood.join()
    return floods


def persistence(node):
    return node.client().info("persistence")


def test_what_was_acknowledged_is_read_while_the_log_is_replayed(node):
    floods = flood_and_kill(node, 250_000)
    written = sum(flood.acknowledged for flood in floods)

    # The log is the same after each kill, and longer by what was appended.
    def read_while_replaying():
        node.start()
        with node.client() as client:
            last = floods[0].acknowledged - 1
            assert client.get(floods[0].key(last)) == floods[0].value(last)
            assert client.append(floods[0].key(0), "x") == 101
            client.set(floods[0].key(0), floods[0].value(0))
            info = client.info("persistence")
            for flood in floods:
                for number in {0, flood.acknowledged // 2, flood.acknowledged - 1}:
                    assert client.get(flood.key(number)) == flood.value(number)
        assert info["loading"] == 0
        if info["async_loading"]:
            assert all(field in info for field in LOADING)
            assert 0 <= info["loading_loaded_bytes"] < info["loading_total_bytes"]
        else:
            assert not any(field in info for field in LOADING)
        node.kill9()
        return info["async_loading"]

    until("keys are read while the log is replayed", read_while_replaying, 60)
    node.start()
    with node.client() as client:
        assert client.dbsize() >= written  # waits for all of it
        assert client.info("persistence")["async_loading"] == 0
        for flood in floods:
            numbers = range(flood.acknowledged)
            for first in range(0, flood.acknowledged, 10_000):
                some = numbers[first : first + 10_000]
                assert client.mget([flood.key(n) for n in some]) == [flood.value(n) for n in some]


def test_a_node_that_replays_says_so_until_it_is_done(node):
    flood_and_kill(node, 20_000)
    node.start()
    assert node.http("/readyz")[0] == 200
    replay = node.status()["replay"]
    assert 0 <= replay["done"] <= replay["bytes"] and replay["bytes"] > 0
    until("all is replayed", lambda: persistence(node)["async_loading"] == 0, 60)
    replay = node.status()["replay"]
    assert replay["done"] == replay["bytes"]
    assert node.http("/readyz")[1] == "ready\n"
    assert "even_log_replay_left_bytes 0" in node.http("/metrics")[1]


def test_a_node_of_a_cluster_catches_up_after_its_own_log(tmp_path):
    cluster = Cluster(tmp_path, nodes=2, replicas=2)
    try:
        first, second = cluster.start()
        floods = flood_and_kill(first, 30_000)
        with second.client() as client:
            client.set("meanwhile", "1")
        first.start()
        with first.client() as client:
            for flood in floods:
                assert client.get(flood.key(flood.acknowledged - 1)) == flood.value(flood.acknowledged - 1)
            client.set("here", "2")
        cluster.wait_converged(60)
        with first.client() as client:
            assert client.get("meanwhile") == "1"
        with second.client() as client:
            assert client.get("here") == "2"
    finally:
        cluster.kill()
