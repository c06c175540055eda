"""SLOWLOG over threads and nodes. Its replies are compared with Redis's by the tests in differential/."""

from even_cluster import HOST, until


def entries(client, count=-1):
    """What is in the slow log, the latest first: lists of number, time, microseconds, arguments, address, name."""
    return [entry for entry in client.execute_command("SLOWLOG", "GET", count)
            if entry[3][0] not in ("CONFIG", "SLOWLOG", "CLIENT")]


def log_all(client):
    client.config_set("slowlog-log-slower-than", 0)
    client.config_set("slowlog-max-len", 1000)
    client.execute_command("SLOWLOG", "RESET")


def raw(client):
    client.response_callbacks.clear()
    return client


def test_an_entry_tells_who_asked_on_whatever_thread_it_ran(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 3})["n1"]
    with node.client(client_name="me") as client:
        raw(client)
        log_all(client)
        for i in range(30):
            client.set(f"k{i}", "v")
        client.mset({f"k{i}": "v" for i in range(30)})
        client.execute_command("DBSIZE")
        logged = entries(client)
        assert [entry[3][0] for entry in logged] == ["DBSIZE", "MSET"] + ["SET"] * 30
        assert [entry[3][1] for entry in logged[2:]] == [f"k{i}" for i in reversed(range(30))]
        address = next(word[5:] for word in client.execute_command("CLIENT", "INFO").split() if word.startswith("addr="))
        assert {(entry[4], entry[5]) for entry in logged} == {(address, "me")}
        numbers = [entry[0] for entry in logged]
        assert numbers == sorted(numbers, reverse=True)


def test_a_forwarded_command_is_in_the_slow_log_of_the_node_that_executed_it(make_cluster):
    cluster = make_cluster(nodes=2, replicas=1)
    clients = {node.name: raw(node.client()) for node in cluster}
    until("the link is up", lambda: {peer["link"] for node in cluster for peer in node.status()["peers"]} == {"up"})
    for client in clients.values():
        log_all(client)
    for i in range(20):
        clients["n1"].set(f"k{i}", "v")
    here, there = entries(clients["n1"]), entries(clients["n2"])
    assert here and there and len(here) + len(there) == 20
    assert all(entry[4].startswith(HOST) for entry in here)
    assert {entry[4] for entry in there} == {"n1"}
    for client in clients.values():
        client.close()


def test_the_time_of_a_pipeline_goes_to_the_command_that_took_it(make_cluster):
    node = make_cluster(nodes=1, options={"node.shards": 1})["n1"]
    with node.client() as client:
        log_all(raw(client))
        pipeline = client.pipeline(transaction=False)
        for i in range(5):
            pipeline.set(f"k{i}", "v")
        pipeline.sadd("large", *range(50_000))
        for i in range(5):
            pipeline.set(f"k{i}", "v")
        pipeline.execute()
        logged = entries(client)
        assert len(logged) == 11
        slowest = max(logged, key=lambda entry: entry[2])
        assert slowest[3][0] == "SADD" and slowest[3][-1] == "... (49971 more arguments)"
        assert slowest[2] > sum(entry[2] for entry in logged if entry is not slowest)


def test_only_what_took_long_is_logged_and_a_wait_is_none_of_it(make_cluster):
    node = make_cluster(nodes=1, options={"slowlog.log_slower_than_us": 200_000, "slowlog.max_len": 2, "log.fsync": "always"})["n1"]
    with node.client() as client:
        raw(client)
        assert client.execute_command("CONFIG", "GET", "slowlog*") == [
            "slowlog-log-slower-than", "200000", "slowlog-max-len", "2"]
        for seconds in ("0.25", "0", "0.3", "0.25"):
            client.execute_command("DEBUG", "SLEEP", seconds)
        client.set("k", "v")
        client.execute_command("AUTH", "default", "secret")
        assert [entry[3] for entry in entries(client)] == [["DEBUG", "SLEEP", "0.25"], ["DEBUG", "SLEEP", "0.3"]]
        assert 300_000 <= entries(client)[1][2] < 2_000_000
        assert client.execute_command("SLOWLOG", "LEN") == 2
        client.config_set("slowlog-log-slower-than", -1)
        client.execute_command("DEBUG", "SLEEP", "0.25")
        assert client.execute_command("SLOWLOG", "LEN") == 2
