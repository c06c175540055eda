"""Fields of hashes that expire: replies as Redis 7.4 and 8 give them, and docs/field-expiry.md over the nodes of a cluster."""

import contextlib
import threading
import time

import pytest
import redis

from even_cluster import PATIENCE, until

NO_FIELD, NO_EXPIRY, NOT_MET, SET, REMOVED = -2, -1, 0, 1, 2
LAST_MS = ((1 << 48) - 1) >> 2


def now_ms():
    return int(time.time() * 1000)


def pass_time(seconds):
    """For what is to happen, or not, by the clock."""
    end = time.monotonic() + seconds
    until("the time is over", lambda: time.monotonic() >= end, seconds + 5, interval=0.05)


@contextlib.contextmanager
def fails(text):
    with pytest.raises(redis.ResponseError) as error:
        yield
    assert text in str(error.value)


class Hash:
    """The commands on one hash of one client: Hash(client, "h").hexpire(10, "NX", fields="a b")."""

    def __init__(self, client, key):
        self.client, self.key = client, key

    def __getattr__(self, command):
        def call(*words, fields=None):
            if fields is not None:
                words += ("FIELDS", len(fields.split()), *fields.split())
            return self.client.execute_command(command.upper(), self.key, *words)
        return call


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    from even_cluster import Cluster
    cluster = Cluster(tmp_path_factory.mktemp("one"), nodes=1, replicas=1).start()
    yield cluster["n1"]
    cluster.stop()
    cluster.kill()


@pytest.fixture(params=["small", "large"])
def hash_of(request, node):
    """hash_of(a=1, b=2): a hash with these fields; "large": among so many more that it and its expiries are tables."""
    with node.client() as client:
        def make(**fields):
            client.delete("h")
            h = Hash(client, "h")
            if request.param == "large":
                others = {f"other{i}": i for i in range(200)}
                client.hset("h", mapping=others)
                assert h.hexpire(1000, fields=" ".join(others)) == [SET] * 200
            client.hset("h", mapping=fields)
            h.others = 200 if request.param == "large" else 0
            return h
        yield make


def test_conditions(hash_of):
    h = hash_of(a=1, b=2, c=3)
    assert h.hexpire(100, "NX", fields="a none") == [SET, NO_FIELD]
    assert h.hexpire(100, "NX", fields="a b") == [NOT_MET, SET]
    assert h.hexpire(200, "XX", fields="a c") == [SET, NOT_MET]
    assert h.hexpire(150, "GT", fields="a b c") == [NOT_MET, SET, NOT_MET]
    assert h.hexpire(120, "LT", fields="a b c") == [SET, SET, SET]
    assert h.httl(fields="a b c none") == [120, 120, 120, NO_FIELD]
    at = now_ms() + 500_000
    assert h.hpexpireat(at, fields="a") == [SET]
    assert h.hpexpiretime(fields="a") == [at] and h.hexpiretime(fields="a") == [(at + 999) // 1000]
    assert h.hexpireat(at // 1000, fields="b") == [SET]
    assert h.hpexpiretime(fields="b") == [at // 1000 * 1000]
    assert h.hpexpire(60_000, fields="c") == [SET]
    assert 0 < h.hpttl(fields="c")[0] <= 60_000


def test_an_expiry_in_the_past_removes_the_field(hash_of):
    h = hash_of(a=1, b=2)
    assert h.hexpire(0, fields="a a") == [REMOVED, NO_FIELD]
    assert h.hexists("a") == 0 and h.hlen() == 1 + h.others
    assert h.hpexpireat(now_ms() - 1, "NX", fields="b none") == [REMOVED, NO_FIELD]
    assert h.client.exists("h") == (h.others > 0)


def test_of_a_key_that_is_not_there_no_field_is(node):
    with node.client() as client:
        h = Hash(client, "nothing")
        for command in (h.httl, h.hpttl, h.hexpiretime, h.hpexpiretime, h.hpersist):
            assert command(fields="a b") == [NO_FIELD, NO_FIELD]
        assert h.hexpire(10, fields="a b") == [NO_FIELD, NO_FIELD]
        assert h.hgetex(fields="a b") == [None, None] and h.hgetdel(fields="a b") == [None, None]


def test_errors(hash_of):
    h = hash_of(a=1)
    with fails("Parameter `numFields` should be greater than 0"):
        h.hexpire(10, "FIELDS", 0, "a")
    with fails("The `numfields` parameter must match the number of arguments"):
        h.hexpire(10, "NX", "FIELDS", 2, "a")
    with fails("Mandatory argument FIELDS is missing or not at the right position"):
        h.hexpire(10, "WRONG", "FIELDS", 1, "a")
    with fails("Number of fields must be a positive integer"):
        h.httl("FIELDS", "x", "a")
    with fails("invalid expire time, must be >= 0"):
        h.hpexpire(-1, fields="a")
    with fails("invalid expire time in 'hexpire' command"):
        h.hexpire(1 << 62, fields="a")
    with fails("invalid expire time in 'hpexpireat' command"):
        h.hpexpireat(LAST_MS + 1, fields="a")
    assert h.hpexpireat(LAST_MS, fields="a") == [SET] and h.hpexpiretime(fields="a") == [LAST_MS]
    with fails("value is not an integer or out of range"):
        h.hexpire("soon", fields="a")
    with fails("wrong number of arguments"):
        h.hexpire(10, "FIELDS", 1)
    h.client.set("text", "v")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        Hash(h.client, "text").hexpire(10, fields="a")


def test_what_keeps_an_expiry_and_what_takes_it_away(hash_of):
    h = hash_of(a=1, b=2, c=3, d=4)
    assert h.hexpire(100, fields="a b c d") == [SET] * 4
    assert h.hincrby("a", 5) == 6 and h.hincrbyfloat("b", 0.5) == 2.5
    assert h.hset("c", "new") == 0
    assert h.hpersist(fields="d none c") == [1, NO_FIELD, NO_EXPIRY]
    assert h.httl(fields="a b c d") == [100, 100, NO_EXPIRY, NO_EXPIRY]
    h.hdel("a")
    h.hset("a", 1)
    assert h.httl(fields="a") == [NO_EXPIRY]
    assert h.hexpire(100, fields="a") == [SET]
    h.client.delete("h")
    h.hset("a", 1)
    assert h.httl(fields="a") == [NO_EXPIRY]


def test_what_has_expired_is_not_seen_by_any_command(hash_of):
    h = hash_of(a=1, b=2, c=3)
    assert h.hpexpire(30, fields="a b") == [SET, SET]
    until("they have expired", lambda: h.hmget("a", "b", "c") == [None, None, "3"])
    assert h.hget("a") is None and h.hexists("a") == 0 and h.hstrlen("a") == 0
    assert h.hlen() == 1 + h.others
    assert [f for f in h.hkeys() if not f.startswith("other")] == ["c"]
    assert len(h.hvals()) == 1 + h.others
    assert set(h.client.hgetall("h")) == {"c"} | {f"other{i}" for i in range(h.others)}
    found = {field for field, _ in h.client.hscan_iter("h")}
    assert found == {"c"} | {f"other{i}" for i in range(h.others)}
    drawn = h.hrandfield(1000)
    assert len(drawn) == 1 + h.others and not {"a", "b"} & set(drawn)
    assert not {"a", "b"} & set(h.hrandfield(-1000))
    assert h.httl(fields="a b c") == [NO_FIELD, NO_FIELD, NO_EXPIRY]
    assert h.hpersist(fields="a") == [NO_FIELD] and h.hexpire(10, fields="b") == [NO_FIELD]
    assert h.hdel("a") == 0
    assert h.hset("a", "again") == 1 and h.httl(fields="a") == [NO_EXPIRY]
    assert h.hsetnx("b", "again") == 1 and h.httl(fields="b") == [NO_EXPIRY]


def test_a_number_that_has_expired_begins_again(node):
    with node.client() as client:
        for increment, again in ((lambda: client.hincrby("n", "f", 3), 3), (lambda: client.hincrbyfloat("n", "f", 3.5), 3.5)):
            client.delete("n")
            client.hset("n", mapping={"f": 1000, "g": 1})
            client.hincrby("n", "f", 7)
            Hash(client, "n").hpexpire(20, fields="f")
            until("it has expired", lambda: client.hget("n", "f") is None)
            assert increment() == again
            assert Hash(client, "n").httl(fields="f") == [NO_EXPIRY]
            pass_time(0.3)
            assert float(client.hget("n", "f")) == again


def test_a_hash_all_of_whose_fields_have_expired_is_no_key(hash_of):
    h = hash_of(a=1, b=2)
    everything = " ".join(h.hkeys())
    h.client.expire("h", 1000)
    h.hpexpire(30, fields=everything)
    until("it is gone", lambda: h.client.exists("h") == 0)
    assert h.client.type("h") == "none" and "h" not in h.client.keys("*") and h.hlen() == 0
    assert h.hgetall() == {} and h.client.ttl("h") == -2
    until("nothing is kept", lambda: "type: none" in str(h.client.execute_command("EVEN.EXPLAIN", "h")))
    assert h.client.set("h", "a string") and h.client.get("h") == "a string"


def test_hgetdel(hash_of):
    h = hash_of(a=1, b=2)
    h.hexpire(100, fields="a")
    assert h.hgetdel(fields="a none a") == ["1", None, None]
    assert h.hexists("a") == 0
    h.hset("a", 1)
    assert h.httl(fields="a") == [NO_EXPIRY]
    h.client.delete("g")
    h.client.hset("g", mapping={"x": 1, "y": 2})
    assert Hash(h.client, "g").hgetdel(fields="x y") == ["1", "2"]
    assert h.client.exists("g") == 0
    with fails("Mandatory argument FIELDS"):
        h.hgetdel("FIELD", 1, "a")
    with fails("Number of fields must be a positive integer"):
        h.hgetdel("FIELDS", 0, "a")
    with fails("The `numfields` parameter must match the number of arguments"):
        h.hgetdel("FIELDS", 3, "a", "b")


def test_hgetex(hash_of):
    h = hash_of(a=1, b=2)
    assert h.hgetex(fields="a none") == ["1", None] and h.httl(fields="a") == [NO_EXPIRY]
    assert h.hgetex("EX", 100, fields="a b") == ["1", "2"] and h.httl(fields="a b") == [100, 100]
    assert h.hgetex("PX", 50_000, fields="a") == ["1"] and h.httl(fields="a") == [50]
    at = now_ms() + 70_000
    assert h.hgetex("PXAT", at, fields="a") == ["1"] and h.hpexpiretime(fields="a") == [at]
    assert h.hgetex("EXAT", at // 1000, fields="a") == ["1"] and h.hexpiretime(fields="a") == [at // 1000]
    assert h.hgetex("PERSIST", fields="a") == ["1"] and h.httl(fields="a") == [NO_EXPIRY]
    assert h.hgetex("PXAT", 1, fields="a") == ["1"] and h.hexists("a") == 0
    with fails("Mandatory argument FIELDS"):
        h.hgetex("KEEPTTL", "FIELDS", 1, "a")
    with fails("invalid expire time in 'hgetex' command"):
        h.hgetex("EX", 1 << 62, fields="a")


def test_hsetex(hash_of):
    h = hash_of(a=1)
    assert h.hsetex("EX", 100, "FIELDS", 2, "a", "x", "b", "y") == 1
    assert h.hmget("a", "b") == ["x", "y"] and h.httl(fields="a b") == [100, 100]
    assert h.hsetex("KEEPTTL", "FIELDS", 2, "a", "z", "c", "new") == 1
    assert h.httl(fields="a c") == [100, NO_EXPIRY]
    assert h.hsetex("FIELDS", 1, "a", "plain") == 1 and h.httl(fields="a") == [NO_EXPIRY]
    assert h.hsetex("FNX", "EX", 10, "FIELDS", 2, "a", "q", "n", "q") == 0
    assert h.hsetex("FXX", "EX", 10, "FIELDS", 2, "a", "q", "n", "q") == 0
    assert h.hmget("a", "n") == ["plain", None]
    assert h.hsetex("FXX", "PX", 60_000, "FIELDS", 1, "a", "there") == 1
    assert h.hsetex("PXAT", now_ms() + 60_000, "FNX", "FIELDS", 1, "n", "fresh") == 1
    assert h.hmget("a", "n") == ["there", "fresh"] and h.httl(fields="a n") == [60, 60]
    assert h.hsetex("PXAT", 1, "FIELDS", 2, "a", "gone", "never", "was") == 1
    assert h.hmget("a", "never") == [None, None]
    assert h.hsetex("NX", "FIELDS", 1, "x", 1) == 0 and h.hsetex("XX", "FNX", "FIELDS", 1, "x", 1) == 1
    h.client.delete(h.key)
    assert h.hsetex("XX", "FIELDS", 1, "x", 1) == 0 and h.hsetex("EX", 100, "NX", "FIELDS", 1, "x", 1) == 1
    assert h.httl(fields="x") == [100]
    for words, text in ((("EX", 1, "PX", 1, "FIELDS", 1, "a", 1), "Only one of EX, PX, EXAT, PXAT or KEEPTTL"),
                        (("NX", "XX", "FIELDS", 1, "a", 1), "Only one of XX or NX"),
                        (("FXX", "FNX", "FIELDS", 1, "a", 1), "Only one of FXX or FNX"),
                        (("BAD", "FIELDS", 1, "a", 1), "unknown argument: BAD"),
                        (("FIELDS", 0, "a", 1), "invalid number of fields"),
                        (("FIELDS", 2, "a", 1), "wrong number of arguments"),
                        (("EX", -1, "FIELDS", 1, "a", 1), "invalid expire time, must be >= 0")):
        with fails(text):
            h.hsetex(*words)


def test_a_copy_has_the_expiries_and_so_has_what_is_restored(hash_of):
    h = hash_of(a=1, b=2)
    at = now_ms() + 300_000
    h.hpexpireat(at, fields="a")
    h.client.delete("copy", "restored", "renamed")
    h.client.copy("h", "copy")
    h.client.restore("restored", 0, h.client.execute_command("DUMP", "h", NEVER_DECODE=True))
    h.client.rename("copy", "renamed")
    for name in ("renamed", "restored"):
        there = Hash(h.client, name)
        assert there.hpexpiretime(fields="a b") == [at, NO_EXPIRY]
        assert there.hgetall() == h.hgetall()


def test_events(node):
    with node.client() as client, client.pubsub() as pubsub:
        client.config_set("notify-keyspace-events", "KA")
        client.delete("h")
        pubsub.psubscribe("__keyspace@0__:h")
        assert pubsub.get_message(timeout=20 * PATIENCE)["type"] == "psubscribe"
        h = Hash(client, "h")

        def events(count):
            out = []
            while len(out) < count:
                message = pubsub.get_message(timeout=20 * PATIENCE)
                assert message is not None, out
                out.append(message["data"])
            return out

        client.hset("h", mapping={"a": 1, "b": 2, "c": 3})
        h.hexpire(100, fields="a")
        h.hpersist(fields="a")
        h.hexpire(100, fields="a")
        h.hset("a", 2)
        h.hgetex("EX", 100, fields="a")
        h.hexpire(0, fields="a")
        h.hpexpire(20, fields="b")
        assert events(8) == ["hset", "hexpire", "hpersist", "hexpire", "hset", "hexpire", "hdel", "hexpire"]
        assert events(1) == ["hexpired"]
        h.hpexpire(20, fields="c")
        assert events(3) == ["hexpire", "hexpired", "del"]
        h.hsetex("EX", 100, "FIELDS", 1, "d", 1)
        assert events(2) == ["hset", "hexpire"]
        h.hgetdel(fields="d")
        assert events(2) == ["hdel", "del"]


def test_expiries_survive_a_restart(make_cluster):
    cluster = make_cluster(nodes=1, replicas=1)
    n1 = cluster["n1"]
    at = now_ms() + 600_000
    with n1.client() as client:
        for key, fields in (("small", 3), ("large", 500)):
            client.hset(key, mapping={f"f{i}": i for i in range(fields)})
            h = Hash(client, key)
            assert h.hpexpireat(at, "FIELDS", fields - 1, *(f"f{i}" for i in range(1, fields))) == [SET] * (fields - 1)
            assert h.hpexpireat(now_ms() + 1500, fields="f1") == [SET]
    n1.kill9()
    n1.start()
    with n1.client() as client:
        for key, fields in (("small", 3), ("large", 500)):
            h = Hash(client, key)
            assert h.hpexpiretime(fields="f0 f2") == [NO_EXPIRY, at]
            until(f"f1 of {key} has expired", lambda: h.hlen() == fields - 1)
            until("and is removed", lambda: '"f1"' not in str(client.execute_command("EVEN.EXPLAIN", key)))


class Refresher(threading.Thread):
    """Prolongs a field four times a second, and remembers whether it was ever missing."""

    def __init__(self, node, key, field):
        super().__init__(daemon=True)
        self.hash, self.field = Hash(node.client(), key), field
        self.stopping = threading.Event()
        self.missed = 0

    def run(self):
        while not self.stopping.wait(0.25):
            if self.hash.hexpire(3, fields=self.field) != [SET]:
                self.missed += 1

    def stop(self):
        self.stopping.set()
        self.join()
        assert self.missed == 0, "the field was missing where it is used"


def test_a_field_that_is_refreshed_in_time_survives_a_cut(cluster):
    """n3, for which it has expired, is back after 5 s: it shows the field again, and so do all."""
    with cluster["n1"].client() as client:
        client.hset("h", mapping={"sess": "v", "other": "w"})
        Hash(client, "h").hexpire(3, fields="sess")
    refresher = Refresher(cluster["n1"], "h", "sess")
    refresher.start()
    cluster.wait_converged()
    cluster.isolate("n3")
    n3 = cluster["n3"].client()
    until("n3 does not see it", lambda: n3.hgetall("h") == {"other": "w"}, seconds=10)
    pass_time(2)
    cluster.rejoin("n3")
    for node in cluster:
        until(f"{node} has it again", lambda: node.client().hget("h", "sess") == "v")
    pass_time(1)  # longer than a node takes to purge
    for node in cluster:
        assert node.client().hget("h", "sess") == "v"
    refresher.stop()
    for node in cluster:
        until(f"{node} has removed it when nobody refreshes it",
              lambda: "sess" not in str(node.client().execute_command("EVEN.EXPLAIN", "h")), seconds=30)
    cluster.wait_converged()


def test_what_expires_while_a_node_is_away_is_kept_unseen_until_it_is_back(cluster):
    with cluster["n1"].client() as client:
        client.hset("h", mapping={f"f{i}": i for i in range(100)} | {"stays": 1, "n": 5})
        cluster.wait_converged()
        cluster.isolate("n3")
        Hash(client, "h").hpexpire(500, "FIELDS", 101, "n", *(f"f{i}" for i in range(100)))
        until("no field is seen", lambda: client.hgetall("h") == {"stays": "1"})
        pass_time(2)  # longer than a node takes to purge
        assert '"f7"' in str(client.execute_command("EVEN.EXPLAIN", "h")), "n3 might have prolonged them"
        cluster["n3"].client().hincrby("h", "n", 1)
        cluster.rejoin("n3")
    for node in cluster:
        until(f"{node} holds them no more", lambda: "expiries of fields" not in explained(node))
    cluster.wait_converged()
    for node in cluster:
        # To increment a field prolongs nothing, though its expiry was not known there.
        assert node.client().hgetall("h") == {"stays": "1"}


def explained(node):
    with node.client() as client:
        return str(client.execute_command("EVEN.EXPLAIN", "h"))


def test_fields_of_a_strong_keyspace_expire_by_its_entries(cluster):
    with cluster["n1"].client() as client:
        assert client.execute_command("EVEN.KEYSPACE", "CREATE", "orders", "PREFIX", "o:", "MODE", "STRONG") == "OK"
        until("it is there", lambda: written(client))
        h = Hash(client, "o:h")
        assert h.hpexpire(300, fields="a") == [SET] and h.hexpire(100, fields="b") == [SET]
        until("it has expired", lambda: client.hget("o:h", "a") is None)
    for node in cluster:
        with node.client() as client:
            assert client.hgetall("o:h") == {"b": "2", "c": "3"}
            assert Hash(client, "o:h").httl(fields="a c") == [NO_FIELD, NO_EXPIRY]
            assert Hash(client, "o:h").httl(fields="b")[0] > 90
    with cluster["n2"].client() as client:
        assert client.hincrby("o:h", "a", 1) == 1
        assert Hash(client, "o:h").hexpire(0, fields="a b c") == [REMOVED] * 3
        assert client.exists("o:h") == 0


def written(client):
    try:
        return client.hset("o:h", mapping={"a": 1, "b": 2, "c": 3}) >= 0
    except redis.ResponseError:
        return False
