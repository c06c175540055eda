"""Scripts: EVAL and its like, from clients, on one node and on three."""

import threading

import pytest
import redis

from even_cluster import until


def sha_error(client, *command):
    with pytest.raises(redis.ResponseError) as raised:
        client.execute_command(*command)
    return str(raised.value)


def test_effects_of_a_script_reach_all_nodes(cluster):
    first, second, third = (node.client() for node in cluster.nodes)
    script = """
        local count = redis.call('INCR', KEYS[1])
        redis.call('HSET', KEYS[2], 'count', count, 'by', ARGV[1])
        redis.call('RPUSH', KEYS[3], ARGV[1], count)
        return {count, ARGV[1]}
    """
    assert first.eval(script, 3, "{s}count", "{s}hash", "{s}list", "first") == [1, "first"]
    for client in (second, third):
        until("the effects have arrived", lambda client=client: client.lrange("{s}list", 0, -1) == ["first", "1"])
        assert client.get("{s}count") == "1"
        assert client.hgetall("{s}hash") == {"count": "1", "by": "first"}
    assert second.eval(script, 3, "{s}count", "{s}hash", "{s}list", "second") == [2, "second"]
    until("all have both", lambda: all(c.get("{s}count") == "2" for c in (first, second, third)))


def test_a_node_knows_the_scripts_that_it_was_given(cluster):
    first, second = (node.client() for node in cluster.nodes[:2])
    sha = first.script_load("return ARGV[1]")
    assert first.script_exists(sha, "0" * 40) == [True, False]
    assert first.evalsha(sha, 0, "x") == "x"
    assert first.execute_command("SCRIPT", "SHOW", sha.upper()) == "return ARGV[1]"
    assert "No matching script" in sha_error(first, "SCRIPT", "SHOW", "0" * 40)
    assert first.evalsha(sha.upper(), 0, "x") == "x"
    with pytest.raises(redis.exceptions.NoScriptError):
        second.evalsha(sha, 0, "x")
    second.eval("return ARGV[1]", 0, "y")
    assert second.evalsha(sha, 0, "x") == "x"
    assert second.script_flush()
    with pytest.raises(redis.exceptions.NoScriptError):
        second.evalsha(sha, 0, "x")
    assert first.evalsha(sha, 0, "x") == "x"


def test_read_only_forms_write_nothing(cluster):
    client = cluster.nodes[0].client()
    client.set("ro", "1")
    assert client.execute_command("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "ro") == "1"
    assert "Write commands are not allowed from read-only scripts" in sha_error(
        client, "EVAL_RO", "return redis.call('SET', KEYS[1], 2)", 1, "ro")
    assert "Write commands are not allowed" in sha_error(
        client, "EVAL", "#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 2)", 1, "ro")
    assert client.get("ro") == "1"


def test_scripts_in_transactions_and_pipelines(cluster):
    client = cluster.nodes[0].client()
    script = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
    sha = client.script_load(script)
    with client.pipeline(transaction=True) as pipe:
        pipe.set("{t}n", 1)
        pipe.evalsha(sha, 1, "{t}n", 5)
        pipe.eval(script, 1, "{t}n", 10)
        assert pipe.execute() == [True, 6, 16]
    with client.pipeline(transaction=False) as pipe:
        for i in range(100):
            pipe.evalsha(sha, 1, f"p{i % 7}", 1)
        assert pipe.execute() == [i // 7 + 1 for i in range(100)]


def test_undeclared_keys_of_this_node_are_in_reach(cluster):
    client = cluster.nodes[0].client()
    script = """
        local id = redis.call('INCR', KEYS[1])
        for i = 1, 20 do redis.call('HSET', ARGV[1] .. i, 'id', id) end
        return id
    """
    for expected in (1, 2, 3):
        assert client.eval(script, 1, "jobs:id", "jobs:") == expected
    assert {client.hget(f"jobs:{i}", "id") for i in range(1, 21)} == {"3"}


def test_what_a_script_publishes_is_received(cluster):
    first, second = (node.client() for node in cluster.nodes[:2])
    subscriber = second.pubsub()
    subscriber.subscribe("news")
    assert subscriber.get_message(timeout=10)["type"] == "subscribe"
    first.eval("redis.call('SET', KEYS[1], 1) return redis.call('PUBLISH', 'news', ARGV[1])", 1, "published", "hello")
    message = until("the message comes", lambda: subscriber.get_message(timeout=1))
    assert message["data"] == "hello"


def test_locks_of_redis_py(cluster):
    first, second = (node.client() for node in cluster.nodes[:2])
    lock = first.lock("lock", timeout=60)
    assert lock.acquire(blocking=False)
    assert not first.lock("lock", timeout=60).acquire(blocking=False)
    assert lock.extend(60) and lock.reacquire() and lock.owned()
    lock.release()
    with pytest.raises(redis.exceptions.LockError):
        lock.release()
    until("it is free at the other node", lambda: not second.exists("lock"))
    assert second.lock("lock", timeout=60).acquire(blocking=False)


def test_registered_scripts_come_back_after_a_flush(cluster):
    client = cluster.nodes[0].client()
    add = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert add(keys=["registered"], args=[3]) == 3
    client.script_flush()
    assert add(keys=["registered"], args=[3]) == 6
    with client.pipeline() as pipe:
        add(keys=["registered"], args=[1], client=pipe)
        add(keys=["registered"], args=[1], client=pipe)
        assert pipe.execute() == [7, 8]


def test_a_script_in_a_strong_keyspace_is_one_entry_at_all_members(cluster):
    clients = [node.client() for node in cluster.nodes]
    first = clients[0]
    until("the keyspace is there", lambda: create_keyspace(first))
    script = """
        local id = redis.call('INCR', KEYS[1])
        redis.call('SADD', KEYS[2], id, math.random(1000), redis.call('TIME')[1])
        redis.call('SET', '{x}'.. 'never', 1)
    """
    assert "CROSSGROUP" in sha_error(first, "EVAL", script, 2, "s:{1}id", "s:{1}set")
    script = """
        local id = redis.call('INCR', KEYS[1])
        redis.call('SADD', KEYS[2], id, math.random(1000))
        redis.call('HSET', string.sub(KEYS[1], 1, 5) .. ':job' .. id, 'at', redis.call('TIME')[1], 'pop', redis.call('SPOP', KEYS[2]))
        return id
    """
    sha = first.script_load(script)
    for i in range(2, 32):
        assert first.evalsha(sha, 2, "s:{1}id", "s:{1}set") == i
    with pytest.raises(redis.exceptions.NoScriptError):
        clients[1].evalsha(sha, 2, "s:{1}id", "s:{1}set")
    assert clients[1].eval(script, 2, "s:{1}id", "s:{1}set") == 32
    assert clients[2].execute_command("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "s:{1}id") == "32"
    with first.pipeline(transaction=True) as pipe:
        pipe.get("s:{1}id")
        pipe.evalsha(sha, 2, "s:{1}id", "s:{1}set")
        pipe.evalsha("0" * 40, 1, "s:{1}id")
        replies = pipe.execute(raise_on_error=False)
    assert replies[:2] == ["32", 33] and isinstance(replies[2], redis.exceptions.NoScriptError)
    jobs = [[client.execute_command("EVEN.WITH", "ONE", "HGETALL", f"s:{{1}}:job{i}") for i in range(2, 34)]
            for client in clients]
    until("all members have applied it all", lambda: all(
        client.execute_command("EVEN.WITH", "ONE", "GET", "s:{1}id") == "33" for client in clients))
    jobs = [[client.execute_command("EVEN.WITH", "ONE", "HGETALL", f"s:{{1}}:job{i}") for i in range(2, 34)]
            for client in clients]
    assert jobs[0] == jobs[1] == jobs[2] and all(jobs[0])


def create_keyspace(client):
    try:
        return client.execute_command("EVEN.KEYSPACE", "CREATE", "scripted", "PREFIX", "s:", "MODE", "STRONG")
    except redis.ResponseError as error:
        return "already" in str(error)


def test_a_runaway_script_in_a_strong_keyspace_ends_by_itself(cluster):
    client = cluster.nodes[0].client()
    until("the keyspace is there", lambda: create_keyspace(client))
    error = sha_error(client, "EVAL", "redis.call('SET', KEYS[1], 1) while true do pcall(error) end", 1, "s:runs")
    assert "more instructions" in error or "UNCERTAIN" in error
    until("it is served again", lambda: client.get("s:runs") == "1")


@pytest.mark.parametrize("shards", [1, 2])
def test_a_script_that_runs_away_is_killed_and_others_are_told(make_cluster, shards):
    node = make_cluster(nodes=1, replicas=1, options={"node.shards": shards}).nodes[0]
    # What is sent to another thread before the time is up waits on: then it is asked anew.
    others = [node.client(socket_timeout=3) for _ in range(4)]
    for client in others:
        client.ping()
        client.config_set("busy-reply-threshold", 50)
    assert others[0].config_get("lua-time-limit") == {"lua-time-limit": "50"}
    with pytest.raises(redis.ResponseError, match="NOTBUSY"):
        others[0].script_kill()
    outcome = []

    def run():
        try:
            outcome.append(node.client(socket_timeout=None).eval("while true do pcall(error) end", 1, "k"))
        except redis.ResponseError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()

    def is_busy(client):
        try:
            client.get("k")
        except redis.ResponseError as error:
            return "busy running a script" in str(error)
        except redis.exceptions.TimeoutError:
            pass
        return False

    for client in others:
        until("it is told", lambda client=client: is_busy(client))
    # What comes between MULTI and EXEC meanwhile is not executed one by one in the end.
    half = node.client().connection_pool.get_connection("_")
    half.send_command("MULTI")
    half.read_response()
    half.send_command("APPEND", "half", "x")
    try:
        half.read_response()
    except redis.ResponseError as error:
        assert "busy running a script" in str(error)
    assert node.client().script_kill()  # of a client that has just come
    thread.join(20)
    half.send_command("EXEC")
    try:
        assert half.read_response() == [1]  # of a thread that was free
    except redis.ResponseError as error:
        assert "EXECABORT" in str(error) or "previous errors" in str(error)
        assert others[0].get("half") is None
    assert len(outcome) == 1 and "Script killed by user" in outcome[0]
    assert all(client.get("k") is None for client in others)


def test_a_watch_that_was_refused_is_not_taken_for_one_that_holds(make_cluster):
    node = make_cluster(nodes=1, replicas=1, options={"node.shards": 1}).nodes[0]
    admin = node.client()
    admin.config_set("busy-reply-threshold", 50)
    watching, unwatching, nested = (node.client().connection_pool.get_connection("_") for _ in range(3))

    def ask(connection, *words):
        connection.send_command(*words)
        try:
            return connection.read_response()
        except redis.ResponseError as error:
            return str(error)

    assert ask(nested, "MULTI") == "OK"
    thread = threading.Thread(target=lambda: sha_error(node.client(socket_timeout=None), "EVAL", "while true do end", 0))
    thread.start()
    until("it is busy", lambda: "busy running a script" in str(ask(unwatching, "GET", "k")))
    assert "busy running a script" in ask(watching, "WATCH", "k")
    assert "busy running a script" in ask(unwatching, "WATCH", "k")
    assert ask(unwatching, "UNWATCH") == "OK"
    assert "WATCH inside MULTI" in ask(nested, "WATCH", "k")
    assert node.client().script_kill()
    thread.join(20)
    for connection in (watching, unwatching):
        assert ask(connection, "MULTI") == "OK"
    for connection in (watching, unwatching, nested):
        assert ask(connection, "APPEND", "k", "x") == "QUEUED"
    assert ask(watching, "EXEC") is None
    assert admin.get("k") is None
    assert ask(unwatching, "EXEC") == [1]
    assert ask(nested, "EXEC") == [2], "as in Redis"
    # It has been for that one EXEC.
    assert ask(watching, "MULTI") == "OK" and ask(watching, "APPEND", "k", "x") == "QUEUED" and ask(watching, "EXEC") == [3]


def test_a_script_that_has_written_is_not_killed(make_cluster):
    node = make_cluster(nodes=1, replicas=1, options={"node.shards": 1}).nodes[0]
    client, other = node.client(socket_timeout=None), node.client()
    other.config_set("busy-reply-threshold", 10)
    script = """
        redis.call('SET', KEYS[1], 1)
        for i = 1, ARGV[1] do local x = i * 2 end
        return redis.call('INCR', KEYS[1])
    """
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(client.eval(script, 1, "k", 300_000_000)))
    thread.start()

    def refused():
        try:
            other.script_kill()
        except redis.ResponseError as error:
            return "UNKILLABLE" in str(error)
        return False

    until("it is refused", refused)
    thread.join(60)
    assert outcome == [2] and other.get("k") == "2"


def test_a_script_goes_to_a_node_that_holds_its_keys(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1, partitions=16)
    with cluster["n1"].client() as one:
        for number in range(20):
            key = f"k:{number}"
            assert one.eval("return redis.call('set', KEYS[1], ARGV[1])", 1, key, number) == "OK"
            script = one.script_load("return redis.call('get', KEYS[1])")
            assert one.evalsha(script, 1, key) == str(number)
            assert one.execute_command("EVAL_RO", "return redis.call('get', KEYS[1])", 1, key) == str(number)
