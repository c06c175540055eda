"""Client-side caching and CLIENT PAUSE over the nodes of a cluster (docs/tracking.md)."""

import contextlib
import socket
import threading
import time

import pytest
import redis

from even_cluster import PATIENCE, connect, until


class Push(list):
    """A push message, which is no reply."""


class Error(str):
    pass


class Client:
    """Speaks RESP2 or RESP3, and has what it is sent in its order."""

    def __init__(self, node, protocol=3):
        self.connection, self.stream = connect(node)
        if protocol == 3:
            self.send("HELLO", 3)
            self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.connection.close()

    def send(self, *words):
        parts = [str(word).encode() for word in words]
        self.connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))

    def read(self):
        line = self.stream.readline()
        assert line, "the connection is closed"
        kind, rest = line[:1], line[1:-2]
        if kind in b"*~":
            return [self.read() for _ in range(int(rest))]
        if kind == b">":
            return Push(self.read() for _ in range(int(rest)))
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind in b"$=":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2].decode()
        if kind == b":":
            return int(rest)
        return None if kind == b"_" else Error(rest.decode()) if kind == b"-" else rest.decode()

    def call(self, *words):
        """The reply; no message may come before it."""
        self.send(*words)
        reply = self.read()
        assert not isinstance(reply, Push), f"{reply} before the reply to {words}"
        return reply

    def id(self):
        return self.call("CLIENT", "ID")

    def invalidated(self):
        """Of the next message: the keys, or None for all."""
        message = self.read()
        assert isinstance(message, Push) and message[0] == "invalidate", message
        return message[1]

    def silent(self):
        """Nothing has been sent that has not been read: what is asked for is answered first, and so is what waits in the node."""
        for _ in range(3):
            assert self.call("PING") == "PONG"
            time.sleep(0.02)
        return True


@contextlib.contextmanager
def tracker(node, *options):
    with Client(node) as client:
        assert client.call("CLIENT", "TRACKING", "ON", *options) == "OK"
        yield client


def wait_links(cluster):
    until("all links are up", lambda: all(peer["link"] == "up" for node in cluster.running for peer in node.status()["peers"]))


def value_at(node, key):
    with node.client() as client:
        return client.get(key)


def test_a_write_at_any_node_invalidates_what_was_read(cluster):
    wait_links(cluster)
    with tracker(cluster["n1"]) as client:
        for node in cluster:
            # Keys of all shards.
            for i in range(16):
                client.call("GET", f"k{i}")
            with node.client() as writer:
                for i in range(16):
                    writer.set(f"k{i}", node.name)
            assert sorted(client.invalidated()[0] for _ in range(16)) == sorted(f"k{i}" for i in range(16))
            # It is told once, and finds what it has been told of.
            assert [client.call("GET", f"k{i}") for i in range(16)] == [node.name] * 16
        assert client.silent()


def test_every_kind_of_change_from_another_node_invalidates(cluster):
    wait_links(cluster)
    changes = [("SET", "x", "v"), ("INCR", "x:n"), ("APPEND", "x", "w"), ("SADD", "x:s", "a"), ("SREM", "x:s", "a"), ("HSET", "x:h", "f", "v"),
               ("HINCRBY", "x:h", "n", 1), ("HDEL", "x:h", "f"), ("ZADD", "x:z", 1, "m"), ("ZINCRBY", "x:z", 1, "m"), ("RPUSH", "x:l", "a"),
               ("LPOP", "x:l"), ("XADD", "x:t", "*", "f", "v"), ("PFADD", "x:p", "e"), ("SETBIT", "x:b", 3, 1), ("EXPIRE", "x", 1000),
               ("PERSIST", "x"), ("RENAME", "x", "x:s"), ("DEL", "x:s"), ("EVAL", "redis.call('SET', KEYS[1], 1)", 1, "x")]
    with tracker(cluster["n1"]) as client, cluster["n2"].client() as writer:
        for change in changes:
            keys = [word for word in change[1:] if str(word).startswith("x")]
            for key in keys:
                client.call("EXISTS", key)
            writer.execute_command(*change)
            assert sorted(client.invalidated()[0] for _ in keys) == sorted(keys), change


def test_what_has_expired_is_invalidated_at_every_node(cluster):
    wait_links(cluster)
    with contextlib.ExitStack() as stack:
        with cluster["n1"].client() as writer:
            writer.set("k", "v", px=1500)
        clients = [stack.enter_context(tracker(node)) for node in cluster]
        for node, client in zip(cluster, clients):
            until(f"{node} has the key", lambda node=node: value_at(node, "k") in ("v", None))
            client.call("GET", "k")
        # The write may still have been on its way; in the end it is gone, and they know.
        for client in clients:
            assert client.invalidated() == ["k"]
            until("the key has expired", lambda client=client: read_through(client, "k") is None)


def read_through(client, key):
    """What it reads, invalidations of that passed over."""
    client.send("GET", key)
    while isinstance(reply := client.read(), Push):
        pass
    return reply


def test_followers_of_a_strong_group_invalidate_and_weak_reads_are_not_kept(cluster):
    wait_links(cluster)
    with cluster["n1"].client() as admin:
        admin.execute_command("EVEN.KEYSPACE", "CREATE", "bank", "PREFIX", "bank:", "MODE", "STRONG", "PARTITIONS", 4)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(tracker(node)) for node in cluster]
        writers = [stack.enter_context(node.client()) for node in cluster]
        until("the groups have leaders", lambda: [read_through(client, f"bank:{i}") for client in clients for i in range(4)] == [None] * 12)
        for round, writer in enumerate(writers):
            for client in clients:
                until("it has nothing more to hear", lambda client=client: client.silent())
            for i in range(4):
                for client in clients:
                    assert read_through(client, f"bank:{i}") in (None, str(round - 1))
                writer.set(f"bank:{i}", round)
                for client in clients:
                    # An entry of before, which a member had not applied yet, may be told of as well.
                    while read_until_invalidated(client, f"bank:{i}") != str(round):
                        pass
        client = clients[0]
        assert client.call("EVEN.CONSISTENCY", "READ", "ONE") == "OK"
        assert client.call("GET", "bank:0") == "2"
        assert client.invalidated() == ["bank:0"]


def read_until_invalidated(client, key):
    assert client.invalidated() == [key]
    return read_through(client, key)


def test_a_key_without_a_replica_here_is_invalid_as_soon_as_it_is_read(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1)
    wait_links(cluster)
    with tracker(cluster["n1"]) as client, Client(cluster["n1"]) as other, cluster["n2"].client() as writer:
        here = set()
        for i in range(40):
            client.send("GET", f"k{i}")
            assert client.read() is None
            client.send("PING")
            if isinstance(message := client.read(), Push):
                assert message == ["invalidate", [f"k{i}"]]
                assert client.read() == "PONG"
            else:
                here.add(f"k{i}")
        assert 0 < len(here) < 40
        for i in range(40):
            writer.set(f"k{i}", 1)
        assert {client.invalidated()[0] for _ in here} == here
        assert other.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "k1") == "OK"
        elsewhere = next(f"k{i}" for i in range(10, 20) if f"k{i}" not in here)
        assert other.call("GET", elsewhere) == "1"
        assert other.invalidated() == [elsewhere]
        assert other.call("GET", next(f"k{i}" for i in range(20, 40) if f"k{i}" not in here)) == "1"
        assert other.silent()


def test_a_node_that_was_away_invalidates_when_it_is_back(cluster):
    wait_links(cluster)
    with tracker(cluster["n1"]) as client, cluster["n2"].client() as writer:
        writer.set("k", 1)
        until("the write has come", lambda: value_at(cluster["n1"], "k") == "1")
        cluster.isolate("n1")
        assert client.call("GET", "k") == "1"
        writer.set("k", 2)
        assert client.silent()
        cluster.rejoin("n1")
        assert client.invalidated() == ["k"]
        assert client.call("GET", "k") == "2"


def test_resp2_clients_redirect_to_one_that_is_subscribed(cluster):
    wait_links(cluster)
    with Client(cluster["n1"], 2) as receiver, cluster["n2"].client() as writer, contextlib.ExitStack() as stack:
        target = receiver.id()
        assert receiver.call("SUBSCRIBE", "__redis__:invalidate") == ["subscribe", "__redis__:invalidate", 1]
        # Of several threads.
        clients = [stack.enter_context(Client(cluster["n1"], 2)) for _ in range(4)]
        for number, client in enumerate(clients):
            assert client.call("CLIENT", "TRACKING", "ON", "REDIRECT", target) == "OK"
            assert client.call("CLIENT", "GETREDIR") == target
            assert client.call("GET", f"k{number}") is None
        for number in range(4):
            writer.set(f"k{number}", 1)
        got = [receiver.read() for _ in range(4)]
        assert sorted(got) == [["message", "__redis__:invalidate", [f"k{number}"]] for number in range(4)]
        writer.flushall()
        assert receiver.read() == ["message", "__redis__:invalidate", None]


def test_who_redirects_is_told_that_the_other_has_gone(cluster):
    with Client(cluster["n1"]) as client, cluster["n1"].client() as writer:
        with Client(cluster["n1"]) as receiver:
            target = receiver.id()
            assert client.call("CLIENT", "TRACKING", "ON", "REDIRECT", target) == "OK"
            client.call("GET", "k")
            writer.set("k", 1)
            assert receiver.invalidated() == ["k"]
            client.call("GET", "k")
        until("the other has gone", lambda: f"id={target} " not in client.call("CLIENT", "LIST"))
        writer.set("k", 2)
        assert client.read() == ["tracking-redir-broken", target]
        info = client.call("CLIENT", "TRACKINGINFO")
        assert info == {"flags": ["on", "broken_redirect"], "redirect": target, "prefixes": []}
        assert "flags=tR " in client.call("CLIENT", "INFO")


def test_broadcasts_opt_in_opt_out_and_no_loop(cluster):
    wait_links(cluster)
    with tracker(cluster["n1"], "BCAST", "PREFIX", "a:", "PREFIX", "b:") as broadcast, cluster["n2"].client() as writer:
        writer.set("a:1", 1)
        assert broadcast.invalidated() == ["a:1"]
        writer.set("c:1", 1)
        writer.set("b:1", 1)
        assert broadcast.invalidated() == ["b:1"]
        with writer.pipeline() as transaction:
            for key in ("a:{t}1", "b:{t}1", "c:{t}1", "a:{t}2"):
                transaction.set(key, 1)
            transaction.execute()
        # A message for each prefix.
        assert sorted(sorted(broadcast.invalidated()) for _ in range(2)) == [["a:{t}1", "a:{t}2"], ["b:{t}1"]]
    with tracker(cluster["n1"], "OPTIN") as client, cluster["n2"].client() as writer:
        client.call("GET", "k")
        assert client.call("CLIENT", "CACHING", "YES") == "OK"
        client.call("GET", "l")
        client.call("GET", "m")
        assert client.call("CLIENT", "CACHING", "YES") == "OK"
        for words in ("MULTI",), ("GET", "n"), ("GET", "o"), ("EXEC",):
            client.call(*words)
        for key in "klmno":
            writer.set(key, 1)
        assert {client.invalidated()[0] for _ in range(3)} == {"l", "n", "o"}
        assert client.silent()
    with tracker(cluster["n1"], "OPTOUT", "NOLOOP") as client, cluster["n2"].client() as writer:
        assert client.call("CLIENT", "CACHING", "NO") == "OK"
        client.call("GET", "k")
        client.call("GET", "l")
        client.call("GET", "m")
        client.call("SET", "m", 2)
        assert client.silent()
        client.call("GET", "m")
        writer.set("k", 3)
        writer.set("l", 3)
        writer.set("m", 3)
        assert {client.invalidated()[0] for _ in range(2)} == {"l", "m"}
        assert client.silent()


def test_who_does_not_hear_of_its_own_writes_hears_of_others(cluster):
    wait_links(cluster)
    with tracker(cluster["n1"], "NOLOOP") as client, cluster["n1"].client() as writer:
        keys = [f"p{i}" for i in range(40)]
        # The reads are sent before the writes have been executed, some of them on other threads.
        for key in keys:
            client.send("SET", key, 1)
            client.send("GET", key)
        assert [client.read() for _ in range(2 * len(keys))] == ["OK", "1"] * len(keys)
        for words in ("MULTI",), ("SET", "m", 1), ("GET", "m"), ("EXEC",):
            client.call(*words)
        assert client.call("EVAL", "redis.call('SET', KEYS[1], 1) return redis.call('GET', KEYS[1])", 1, "e") == "1"
        for key in keys + ["m", "e"]:
            writer.set(key, 2)
        assert {client.invalidated()[0] for _ in range(len(keys) + 2)} == {*keys, "m", "e"}
        assert client.silent()


def test_a_new_keyspace_invalidates_at_nodes_that_are_no_members(cluster):
    wait_links(cluster)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(tracker(node)) for node in cluster]
        for client in clients:
            assert client.call("GET", "s:x") is None
        with cluster["n1"].client() as admin:
            until("it is there", lambda: created(admin))
        for client in clients:
            assert client.invalidated() is None


def created(client):
    try:
        return client.execute_command("EVEN.KEYSPACE", "CREATE", "s", "PREFIX", "s:", "MODE", "STRONG", "REPLICAS", 1)
    except redis.ResponseError as error:
        assert "TRYAGAIN" in str(error), error
        return None


def test_own_writes_transactions_scripts_and_databases(cluster):
    with tracker(cluster["n1"]) as client, cluster["n1"].client() as writer, cluster["n1"].client(db=5) as fifth:
        for i in range(8):
            client.call("GET", f"k{i}")
            assert client.call("SET", f"k{i}", 1) == "OK"
            assert client.invalidated() == [f"k{i}"]
        # What changes between the commands of a transaction is told of behind it.
        client.call("MULTI")
        client.call("GET", "k")
        client.call("SET", "k", 1)
        client.call("SET", "l", 1)
        assert client.call("EXEC") == [None, "OK", "OK"]
        assert client.invalidated() == ["k"]
        assert client.call("EVAL", "return redis.call('GET', KEYS[1])", 1, "k") == "1"
        writer.set("k", 2)
        assert client.invalidated() == ["k"]
        client.call("GET", "k")
        fifth.set("k", 3)
        assert client.invalidated() == ["k"]
        client.call("GET", "k")
        writer.swapdb(0, 5)
        assert client.invalidated() is None


def test_flushing_and_swapping_at_another_node_invalidates_everything(cluster):
    wait_links(cluster)
    with tracker(cluster["n1"]) as client, cluster["n2"].client() as writer:
        writer.set("k", 1)
        until("the write has come", lambda: read_through(client, "k") == "1")
        writer.flushall()
        while client.read() != ["invalidate", None]:
            pass
        until("nothing is left", lambda: read_through(client, "k") is None)


def test_a_client_that_waits_is_told_while_it_waits(cluster):
    with tracker(cluster["n1"]) as client, cluster["n1"].client() as writer:
        client.call("GET", "k")
        client.send("BLPOP", "list", 0)
        until("it waits", lambda: writer.info("clients")["blocked_clients"] == 1)
        writer.set("k", 1)
        assert client.invalidated() == ["k"]
        writer.rpush("list", "a")
        assert client.read() == ["list", "a"]


def test_the_table_is_bounded_and_counted(cluster):
    with tracker(cluster["n1"]) as client, cluster["n1"].client() as writer:
        assert writer.config_get("tracking-table-max-keys") == {"tracking-table-max-keys": "1000000"}
        for i in range(100):
            client.call("GET", f"k{i}")
        info = writer.info()
        assert (info["tracking_clients"], info["tracking_total_keys"], info["tracking_total_items"]) == (1, 100, 100)
        writer.config_set("tracking-table-max-keys", 10)
        gone = {client.invalidated()[0] for _ in range(90)}
        assert len(gone) == 90
        assert writer.info("stats")["tracking_total_keys"] == 10
        for i in range(100):
            writer.set(f"k{i}", 1)
        assert {client.invalidated()[0] for _ in range(10)} == {f"k{i}" for i in range(100)} - gone
        assert client.call("CLIENT", "TRACKING", "OFF") == "OK"
        info = writer.info()
        assert (info["tracking_clients"], info["tracking_total_keys"], info["tracking_total_prefixes"]) == (0, 0, 0)


def test_errors_are_those_of_redis(cluster):
    with Client(cluster["n1"]) as client:
        def error(*words):
            reply = client.call("CLIENT", *words)
            assert isinstance(reply, Error), (words, reply)
            return reply
        assert error("TRACKING", "maybe") == "ERR syntax error"
        assert error("TRACKING", "ON", "REDIRECT", 123456789) == "ERR The client ID you want redirect to does not exist"
        assert error("TRACKING", "ON", "PREFIX", "a") == "ERR PREFIX option requires BCAST mode to be enabled"
        assert error("TRACKING", "ON", "BCAST", "OPTIN") == "ERR OPTIN and OPTOUT are not compatible with BCAST"
        assert error("TRACKING", "ON", "OPTIN", "OPTOUT") == "ERR You can't specify both OPTIN mode and OPTOUT mode"
        assert error("TRACKING", "ON", "BCAST", "PREFIX", "ab", "PREFIX", "a").startswith("ERR Prefix 'ab' overlaps with another provided prefix 'a'.")
        assert error("CACHING", "YES").startswith("ERR CLIENT CACHING can be called only when")
        assert client.call("CLIENT", "GETREDIR") == -1
        assert client.call("CLIENT", "TRACKING", "ON", "OPTIN") == "OK"
        assert error("TRACKING", "ON", "BCAST").startswith("ERR You can't switch BCAST mode on/off")
        assert error("TRACKING", "ON", "OPTOUT").startswith("ERR You can't switch OPTIN/OPTOUT mode")
        assert error("CACHING", "NO").startswith("ERR CLIENT CACHING NO is only valid")
        assert error("CACHING", "x") == "ERR syntax error"
        assert client.call("CLIENT", "CACHING", "YES") == "OK"
        assert client.call("CLIENT", "TRACKINGINFO") == {"flags": ["on", "optin", "caching-yes"], "redirect": 0, "prefixes": []}
        assert client.call("CLIENT", "TRACKINGINFO")["flags"] == ["on", "optin", "caching-yes"]
        client.call("PING")
        assert client.call("CLIENT", "TRACKINGINFO")["flags"] == ["on", "optin"]
        assert client.call("RESET") == "RESET"
        assert client.call("CLIENT", "TRACKINGINFO")[:2] == ["flags", ["off"]]
        assert error("PAUSE", "x") == "ERR timeout is not an integer or out of range"
        assert error("PAUSE", -1) == "ERR timeout is negative"
        assert error("PAUSE", 1, "x") == "ERR CLIENT PAUSE mode must be WRITE or ALL"


def test_caches_end_up_with_what_the_replica_has_while_many_write(cluster):
    """A cache that follows the rules: what it is told to drop it drops, all else it keeps."""
    wait_links(cluster)
    keys = [f"k{i}" for i in range(8)]
    stop = threading.Event()

    def write(node):
        number = 0
        with node.client() as writer:
            while not stop.is_set():
                number += 1
                writer.set(keys[number % len(keys)], f"{node.name} {number}")

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(tracker(node)) for node in cluster for _ in range(3)]
        caches = [{} for _ in clients]

        def take(client, cache, asked):
            """The reply, and what comes before it."""
            while isinstance(reply := client.read(), Push):
                for key in cache.copy() if reply[1] is None else reply[1]:
                    cache.pop(key, None)
            if asked is not None:
                cache[asked] = reply

        writers = [threading.Thread(target=write, args=(node,)) for node in cluster]
        for writer in writers:
            writer.start()
        try:
            for _ in range(100):
                for client, cache in zip(clients, caches):
                    missing = [key for key in keys if key not in cache]
                    for key in missing:
                        client.send("GET", key)
                    for key in missing:
                        take(client, cache, key)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        cluster.wait_converged()
        with cluster["n1"].client() as reader:
            last = {key: reader.get(key) for key in keys}
        for client, cache in zip(clients, caches):
            def settled(client=client, cache=cache):
                client.send("PING")
                take(client, cache, None)
                return all(last[key] == value for key, value in cache.items())
            until("no stale value is left", settled)


def test_pause_holds_up_writes_or_everything_at_one_node(cluster):
    wait_links(cluster)
    with Client(cluster["n1"]) as client, Client(cluster["n1"]) as other, Client(cluster["n2"]) as elsewhere:
        assert client.call("CLIENT", "PAUSE", 1_000_000, "WRITE") == "OK"
        assert other.call("GET", "k") is None
        other.send("SET", "k", 1)
        until("it is held up", lambda: "flags=b " in next(line for line in client.call("CLIENT", "LIST").splitlines() if "cmd=get" in line))
        assert client.call("GET", "k") is None
        assert "\r\nblocked_clients:1\r\n" in client.call("INFO", "clients")
        assert elsewhere.call("SET", "l", 1) == "OK"
        assert client.call("CLIENT", "UNPAUSE") == "OK"
        assert other.read() == "OK"
        assert "\r\nblocked_clients:0\r\n" in client.call("INFO", "clients")
        assert client.call("GET", "k") == "1"
        assert client.call("CLIENT", "PAUSE", 300) == "OK"
        client.send("GET", "k")
        assert elsewhere.call("PING") == "PONG"
        assert client.read() == "1"
        for words in ("MULTI",), ("SET", "k", 2):
            other.call(*words)
        client.call("CLIENT", "PAUSE", 1_000_000, "WRITE")
        other.send("EXEC")
        assert client.call("GET", "k") == "1"
        assert client.call("CLIENT", "UNPAUSE") == "OK"
        assert other.read() == ["OK"]
        # So does one that only publishes.
        for words in ("MULTI",), ("PUBLISH", "news", "x"):
            other.call(*words)
        client.call("CLIENT", "PAUSE", 1_000_000, "WRITE")
        other.send("EXEC")
        until("it is held up", lambda: any("flags=" in line and "b" in line.split("flags=")[1].split()[0] for line in client.call("CLIENT", "LIST").splitlines()))
        assert client.call("CLIENT", "UNPAUSE") == "OK"
        assert other.read() == [0]
        # Who is held up is not idle.
        assert client.call("CONFIG", "SET", "timeout", 1) == "OK"
        assert client.call("CLIENT", "PAUSE", 1_000_000, "WRITE") == "OK"
        other.send("SET", "k", 3)
        for _ in range(30):
            assert client.call("PING") == "PONG"
            time.sleep(0.1)
        assert client.call("CLIENT", "UNPAUSE") == "OK"
        assert other.read() == "OK"
