"""What a node does with its clients and its peers beyond single commands: pipelines over several shard threads, limits,
refusals, TLS."""

import shutil
import socket
import ssl
import subprocess
import threading

import pytest
import redis

from even_cluster import HOST, connect, until


def closed(stream):
    """Whether the other side ends the connection; what it still says is read."""
    try:
        return stream.read() is not None
    except ConnectionResetError:
        return True


def test_commands_over_several_shards_neither_lose_nor_block_each_other(make_cluster):
    """Eight clients borrow all four shards of a node again and again, in every order of keys."""
    node = make_cluster(nodes=1, options={"node.shards": 4})["n1"]
    problems = []

    def work(worker):
        try:
            with node.client() as client:
                keys = [f"key:{worker}:{i}" for i in range(10)]
                for _ in range(100):
                    pipeline = client.pipeline(transaction=False)
                    for i in range(20):
                        pipeline.incr(f"counter:{i}")
                    pipeline.mset({key: key for key in keys})
                    pipeline.mget(keys[::-1])
                    pipeline.dbsize()
                    pipeline.delete(*keys)
                    *_, stored, read, size, deleted = pipeline.execute()
                    assert stored and read == keys[::-1] and size >= 30 and deleted == 10
        except Exception as error:  # shown by the test's own thread
            problems.append(repr(error))

    workers = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert problems == []
    with node.client() as client:
        assert client.mget([f"counter:{i}" for i in range(20)]) == ["800"] * 20
        assert client.dbsize() == 20


def test_a_pipeline_sees_its_own_writes_whatever_thread_they_run_on(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 4})["n1"]
    with node.client() as client:
        pipeline = client.pipeline(transaction=False)
        expected = []
        for i in range(200):
            pipeline.set(f"a:{i}", i)
            pipeline.flushall()
            pipeline.mset({f"b:{i}": i, f"c:{i}": i})
            pipeline.get(f"b:{i}")
            pipeline.exists(f"a:{i}", f"b:{i}", f"c:{i}")
            pipeline.dbsize()
            expected += [True, True, True, str(i), 2, 2]
        assert pipeline.execute() == expected


def test_what_a_connection_says_of_itself_is_told_in_order(cluster):
    connection, stream = connect(cluster["n1"])
    connection.sendall(b"CLIENT SETNAME first\r\nCLIENT LIST\r\nCLIENT SETNAME second\r\nCLIENT INFO\r\nQUIT\r\n")
    replies = stream.read()
    assert replies.index(b" name=first ") < replies.index(b" name=second ")
    assert replies.count(b" name=first ") == 1 and replies.endswith(b"+OK\r\n")


def test_debug_replies_the_error_that_it_is_given(cluster):
    client = cluster["n1"].client()
    with pytest.raises(redis.BusyLoadingError, match="fake  message"):
        client.execute_command("DEBUG", "ERROR", "LOADING fake\r\nmessage")
    assert client.ping()


def test_client_kill_finds_clients_of_every_thread(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 3})["n1"]
    with node.client() as client:
        others = [connect(node) for _ in range(6)]
        for connection, stream in others:
            connection.sendall(b"PING\r\n")
            assert stream.readline() == b"+PONG\r\n"
        assert len(client.client_list()) == 7
        assert client.client_kill_filter(laddr=f"{HOST}:{node.port}") == 6
        assert all(closed(stream) for _, stream in others)
        until("they are gone", lambda: client.info("clients")["connected_clients"] == 1)


def test_more_clients_than_allowed_are_refused_with_an_error(make_cluster):
    node = make_cluster(nodes=1, options={"client.max_clients": 2})["n1"]
    kept = [connect(node) for _ in range(2)]
    for connection, stream in kept:
        connection.sendall(b"PING\r\n")
        assert stream.readline() == b"+PONG\r\n"
    _, stream = connect(node)
    assert stream.read() == b"-ERR max number of clients reached\r\n"
    kept[0][0].sendall(b"QUIT\r\n")
    assert kept[0][1].read() == b"+OK\r\n"

    def served():
        connection, stream = connect(node)
        connection.sendall(b"PING\r\n")
        return stream.readline() == b"+PONG\r\n"
    until("the place is free again", served)


def test_a_client_that_does_not_read_costs_bounded_memory_and_gets_every_reply_in_the_end(make_cluster):
    node = make_cluster(nodes=1, options={"client.output_buffer_bytes": "4MiB"})["n1"]
    value = b"x" * 100_000
    with node.client() as client:
        client.set("k", value)
        before = client.info("memory")["used_memory"]
        connection, stream = connect(node)
        request = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
        sender = threading.Thread(target=connection.sendall, args=(request * 1000,))
        sender.start()  # 100 MB of replies
        until("other clients are served", client.ping)
        for _ in range(1000):
            assert stream.read(len(value) + 11) == b"$100000\r\n" + value + b"\r\n"
        sender.join()
        assert client.info("memory")["used_memory_peak"] - before < 40 << 20


def test_a_client_that_has_closed_its_side_still_gets_its_replies(cluster):
    connection, stream = connect(cluster["n1"])
    connection.sendall(b"SET k 1\r\n" + b"INCR k\r\n" * 1000)
    connection.shutdown(socket.SHUT_WR)
    assert stream.read().endswith(b":1000\r\n:1001\r\n")


def test_clients_that_vanish_are_forgotten_whatever_they_waited_for(make_cluster):
    """Among them one that is not read from, because it does not read."""
    node = make_cluster(nodes=1, options={"client.output_buffer_bytes": "4MiB"})["n1"]
    with node.client() as client:
        client.set("k", "x" * 1_000_000)
        others = [connect(node)[0] for _ in range(4)]
        for requests, other in enumerate(others):
            other.sendall(b"GET k\r\n" * (100 * requests))
        until("the node holds replies back", lambda: client.info("memory")["used_memory"] > 4_000_000)
        for other in others:
            # Unread replies make this a reset.
            other.close()
        until("they are gone", lambda: client.info("clients")["connected_clients"] == 1)


def test_a_reply_beyond_the_limit_closes_its_client_only(make_cluster):
    node = make_cluster(nodes=1, options={"client.output_buffer_bytes": "1MiB"})["n1"]
    with node.client() as client:
        client.set("k", "x" * 8_000_000)
        with pytest.raises(redis.ConnectionError):
            client.get("k")
        assert client.ping()
    assert "more than client.output_buffer_bytes" in node.log_tail()


def test_a_protocol_error_closes_one_connection_after_what_came_before(cluster):
    connection, stream = connect(cluster["n1"])
    other, other_stream = connect(cluster["n1"])
    connection.sendall(b"*1\r\n$4\r\nPING\r\n*1\r\n$x\r\n*1\r\n$4\r\nPING\r\n")
    assert stream.read() == b"+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"
    other.sendall(b"PING\r\n")
    assert other_stream.readline() == b"+PONG\r\n"


def test_a_password_is_asked_for(make_cluster):
    node = make_cluster(nodes=1, options={"client.password": "secret"})["n1"]
    with pytest.raises(redis.AuthenticationError):
        node.client().ping()
    with pytest.raises(redis.RedisError, match="WRONGPASS"):
        node.client(password="wrong").ping()
    assert node.client(password="secret").ping()


def test_peers_that_do_not_belong_together_say_why_on_both_sides(make_cluster):
    """Two clusters of one node each are told that the other is their n2, each with one thing wrong."""
    for option, value, words in (("cluster.id", "other", "of cluster"),
                                 ("cluster.partitions", 64, "partitions, the other"),
                                 ("node.shards", 1, "shards, the other")):
        cluster = make_cluster(nodes=2, options={"cluster.id": "one"})
        wrong = cluster["n2"]
        wrong.stop()
        for path in wrong.data.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        wrong.start(arguments=["--set", f"{option}={value}"])
        for node in cluster:
            until(lambda: f"{node} says '{words}': {node.log_tail()}", lambda: words in node.log_tail())
        assert {peer["link"] for node in cluster for peer in node.status()["peers"]} == {"down"}
        cluster.stop()


def make_certificates(directory, name="n"):
    """The files of a key and a certificate of `name` that are made, and of the authority that signs it."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
    if not (directory / "ca.crt").exists():
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt")
    return {"cert": str(directory / f"{name}.crt"), "key": str(directory / f"{name}.key"), "ca": str(directory / "ca.crt")}


def test_every_port_can_be_encrypted_with_both_sides_known(make_cluster, tmp_path):
    files = make_certificates(tmp_path)
    cluster = make_cluster(nodes=2, options={f"tls.{port}_{name}": path for port in ("client", "peer")
                                             for name, path in files.items()})
    tls = {"ssl": True, "ssl_ca_certs": files["ca"], "ssl_check_hostname": False}
    known = {**tls, "ssl_certfile": files["cert"], "ssl_keyfile": files["key"]}
    with cluster["n1"].client(**known) as one, cluster["n2"].client(**known) as two:
        assert one.set("k", "v" * 1_000_000)
        until("the other node has it", lambda: two.get("k") == "v" * 1_000_000)
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        cluster["n1"].client(**tls).ping()  # shows no certificate
    with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
        cluster["n1"].client(socket_timeout=2).ping()


def test_certificates_are_read_anew_while_nodes_run(make_cluster, tmp_path):
    files = make_certificates(tmp_path)
    renewed = make_certificates(tmp_path, "renewed")
    mine = make_certificates(tmp_path, "mine")
    cluster = make_cluster(nodes=2, options={f"tls.{port}_{name}": path for port in ("client", "peer") for name, path in files.items()})
    known = {"ssl": True, "ssl_ca_certs": mine["ca"], "ssl_check_hostname": False, "ssl_certfile": mine["cert"], "ssl_keyfile": mine["key"]}

    def text(name):
        return (tmp_path / name).read_text()

    def shown(node):
        context = ssl.create_default_context(cafile=mine["ca"])
        context.check_hostname = False
        context.load_cert_chain(mine["cert"], mine["key"])
        with socket.create_connection((HOST, node.port), 10) as plain, context.wrap_socket(plain) as secured:
            secured.sendall(b"PING\r\n")
            assert secured.recv(100) == b"+PONG\r\n"
            return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))

    first = text("n.crt")
    with cluster["n1"].client(**known) as early:
        assert early.set("k", "1")
        assert shown(cluster["n1"]) == first
        # One after the other, as people do it: a key without its certificate changes nothing.
        shutil.copy(renewed["key"], files["key"])
        until("what does not fit is told of", lambda: "do not do" in cluster["n1"].log_tail())
        assert shown(cluster["n1"]) == first
        shutil.copy(renewed["cert"], files["cert"])
        for node in cluster:
            until("the new certificate is shown", lambda: shown(node) == text("renewed.crt"))
        assert early.incr("k") == 2
    (tmp_path / "n.crt").write_text("nothing of the kind")
    until("it is told of again", lambda: cluster["n2"].log_tail().count("do not do") >= 2)
    assert shown(cluster["n2"]) == text("renewed.crt")
    shutil.copy(renewed["cert"], files["cert"])
    # Links between nodes are made with them too.
    cluster["n2"].stop()
    cluster["n2"].start()
    with cluster["n2"].client(**known) as late:
        until("the other node has it", lambda: late.get("k") == "2")
