"""Users and what they may do, from clients: on all nodes, in all ways that a command takes, and over restarts."""

import hashlib
import shutil
import stat

import pytest
import redis

from even_cluster import connect, until


# As the library has it of NOAUTH and of WRONGPASS.
NOT_LOGGED_IN = (redis.AuthenticationError, redis.ResponseError)


def refused(call, *texts):
    """Expects an error with these texts in it."""
    with pytest.raises(redis.ResponseError) as raised:
        call()
    text = f"{getattr(raised.value, 'status_code', '')}{raised.value}"
    for part in texts:
        assert part in text, f"'{part}' is not in '{text}'"


def set_user(node, *words):
    """Once the nodes have founded the group that has the users."""
    with node.client() as client:
        assert until("the user is set", lambda: tried(client, "ACL", "SETUSER", *words)) == "OK"


def tried(client, *words):
    try:
        return client.execute_command(*words)
    except redis.ResponseError as error:
        if "UNAVAILABLE" in str(error) or "TRYAGAIN" in str(error) or "PARTIAL" in str(error):
            return None
        raise


def alice(node, **options):
    return node.client(username="alice", password="secret", **options)


def test_a_user_is_one_at_all_nodes(cluster):
    first, second, third = cluster.nodes
    set_user(first, "alice", "on", ">secret", "~a:*", "%R~shared", "&news", "+@read", "+@write", "+@pubsub", "+@connection", "-@dangerous", "+acl|whoami")
    for node in cluster.nodes:
        with alice(node) as client, node.client() as admin:
            assert client.acl_whoami() == "alice"
            assert client.set("a:1", node.name)
            assert client.get("a:1") == node.name
            refused(lambda: client.get("b"), "access one of the keys")
            refused(lambda: client.set("shared", "x"), "access one of the keys")
            assert client.get("shared") is None
            refused(lambda: client.config_get("x"), "'config|get'")
            refused(lambda: client.keys("*"), "'keys'")
            refused(lambda: client.publish("other", "m"), "one of the channels")
            assert client.publish("news", "m") == 0
            assert any(each["user"] == "alice" for each in admin.client_list())
        with pytest.raises(NOT_LOGGED_IN):
            node.client(username="alice", password="wrong").ping()
    # A right that is taken away is gone for connections that there are, at other nodes as well.
    with alice(third) as client:
        assert client.get("a:1")
        set_user(second, "alice", "-get")
        refused(lambda: client.get("a:1"), "'get'")
    listed = [[line for line in node.client().acl_list() if "alice" in line] for node in cluster.nodes]
    assert listed[0] == listed[1] == listed[2] and "secret" not in str(listed)


def test_what_emits_events_writes_and_what_fetches_them_reads(cluster):
    first = cluster.nodes[0]
    set_user(first, "alice", "on", ">secret", "~*", "+@all", "-@write", "-@admin", "-@dangerous")
    with alice(first, single_connection_client=True) as client:
        refused(lambda: client.set("k", 1), "'set'")
        refused(lambda: client.execute_command("EVEN.EMIT", "t", "k", "v"), "'even.emit'")
        client.execute_command("MULTI")
        refused(lambda: client.execute_command("EVEN.EMIT", "t", "k", "v"), "'even.emit'")
    set_user(first, "alice", "-@read")
    with alice(first) as client:
        refused(lambda: client.execute_command("EVEN.FETCH", "t", 0, 0), "'even.fetch'")


def test_the_value_of_set_is_none_of_its_options(cluster):
    set_user(cluster.nodes[0], "alice", "on", ">secret", "%W~k", "+set")
    with alice(cluster.nodes[0]) as client:
        assert client.set("k", "get")
        refused(lambda: client.execute_command("SET", "k", "x", "GET"), "access one of the keys")


def test_users_outlive_restarts(cluster):
    first, second, third = cluster.nodes
    set_user(first, "alice", "on", ">secret", "allkeys", "+@all", "-flushall")
    set_user(first, "default", "resetpass", ">master")
    third.kill9()
    with first.client(password="master") as admin:
        assert until("the user is set", lambda: tried(admin, "ACL", "SETUSER", "bob", "on", "nopass", "+ping")) == "OK"
    third.start()
    with pytest.raises(NOT_LOGGED_IN):
        third.client().get("k")
    until("n3 has what was set meanwhile", lambda: third.client(password="master").execute_command("ACL", "GETUSER", "bob"))
    assert third.client(username="bob", password="any").ping()
    for node in cluster.nodes:
        node.stop()
    for node in cluster.nodes:
        node.start(wait=False)
    for node in cluster.nodes:
        node.wait_ready()
    for node in cluster.nodes:
        with pytest.raises(NOT_LOGGED_IN):
            node.client().get("k")
        with alice(node) as client:
            assert client.set("k", "v")
            refused(client.flushall, "'flushall'")
        assert node.client(password="master").acl_users() == ["alice", "bob", "default"]


def test_connections_of_a_user_that_is_deleted_are_closed(cluster):
    first, second, third = cluster.nodes
    set_user(first, "alice", "on", ">secret", "+@all", "allkeys", "allchannels")
    idle, waiting, listening = alice(second), alice(third), alice(third)
    assert idle.ping()
    channel = listening.pubsub()
    channel.subscribe("c")
    assert channel.get_message(timeout=10)["type"] == "subscribe"
    connection = waiting.connection_pool.get_connection("BLPOP")
    connection.send_command("BLPOP", "k", 0)
    until("it waits", lambda: any(each["cmd"] == "blpop" and "b" in each["flags"] for each in third.client().client_list()))
    assert first.client().acl_deluser("alice") == 1
    assert first.client().acl_deluser("alice") == 0
    until("no connection of it is left",
          lambda: not any(each["user"] == "alice" for node in cluster.nodes for each in node.client().client_list()))
    with pytest.raises(redis.ConnectionError):
        connection.read_response()
    with pytest.raises(NOT_LOGGED_IN):
        alice(first).ping()


def test_what_is_under_way_ends_with_the_right_to_it(cluster):
    first, second, third = cluster.nodes
    set_user(first, "alice", "on", ">secret", "+@all", "allkeys", "allchannels")
    waiting, listening = alice(second), alice(third)
    connection = waiting.connection_pool.get_connection("BLPOP")
    connection.send_command("BLPOP", "k", 0)
    channel = listening.pubsub()
    channel.psubscribe("c*")
    assert channel.get_message(timeout=10)["type"] == "psubscribe"
    transaction = alice(second).connection_pool.get_connection("MULTI")
    for words in (("MULTI",), ("SET", "k2", "v")):
        transaction.send_command(*words)
        transaction.read_response()
    until("it waits", lambda: any(each["cmd"] == "blpop" and "b" in each["flags"] for each in second.client().client_list()))
    set_user(first, "alice", "resetkeys", "~other", "resetchannels", "&d")
    with pytest.raises(redis.ResponseError) as raised:
        connection.read_response()
    assert "access one of the keys" in str(raised.value)
    transaction.send_command("EXEC")
    with pytest.raises(redis.ResponseError) as raised:
        transaction.read_response()
    assert "ACLs rules changed" in str(raised.value)
    assert first.client().exists("k2") == 0
    # The library connects again, and may not subscribe any more.
    with pytest.raises((redis.ConnectionError, redis.ResponseError)):
        while True:
            channel.get_message(timeout=20)


def test_scripts_are_checked_wherever_they_are_executed(make_cluster):
    # Of some keys a node has no replica: its requests about them are forwarded.
    cluster = make_cluster(replicas=2)
    with cluster.nodes[0].client() as admin:
        assert until("the keyspace is there", lambda: tried(admin, "EVEN.KEYSPACE", "CREATE", "strong", "PREFIX", "a:s:", "MODE", "STRONG"))
    set_user(cluster.nodes[0], "alice", "on", ">secret", "~a:*", "+@all", "-incr")
    script = "return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))"
    for node in cluster.nodes:
        with alice(node) as client:
            for key in [f"a:{i}" for i in range(12)] + [f"a:s:{i}" for i in range(6)]:
                assert client.eval(script, 1, key, "set", "v") == "OK"
                assert client.eval_ro(script, 1, key, "get") == "v"
                refused(lambda: client.eval(script, 1, key, "incr"), "can't run this command")
                refused(lambda: client.eval("return redis.call('get', 'b')", 1, key), "can't access at least one of the keys")
                assert client.eval("return redis.acl_check_cmd('get', KEYS[1])", 1, key) == 1
                assert client.eval("return redis.acl_check_cmd('get', 'b')", 1, key) is None
                sha = client.script_load(script)
                refused(lambda: client.evalsha(sha, 1, key, "incr"), "can't run this command")
            refused(lambda: client.eval(script, 1, "b", "get"), "access one of the keys")
            with client.pipeline(transaction=True) as transaction:
                transaction.eval(script, 1, "a:s:1", "set", "w")
                transaction.eval(script, 1, "a:s:1", "incr")
                first, second = transaction.execute(raise_on_error=False)
                assert first == "OK" and "can't run this command" in str(second)
    # A client cannot give itself the rights of another.
    with alice(cluster.nodes[0]) as client:
        refused(lambda: client.execute_command("even.as", "x on ~* &* +@all", "eval", "return redis.call('get','b')", 0), "unknown command")


def test_what_was_refused_is_in_the_log_of_the_node(cluster):
    node = cluster.nodes[0]
    set_user(node, "alice", "on", ">secret", "~a:*", "+@all", "-@admin")
    with alice(node) as client, node.client() as admin:
        assert admin.acl_log_reset()
        for _ in range(3):
            refused(lambda: client.get("b"), "access one of the keys")
        refused(lambda: client.eval("return redis.call('get', 'b')", 0), "can't access")
        with pytest.raises(NOT_LOGGED_IN):
            node.client(username="alice", password="guess").ping()
        entries = admin.acl_log()
        assert [(each["reason"], each["context"], each["object"], each["count"]) for each in entries] == [
            ("auth", "toplevel", "AUTH", 1), ("key", "lua", "b", 1), ("key", "toplevel", "b", 3)]
        assert "guess" not in str(entries)
        assert cluster.nodes[1].client().acl_log() == []


def test_the_default_user_has_the_password_of_the_configuration_until_it_is_changed(make_cluster):
    cluster = make_cluster(nodes=1, replicas=1, options={"client.password": "configured"})
    node = cluster.nodes[0]
    with node.client(password="configured") as admin:
        assert "#" in admin.acl_list()[0] and "configured" not in admin.acl_list()[0]
        assert admin.config_set("requirepass", "second")
    with node.client(password="second") as admin:
        assert until("it is set", lambda: tried(admin, "ACL", "SETUSER", "default", ">third"))
        assert node.client(password="second").ping() and node.client(password="third").ping()
        assert admin.config_set("requirepass", "fourth")
        for password in ("second", "third"):
            with pytest.raises(NOT_LOGGED_IN):
                node.client(password=password).ping()
    node.stop()
    node.start()
    with pytest.raises(NOT_LOGGED_IN):
        node.client(password="configured").ping()
    assert node.client(password="fourth").ping()


def test_who_has_not_logged_in_is_who_default_lets_in_now(make_cluster):
    node = make_cluster(nodes=1, replicas=1, options={"client.password": "configured"}).nodes[0]
    stranger, replies = connect(node)
    with node.client(password="configured") as admin, stranger:
        def asks():
            stranger.sendall(b"PING\r\n")
            return replies.readline()

        assert asks().startswith(b"-NOAUTH")
        assert until("it is set", lambda: tried(admin, "ACL", "SETUSER", "default", "nopass"))
        until("who was connected is let in", lambda: asks() == b"+PONG\r\n")


def test_users_are_saved_to_a_file_and_loaded_from_it(make_cluster, tmp_path):
    file = tmp_path / "users.acl"
    cluster = make_cluster(options={"client.acl_file": str(file)})
    first, second, third = cluster.nodes
    set_user(first, "alice", "on", ">secret", "~a:*", "+get", "(+set ~b)")
    with first.client() as admin:
        assert admin.config_get("aclfile") == {"aclfile": str(file)}
        assert admin.acl_save()
        assert "secret" not in file.read_text() and "(~b resetchannels -@all +set)" in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_text(file.read_text() + "# a comment\n\nuser bob on >pw +ping\n")
        assert admin.acl_deluser("alice") == 1
        assert admin.acl_load()
    assert second.client(username="bob", password="pw").ping()
    refused(lambda: alice(third).get("x"), "access one of the keys")
    assert third.client().acl_users() == ["alice", "bob", "default"]
    file.write_text("user carol on +nosuch\nnonsense\n")
    refused(lambda: first.client().acl_load(), "users.acl:1", "users.acl:2", "no change")
    assert first.client().acl_users() == ["alice", "bob", "default"]


def test_a_node_that_is_cut_off_goes_on_with_the_users_that_it_has(cluster):
    first, second, third = cluster.nodes
    set_user(first, "alice", "on", ">secret", "allkeys", "+@all")
    cluster.isolate("n3")
    assert alice(third).set("k", "v")
    # If it led the metadata group, it does not know what has become of what it has proposed.
    with pytest.raises(redis.ResponseError, match="UNAVAILABLE|UNCERTAIN"):
        third.client().execute_command("ACL", "SETUSER", "alice", "-set")
    with first.client() as admin:
        assert until("the others go on", lambda: tried(admin, "ACL", "SETUSER", "alice", "-set"))
    refused(lambda: alice(second).set("k", "w"), "'set'")
    cluster.rejoin("n3")
    until("n3 has learned of it", lambda: third.client().execute_command("ACL", "DRYRUN", "alice", "set", "k", "v") != "OK")


def test_passwords_are_in_no_log(cluster):
    first = cluster.nodes[0]
    with first.client() as admin:
        admin.config_set("slowlog-log-slower-than", 0)
        set_user(first, "alice", "on", ">topsecret", "allkeys", "+@all")
        first.client(username="alice", password="topsecret").ping()
        assert "topsecret" not in str(admin.slowlog_get(100))
    for node in cluster.nodes:
        assert "topsecret" not in node.log.read_text()
        node.stop()
        for file in node.data.rglob("*"):
            if file.is_file():
                assert b"topsecret" not in file.read_bytes(), file
        node.start(wait=False)
    for node in cluster.nodes:
        node.wait_ready()


def test_a_user_that_is_made_anew_is_not_the_one_that_was_deleted(cluster):
    first, second, third = cluster.nodes
    set_user(first, "alice", "on", ">secret", "allkeys", "+@all")
    set_user(first, "bob", "on", ">secret", "allkeys", "+@all")
    with alice(third, single_connection_client=True) as old, third.client(username="bob", password="secret", single_connection_client=True) as bob:
        assert old.ping() and bob.ping()
        cluster.isolate("n3")
        with first.client() as admin:
            assert until("alice is deleted", lambda: tried(admin, "ACL", "DELUSER", "alice")) == 1
            set_user(first, "alice", "on", ">another", "allkeys", "+@all")
            set_user(first, "bob", "reset", "on", ">another", "+ping")
        cluster.rejoin("n3")
        until("n3 has learned of it", lambda: "another" in password_of(third, "alice"))
        with pytest.raises(redis.ConnectionError):
            old.connection.send_command("PING")
            old.connection.read_response()
        # Who has only been changed stays.
        assert bob.ping()
        refused(lambda: bob.get("x"), "'get'")
    assert third.client(username="alice", password="another").ping()


def password_of(node, name):
    """Which of those that the tests give."""
    hashes = {hashlib.sha256(word.encode()).hexdigest(): word for word in ("secret", "another")}
    with node.client() as client:
        user = client.acl_getuser(name)
    return [hashes[each] for each in user["passwords"]] if user else []


def test_a_node_that_cannot_read_its_users_lets_nobody_in(make_cluster):
    cluster = make_cluster(nodes=1, replicas=1)
    node = cluster.nodes[0]
    set_user(node, "alice", "on", ">secret", "allkeys", "+@all")
    set_user(node, "default", "off")
    node.stop()
    assert damage(node) > 0
    node.start(wait=False)
    until("it says so", lambda: "does not know the cluster's users" in node.log.read_text())
    until("it takes clients", lambda: answers(node))
    for words in (("GET", "k"), ("AUTH", "x"), ("AUTH", "alice", "secret"), ("AUTH", "default", ""), ("HELLO", "3"),
                  ("HELLO", "3", "AUTH", "alice", "secret"), ("ACL", "LIST")):
        with node.client(single_connection_client=True) as client:
            refused(lambda: client.execute_command(*words), "UNAVAILABLE", "does not know the cluster's users", "cannot be read")
    code, text = node.http("/readyz")
    assert code == 503 and "users" in text
    assert node.metric("even_users_known") == 0
    # The way back in, with what the node has.
    node.kill9()
    node.start(wait=False, arguments=("--set", "client.override_default=true", "--set", "client.password=rescue"))
    until("it takes clients", lambda: answers(node))
    for options in ({}, {"password": "wrong"}):
        with pytest.raises(NOT_LOGGED_IN):
            node.client(**options).ping()
    assert node.client(password="rescue").ping()
    refused(lambda: node.client(single_connection_client=True).execute_command("AUTH", "alice", "secret"), "UNAVAILABLE")


def answers(node):
    try:
        with node.client() as client:
            client.ping()
    except NOT_LOGGED_IN:
        return True
    except redis.ConnectionError:
        return False
    return True


def damage(node):
    """In the first block of all files of rows; returns of how many files."""
    files = list((node.data / "store").glob("*.sst"))
    for path in files:
        content = bytearray(path.read_bytes())
        content[100] ^= 0x10
        path.write_bytes(content)
    return len(files)


def test_a_node_with_an_empty_directory_lets_nobody_in_until_it_knows_the_users(cluster):
    first, second, third = cluster.nodes
    set_user(first, "default", "resetpass", ">master")
    third.stop()
    shutil.rmtree(third.data)
    third.data.mkdir()
    second.kill9()
    # There is no majority that could give it anything.
    third.start(wait=False)
    until("it has heard of the others' group", lambda: "does not know the cluster's users" in third.log.read_text())
    for words in (("GET", "k"), ("AUTH", "master")):
        refused(lambda: third.client(single_connection_client=True).execute_command(*words), "UNAVAILABLE")
    second.start(wait=False)
    until("it knows them", lambda: third.http("/readyz")[0] == 200, 60)
    with pytest.raises(NOT_LOGGED_IN):
        third.client().get("k")
    assert third.client(password="master").ping()


def test_who_has_locked_everybody_out_gets_back_in_by_the_configuration(make_cluster):
    cluster = make_cluster()
    first, second, third = cluster.nodes
    set_user(first, "default", "off")
    for node in cluster.nodes:
        with pytest.raises(NOT_LOGGED_IN):
            node.client().ping()
    second.stop()
    second.start(arguments=("--set", "client.override_default=true", "--set", "client.password=rescue"))
    with pytest.raises(NOT_LOGGED_IN):
        second.client().ping()
    with second.client(password="rescue") as admin:
        # What the cluster has stays as it is, and is shown.
        assert until("the users are known", lambda: [line for line in admin.acl_list() if line.startswith("user default off")])
        assert until("it is set", lambda: tried(admin, "ACL", "SETUSER", "default", "on", "resetpass", ">master")) == "OK"
        assert admin.set("k", "v")
        with pytest.raises(NOT_LOGGED_IN):
            second.client(password="master").ping()
    for node in (first, third):
        assert node.client(password="master").ping()
        with pytest.raises(NOT_LOGGED_IN):
            node.client(password="rescue").ping()
    second.stop()
    second.start()
    assert second.client(password="master").get("k") == "v"


def test_a_node_with_an_empty_directory_lets_nobody_in_before_it_has_heard_of_another(make_cluster):
    cluster = make_cluster(nodes=2)
    alone, other = cluster.nodes
    for node in cluster:
        node.kill9()
    shutil.rmtree(alone.data)
    alone.data.mkdir()
    alone.start(wait=False)

    def answer():
        try:
            with alone.client() as client:
                return client.set("k", 1)
        except redis.ConnectionError:
            return None
        except redis.ResponseError as error:
            return str(error)
    assert "it has heard of no other node yet" in str(until("an answer", answer))
    other.start()
    assert until("it lets clients in", lambda: answer() is True)
