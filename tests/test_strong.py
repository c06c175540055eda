"""Strong keyspaces of whole clusters: what every node says, and what is left of it when nodes and links fail."""

import concurrent.futures
import shutil
import subprocess
import threading
import time

import pytest
import redis

from even_cluster import BIN, PATIENCE, free_ports_of_local_cluster, until


def create(cluster, name="orders", prefix="o:", *options, mode="STRONG"):
    """Creates a keyspace by way of the first node."""
    assert keyspace(cluster.nodes[0], "CREATE", name, "PREFIX", prefix, "MODE", mode, *options) == "OK"


def keyspace(node, *words):
    with node.client() as client:
        return client.execute_command("EVEN.KEYSPACE", *words)


def groups(node):
    """{group: {field: value}} as the node sees them."""
    with node.client() as client:
        replies = client.execute_command("EVEN.GROUPS")
    return {group["group"]: group for group in (dict(zip(reply[::2], reply[1::2])) for reply in replies)}


def leaders(node, name="orders"):
    return {number: group["leader"] for number, group in groups(node).items() if group["keyspace"] == name}


def until_led(cluster, name="orders"):
    """Waits until every node knows a leader of every group, and all the same one."""
    def known():
        views = [leaders(node, name) for node in cluster.running]
        return views[0] and None not in views[0].values() and all(view == views[0] for view in views) and views[0]
    return until(f"all groups of {name} have leaders", known)


class Refusal:
    """with Refusal("UNAVAILABLE", "n2") : ... expects an error that begins with the first and has the others in it."""
    def __init__(self, *texts):
        self.texts = texts

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert kind is not None, f"no error {self.texts}"
        if not issubclass(kind, redis.ResponseError):
            return False
        text = f"{getattr(error, 'status_code', '')}{error}"
        for part in self.texts:
            assert part in text, f"'{part}' is not in '{text}'"
        return True


def test_what_is_written_at_one_node_is_read_at_all(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 4)
    for writer in cluster:
        with writer.client() as client:
            for i in range(20):
                assert client.set(f"o:{writer}:{i}", i)
        for reader in cluster:
            with reader.client() as client:
                assert [client.get(f"o:{writer}:{i}") for i in range(20)] == [str(i) for i in range(20)]
    for i in range(30):
        with cluster.nodes[i % 3].client() as client:
            assert client.incr("o:count") == i + 1
    with cluster["n2"].client() as client:
        assert client.set("eventual", "x")
        assert client.get("eventual") == "x"
        client.hset("o:hash", mapping={"a": 1, "b": 2})
        assert client.hgetall("o:hash") == {"a": "1", "b": "2"}
        with Refusal("WRONGTYPE"):
            client.get("o:hash")
        # Those of strong keyspaces are not among them.
        assert client.dbsize() == 20 * 3 + 2 + 1


def test_levels(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 2)
    with cluster["n3"].client(single_connection_client=True) as client:
        for i in range(50):
            client.set("o:k", i)
            assert client.execute_command("EVEN.WITH", "SEQUENTIAL", "GET", "o:k") == str(i)
            assert client.execute_command("EVEN.WITH", "LINEARIZABLE", "GET", "o:k") == str(i)
            assert int(client.execute_command("EVEN.WITH", "BOUNDED", 2000, "GET", "o:k")) <= i
            assert int(client.execute_command("EVEN.WITH", "ONE", "GET", "o:k") or 0) <= i
        assert client.execute_command("EVEN.CONSISTENCY", "READ", "SEQUENTIAL") == "OK"
        assert client.execute_command("EVEN.CONSISTENCY") == ["read", "SEQUENTIAL", "write", "DEFAULT"]
        for i in range(50):
            client.incr("o:k")
            assert client.get("o:k") == str(50 + i)
        with Refusal("CONSISTENCY", "SEQUENTIAL is not supported in eventual keyspaces yet"):
            client.get("eventual")
        client.execute_command("EVEN.CONSISTENCY", "READ", "DEFAULT")
        with Refusal("CONSISTENCY", "QUORUM cannot be had in the strong keyspace 'orders'"):
            client.execute_command("EVEN.WITH", "QUORUM", "GET", "o:k")
        with Refusal("CONSISTENCY", "LINEARIZABLE is not supported in eventual keyspaces yet"):
            client.execute_command("EVEN.WITH", "LINEARIZABLE", "GET", "eventual")
        assert client.execute_command("EVEN.WITH", "ONE", "SET", "eventual", "x") in (True, "OK")
        with Refusal("'PLENTY' is no level"):
            client.execute_command("EVEN.WITH", "PLENTY", "GET", "o:k")
        with Refusal("commands about keys"):
            client.execute_command("EVEN.WITH", "ONE", "PING")
        with Refusal("unknown command 'NOPE'"):
            client.execute_command("EVEN.WITH", "ONE", "NOPE")
        with Refusal("wrong number of arguments for 'get'"):
            client.execute_command("EVEN.WITH", "ONE", "GET")


def test_keys_of_several_groups_are_not_for_one_command(cluster):
    create(cluster, "orders", "o:")
    create(cluster, "accounts", "a:", "PARTITIONS", 1)
    with cluster["n1"].client(single_connection_client=True) as client:
        assert client.mset({"o:{7}:name": "x", "o:{7}:mail": "y"})
        assert client.mget("o:{7}:name", "o:{7}:mail") == ["x", "y"]
        for words in (["MGET", "o:1", "o:2", "o:3", "o:4"], ["MSET", "o:{7}", 1, "a:1", 2], ["DEL", "o:1", "eventual"],
                      ["EXISTS", "eventual", "a:1"], ["WATCH", "a:1", "o:1"]):
            with Refusal("CROSSGROUP", "hash tag"):
                client.execute_command(*words)
        for keys in (["o:1", "a:1"], ["a:1", "eventual"]):
            with Refusal("CROSSGROUP"):
                with client.pipeline() as pipeline:
                    for key in keys:
                        pipeline.set(key, 1)
                    pipeline.execute()
        assert client.exists("o:1") == 0 and client.exists("a:1") == 0 and client.exists("eventual") == 0
        with client.pipeline() as pipeline:
            pipeline.set("a:1", 1).incr("a:1").incr("a:2")
            assert pipeline.execute() == [True, 2, 1]


def test_keyspaces_are_created_altered_and_dropped_everywhere(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 3, "DEADLINE", 2000, "READ", "BOUNDED", 500)
    for node in cluster:
        assert keyspace(node, "LIST") == ["default", "orders"]
        info = keyspace(node, "INFO", "orders")
        info = dict(zip(info[::2], info[1::2]))
        assert info == {"name": "orders", "prefix": "o:", "mode": "strong", "replicas": 3, "partitions": 3,
                        "first partition": 257, "read": "BOUNDED 500", "write": "LINEARIZABLE", "deadline": 2000,
                        "sloppy": "no", "conflict": "lww", "delay": 0, "feed": ""}
    n2 = cluster["n2"]
    with Refusal("there is a keyspace 'orders' already"):
        keyspace(n2, "CREATE", "orders", "PREFIX", "p:")
    with Refusal("is that of the keyspace 'orders'"):
        keyspace(n2, "CREATE", "others", "PREFIX", "o:")
    with Refusal("4 replicas are not possible"):
        keyspace(n2, "CREATE", "others", "PREFIX", "p:", "MODE", "STRONG", "REPLICAS", 4)
    with Refusal("PARTITIONS is a number from 1 to 16384"):
        keyspace(n2, "CREATE", "others", "PREFIX", "p:", "MODE", "STRONG", "PARTITIONS", 0)
    with Refusal("unknown option 'COLOUR'"):
        keyspace(n2, "CREATE", "others", "PREFIX", "p:", "COLOUR", "red")
    with Refusal("SLOPPY is YES or NO"):
        keyspace(n2, "CREATE", "others", "PREFIX", "p:", "SLOPPY", "perhaps")
    with Refusal("CONSISTENCY", "SLOPPY is for eventual keyspaces"):
        keyspace(n2, "CREATE", "others", "PREFIX", "p:", "MODE", "STRONG", "SLOPPY", "YES")
    with Refusal("CONSISTENCY", "writes of strong keyspaces are LINEARIZABLE"):
        keyspace(n2, "CREATE", "others", "PREFIX", "p:", "MODE", "STRONG", "WRITE", "ONE")
    with Refusal("CONSISTENCY", "SEQUENTIAL is not supported in eventual keyspaces yet"):
        keyspace(n2, "CREATE", "others", "PREFIX", "p:", "READ", "SEQUENTIAL")

    assert keyspace(n2, "ALTER", "orders", "READ", "LINEARIZABLE", "DEADLINE", 3000) == "OK"
    for node in cluster:
        info = keyspace(node, "INFO", "orders")
        assert info[info.index("read") + 1] == "LINEARIZABLE" and info[info.index("deadline") + 1] == 3000
    with Refusal("PARTITIONS cannot be altered"):
        keyspace(n2, "ALTER", "orders", "PARTITIONS", 5)
    with Refusal("no keyspace 'others'"):
        keyspace(n2, "ALTER", "others", "DEADLINE", 5)

    with n2.client() as client:
        client.set("c[1]:x", 1)
        client.set("c1:x", 1)
        client.set("o:in:1", 1)
    with Refusal("there are 1 keys under the prefix 'c[1]:'"):
        keyspace(n2, "CREATE", "others", "PREFIX", "c[1]:")
    with Refusal("there are 1 keys under the prefix 'o:in:'"):
        keyspace(n2, "CREATE", "inner", "PREFIX", "o:in:", "MODE", "STRONG")
    assert keyspace(n2, "CREATE", "inner", "PREFIX", "o:out:") == "OK"  # eventual, within a strong one
    with n2.client() as client:
        client.set("o:out:1", 1)
        with Refusal("CROSSGROUP"):
            client.mget("o:out:1", "o:1")
    with Refusal("the keyspace 'orders' has 1 keys", "FORCE"):
        keyspace(n2, "DROP", "orders")
    assert keyspace(n2, "DROP", "orders", "FORCE") == "OK"
    for node in cluster:
        assert keyspace(node, "LIST") == ["default", "inner"]
        with node.client() as client:
            assert client.get("o:in:1") is None
            assert client.get("o:out:1") == "1"


def test_nothing_acknowledged_is_lost_when_leaders_are_killed(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 4)
    until_led(cluster)
    stop = threading.Event()
    acknowledged = [[] for _ in range(3)]
    failures = []

    def write(worker):
        clients = [node.client(socket_timeout=20) for node in cluster]
        try:
            i = 0
            while not stop.is_set():
                i += 1
                for attempt in range(100):
                    try:
                        clients[(worker + attempt) % 3].set(f"o:{worker}:{i}", i)
                        acknowledged[worker].append(i)
                        break
                    except redis.ConnectionError:
                        continue
                    except redis.ResponseError as error:
                        assert str(error).startswith(("UNCERTAIN", "UNAVAILABLE")), error
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = [len(done) for done in acknowledged]
        until("writes go on", lambda: failures or all(len(done) > b + 20 for done, b in zip(acknowledged, before)))
        victim = cluster[next(iter(leaders(cluster["n1"]).values()))]
        victim.kill9()
        before = [len(done) for done in acknowledged]
        until("writes go on without the leader",
              lambda: failures or all(len(done) > b + 20 for done, b in zip(acknowledged, before)))
        victim.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    for node in cluster:
        with node.client() as client:
            for worker, done in enumerate(acknowledged):
                missing = [i for i in done if client.get(f"o:{worker}:{i}") != str(i)]
                assert not missing


def test_without_a_majority_it_is_said_who_is_missing_and_eventual_keys_go_on(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 2, "DEADLINE", 1500)
    with cluster["n1"].client(single_connection_client=True) as client:
        client.set("o:k", 1)
        assert client.execute_command("EVEN.WITH", "SEQUENTIAL", "GET", "o:k") == "1"
        cluster["n2"].kill9()
        cluster["n3"].kill9()

        def refused():
            try:
                client.set("o:k", 2)
            except redis.ResponseError as error:
                assert str(error).startswith(("UNCERTAIN", "UNAVAILABLE")), error
                return str(error)
        # What a leader that had lost its followers took is uncertain; then it stops leading.
        message = until("writes are refused", lambda: (refused() or "").startswith("UNAVAILABLE") and refused())
        assert "needs 2 of 3 replicas, 1 reachable (n2, n3 cannot be reached from n1)" in message
        with Refusal("UNAVAILABLE", "keyspace 'orders'"):
            client.get("o:k")
        assert client.execute_command("EVEN.WITH", "ONE", "GET", "o:k") in ("1", "2")
        assert client.execute_command("EVEN.WITH", "SEQUENTIAL", "GET", "o:k") in ("1", "2")
        with Refusal("STALE"):
            client.execute_command("EVEN.WITH", "BOUNDED", 100, "GET", "o:k")
        assert client.set("eventual", 1)
        assert client.get("eventual") == "1"
        cluster["n2"].start()

        def works():
            try:
                return client.set("o:k", 3)
            except redis.ResponseError:
                return False
        until("a majority is enough", works)
        assert client.get("o:k") == "3"


def pipelines(node, key, stopped):
    """What a client sees that writes and reads a counter of its own in pipelines: each command sees all those before
    it, and none after it, whatever became of them. Returns how many were executed, and how many may have been."""
    executed, uncertain, value = 0, 0, 0
    while not stopped.is_set():
        try:
            with node.client(single_connection_client=True, socket_timeout=10 * PATIENCE) as client:
                seen = False
                while not stopped.is_set():
                    pipeline = client.pipeline(transaction=False)
                    commands = [["INCR", key], ["INCR", key], ["GET", key], ["GET", key], ["INCR", key],
                                ["EVEN.WITH", "SEQUENTIAL", "GET", key]] * 4
                    for words in commands:
                        pipeline.execute_command(*words)
                    for words, reply in zip(commands, pipeline.execute(raise_on_error=False)):
                        if isinstance(reply, redis.ResponseError):
                            status = f"{getattr(reply, 'status_code', '')}{reply}"
                            assert status.startswith(("UNAVAILABLE", "UNCERTAIN")), status
                            uncertain += status.startswith("UNCERTAIN")
                            assert words[0] == "INCR" or status.startswith("UNAVAILABLE"), status
                            continue
                        if words[0] == "EVEN.WITH" and not seen:
                            continue  # this connection has seen nothing yet that it could go back behind
                        seen = True
                        executed += 1
                        least = value + (words[0] == "INCR")
                        # Those of which nobody knew have taken effect, if it is more.
                        assert least <= int(reply or 0) <= least + uncertain, (words, reply, least, uncertain)
                        uncertain -= int(reply or 0) - least
                        value = int(reply or 0)
        except redis.ConnectionError:
            uncertain += 12  # of a pipeline that was lost
            stopped.wait(0.1)
    return executed, uncertain


def test_pipelines_keep_their_order_while_leaders_change(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 2, "DEADLINE", 3000)
    until_led(cluster)
    stopped = threading.Event()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        clients = [pool.submit(pipelines, cluster.nodes[i % 3], f"o:{i}", stopped) for i in range(6)]
        try:
            for fault in range(6):
                leader = cluster[next(iter(leaders(cluster.running[0]).values())) or "n1"]
                stopped.wait(0.5)
                if fault % 2 == 0:
                    leader.pause()
                    stopped.wait(1.5)
                    leader.resume()
                else:
                    leader.kill9()
                    stopped.wait(1)
                    leader.start()
                until_led(cluster)
        finally:
            stopped.set()
        counts = [client.result() for client in clients]
    assert all(executed > 100 for executed, _ in counts), counts


def test_a_restart_of_all_nodes_keeps_everything(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 4)
    with cluster["n1"].client() as client:
        for i in range(100):
            client.set(f"o:{i}", i)
        client.sadd("o:set", *range(10))
    for end in (cluster.kill, cluster.stop):
        end()
        cluster.start()
        for node in cluster:
            assert keyspace(node, "LIST") == ["default", "orders"]
            with node.client() as client:
                assert [client.get(f"o:{i}") for i in range(100)] == [str(i) for i in range(100)]
                assert client.scard("o:set") == 10
                assert client.dbsize() == 101


def test_transactions_of_two_nodes_exclude_each_other(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 1)
    with cluster["n1"].client() as client:
        client.mset({"o:a": 100, "o:b": 100})
    failures = []
    retries = []

    def move(node, rounds):
        try:
            with node.client() as client:
                for _ in range(rounds):
                    with client.pipeline() as pipeline:
                        while True:
                            try:
                                pipeline.watch("o:a", "o:b")
                                a, b = map(int, pipeline.mget("o:a", "o:b"))
                                assert a + b == 200
                                pipeline.multi()
                                pipeline.set("o:a", a - 1)
                                pipeline.set("o:b", b + 1)
                                assert pipeline.execute() == [True, True]
                                break
                            except redis.WatchError:
                                retries.append(1)
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=move, args=(node, 40)) for node in cluster]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for node in cluster:
        with node.client() as client:
            assert client.mget("o:a", "o:b") == [str(100 - 120), str(100 + 120)]


def test_keys_expire_for_all_at_once(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 1)
    clients = [node.client() for node in cluster]
    clients[0].set("o:k", 1, px=700)
    assert 0 < clients[1].pttl("o:k") <= 700
    until("it has expired", lambda: clients[1].get("o:k") is None)
    # Once it has been seen to be gone, it is gone everywhere.
    assert [client.get("o:k") for client in clients] == [None] * 3
    assert clients[2].set("o:k", 2, nx=True)
    assert [client.get("o:k") for client in clients] == ["2"] * 3


def test_what_is_asked_for_once_happens_once(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 1)
    for node in cluster:
        with node.client(single_connection_client=True) as client:
            assert client.execute_command("EVEN.ONCE", "order 17", "INCR", "o:count") == 1
            client.execute_command("MULTI")
            client.execute_command("INCR", "o:count")
            client.execute_command("SET", "o:{x}", 5)
            assert client.execute_command("EVEN.ONCE", "order 18", "PX", 60000, "EXEC") == [2, "OK"]
    with cluster["n1"].client() as client:
        assert client.get("o:count") == "2"
        with Refusal("EVEN.ONCE is for keys of strong keyspaces"):
            client.execute_command("EVEN.ONCE", "x", "INCR", "eventual")
        for words in (["INCRBY", "o:count", 1], ["INCR", "o:{count}2"]):
            with Refusal("id has been used with another command"):
                client.execute_command("EVEN.ONCE", "order 17", *words)
        assert client.get("o:count") == "2"
        with Refusal("PX of EVEN.ONCE"):
            client.execute_command("EVEN.ONCE", "x", "PX", 0, "INCR", "o:count")


def test_nobody_is_given_the_reply_that_another_user_got_once(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 1)
    node = cluster["n1"]
    with node.client() as admin:
        for name in ("alice", "bob"):
            assert until("the user", lambda: admin.execute_command("ACL", "SETUSER", name, "on", ">pw", "~o:" + name, "+@all"))
        assert admin.execute_command("EVEN.ONCE", "1", "GETSET", "o:payroll", "first") is None
        assert admin.execute_command("EVEN.ONCE", "2", "GETSET", "o:payroll", "second") == "first"
        for _ in range(2):
            for name in ("alice", "bob"):
                with node.client(username=name, password="pw") as client:
                    assert client.execute_command("EVEN.ONCE", "2", "INCR", "o:" + name) == 1
        assert admin.execute_command("EVEN.ONCE", "2", "GETSET", "o:payroll", "second") == "first"


class Alone:
    """Has keys to itself, at one node, and counts on them by calls that it makes once each, or again if they are uncertain.
    What it sees must be its own doing: then no call was executed twice, and none that was executed was said not to be."""

    def __init__(self, node, number):
        self.node, self.keys = node, [f"o:{{{node}-{number}-{i}}}" for i in range(4)]
        self.ended = False
        self.answered = 0

    def run(self):
        calls = 0
        with self.node.client(single_connection_client=True) as client:
            held = {key: 0 for key in self.keys}
            while not self.ended:
                for key in self.keys:
                    calls += 1
                    held[key] = self.count(client, key, held[key], f"{key} {calls}", watched=calls % 2 == 0)
        return held

    def count(self, client, key, held, call, watched):
        uncertain = []

        def replied():
            try:
                return self.ask(client, key, call, watched)
            except redis.ResponseError as error:
                text = f"{getattr(error, 'status_code', '')}{error}"
                client.execute_command("UNWATCH")
                if "UNCERTAIN" in text:
                    uncertain.append(text)
                elif not uncertain:
                    now = int(until(f"{key} can be read", lambda: self.read(client, key)))
                    assert now == held, f"{call}: {text}, but {held} has become {now}"
                return None

        reply = until(f"{call} is answered", replied, seconds=60)
        assert reply == held + 1, f"{call} replied {reply} where {held} was"
        self.answered += 1
        return reply

    @staticmethod
    def ask(client, key, call, watched):
        if not watched:
            return client.execute_command("EVEN.ONCE", call, "PX", 1, "INCR", key)
        client.execute_command("WATCH", key)
        client.execute_command("MULTI")
        client.execute_command("INCR", key)
        reply = client.execute_command("EVEN.ONCE", call, "EXEC")
        assert reply is not None, f"{call}: nobody else writes what it watches"
        return reply[0]

    @staticmethod
    def read(client, key):
        try:
            return client.get(key) or "0"
        except redis.ResponseError:
            return None


def test_what_nodes_repeat_is_executed_once_and_never_said_not_to_be(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 1)
    until_led(cluster)
    (group,) = leaders(cluster.nodes[0])

    def stop_leader():
        leader = cluster[until_led(cluster)[group]]
        others = [node for node in cluster if node is not leader]
        leader.pause()
        until("another one leads", lambda: all(leaders(node)[group] not in (None, leader.name) for node in others))
        leader.resume()

    clients = [Alone(node, number) for node in cluster for number in range(3)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        runs = [pool.submit(client.run) for client in clients]
        try:
            for _ in range(4):
                before = [client.answered for client in clients]
                until("all clients go on", lambda: all(client.answered > count + 20 or run.done()
                                                       for client, count, run in zip(clients, before, runs)))
                stop_leader()
        finally:
            for client in clients:
                client.ended = True
        for run in runs:
            run.result()


def test_a_node_without_a_replica_asks_one(make_cluster):
    cluster = make_cluster(nodes=5, options={"node.shards": 1})
    create(cluster, "orders", "o:", "PARTITIONS", 8)
    for node in cluster:
        with node.client() as client:
            for i in range(16):
                client.set(f"o:{node}:{i}", i)
            for level in ("LINEARIZABLE", "SEQUENTIAL", "ONE", "SESSION"):
                values = [client.execute_command("EVEN.WITH", level, "GET", f"o:{node}:{i}") for i in range(16)]
                if level != "ONE":
                    assert values == [str(i) for i in range(16)], level
    assert {group["keyspace"] for group in groups(cluster["n1"]).values()} <= {"orders", "meta"}


def test_a_reader_at_a_paused_leader_is_served_by_the_next(cluster):
    create(cluster, "orders", "o:", "PARTITIONS", 1)
    leader = next(iter(until_led(cluster).values()))
    other = next(node for node in cluster if node.name != leader)
    with other.client() as client:
        client.set("o:k", 1)
        cluster[leader].pause()
        try:
            assert client.get("o:k") == "1"
            until("writes go on", lambda: client.set("o:k", 2))
        except redis.ResponseError as error:
            pytest.fail(f"{error}")
        finally:
            cluster[leader].resume()
        assert client.get("o:k") == "2"


def even(*arguments, timeout=90):
    return subprocess.run([BIN / "even", *map(str, arguments)], capture_output=True, text=True, timeout=timeout * PATIENCE)


@pytest.mark.parametrize("workload", ["register", "append"])
def test_what_clients_see_is_linearizable_while_nodes_and_links_fail(tmp_path, workload):
    directory, file = tmp_path / "cluster", tmp_path / "history"
    base = free_ports_of_local_cluster(3)
    assert even("up", "--dir", directory, "--port-base", base).returncode == 0
    try:
        with redis.Redis(port=base + 1) as client:
            client.execute_command("EVEN.KEYSPACE", "CREATE", "orders", "PREFIX", "o:", "MODE", "STRONG", "PARTITIONS", 4)
        result = even("record", "--workload", workload, "--clients", 10, "--seconds", 10, "--out", file, "--dir", directory,
                      "--prefix", "o:", "--level", "LINEARIZABLE", "--nemesis", "kill,kill-all,pause,cut,one-way,clock", "--rate", 1000)
        assert result.returncode == 0, result.stderr
        verdict = even("verify", "linearizable", file, "--model", workload)
        assert verdict.returncode == 0, verdict.stdout + verdict.stderr
        until("the cluster is whole", lambda: even("status", "--dir", directory).returncode == 0)
        assert "Groups: n1 leads" in even("status", "--dir", directory).stdout
    finally:
        assert even("down", "--dir", directory).returncode == 0


def test_keys_that_a_new_keyspace_hides_nevertheless_are_said(cluster):
    create(cluster, "first", "first:", "PARTITIONS", 1)

    def write(node, prefix, acknowledged, stop, begin, delay):
        with node.client() as client:
            client.ping()
            begin.wait()
            time.sleep(delay)
            while not stop.is_set():
                key = f"{prefix}{node.name}:{len(acknowledged)}"
                try:
                    client.set(key, "v")
                except redis.RedisError:
                    continue
                acknowledged.append(key)

    hidden = False
    for i in range(30):
        stop, begin, written = threading.Event(), threading.Event(), {"n2": [], "n3": []}
        writers = [threading.Thread(target=write, args=(cluster[name], f"z{i}:", keys, stop, begin, i % 6 * 0.002))
                   for name, keys in written.items()]
        with cluster["n1"].client() as client:
            client.ping()
            for writer in writers:
                writer.start()
            begin.set()
            try:
                reply = client.execute_command("EVEN.KEYSPACE", "CREATE", f"z{i}", "PREFIX", f"z{i}:", "MODE", "STRONG", "PARTITIONS", 1)
            except redis.ResponseError as error:
                reply = str(error)
            finally:
                stop.set()
                for writer in writers:
                    writer.join()
            if "keys under the prefix" in reply:
                continue
            gone = [key for keys in written.values() for key in keys if not client.exists(key)]
            assert not gone or "PARTIAL" in reply, (reply, gone)
            if gone and not hidden:
                hidden = True
                assert f" {len(gone)} keys" in reply
                client.execute_command("EVEN.KEYSPACE", "DROP", f"z{i}", "FORCE")
                until("they are there again", lambda: all(client.exists(key) for key in gone))
                break
    assert hidden, "in no round was anything hidden"


def test_dropping_an_empty_keyspace_loses_no_write_that_was_acknowledged(cluster):
    """Writers at all nodes, while the keyspace is dropped and created again and again."""
    create(cluster, "first", "first:", "PARTITIONS", 1)
    stop = threading.Event()
    failures = []
    acknowledged = [[] for _ in range(3)]

    def write(worker):
        try:
            with cluster.nodes[worker].client(socket_timeout=20) as client:
                i = 0
                while not stop.is_set():
                    i += 1
                    try:
                        client.set(f"y:{worker}:{i}", i)
                    except redis.ResponseError as error:
                        assert str(error).startswith(("UNAVAILABLE", "UNCERTAIN", "TRYAGAIN")), error
                        assert "of 0 replicas" not in str(error), error
                        continue
                    acknowledged[worker].append(f"y:{worker}:{i}")
                    time.sleep(0.001 * (i % 5))
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    dropped = refused = 0
    with cluster["n1"].client(socket_timeout=20) as client:
        for i in range(20):
            stop.clear()
            for each in acknowledged:
                each.clear()
            create(cluster, "y", "y:", "PARTITIONS", 2, "DEADLINE", 10000)
            until_led(cluster, "y")
            writers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
            threading.Timer(0.002 * (i % 8), lambda begun=writers: [writer.start() for writer in begun]).start()
            try:
                client.execute_command("EVEN.KEYSPACE", "DROP", "y")
                reply = "OK"
            except redis.ResponseError as error:
                reply = str(error)
            until("the writers have begun", lambda begun=writers: all(writer.ident for writer in begun))
            stop.set()
            for writer in writers:
                writer.join()
            assert not failures, failures
            assert reply == "OK" or "keys: EVEN.KEYSPACE DROP y FORCE" in reply, reply
            lost = [key for keys in acknowledged for key in keys if not client.exists(key)]
            assert not lost, (reply, lost)
            dropped += reply == "OK"
            refused += reply != "OK"
            if reply != "OK":
                client.set("y:after", 1)  # what was refused meanwhile is taken again
                client.execute_command("EVEN.KEYSPACE", "DROP", "y", "FORCE")
            for key in client.scan_iter("y:*"):
                client.delete(key)
    assert dropped and refused, (dropped, refused)


def test_a_keyspace_whose_drop_was_interrupted_takes_writes_again(cluster):
    """Who coordinates the drop dies when three of four groups are closed, and it waits for an event of the fourth one,
    whose topic it cannot reach."""
    create(cluster, "orders", "o:", "PARTITIONS", 4)
    with cluster["n1"].client() as client:
        assert client.execute_command("EVEN.TOPIC", "CREATE", "t", "PARTITIONS", 1, "REPLICAS", 1) == "OK"
    owner = until("the topic", lambda: next((node.name for node in cluster if leaders(node, "t")), None))
    coordinator, other = (node for node in cluster if node.name != owner)
    cluster.isolate(owner)
    until("all groups are led by nodes that are not cut off",
          lambda: {group["leader"] for group in groups(other).values()} <= {coordinator.name, other.name})

    def refused(client):
        """Why writes are refused, of whatever group; a write that makes no key."""
        for i in range(16):
            try:
                client.delete(f"o:{i}")
            except redis.ResponseError as error:
                assert str(error).startswith(("UNAVAILABLE", "UNCERTAIN")), error
                return str(error)
        return ""

    with coordinator.client(socket_timeout=60) as dropper, other.client(socket_timeout=20) as client:
        with client.pipeline(transaction=True) as transaction:
            transaction.set("o:paid", 1)
            transaction.execute_command("EVEN.EMIT", "t", "k", "paid")
            transaction.delete("o:paid")
            transaction.execute()
        connection = dropper.connection_pool.get_connection("_")
        connection.send_command("EVEN.KEYSPACE", "DROP", "orders")

        def closed():
            if connection.can_read(0):  # It has waited for long enough: once more.
                with Refusal("events of the keyspace wait to be told in topics"):
                    raise connection.read_response()
                connection.send_command("EVEN.KEYSPACE", "DROP", "orders")
            return "the keyspace is being dropped" in refused(client)
        until("groups are closed", closed)
        coordinator.kill9()
        cluster.rejoin(owner)
        until("writes are taken again", lambda: not refused(client), seconds=90)
        assert keyspace(other, "LIST") == ["default", "orders"]
        client.set("o:k", 1)
    coordinator.start()
    until_led(cluster)
    with Refusal("has 1 keys"):
        keyspace(coordinator, "DROP", "orders")
    with cluster[owner].client() as client:
        client.delete("o:k")
    assert keyspace(coordinator, "DROP", "orders") == "OK"


def test_a_member_is_given_a_large_state_though_it_dies_in_the_middle(cluster):
    """Some 20 MB, which come in pieces and are written into the store before they count."""
    create(cluster, "orders", "o:", "PARTITIONS", 1)
    until_led(cluster)
    keys = 10_000
    with cluster["n1"].client() as client:
        for first in range(0, keys, 500):
            with client.pipeline(transaction=False) as pipe:
                for i in range(first, first + 500):
                    pipe.set(f"o:{i}", f"value {i} " * 200)
                pipe.execute()
        client.expire("o:7", 100_000)
    third = cluster["n3"]
    third.kill9()
    shutil.rmtree(third.data)
    third.data.mkdir()
    with cluster["n1"].client() as client:
        client.set("o:0", "new")
    for seconds in (0.1, 0.3, 0.6, 1):
        third.start()
        time.sleep(seconds * PATIENCE)  # somewhere on the way
        third.kill9()
    third.start()

    def has_all():
        own = [group for group in groups(third).values() if group["keyspace"] == "orders"]
        return own and "n3" in own[0]["members"] and own[0]["applied"] > keys and own[0]["lag"] == 0
    until("it is a member that has all", has_all, seconds=120, interval=0.1)
    for _ in range(2):
        with third.client() as client:
            client.execute_command("EVEN.CONSISTENCY", "READ", "ONE")
            with client.pipeline(transaction=False) as pipe:
                for i in range(keys):
                    pipe.get(f"o:{i}")
                values = pipe.execute()
            assert values == ["new"] + [f"value {i} " * 200 for i in range(1, keys)]
            assert client.ttl("o:7") > 0
        third.kill9()
        third.start()
        until("it is there again", has_all, seconds=60)
    cluster.wait_converged(60)
