"""FUNCTION and FCALL, from clients: a library is one at all nodes, and its functions are executed where their keys are."""

import pytest
import redis

from even_cluster import until

LIBRARY = """#!lua name=counting
local calls = 0
redis.register_function('count', function(keys, args)
  calls = calls + 1
  return {redis.call('INCRBY', keys[1], args[1]), calls}
end)
redis.register_function{function_name = 'look', description = 'reads', flags = {'no-writes'},
                        callback = function(keys) return redis.call('GET', keys[1]) end}
redis.register_function('fails', function() error('on purpose') end)
"""


def tried(client, *words):
    try:
        return client.execute_command(*words)
    except redis.ResponseError as error:
        if "UNAVAILABLE" in str(error) or "TRYAGAIN" in str(error) or "PARTIAL" in str(error):
            return None
        raise


def load(node, code=LIBRARY, *options):
    with node.client() as client:
        return until("the library is loaded", lambda: tried(client, "FUNCTION", "LOAD", *options, code))


def refused(call, text):
    with pytest.raises(redis.ResponseError) as raised:
        call()
    assert text in str(raised.value)


def test_a_library_is_one_at_all_nodes(make_cluster):
    cluster = make_cluster(replicas=2)
    assert load(cluster.nodes[0]) == "counting"
    sums = {}
    for node in cluster.nodes:
        with node.client() as client:
            for i in range(12):
                key = f"{{{i}}}n"
                sums[key] = sums.get(key, 0) + 2
                until("it adds up", lambda: (client.get(key) or "0") == str(sums[key] - 2))
                assert client.fcall("count", 1, key, 2)[0] == sums[key]
                assert client.fcall_ro("look", 1, key) == str(sums[key])
            refused(lambda: client.fcall_ro("count", 1, "n", 1), "Can not execute a script with write flag")
            refused(lambda: client.fcall("fails", 0), "on purpose script: fails, on @user_function:9")
            refused(lambda: client.fcall("nosuch", 0), "Function not found")
            refused(lambda: client.execute_command("FCALL", "count", "x"), "Bad number of keys")
            listed = client.function_list("count*", withcode=True)
            assert LIBRARY in str(listed) or LIBRARY in listed[0]
    assert cluster.nodes[1].client().function_delete("counting")
    for node in cluster.nodes:
        refused(lambda: node.client().fcall("count", 1, "k", 1), "Function not found")


def test_functions_run_in_strong_keyspaces(cluster):
    with cluster.nodes[0].client() as client:
        assert until("the keyspace is there", lambda: tried(client, "EVEN.KEYSPACE", "CREATE", "strong", "PREFIX", "s:", "MODE", "STRONG"))
    load(cluster.nodes[0])
    total = 0
    for node in cluster.nodes:
        total += 5
        with node.client() as client:
            assert client.fcall("count", 1, "s:n", 5) == [total, 1], "each call has a state of its own"
            assert client.fcall_ro("look", 1, "s:n") == str(total)
            # Of a transaction in either kind of keyspace.
            for key in ("s:t", "t"):
                with client.pipeline(transaction=True) as transaction:
                    transaction.fcall("count", 1, key, 1)
                    transaction.fcall_ro("look", 1, key)
                    count, seen = transaction.execute()
                    assert str(count[0]) == seen


def test_libraries_outlive_restarts_and_are_replaced(cluster):
    first, second, third = cluster.nodes
    load(first)
    refused(lambda: load(second), "Library 'counting' already exists")
    refused(lambda: load(second, LIBRARY.replace("name=counting", "name=other")), "Function count already exists")
    for node in cluster.nodes:
        node.kill9()
    for node in cluster.nodes:
        node.start(wait=False)
    for node in cluster.nodes:
        node.wait_ready()
    until("all know it", lambda: all(tried(node.client(), "FUNCTION", "LIST") for node in cluster.nodes))
    assert third.client().fcall("count", 1, "n", 1)[0] == 1
    load(third, "#!lua name=counting\nredis.register_function('count', function() return 'new' end)", "REPLACE")
    for node in cluster.nodes:
        assert node.client().fcall("count", 1, "n", 1) == "new"
        refused(lambda: node.client().fcall("look", 1, "n"), "Function not found")


def test_libraries_are_dumped_and_restored(cluster):
    first, second, _ = cluster.nodes
    load(first)
    with first.client(decode_responses=False) as client:
        payload = client.function_dump()
        refused(lambda: client.function_restore(payload), "already exists")
        refused(lambda: client.function_restore(payload[:-1] + b"x"), "version or checksum")
        assert client.function_flush()
        assert client.function_list() == []
        assert client.function_restore(payload)
        assert client.function_restore(payload, "REPLACE")
        assert client.function_restore(payload, "FLUSH")
    assert second.client().fcall("count", 1, "n", 1)[0] == 1


def test_a_function_is_checked_as_its_caller(cluster):
    load(cluster.nodes[0])
    with cluster.nodes[0].client() as client:
        assert client.execute_command("ACL", "SETUSER", "alice", "on", ">pw", "~n*", "+@scripting", "+get", "-function")
    for node in cluster.nodes:
        with node.client(username="alice", password="pw") as client:
            assert client.fcall_ro("look", 1, "n1") is None
            refused(lambda: client.fcall("count", 1, "n1", 1), "can't run this command")
            refused(lambda: client.fcall_ro("look", 1, "other"), "access one of the keys")
            refused(lambda: client.function_list(), "'function|list'")


def test_functions_are_called_by_name_only_and_scripts_stay_within_bounds(cluster):
    with cluster["n1"].client() as client:
        library = "#!lua name=bounds\nredis.register_function('bounds', function() return 1 end)"
        for call in (lambda: client.eval("#!function bounds\n" + library, 0),
                     lambda: client.script_load("#!function bounds\n" + library)):
            with pytest.raises(redis.ResponseError, match="Unexpected engine in script shebang"):
                call()
        long = ("#!lua name=long\nlocal text = string.rep('x', 600000)\nfor i = 1, 2 do redis.register_function{"
                "function_name = 'f' .. i, description = text, callback = function() end} end")
        with pytest.raises(redis.ResponseError, match="too long"):
            client.function_load(long)
        # A command without all of its words, of a user who has no channels.
        client.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all")
        client.execute_command("AUTH", "limited", "secret")
        for command in ("publish", "spublish"):
            with pytest.raises(redis.ResponseError, match="Invalid command"):
                client.eval(f"return redis.acl_check_cmd('{command}')", 0)
        assert client.eval("return tostring(redis.acl_check_cmd('publish', 'c', 'm'))", 0) == "false"
