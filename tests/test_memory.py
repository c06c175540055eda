"""What a node says of its memory: INFO, MEMORY, EVEN.MEMORY and /metrics."""

import re

from even_cluster import until


def metric(node, name):
    return float(re.search(rf"^{name} (\S+)$", node.http("/metrics")[1], re.MULTILINE)[1])


def test_used_memory_is_what_is_allocated_and_falls_again(make_cluster):
    node = make_cluster(nodes=1, options={"memory.max_memory": "1GiB"})["n1"]
    with node.client() as client:
        before = client.info("memory")
        assert before["maxmemory"] == 1 << 30
        assert 0 < before["used_memory"] < before["used_memory_rss"]
        value = "x" * 1_000_000
        for i in range(30):
            client.set(f"k{i}", value)
        grown = client.info("memory")
        assert grown["used_memory"] > before["used_memory"] + 25_000_000
        assert grown["used_memory_peak"] >= grown["used_memory"]
        assert abs(metric(node, "even_memory_allocated_bytes") - grown["used_memory"]) < 5_000_000
        client.flushall()
        until("memory is free again", lambda: client.info("memory")["used_memory"] < grown["used_memory"] - 15_000_000)
        assert client.info("memory")["used_memory_peak"] >= grown["used_memory"]


def test_memory_of_a_key_is_told_by_whichever_node_holds_it(make_cluster):
    cluster = make_cluster(nodes=2, replicas=1)
    until("the link is up", lambda: {peer["link"] for node in cluster for peer in node.status()["peers"]} == {"up"})
    with cluster["n1"].client() as client:
        for i in range(20):
            client.set(f"k{i}", "v" * 100)
            assert 100 < client.memory_usage(f"k{i}") < 300
            told = client.execute_command("EVEN.MEMORY", f"k{i}")
            told = dict(zip(told[::2], told[1::2]))
            assert told["bytes"] == client.memory_usage(f"k{i}") and told["form"] == "value"
        assert client.memory_usage("absent") is None
        assert client.info("commandstats")["cmdstat_memory|usage"]["calls"] == 41


def test_memory_of_the_node_is_told(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        client.mset({f"k{i}": "v" for i in range(100)})
        stats = client.execute_command("MEMORY", "STATS")
        stats = dict(zip(stats[::2], stats[1::2])) if isinstance(stats, list) else stats
        assert stats["keys.count"] == 100
        assert stats["peak.allocated"] >= stats["total.allocated"] > 0
        assert client.execute_command("MEMORY", "DOCTOR") == "Nothing is wrong with the memory of this node.\n"
        assert client.execute_command("MEMORY", "PURGE") in (True, "OK")
