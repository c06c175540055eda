"""States of partitions that a node is given because the others' logs no longer hold what it lacks."""


from even_cluster import until

VALUES, VALUE_BYTES = 10_000, 4_000
STATE = VALUES * VALUE_BYTES  # about 40 MB, in one partition
OPTIONS = {
    "node.shards": 1,
    "log.retain_bytes": "1MiB",
    "log.segment_bytes": "1MiB",
    "store.pass_bytes": "4MiB",
    "replication.window_bytes": "1MiB",
}


def fill(node):
    with node.client() as client:
        for at in range(0, VALUES, 500):
            pipeline = client.pipeline(transaction=False)
            for number in range(at, at + 500):
                pipeline.set(f"k{number}", f"{number}:".ljust(VALUE_BYTES, "v"))
            pipeline.execute()


def test_a_state_gets_across_a_link_that_is_cut_again_and_again(make_cluster):
    """n2 lacks 40 MB that n1's log has no more. The link is slow and cut after every few megabytes: what has come stays."""
    cluster = make_cluster(nodes=2, replicas=2, partitions=1, options=OPTIONS)
    n1, n2 = cluster
    n2.kill9()
    fill(n1)
    until("n1's log is cut", lambda: n1.metric("even_log_bytes") < 10 << 20)

    def sent():
        return n1.metric("even_snapshot_sent_bytes_total")

    # A round takes 0.2 s and has 1 MiB: the whole takes about 8 s.
    cluster.link("n1", "n2", "DELAY", 100)
    n2.start()
    cuts = 0
    while sent() < 0.9 * STATE:
        before = sent()
        until("pieces of the state are sent", lambda: sent() > before + (4 << 20), seconds=60)
        assert n1.metric('even_replication_snapshot_bytes{peer="n2"}') >= STATE
        assert n2.metric("even_snapshots_joined_total") == 0
        cluster.link("n2", "n1", "DOWN")
        cuts += 1
        assert cuts < 20, "it begins anew each time"
        cluster.link("n2", "n1", "UP")
    cluster.wait_converged(60)
    assert cuts >= 5
    assert n1.metric("even_snapshots_resumed_total") >= cuts
    assert STATE < sent() < 1.4 * STATE  # with each cut up to 1 MiB is lost
    assert n2.metric("even_snapshots_joined_total") == 1
    assert n2.metric("even_snapshots_refused_total") == 0
    for node, peer in ((n1, "n2"), (n2, "n1")):
        until("nothing of it is kept", lambda: node.metric(f'even_replication_snapshot_bytes{{peer="{peer}"}}') == 0)
    with n2.client() as client:
        assert client.dbsize() == VALUES
        assert client.get("k77") == "77:".ljust(VALUE_BYTES, "v")
        assert client.info("even")["snapshots_joined"] == 1
