"""What a node says of its memory: INFO and /metrics."""

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
