"""Keyspaces with a DELAY, on whole clusters: what is written comes later, together, and nobody waits for it who asks
for more than ONE."""

import time

import pytest

from even_cluster import until
from test_hints import linked
from test_sessions import Visitor, at, knows_key
from test_strong import Refusal, keyspace

LONG_MS = 600_000  # longer than any test waits


def held(node, peer):
    return node.metric(f'even_replication_held_bytes{{peer="{peer}"}}')


def sent(node, peer):
    return node.metric(f'even_peer_sent_bytes_total{{peer="{peer}"}}')


def value(node, key):
    with node.client() as client:
        return client.get(key)


def lazy(cluster, milliseconds):
    """A keyspace of that delay. Nodes that have just been started ask each other what they have seen, and then nothing
    is held back: that is over by then."""
    linked(cluster)
    assert keyspace(cluster["n1"], "CREATE", "lazy", "PREFIX", "l:", "DELAY", LONG_MS) == "OK"
    since = time.monotonic()

    def nobody_asks():
        nonlocal since
        if held(cluster["n1"], "n2") == 0:
            write(cluster["n1"], "l:probe")
            since = time.monotonic()
        return time.monotonic() - since > 1.5
    until("nobody asks any more", nobody_asks)
    assert keyspace(cluster["n1"], "ALTER", "lazy", "DELAY", milliseconds) == "OK"


def info(node, name):
    with node.client() as client:
        reply = client.execute_command("EVEN.KEYSPACE", "INFO", name)
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


def write(node, key, text="v"):
    with node.client() as client:
        assert client.set(key, text)


def is_held(cluster, key):
    """Written at n1, and of use for the test: nobody else has it, and will not soon."""
    until("n1 holds it back", lambda: held(cluster["n1"], "n2") > 0 and held(cluster["n1"], "n3") > 0)
    assert value(cluster["n2"], key) is None and value(cluster["n3"], key) is None


def test_a_delay_is_stored_shown_and_changed(cluster):
    lazy(cluster, 250)
    assert info(cluster["n3"], "lazy")["delay"] == 250
    assert info(cluster["n3"], "default")["delay"] == 0
    assert keyspace(cluster["n2"], "ALTER", "lazy", "DELAY", 0) == "OK"
    assert info(cluster["n1"], "lazy")["delay"] == 0
    assert keyspace(cluster["n2"], "ALTER", "lazy", "DELAY", 1500, "DEADLINE", 3000) == "OK"
    assert info(cluster["n1"], "lazy")["delay"] == 1500
    for wrong in ("-1", "3600001", "soon", "1.5"):
        with Refusal("DELAY is a number from 0 to 3600000"):
            keyspace(cluster["n1"], "ALTER", "lazy", "DELAY", wrong)
    with Refusal("CONSISTENCY", "DELAY is for eventual keyspaces"):
        keyspace(cluster["n1"], "CREATE", "strong", "PREFIX", "s:", "MODE", "STRONG", "DELAY", 100)


def test_what_is_written_comes_later(cluster):
    lazy(cluster, 1500)
    write(cluster["n1"], "l:k")
    is_held(cluster, "l:k")
    until("it has come", lambda: value(cluster["n2"], "l:k") == "v" and value(cluster["n3"], "l:k") == "v")
    until("nothing is held", lambda: held(cluster["n1"], "n2") == 0)
    cluster.wait_converged()


def test_who_asks_for_replicas_does_not_wait(cluster):
    lazy(cluster, LONG_MS)
    until("all know the key of tokens", lambda: all(knows_key(node) for node in cluster))
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        for level in ("QUORUM", "ALL", "2"):
            assert at(one, level, "SET", f"l:w{level}", "v")
        assert three.get("l:wALL") == "v"

        one.set("l:wait", "v")
        is_held(cluster, "l:wait")
        assert one.wait(2, 5000) == 2
        assert three.get("l:wait") == "v"

        one.set("l:waitaof", "v")
        is_held(cluster, "l:waitaof")
        assert one.execute_command("WAITAOF", 1, 2, 5000)[1] == 2
        assert two.get("l:waitaof") == "v"

        for level in ("ALL", "BOUNDED 1"):
            one.set(f"l:{level}", "v")
            is_held(cluster, f"l:{level}")
            assert at(two, level, "GET", f"l:{level}") == "v"

    # What a client has written goes with it, and so does what it has read.
    for level in ("SESSION", "CAUSAL"):
        visitor = Visitor()
        visitor.at(cluster["n1"], "SET", f"l:own{level}", "v")
        is_held(cluster, f"l:own{level}")
        with cluster["n3"].client() as client:
            client.execute_command("EVEN.SESSION", visitor.token)
            assert at(client, level, "GET", f"l:own{level}") == "v"
        write(cluster["n1"], f"l:other{level}")
        is_held(cluster, f"l:other{level}")
        reader = Visitor()
        assert reader.at(cluster["n1"], "GET", f"l:other{level}") == "v"
        assert reader.at(cluster["n2"], "GET", f"l:other{level}") == "v"


def test_a_write_without_delay_takes_the_partition_along(cluster):
    lazy(cluster, LONG_MS)
    write(cluster["n1"], "l:{tag}")
    write(cluster["n1"], "l:{other tag}")
    is_held(cluster, "l:{tag}")
    write(cluster["n1"], "prompt {tag}")
    until("both have come", lambda: value(cluster["n2"], "prompt {tag}") == "v")
    assert value(cluster["n2"], "l:{tag}") == "v"
    assert value(cluster["n2"], "l:{other tag}") is None


def test_a_change_of_the_delay_takes_effect_at_once(cluster):
    lazy(cluster, LONG_MS)
    write(cluster["n1"], "l:k")
    is_held(cluster, "l:k")
    assert keyspace(cluster["n3"], "ALTER", "lazy", "DELAY", 0) == "OK"
    until("it has come", lambda: value(cluster["n2"], "l:k") == "v" and value(cluster["n3"], "l:k") == "v")
    write(cluster["n1"], "l:next")
    until("nothing is held any more", lambda: value(cluster["n2"], "l:next") == "v")


def test_a_node_that_stops_sends_what_it_holds(cluster):
    lazy(cluster, LONG_MS)
    write(cluster["n1"], "l:k")
    is_held(cluster, "l:k")
    cluster["n1"].stop()
    for name in ("n2", "n3"):
        until("it has come", lambda: value(cluster[name], "l:k") == "v")


def test_a_crash_delays_what_was_held(cluster):
    lazy(cluster, LONG_MS)
    with cluster["n1"].client() as client:
        for i in range(200):
            client.incr(f"l:{i % 20}")
    is_held(cluster, "l:7")
    cluster["n1"].kill9()
    with cluster["n2"].client() as client:
        assert client.get("l:7") is None
        client.incr("l:7")
    cluster["n1"].start()
    cluster["n1"].wait_ready()
    linked(cluster)
    # What it makes in its new life is held again.
    until("what was held has come", lambda: value(cluster["n3"], "l:3") == "10")
    keyspace(cluster["n2"], "ALTER", "lazy", "DELAY", 50)
    cluster.wait_converged()
    assert value(cluster["n3"], "l:7") == "11"


def test_a_node_that_was_cut_off_gets_it_with_the_rest(cluster):
    lazy(cluster, LONG_MS)
    write(cluster["n1"], "l:k")
    is_held(cluster, "l:k")
    cluster.isolate("n2")
    until("nothing is held for it", lambda: held(cluster["n1"], "n2") == 0)
    cluster.rejoin("n2")
    until("it has come", lambda: value(cluster["n2"], "l:k") == "v")


@pytest.mark.parametrize("text", ["counter", "x" * 100])
def test_fewer_bytes_are_sent(make_cluster, text):
    """The same writes, with and without a delay, in the same cluster."""
    cluster = make_cluster(nodes=2, replicas=2)
    lazy(cluster, 500)

    def bytes_of(prefix):
        with cluster["n1"].client() as client:
            before = sent(cluster["n1"], "n2")
            for i in range(3000):
                if text == "counter":
                    client.incr(f"{prefix}{i % 50}")
                else:
                    client.set(f"{prefix}{i % 50}", text)
            until("n2 has all", lambda: held(cluster["n1"], "n2") == 0)
            cluster.wait_converged()
            return sent(cluster["n1"], "n2") - before

    assert bytes_of("l:") < 0.7 * bytes_of("p:")


def test_a_node_that_was_not_heard_of_prevents_it(make_cluster):
    cluster = make_cluster(nodes=3)
    linked(cluster)
    cluster["n3"].stop()
    cluster["n1"].stop()
    cluster["n1"].start()
    cluster["n1"].wait_ready()
    with Refusal("UNAVAILABLE", "nothing was done", "n3 has not said so"):
        keyspace(cluster["n1"], "CREATE", "lazy", "PREFIX", "l:", "DELAY", 100)
    cluster["n3"].start()
    cluster["n3"].wait_ready()
    lazy(cluster, 100)
