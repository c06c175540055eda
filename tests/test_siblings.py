"""Keyspaces with CONFLICT SIBLINGS on whole clusters: see docs/siblings.md."""

import concurrent.futures

import pytest
import redis

from even_cluster import until
from test_strong import Refusal


def make_keyspace(cluster, prefix="cart:"):
    with cluster["n1"].client() as client:
        until("the keyspace", lambda: create(client, prefix))


def create(client, prefix):
    try:
        return client.execute_command("EVEN.KEYSPACE", "CREATE", "carts", "PREFIX", prefix, "CONFLICT", "SIBLINGS")
    except redis.ResponseError as error:
        assert str(error).startswith(("TRYAGAIN", "UNAVAILABLE", "PARTIAL")), error
        return None


def siblings(client, key):
    context, values = client.execute_command("EVEN.SIBLINGS", key)
    return context, values


def resolve(client, key, context, value):
    return client.execute_command("EVEN.RESOLVE", key, context, value)


def write_apart(cluster, values):
    """{node: [(key, value), ...]}, while no node reaches another."""
    for node in cluster:
        cluster.isolate(node.name)
    for name, writes in values.items():
        with cluster[name].client() as client:
            for key, value in writes:
                assert client.set(key, value)
    for node in cluster:
        cluster.rejoin(node.name)
    cluster.wait_converged()


def test_concurrent_values_stay_until_they_are_resolved(cluster):
    make_keyspace(cluster)
    key = "cart:7"
    write_apart(cluster, {f"n{n}": [(key, f"of n{n}"), ("plain", f"of n{n}")] for n in (1, 2, 3)})
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        clients = (one, two, three)
        context, values = siblings(one, key)
        assert sorted(values) == ["of n1", "of n2", "of n3"]
        for client in clients:
            assert siblings(client, key) == (context, values) and client.get(key) == values[0]
        # Who knows nothing of siblings replaces what it can see.
        assert two.set(key, "new")
        cluster.wait_converged()
        assert sorted(siblings(three, key)[1]) == sorted(["new", *values[1:]])
        # A context of before replaces what it has seen, and no more.
        assert resolve(three, key, context, "merged") == "OK"
        cluster.wait_converged()
        context, values = siblings(one, key)
        assert sorted(values) == ["merged", "new"]
        assert resolve(one, key, context, "all") == "OK"
        cluster.wait_converged()
        for client in clients:
            assert siblings(client, key)[1] == ["all"] and client.get(key) == "all"
        # Elsewhere the next write replaces them.
        one.set("plain", "x")
        assert siblings(one, "plain")[1] == ["x"]
        with Refusal("that is no context"):
            resolve(one, key, "x", "y")
        assert one.delete(key) == 1 and siblings(one, key)[1] == []
        info = one.execute_command("EVEN.KEYSPACE", "INFO", "carts")
        assert dict(zip(info[::2], info[1::2]))["conflict"] == "siblings"
        with Refusal("CONFLICT SIBLINGS is for eventual"):
            one.execute_command("EVEN.KEYSPACE", "CREATE", "s", "PREFIX", "s:", "MODE", "STRONG", "CONFLICT", "SIBLINGS")
        assert one.execute_command("EVEN.KEYSPACE", "ALTER", "carts", "CONFLICT", "LWW") == "OK"


def test_resolutions_at_the_same_time_are_siblings_again(cluster):
    make_keyspace(cluster)
    write_apart(cluster, {"n1": [("cart:1", "a")], "n2": [("cart:1", "b")]})
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        context, _ = siblings(three, "cart:1")
        cluster.isolate("n1")
        assert resolve(one, "cart:1", context, "ab at 1") == "OK"
        assert resolve(two, "cart:1", context, "ab at 2") == "OK"
        cluster.rejoin("n1")
        cluster.wait_converged()
        assert sorted(siblings(three, "cart:1")[1]) == ["ab at 1", "ab at 2"]


def test_their_number_is_bounded_and_they_survive_restarts(cluster):
    make_keyspace(cluster)
    with cluster["n1"].client() as one:
        empty, _ = siblings(one, "cart:2")
        for number in range(16):
            assert resolve(one, "cart:2", empty, f"v{number}") == "OK"
        with Refusal("the key would have 17 values"):
            resolve(one, "cart:2", empty, "v16")
        assert one.set("cart:2", "shown")
        with Refusal("the key would have 2 values of"):
            one.set("cart:3", "x" * 600_000)
            resolve(one, "cart:3", empty, "y" * 600_000)
    cluster["n1"].kill9()
    cluster["n1"].start()
    cluster.wait_converged()
    with cluster["n1"].client() as one, cluster["n3"].client() as three:
        context, values = siblings(one, "cart:2")
        assert len(values) == 16 and "shown" in values and siblings(three, "cart:2") == (context, values)
        assert resolve(one, "cart:2", context, "one") == "OK"
        assert siblings(one, "cart:2")[1] == ["one"]


def test_no_value_is_lost_unseen(cluster):
    """Clients add to a set by reading, merging and resolving, at all nodes at once: nothing that was added is lost."""
    make_keyspace(cluster)
    def add(name, items):
        with cluster[name].client() as client:
            for item in items:
                while True:
                    context, values = siblings(client, "cart:9")
                    merged = {item} | {part for value in values for part in value.split() if part}
                    try:
                        resolve(client, "cart:9", context, " ".join(sorted(merged)))
                        break
                    except redis.ResponseError as error:
                        assert str(error).startswith("the key would have"), error
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda n: add(f"n{n % 3 + 1}", [f"{n}:{i}" for i in range(30)]), range(6)))
    cluster.wait_converged()
    with cluster["n2"].client() as two:
        _, values = siblings(two, "cart:9")
        assert {part for value in values for part in value.split()} == {f"{n}:{i}" for n in range(6) for i in range(30)}
