"""`even log repair`: damage in the middle of a log, and what is left afterwards."""

import subprocess

from even_cluster import BIN, until

VALUE = "v" * 200


def repair(node, *options):
    done = subprocess.run([BIN / "even", "log", "repair", node.data, *options], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def frames_of(node):
    """(segment, offset of a frame in it) for all records, in order."""
    dumped = subprocess.run([BIN / "even", "log", "dump", node.data], capture_output=True, text=True, check=True)
    return [(node.data / line.split()[0], int(line.split()[1])) for line in dumped.stdout.splitlines()]


def flip(file, offset):
    content = bytearray(file.read_bytes())
    content[offset + 40] ^= 1
    file.write_bytes(content)


def write(node, prefix, count):
    with node.client() as client:
        for number in range(count):
            client.set(f"{prefix}:{number}", VALUE)


def count(node, prefix):
    with node.client() as client:
        return len(client.keys(f"{prefix}:*"))


def refused(node):
    node.start(wait=False)
    until("it has ended", lambda: node.process.poll() is not None)
    assert "even log repair" in node.log_tail()


def test_what_the_store_has_the_log_can_do_without(make_cluster):
    node = make_cluster(nodes=1, options={"log.segment_bytes": "1MiB"})["n1"]
    write(node, "a", 500)
    node.stop()
    frames = frames_of(node)
    flip(*frames[len(frames) // 2])
    refused(node)
    code, text = repair(node)
    assert code == 0 and "nothing lost" in text
    assert "not damaged" in repair(node)[1]
    node.start()
    assert count(node, "a") == 500
    write(node, "b", 10)
    node.kill9()
    node.start()
    assert count(node, "a") == 500 and count(node, "b") == 10


def test_what_would_be_lost_is_said_and_comes_back_from_other_replicas(make_cluster):
    cluster = make_cluster(nodes=2, replicas=2, options={"log.fsync": "always"})
    node = cluster["n1"]
    write(node, "a", 300)
    cluster.wait_converged()
    node.kill9()
    frames = frames_of(node)
    flip(*frames[100])
    refused(node)
    code, text = repair(node)
    assert code == 1 and "nothing was changed" in text and "--discard" in text
    refused(node)
    code, text = repair(node, "--discard")
    assert code == 0 and "lost on this node" in text
    node.start()
    cluster.wait_converged()
    assert count(node, "a") == 300
    write(node, "b", 10)
    cluster.wait_converged()
    assert count(cluster["n2"], "b") == 10


def test_a_stray_file_costs_nothing_and_a_missing_log_is_never_called_whole(make_cluster):
    node = make_cluster(nodes=1, options={"log.fsync": "always", "node.shards": 1})["n1"]
    write(node, "a", 300)
    node.kill9()
    (node.data / "log-0000-0000000000001234.seg").touch()
    code, text = repair(node)
    assert code == 0 and "nothing lost" in text
    node.start()
    assert count(node, "a") == 300
    node.stop()
    for segment in node.data.glob("log-*.seg"):
        segment.unlink()
    code, text = repair(node)
    assert code == 1 and "unknown number" in text
    assert repair(node, "--discard")[0] == 0
    node.start()
    assert count(node, "a") == 300  # a clean stop: the store had them all


def test_what_is_no_stopped_node_is_left_alone(make_cluster, tmp_path):
    node = make_cluster(nodes=1)["n1"]
    code, text = repair(node)
    assert code == 1 and "in use by process" in text
    done = subprocess.run([BIN / "even", "log", "repair", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1 and "not the data directory of a node" in done.stderr
