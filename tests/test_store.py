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
