"""What a node says of its memory: INFO, MEMORY, EVEN.MEMORY and /metrics."""

import re
from pathlib import Path

import pytest

from even_cluster import connect, until

# Resident beside what is allocated, and allocated beyond the limit for a moment (docs/operations.md).
ALLOWED_ON_TOP = 100 << 20


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
        assert abs(node.metric("even_memory_allocated_bytes") - grown["used_memory"]) < 5_000_000
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
        assert stats["peak.allocated"] >= stats["total.allocated"] > stats["startup.allocated"] > 0
        assert stats["keys.bytes-per-key"] == (stats["total.allocated"] - stats["startup.allocated"]) // 100
        assert client.execute_command("MEMORY", "DOCTOR") == "Nothing is wrong with the memory of this node.\n"
        assert client.execute_command("MEMORY", "PURGE") in (True, "OK")


def resident(node, field="VmRSS"):
    status = (Path("/proc") / str(node.process.pid) / "status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) << 10


@pytest.mark.parametrize("shards", [1, 4])
def test_clients_that_do_not_read_take_what_their_limit_allows_and_used_memory_says_so(make_cluster, shards):
    """Twenty of them ask for 50 MB each, of whichever thread. All of it comes once they read."""
    limit, value = 8 << 20, b"x" * 1_000_000
    node = make_cluster(nodes=1, options={"node.shards": shards, "client.output_buffer_bytes": limit})["n1"]
    with node.client() as client:
        for i in range(8):
            client.set(f"k{i}", value)
        client.execute_command("MEMORY", "PURGE")
        before, resident_before = client.info("memory")["used_memory"], resident(node)
        clients = [connect(node) for _ in range(20)]
        for connection, _ in clients:
            connection.sendall(b"".join(b"GET k%d\r\n" % (i % 8) for i in range(50)))

        def lines():
            return [line for line in client.client_list() if line["cmd"] == "get"]
        until("all have as much waiting as they may",
              lambda: len(lines()) == 20 and all(int(line["obl"]) > limit // 4 for line in lines()))
        until("nothing is under way", lambda: all(line["pending"] == "0" for line in lines()))
        for line in lines():
            assert int(line["obl"]) <= int(line["omem"]) <= int(line["obl"]) * 1.1 + 2 * len(value)
            assert 2 <= int(line["oll"]) <= int(line["obl"]) // len(value) + 2
            assert int(line["tot-mem"]) >= int(line["omem"])
        used = client.info("memory")["used_memory"] - before
        waiting = sum(int(line["obl"]) for line in lines())
        assert waiting * 0.9 <= used <= waiting * 1.1 + 20 * 2 * len(value)
        assert used <= (resident(node) - resident_before) * 1.1 + (20 << 20)
        assert resident(node, "VmHWM") - resident_before <= 20 * limit
        for connection, stream in clients:
            for _ in range(50):
                assert stream.read(len(value) + 12) == b"$1000000\r\n" + value + b"\r\n"


@pytest.mark.parametrize("size, count", [(10_000_000, 30), (1_000_000, 300), (10_000, 30_000)])
def test_memory_stays_near_its_limit_however_large_values_are(make_cluster, size, count):
    """Three times as much as the limit is written as fast as it goes; docs/operations.md says what is on top of it."""
    limit = 100_000_000
    node = make_cluster(nodes=1, options={"node.shards": 1, "memory.max_memory": limit})["n1"]
    value = b"x" * size
    connection, stream = connect(node)
    for first in range(0, count, max(1, 1_000_000 // size)):
        batch = range(first, min(count, first + max(1, 1_000_000 // size)))
        connection.sendall(b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$%d\r\n%s\r\n" % (i, size, value) for i in batch))
        for _ in batch:
            assert stream.readline() == b"+OK\r\n"
    with node.client() as client:
        assert client.dbsize() == count
        until("it is below the limit", lambda: client.info("memory")["used_memory"] < limit * 1.1)
    assert resident(node, "VmHWM") < limit * 1.1 + ALLOWED_ON_TOP + 8 * size
