"""Commands over several keys, bitmaps, HyperLogLogs, positions and payloads, on whole clusters with redis-py."""

import pytest
import redis

from even_cluster import until


def everywhere(cluster, question):
    """What every node answers; fails unless all answer the same."""
    answers = []
    for node in cluster:
        with node.client() as client:
            answers.append(question(client))
    assert all(answer == answers[0] for answer in answers), answers
    return answers[0]


def test_sets_of_several_partitions_are_put_together_at_any_node(cluster):
    a, b = cluster["n1"].client(), cluster["n2"].client()
    for i in range(8):
        a.sadd(f"s{i}", *(str(n) for n in range(i, 100, i + 1)))
    cluster.wait_converged()
    keys = [f"s{i}" for i in range(8)]
    members = [{str(n) for n in range(i, 100, i + 1)} for i in range(8)]
    assert b.sunion(keys) == set().union(*members)
    assert b.sinter(keys) == set.intersection(*members)
    assert b.sdiff(keys) == members[0].difference(*members[1:])
    assert b.sunionstore("all", keys) == 100
    assert b.sinterstore("all2", ["all", "s3"]) == len(members[3])
    assert b.smove("s3", "moved", "3") is True
    cluster.wait_converged()
    assert everywhere(cluster, lambda c: c.scard("all")) == 100
    assert everywhere(cluster, lambda c: c.smembers("all2")) == members[3]
    assert everywhere(cluster, lambda c: (c.sismember("s3", "3"), c.smembers("moved"))) == (0, {"3"})


def test_a_key_of_each_type_is_renamed_and_copied_with_its_expiry(cluster):
    client = cluster["n1"].client()
    client.set("string", "v")
    client.incrby("number", 7)
    client.hset("hash", mapping={f"f{i}": i for i in range(300)})
    client.sadd("set", *range(300))
    client.zadd("zset", {f"m{i}": i / 2 for i in range(300)})
    client.rpush("list", *range(300))
    keys = ["string", "number", "hash", "set", "zset", "list"]
    for key in keys:
        client.expire(key, 5000)
        assert client.copy(key, key + ":copy")
        assert client.rename(key, key + ":new")
    cluster.wait_converged()
    for key in keys:
        assert everywhere(cluster, lambda c: c.exists(key)) == 0
        for name in (key + ":copy", key + ":new"):
            assert everywhere(cluster, lambda c: 4900 < c.ttl(name) <= 5000)
    for suffix in (":copy", ":new"):
        assert everywhere(cluster, lambda c: c.get("number" + suffix)) == "7"
        assert everywhere(cluster, lambda c: c.hgetall("hash" + suffix)) == {f"f{i}": str(i) for i in range(300)}
        assert everywhere(cluster, lambda c: c.lrange("list" + suffix, 0, -1)) == [str(i) for i in range(300)]
        assert everywhere(cluster, lambda c: c.zrange("zset" + suffix, 0, -1)) == [f"m{i}" for i in range(300)]
        assert everywhere(cluster, lambda c: c.scard("set" + suffix)) == 300
    with pytest.raises(redis.ResponseError, match="no such key"):
        client.rename("absent", "x")


def test_both_sides_of_a_cut_add_to_a_hyper_log_log_and_rename_a_key(cluster):
    a, b = cluster["n1"].client(), cluster["n3"].client()
    a.pfadd("h", *(f"common{i}" for i in range(500)))
    a.sadd("old", "x")
    cluster.wait_converged()

    cluster.isolate("n3")
    a.pfadd("h", *(f"a{i}" for i in range(500)))
    b.pfadd("h", *(f"b{i}" for i in range(500)))
    a.rename("old", "new")
    b.sadd("old", "y")
    assert cluster.differences(), "the cut did not hold: n3 has what n1 wrote"
    cluster.rejoin("n3")
    cluster.wait_converged()

    a.pfadd("together", *(f"{name}{i}" for name in ("common", "a", "b") for i in range(500)))
    cluster.wait_converged()
    assert everywhere(cluster, lambda c: c.pfcount("h")) == a.pfcount("together")
    assert everywhere(cluster, lambda c: (c.smembers("old"), c.smembers("new"))) == ({"y"}, {"x"})
    # The next one that writes keeps the union.
    b.pfadd("h", "one more")
    a.pfadd("together", "one more")
    cluster.wait_converged()
    assert everywhere(cluster, lambda c: c.pfcount("h")) == a.pfcount("together")


def test_keys_are_the_same_after_all_nodes_were_killed(cluster):
    client = cluster["n2"].client(decode_responses=False)
    client.setbit("bits", 1000, 1)
    client.bitfield("bits").set("u8", 0, 200).execute()
    client.pfadd("h", *range(1000))
    client.geoadd("g", [13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"])
    client.rpush("l", 3, 1, 2)
    client.sort("l", store="sorted")
    client.restore("restored", 0, client.dump("g"))
    questions = [lambda c: c.get("bits"), lambda c: c.pfcount("h"), lambda c: c.lrange("sorted", 0, -1),
                 lambda c: c.geosearch("restored", longitude=15, latitude=37, radius=200, unit="km", sort="ASC")]
    before = [question(client) for question in questions]
    assert before[2] == [b"1", b"2", b"3"] and before[3] == [b"Catania", b"Palermo"]
    cluster.wait_converged()
    cluster.kill()
    cluster.start()
    cluster.wait_converged()
    for node in cluster:
        with node.client(decode_responses=False) as other:
            assert [question(other) for question in questions] == before, node


def served(client):
    try:
        return client.exists("s:{t}a") == 0
    except redis.ResponseError:
        return False


def test_commands_over_several_keys_of_a_strong_keyspace_need_one_group(cluster):
    client = cluster["n1"].client()
    client.execute_command("EVEN.KEYSPACE", "CREATE", "strong", "PREFIX", "s:", "MODE", "STRONG")
    until("the keyspace serves", lambda: served(client))
    client.sadd("s:{t}a", "x", "y")
    client.sadd("s:{t}b", "y", "z")
    assert client.sinterstore("s:{t}c", ["s:{t}a", "s:{t}b"]) == 1
    assert client.rename("s:{t}c", "s:{t}d")
    assert cluster["n3"].client().smembers("s:{t}d") == {"y"}
    assert client.copy("s:{t}d", "s:{t}e")
    assert client.pfadd("s:h", "a", "b") == 1 and client.pfcount("s:h") == 2
    assert client.setbit("s:bits", 7, 1) == 0 and client.bitcount("s:bits") == 1
    client.rpush("s:list", 2, 1)
    assert client.sort("s:list") == ["1", "2"]
    for command in (["SUNION", "s:{t}a", "plain"], ["RENAME", "s:{t}a", "plain"], ["COPY", "plain", "s:{t}f"]):
        with pytest.raises(redis.ResponseError, match="CROSSGROUP"):
            client.execute_command(*command)
    with pytest.raises(redis.ResponseError, match="CROSSSLOT"):
        client.sort("s:list", by="w_*")


def test_keys_of_several_nodes_are_led_to_one_that_has_them_or_refused(make_cluster):
    cluster = make_cluster(nodes=3, replicas=1, partitions=16)
    with cluster["n1"].client() as first, cluster["n2"].client() as second:
        refused = 0
        for i in range(20):
            first.sadd(f"{{t{i}}}a", "x", "y")
            first.rpush(f"{{t{i}}}l", 2, 1)
            for client in (first, second):
                assert client.sinterstore(f"{{t{i}}}b", [f"{{t{i}}}a"]) == 2
                assert client.copy(f"{{t{i}}}b", f"{{t{i}}}c", replace=True)
                assert client.rename(f"{{t{i}}}c", f"{{t{i}}}d")
                assert client.sort(f"{{t{i}}}l", store=f"{{t{i}}}s") == 2
                assert client.bitop("NOT", f"{{t{i}}}bits", f"{{t{i}}}none") == 0
                for command in (["SUNION", f"{{t{i}}}a", f"{{t{(i + 7) % 20}}}a"], ["SORT", f"{{t{i}}}l", "BY", "w_*"]):
                    try:
                        assert client.execute_command(*command) is not None
                    except redis.ResponseError as error:
                        assert "CROSSSLOT" in str(error)
                        refused += 1
        assert refused > 0
