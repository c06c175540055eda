"""Commands that wait for something to take: on one node, on three, across a cut, and in strong keyspaces."""

import threading

import pytest
import redis

from even_cluster import connect, until


class Call:
    """A command on a connection and thread of its own."""

    def __init__(self, node, *words, **options):
        self.client = node.client(**options)
        self.id = self.client.client_id()
        self.reply = self.error = None
        self.done = threading.Event()
        self.connection = self.client.connection_pool.get_connection("_")
        self.thread = threading.Thread(target=self.run, args=words, daemon=True)
        self.thread.start()

    def run(self, *words):
        try:
            self.connection.send_command("CLIENT", "ID")
            self.id = self.connection.read_response()
            self.connection.send_command(*words)
            self.reply = self.connection.read_response()
        except redis.RedisError as error:
            self.error = error
        self.done.set()

    def wait(self):
        assert self.done.wait(30)
        if self.error:
            raise self.error
        return self.reply


def blocked(client):
    return client.info("clients")["blocked_clients"]


def waiting(node, *words, clients=1, **options):
    """A call that waits by now; `clients`: how many do on that node then."""
    call = Call(node, *words, **options)
    with node.client() as client:
        until("it waits", lambda: blocked(client) == clients)
    return call


def test_a_client_is_woken_by_a_push_on_any_node_by_a_transaction_and_by_a_record(cluster):
    a, b = cluster["n1"], cluster["n2"]
    with a.client() as here, b.client() as there:
        call = waiting(a, "BLPOP", "k1", "k2", "k3", 0)
        here.rpush("k2", "x", "y")
        assert call.wait() == ["k2", "x"]
        call = waiting(a, "BRPOP", "j1", "j2", 0)
        there.rpush("j2", "from the other node")
        assert call.wait() == ["j2", "from the other node"]
        call = waiting(a, "BLMOVE", "{m}from", "{m}to", "LEFT", "RIGHT", 0)
        with here.pipeline() as pipeline:
            pipeline.rpush("{m}from", "a", "b")
            pipeline.set("{m}other", "1")
            pipeline.execute()
        assert call.wait() == "a"
        assert here.lrange("{m}to", 0, -1) == ["a"]
        call = waiting(a, "BZPOPMIN", "z", 0)
        there.zadd("z", {"m": 2, "n": 1})
        assert call.wait() == ["z", "n", "1"]
        call = waiting(a, "BLMPOP", 0, 1, "l", "RIGHT", "COUNT", 5)
        there.rpush("l", 1, 2, 3)
        assert call.wait() == ["l", ["3", "2", "1"]]
        # It comes under this name by having had another one, in the place of something of another type.
        for i, words in enumerate((("RENAME", "{r}list", "{r}q"), ("SORT", "{r}list", "ALPHA", "STORE", "{r}q"),
                                   ("COPY", "{r}list", "{r}q", "REPLACE"))):
            here.delete("{r}list", "{r}q")
            here.rpush("{r}list", f"job {i}")
            call = waiting(a, "BLPOP", "{r}q", 20)
            here.set("{r}q", "of another type")
            here.execute_command(*words)
            assert call.wait() == ["{r}q", f"job {i}"]
        assert blocked(here) == 0


def test_clients_are_served_in_the_order_in_which_they_wait(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    calls = [waiting(node, "BLPOP", "queue", 0, clients=i + 1) for i in range(6)]
    with node.client() as client:
        client.rpush("queue", *range(4))
        assert [call.wait() for call in calls[:4]] == [["queue", str(i)] for i in range(4)]
        client.rpush("queue", 4)
        assert calls[4].wait() == ["queue", "4"]
        # Of another type: not for it.
        client.zadd("queue", {"m": 1})
        assert client.zpopmin("queue") == [("m", 1)]
        client.lpush("queue", 5)
        assert calls[5].wait() == ["queue", "5"]
        assert client.exists("queue") == 0


def test_a_request_that_cannot_be_is_told_so_while_others_wait(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    waiting(node, "BLPOP", "somewhere", 0)
    for words in (("BLMPOP", 0, 0, "k", "LEFT"), ("BZMPOP", 0, "abc", "k", "MIN"), ("BLMPOP", 0, 9, "k", "LEFT")):
        with node.client(socket_timeout=10) as client, pytest.raises(redis.ResponseError):
            client.execute_command(*words)


def test_who_moves_elements_waits_where_they_come_from_alone(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    workers = [waiting(node, "BRPOPLPUSH", "{q}jobs", "{q}done", 0, clients=i + 1) for i in range(2)]
    reader = waiting(node, "BLPOP", "{q}done", 0, clients=3)
    with node.client() as client:
        client.lpush("{q}done", "by hand")
        assert reader.wait() == ["{q}done", "by hand"]
        reader = waiting(node, "BLPOP", "{q}done", 0, clients=3)
        client.lpush("{q}jobs", "job")
        assert workers[0].wait() == "job"
        assert reader.wait() == ["{q}done", "job"]


def test_who_asks_for_what_has_just_come_stands_behind_those_who_wait(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 1})["n1"]
    for number in range(20):
        first = waiting(node, "BLPOP", "queue", 0)
        connection, replies = connect(node)
        with connection, replies:
            connection.sendall(b"LPUSH queue %d\r\nBLPOP queue 0\r\n" % number)
            assert replies.readline() == b":1\r\n"
            assert first.wait() == ["queue", str(number)]
            with node.client() as client:
                assert client.rpush("queue", "next") == 1
            assert [replies.readline() for _ in range(5)][4] == b"next\r\n"
    # What is wrong with a request is said all the same, once those before it have been served.
    first = waiting(node, "BLPOP", "queue", 0)
    connection, replies = connect(node)
    with connection, replies:
        connection.sendall(b"LPUSH queue x\r\nBLPOP queue never\r\n")
        assert replies.readline() == b":1\r\n"
        assert replies.readline() == b"-ERR timeout is not a float or out of range\r\n"
        assert first.wait() == ["queue", "x"]


def test_a_wait_ends_with_its_timeout_or_when_it_is_told_to(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        assert client.blpop("nothing", timeout=0.05) is None
        call = waiting(node, "BLPOP", "k", 0)
        assert client.execute_command("CLIENT", "UNBLOCK", call.id) == 1
        assert call.wait() is None
        call = waiting(node, "BLMOVE", "k", "l", "LEFT", "LEFT", 0)
        assert client.execute_command("CLIENT", "UNBLOCK", call.id, "ERROR") == 1
        with pytest.raises(redis.ResponseError, match="UNBLOCKED"):
            call.wait()
        assert client.execute_command("CLIENT", "UNBLOCK", call.id) == 0


@pytest.mark.parametrize("words, put, taken", [
    (["BLPOP", "k1", "k2", 0], ["RPUSH", "k2", "a"], ["k2", "a"]),
    (["BLMPOP", 0, 3, "k1", "k2", "k3", "LEFT", "COUNT", 2], ["RPUSH", "k2", "a"], ["k2", ["a"]]),
    (["BZPOPMIN", "k1", "k2", 0], ["ZADD", "k2", 1, "a"], ["k2", "a", "1"]),
    (["XREAD", "BLOCK", 0, "STREAMS", "k1", "k2", "0", "0"], ["XADD", "k2", "1-1", "f", "v"],
     [["k2", [["1-1", ["f", "v"]]]]]),
])
def test_a_key_of_another_type_is_said_at_once_and_is_in_nobody_s_way_who_waits(make_cluster, words, put, taken):
    """As in Redis 7.0: of those who wait already, each is served by the key that something is put at."""
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        call = waiting(node, *words)
        client.set("k1", "a string")
        assert not call.done.is_set()
        client.execute_command(*put)
        assert call.wait() == taken
        client.delete("k2")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            Call(node, *words).wait()


def test_who_moves_to_a_key_of_another_type_is_told_when_there_is_something_to_move(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        client.set("to", "a string")
        for words in (["BRPOPLPUSH", "from", "to", 0], ["BLMOVE", "from", "to", "LEFT", "RIGHT", 0]):
            call = waiting(node, *words)
            client.sadd("from", "not a list")  # which is not for it
            client.delete("from")
            client.rpush("from", "element")
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                call.wait()
            assert client.lrange("from", 0, -1) == ["element"]
            client.delete("from")


@pytest.mark.parametrize("change, error", [
    (["DEL", "s"], "UNBLOCKED the stream key no longer exists"),
    (["SET", "s", "v"], "UNBLOCKED the stream key no longer exists"),
    (["FLUSHALL"], "UNBLOCKED the stream key no longer exists"),
    (["FLUSHDB"], "UNBLOCKED the stream key no longer exists"),
    (["XGROUP", "DESTROY", "s", "g"], "NOGROUP|consumer group this client was blocked on no longer exists"),
])
def test_a_group_s_readers_are_told_when_what_they_wait_for_is_no_more(make_cluster, change, error):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        # What a node has to hear of when it starts makes all look again who wait.
        until("it has the key of sessions", lambda: client.execute_command("EVEN.SESSION"))
        client.execute_command("EVEN.KEYSPACE", "CREATE", "other", "PREFIX", "other:")
        client.xgroup_create("s", "g", id="$", mkstream=True)
        words = ["XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">"]
        calls = [waiting(node, *words, clients=count) for count in (1, 2)]
        client.execute_command(*change)
        for call in calls:
            with pytest.raises(redis.ResponseError, match=error):
                call.wait()


@pytest.mark.parametrize("resp3", [False, True])
def test_no_reply_is_null_in_both_protocols_and_what_is_behind_it_waits(make_cluster, resp3):
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        socket = client.connection_pool.get_connection("_")._sock
        nothing = "_\r\n" if resp3 else "*-1\r\n"
        expected = ""
        if resp3:
            socket.sendall(b"HELLO 3\r\n")
            until("it speaks RESP3", lambda: b"modules" in socket.recv(4096))
        for words in ("BLPOP k 0.02", "BLMOVE k l LEFT LEFT 0.02", "BZMPOP 0.02 1 k MIN", "BRPOP k 0.05"):
            socket.sendall(f"{words}\r\nECHO x\r\n".encode())
            expected += nothing + "$1\r\nx\r\n"
        replies = ""
        while len(replies) < len(expected):
            replies += socket.recv(4096).decode()
        assert replies == expected


def test_who_has_gone_takes_nothing(make_cluster):
    node = make_cluster(nodes=1)["n1"]
    call = waiting(node, "BLPOP", "k", 0)
    call.connection._sock.shutdown(2)
    with node.client() as client:
        until("it is noticed", lambda: blocked(client) == 0)
        client.rpush("k", "x")
        assert client.lrange("k", 0, -1) == ["x"]
        # Nor does one that may not wait.
        pipeline = client.pipeline()
        pipeline.blpop("nothing", timeout=0)
        pipeline.rpush("k", "y")
        assert pipeline.execute() == [None, 2]


def consume(node, key, taken, lock, stop):
    with node.client() as client:
        while not stop.is_set():
            if item := client.blpop(key, timeout=0.3):
                with lock:
                    taken.append(item[1])


def test_consumers_on_all_nodes_take_all_there_is_from_a_strong_queue_once(cluster):
    with cluster["n1"].client() as client:
        client.execute_command("EVEN.KEYSPACE", "CREATE", "queues", "PREFIX", "q:", "MODE", "STRONG")

        def served():
            try:
                return client.llen("q:jobs") == 0
            except redis.ResponseError:
                return False
        until("the keyspace serves", served)
        taken, lock, stop = [], threading.Lock(), threading.Event()
        consumers = [threading.Thread(target=consume, args=(node, "q:jobs", taken, lock, stop)) for node in cluster for _ in range(2)]
        for consumer in consumers:
            consumer.start()
        for i in range(150):
            client.rpush("q:jobs", i)
        until("all are taken", lambda: len(taken) >= 150)
        stop.set()
        for consumer in consumers:
            consumer.join()
        assert sorted(taken, key=int) == [str(i) for i in range(150)]


def test_consumers_on_both_sides_of_a_cut_lose_nothing(cluster):
    """In an eventual keyspace an element may be taken twice, by both sides of a cut; none is lost."""
    taken, lock, stop = [], threading.Lock(), threading.Event()
    consumers = [threading.Thread(target=consume, args=(cluster[name], "jobs", taken, lock, stop)) for name in ("n1", "n3")]
    with cluster["n1"].client() as a, cluster["n3"].client() as b:
        a.rpush("jobs", *(f"before{i}" for i in range(20)))
        cluster.wait_converged()
        cluster.isolate("n3")
        for consumer in consumers:
            consumer.start()
        for i in range(40):
            a.rpush("jobs", f"a{i}")
            b.rpush("jobs", f"b{i}")
        pushed = {f"before{i}" for i in range(20)} | {f"{side}{i}" for side in "ab" for i in range(40)}
        until("both sides have nothing left", lambda: a.llen("jobs") == 0 == b.llen("jobs"))
        cluster.rejoin("n3")
        until("all are taken", lambda: set(taken) == pushed)
        stop.set()
        for consumer in consumers:
            consumer.join()
        cluster.wait_converged()
        assert a.llen("jobs") == 0
        assert all(taken.count(element) == 1 for element in pushed if not element.startswith("before"))


def test_a_queue_whose_key_the_node_does_not_hold_is_looked_at(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1, partitions=16)
    with cluster["n1"].client() as client:
        calls = [waiting(cluster["n1"], "BLPOP", f"k{i}", 0, clients=i + 1) for i in range(6)]
        for i in range(6):
            client.rpush(f"k{i}", "x")
        assert [call.wait() for call in calls] == [[f"k{i}", "x"] for i in range(6)]
