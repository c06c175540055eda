"""Damage in the store of a node: found, reported, and repaired from the other replicas."""


import redis

from even_cluster import until

KEYS = 20_000
# Little in memory, so that reads go to the store; passes every megabyte of log.
OPTIONS = {"store.pass_bytes": "1MiB", "store.cache_bytes": "1MiB", "memory.max_memory": "12MiB"}


def value(number):
    return f"{number}:" + "v" * 400


def fill(client):
    for at in range(0, KEYS, 500):
        pipeline = client.pipeline(transaction=False)
        for number in range(at, at + 500):
            pipeline.set(f"k{number}", value(number))
        pipeline.execute()


def read_all(client):
    """Every key by itself: how many have their value, and the errors of the others."""
    right, errors = 0, []
    for at in range(0, KEYS, 500):
        pipeline = client.pipeline(transaction=False)
        for number in range(at, at + 500):
            pipeline.get(f"k{number}")
        for number, found in enumerate(pipeline.execute(raise_on_error=False), at):
            if isinstance(found, redis.ResponseError):
                errors.append(str(found))
            else:
                assert found == value(number), number
                right += 1
    return right, errors


# At the end of a file of rows are its index and, before that, what groups have: who cannot read that does not know the
# cluster's users, and lets nobody in (test_acl.py).
GROUPS_BYTES = 64_000


def flip_bytes(node, every=50_000):
    """In all files of rows; returns how many."""
    flipped = 0
    for path in (node.data / "store").glob("*.sst"):
        with path.open("r+b") as file:
            for place in range(1_000, path.stat().st_size - GROUPS_BYTES, every):
                file.seek(place)
                byte = file.read(1)
                file.seek(place)
                file.write(bytes([byte[0] ^ 0x10]))
                flipped += 1
    return flipped


def store_info(node):
    with node.client() as client:
        return client.info("store")


def stored(node):
    """Whether nothing is left of the log that the store does not have, nearly."""
    return store_info(node)["store_lag_bytes"] < 3 << 20


def check_repaired(cluster, node):
    def whole():
        with node.client() as client:
            right, errors = read_all(client)
            assert all("IOERR" in error for error in errors)
            return right == KEYS
    until("every key is right again", whole, 60)
    until("no damage is reported", lambda: node.metric("even_store_damaged_partitions") == 0, 30)
    cluster.wait_converged(60)


def test_flipped_bytes_under_a_running_node_are_repaired_without_a_restart(make_cluster):
    cluster = make_cluster(nodes=3, options=OPTIONS)
    node = cluster["n2"]
    with cluster["n1"].client() as client:
        fill(client)
    cluster.wait_converged(60)
    until("n2 has stored nearly all", lambda: stored(node))
    # Nothing of the files in RocksDB's memory.
    node.stop()
    node.start()
    assert flip_bytes(node) > 5
    with node.client() as client:
        right, errors = read_all(client)
        assert errors and all("IOERR" in error for error in errors), "the damage was not found"
        assert right > KEYS // 2, "most can still be read"
    check_repaired(cluster, node)
    assert store_info(node)["store_repaired_partitions"] > 0
    # What has been made anew is stored. What nobody had read before a start does, and may be damaged too.
    node.stop()
    node.start()
    check_repaired(cluster, node)


def test_flipped_bytes_in_a_stopped_node_are_repaired_when_it_starts(make_cluster):
    cluster = make_cluster(nodes=3, options=OPTIONS)
    node = cluster["n3"]
    with cluster["n1"].client() as client:
        fill(client)
        cluster.wait_converged(60)
        until("n3 has stored nearly all", lambda: stored(node))
        node.kill9()
        assert flip_bytes(node) > 5
        client.set("meanwhile", "1")
        client.delete("k0")
        client.set("k0", value(0))
    node.start()
    check_repaired(cluster, node)
    assert store_info(node)["store_repaired_partitions"] > 0
    with node.client() as client:
        assert client.get("meanwhile") == "1"


def test_a_single_node_serves_what_it_can_read_and_says_what_to_do(make_cluster):
    node = make_cluster(nodes=1, options=OPTIONS)["n1"]
    with node.client() as client:
        fill(client)
    node.stop()
    node.start()
    assert flip_bytes(node) > 5
    with node.client() as client:
        right, errors = read_all(client)
        assert right > KEYS // 2 and errors
        assert all("IOERR" in error for error in errors)
        assert client.set("new", "v") and client.get("new") == "v"
    until("the damage is reported", lambda: node.metric("even_store_damaged_partitions") > 0)
    assert any("damage" in partition for partition in node.status()["partitions"])
    until("the log says what to do", lambda: "restore the node's data directory from a backup" in node.log_tail(400))
