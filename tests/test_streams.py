"""Streams on three nodes: entries of all of them, consumer groups, waiting."""

import threading

import pytest
import redis
from even_cluster import until


def keyspace(node, *words):
    with node.client() as client:
        return client.execute_command("EVEN.KEYSPACE", *words)


def values(entries):
    return [fields["v"] for _, fields in entries]


def test_a_group_is_given_every_entry_of_every_node_whatever_is_cut_off(cluster):
    clients = {node.name: node.client() for node in cluster}
    clients["n1"].xgroup_create("events", "g", id="0", mkstream=True)
    cluster.wait_converged()
    given = []

    def consume(name):
        while True:
            reply = clients[name].xreadgroup("g", name, {"events": ">"}, count=7)
            if not reply:
                return
            entries = reply[0][1]
            given.extend(values(entries))
            assert clients[name].xack("events", "g", *[id for id, _ in entries]) == len(entries)

    wanted = []
    for turn in range(6):
        cut = f"n{turn % 3 + 1}"
        cluster.isolate(cut)
        for i in range(30):
            for name, client in clients.items():
                wanted.append(f"{turn}.{name}.{i}")
                client.xadd("events", {"v": wanted[-1]})
        consume(cut)
        consume("n1")
        cluster.rejoin(cut)
        cluster.wait_converged()
    for name in clients:
        consume(name)
        cluster.wait_converged()
    assert set(given) == set(wanted)
    for client in clients.values():
        assert client.xlen("events") == len(wanted)
        assert client.xpending("events", "g")["pending"] == 0
        assert client.xinfo_groups("events")[0]["lag"] == 0
    listed = [client.xrange("events") for client in clients.values()]
    assert listed[0] == listed[1] == listed[2]
    ids = [tuple(int(part) for part in id.split("-")) for id, _ in listed[0]]
    assert ids == sorted(set(ids))


def test_a_group_of_a_strong_keyspace_gives_each_entry_once(cluster):
    assert keyspace(cluster["n1"], "CREATE", "jobs", "PREFIX", "j:", "MODE", "STRONG", "PARTITIONS", 3) == "OK"
    with cluster["n1"].client() as client:
        until("a leader", lambda: tries(lambda: client.xgroup_create("j:q", "g", id="0", mkstream=True)))
        wanted = [f"job {i}" for i in range(300)]
        for value in wanted:
            client.xadd("j:q", {"v": value})
    given = {node.name: [] for node in cluster}

    def consume(node):
        with node.client() as client:
            while reply := client.xreadgroup("g", node.name, {"j:q": ">"}, count=3):
                given[node.name] += values(reply[0][1])
    threads = [threading.Thread(target=consume, args=(node,)) for node in cluster]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given["n1"] + given["n2"] + given["n3"]) == sorted(wanted)
    assert all(given.values())
    with cluster["n2"].client() as client:
        assert client.xpending("j:q", "g")["pending"] == len(wanted)
        assert client.xadd("j:q", {"v": "x"}, id="9999999999999-*") == "9999999999999-0"


def tries(call):
    try:
        return call()
    except redis.ResponseError as error:
        assert "UNAVAILABLE" in str(error) or "TRYAGAIN" in str(error), error
        return None


@pytest.mark.parametrize("read", ["XREAD", "XREADGROUP"])
def test_who_waits_is_given_what_another_node_appends(cluster, read):
    with cluster["n1"].client() as writer, cluster["n2"].client() as reader:
        writer.xadd("s", {"v": "old"})
        writer.xgroup_create("s", "g", id="$")
        cluster.wait_converged()
        got = []
        if read == "XREAD":
            wait = lambda: got.append(reader.xread({"s": "$"}, block=20000))
        else:
            wait = lambda: got.append(reader.xreadgroup("g", "c", {"s": ">"}, block=20000))
        thread = threading.Thread(target=wait)
        thread.start()
        with cluster["n2"].client() as observer:
            until("it waits", lambda: int(observer.info("clients")["blocked_clients"]) == 1)
        assert not got
        writer.xadd("s", {"v": "new"})
        thread.join()
        assert values(got[0][0][1]) == ["new"]
        assert reader.xread({"s": "$"}, block=1) == []


def test_readers_that_wait_do_not_take_from_each_other(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    got = {}

    def wait(name, *words):
        with node.client() as client:
            got[name] = client.execute_command(*words)
    with node.client() as client:
        client.xadd("s", {"v": "old"}, id="1-1")
        client.xgroup_create("s", "g", id="$")
        threads = [threading.Thread(target=wait, args=args) for args in (
            ("far", "XREAD", "BLOCK", "1500", "STREAMS", "s", "99-0"),
            ("behind", "XREAD", "BLOCK", "20000", "STREAMS", "s", "$"),
            ("group", "XREADGROUP", "NOACK", "BLOCK", "20000", "GROUP", "g", "block", "STREAMS", "s", ">"),
            ("forever", "XREAD", "BLOCK", "9200000000000000000", "STREAMS", "s", "1-1"))]
        for number, thread in enumerate(threads, 1):
            thread.start()
            until("it waits", lambda: client.info("clients")["blocked_clients"] == number)
        client.xadd("s", {"v": "new"}, id="2-1")
        for thread in threads:
            thread.join()
    assert not got["far"]
    assert all("2-1" in str(got[name]) for name in ("behind", "group", "forever"))


def test_a_stream_is_the_same_after_restarts_and_from_the_store(make_cluster):
    cluster = make_cluster(nodes=1, options={"store.pass_bytes": "1MiB"})
    node = cluster["n1"]
    with node.client() as client:
        client.xgroup_create("s", "g", id="0", mkstream=True)
        pipe = client.pipeline(transaction=False)
        for i in range(5000):
            pipe.xadd("s", {"v": f"{i}", "filler": "x" * 200})
        pipe.execute()
        client.xreadgroup("g", "c", {"s": ">"}, count=1000)
        client.xtrim("s", maxlen=4500, approximate=False)

    def state():
        with node.client() as client:
            groups = client.xinfo_groups("s")
            return client.xrange("s"), groups, client.xpending_range("s", "g", "-", "+", 2000)[-1]["message_id"]
    before = state()
    assert len(before[0]) == 4500 and before[1][0]["lag"] == 4000
    node.stop()
    node.start()
    assert state() == before
    node.kill9()
    node.start()
    assert state() == before
