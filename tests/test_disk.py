"""What a node does when its log cannot be written: real limits, real file systems."""

import itertools
import os
import random
import resource
import subprocess
import threading
import time

import pytest
import redis

from even_cluster import BIN, until

UNKNOWN = "the outcome of this request is unknown"
REFUSED = "writes are refused"


def write_until_error(client, prefix, value="v" * 1000):
    """SETs prefix:0, prefix:1 ... until one is not acknowledged; returns how many were, and the error."""
    for number in range(1_000_000):
        try:
            client.set(f"{prefix}:{number}", value)
        except redis.RedisError as error:
            return number, str(error)
    raise AssertionError("a million writes found room")


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


def writes_again(client):
    try:
        return client.set("again", "v")
    except redis.ResponseError as error:
        assert REFUSED in str(error) or UNKNOWN in str(error)
        return False


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB, mounted where the data of the first node of the test's first cluster goes."""
    directory = tmp_path / "cluster1" / "n1" / "data"
    directory.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", directory], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.mark.parametrize("fsync", ["always", "everysec"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_write_that_the_log_does_not_take_is_answered_and_its_outcome_called_unknown(make_cluster, fsync, shards):
    """A limit on the size of files makes write(2) fail although the room is there, which nothing can foresee."""
    node = make_cluster(nodes=1, options={"log.fsync": fsync, "node.shards": shards})["n1"]
    with node.client() as client, node.client() as other:
        client.set("before", "1")
        biggest = max(file.stat().st_size for file in node.data.rglob("*") if file.is_file())
        unlimited = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (biggest + 20_000, unlimited[1]))
        acknowledged, error = write_until_error(client, "k")
        assert acknowledged > 0 and UNKNOWN in error
        # Keys of a shard whose log has reached the limit.
        with pytest.raises(redis.ResponseError, match=REFUSED):
            client.set(f"k:{acknowledged}", "w")
        assert node.http("/readyz")[0] == 503
        assert other.get("before") == "1"
        assert all(other.mget([f"k:{number}" for number in range(acknowledged)]))

        # Each request of a pipeline has its reply, in order.
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, unlimited)
        until("writes go on", lambda: writes_again(client))
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
        pipeline = client.pipeline(transaction=False)
        for number in range(100):
            pipeline.set(f"p:{number}", number)
        pipeline.mset({f"p:{number}": number for number in range(100)})
        pipeline.echo("end")
        *replies, end = pipeline.execute(raise_on_error=False)
        assert len(replies) == 101 and UNKNOWN in str(replies[0])
        assert all(UNKNOWN in str(reply) or REFUSED in str(reply) for reply in replies)
        assert end == "end" or UNKNOWN in str(end)  # the latter when it waited for the log, too
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, unlimited)
        until("writes go on", lambda: writes_again(client))
    node.kill9()
    node.start()
    with node.client() as client:
        assert client.get("before") == "1" and client.get("again") == "v"
        assert all(client.mget([f"k:{number}" for number in range(acknowledged)]))


def test_a_full_disk_refuses_writes_until_there_is_room(make_cluster, small_disk):
    filler = small_disk / "filler"
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 12 << 20)
    node = make_cluster(nodes=1, options={"log.fsync": "always", "log.segment_bytes": 1 << 20})["n1"]
    with node.client() as client:
        acknowledged, error = write_until_error(client, "k")
        assert acknowledged > 1000 and (REFUSED in error or UNKNOWN in error)
        code, text = node.http("/readyz")
        assert code == 503 and "room" in text
        assert all(client.mget([f"k:{number}" for number in range(acknowledged)]))

        filler.unlink()
        until("writes go on", lambda: writes_again(client))
        until("ready", lambda: node.http("/readyz")[0] == 200)
        more, _ = write_until_error(client, "l")  # full once more
        assert more > 1000
    node.kill9()
    node.start(wait=False)
    with node.client() as client:
        until("it answers", lambda: answers(client))
        for prefix, count in (("k", acknowledged), ("l", more)):
            assert all(client.mget([f"{prefix}:{number}" for number in range(count)]))


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_a_disk_that_fills_up_under_load_and_gets_room_costs_no_acknowledged_write(make_cluster, small_disk, fsync):
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    options = {"log.fsync": fsync, "log.segment_bytes": "8MiB", "store.pass_bytes": "2MiB",
               "memory.max_memory": "32MiB"}
    node = make_cluster(nodes=1, options=options)["n1"]
    acknowledged = [{} for _ in range(4)]
    refused = [0] * 4
    stop = threading.Event()

    def load(number):
        with node.client() as client:
            for count in itertools.count():
                if stop.is_set():
                    return
                key, value = f"{number}:{count}", random.randbytes(600).hex()
                try:
                    client.set(key, value)
                    acknowledged[number][key] = value
                except redis.ConnectionError:
                    return
                except redis.ResponseError as error:
                    assert REFUSED in str(error) or UNKNOWN in str(error)
                    refused[number] += 1
                    time.sleep(0.01)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until("the disk is full", lambda: all(refused), 120)
    with node.client() as client:
        time.sleep(2)
        assert node.running
        some = random.sample(sorted(acknowledged[0]), 500)
        assert client.mget(some) == [acknowledged[0][key] for key in some]
    subprocess.run(["mount", "-o", "remount,size=300m", small_disk], check=True)
    before = [len(each) for each in acknowledged]
    until("writes go on", lambda: all(len(each) > at + 100 for each, at in zip(acknowledged, before)), 60)
    node.kill9()
    stop.set()
    for thread in threads:
        thread.join()
    node.start()
    with node.client() as client:
        for each in acknowledged:
            keys = list(each)
            for at in range(0, len(keys), 500):
                part = keys[at : at + 500]
                assert client.mget(part) == [each[key] for key in part]


def test_with_fsync_always_a_small_write_changes_the_content_of_the_log_and_not_its_size(make_cluster):
    node = make_cluster(nodes=1, options={"log.fsync": "always", "node.shards": 1})["n1"]
    with node.client() as client:
        client.set("k", "v")
        (segment,) = node.data.glob("log-*.seg")
        before = segment.stat()
        for number in range(100):
            client.set(f"k:{number}", number)
        after = segment.stat()
        assert (after.st_size, after.st_blocks) == (before.st_size, before.st_blocks)
        assert after.st_blocks * 512 <= 2 << 20
    node.kill9()
    verified = subprocess.run([BIN / "even", "log", "verify", node.data], capture_output=True, text=True, timeout=60)
    assert verified.returncode == 0 and verified.stderr == ""
    node.start()
    with node.client() as client:
        assert [client.get(f"k:{number}") for number in range(100)] == [str(number) for number in range(100)]
