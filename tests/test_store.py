"""Data that does not fit in memory, restarts, and sudden death, with real processes and the store beneath them."""

import os
import random
import subprocess
import threading
import time

import pytest
import redis

from even_cluster import until

# Passes of the store every megabyte of log, and room in memory for a part of the data only.
OPTIONS = {"store.pass_bytes": "1MiB", "store.cache_bytes": "1MiB", "memory.max_memory": "20MiB"}
ROUNDS = int(os.environ.get("EVEN_CRASH_ROUNDS", "4"))


class Model:
    """What a single client has written, and with it the answers that it must get."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.strings = {}
        self.hashes = {}
        self.sets = {}
        self.counters = {}

    def write(self, client, commands, keys):
        """So many random commands on `keys` keys of each type, a hundred at a time."""
        for _ in range(commands // 100):
            pipeline = client.pipeline(transaction=False)
            for _ in range(100):
                self.command(pipeline, self.random.randrange(keys))
            pipeline.execute()

    def command(self, pipeline, number):
        draw = self.random.random()
        if draw < 0.6:
            key, value = f"string:{number}", self.random.randbytes(self.random.randrange(1500))
            self.strings[key] = value
            pipeline.set(key, value)
        elif draw < 0.65:
            key = f"string:{number}"
            self.strings.pop(key, None)
            pipeline.delete(key)
        elif draw < 0.75:
            key = f"counter:{number}"
            self.counters[key] = self.counters.get(key, 0) + number
            pipeline.incrby(key, number)
        elif draw < 0.87:
            # Some are far larger than others.
            key = f"hash:{number % 997}"
            fields = {f"f{self.random.randrange(400 if number % 7 == 0 else 12)}": f"{number}" * 3 for _ in range(8)}
            self.hashes.setdefault(key, {}).update(fields)
            pipeline.hset(key, mapping=fields)
        elif draw < 0.9:
            key = f"hash:{number % 997}"
            fields = [f"f{self.random.randrange(400)}" for _ in range(8)]
            for field in fields:
                self.hashes.get(key, {}).pop(field, None)
            if not self.hashes.get(key, True):
                del self.hashes[key]
            pipeline.hdel(key, *fields)
        elif draw < 0.98:
            key = f"set:{number % 499}"
            members = [f"m{self.random.randrange(800 if number % 5 == 0 else 20)}" for _ in range(8)]
            self.sets.setdefault(key, set()).update(members)
            pipeline.sadd(key, *members)
        else:
            key = f"set:{number % 499}"
            self.sets.pop(key, None)
            pipeline.delete(key)

    def size(self):
        return sum(map(len, (self.strings, self.hashes, self.sets, self.counters)))

    def check(self, client):
        def all_of(expected, ask, convert=lambda value: value):
            names = list(expected)
            for at in range(0, len(names), 500):
                pipeline = client.pipeline(transaction=False)
                for name in names[at : at + 500]:
                    ask(pipeline, name)
                for name, found in zip(names[at : at + 500], pipeline.execute()):
                    assert convert(found) == expected[name], name

        assert client.dbsize() == self.size()
        all_of(self.strings, lambda pipeline, name: pipeline.get(name))
        all_of(self.counters, lambda pipeline, name: pipeline.get(name), int)
        decode = lambda found: {field.decode(): value.decode() for field, value in found.items()}
        all_of(self.hashes, lambda pipeline, name: pipeline.hgetall(name), decode)
        all_of(self.sets, lambda pipeline, name: pipeline.smembers(name), lambda found: {m.decode() for m in found})

    def check_walks(self, client):
        """SCAN and KEYS find every key once, in memory or not."""
        names = set(self.strings) | set(self.hashes) | set(self.sets) | set(self.counters)
        for found in (list(client.scan_iter(count=1000)), client.keys()):
            assert len(found) == len(names)
            assert {name.decode() for name in found} == names
        assert client.randomkey().decode() in names


def raw_client(node):
    return node.client(decode_responses=False)


def test_data_beyond_memory_is_there_through_eviction_restart_and_sudden_death(make_cluster):
    node = make_cluster(nodes=1, options=OPTIONS)["n1"]
    model = Model(1)
    for how in ("stop", "kill9", "stop"):
        with raw_client(node) as client:
            model.write(client, 50_000, 40_000)
            model.check(client)
            model.check_walks(client)
            model.write(client, 5_000, 40_000)
            # Counted since the node was started; afterwards there is room for all that is only read.
            assert client.info("store")["store_evicted_objects"] > 10_000
        getattr(node, how)()
        node.start()
        with raw_client(node) as client:
            model.check_walks(client)
            model.check(client)
    with raw_client(node) as client:
        client.flushall()
        assert client.dbsize() == 0 and client.keys() == []
        node.stop()
    node.start()
    with raw_client(node) as client:
        assert client.dbsize() == 0 and client.keys() == []


def test_single_elements_of_large_collections_are_read_without_the_others(make_cluster):
    fields, members = 200_000, 50_000
    node = make_cluster(nodes=1, options={"node.shards": 1})["n1"]
    with node.client() as client:
        for at in range(0, fields, 10_000):
            client.hset("hash", mapping={f"f{i}": f"value {i}" for i in range(at, at + 10_000)})
        for at in range(0, members, 10_000):
            client.sadd("set", *(f"m{i}" for i in range(at, at + 10_000)))

    def expect(client, rows, expected, *words):
        """The reply, and how many rows were read for it at most."""
        before = client.info("store")["store_read_rows"]
        assert client.execute_command(*words) == expected
        assert client.info("store")["store_read_rows"] - before <= rows, words

    def restart():
        node.stop()
        node.start()

    restart()
    with node.client() as client:
        expect(client, 1, fields, "HLEN", "hash")
        expect(client, 1, "value 77", "HGET", "hash", "f77")
        expect(client, 0, None, "HGET", "hash", "absent")
        expect(client, 2, ["value 78", "value 79", None], "HMGET", "hash", "f78", "f79", "none")
        expect(client, 1, 1, "HDEL", "hash", "f80")
        expect(client, 0, None, "HGET", "hash", "f80")
        expect(client, 1, 0, "HSET", "hash", "f81", "changed")
        expect(client, 0, 1, "HSET", "hash", "new", "field")
        expect(client, 1, members, "SCARD", "set")
        expect(client, 1, 1, "SISMEMBER", "set", "m5")
        expect(client, 1, 1, "SREM", "set", "m6")
        expect(client, 0, False, "EXPIRE", "absent", 10)
        told = client.execute_command("EVEN.MEMORY", "hash")
        told = dict(zip(told[::2], told[1::2]))
        assert told["elements"] == fields and told["elements in memory"] < 10
    # Once by way of the store, once by way of the log.
    for how in ("stop", "kill9"):
        getattr(node, how)()
        node.start()
        with node.client() as client:
            expect(client, 3, [None, "changed", "field"], "HMGET", "hash", "f80", "f81", "new")
            expect(client, 2, 0, "SISMEMBER", "set", "m6")
            assert client.hlen("hash") == fields and client.scard("set") == members - 1
            client.hset("hash", "f82", how)
            assert client.hget("hash", "f82") == how
    with node.client() as client:
        whole = client.hgetall("hash")
        assert len(whole) == fields and "f80" not in whole and whole["f82"] == "kill9" and whole["f199999"] == "value 199999"
        assert client.delete("hash", "set") == 2
    restart()
    with node.client() as client:
        assert client.dbsize() == 0


def test_one_collection_may_be_larger_than_memory(make_cluster):
    fields = 150_000
    node = make_cluster(nodes=1, options=OPTIONS | {"node.shards": 1})["n1"]
    limit = 20 << 20

    def value(i):
        return f"value {i} ".ljust(150, "x")

    def check(client):
        draw = random.Random(1)
        for _ in range(30):
            some = [draw.randrange(fields) for _ in range(100)]
            assert client.hmget("hash", [f"f{i}" for i in some]) == [value(i) for i in some]
        assert client.hlen("hash") == fields
        assert len(dict(client.hscan_iter("hash", count=500))) == fields
        until("memory is within its limit again", lambda: client.info("memory")["used_memory"] <= 1.1 * limit)

    with node.client() as client:
        for at in range(0, fields, 500):
            client.hset("hash", mapping={f"f{i}": value(i) for i in range(at, at + 500)})
            if at % 50_000 == 0:
                until("memory is within its limit", lambda: client.info("memory")["used_memory"] <= 1.5 * limit)
        check(client)
    node.stop()
    node.start()
    with node.client() as client:
        check(client)


def test_replicas_that_hold_more_than_their_memory_converge(make_cluster):
    cluster = make_cluster(nodes=3, options=OPTIONS)
    models = {name: Model(name) for name in ("n1", "n2", "n3")}
    with raw_client(cluster["n1"]) as client:
        models["n1"].write(client, 30_000, 30_000)
    cluster.wait_converged(60)
    # Each in turn changes what the others hold on disk only.
    for name in ("n2", "n3", "n1"):
        models[name].__dict__.update(models["n1"].__dict__)
        with raw_client(cluster[name]) as client:
            models[name].write(client, 10_000, 30_000)
        cluster.wait_converged(60)
    for name in ("n1", "n2", "n3"):
        with raw_client(cluster[name]) as client:
            models["n1"].check(client)
    # One that has lost everything is filled by the others, from their stores.
    cluster["n3"].kill9()
    subprocess.run(["rm", "-rf", cluster["n3"].data], check=True)
    cluster["n3"].start()
    cluster.wait_converged(60)
    with raw_client(cluster["n3"]) as client:
        models["n1"].check(client)


def test_expiries_are_kept_for_what_is_not_in_memory(make_cluster):
    node = make_cluster(nodes=1, options=OPTIONS)["n1"]
    with raw_client(node) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(2000):
            pipeline.set(f"soon:{number}", "x", px=3000)
            pipeline.set(f"late:{number}", "x", px=10_000_000)
        pipeline.execute()
        Model(2).write(client, 60_000, 60_000)
    node.stop()
    node.start()
    with raw_client(node) as client:
        until("what has expired is gone", lambda: not list(client.scan_iter("soon:*", count=1000)))
        late = list(client.scan_iter("late:*", count=1000))
        assert len(late) == 2000
        assert all(9_000_000 < client.pttl(key) <= 10_000_000 for key in late[:50])


def test_the_number_of_shards_may_change_between_restarts(make_cluster):
    cluster = make_cluster(nodes=2, options=OPTIONS)
    model = Model(3)
    for how, shards in (("stop", 3), ("kill9", 1), ("stop", 1), ("kill9", 4)):
        with raw_client(cluster["n1"]) as client:
            model.write(client, 10_000, 10_000)
            # Not everything gets to the other node before it is down.
            cluster["n2"].stop()
            model.write(client, 2_000, 10_000)
        getattr(cluster["n1"], how)()
        for node in cluster:
            node.start(arguments=["--set", f"node.shards={shards}"])
        for node in cluster:
            until("it has all", lambda: node.client().dbsize() == model.size())
        cluster.wait_converged(60)
        for node in cluster:
            with raw_client(node) as client:
                model.check(client)
                model.check_walks(client)
            assert all(int(name.name[4:8]) < shards for name in node.data.glob("log-*"))


def write_numbers(client, prefix, written, stop):
    """SETs prefix:0, prefix:1 ..., INCRs and SADDs beside them; `written` counts what was acknowledged."""
    try:
        while not stop.is_set():
            number = written[0]
            pipeline = client.pipeline(transaction=False)
            pipeline.set(f"{prefix}:{number}", "v" * (number % 700))
            pipeline.incr(f"{prefix}:count")
            pipeline.sadd(f"{prefix}:set", number)
            pipeline.execute()
            written[0] = number + 1
    except redis.RedisError:
        pass


def check_numbers(client, prefix, written):
    for at in range(0, written, 1000):
        numbers = range(at, min(at + 1000, written))
        values = client.mget([f"{prefix}:{number}" for number in numbers])
        assert [len(value) if value is not None else None for value in values] == [n % 700 for n in numbers]
        assert all(client.smismember(f"{prefix}:set", list(numbers)))
    assert int(client.get(f"{prefix}:count") or 0) >= written
    assert client.scard(f"{prefix}:set") >= written


@pytest.mark.parametrize("nodes", [1, 3])
def test_nothing_acknowledged_is_lost_however_often_a_node_is_killed(make_cluster, nodes):
    options = {"log.fsync": "always", "store.pass_bytes": "1MiB", "memory.max_memory": "24MiB"}
    cluster = make_cluster(nodes=nodes, options=options)
    chance = random.Random(nodes)
    total = {}
    for round_number in range(ROUNDS):
        victim = cluster[f"n{chance.randrange(nodes) + 1}"]
        stop = threading.Event()
        counts = {f"r{round_number}:{n}:{t}": [0] for n in range(1, nodes + 1) for t in range(3)}
        threads = [
            threading.Thread(target=write_numbers, args=(raw_client(cluster[f"n{prefix.split(':')[1]}"]), prefix,
                                                         written, stop))
            for prefix, written in counts.items()
        ]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.05, 1.0))
        victim.kill9()
        stop.set()
        for thread in threads:
            thread.join()
        victim.start()
        total |= {prefix: written[0] for prefix, written in counts.items()}
        cluster.wait_converged(60)
        for node in cluster:
            with raw_client(node) as client:
                for prefix, written in total.items() if round_number == ROUNDS - 1 else list(counts.items()):
                    check_numbers(client, prefix, written if isinstance(written, int) else written[0])
    assert sum(total.values()) > 0
