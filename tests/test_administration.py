"""What a node says of itself to tools made for Redis, and how it is stopped by a client."""

import re
import subprocess
import threading

import pytest
import redis

from even_cluster import HOST, connect, until


def test_shutdown_ends_the_node_when_the_connection_ends_and_keeps_everything(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 3})["n1"]
    for words in (["SHUTDOWN"], ["SHUTDOWN", "NOSAVE"], ["shutdown", "save", "now"], ["SHUTDOWN", "NOW", "FORCE", "NOSAVE"]):
        with node.client() as client:
            client.mset({f"{words[-1]}:{i}": i for i in range(100)})
        connection, stream = connect(node)
        other, other_stream = connect(node)
        other.sendall(b"PING\r\n")
        assert other_stream.readline() == b"+PONG\r\n"
        connection.sendall(b"PING\r\n" + " ".join(words).encode() + b"\r\nSET after 1\r\n")
        assert stream.read() == b"+PONG\r\n"  # and nothing to what comes behind it
        assert node.process.wait(10) == 0
        assert other_stream.read() == b""
        assert "stopping on SHUTDOWN of client 127.0.0.1" in node.log_tail() and "stopped" in node.log_tail()
        node.start()
        with node.client() as client:
            assert client.mget([f"{words[-1]}:{i}" for i in range(100)]) == [str(i) for i in range(100)]
            assert client.get("after") is None
    with node.client() as client:
        client.shutdown()  # redis-py takes the end of the connection for success
    assert node.process.wait(10) == 0
    node.start()


def test_shutdown_refuses_what_makes_no_sense(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        for words in ("foo", "SAVE NOSAVE", "ABORT NOW", "NOW FORCE NOSAVE ABORT"):
            with pytest.raises(redis.ResponseError, match="^syntax error$"):
                client.execute_command("SHUTDOWN", *words.split())
        with pytest.raises(redis.ResponseError, match="^No shutdown in progress.$"):
            client.execute_command("SHUTDOWN", "ABORT")
        assert client.ping()


def test_role_lists_the_nodes_in_reach_as_replicas_with_their_progress(cluster):
    node = cluster["n1"]
    with node.client() as client:
        pipeline = client.pipeline(transaction=False)
        for i in range(100):
            pipeline.incr(f"k{i}")
        pipeline.execute()

        def caught_up():
            role, offset, replicas = client.execute_command("ROLE")
            assert role == "master"
            expected = [[HOST, str(peer.port), str(offset)] for peer in cluster.nodes[1:]]
            return offset > 0 and replicas == expected
        until("both replicas have everything", caught_up)
        info = client.info("replication")
        assert info["role"] == "master" and info["connected_slaves"] == 2
        assert info["slave0"]["port"] == cluster["n2"].port and info["slave0"]["offset"] == info["master_repl_offset"]
        cluster["n3"].stop()
        until("n3 is out of reach", lambda: [r[1] for r in client.execute_command("ROLE")[2]] == [str(cluster["n2"].port)])
        assert client.info("replication")["connected_slaves"] == 1
    cluster["n3"].start()


def test_lastsave_is_the_start_of_the_node_and_then_its_last_backup(make_cluster, tmp_path):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        first = client.execute_command("LASTSAVE")
        info = client.info("server")
        first = first.timestamp() if hasattr(first, "timestamp") else first
        assert abs(info["server_time_usec"] // 1_000_000 - info["uptime_in_seconds"] - first) <= 1
        client.execute_command("EVEN.BACKUP", "START", str(tmp_path / "backup"))
        until("the backup is made", lambda: client.info("backup")["last_good_backup_time"] > 0)
        last = client.execute_command("LASTSAVE")
        last = last.timestamp() if hasattr(last, "timestamp") else last
        assert last == client.info("backup")["last_good_backup_time"]


def test_replies_are_left_out_as_a_client_asks_whichever_thread_makes_them(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 4})["n1"]
    connection, stream = connect(node)
    sets = b"".join(b"SET k%d %d\r\nGET k%d\r\n" % (i, i, i) for i in range(50))
    wide = b"MSET a 1 b 2 c 3\r\nDBSIZE\r\nCLIENT LIST\r\nINFO\r\nNOSUCH\r\nGET\r\n"
    connection.sendall(b"ECHO begin\r\nCLIENT REPLY OFF\r\n" + sets + wide + b"CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\n"
                       b"CLIENT REPLY SKIP\r\nGET k7\r\nGET k8\r\nCLIENT REPLY SKIP\r\nINFO\r\nDBSIZE\r\n"
                       b"CLIENT REPLY OFF\r\nECHO a\r\nRESET\r\nECHO end\r\n")
    connection.shutdown(1)
    assert stream.read() == b"$5\r\nbegin\r\n+OK\r\n$1\r\n8\r\n:53\r\n+RESET\r\n$3\r\nend\r\n"


def test_counters_are_right_across_threads_and_begin_anew_after_a_reset(make_cluster):
    """Eight clients of a node with four threads: whoever counts what, the sums are exact."""
    node = make_cluster(nodes=1, options={"node.shards": 4, "client.password": "secret"})["n1"]
    problems = []

    def work(worker):
        try:
            connection, stream = connect(node)
            keys = [f"{worker}:{i}" for i in range(50)]
            requests = "GET x\r\nAUTH secret\r\n"  # rejected: NOAUTH
            for key in keys:
                requests += f"SET {key} v\r\nGET {key}\r\nGET {key}:absent\r\nINCR {key}\r\nGET\r\nHGET {key} f\r\n"
            requests += "MGET " + " ".join(keys) + " absent\r\nNOSUCH\r\nCONFIG GET port\r\nCONFIG SET port 1\r\nQUIT\r\n"
            connection.sendall(requests.encode())
            assert stream.read().endswith(b"+OK\r\n")
        except Exception as error:  # shown by the test's own thread
            problems.append(repr(error))

    with node.client(password="secret") as client:
        assert client.config_resetstat()
        workers = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert problems == []
        info = client.info("everything")
        assert info["total_connections_received"] == 8
        assert info["keyspace_hits"] == 8 * (50 + 50 + 50) and info["keyspace_misses"] == 8 * (50 + 1)
        assert info["total_error_replies"] == 8 * (1 + 3 * 50 + 2)
        assert info["errorstat_NOAUTH"] == "count=8" and info["errorstat_WRONGTYPE"] == f"count={8 * 50}"
        assert info["errorstat_ERR"] == f"count={8 * (50 + 50 + 2)}"
        calls = {name.removeprefix("cmdstat_"): (stat["calls"], stat["rejected_calls"], stat["failed_calls"])
                 for name, stat in info.items() if name.startswith("cmdstat_")}
        calls.pop("config|resetstat", None)  # counted when it has been executed, or just before
        calls.pop("info", None)
        assert calls == {"auth": (8, 0, 0), "get": (800, 8 * 51, 0), "set": (400, 0, 0), "incr": (400, 0, 400),
                         "hget": (400, 0, 400), "mget": (8, 0, 0), "config|get": (8, 0, 0), "config|set": (8, 0, 8),
                         "quit": (8, 0, 0)}
        assert abs(info["total_commands_processed"] - 8 * (1 + 50 * 5 + 4)) <= 2
        assert info["cmdstat_get"]["usec"] > 0 and info["cmdstat_mget"]["usec_per_call"] > 0
        sent = 8 * 50 * len("SET 0:00 v\r\n")
        assert info["total_net_input_bytes"] > sent and info["total_net_output_bytes"] > 8 * 50 * 5
        assert info["db0"]["keys"] == 400 and info["db0"]["expires"] == 0
        assert client.config_resetstat()
        info = client.info("all")
        assert info["keyspace_hits"] == info["keyspace_misses"] == info["total_error_replies"] == 0
        assert info["total_commands_processed"] <= 1 and "cmdstat_get" not in info
        code, metrics = node.http("/metrics")
        assert 'even_commands_total{command="get"} 800' in metrics and "even_keyspace_hits_total 1200" in metrics


def test_expiries_are_told_with_the_mean_time_to_live(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        client.set("forever", 1)
        client.set("a", 1, ex=1000)
        client.set("b", 1, ex=3000)
        db0 = client.info("keyspace")["db0"]
        assert db0["keys"] == 3 and db0["expires"] == 2 and 1_990_000 < db0["avg_ttl"] <= 2_000_000


def test_sections_of_info_are_chosen_as_in_redis(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        client.set("k", "v")

        def sections(*names):
            connection, stream = connect(node)
            connection.sendall(" ".join(("INFO", *names)).encode() + b"\r\n")
            header = stream.readline()
            return re.findall(r"^# (\w+)", stream.read(int(header[1:])).decode(), re.MULTILINE)
        everything = sections("everything")
        assert everything == sections("ALL") == sections("all", "server") and "Commandstats" in everything
        default = sections()
        assert default == sections("default") == [name for name in everything if name != "Commandstats"]
        assert "Errorstats" in default and default[0] == "Server"
        assert sections("keyspace", "nosuch", "Stats", "stats") == ["Stats", "Keyspace"]
        assert sections("commandstats", "default") == everything
        assert sections("nosuch") == []


def test_redis_cli_shows_statistics_of_a_node(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        client.mset({f"k{i}": i for i in range(7)})
    with subprocess.Popen(["redis-cli", "-p", str(node.port), "--stat", "-i", "0.05"], stdout=subprocess.PIPE,
                          text=True) as cli:
        assert cli.stdout.readline().startswith("-------") and cli.stdout.readline().startswith("keys")
        keys, memory, clients, *_ = cli.stdout.readline().split()
        cli.terminate()
    assert keys == "7" and float(memory[:-1]) > 0 and int(clients) >= 1


def test_every_container_has_help_and_errors_show_the_syntax(make_cluster):
    node = make_cluster(nodes=1, options={"faults.enabled": True})["n1"]
    with node.client() as client:
        for name in ("client", "command", "config", "memory", "object", "slowlog", "even.backup", "even.fault", "even.keyspace"):
            lines = client.execute_command(f"{name} HELP")
            assert lines[0] == f"{name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
            assert lines[-2:] == ["HELP", "    Prints this help."]
        assert client.execute_command("MODULE LIST") == [] and "LIST" in client.execute_command("MODULE", "HELP")
        assert "SLEEP <seconds>" in client.execute_command("DEBUG", "HELP")
        with pytest.raises(redis.ResponseError, match=r"'even.fault\|link' command: EVEN.FAULT LINK <node> \(DOWN\|UP\|"):
            client.execute_command("EVEN.FAULT", "LINK", "n2")
        with pytest.raises(redis.ResponseError, match="This instance has cluster support disabled"):
            client.execute_command("CLUSTER", "INFO")


def test_object_tells_how_redis_would_keep_a_value(make_cluster):
    cluster = make_cluster(nodes=2, replicas=1)
    until("the link is up", lambda: {peer["link"] for node in cluster for peer in node.status()["peers"]} == {"up"})
    with cluster["n1"].client() as client:
        client.set("number", 12)
        client.set("text", "x" * 44)
        client.set("long", "x" * 45)
        client.sadd("numbers", 1, 2, 3)
        client.sadd("words", 1, "a")
        client.sadd("many", *range(513))
        client.hset("hash", "f", "x" * 64)
        client.hset("large", "f", "x" * 65)
        encodings = {"number": "int", "text": "embstr", "long": "raw", "numbers": "intset", "words": "hashtable",
                     "many": "hashtable", "hash": "listpack", "large": "hashtable", "absent": None}
        for key, encoding in encodings.items():
            assert client.object("encoding", key) == encoding, key
            assert client.object("refcount", key) == (None if encoding is None else 1)
        with pytest.raises(redis.ResponseError, match="An LFU maxmemory policy is not selected"):
            client.object("freq", "number")
        with pytest.raises(redis.ResponseError, match="idle time not tracked"):
            client.object("idletime", "number")
        for node in cluster:
            with node.client() as other:
                other.config_set("maxmemory-policy", "allkeys-lfu")

        def counted():
            try:
                client.get("number")
                return client.object("freq", "number") > 0
            except redis.ResponseError as error:
                assert "An LFU maxmemory policy is not selected" in str(error)
                return False
        until("uses are counted", counted)
        with pytest.raises(redis.ResponseError, match="An LFU maxmemory policy is selected"):
            client.object("idletime", "number")


def test_client_list_and_kill_filter_as_redis_8_does(cluster):
    node = cluster["n1"]
    with node.client() as admin, node.client(client_name="one") as one, node.client(client_name="two") as two:
        first, second = one.client_id(), two.client_id()
        me = admin.client_id()

        assert first != second != me
        text = admin.execute_command("CLIENT LIST", "ID", first, second, "NAME", "two")
        assert [int(line["id"]) for line in text] == [second]
        assert admin.execute_command("CLIENT LIST", "MAXAGE", 100_000) == []
        assert me not in [int(line["id"]) for line in admin.execute_command("CLIENT LIST", "SKIPME", "yes")]
        with pytest.raises(redis.ResponseError, match="maxage should be greater than 0"):
            admin.execute_command("CLIENT", "KILL", "MAXAGE", 0)
        assert admin.execute_command("CLIENT", "KILL", "MAXAGE", 100_000) == 0
        assert admin.execute_command("CLIENT", "KILL", "ID", first, second, "USER", "default") == 2
