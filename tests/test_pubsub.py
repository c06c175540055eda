"""Publish and subscribe over the nodes of a cluster (docs/pubsub.md)."""

import contextlib
import itertools
import socket
import subprocess

import pytest
import redis

from even_cluster import PATIENCE, connect, until


@contextlib.contextmanager
def subscriber(node, channels=(), patterns=(), **options):
    """A redis-py PubSub whose subscriptions have been confirmed."""
    with node.client(**options) as client, client.pubsub() as pubsub:
        if channels:
            pubsub.subscribe(*channels)
        if patterns:
            pubsub.psubscribe(*patterns)
        for _ in range(len(channels) + len(patterns)):
            assert pubsub.get_message(timeout=20 * PATIENCE)["type"] in ("subscribe", "psubscribe")
        yield pubsub


def messages(pubsub, count):
    """The next so many messages, as (channel, data)."""
    out = []
    for _ in range(count):
        message = pubsub.get_message(timeout=20 * PATIENCE)
        assert message is not None, f"after {len(out)} of {count} messages none came"
        out.append((message["channel"], message["data"]))
    return out


def read_reply(stream):
    """One reply in RESP2: a list, bytes, or a number."""
    line = stream.readline()
    assert line, "the connection is closed"
    if line[:1] == b"*":
        return [read_reply(stream) for _ in range(int(line[1:]))]
    if line[:1] == b"$":
        return stream.read(int(line[1:]) + 2)[:-2]
    return int(line[1:]) if line[:1] == b":" else line[:-2]


def read_replies(stream, count):
    return [read_reply(stream) for _ in range(count)]


def wait_links(cluster):
    """Until every node has all of its links."""
    until("all links are up", lambda: all(peer["link"] == "up" for node in cluster.running for peer in node.status()["peers"]))


def test_a_subscriber_gets_what_is_published_at_any_node(cluster):
    wait_links(cluster)
    with subscriber(cluster["n1"], ["news"], ["n?ws", "other.*"]) as pubsub:
        for node in cluster:
            with node.client() as client:
                # The subscriptions are at n1, and PUBLISH counts those of its own node.
                assert client.publish("news", f"from {node.name}") == (2 if node.name == "n1" else 0)
                assert client.publish("unheard", "x") == 0
                assert client.publish("other.a", node.name) == (1 if node.name == "n1" else 0)
            got = [pubsub.get_message(timeout=20 * PATIENCE) for _ in range(3)]
            assert [(m["type"], m["pattern"], m["channel"], m["data"]) for m in got] == [
                ("message", None, "news", f"from {node.name}"), ("pmessage", "n?ws", "news", f"from {node.name}"),
                ("pmessage", "other.*", "other.a", node.name)]


def test_shard_channels_are_a_namespace_of_their_own_at_all_nodes(cluster):
    wait_links(cluster)
    connection, stream = connect(cluster["n1"])
    connection.sendall(b"SSUBSCRIBE news\r\nSUBSCRIBE other\r\n")
    read_replies(stream, 2)
    for node in cluster:
        with node.client() as client:
            here = 1 if node.name == "n1" else 0
            assert client.execute_command("SPUBLISH", "news", node.name) == here
            assert client.execute_command("SPUBLISH", "other", "no") == 0
            assert client.publish("news", "no") == 0
            assert client.publish("other", node.name) == here
        assert read_replies(stream, 2) == [[b"smessage", b"news", node.name.encode()], [b"message", b"other", node.name.encode()]]
    connection.close()


def test_a_publishers_messages_arrive_in_their_order_wherever_subscribers_are(cluster):
    """Whichever threads clients are on: there are several of each."""
    wait_links(cluster)
    count = 3000
    with contextlib.ExitStack() as stack:
        subscribers = [stack.enter_context(subscriber(node, ["a", "b"], ["c*"])) for node in cluster for _ in range(3)]
        publishers = [stack.enter_context(node.client()) for node in cluster for _ in range(2)]
        for first in range(0, count, 100):
            for number, publisher in enumerate(publishers):
                with publisher.pipeline(transaction=False) as pipeline:
                    for i in range(first, first + 100):
                        pipeline.publish(("a", "b", "c1", "c2")[i % 4], f"{number} {i}")
                    pipeline.execute()
        for pubsub in subscribers:
            seen = {number: [] for number in range(len(publishers))}
            for _, data in messages(pubsub, count * len(publishers)):
                number, i = data.split()
                seen[int(number)].append(int(i))
            for number, order in seen.items():
                assert order == list(range(count)), f"publisher {number}"


def test_what_is_published_in_a_transaction_leaves_with_it(cluster):
    wait_links(cluster)
    with subscriber(cluster["n1"], ["c"]) as pubsub, cluster["n2"].client() as client, cluster["n2"].client() as other:
        with client.pipeline() as pipeline:
            pipeline.set("k", 1)
            pipeline.publish("c", "within")
            pipeline.incr("k")
            client.publish("c", "before")
            assert pipeline.execute() == [True, 0, 2]
        with client.pipeline() as pipeline:
            pipeline.watch("k")
            other.incr("k")
            pipeline.multi()
            pipeline.publish("c", "not executed")
            with pytest.raises(redis.WatchError):
                pipeline.execute()
        client.publish("c", "after")
        assert messages(pubsub, 3) == [("c", "before"), ("c", "within"), ("c", "after")]


def test_a_cut_loses_messages_and_delivery_goes_on_once_it_is_mended(cluster):
    wait_links(cluster)
    with subscriber(cluster["n1"], ["c"]) as one, subscriber(cluster["n2"], ["c"]) as two, cluster["n2"].client() as client:
        cluster.isolate("n1")
        for i in range(100):
            client.publish("c", i)
        assert messages(two, 100) == [("c", str(i)) for i in range(100)]
        cluster.rejoin("n1")
        wait_links(cluster)
        client.publish("c", "after")
        assert messages(two, 1) == messages(one, 1) == [("c", "after")]


def test_a_subscriber_whose_node_restarts_subscribes_again(cluster):
    wait_links(cluster)
    n1 = cluster["n1"]
    with subscriber(n1, ["c"], retry_on_timeout=True) as pubsub, cluster["n2"].client() as client:
        client.publish("c", 1)
        assert messages(pubsub, 1) == [("c", "1")]
        n1.kill9()
        client.publish("c", "to nobody")
        n1.start()
        wait_links(cluster)

        def again():
            try:
                return pubsub.get_message(timeout=20 * PATIENCE)["type"] == "subscribe"
            except redis.ConnectionError:
                return False
        until("it has subscribed anew", again)
        client.publish("c", 2)
        assert messages(pubsub, 1) == [("c", "2")]


def test_many_subscribers_get_many_messages(cluster):
    wait_links(cluster)
    count, each = 100, 1000
    with contextlib.ExitStack() as stack:
        subscribers = []
        for i in range(count):
            connection, stream = connect(cluster.nodes[i % 3])
            stack.enter_context(connection)
            stack.enter_context(stream)
            connection.sendall(b"SUBSCRIBE c\r\n")
            read_replies(stream, 1)
            subscribers.append(stream)
        publisher = stack.enter_context(cluster["n3"].client())
        for first in range(0, each, 100):
            with publisher.pipeline(transaction=False) as pipeline:
                for i in range(first, first + 100):
                    pipeline.publish("c", f"{i:05}")
                assert pipeline.execute() == [count // 3] * 100
        expected = b"".join(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\n%05d\r\n" % i for i in range(each))
        for stream in subscribers:
            assert stream.read(len(expected)) == expected
        numbers = [node.client().execute_command("PUBSUB", "NUMSUB", "c") for node in cluster]
        assert numbers == [["c", 34], ["c", 33], ["c", 33]]
    for node in cluster:
        until("nobody is subscribed any more", lambda: node.client().pubsub_channels() == [])


@pytest.mark.parametrize("limit, which", [("pubsub 8mb 0 0", "client.pubsub_buffer_bytes"),
                                          ("pubsub 100mb 8mb 1", "client.pubsub_buffer_soft_bytes")])
def test_a_slow_subscriber_is_closed_at_its_limit_and_its_memory_is_freed(make_cluster, limit, which):
    """Others that read get everything, and the publisher is at another node."""
    cluster = make_cluster(nodes=2, replicas=2)
    wait_links(cluster)
    n1, n2 = cluster
    with n1.client() as control, n2.client() as publisher:
        control.config_set("client-output-buffer-limit", limit)
        slow = connect(n1)[0]
        # So that what waits does so at the node and not in the kernel.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"CLIENT SETNAME slow\r\nSUBSCRIBE c\r\n")
        until("it is subscribed", lambda: control.pubsub_numsub("c") == [("c", 1)])
        before = control.info("memory")["used_memory"]
        with subscriber(n1, ["c"]) as fast:
            payload = "x" * 100_000

            def closed():
                slow = next((line for line in control.client_list() if line["name"] == "slow"), None)
                if slow is None:
                    return True
                if int(slow["obl"]) > 9 << 20:
                    return False  # it is closed for that alone, once the time is over
                for _ in range(10):
                    publisher.publish("c", payload)
                assert messages(fast, 10) == [("c", payload)] * 10
                return False
            until("the slow one is closed", closed, seconds=60)
            peak = control.info("memory")["used_memory_peak"]
            assert (8 << 20) < peak - before < (16 << 20)
            assert control.pubsub_numsub("c") == [("c", 1)]
            # Links keep up to 1 MiB each of what they have received into.
            until("its memory is free", lambda: control.info("memory")["used_memory"] < before + (4 << 20))
        slow.close()
    assert f"of messages wait, more than {which}" in n1.log_tail()


def test_a_node_that_takes_no_messages_costs_bounded_memory_and_gets_its_records(make_cluster):
    cluster = make_cluster(nodes=2, replicas=2)
    wait_links(cluster)
    n1, n2 = cluster
    with n1.client() as client, subscriber(n2, ["c", "end"]) as pubsub:
        before = client.info("memory")["used_memory"]
        n2.pause()
        payload = "x" * 1_000_000
        for _ in range(60):
            client.publish("c", payload)
        client.set("k", "v")
        info = client.info("even")
        # 16 MiB may wait on each link, of which there is one for each of the shards, and the kernel takes some.
        assert info["pubsub_messages_dropped"] > 0
        assert client.info("memory")["used_memory"] - before < 2 * (16 << 20) + (8 << 20)
        n2.resume()
        until("the record has come", lambda: n2.client().get("k") == "v")
        until("what was published has left", lambda: client.info("memory")["used_memory"] - before < 4 << 20)
        client.publish("end", "x")
        got = 0
        while (message := pubsub.get_message(timeout=20 * PATIENCE))["channel"] == "c":
            got += 1
        assert message["channel"] == "end"
        assert 0 < got < 60
        assert got == n2.client().info("even")["pubsub_messages_received"] - 1
        assert client.info("even")["pubsub_messages_dropped"] == 60 - got


def test_figures_of_subscriptions(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as control, subscriber(node, ["a", "b"], ["p*"], client_name="sub") as pubsub:
        line = next(line for line in control.client_list(_type="pubsub"))
        assert (line["name"], line["flags"], line["sub"], line["psub"], line["ssub"]) == ("sub", "P", "2", "1", "0")
        assert [line["sub"] for line in control.client_list(_type="normal")] == ["0"]
        connection, stream = connect(node)
        connection.sendall(b"SSUBSCRIBE s\r\n")
        read_replies(stream, 1)
        stats = control.info("stats")
        assert (stats["pubsub_channels"], stats["pubsub_patterns"], stats["pubsubshard_channels"]) == (2, 1, 1)
        assert sorted(control.pubsub_channels()) == ["a", "b"]
        # Who is subscribed has nothing to say and is not idle for that.
        control.config_set("timeout", 1)
        with node.client() as idle:
            idle.ping()
            until("an idle client is closed", lambda: len(control.client_list(_type="normal")) == 1)
        assert len(control.client_list(_type="pubsub")) == 2
        assert control.client_kill_filter(_type="pubsub") == 2
        assert stream.read() == b""
        with pytest.raises(redis.ConnectionError):
            while pubsub.connection.read_response():
                pass
        stats = control.info("stats")
        assert (stats["pubsub_channels"], stats["pubsub_patterns"], stats["pubsubshard_channels"]) == (0, 0, 0)


def test_what_a_client_publishes_to_itself_in_a_transaction_comes_behind_its_replies(make_cluster):
    """Redis 7.0 puts it between them, where a push must not be."""
    node = make_cluster(nodes=1)["n1"]
    # The last one has all threads asked, and so its reply later.
    for protocol, last in itertools.product((2, 3), (b"SET k v", b"ECHO OK", b"CONFIG RESETSTAT")):
        connection, stream = connect(node)
        connection.sendall(b"HELLO %d\r\nMULTI\r\nSUBSCRIBE c\r\nPUBLISH c x\r\n%b\r\nEXEC\r\nUNSUBSCRIBE\r\nPING the-end\r\n" % (protocol, last))
        got = b""
        while not got.endswith(b"the-end\r\n"):
            got += stream.readline()
        push = b"*" if protocol == 2 else b">"
        ok = b"$2\r\nOK\r\n" if last == b"ECHO OK" else b"+OK\r\n"
        assert got.endswith(b"*3\r\n%b3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n:1\r\n%b"
                            b"%b3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n%b3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n$7\r\nthe-end\r\n"
                            % (push, ok, push, push)), last


def test_a_client_of_tls_is_sent_messages(make_cluster, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=localhost"],
                   cwd=tmp_path, check=True, capture_output=True)
    node = make_cluster(nodes=1, options={"tls.client_cert": str(tmp_path / "cert"), "tls.client_key": str(tmp_path / "key")})["n1"]
    options = {"ssl": True, "ssl_ca_certs": str(tmp_path / "cert"), "ssl_check_hostname": False}
    with subscriber(node, ["c"], **options) as pubsub, node.client(**options) as client:
        for i in range(100):
            assert client.publish("c", "x" * 100_000 + str(i)) == 1
        assert [data[100_000:] for _, data in messages(pubsub, 100)] == [str(i) for i in range(100)]


def events(pubsub, count):
    """The next so many keyspace events, as (event, key)."""
    return [(channel.removeprefix("__keyevent@0__:"), key) for channel, key in messages(pubsub, count)]


def test_every_replica_tells_its_clients_what_happens_to_keys(cluster):
    wait_links(cluster)
    with contextlib.ExitStack() as stack:
        for node in cluster:
            node.client().config_set("notify-keyspace-events", "EA")
        listeners = {node.name: stack.enter_context(subscriber(node, patterns=["__keyevent@0__:*"])) for node in cluster}
        with cluster["n2"].client() as client:
            client.set("k", "v", ex=1000)
            client.append("k", "w")
            client.persist("k")
            client.delete("k")
            client.incr("n")
            client.incrbyfloat("f", 0.5)
            client.sadd("s", "a", "b")
            client.sadd("s", "a")
            client.srem("s", "a", "nosuch")
            client.hset("h", mapping={"f": 1, "g": 2})
            client.hincrby("h", "f", 5)
            client.hdel("h", "g")
            client.sadd("end", "x")
        own = [("set", "k"), ("expire", "k"), ("append", "k"), ("persist", "k"), ("del", "k"), ("incrby", "n"), ("incrbyfloat", "f"), ("sadd", "s"), ("srem", "s"),
               ("hset", "h"), ("hincrby", "h"), ("hdel", "h"), ("sadd", "end")]
        by_key = {}
        for event, key in events(listeners["n2"], len(own)):
            by_key.setdefault(key, []).append(event)
        expected = {}
        for event, key in own:
            expected.setdefault(key, []).append(event)
        assert by_key == expected
        # What the value was made of is not to be seen elsewhere.
        expected["k"][2] = "set"
        for name in ("n1", "n3"):
            by_key = {}
            for event, key in events(listeners[name], len(own)):
                by_key.setdefault(key, []).append(event)
            assert by_key == expected, name


def test_keys_that_expire_say_so_at_every_replica(cluster):
    wait_links(cluster)
    with contextlib.ExitStack() as stack:
        for node in cluster:
            node.client().config_set("notify-keyspace-events", "Ex")
        listeners = [stack.enter_context(subscriber(node, patterns=["__key*"])) for node in cluster]
        with cluster["n2"].client() as client:
            for i in range(20):
                client.set(f"k{i}", "v", px=50 + i)
            client.set("stays", "v")
        for pubsub in listeners:
            assert sorted(events(pubsub, 20)) == sorted(("expired", f"k{i}") for i in range(20))


def test_keys_of_strong_keyspaces_have_events_at_every_member(cluster):
    wait_links(cluster)
    with contextlib.ExitStack() as stack:
        for node in cluster:
            node.client().config_set("notify-keyspace-events", "EA")
        with cluster["n2"].client() as client:
            client.execute_command("EVEN.KEYSPACE", "CREATE", "orders", "PREFIX", "o:", "MODE", "STRONG")
            listeners = [stack.enter_context(subscriber(node, patterns=["__keyevent@0__:*"])) for node in cluster]
            client.set("o:1", "paid", nx=True, px=100)
            client.set("o:1", "cancelled", nx=True)
        for pubsub in listeners:
            assert events(pubsub, 3) == [("set", "o:1"), ("expire", "o:1"), ("expired", "o:1")]


def test_what_is_published_within_exec_comes_in_the_protocol_that_exec_leaves(make_cluster):
    node = make_cluster(nodes=1, replicas=1).nodes[0]
    message = b"$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n%b\r\n"
    connection, stream = connect(node)
    with connection:
        connection.sendall(b"HELLO 3\r\nSUBSCRIBE c\r\nMULTI\r\nPUBLISH c x\r\nHELLO 2\r\nPUBLISH c y\r\nEXEC\r\n")
        got = b""
        while not got.endswith(message % b"y"):
            got += stream.readline()
        assert got.endswith(b":1\r\n*3\r\n" + message % b"x" + b"*3\r\n" + message % b"y"), got
    connection, stream = connect(node)
    with connection:
        connection.sendall(b"MULTI\r\nSUBSCRIBE c\r\nPUBLISH c x\r\nHELLO 3\r\nEXEC\r\n")
        got = b""
        while not got.endswith(message % b"x"):
            got += stream.readline()
        assert got.endswith(b">3\r\n" + message % b"x"), got
