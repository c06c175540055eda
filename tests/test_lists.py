"""Lists of whole clusters: what is left of concurrent changes, of a restart and eviction, and strong keyspaces."""

import random
import threading

import pytest
import redis

from even_cluster import until

LARGE = 300


def everything(client, key):
    return client.lrange(key, 0, -1)


def is_run(run, whole):
    """Whether the elements of `run` stand one behind the other."""
    first = whole.index(run[0])
    return whole[first:first + len(run)] == run


def test_both_sides_of_a_cut_push_and_the_runs_do_not_interleave(cluster):
    """n3 is cut off; both sides push at both ends and insert at the same place, of a small list and of a large one."""
    a, b = cluster["n1"].client(), cluster["n3"].client()
    for key, size in (("small", 3), ("large", LARGE)):
        a.rpush(key, *(f"m{i}" for i in range(size)))
    cluster.wait_converged()
    cluster.isolate("n3")
    runs = {}
    for key in ("small", "large"):
        runs[key] = []
        for client, name in ((a, "a"), (b, "b")):
            for i in range(20):
                client.rpush(key, f"{name}-right{i}")
                client.lpush(key, f"{name}-left{i}")
            for i in range(20):
                client.linsert(key, "BEFORE", "m1", f"{name}-typed{i}")
                client.linsert(key, "AFTER", "m1", f"{name}-back{i}")
            runs[key] += [[f"{name}-right{i}" for i in range(20)], [f"{name}-left{i}" for i in reversed(range(20))],
                          [f"{name}-typed{i}" for i in range(20)], [f"{name}-back{i}" for i in reversed(range(20))]]
    assert cluster.differences(), "the cut did not hold: n3 has what n1 wrote"
    cluster.rejoin("n3")
    cluster.wait_converged()
    for key, size in (("small", 3), ("large", LARGE)):
        whole = everything(a, key)
        assert len(whole) == size + 8 * 20
        for run in runs[key]:
            assert is_run(run, whole), (run, whole)
        assert [element for element in whole if element.startswith("m")] == [f"m{i}" for i in range(size)]
        for node in cluster:
            with node.client() as client:
                assert everything(client, key) == whole, (node, key)


def test_what_was_set_at_the_same_time_survives_a_pop_and_what_was_popped_twice_is_gone_once(cluster):
    a, b = cluster["n1"].client(), cluster["n3"].client()
    a.rpush("list", "one", "two", "three", "four")
    cluster.wait_converged()
    cluster.isolate("n3")
    assert a.lpop("list", 2) == ["one", "two"]
    assert b.lpop("list") == "one"
    assert b.lset("list", 0, "TWO")
    cluster.rejoin("n3")
    cluster.wait_converged()
    for node in cluster:
        with node.client() as client:
            assert everything(client, "list") == ["TWO", "three", "four"]


def test_a_list_comes_back_after_a_restart_and_goes_on_in_order(cluster):
    node = cluster["n1"]
    client = node.client()
    for i in range(LARGE):
        client.rpush("list", f"{i}")
    client.rpush("stack", "bottom")
    for _ in range(5):
        client.lpush("stack", "top")
        client.lpop("stack")
    cluster.wait_converged()
    cluster.kill()
    cluster.start()
    client = node.client()
    client.rpush("list", "behind")
    client.lpush("list", "before")
    client.lpush("stack", "top")
    cluster.wait_converged()
    for each in cluster:
        with each.client() as other:
            assert everything(other, "list") == ["before"] + [f"{i}" for i in range(LARGE)] + ["behind"]
            assert everything(other, "stack") == ["top", "bottom"]
            assert other.lindex("list", -2) == f"{LARGE - 1}"


def test_a_list_in_a_strong_keyspace_gives_each_element_once(cluster):
    client = cluster["n1"].client()
    client.execute_command("EVEN.KEYSPACE", "CREATE", "queues", "PREFIX", "q:", "MODE", "STRONG")
    until("the keyspace serves", lambda: served(client))
    for i in range(120):
        assert client.rpush("q:jobs", i) == i + 1
    taken = []
    clients = [node.client() for node in cluster]
    for i in range(40):
        taken += [each.lpop("q:jobs") for each in clients]
    assert taken == [str(i) for i in range(120)]
    assert client.lpop("q:jobs") is None
    client.rpush("q:{a}from", "x", "y", "z")
    assert client.lmove("q:{a}from", "q:{a}to", "RIGHT", "LEFT") == "z"
    assert client.linsert("q:{a}from", "AFTER", "x", "between") == 3
    for each in clients:
        assert everything(each, "q:{a}from") == ["x", "between", "y"]
        assert everything(each, "q:{a}to") == ["z"]


def test_events_of_lists_are_told_on_every_node(cluster):
    """Elsewhere changes are named after what they do."""
    streams = {}
    for name in ("n1", "n2"):
        client = cluster[name].client()
        client.config_set("notify-keyspace-events", "El")
        streams[name] = client.pubsub()
        streams[name].psubscribe("__keyevent@0__:*")
        until("it has subscribed", lambda: streams[name].get_message() is not None)
    client = cluster["n1"].client()
    client.rpush("list", "a", "b", "c")
    cluster.wait_converged()
    client.lset("list", 0, "A")
    cluster.wait_converged()
    client.lpop("list")

    def heard(name):
        events = []
        while message := streams[name].get_message():
            events.append(message["channel"].split(":")[1])
        return events
    told = {"n1": [], "n2": []}

    def all_told():
        for name, events in told.items():
            events += heard(name)
        return told == {"n1": ["rpush", "lset", "lpop"], "n2": ["linsert", "lset", "lrem"]}
    until(lambda: told, all_told)


def served(client):
    try:
        return client.llen("q:jobs") == 0
    except redis.ResponseError:
        return False


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_many_clients_move_between_shards_in_all_directions(make_cluster, fsync):
    """Each move is executed over two shards, and keeps both until what was moved is in the log where it went."""
    node, = make_cluster(nodes=1, replicas=1, options={"log.fsync": fsync, "node.shards": 3})
    lists, elements, clients, moves = 12, 5, 8, 150
    with node.client() as client:
        for i in range(lists):
            client.rpush(f"list {i}", *(f"{i}:{j}" for j in range(elements)))
            client.sadd(f"set {i}", *(f"{i}:{j}" for j in range(elements)))
    failures = []

    def move(number):
        chosen = random.Random(number)
        with node.client(socket_timeout=30) as client:
            for k in range(moves):
                a, b = chosen.sample(range(lists), 2)
                try:
                    client.lmove(f"list {a}", f"list {b}", "LEFT", "RIGHT")
                    client.smove(f"set {a}", f"set {b}", chosen.choice([*client.smembers(f"set {a}"), "none"]))
                    client.set(f"key {number} {k % 5}", k)
                    client.rename(f"key {number} {k % 5}", f"key {number} {5 + k % 7}")
                except redis.RedisError as error:
                    failures.append(error)
                    return
    threads = [threading.Thread(target=move, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    expected = sorted(f"{i}:{j}" for i in range(lists) for j in range(elements))
    with node.client() as client:
        assert sorted(value for i in range(lists) for value in client.lrange(f"list {i}", 0, -1)) == expected
        assert sorted(value for i in range(lists) for value in client.smembers(f"set {i}")) == expected
    node.stop()
