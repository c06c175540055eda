"""CLUSTER, for clients that know Redis Cluster."""

import pytest
import redis
from even_cluster import HOST, until
from redis.cluster import ClusterNode, RedisCluster


def test_a_cluster_client_reaches_the_nodes_that_keep_its_keys(make_cluster):
    cluster = make_cluster(nodes=4, replicas=2, partitions=64)
    with cluster["n1"].client() as client:
        until("all are in reach", lambda: client.execute_command("CLUSTER INFO")["cluster_size"] == "4")
    client = RedisCluster(startup_nodes=[ClusterNode(HOST, cluster["n1"].port)], decode_responses=True)
    assert len(client.get_primaries()) == 4
    for i in range(200):
        assert client.set(f"k{i}", i)
    assert [client.get(f"k{i}") for i in range(200)] == [str(i) for i in range(200)]
    # Every one of them went to a node that keeps it: none was forwarded.
    for i in range(200):
        at = client.get_node_from_key(f"k{i}")
        node = next(node for node in cluster if node.port == at.port)
        with node.client() as direct:
            where = direct.execute_command("EVEN.EXPLAIN", f"k{i}")
        preferred = where.split(" on nodes ")[1].split()[0]
        assert preferred == str(node.number), where
    assert client.cluster_keyslot("{tag}a") == client.cluster_keyslot("{tag}b")
    slot = client.cluster_keyslot("k7")
    with cluster["n3"].client() as direct:
        assert direct.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        assert direct.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10) == ["k7"]
        with pytest.raises(redis.ResponseError, match="Invalid slot"):
            direct.execute_command("CLUSTER", "COUNTKEYSINSLOT", 16384)


def test_a_cluster_client_goes_to_the_leaders_of_a_strong_keyspace(cluster):
    with cluster["n1"].client() as client:
        client.execute_command("EVEN.KEYSPACE CREATE accounts PREFIX acc: MODE STRONG PARTITIONS 5")

        def leaders():
            groups = [dict(zip(group[::2], group[1::2])) for group in client.execute_command("EVEN.GROUPS")]
            return [group["leader"] for group in sorted(groups, key=lambda each: each["group"])
                    if group["keyspace"] == "accounts"]

        def masters():
            names = {str(node.port): node.name for node in cluster}
            found = {}
            for at, node in client.execute_command("CLUSTER NODES").items():
                for slots in node["slots"]:
                    for slot in range(int(slots[0]), int(slots[-1]) + 1):
                        found[slot] = names[at.split(":")[1].split("@")[0]]
            return found

        def agree():
            led, shown = leaders(), masters()
            return None not in led and all(shown[slot] == led[slot * 5 // 16384] for slot in range(16384))
        until("slots are at the leaders", agree)
        assert len(set(leaders())) > 1
    client = RedisCluster(startup_nodes=[ClusterNode(HOST, cluster["n1"].port)], decode_responses=True)
    for i in range(50):
        assert client.set(f"acc:{i}", i)
        assert client.get(f"acc:{i}") == str(i)


def test_the_next_node_takes_the_slots_of_one_that_is_gone(cluster):
    def slots():
        with cluster["n1"].client() as client:
            nodes = client.execute_command("CLUSTER NODES")
            return {at.split(":")[1].split("@")[0]: node["slots"] for at, node in nodes.items() if node["connected"]}
    until("all are in reach", lambda: len(slots()) == 3)
    assert all(slots().values())
    cluster["n2"].kill9()
    until("it is out of reach", lambda: len(slots()) == 2)
    with cluster["n1"].client() as client:
        info = client.execute_command("CLUSTER INFO")
        assert info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"
        assert client.execute_command("READONLY") in (True, "OK")
    cluster["n2"].start()
    until("it is back", lambda: len(slots()) == 3)


def test_a_single_node_is_no_cluster(make_cluster):
    with make_cluster(nodes=1)["n1"].client() as client:
        for words in ("CLUSTER INFO", "CLUSTER SLOTS", "READONLY", "ASKING"):
            with pytest.raises(redis.ResponseError, match="cluster support disabled"):
                client.execute_command(words)
        assert client.info("cluster")["cluster_enabled"] == 0
