"""Databases 0 to 15 (docs/databases.md), on whole clusters with redis-py."""

import threading

import pytest
import redis

from even_cluster import until


def of(node, database, **options):
    """A client as applications make one: with the database in its URL."""
    return redis.Redis.from_url(f"redis://127.0.0.1:{node.port}/{database}", decode_responses=True, **options)


def one_connection(node, database):
    return redis.Redis(host="127.0.0.1", port=node.port, db=database, decode_responses=True, single_connection_client=True)


def size_of_each(client):
    return {name: row["keys"] for name, row in client.info("keyspace").items()}


def test_a_key_of_one_database_is_not_one_of_another_at_any_node(cluster):
    for number in (0, 1, 15):
        with of(cluster["n1"], number) as client:
            client.set("k", f"of {number}")
            client.rpush("list", *range(number + 1))
    cluster.wait_converged()
    for node in cluster:
        for number in (0, 1, 15):
            with of(node, number) as client:
                assert client.get("k") == f"of {number}"
                assert client.llen("list") == number + 1
                assert client.dbsize() == 2
                assert sorted(client.keys("*")) == ["k", "list"]
                assert sorted(client.scan_iter("*", count=1000)) == ["k", "list"]
                assert client.randomkey() in ("k", "list")
                assert int(client.client_info()["db"]) == number
        with of(node, 2) as client:
            assert client.get("k") is None and client.dbsize() == 0 and client.randomkey() is None
    with of(cluster["n2"], 1) as client:
        assert client.flushdb()
    cluster.wait_converged()
    for node in cluster:
        with node.client() as client:
            assert size_of_each(client) == {"db0": 2, "db15": 2}


def test_a_client_s_key_is_none_of_those_that_the_database_keeps_for_itself(cluster):
    names = ["\0even:outbox", "\0even:causes", "\0once:x", "\0db:\1k"]
    for prefix in ("", "o:"):  # of the second, no keyspace
        for number in (0, 1):
            with of(cluster["n1"], number) as client:
                for i, name in enumerate(names):
                    assert client.hset(prefix + name, "f", i) == 1
                assert client.eval("return redis.call('HGET', KEYS[1], 'f')", 1, prefix + names[1]) == "1"
                with client.pipeline() as pipeline:
                    pipeline.hget(prefix + names[2], "f")
                    pipeline.hget(prefix + names[3], "f")
                    assert pipeline.execute() == ["2", "3"]
    cluster.wait_converged()
    for node in cluster:
        for number in (0, 1):
            with of(node, number) as client:
                assert sorted(client.keys("*")) == sorted(names + ["o:" + name for name in names])
                assert client.dbsize() == 2 * len(names)
    with of(cluster["n2"], 0) as client:
        assert client.delete(*names) == len(names)
        assert client.flushdb() and client.dbsize() == 0


def test_a_key_moves_with_all_that_it_holds_and_its_expiry(cluster):
    a, b = of(cluster["n1"], 0), of(cluster["n2"], 3)
    a.hset("h", mapping={f"f{i}": i for i in range(300)})
    a.expire("h", 5000)
    assert a.move("h", 3)
    assert not a.exists("h")
    cluster.wait_converged()
    assert b.hlen("h") == 300 and 4900 < b.ttl("h") <= 5000
    assert not b.move("absent", 0)
    a.set("h", "another")
    cluster.wait_converged()
    assert not b.move("h", 0)  # there is one already
    assert b.copy("h", "h", destination_db=7) and of(cluster["n2"], 7).hlen("h") == 300
    for words, error in ((["MOVE", "h", "3"], "source and destination objects are the same"),
                         (["MOVE", "h", "16"], "DB index is out of range"), (["COPY", "h", "g", "DB", "16"], "DB index is out of range")):
        with pytest.raises(redis.ResponseError, match=error):
            b.execute_command(*words)


def test_a_transaction_may_select_and_a_script_too(cluster):
    client = one_connection(cluster["n1"], 0)
    client.execute_command("MULTI")
    for words in (["SET", "k", "0"], ["SELECT", "4"], ["SET", "k", "4"], ["GET", "k"], ["DBSIZE"]):
        client.execute_command(*words)
    assert client.execute_command("EXEC")[3:] == ["4", 1]
    assert client.execute_command("GET", "k") == "4"
    assert client.execute_command("RESET") == "RESET"
    assert client.execute_command("GET", "k") == "0"
    script = "redis.call('select', 4) redis.call('append', KEYS[1], '!') return {KEYS[1], redis.call('get', KEYS[1])}"
    assert client.eval(script, 1, "k") == ["k", "4!"]
    assert client.get("k") == "0"
    with of(cluster["n1"], 4) as other:
        assert other.eval("return {KEYS[1], redis.call('get', KEYS[1]), redis.call('keys', '*')}", 1, "k") == ["k", "4!", ["k"]]


def test_who_waits_is_given_what_comes_to_its_own_database_under_the_name_it_knows(cluster):
    taken = {}
    def wait(number):
        with of(cluster["n1"], number, socket_timeout=60) as client:
            taken[number] = client.blpop("queue", timeout=50)
    threads = [threading.Thread(target=wait, args=(number,)) for number in (0, 6)]
    for thread in threads:
        thread.start()
    watcher = cluster["n1"].client()
    until("two clients wait", lambda: watcher.info("clients")["blocked_clients"] == 2)
    of(cluster["n2"], 6).rpush("queue", "six")
    threads[1].join()
    assert list(taken) == [6] and tuple(taken[6]) == ("queue", "six")
    of(cluster["n2"], 0).rpush("queue", "zero")
    threads[0].join()
    assert tuple(taken[0]) == ("queue", "zero")
    client = of(cluster["n1"], 6)
    client.xadd("stream", {"f": "v"}, id="1-1")
    assert list(dict(client.xread({"stream": "0"}))) == ["stream"]
    client.zadd("zset", {"m": 1})
    assert client.zmpop(1, ["zset"], min=True)[0] == "zset"


def test_two_databases_change_places_for_all_nodes_and_stay_so_after_a_restart(cluster):
    a = one_connection(cluster["n1"], 0)
    a.set("k", "first")
    of(cluster["n1"], 9).set("k", "ninth")
    cluster.wait_converged()
    a.execute_command("WATCH", "k")
    waiting = {}
    def wait():
        with of(cluster["n2"], 0, socket_timeout=60) as client:
            waiting["got"] = client.blpop("later", timeout=50)
    thread = threading.Thread(target=wait)
    thread.start()
    watcher = cluster["n2"].client()
    until("a client waits", lambda: watcher.info("clients")["blocked_clients"] == 1)
    assert of(cluster["n2"], 5).swapdb(0, 9)
    for node in cluster:
        assert of(node, 0).get("k") == "ninth" and of(node, 9).get("k") == "first"
    a.execute_command("MULTI")
    a.execute_command("SET", "k", "lost")
    assert a.execute_command("EXEC") is None
    of(cluster["n1"], 0).rpush("later", "x")
    thread.join()
    assert tuple(waiting["got"]) == ("later", "x")
    cluster.wait_converged()
    cluster["n1"].stop()
    cluster["n1"].start()
    with of(cluster["n1"], 0) as client:
        until("the swap is known", lambda: client.get("k") == "ninth")
        assert client.eval("redis.call('select', 9) return redis.call('get', 'k')", 0) == "first"
        assert size_of_each(client) == {"db0": 1, "db9": 1}


def test_a_swap_is_no_part_of_a_transaction_and_does_not_disturb_who_waits(cluster):
    with one_connection(cluster["n1"], 0) as client, of(cluster["n2"], 5) as reader:
        client.execute_command("MULTI")
        with pytest.raises(redis.ResponseError, match="not allowed"):
            client.execute_command("SWAPDB", 0, 1)
        with pytest.raises(redis.ResponseError, match="discarded"):
            client.execute_command("EXEC")
        read = []
        waiting = threading.Thread(
            target=lambda: read.extend(reader.execute_command("XREAD", "BLOCK", 20000, "STREAMS", "s", "$")))
        waiting.start()
        until("it waits", lambda: cluster["n2"].client().info("clients")["blocked_clients"] == 1)
        for _ in range(3):  # of other databases than the reader's
            assert client.execute_command("SWAPDB", 8, 9)
        with of(cluster["n2"], 5) as writer:
            id = writer.xadd("s", {"f": "v"})
        waiting.join(30)
        assert read and str(id) in str(read)


def test_strong_keyspaces_have_databases_and_a_key_moves_between_them_in_one_entry(cluster):
    admin = cluster["n1"].client()
    assert admin.execute_command("EVEN.KEYSPACE", "CREATE", "orders", "PREFIX", "o:", "MODE", "STRONG") == "OK"
    a, b = of(cluster["n1"], 2), of(cluster["n3"], 8)
    assert a.set("o:1", "x", nx=True) and b.set("o:1", "y", nx=True)
    assert (of(cluster["n2"], 2).get("o:1"), of(cluster["n2"], 8).get("o:1")) == ("x", "y")
    assert not b.move("o:1", 2)
    assert b.move("o:1", 3) and of(cluster["n1"], 3).get("o:1") == "y"
    assert a.keys("*") == ["o:1"] and a.dbsize() == 1 and a.randomkey() == "o:1"
    assert a.eval("redis.call('set', KEYS[1], ARGV[1]) return {KEYS[1], redis.call('get', KEYS[1])}", 1, "o:1", "z") == ["o:1", "z"]
    assert a.flushdb() and a.dbsize() == 0
    assert of(cluster["n1"], 3).get("o:1") == "y"


def test_rights_events_and_monitors_speak_of_keys_as_their_users_write_them(cluster):
    admin = cluster["n1"].client()
    admin.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~open:*", "+@all")
    client = of(cluster["n1"], 1, username="limited", password="x")
    assert client.set("open:1", "v")
    with pytest.raises(redis.ResponseError, match="NOPERM|permission"):
        client.set("closed", "v")
    with pytest.raises(redis.ResponseError):
        client.eval("return redis.call('get', 'closed')", 0)
    assert client.eval("return redis.call('get', KEYS[1])", 1, "open:1") == "v"
    admin.config_set("notify-keyspace-events", "KEA")
    events = admin.pubsub()
    events.psubscribe("__key*@*__:*")
    until("it is subscribed", lambda: events.get_message(timeout=1) is not None)
    of(cluster["n1"], 1).set("open:2", "v")
    seen = []
    def both():
        message = events.get_message(timeout=1)
        if message and message["type"] == "pmessage":
            seen.append((message["channel"], message["data"]))
        return len(seen) >= 2
    until("both events have come", both)
    assert ("__keyspace@1__:open:2", "set") in seen and ("__keyevent@1__:set", "open:2") in seen, seen
    assert '"open:2"' in of(cluster["n1"], 1).execute_command("EVEN.EXPLAIN", "open:2")


def test_requests_that_go_to_other_nodes_take_their_database_along(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1, partitions=16)
    a, b = of(cluster["n1"], 2), of(cluster["n2"], 2)
    names = [f"k{i}" for i in range(60)]
    for name in names:
        a.set(name, name)
        of(cluster["n3"], 0).set(name, "zero")
    assert b.mget(names) == names and b.exists(*names) == len(names)
    assert b.dbsize() == 60 and sorted(b.keys("k*")) == sorted(names)
    assert sorted(b.scan_iter(count=20)) == sorted(names)
    assert b.randomkey() in names
    for name in names[:20]:
        assert b.move(name, 5)
        assert b.eval("return {KEYS[1], redis.call('exists', KEYS[1])}", 1, name) == [name, 0]
    assert of(cluster["n3"], 5).dbsize() == 20
    assert a.flushdb() and b.dbsize() == 0
    assert sum(int(size_of_each(node.client()).get("db0", 0)) for node in cluster) == 60
    taken = []
    def wait():
        with of(cluster["n1"], 9, socket_timeout=60) as client:
            taken.append(client.blpop("q0", timeout=50))
    thread = threading.Thread(target=wait)
    thread.start()
    watcher = cluster["n1"].client()
    until("a client waits", lambda: watcher.info("clients")["blocked_clients"] == 1)
    of(cluster["n2"], 0).rpush("q0", "not this")
    of(cluster["n2"], 9).rpush("q0", "this")
    thread.join()
    assert tuple(taken[0]) == ("q0", "this")


def test_a_client_of_redis_that_is_on_the_command_line_uses_a_database(cluster):
    import shutil
    import subprocess
    program = shutil.which("redis-cli")
    if program is None:
        pytest.skip("there is no redis-cli")
    url = f"redis://127.0.0.1:{cluster['n1'].port}/1"
    assert subprocess.run([program, "-u", url, "set", "k", "v"], capture_output=True, text=True, timeout=60).stdout.strip() == "OK"
    assert of(cluster["n1"], 1).get("k") == "v" and of(cluster["n1"], 0).get("k") is None
