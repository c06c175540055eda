"""Sessions on whole clusters: what a client has seen and written goes with it, by the token, to any node. And reads
that are not older than they may be."""

import base64
import random
import shutil
import time

import pytest
import redis

from even_cluster import until
from test_quorums import linked
from test_strong import Refusal, keyspace


def at(client, level, *words):
    return client.execute_command("EVEN.WITH", *level.split(), *words)


def token_of(client):
    return client.execute_command("EVEN.SESSION")


class Visitor:
    """A client that goes from node to node, each time with a new connection, and takes its token along, or does not."""
    def __init__(self, carries_token=True):
        self.carries_token = carries_token
        self.token = None

    def at(self, node, *words):
        with node.client() as client:
            if self.token:
                assert client.execute_command("EVEN.SESSION", self.token) == "OK"
            try:
                return at(client, "SESSION", *words)
            finally:
                if self.carries_token:
                    self.token = token_of(client)


def slow_down(cluster):
    """What n1 and n3 say to each other takes 300 ms, and n2 is cut off from n3. So n3 hears of n1 late."""
    for a, b in (("n1", "n3"), ("n3", "n1")):
        cluster.link(a, b, "DELAY", 300)
    for a, b in (("n2", "n3"), ("n3", "n2")):
        cluster.link(a, b, "DOWN")


def knows_key(node):
    with node.client() as client:
        try:
            return token_of(client)
        except redis.ResponseError as error:
            assert "does not know yet" in str(error), error
            return None


@pytest.fixture
def sessions(make_cluster):
    cluster = make_cluster(nodes=3)
    until("all know the key of tokens", lambda: all(knows_key(node) for node in cluster))
    return cluster


@pytest.fixture
def slow(sessions):
    slow_down(sessions)
    return sessions


def count_of_broken(times, broken):
    return sum(bool(broken(number)) for number in range(times))


@pytest.mark.parametrize("carries_token", [True, False])
def test_read_your_writes(slow, carries_token):
    def broken(number):
        visitor = Visitor(carries_token)
        visitor.at(slow["n1"], "SET", f"k:{number}", "v")
        return visitor.at(slow["n3"], "GET", f"k:{number}") != "v"
    count = count_of_broken(5, broken)
    assert count == 0 if carries_token else count > 0


@pytest.mark.parametrize("carries_token", [True, False])
def test_monotonic_reads(slow, carries_token):
    def broken(number):
        visitor = Visitor(carries_token)
        with slow["n1"].client() as other:
            other.set(f"k:{number}", "v")
        assert visitor.at(slow["n1"], "GET", f"k:{number}") == "v"
        return visitor.at(slow["n3"], "GET", f"k:{number}") != "v"
    count = count_of_broken(5, broken)
    assert count == 0 if carries_token else count > 0


@pytest.mark.parametrize("carries_token", [True, False])
def test_monotonic_writes(slow, carries_token):
    """The second write is at a node whose clock is behind: if it has not seen the first, it loses against that."""
    with slow["n3"].client() as client:
        client.execute_command("EVEN.FAULT", "CLOCK", "OFFSET", -10_000)
    for number in range(5):
        visitor = Visitor(carries_token)
        visitor.at(slow["n1"], "SET", f"k:{number}", "first")
        visitor.at(slow["n3"], "SET", f"k:{number}", "second")
    for a, b in (("n2", "n3"), ("n3", "n2")):
        slow.link(a, b, "UP")
    slow.wait_converged()
    with slow["n2"].client() as client:
        shown = [client.get(f"k:{number}") for number in range(5)]
    assert (shown == ["second"] * 5) == carries_token


@pytest.mark.parametrize("carries_token", [True, False])
def test_writes_follow_reads(make_cluster, carries_token):
    """n2 hears of n1 late, and of n3 at once; who answers at n3 what was asked at n1 is not heard first at n2."""
    cluster = make_cluster(nodes=3)
    until("all know the key of tokens", lambda: all(knows_key(node) for node in cluster))
    for a, b in (("n1", "n3"), ("n3", "n1")):
        cluster.link(a, b, "DELAY", 200)
    for a, b in (("n1", "n2"), ("n2", "n1")):
        cluster.link(a, b, "DELAY", 1000)
    broken = 0
    with cluster["n1"].client() as one, cluster["n2"].client() as two:
        for number in range(3):
            question, answer = f"{{{number}}}:question", f"{{{number}}}:answer"
            visitor = Visitor(carries_token)
            one.set(question, "?")
            assert visitor.at(cluster["n1"], "GET", question) == "?"
            visitor.at(cluster["n3"], "SET", answer, "!")
            # In one partition, in one command: what n2 has at this moment.
            until("the answer comes", lambda: two.mget(answer, question)[0] or None, interval=0.001)
            broken += two.mget(answer, question)[1] is None
    assert broken == 0 if carries_token else broken > 0


def test_what_does_not_come_is_refused(sessions):
    assert keyspace(sessions["n1"], "CREATE", "quick", "PREFIX", "q:", "DEADLINE", 300) == "OK"
    sessions.isolate("n3")
    visitor = Visitor()
    visitor.at(sessions["n1"], "SET", "q:k", "v")
    with Refusal("UNAVAILABLE SESSION: node 'n3' lacks what this session has seen: of partition",
                 "records of node 'n1' up to", "within 300 ms"):
        visitor.at(sessions["n3"], "GET", "q:k")
    with Refusal("UNAVAILABLE SESSION"):
        visitor.at(sessions["n3"], "SET", "q:k", "not done")
    # What the session has not touched it may have.
    with sessions["n3"].client() as client:
        assert client.execute_command("EVEN.SESSION", visitor.token) == "OK"
        assert at(client, "SESSION", "GET", "elsewhere") is None
        assert client.get("q:k") is None  # at ONE
    assert visitor.at(sessions["n2"], "GET", "q:k") == "v"
    sessions.rejoin("n3")
    until("it has come", lambda: at_or_none(sessions["n3"], visitor.token, "q:k") == "v")


def at_or_none(node, token, key):
    with node.client() as client:
        client.execute_command("EVEN.SESSION", token)
        try:
            return at(client, "SESSION", "GET", key)
        except redis.ResponseError as error:
            assert "UNAVAILABLE SESSION" in str(getattr(error, "status_code", "")) + str(error), error
            return None


def test_levels_of_connections_and_keyspaces(sessions):
    slow = sessions
    assert keyspace(slow["n1"], "CREATE", "carts", "PREFIX", "cart:", "READ", "SESSION", "WRITE", "ONE") == "OK"
    slow_down(slow)
    with slow["n1"].client() as one, slow["n3"].client() as three:
        # Writes at ONE are part of the session, as its reads may have to show them.
        one.set("cart:1", "v")
        three.execute_command("EVEN.SESSION", token_of(one))
        assert three.get("cart:1") == "v"
        one.execute_command("EVEN.CONSISTENCY", "READ", "SESSION", "WRITE", "SESSION")
        pipeline = one.pipeline()
        pipeline.set("{a}:1", "x").incr("{a}:2").get("{b}")
        assert pipeline.execute() == [True, 1, None]
        one.mset({f"m:{number}": number for number in range(20)})
        assert one.dbsize() == 23
        three.execute_command("EVEN.SESSION", token_of(one))
        three.execute_command("EVEN.CONSISTENCY", "READ", "SESSION")
        assert three.mget([f"m:{number}" for number in range(20)]) == [str(number) for number in range(20)]
        pipeline = three.pipeline()
        pipeline.get("{a}:1").get("{a}:2")
        assert pipeline.execute() == ["x", "1"]
        one.set("late", "v")
        three.execute_command("EVEN.SESSION", token_of(one))
        assert three.dbsize() == 24 and "late" in three.keys("*")
        # An explicit level is stronger than the keyspace's.
        one.set("cart:1", "w")
        three.execute_command("EVEN.SESSION", token_of(one))
        assert at(three, "ONE", "GET", "cart:1") == "v"
        assert three.get("cart:1") == "w"


def test_what_was_done_before_the_session_is_in_the_token(slow):
    with slow["n1"].client() as one, slow["n3"].client() as three:
        one.set("k", "v")
        three.execute_command("EVEN.SESSION", token_of(one))
        assert at(three, "SESSION", "GET", "k") == "v"
        one.set("k", "w")
        one.execute_command("EVEN.SESSION", "RESET")
        three.execute_command("EVEN.SESSION", "RESET")
        three.execute_command("EVEN.SESSION", token_of(one))
        assert at(three, "SESSION", "GET", "k") == "v"


def test_a_token_is_short(make_cluster):
    for nodes in (3, 5):
        cluster = make_cluster(nodes=nodes, replicas=nodes)
        until("all know the key of tokens", lambda: all(knows_key(node) for node in cluster))
        # Vectors with entries of all nodes, and many records.
        for node in cluster:
            with node.client() as client:
                for _ in range(20):
                    pipeline = client.pipeline(transaction=False)
                    for number in range(256):
                        pipeline.incr(f"k:{number}")
                    pipeline.execute()
        cluster.wait_converged()
        with cluster["n1"].client() as client:
            # Which are of 20 partitions at least, as some are of the same.
            for number in range(24):
                at(client, "SESSION", "GET", f"k:{number}")
            token = token_of(client)
            assert len(token) < 1024
            print(f"{nodes} nodes: {len(token)} characters")


def test_a_token_outlives_restarts_of_all_nodes(slow):
    visitor = Visitor()
    visitor.at(slow["n1"], "SET", "k", "v")
    until("n3 has it", lambda: at_or_none(slow["n3"], visitor.token, "k"))
    slow.kill()
    slow.start()
    assert visitor.at(slow["n2"], "GET", "k") == "v"
    slow.isolate("n3")
    visitor.at(slow["n1"], "SET", "k", "w")
    stale = visitor.token
    # Runs that the token names are folded meanwhile.
    for _ in range(2):
        slow.kill()
        slow.start()
        with slow["n1"].client() as one, slow["n2"].client() as two, slow["n3"].client() as three:
            for client in (one, two, three):
                client.set("{k}:other", "x")
    slow.wait_converged()
    until("runs are folded", lambda: all("+" in " ".join(vector for vector, _ in node.digest().values())
                                         for node in slow))
    for node in slow:
        visitor = Visitor()
        visitor.token = stale
        assert visitor.at(node, "GET", "k") == "w"
        assert visitor.at(node, "SET", "k", "w") == "OK"


def test_a_token_and_a_node_that_has_lost_its_disk(sessions):
    visitor = Visitor()
    for number in range(20):
        visitor.at(sessions["n1"], "SET", f"k:{number}", number)
    sessions.wait_converged()
    sessions["n1"].kill9()
    shutil.rmtree(sessions["n1"].data)
    sessions["n1"].data.mkdir()
    sessions["n1"].start()
    # It waits for what it had itself, under another replica id.
    for number in range(20):
        assert visitor.at(sessions["n1"], "GET", f"k:{number}") == str(number)
        visitor.at(sessions["n1"], "SET", f"k:{number}", number + 1)
    for number in range(20):
        assert visitor.at(sessions["n3"], "GET", f"k:{number}") == str(number + 1)


def test_tokens_that_are_none_are_refused(sessions, make_cluster):
    other = make_cluster(nodes=1, replicas=1)
    until("it knows the key of tokens", lambda: knows_key(other["n1"]))
    with sessions["n1"].client() as client, other["n1"].client() as stranger:
        at(client, "SESSION", "SET", "k", "v")
        at(stranger, "SESSION", "SET", "k", "v")
        token = token_of(client)

        def take(text):
            client.execute_command("EVEN.SESSION", text)

        for text in ("", "x", "AQ", "=", "AQ==", token[:10], "\xff", "A" * 1000, token + "\n"):
            with Refusal("session token"):
                take(text)
        with Refusal("of another cluster"):
            take(token_of(stranger))
        with Refusal("of version 2"):
            take("Ag" + token[2:])
        with Refusal("of another cluster"):
            take("AQAA" + token[4:])
        bytes_of = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        for position in random.Random(1).sample(range(5, len(bytes_of)), 20):
            forged = bytearray(bytes_of)
            forged[position] ^= 1 << position % 8
            with Refusal("damaged or forged"):
                take(base64.urlsafe_b64encode(forged).decode().rstrip("="))
        with Refusal("damaged or forged"):
            take(token[:-4])
        take(token)


def test_keys_of_other_nodes(make_cluster):
    cluster = make_cluster(nodes=4, replicas=2, partitions=16)
    until("all know the key of tokens", lambda: all(knows_key(node) for node in cluster))
    keys = [f"k:{number}" for number in range(40)]
    for a, b in (("n1", "n2"), ("n2", "n1"), ("n3", "n4"), ("n4", "n3")):
        cluster.link(a, b, "DELAY", 400)
    visitor = Visitor()
    stale = 0
    for turn in range(1, 5):
        node = cluster[f"n{turn}"]
        visitor.at(node, "MSET", *[word for key in keys for word in (key, turn)])
        for reader in cluster:
            with reader.client() as client:
                stale += client.mget(keys) != [str(turn)] * len(keys)
            assert visitor.at(reader, "MGET", *keys) == [str(turn)] * len(keys)
        for key in keys[:4]:
            assert visitor.at(node, "INCRBY", key, 0) == turn
    assert stale > 0  # else this shows nothing
    with cluster["n1"].client() as client:
        client.mget(keys)
        with Refusal("CONSISTENCY", "before it had a session"):
            token_of(client)
        assert client.execute_command("EVEN.SESSION", "RESET") == "OK"
        assert token_of(client)
        with Refusal("CONSISTENCY", "SESSION and CAUSAL are for commands about keys"):
            at(client, "SESSION", "DBSIZE")
        assert client.dbsize() == len(keys)


def test_sessions_in_strong_keyspaces(make_cluster):
    cluster = make_cluster(nodes=3)
    assert keyspace(cluster["n1"], "CREATE", "orders", "PREFIX", "o:", "MODE", "STRONG", "PARTITIONS", 3) == "OK"
    until("all know the key of tokens", lambda: all(knows_key(node) for node in cluster))
    visitor = Visitor()
    for number in range(1, 100):
        writer, reader = random.Random(number).sample(list(cluster), 2)
        visitor.at(writer, "SET", f"o:{number % 7}", number)
        assert visitor.at(reader, "GET", f"o:{number % 7}") == str(number)
    # A node that cannot have it yet does not answer with what it has.
    assert keyspace(cluster["n1"], "ALTER", "orders", "DEADLINE", 500) == "OK"
    cluster.isolate("n3")
    until("the others have a leader", lambda: tries(visitor, cluster["n1"], "SET", "o:1", "new"))
    with cluster["n3"].client() as client:
        assert at(client, "SESSION", "GET", "o:1") != "new"
    with Refusal("UNAVAILABLE"):
        visitor.at(cluster["n3"], "GET", "o:1")
    cluster.rejoin("n3")
    until("it has come", lambda: tries(visitor, cluster["n3"], "GET", "o:1") == "new")


def tries(visitor, node, *words):
    try:
        return visitor.at(node, *words)
    except redis.ResponseError:
        return None


def test_a_pipeline_in_a_session_keeps_its_order(sessions):
    with sessions["n1"].client() as client, sessions["n2"].client() as other:
        client.execute_command("EVEN.CONSISTENCY", "READ", "SESSION", "WRITE", "SESSION")
        for round_number in range(20):
            pipeline = client.pipeline(transaction=False)
            for number in range(50):
                pipeline.append(f"k:{round_number}", number % 10)
                pipeline.set(f"plain:{round_number}", number)
            pipeline.get(f"k:{round_number}").get(f"plain:{round_number}")
            pipeline.execute_command("EVEN.SESSION")
            replies = pipeline.execute()
            assert replies[-3] == "0123456789" * 5 and replies[-2] == "49"
            assert replies[0:100:2] == list(range(1, 51))
            other.execute_command("EVEN.SESSION", replies[-1])
            assert at(other, "SESSION", "GET", f"k:{round_number}") == "0123456789" * 5


# --- Bounded staleness


def test_a_bounded_read_misses_nothing_older(slow):
    """n3 hears of n1 300 ms late. What was written longer ago than the bound is shown nevertheless, whatever clocks say."""
    for a, b in (("n2", "n3"), ("n3", "n2")):
        slow.link(a, b, "UP")
    with slow["n1"].client() as one, slow["n3"].client() as three:
        for node, offset in (("n1", -60_000), ("n3", 60_000)):
            with slow[node].client() as client:
                client.execute_command("EVEN.FAULT", "CLOCK", "OFFSET", offset)
        stale_at_one = 0
        for number in range(1, 6):
            one.set("k", number)
            stale_at_one += three.get("k") != str(number)
            assert at(three, "BOUNDED 0", "GET", "k") == str(number)
        assert stale_at_one > 0  # else this shows nothing
        # Asked once, it is fresh enough for all that come within the bound.
        began = time.monotonic()
        for _ in range(100):
            assert at(three, "BOUNDED 60000", "GET", "k") == "5"
        one.set("k", "new")
        written = time.monotonic()
        shown = at(three, "BOUNDED 60000", "GET", "k")
        assert shown == "5" or time.monotonic() - began > 0.3 * 100
        until("it is older than the bound", lambda: time.monotonic() - written > 1.0)
        assert at(three, "BOUNDED 1000", "GET", "k") == "new"
        three.execute_command("EVEN.CONSISTENCY", "READ", "BOUNDED", 0)
        one.mset({f"m:{number}": number for number in range(20)})
        assert three.mget([f"m:{number}" for number in range(20)]) == [str(number) for number in range(20)]
        one.set("{t}:1", "x")
        pipeline = three.pipeline()
        pipeline.get("{t}:1").get("{t}:2")
        assert pipeline.execute() == ["x", None]


def test_who_cannot_know_asks_somebody_who_does(sessions):
    """n1 and n3 cannot reach each other, and n2 both."""
    for a, b in (("n1", "n3"), ("n3", "n1")):
        sessions.link(a, b, "DOWN")
    with sessions["n1"].client() as one, sessions["n3"].client() as three:
        until("the link is down", lambda: linked(sessions["n3"]) == 1)
        for number in range(20):
            one.set(f"k:{number}", number)
            assert at(three, "BOUNDED 0", "GET", f"k:{number}") == str(number)


def test_what_another_node_has_shown_is_in_the_session(sessions):
    """n3 cannot reach n2, so n1 reads in its place, which has what n3 has not."""
    with sessions["n2"].client() as two, sessions["n3"].client() as three:
        for a, b in (("n2", "n3"), ("n3", "n2")):
            sessions.link(a, b, "DOWN")
        until("the link is down", lambda: linked(sessions["n3"]) == 1)
        assert token_of(three)
        behind = 0
        for number in range(5):
            two.set(f"k:{number}", "v")
            assert at(three, "BOUNDED 0", "GET", f"k:{number}") == "v"
            behind += at(three, "ONE", "GET", f"k:{number}") is None
            assert at(three, "SESSION", "GET", f"k:{number}") == "v"
        assert behind > 0  # else this shows nothing


def test_what_may_be_too_old_is_refused(sessions):
    assert keyspace(sessions["n1"], "CREATE", "prices", "PREFIX", "p:", "READ", "BOUNDED", 1000) == "OK"
    with Refusal("CONSISTENCY", "BOUNDED is a level of reads"):
        keyspace(sessions["n1"], "CREATE", "more", "PREFIX", "m:", "WRITE", "BOUNDED", 1000)
    with sessions["n1"].client() as one, sessions["n3"].client() as three:
        one.set("p:k", "old")
        until("it is there", lambda: three.get("p:k") == "old")
        sessions.isolate("n3")
        until("it is alone", lambda: linked(sessions["n3"]) == 0)
        one.set("p:k", "new")
        written = time.monotonic()
        seen = []

        def refused():
            began = time.monotonic()
            try:
                seen.append((began - written, three.get("p:k")))
            except redis.ResponseError as error:
                assert "n1, n2 cannot be reached" in str(error)
                return "STALE" in str(getattr(error, "status_code", "")) + str(error)
        until("it is too old", refused)
        assert all(age <= 1 for age, value in seen if value == "old")
        with Refusal("STALE BOUNDED 500", "n1, n2 cannot be reached"):
            at(three, "BOUNDED 500", "GET", "p:k")
        assert at(three, "ONE", "GET", "p:k") == "old"
        with Refusal("CONSISTENCY", "BOUNDED is a level of reads"):
            at(three, "BOUNDED 500", "SET", "p:k", "x")
        with Refusal("CONSISTENCY", "is for commands about keys"):
            at(three, "BOUNDED 500", "DBSIZE")
        # A replica that is down may have what nobody else has heard of.
        with Refusal("STALE", "n3 cannot be reached"):
            at(one, "BOUNDED 0", "GET", "p:k")
        sessions.rejoin("n3")
        until("it has come", lambda: tries_bounded(three) == "new")


def tries_bounded(client):
    try:
        return client.get("p:k")
    except redis.ResponseError:
        return None


def test_bounded_reads_of_other_nodes_keys(make_cluster):
    cluster = make_cluster(nodes=4, replicas=2, partitions=16)
    for a, b in (("n1", "n2"), ("n2", "n1"), ("n3", "n4"), ("n4", "n3")):
        cluster.link(a, b, "DELAY", 200)
    keys = [f"k:{number}" for number in range(40)]
    with cluster["n1"].client() as one:
        for turn in range(3):
            for key in keys[:10]:
                one.set(key, turn)
            for node in cluster:
                with node.client() as client:
                    assert at(client, "BOUNDED 0", "MGET", *keys[:10]) == [str(turn)] * 10


def metric(node, name):
    text = node.http("/metrics")[1]
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[-1])


def test_what_is_counted(slow):
    three = slow["n3"]
    visitor = Visitor()
    visitor.at(slow["n1"], "SET", "k", "v")
    visitor.at(three, "GET", "k")
    with three.client() as client:
        # n2 cannot be reached, so n1 is asked, which reaches all.
        assert at(client, "BOUNDED 0", "GET", "k") == "v"
    assert metric(three, 'even_requests_at_level_total{level="session"}') == 1
    assert metric(three, 'even_requests_at_level_total{level="bounded"}') == 1
    assert metric(three, "even_session_waits_total") == 1
    assert metric(three, "even_bounded_handed_on_total") == 1
    assert metric(slow["n1"], "even_bounded_questions_total") == 1


@pytest.mark.parametrize("carries_token", [True, False])
def test_what_a_blocking_command_takes_is_in_the_session(slow, carries_token):
    def broken(number):
        visitor = Visitor(carries_token)
        key = f"q:{number}"
        with slow["n1"].client() as one:
            one.rpush(key, "a", "b")
        until("n3 has it", lambda: slow_list(slow["n3"], key) == ["a", "b"])
        with slow["n1"].client() as one:
            one.execute_command("EVEN.SESSION", "RESET")
            assert one.blpop(key, 1) == (key, "a")
            if carries_token:
                visitor.token = token_of(one)
        return visitor.at(slow["n3"], "LRANGE", key, 0, -1) != ["b"]
    count = count_of_broken(3, broken)
    assert count == 0 if carries_token else count > 0


def slow_list(node, key):
    with node.client() as client:
        return client.lrange(key, 0, -1)


@pytest.mark.parametrize("nodes, replicas", [(1, 1), (3, 1)])
def test_bounded_reads_keep_their_place_in_a_pipeline(make_cluster, nodes, replicas):
    """Also of keys of other threads and nodes, which take longer than what comes behind them."""
    cluster = make_cluster(nodes=nodes, replicas=replicas)
    with cluster["n1"].client() as client:
        for number in range(40):
            pipeline = client.pipeline(transaction=False)
            for words in (("SET", f"k:{number}", 1), ("EVEN.WITH", "BOUNDED", 60_000, "GET", f"k:{number}"),
                          ("SET", f"k:{number}", 2), ("GET", f"k:{number}")):
                pipeline.execute_command(*words)
            assert pipeline.execute() == [True, "1", True, "2"], number
