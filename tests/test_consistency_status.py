"""What levels cost and give, and who gives up what under a partition: /metrics, `even status --consistency`."""

import subprocess

from even_cluster import BIN, until
from test_quorums import at
from test_sessions import metric
from test_strong import Refusal, keyspace


def page(cluster):
    nodes = [word for node in cluster for word in ("--node", f"127.0.0.1:{node.http_port}")]
    result = subprocess.run([BIN / "even", "status", "--consistency", *nodes], capture_output=True, text=True,
                            timeout=60)
    assert result.stderr == ""
    return result.stdout


def requests(node, level, op, mode="eventual"):
    name = f'even_level_requests_total{{mode="{mode}",level="{level}",op="{op}"}}'
    return metric(node, name) if name in node.http("/metrics")[1] else 0


def line(text, start):
    lines = [line for line in text.splitlines() if line.startswith(start)]
    assert len(lines) == 1, f"{len(lines)} lines begin with {start!r}:\n{text}"
    return lines[0]


def test_every_request_is_counted_once_at_its_level(make_cluster):
    cluster = make_cluster(nodes=3)
    one = cluster["n1"]
    with one.client() as client:
        keyspace(one, "CREATE", "s", "PREFIX", "s:", "MODE", "STRONG")
        before = {op: requests(one, "one", op) for op in ("read", "write")}
        for number in range(50):
            client.set(f"k:{number}", number)
            client.get(f"k:{number}")
            client.get(f"k:{number}")
        client.ping()
        pipeline = client.pipeline()  # a transaction
        pipeline.set("{t}a", 1).get("{t}a").set("{t}b", 2)
        pipeline.execute()
        assert requests(one, "one", "write") - before["write"] == 51
        assert requests(one, "one", "read") - before["read"] == 100
        for number in range(20):
            at(client, "QUORUM", "SET", f"k:{number}", number)
            at(client, "ALL", "GET", f"k:{number}")
        until("the strong keyspace serves", lambda: client.set("s:1", 1))
        strong = requests(one, "linearizable", "write", "strong")
        client.set("s:1", 2)
        client.get("s:1")
        assert requests(one, "linearizable", "write", "strong") == strong + 1
        assert requests(one, "linearizable", "read", "strong") == 1
        assert requests(one, "quorum", "write") == 20 and requests(one, "all", "read") == 20
        # A session's come last: all that this connection does is in it then.
        for number in range(30):
            at(client, "SESSION", "SET", f"k:{number}", number)
            at(client, "SESSION", "GET", f"k:{number}")
        at(client, "BOUNDED", "1000", "GET", "k:1")
        assert requests(one, "session", "write") == 30 and requests(one, "session", "read") == 30
        assert requests(one, "bounded", "read") == 1
        assert requests(one, "one", "write") - before["write"] == 51
        assert requests(one, "one", "read") - before["read"] == 100
    text = page(cluster)
    assert "at n1, n2 and n3" in text.splitlines()[0]
    assert line(text, "QUORUM ").split()[1:4] == ["writes", "20", "-"]
    assert "EC  QUORUM: half of its writes took up to" in text
    assert "PC " not in text and "PA " not in text


def test_who_gave_up_what_under_a_partition_is_said(make_cluster):
    cluster = make_cluster(nodes=3)
    with cluster["n1"].client() as one, cluster["n2"].client() as two, cluster["n3"].client() as three:
        keyspace(cluster["n1"], "CREATE", "k", "PREFIX", "k:", "WRITE", "QUORUM")
        until("all nodes serve by it", lambda: all("k" in keyspace(node, "LIST") for node in cluster))
        one.set("k:1", "x")
        until("all have it",
              lambda: all(peer["lag_records"] == 0 for node in cluster for peer in node.status()["peers"]))
        cluster.isolate("n1")
        for _ in range(12):
            with Refusal("UNAVAILABLE"):
                one.set("k:1", "y")
        for number in range(30):
            one.set(f"o:{number}", number)
            three.set(f"p:{number}", number)
        two.set("k:1", "z")
        reason = ('even_level_refusals_total{keyspace="k",mode="eventual",level="quorum",op="write",'
                  'code="UNAVAILABLE",replicas="unreachable"}')
        assert metric(cluster["n1"], reason) == 12
        until("n1 is seconds behind", lambda: metric(cluster["n1"], 'even_consistency_window_seconds{peer="n3"}') > 3)
        assert metric(cluster["n2"], 'even_consistency_window_seconds{peer="n3"}') < 2.5
        text = page(cluster)
        refused = line(text, "PC ")
        assert refused == ("PC  QUORUM in keyspace 'k': 12 writes at n1 were refused (-UNAVAILABLE), "
                           "all while n2 and n3 could not be reached.")
        assert "now it cannot reach n2 and n3:" in line(text, "PA  ONE went on at n1 (")
        behind = line(text, "      behind n3 by 30 records, the oldest ")
        assert "it has all of that up to" in behind
        # Nobody else was refused anything; they lack what n1 has written.
        assert text.count("behind n1 by 30 records") == 2 and "PA  ONE went on at n3 (" in text
        cluster.rejoin("n1")
        until("n1 has heard of n3", lambda: metric(cluster["n1"], 'even_consistency_window_seconds{peer="n3"}') < 2.5)
        text = page(cluster)
        assert "all of its links are up again." in line(text, "PA  ONE went on at n1 (")
        assert "12 writes at n1 were refused" in text  # of the last minute
        # A node that does not answer is no reason to make anything up.
        cluster["n3"].kill9()
        text = page(cluster)
        assert line(text, "127.0.0.1:").split(" (")[0].endswith("does not answer")
        assert "unknown: n3 does not say" in text


def test_a_clock_that_is_ahead_is_not_taken_for_a_fast_link(make_cluster):
    cluster = make_cluster(nodes=2, replicas=2)
    with cluster["n1"].client() as one, cluster["n2"].client() as two:
        for number in range(20):
            two.set(f"a:{number}", number)
        until("they have come", lambda: one.get("a:19") == "19")
        assert "the clocks differ" not in page(cluster)
        two.execute_command("EVEN.FAULT", "CLOCK", "OFFSET", "3000")
        for number in range(20):
            two.set(f"b:{number}", number)
        until("they have come", lambda: one.get("b:19") == "19")
        # They are counted now and then; one that was under way when the clock was put may have the right time.
        until("they are counted", lambda: metric(cluster["n1"], 'even_replication_delays_below_zero_total{peer="n2"}') >= 15)
        assert "records of n2 came to n1 before they were made" in page(cluster)
