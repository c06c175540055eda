"""Sloppy quorums and hinted handoff: writes that go on while owners are away, on whole clusters."""

import subprocess
import time

import pytest

from even_cluster import BIN, until
from test_strong import Refusal, keyspace

PARTITIONS = 256
SLOTS = 16384


def owners(cluster, keys):
    """{key: names of the nodes that hold it}; of a cluster of which all nodes run."""
    held = {node.name: set(node.digest()) for node in cluster}
    with next(iter(cluster)).client() as client:
        partition = {key: client.execute_command("CLUSTER", "KEYSLOT", key) * PARTITIONS // SLOTS for key in keys}
    return {key: {name for name in held if partition[key] in held[name]} for key in keys}


def replication(node):
    with node.client() as client:
        return client.info("replication")


def hints(cluster):
    return {node.name: int(replication(node)["hints_records"]) for node in cluster.running}


def sees_down(cluster, *names):
    """Waits until all nodes that run know that there is no link to these."""
    def known():
        return all(peer["link"] == "down" for node in cluster.running for peer in node.status()["peers"]
                   if peer["name"] in names)
    until(f"links to {names} are down", known)


def linked(cluster):
    """Waits until there are links among all nodes that run."""
    running = {node.name for node in cluster.running}

    def known():
        return all(peer["link"] == "up" for node in cluster.running for peer in node.status()["peers"]
                   if peer["name"] in running)
    until("all links are up", known)


@pytest.fixture
def five(make_cluster):
    """Five nodes, three of them for each key; a keyspace whose reads and writes are at a quorum."""
    cluster = make_cluster(nodes=5, replicas=3)
    linked(cluster)
    assert keyspace(cluster["n1"], "CREATE", "carts", "PREFIX", "c:", "READ", "QUORUM", "WRITE", "QUORUM",
                    "DEADLINE", 3000) == "OK"
    return cluster


def test_with_any_one_node_down_a_quorum_goes_on(five):
    for node in five:
        node.kill9()
        sees_down(five, node.name)
        for other in five.running:
            with other.client() as client:
                for number in range(40):
                    key = f"c:{node.name}:{other.name}:{number}"
                    assert client.set(key, number)
                    assert client.get(key) == str(number)
        node.start()
        linked(five)
    five.wait_converged()
    assert set(hints(five).values()) == {0}


def test_with_two_owners_down_writes_go_on_and_are_handed_over(five):
    keys = [f"c:{number}" for number in range(400)]
    of_key = owners(five, keys)
    # Those that the two that go down share with n1, and with others.
    mine = [key for key in keys if of_key[key] == {"n1", "n4", "n5"}]
    others = [key for key in keys if {"n4", "n5"} < of_key[key] and "n1" not in of_key[key]]
    assert len(mine) >= 5 and len(others) >= 5
    with five["n1"].client() as client:
        for key in mine + others:
            client.set(key, "before")
            client.sadd(f"{key}{{{key}}}", "x")
    five.wait_converged()
    five["n4"].kill9()
    five["n5"].kill9()
    sees_down(five, "n4", "n5")

    for name in ("n1", "n2", "n3"):
        with five[name].client() as client:
            began = time.monotonic()
            with Refusal("UNAVAILABLE", "QUORUM needs 2 of 3 replicas, 1 reachable"):
                client.set(mine[0], "not done")
            with Refusal("UNAVAILABLE", "QUORUM needs 2 of 3 replicas, 1 reachable"):
                client.get(others[0])
            assert time.monotonic() - began < 3
    assert keyspace(five["n2"], "ALTER", "carts", "SLOPPY", "YES") == "OK"
    info = keyspace(five["n3"], "INFO", "carts")
    assert dict(zip(info[::2], info[1::2]))["sloppy"] == "yes"

    gone = mine[0], others[0]
    with five["n2"].client() as client:
        for key in mine + others:
            assert client.set(key, "meanwhile")
            assert client.get(key) == "meanwhile"
            assert client.incrby(f"n{{{key}}}", 2) == 2
            assert client.sadd(f"{key}{{{key}}}", "y") == 1
        for key in gone:
            assert client.delete(key) == 1
    kept = hints(five)
    assert sum(kept.values()) > 0
    # Its holders restart, without a chance to do anything about it; and who wrote it stays away.
    for name in ("n2", "n3"):
        five[name].kill9()
        five[name].start()
    assert {name: count for name, count in hints(five).items() if name != "n1"} == {
        name: count for name, count in kept.items() if name != "n1"}
    five["n1"].kill9()
    five["n4"].start()
    five["n5"].start()

    def handed_over(name, expected):
        with five[name].client() as client:
            return {key: client.execute_command("EVEN.WITH", "ONE", "GET", key) for key in expected} == expected
    expected = {key: None if key in gone else "meanwhile" for key in mine}
    for name in ("n4", "n5"):
        until(f"{name} has all", lambda name=name: handed_over(name, expected))
    with five["n4"].client() as client:
        assert client.get(f"n{{{mine[1]}}}") == "2"
        assert client.smembers(f"{mine[1]}{{{mine[1]}}}") == {"x", "y"}
        # A quorum of owners is there again: what goes now is in nobody's hint.
        assert client.delete(mine[1]) == 1
    five["n1"].start()
    until(lambda: f"hints are forgotten: {hints(five)}", lambda: set(hints(five).values()) == {0})
    five.wait_converged()
    for node in five:
        with node.client() as client:
            for key in mine + others:
                assert client.get(key) == (None if key in (*gone, mine[1]) else "meanwhile")
                assert client.get(f"n{{{key}}}") == "2"
    assert keyspace(five["n2"], "ALTER", "carts", "SLOPPY", "NO") == "OK"


def test_a_hint_does_not_bring_back_what_was_deleted_meanwhile(five):
    assert keyspace(five["n1"], "ALTER", "carts", "SLOPPY", "YES") == "OK"
    keys = [f"c:{number}" for number in range(400)]
    mine = [key for key, nodes in owners(five, keys).items() if nodes == {"n1", "n4", "n5"}]
    five["n4"].kill9()
    five["n5"].kill9()
    sees_down(five, "n4", "n5")
    with five["n1"].client() as client:
        for key in mine:
            client.set(key, "v")
    holders = [name for name in ("n2", "n3") if hints(five)[name] > 0]
    assert holders
    # While these are away, n1 brings the others up to date, and all is deleted.
    for name in holders:
        five[name].kill9()
    five["n4"].start()
    five["n5"].start()
    linked(five)
    with five["n4"].client() as client:
        for key in mine:
            assert client.get(key) == "v"
            assert client.delete(key) == 1
    for name in holders:
        five[name].start()
    until(lambda: f"hints are forgotten: {hints(five)}", lambda: set(hints(five).values()) == {0})
    five.wait_converged()
    for node in five:
        with node.client() as client:
            assert client.mget(mine) == [None] * len(mine)


def test_who_does_not_answer_is_stood_in_for(five):
    """Its link is up, but it is stopped."""
    assert keyspace(five["n1"], "ALTER", "carts", "SLOPPY", "YES") == "OK"
    keys = [f"c:{number}" for number in range(400)]
    key = next(key for key, nodes in owners(five, keys).items() if nodes == {"n1", "n4", "n5"})
    five["n4"].pause()
    five["n5"].pause()
    with five["n1"].client() as client:
        assert client.set(key, "v")
    five["n4"].resume()
    five["n5"].resume()
    until("hints are forgotten", lambda: set(hints(five).values()) == {0})
    five.wait_converged()


def test_what_a_holder_has_no_room_for_is_refused_and_told(make_cluster):
    cluster = make_cluster(nodes=4, replicas=3, options={"hints.max_bytes": 20_000})
    linked(cluster)
    assert keyspace(cluster["n1"], "CREATE", "carts", "PREFIX", "c:", "WRITE", "QUORUM", "SLOPPY", "YES",
                    "DEADLINE", 1500) == "OK"
    keys = [f"c:{number}" for number in range(400)]
    mine = [key for key, nodes in owners(cluster, keys).items() if nodes == {"n1", "n2", "n3"}]
    cluster["n2"].kill9()
    cluster["n3"].kill9()
    sees_down(cluster, "n2", "n3")
    refused = None
    with cluster["n1"].client() as client:
        for number in range(200):
            try:
                client.set(mine[number % len(mine)], str(number) * 500)
            except Exception as error:
                refused = str(getattr(error, "status_code", "")) + str(error)
                break
    assert refused is not None and ("PARTIAL" in refused or "UNAVAILABLE" in refused), refused
    info = replication(cluster["n4"])
    assert int(info["hints_refused"]) > 0 and 0 < int(info["hints_bytes"]) <= 20_000
    assert "hints for other nodes are refused" in cluster["n4"].log_tail()
    shown = subprocess.run([BIN / "even", "status", "--config", cluster["n4"].config], capture_output=True, text=True)
    assert "HINTS LEFT TO ANTI-ENTROPY by n4" in shown.stdout, shown
    assert "even_hints_refused_total" in cluster["n4"].http("/metrics")[1]
    # n1 has it, and gives it to them.
    cluster["n2"].start()
    cluster["n3"].start()
    until("hints are forgotten", lambda: set(hints(cluster).values()) == {0})
    cluster.wait_converged()
