"""What a node missed it takes in at a cost in proportion to that, while it serves its clients."""

import pytest

from even_cluster import until


def pipelined(client, command, times, size=1000):
    for _ in range(0, times, size):
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(size):
                pipeline.execute_command(*command)
            pipeline.execute()


@pytest.mark.parametrize("command", [("INCR", "c"), ("SET", "s", "x")], ids=["INCR", "SET"])
def test_records_of_two_writers_are_decoded_a_few_times_each(cluster, command):
    """n1 and n3 write to one key while n2 is cut off: each of their records depends on some of the other's."""
    cluster.isolate("n2")
    each = 20_000
    for _ in range(each // 1000):
        for name in ("n1", "n3"):
            with cluster[name].client() as client:
                pipelined(client, command, 1000)
    cluster.rejoin("n2")
    cluster.wait_converged(seconds=60)
    if command[0] == "INCR":
        for node in cluster:
            assert node.client().get("c") == str(2 * each)
    with cluster["n2"].client() as client:
        info = client.info("even")
        assert info["records_received"] > 0
        assert info["records_decoded"] <= 3 * info["records_received"] + 100
        until("nothing waits", lambda: client.info("even")["records_pending"] == 0)
