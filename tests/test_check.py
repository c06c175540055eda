"""What differs between replicas behind Even's back is found and repaired: whole clusters."""

import subprocess
import time

from even_cluster import BIN, until


def fill(cluster, count):
    with cluster["n1"].client() as client:
        for first in range(0, count, 10_000):
            pipe = client.pipeline(transaction=False)
            for number in range(first, min(first + 10_000, count)):
                pipe.set(f"k{number}", f"value of {number}")
            pipe.execute()
        client.hset("hash", mapping={f"f{i}": i for i in range(100)})
        client.zadd("scores", {f"m{i}": i for i in range(100)})
        client.incrby("hits", 7)
    cluster.wait_converged(60)


def content(node, keys):
    with node.client() as client:
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.get(key)
        return pipe.execute(), client.hgetall("hash"), client.zrange("scores", 0, -1), client.dbsize()


def falsify(node, numbers):
    """Of each three keys one is lost, one changed, and one made up beside the third."""
    with node.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in numbers:
            if number % 3 == 0:
                pipe.execute_command("EVEN.FAULT", "KEY", f"k{number}", "LOSE")
            elif number % 3 == 1:
                pipe.execute_command("EVEN.FAULT", "KEY", f"k{number}", "VALUE", "wrong")
            else:
                pipe.execute_command("EVEN.FAULT", "KEY", f"made-up-{number}", "VALUE", "x")
        return sum(pipe.execute())


def even_check(cluster, *arguments):
    nodes = [word for node in cluster for word in ("--node", f"127.0.0.1:{node.port}")]
    return subprocess.run([BIN / "even", "check", *(arguments or nodes)], capture_output=True, text=True, timeout=300)


def status(node):
    with node.client() as client:
        words = client.execute_command("EVEN.CHECK", "STATUS")
    return words if isinstance(words, dict) else dict(zip(words[::2], words[1::2]))


def test_even_check_finds_what_differs_says_so_and_repairs_it(make_cluster):
    cluster = make_cluster(nodes=3)
    fill(cluster, 3_000)
    keys = [f"k{number}" for number in range(3_000)]
    before = content(cluster["n1"], keys)
    clean = even_check(cluster)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert clean.stdout.count("all as they should be") == 3, clean.stdout

    assert falsify(cluster["n2"], range(0, 3_000, 50)) == 60
    assert falsify(cluster["n3"], range(7, 3_000, 1_000)) == 3
    with cluster["n3"].client() as client:
        assert client.execute_command("EVEN.FAULT", "KEY", "hash", "LOSE") == 1
        assert client.execute_command("EVEN.FAULT", "KEY", "hash", "LOSE") == 0
    assert content(cluster["n2"], keys) != before
    found = even_check(cluster)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "60 keys repaired" in found.stdout and "4 keys repaired" in found.stdout, found.stdout
    assert 'missing      "hash"' in found.stdout, found.stdout
    for node in cluster:
        assert content(node, keys) == before, node.name
    assert status(cluster["n1"])["keys_repaired"] == 0
    again = even_check(cluster)
    assert again.returncode == 0, again.stdout + again.stderr
    # And after a restart: what was repaired is stored.
    cluster["n2"].stop()
    cluster["n2"].start()
    cluster.wait_converged()
    assert content(cluster["n2"], keys) == before
    text = subprocess.run([BIN / "even", "status", "--node", f"127.0.0.1:{cluster['n3'].http_port}"],
                          capture_output=True, text=True).stdout
    assert "REPAIRED on n3 since its start: 4 keys" in text, text


def test_the_background_pass_finds_it_under_writes(make_cluster):
    cluster = make_cluster(nodes=3, options={"check.interval_s": 5})
    fill(cluster, 2_000)
    keys = [f"k{number}" for number in range(2_000)]
    before = content(cluster["n1"], keys)
    assert falsify(cluster["n2"], range(0, 2_000, 20)) == 100
    stop = time.monotonic() + 12
    increments = 0
    while time.monotonic() < stop:
        for node in cluster:
            with node.client() as client:
                client.incr("counter")
                client.incr(f"other-{increments % 50}")
            increments += 1
    until("all is repaired", lambda: status(cluster["n2"])["keys_repaired"] == 100)
    cluster.wait_converged()
    for node in cluster:
        now = content(node, keys)
        assert now[:3] == before[:3], node.name
        with node.client() as client:
            assert int(client.get("counter")) == increments
    assert status(cluster["n1"])["keys_repaired"] == status(cluster["n3"])["keys_repaired"] == 0


def test_without_a_majority_nothing_is_changed_and_that_is_said(make_cluster):
    cluster = make_cluster(nodes=3)
    fill(cluster, 3_000)
    keys = [f"k{number}" for number in range(3_000)]
    before = content(cluster["n1"], keys)
    cluster["n3"].stop()
    until("the link is down", lambda: any(peer["link"] == "down" for peer in cluster["n2"].status()["peers"]))
    assert falsify(cluster["n2"], range(0, 300, 50)) == 6
    up = [word for node in cluster.running for word in ("--node", f"127.0.0.1:{node.port}")]
    found = even_check(cluster, *up)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "6 keys differ and were left as they are" in found.stdout, found.stdout
    assert status(cluster["n2"])["keys_repaired"] == 0
    cluster["n3"].start()
    until("all is repaired", lambda: status(cluster["n2"])["keys_repaired"] == 6, seconds=60)
    assert content(cluster["n2"], keys) == before
    assert even_check(cluster).returncode == 0


def test_even_check_says_what_is_wrong_with_its_command_line(make_cluster, tmp_path):
    cluster = make_cluster(nodes=1)
    refused = even_check(cluster, "--node", "nowhere")
    assert refused.returncode == 2 and "'nowhere' is not HOST:PORT" in refused.stderr
    refused = even_check(cluster, "--dir", str(tmp_path / "none"))
    assert refused.returncode == 2 and "there is no cluster in" in refused.stderr
    alone = even_check(cluster)
    assert alone.returncode == 0, alone.stdout + alone.stderr
