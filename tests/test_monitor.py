"""MONITOR, LATENCY and LOLWUT, from clients."""

import pytest
import redis

from even_cluster import connect, until


def lines_until(monitor, last):
    out = []
    while not out or last not in out[-1]["command"]:
        out.append(monitor.next_command())
    return [line["command"] for line in out]


def test_a_monitor_sees_what_clients_of_all_threads_ask_for(cluster):
    node = cluster.nodes[0]
    with node.client().monitor() as monitor, node.client() as admin:
        clients = [node.client() for _ in range(4)]
        for number, client in enumerate(clients):
            client.set(f"k{number}", 'a "b"\n\x00')
        with clients[0].pipeline(transaction=True) as transaction:
            transaction.incr("n")
            transaction.ping()
            transaction.execute()
        admin.config_set("slowlog-max-len", 100)
        with pytest.raises(redis.ResponseError):
            node.client(username="alice", password="topsecret").ping()
        clients[0].eval("return redis.call('get', KEYS[1])", 1, "k1")
        admin.echo("the end")
        seen = lines_until(monitor, "the end")
    for number in range(4):
        assert any(line.startswith(f"SET k{number} ") for line in seen)
    assert [line for line in seen if line in ("MULTI", "INCRBY n 1", "PING", "EXEC")][:4] == ["MULTI", "INCRBY n 1", "PING", "EXEC"]
    assert not any("slowlog" in line for line in seen), "what is administrative is not shown"
    assert "topsecret" not in str(seen) and any("(redacted)" in line for line in seen)
    assert any(line.startswith("EVAL") for line in seen)


def test_a_monitor_goes_on_until_it_is_reset(cluster):
    node = cluster.nodes[0]
    connection, replies = connect(node)
    connection.sendall(b"MONITOR\r\n")
    assert replies.readline() == b"+OK\r\n"
    node.client().get("x")
    while b'"GET" "x"' not in (line := replies.readline()):
        assert line.startswith(b"+")
    assert any("O" in each["flags"] for each in node.client().client_list())
    connection.sendall(b"RESET\r\n")
    while replies.readline() != b"+RESET\r\n":
        pass
    node.client().get("y")
    connection.sendall(b"PING\r\n")
    assert replies.readline() == b"+PONG\r\n"
    connection.close()
    until("no monitor is left", lambda: not any("O" in each["flags"] for each in node.client().client_list()))


def test_latency_has_what_took_long(cluster):
    with cluster.nodes[0].client() as client:
        assert client.execute_command("LATENCY", "LATEST") == []
        assert "not monitored" in client.execute_command("LATENCY", "DOCTOR")
        client.config_set("latency-monitor-threshold", 10)
        client.execute_command("DEBUG", "SLEEP", "0.05")
        until("there is a sample", lambda: client.execute_command("LATENCY", "LATEST"))
        (event, at, latest, longest), = client.execute_command("LATENCY", "LATEST")
        assert event == "command" and latest >= 50 and longest >= latest and at > 0
        assert client.execute_command("LATENCY", "HISTORY", "command") == [[at, latest]]
        assert client.execute_command("LATENCY", "HISTORY", "nosuch") == []
        assert "command - high" in client.execute_command("LATENCY", "GRAPH", "command")
        assert "command: 1 seconds" in client.execute_command("LATENCY", "DOCTOR")
        assert client.execute_command("LATENCY", "RESET", "nosuch") == 0
        assert client.execute_command("LATENCY", "RESET") == 1
        assert client.execute_command("LATENCY", "LATEST") == []
        with pytest.raises(redis.ResponseError, match="No samples available for event 'command'"):
            client.execute_command("LATENCY", "GRAPH", "command")
        client.get("k")
        histogram = client.execute_command("LATENCY", "HISTOGRAM", "get", "config")
        assert "get" in histogram and "config|set" in histogram and "latency|latest" not in histogram
        assert "Redis ver. 7.0" in client.execute_command("LOLWUT")
