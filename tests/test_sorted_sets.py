"""Sorted sets of whole clusters: what is left of concurrent changes, and of a restart, eviction and strong keyspaces."""

import redis

from even_cluster import until

MEMBERS = 300


def add(client, key, scores, size=2000):
    """`scores`: score by member."""
    items = list(scores.items())
    for first in range(0, len(items), size):
        client.zadd(key, dict(items[first:first + size]))


def everything(client, key):
    return client.zrange(key, 0, -1, withscores=True)


def in_order(scores):
    return sorted(scores.items(), key=lambda item: (item[1], item[0]))


def test_both_sides_of_a_cut_change_the_same_sorted_sets_and_agree_in_the_end(cluster):
    """n3 is cut off; n1 and n3 add, increment and remove the same members, of a large set and of a small one.

    Adds win over removals that had not seen them, increments add up, and of two scores the one written last counts.
    """
    a, b = cluster["n1"].client(), cluster["n3"].client()
    for key, members in (("large", MEMBERS), ("small", 5)):
        add(a, key, {f"{kind}{i}": 10 for i in range(members) for kind in ("inc", "score", "gone", "back")})
    cluster.wait_converged()
    # So that changes from the other side meet an index.
    assert a.zrank("large", "inc0") is not None and b.zrank("large", "inc0") is not None

    cluster.isolate("n3")
    for key, members in (("large", MEMBERS), ("small", 5)):
        for client, by, score in ((a, 2, 1), (b, 0.5, 2)):
            pipeline = client.pipeline(transaction=False)
            for i in range(members):
                pipeline.zincrby(key, by, f"inc{i}")
                pipeline.zincrby(key, by, f"new{i}")
                pipeline.zrem(key, f"gone{i}")
                pipeline.zadd(key, {f"score{i}": score})
            pipeline.execute()
        a.zrem(key, *(f"back{i}" for i in range(members)))
        add(b, key, {f"back{i}": 7 for i in range(members)})
    assert cluster.differences(), "the cut did not hold: n3 has what n1 wrote"
    cluster.rejoin("n3")
    cluster.wait_converged()

    for key, members in (("large", MEMBERS), ("small", 5)):
        expected = {}
        for i in range(members):
            # What n3 wrote came later.
            expected |= {f"inc{i}": 12.5, f"new{i}": 2.5, f"score{i}": 2, f"back{i}": 7}
        for node in cluster:
            with node.client() as client:
                assert everything(client, key) == in_order(expected), (node, key)
                assert client.zrank(key, "inc0") == [name for name, _ in in_order(expected)].index("inc0")
                assert client.zcount(key, 2.5, 7) == 2 * members
                assert client.zscore(key, "gone0") is None


def test_sorted_sets_are_the_same_after_all_nodes_were_killed(cluster):
    client = cluster["n2"].client()
    scores = {f"m{i}": i / 4 for i in range(2000)}
    add(client, "z", scores)
    for i in range(100):
        client.zincrby("z", 1000.25, f"m{i}")
        scores[f"m{i}"] += 1000.25
    client.zremrangebyrank("z", 0, 49)
    left = in_order(scores)[50:]
    client.zunionstore("copy", {"z": 2})
    cluster.wait_converged()
    cluster.kill()
    cluster.start()
    cluster.wait_converged()
    for node in cluster:
        with node.client() as reader:
            assert everything(reader, "z") == left, node
            assert everything(reader, "copy") == [(name, 2 * score) for name, score in left], node


def test_the_order_of_a_sorted_set_that_was_let_go_of_is_right(make_cluster):
    """Its members leave memory while other data comes in; commands that name some, and ranges, find them all."""
    node = make_cluster(nodes=1, options={"memory.max_memory": "24MiB"})["n1"]
    with node.client() as client:
        scores = {f"member-{i:06}": (i * 7919) % 100_003 for i in range(60_000)}
        add(client, "z", scores)
        assert client.zrank("z", "member-000000") == 0
        filler = iter(range(1_000_000))

        def cold():
            client.mset({f"filler:{next(filler)}": "x" * 500 for _ in range(500)})
            memory = client.execute_command("EVEN.MEMORY", "z")
            memory = dict(zip(memory[::2], memory[1::2]))
            return memory["elements in memory"] < 30_000

        until("half of the members have left memory", cold, seconds=60)
        assert client.zscore("z", "member-000777") == scores["member-000777"]
        client.zincrby("z", 0.5, "member-000777")
        scores["member-000777"] += 0.5
        client.zrem("z", "member-000778")
        del scores["member-000778"]
        order = in_order(scores)
        assert client.zcard("z") == len(order)
        assert client.zrange("z", 1000, 1010, withscores=True) == order[1000:1011]
        assert client.zrevrange("z", 0, 5, withscores=True) == order[:-7:-1]
        assert client.zrank("z", "member-000777") == [name for name, _ in order].index("member-000777")
        assert client.zrangebyscore("z", 500, 600) == [name for name, score in order if 500 <= score <= 600]


def test_a_strong_keyspace_keeps_sorted_sets_as_redis_does(cluster):
    with cluster["n1"].client() as client:
        assert client.execute_command("EVEN.KEYSPACE", "CREATE", "boards", "PREFIX", "b:", "MODE", "STRONG") == "OK"
        until("the keyspace serves", lambda: served(client))
        for i in range(200):
            assert client.zadd("b:{x}", {f"m{i}": i}) == 1
        assert client.zadd("b:{x}", {"m0": 5}, nx=True) == 0
        assert client.zadd("b:{x}", {"m1": 0}, gt=True, ch=True) == 0
        assert client.zadd("b:{x}", {"m1": 9.5}, gt=True, ch=True) == 1
        assert client.zpopmin("b:{x}", 2) == [("m0", 0), ("m2", 2)]
    with cluster["n2"].client() as client:
        assert client.zincrby("b:{x}", 0.1, "m3") == 3.1
        assert client.zincrby("b:{x}", 0.2, "m3") == 3.1 + 0.2
        assert client.zunionstore("b:{x}:double", {"b:{x}": 2}) == 198
    with cluster["n3"].client() as client:
        assert client.zrange("b:{x}", 0, 1, withscores=True) == [("m3", 3.1 + 0.2), ("m4", 4)]
        assert client.zrevrank("b:{x}", "m199") == 0
        assert client.zscore("b:{x}:double", "m199") == 398
        try:
            client.zunionstore("b:{x}", ["b:{y}", "b:{z}"])
            raise AssertionError("keys of several groups were taken together")
        except redis.ResponseError as error:
            assert "CROSSGROUP" in str(error)


def served(client):
    try:
        return client.zcard("b:{x}") == 0
    except redis.ResponseError:
        return False


def test_keys_of_several_sorted_sets_are_led_to_a_node_that_has_them(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1, partitions=16)
    with cluster["n1"].client() as first, cluster["n2"].client() as second:
        for i in range(20):
            first.zadd(f"{{t{i}}}:a", {"m": i, "n": 1})
            first.zadd(f"{{t{i}}}:b", {"m": 1})
        refused = 0
        for i in range(20):
            for client in (first, second):
                assert client.zinterstore(f"{{t{i}}}:c", [f"{{t{i}}}:a", f"{{t{i}}}:b"]) == 1
                assert client.zscore(f"{{t{i}}}:c", "m") == i + 1
                assert client.zrangestore(f"{{t{i}}}:d", f"{{t{i}}}:a", 0, 0) == 1
            try:
                assert second.zunion([f"{{t{i}}}:a", f"{{t{(i + 7) % 20}}}:a"]) is not None
            except redis.ResponseError as error:
                assert "CROSSSLOT" in str(error)
                refused += 1
        assert refused > 0
