"""Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. What redis-server replies to the same is compared in tests/differential."""

import threading

import pytest
import redis

from even_cluster import connect, until

KEYS = [f"account:{i}" for i in range(16)]


@pytest.fixture(name="three_shards")
def fixture_three_shards(make_cluster):
    return make_cluster(nodes=1, options={"node.shards": 3})["n1"]


def test_a_pipeline_of_redis_py_is_a_transaction_over_all_shards(three_shards):
    with three_shards.client() as client:
        with client.pipeline() as pipeline:
            for i, key in enumerate(KEYS):
                pipeline.set(key, i)
            pipeline.dbsize()
            pipeline.mget(KEYS)
            *replies, size, values = pipeline.execute()
        assert replies == [True] * len(KEYS) and size == len(KEYS)
        assert values == [str(i) for i in range(len(KEYS))]


def test_nobody_sees_a_part_of_a_transaction(three_shards):
    """Money goes to and fro between keys of several shards; whoever looks finds the same sum, and so does a restart."""
    with three_shards.client() as client:
        client.mset({key: 100 for key in KEYS})
    stop = threading.Event()
    failures = []

    def move(seed):
        try:
            with three_shards.client() as client:
                for i in range(300):
                    source, target = KEYS[(seed + i) % 16], KEYS[(7 * i + seed * 3) % 16]
                    with client.pipeline() as pipeline:
                        pipeline.decrby(source, i)
                        pipeline.incrby(target, i)
                        pipeline.decrby(source, 1)  # twice the same key
                        pipeline.incrby(target, 1)
                        pipeline.execute()
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    def look():
        with three_shards.client() as client:
            while not stop.is_set():
                total = sum(map(int, client.mget(KEYS)))
                if total != 1600:
                    failures.append(f"a sum of {total}")
                    return

    movers = [threading.Thread(target=move, args=(seed,)) for seed in range(4)]
    watchers = [threading.Thread(target=look) for _ in range(2)]
    for thread in movers + watchers:
        thread.start()
    for thread in movers:
        thread.join()
    stop.set()
    for thread in watchers:
        thread.join()
    assert not failures
    three_shards.kill9()
    three_shards.start()
    with three_shards.client() as client:
        assert sum(map(int, client.mget(KEYS))) == 1600


def test_errors_of_commands_in_a_transaction_are_counted(three_shards):
    with three_shards.client() as client:
        client.set("q", 1)
        client.config_resetstat()
        with client.pipeline() as pipeline:
            pipeline.sadd("q", 1)
            pipeline.set("other", 1)
            assert isinstance(pipeline.execute(raise_on_error=False)[0], redis.ResponseError)
        assert client.info("errorstats")["errorstat_WRONGTYPE"] == "count=1"
        assert client.info("commandstats")["cmdstat_sadd"]["failed_calls"] == 1
        assert client.info("stats")["total_error_replies"] == 1


def test_watch_makes_read_and_write_one_step(three_shards):
    """Increments by GET and SET; without WATCH some would be lost."""

    def increment():
        with three_shards.client() as client:
            for _ in range(50):
                client.transaction(lambda pipe: (lambda n: (pipe.multi(), pipe.set("n", n + 1)))(int(pipe.get("n") or 0)), "n")

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with three_shards.client() as client:
        assert client.get("n") == "200"


def test_watch_notices_what_another_node_has_changed(cluster):
    with cluster["n1"].client() as here, cluster["n2"].client() as there:
        here.set("watched", "old")
        until("n2 has it", lambda: there.get("watched") == "old")
        with here.pipeline() as pipeline:
            pipeline.watch("watched")
            there.set("watched", "new")
            until("n1 has it", lambda: pipeline.get("watched") == "new")
            pipeline.multi()
            pipeline.set("watched", "lost")
            with pytest.raises(redis.WatchError):
                pipeline.execute()
        assert here.get("watched") == "new"


def test_watch_of_a_large_collection_notices_any_change(cluster):
    with cluster["n1"].client() as client, cluster["n1"].client() as other:
        for key, change in (("hash", lambda: other.hset("hash", "f77", "x")), ("set", lambda: other.srem("set", "m5"))):
            client.hset("hash", mapping={f"f{i}": i for i in range(500)})
            client.sadd("set", *(f"m{i}" for i in range(500)))
            for changed in (False, True):
                with client.pipeline() as pipeline:
                    pipeline.watch(key)
                    if changed:
                        change()
                    pipeline.multi()
                    pipeline.ping()
                    if changed:
                        with pytest.raises(redis.WatchError):
                            pipeline.execute()
                    else:
                        assert pipeline.execute() == [True]


def test_a_transaction_is_replicated_to_all_nodes(cluster):
    with cluster["n1"].client() as client:
        with client.pipeline() as pipeline:
            for i in range(100):
                pipeline.incr("{t}counter")
                pipeline.sadd("{t}set", i)
                pipeline.hset("{t}hash", f"f{i % 7}", i)
            assert len(pipeline.execute()) == 300
    cluster.wait_converged()
    for node in cluster:
        with node.client() as client:
            assert client.get("{t}counter") == "100"
            assert client.scard("{t}set") == 100
            assert client.hgetall("{t}hash") == {f"f{i % 7}": str(i) for i in range(93, 100)}


def test_keys_of_other_nodes_are_refused_and_nothing_is_done(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1)
    with cluster["n1"].client() as client:
        with client.pipeline() as pipeline:
            for key in KEYS:
                pipeline.set(key, 1)
            with pytest.raises(redis.ResponseError, match="^OTHERNODE node 'n1' holds no replica of a key"):
                pipeline.execute()
        assert client.mget(KEYS) == [None] * len(KEYS)
        with pytest.raises(redis.ResponseError, match="^OTHERNODE "):
            client.execute_command("WATCH", *KEYS)


def test_replies_keep_their_order_around_a_transaction(three_shards):
    connection, stream = connect(three_shards)
    requests = []
    expected = b""
    for i in range(200):
        requests.append(f"SET k{i} {i}\r\nMULTI\r\nGET k{i}\r\nINFO server\r\nPING\r\nGET k{i}\r\nEXEC\r\nECHO e{i}\r\n")
    connection.sendall("".join(requests).encode())
    for i in range(200):
        assert [stream.readline() for _ in range(6)] == [b"+OK\r\n", b"+OK\r\n"] + [b"+QUEUED\r\n"] * 4
        assert stream.readline() == b"*4\r\n"
        value = f"${len(str(i))}\r\n{i}\r\n".encode()
        assert stream.read(len(value)) == value
        length = int(stream.readline()[1:])
        assert stream.read(length + 2).startswith(b"# Server")
        assert stream.readline() == b"+PONG\r\n"
        assert stream.read(len(value)) == value
        expected = f"${len(f'e{i}')}\r\ne{i}\r\n".encode()
        assert stream.read(len(expected)) == expected


def test_in_resp3_an_aborted_transaction_is_a_null(three_shards):
    connection, stream = connect(three_shards)
    connection.sendall(b"HELLO 3\r\nWATCH k\r\nHSET k f v\r\nMULTI\r\nHGETALL k\r\nEXEC\r\nMULTI\r\nHGETALL k\r\nGET absent\r\nEXEC\r\n")
    while stream.readline() != b"*0\r\n":
        pass  # the end of HELLO's reply
    assert [stream.readline() for _ in range(5)] == [b"+OK\r\n", b":1\r\n", b"+OK\r\n", b"+QUEUED\r\n", b"_\r\n"]
    assert [stream.readline() for _ in range(3)] == [b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n"]
    assert [stream.readline() for _ in range(7)] == [b"*2\r\n", b"%1\r\n", b"$1\r\n", b"f\r\n", b"$1\r\n", b"v\r\n", b"_\r\n"]


def test_a_transaction_that_is_too_long_is_refused_as_a_whole(make_cluster):
    node = make_cluster(nodes=1, options={"client.query_buffer_bytes": 1_200_000, "client.max_request_bytes": 1 << 20})["n1"]
    with node.client() as client:
        with client.pipeline() as pipeline:
            for i in range(40):
                pipeline.set(f"k{i}", "x" * 50_000)
            with pytest.raises(redis.ResponseError, match="the transaction is larger than client.query_buffer_bytes"):
                pipeline.execute()
        assert client.dbsize() == 0
        (line,) = client.execute_command("CLIENT LIST")
        assert line["multi"] == "-1" and line["multi-mem"] == "0"
