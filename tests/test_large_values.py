"""Values of many megabytes: they reach the log and all nodes whole, or not at all, whatever is cut off on the way."""

import hashlib
import subprocess

import pytest
import redis

from even_cluster import connect, until

SIZE = 24_000_000  # longer than what sockets hold, and what an allocator shares among blocks
SEGMENT = 32 << 20


def value(name, version=0):
    """Bytes that differ everywhere from those of other values."""
    seed = hashlib.sha256(f"{name} {version}".encode()).digest()
    return hashlib.shake_128(seed).digest(SIZE // 16) * 16


def encode(key, content):
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key.encode(), len(content), content)


def raw(node, **options):
    return node.client(decode_responses=False, **options)


def wait_for(node, key, content, **options):
    with raw(node, **options) as client:
        until(f"{node} has {key}", lambda: client.strlen(key) == len(content) and client.get(key) == content)


def certificates(directory):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "n.key", "-out", "n.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "n.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "n.crt")
    return {"cert": str(directory / "n.crt"), "key": str(directory / "n.key"), "ca": str(directory / "ca.crt")}


@pytest.mark.parametrize("fsync, encrypted", [("everysec", False), ("always", False), ("everysec", True)])
def test_large_values_arrive_on_all_nodes_as_they_were_written(make_cluster, tmp_path, fsync, encrypted):
    """New keys and then overwritten ones, several in a row, each with a small one behind it, over segments of the log."""
    options = {"log.fsync": fsync, "log.segment_bytes": SEGMENT}
    client_options = {}
    if encrypted:
        files = certificates(tmp_path)
        options |= {f"tls.{port}_{name}": path for port in ("client", "peer") for name, path in files.items()}
        client_options = {"ssl": True, "ssl_ca_certs": files["ca"], "ssl_certfile": files["cert"],
                          "ssl_keyfile": files["key"], "ssl_check_hostname": False}
    cluster = make_cluster(options=options)
    keys = [f"large{i}" for i in range(3)]
    with raw(cluster["n1"], **client_options) as client:
        for version in range(2):
            for i, key in enumerate(keys):
                assert client.set(key, value(key, version))
                assert client.set("small", f"{version} {i}")
    for node in cluster:
        for key in keys:
            wait_for(node, key, value(key, 1), **client_options)
        wait_for(node, "small", b"1 2", **client_options)
    if encrypted:
        return
    cluster.wait_converged()
    cluster["n2"].kill9()
    cluster["n2"].start()
    for key in keys:
        wait_for(cluster["n2"], key, value(key, 1))


def test_a_long_record_whose_link_is_cut_in_its_middle_comes_once_the_link_is_back(make_cluster):
    cluster = make_cluster()
    until("all links are up", lambda: {peer["link"] for node in cluster for peer in node.status()["peers"]} == {"up"})
    content = value("k")
    with raw(cluster["n1"]) as client:
        cluster["n2"].pause()
        assert client.set("k", content)
        # The other side reads nothing: the kernel's buffers have taken the beginning, and no more fits.
        wait_for(cluster["n3"], "k", content)
        cluster.link("n1", "n2", "DOWN")
        cluster["n2"].resume()
        assert client.set("behind", "it")
        with raw(cluster["n2"]) as other:
            assert other.get("k") is None
        cluster.link("n1", "n2", "UP")
    wait_for(cluster["n2"], "k", content)
    wait_for(cluster["n2"], "behind", b"it")
    cluster.wait_converged()


@pytest.mark.parametrize("written", [1, SIZE // 3, SIZE])
def test_a_node_that_is_killed_while_it_writes_a_long_record_has_it_whole_or_not_at_all(make_cluster, written):
    cluster = make_cluster(options={"log.segment_bytes": SEGMENT, "node.shards": 1})
    node = cluster["n1"]
    before, after = value("k", 0), value("k", 1)

    def log_bytes():
        return sum(path.stat().st_size for path in node.data.glob("log-*.seg"))
    with raw(node) as client:
        assert client.set("k", before)
        assert client.set("acknowledged", "yes")
    size = log_bytes()
    connection, stream = connect(node)
    connection.sendall(encode("k", after))
    until("so much is written", lambda: log_bytes() >= size + written, interval=0)
    node.kill9()
    try:
        replied = stream.readline() == b"+OK\r\n"
    except ConnectionError:
        replied = False
    node.start()
    with raw(node) as client:
        assert client.get("acknowledged") == b"yes"
        assert client.get("k") in ([after] if replied else [before, after])
    # Another node may have got it before.
    cluster.wait_converged()
    with raw(node) as client:
        final = client.get("k")
    assert final in (before, after)
    for other in cluster:
        wait_for(other, "k", final)


def test_what_is_behind_a_large_value_on_the_same_connection_is_answered_in_order(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 1})["n1"]
    content = value("k")
    connection, stream = connect(node)
    connection.sendall(encode("k", content) + b"SET s 1\r\nSTRLEN k\r\nGET k\r\nINCR s\r\nPING\r\n")
    assert stream.readline() == b"+OK\r\n"
    assert stream.readline() == b"+OK\r\n"
    assert stream.readline() == b":%d\r\n" % SIZE
    assert stream.readline() == b"$%d\r\n" % SIZE
    assert stream.read(SIZE + 2) == content + b"\r\n"
    assert stream.readline() == b":2\r\n"
    assert stream.readline() == b"+PONG\r\n"
    with pytest.raises(redis.ResponseError), raw(node) as client:
        client.incr("k")


def test_a_reply_of_several_parts_may_have_long_ones(make_cluster):
    """A long string is replied with in steps; one among other elements is not."""
    node = make_cluster(nodes=1, replicas=1, options={"node.shards": 1})["n1"]
    content = value("part")[:3_000_000]
    with raw(node) as client:
        client.set("k", content)
        client.rpush("l", b"a", content, b"b")
        client.hset("h", mapping={"f": b"v", "g": content})
        assert client.lrange("l", 0, -1) == [b"a", content, b"b"]
        assert client.hgetall("h") == {b"f": b"v", b"g": content}
        assert client.mget("nobody", "k") == [None, content]
        pipeline = client.pipeline(transaction=False)
        pipeline.get("k").lrange("l", 0, -1).get("k").set("k", b"short").get("k")
        assert pipeline.execute() == [content, [b"a", content, b"b"], content, True, b"short"]
        assert client.rpop("l", 2) == [b"b", content]
