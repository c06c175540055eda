"""Commands over all of a large collection, and over all keys: executed in steps, beside other requests."""

import threading

import pytest

from even_cluster import until

FIELDS = 20_000


def fill(client, key="h", fields=FIELDS):
    for first in range(0, fields, 5000):
        client.hset(key, mapping={f"f{i}": f"v{i}" for i in range(first, min(first + 5000, fields))})


@pytest.mark.parametrize("shards", [1, 2])
def test_a_pipeline_sees_a_large_collection_between_its_own_writes(make_cluster, shards):
    node = make_cluster(nodes=1, options={"node.shards": shards})["n1"]
    with node.client() as client:
        fill(client)
        client.sadd("s", *range(FIELDS))
        pipeline = client.pipeline(transaction=False)
        pipeline.hgetall("h").hset("h", "f0", "changed").hdel("h", "f1").hset("h", "new", "1")
        pipeline.hgetall("h").hlen("h").delete("h").hgetall("h").hkeys("h")
        pipeline.smembers("s").srem("s", 7).smembers("s").set("s", "text").get("s")
        replies = pipeline.execute()
    before = {f"f{i}": f"v{i}" for i in range(FIELDS)}
    after = {**before, "f0": "changed", "new": "1"}
    del after["f1"]
    assert replies[:4] == [before, 0, 1, 1]
    assert replies[4:9] == [after, FIELDS, 1, {}, []]
    members = {str(i) for i in range(FIELDS)}
    assert replies[9:] == [members, 1, members - {"7"}, True, "text"]


def test_a_listing_is_of_one_instant_whatever_others_write_meanwhile(make_cluster):
    """Each writer moves its field's value and its twin's in one command: a reader never sees one without the other."""
    node = make_cluster(nodes=1)["n1"]
    done = threading.Event()

    def write(number):
        with node.client() as client:
            value = 0
            while not done.is_set():
                value += 1
                client.hset("h", mapping={f"a{number}": value, f"z{number}": value, f"n{number}:{value}": 1})
                if value > 1:
                    client.hdel("h", f"n{number}:{value - 1}")

    with node.client() as client:
        fill(client)
        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for writer in writers:
            writer.start()
        try:
            until("all have written", lambda: all(client.hexists("h", f"z{number}") for number in range(4)))
            for _ in range(30):
                seen = client.hgetall("h")
                assert sum(name.startswith("f") for name in seen) == FIELDS
                for number in range(4):
                    assert seen[f"a{number}"] == seen[f"z{number}"]
                    assert sum(name.startswith(f"n{number}:") for name in seen) in (1, 2)
        finally:
            done.set()
            for writer in writers:
                writer.join()


def test_large_collections_and_all_keys_by_way_of_a_node_that_has_none_of_them(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1, partitions=16)
    with cluster["n1"].client() as first, cluster["n2"].client() as second:
        keys = [f"h{i}" for i in range(6)]
        for key in keys:
            fill(first, key, 3000)
        expected = {f"f{i}": f"v{i}" for i in range(3000)}
        for client in (first, second):
            assert sorted(client.keys("*")) == keys
            assert client.keys("h[0-2]") and not client.keys("x*")
            for key in keys:
                assert client.hgetall(key) == expected
                assert sorted(client.hvals(key)) == sorted(expected.values())


def test_a_removed_collection_stays_removed_on_all_nodes_and_after_restarts(make_cluster):
    cluster = make_cluster(nodes=2, replicas=2, options={"store.pass_bytes": "1MiB"})
    with cluster["n1"].client() as first, cluster["n2"].client() as second:
        fill(first, "h")
        fill(first, "counted")
        first.hincrby("counted", "f0x", 5)
        cluster.wait_converged()
        for node in cluster:  # so that all of it is in the store
            node.stop()
            node.start()
        cluster.wait_converged()
        assert first.unlink("h") == 1
        assert second.delete("counted") == 1
        cluster.wait_converged()
        for client in (first, second):
            assert client.exists("h", "counted") == 0
        second.hset("h", "only", "1")
        cluster.wait_converged()
        for node in cluster:
            node.kill9()
            node.start()
        cluster.wait_converged()
        for client in (first, second):
            assert client.hgetall("h") == {"only": "1"}
            assert client.exists("counted") == 0
