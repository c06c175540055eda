"""even store verify: what it says of a node's store, whole and damaged."""

import re
import subprocess

import pytest

from even_cluster import BIN, until


def verify(directory):
    return subprocess.run([BIN / "even", "store", "verify", str(directory)], capture_output=True, text=True, timeout=60)


@pytest.fixture
def data(make_cluster):
    """The data directory of a node that has stored what it had, and ended."""
    cluster = make_cluster(nodes=1, replicas=1)
    node = cluster["n1"]
    with node.client() as client:
        client.mset({f"k{i}": f"value {i}" * 20 for i in range(2000)})
    cluster.stop()
    return node.data


def test_info_and_metrics_tell_how_the_store_follows_the_log(make_cluster):
    node = make_cluster(nodes=1, options={"store.pass_bytes": "1MiB", "node.shards": 1})["n1"]

    def metrics():
        return {name: float(value) for name, value in re.findall(r"^even_store_(\w+) (\S+)$", node.http("/metrics")[1], re.MULTILINE)}

    with node.client() as client:
        assert metrics()["passes_total"] == 0
        client.set("small", "x" * 100_000)
        assert 100_000 < metrics()["lag_bytes"] < 1 << 20
        for i in range(20):
            client.set(f"k{i}", "x" * 100_000)
        until("a pass was made", lambda: client.info("store")["store_passes"] > 0)
        until("nothing is under way", lambda: metrics()["lag_bytes"] == client.info("store")["store_lag_bytes"] < 1 << 20)
        told, info = metrics(), client.info("store")
        assert told["passes_total"] == info["store_passes"] and told["failed_passes_total"] == 0
        assert told["pass_bytes_total"] == info["store_bytes_written_by_passes"] > 0
        assert told["bytes"] == info["store_bytes"] > 0


def content(data):
    return {path: path.read_bytes() for path in (data / "store").rglob("*") if path.is_file()}


def test_a_sound_store_is_counted_and_left_alone(data):
    before = content(data)
    files = [path for path in before if path.suffix == ".sst"]
    result = verify(data)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes, 0 damaged\n"
    assert result.stderr == ""
    assert content(data) == before


def test_every_damaged_file_is_named_and_exits_with_1(data):
    path = max((data / "store").rglob("*.sst"), key=lambda path: path.stat().st_size)
    damaged = bytearray(path.read_bytes())
    for place in (10, len(damaged) // 2, len(damaged) - 60):
        damaged[place] ^= 1
        path.write_bytes(damaged)
        result = verify(data)
        damaged[place] ^= 1
        assert result.returncode == 1, f"a flipped bit at {place} of {len(damaged)} was not found"
        assert path.name in result.stderr, result.stderr
    path.write_bytes(damaged)
    assert verify(data).returncode == 0


def test_a_directory_without_a_store_is_refused_and_not_made(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        result = verify(directory)
        assert result.returncode == 1
        assert str(directory) in result.stderr
    assert list(tmp_path.iterdir()) == []
