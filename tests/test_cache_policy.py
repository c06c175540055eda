"""Nodes that are caches: over memory.max_memory they delete keys, by memory.policy."""

import pytest
import redis
from even_cluster import until

LIMIT = 64 << 20
OPTIONS = {"memory.max_memory": LIMIT, "store.cache_bytes": "1MiB"}
VALUE = "x" * 1000


def write(client, prefix, first, count, **options):
    """So many keys, a few at a time: requests and replies take memory, too."""
    for at in range(first, first + count, 200):
        pipeline = client.pipeline(transaction=False)
        for number in range(at, min(at + 200, first + count)):
            pipeline.set(f"{prefix}:{number}", VALUE, **options)
        pipeline.execute()


def present(client, prefix, first, count):
    """The share of these keys that is there. Looks at their values, which uses them."""
    found = 0
    for at in range(first, first + count, 200):
        pipeline = client.pipeline(transaction=False)
        for number in range(at, min(at + 200, first + count)):
            pipeline.get(f"{prefix}:{number}")
        found += sum(value is not None for value in pipeline.execute())
    return found / count


def wait_within_limit(node):
    with node.client() as client:
        until(lambda: f"memory is within its limit: {client.info('memory')}",
              lambda: client.info("memory")["used_memory"] <= LIMIT * 1.02)


def wait_evicted(client, written):
    """Until it is quiet, and all that is missing of so many keys has been evicted. Returns how many were."""
    def quiet():
        evicted = client.info("stats")["evicted_keys"]
        return evicted if evicted == written - client.dbsize() == client.info("stats")["evicted_keys"] else 0
    return until(lambda: f"{written} keys are there or evicted: {client.dbsize()}, {client.info('stats')}", quiet)


def keys(node):
    with node.client() as client:
        return set(client.scan_iter(count=1000))


def metric(node, name):
    lines = node.http("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and line[len(name)] in " {")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_what_is_used_survives_what_is_not(make_cluster, policy):
    node = make_cluster(nodes=1, options={**OPTIONS, "memory.policy": policy})["n1"]
    with node.client() as client:
        write(client, "hot", 0, 2000)
        for at in range(0, 100_000, 2000):
            write(client, "cold", at, 2000)
            present(client, "hot", 0, 2000)
            assert client.info("memory")["used_memory"] < LIMIT * 1.2
        wait_within_limit(node)
        assert client.info("store")["store_evicted_objects"] == 0
        client.config_set("maxmemory-policy", "noeviction")  # what is there stays
        evicted = wait_evicted(client, 102_000)
        assert evicted > 50_000
        assert metric(node, "even_keys_evicted_total") == evicted
        hot, cold = present(client, "hot", 0, 2000), present(client, "cold", 0, 50_000)
        assert hot > 0.8 and cold < 0.3, (hot, cold)
    # What is gone stays gone, and what is there is there after a restart.
    left = keys(node)
    node.stop()
    node.start()
    assert keys(node) == left


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_volatile_policies_leave_keys_without_expiry_alone(make_cluster, policy):
    node = make_cluster(nodes=1, options={**OPTIONS, "memory.policy": policy})["n1"]
    with node.client() as client:
        write(client, "stays", 0, 5000)
        for at in range(0, 60_000, 5000):
            write(client, "goes", at, 5000, ex=100_000 - at)
        wait_within_limit(node)
        assert wait_evicted(client, 65_000) > 10_000
        assert present(client, "stays", 0, 5000) == 1
        # More of those than memory holds: nothing is refused, and the store has them.
        write(client, "stays", 5000, 60_000)
        wait_within_limit(node)
        assert present(client, "stays", 0, 65_000) == 1
        assert client.info("store")["store_evicted_objects"] > 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_three_nodes_end_with_the_same_keys(make_cluster, policy):
    cluster = make_cluster(nodes=3, options={**OPTIONS, "memory.policy": policy})
    expiry = {"ex": 100_000} if policy.startswith("volatile") else {}
    clients = [node.client() for node in cluster]
    for at in range(0, 90_000, 1000):
        write(clients[at // 1000 % 3], "k", at, 1000, **expiry)
    for node in cluster:
        wait_within_limit(node)
    # A node may still delete some while another is asked.
    def same_keys():
        first, *others = [keys(node) for node in cluster]
        return first if all(other == first for other in others) else None
    left = until("all nodes have the same keys", same_keys)
    cluster.wait_converged()
    assert 1000 < len(left) < 60_000
    # None is gone without one who has deleted it, and two seldom delete the same key.
    evicted = [client.info("stats")["evicted_keys"] for client in clients]
    assert 90_000 - len(left) <= sum(evicted) < 1.5 * (90_000 - len(left))
    assert all(count > 0 for count in evicted), evicted


def test_limit_and_policy_can_be_changed_while_the_node_runs(make_cluster):
    node = make_cluster(nodes=1, options={"store.cache_bytes": "1MiB"})["n1"]
    with node.client() as client:
        assert client.config_get("maxmemory", "maxmemory-policy") == {"maxmemory": "0", "maxmemory-policy": "noeviction"}
        write(client, "k", 0, 60_000)
        assert client.info("memory")["used_memory"] > LIMIT
        for name, value in (("maxmemory-policy", "allkeys-fifo"), ("maxmemory", "much"), ("maxmemory", "-1")):
            with pytest.raises(redis.ResponseError, match="CONFIG SET failed"):
                client.config_set(name, value)
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", "64mb")
        assert client.config_get("maxmemory", "maxmemory-policy") == {"maxmemory": str(LIMIT), "maxmemory-policy": "allkeys-random"}
        memory = client.info("memory")
        assert (memory["maxmemory"], memory["maxmemory_policy"]) == (LIMIT, "allkeys-random")
        wait_within_limit(node)
        client.config_set("maxmemory-policy", "noeviction")
        evicted = wait_evicted(client, 60_000)
        assert evicted > 10_000
        write(client, "more", 0, 30_000)
        wait_within_limit(node)
        assert client.dbsize() == 60_000 - evicted + 30_000


def test_a_small_cache_still_holds_keys(make_cluster):
    options = {"memory.max_memory": "40MiB", "memory.policy": "allkeys-lru", "node.shards": 2, "store.cache_bytes": "2MiB"}
    with make_cluster(nodes=1, options=options)["n1"].client() as client:
        for batch in range(60):
            pipeline = client.pipeline(transaction=False)
            for number in range(1000):
                pipeline.set(f"k:{batch}:{number}", "v" * 600)
            pipeline.execute()
        until("memory is within its limit", lambda: client.info("memory")["used_memory"] <= 40 << 20)
        assert client.dbsize() > 10_000
        assert client.exists("k:59:999")
