"""even backup and even restore: nodes that are backed up while they work, and come back from it."""

import itertools
import os
import random
import re
import shutil
import subprocess
import threading

import pytest
import redis

from even_cluster import BIN, HOST, until

SMALL_PASSES = {"store.pass_bytes": "1MiB"}


def even(*arguments, **options):
    return subprocess.run([BIN / "even", *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def back_up(node, directory, *arguments):
    """Returns the number of the backup and the bytes that were copied for it."""
    result = even("backup", directory, "--port", node.port, *arguments)
    assert result.returncode == 0, result.stderr
    found = re.fullmatch(r"backup (\d+) in \S+: \d+ bytes, (\d+) of them copied, in [\d.]+ s\n", result.stdout)
    assert found, result.stdout
    return int(found[1]), int(found[2])


def restore(directory, data, *arguments):
    result = even("restore", directory, data, *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def lose_data(node):
    shutil.rmtree(node.data)


def numbers_of(directory):
    result = even("backup", directory, "--list")
    assert result.returncode == 0, result.stderr
    return [int(line.split()[0]) for line in result.stdout.splitlines()[1:]]


def status(client):
    reply = client.execute_command("EVEN.BACKUP", "STATUS")
    return dict(zip(reply[::2], reply[1::2]))


def await_backup(client):
    until("the backup has ended", lambda: status(client)["stage"] == "idle")
    return status(client)


class Load:
    """Clients of a node that go on writing; each counts its own keys up."""

    def __init__(self, node, clients=3):
        self.acknowledged = [0] * clients
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(node, number)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _write(self, node, number):
        with node.client() as client:
            for count in itertools.count(1):
                if self._stop.is_set():
                    return
                try:
                    pipeline = client.pipeline(transaction=False)
                    pipeline.set(f"load:{number}:{count}", f"{count}" * 50)
                    pipeline.incr(f"count:{number}")
                    pipeline.sadd(f"all:{number}", count)
                    pipeline.execute()
                except redis.ConnectionError:
                    return
                self.acknowledged[number] = count

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def check_load(client, at_least):
    """What was acknowledged is there, and what came after it is there to some point."""
    for number, least in enumerate(at_least):
        pipeline = client.pipeline(transaction=False)
        for count in range(1, least + 1):
            pipeline.get(f"load:{number}:{count}")
        assert pipeline.execute() == [f"{count}" * 50 for count in range(1, least + 1)]
        assert int(client.get(f"count:{number}") or 0) >= least
        assert client.scard(f"all:{number}") >= least


@pytest.mark.parametrize("shards", [1, 3])
def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(make_cluster, tmp_path, shards):
    node = make_cluster(nodes=1, options={**SMALL_PASSES, "node.shards": 2})["n1"]
    load = Load(node)
    until("some is written", lambda: min(load.acknowledged) > 300)
    before = list(load.acknowledged)
    back_up(node, tmp_path / "backups")
    load.stop()
    node.kill9()
    lose_data(node)
    restore(tmp_path / "backups", node.data)
    node.start(arguments=["--set", f"node.shards={shards}"])
    with node.client() as client:
        check_load(client, before)
        counts = [int(client.get(f"count:{number}")) for number in range(3)]
        assert [client.incr(f"count:{number}") for number in range(3)] == [count + 1 for count in counts]
    node.stop()
    assert even("store", "verify", node.data).returncode == 0
    node.start(arguments=["--set", f"node.shards={shards}"])
    with node.client() as client:
        assert [int(client.get(f"count:{number}")) for number in range(3)] == [count + 1 for count in counts]


def test_a_second_backup_copies_what_is_new_and_keep_removes_the_oldest(make_cluster, tmp_path):
    backups = tmp_path / "backups"
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        for number in range(64):
            client.set(f"k:{number}", random.randbytes(1 << 16).hex())
        first, copied = back_up(node, backups)
        assert copied > 4 << 20
        client.set("new", "1")
        second, copied = back_up(node, backups)
        assert second == first + 1 and copied < 100_000
        assert numbers_of(backups) == [first, second]
        third, copied = back_up(node, backups, "--keep", 2)
        assert copied < 100_000
        assert numbers_of(backups) == [second, third]
        info = client.info("backup")
        assert info["last_backup_status"] == "ok" and info["last_backup_id"] == third
        assert info["backups_succeeded"] == 3 and info["backup_in_progress"] == 0
        assert info["last_backup_bytes"] > 4 << 20 and info["last_backup_copied_bytes"] == copied
    metrics = node.http("/metrics")[1]
    assert "\neven_backups_total 3\n" in metrics and "\neven_last_backup_success 1\n" in metrics
    assert f"\neven_last_backup_copied_bytes {copied}\n" in metrics


def test_an_older_backup_can_be_restored_and_served_by_a_node_alone(make_cluster, tmp_path):
    backups, data = tmp_path / "backups", tmp_path / "data"
    cluster = make_cluster(nodes=3)
    node = cluster["n1"]
    with node.client() as client:
        client.set("k", "old")
        old, _ = back_up(node, backups)
        client.set("k", "new")
        back_up(node, backups)
        client.flushall()
    cluster.stop()
    said = restore(backups, data, "--backup", old, "--alone")
    assert 'cluster.id ""' in said and 'node.name "even"' in said
    node.config.write_text(f"[http]\nport = {node.http_port}\n")
    node.start(arguments=["--port", str(node.port), "--data", str(data)])
    with node.client() as client:
        assert client.get("k") == "old" and client.dbsize() == 1
        client.set("k", "newer")
    node.stop()


def test_a_node_that_dies_during_a_backup_leaves_the_older_ones(make_cluster, tmp_path):
    backups = tmp_path / "backups"
    cluster = make_cluster(nodes=1, options={"store.backup_rate": "4MiB"})
    node = cluster["n1"]
    with node.client() as client:
        client.set("k", "1")
        first, _ = back_up(node, backups)
        for number in range(64):
            client.set(f"large:{number}", random.randbytes(1 << 18))
        assert client.execute_command("EVEN.BACKUP", "START", str(backups)) == 2
        until("it copies", lambda: int(status(client)["copied_bytes"]) > 1 << 20)
        assert client.info("backup")["backup_in_progress"] == 1
        assert "\neven_backup_in_progress 1\n" in node.http("/metrics")[1]
    node.kill9()
    assert numbers_of(backups) == [first]
    assert even("backup", backups, "--verify").returncode == 0
    restore(backups, tmp_path / "data")
    node.start(arguments=["--set", "store.backup_rate=0"])
    second, copied = back_up(node, backups, "--keep", 1)
    assert numbers_of(backups) == [second] and copied > 16 << 20
    assert even("backup", backups, "--verify").returncode == 0
    # Nothing is left of the one that was not finished.
    used = sum(path.stat().st_size for path in backups.rglob("*") if path.is_file())
    with node.client() as client:
        assert used < client.info("backup")["last_backup_bytes"] + 10_000


def test_one_backup_at_a_time_which_can_be_cancelled_and_does_not_hold_up_clients(make_cluster, tmp_path):
    backups = tmp_path / "backups"
    node = make_cluster(nodes=1, options={"store.backup_rate": "2MiB"})["n1"]
    with node.client() as client:
        for number in range(64):
            client.set(f"large:{number}", random.randbytes(1 << 18))
        run = client.execute_command("EVEN.BACKUP", "START", str(backups))
        until("it copies", lambda: status(client)["stage"] == "copying")
        with pytest.raises(redis.ResponseError, match=f"a backup into {backups} is under way"):
            client.execute_command("EVEN.BACKUP", "START", str(tmp_path / "other"))
        result = even("backup", tmp_path / "other", "--port", node.port)
        assert result.returncode == 1 and "is under way" in result.stderr
        for number in range(200):
            client.set("k", number)
        assert status(client)["stage"] == "copying"
        assert client.execute_command("EVEN.BACKUP", "CANCEL") == "OK"
        last = await_backup(client)
        assert last["last_run"] == str(run) and "cancelled" in last["last_error"]
        with pytest.raises(redis.ResponseError, match="no backup is under way"):
            client.execute_command("EVEN.BACKUP", "CANCEL")
        assert client.info("backup")["last_backup_status"] == "err"
        assert numbers_of(backups) == []
        client.execute_command("EVEN.BACKUP", "START", str(backups))
    node.stop()  # which does not wait for it
    assert numbers_of(backups) == []


def test_directories_that_will_not_do_are_refused(make_cluster, tmp_path):
    node = make_cluster(nodes=1)["n1"]
    full = tmp_path / "letters"
    full.mkdir()
    (full / "private").mkdir()
    (full / "private" / "letter").write_text("dear")
    with node.client() as client:
        for directory, why in (("backups", "not an absolute path"),
                               (node.data / "backups", "within the data directory"),
                               (node.data / ".." / "data" / "store", "within the data directory")):
            with pytest.raises(redis.ResponseError, match=why):
                client.execute_command("EVEN.BACKUP", "START", str(directory))
        for words in (["x", "KEEP"], ["x", "KEEP", "0"], ["x", "LOSE", "1"]):
            with pytest.raises(redis.ResponseError, match="syntax error"):
                client.execute_command("EVEN.BACKUP", "START", *words)
    result = even("backup", full, "--port", node.port)
    assert result.returncode == 1 and "other things than backups" in result.stderr
    assert (full / "private" / "letter").read_text() == "dear"
    for arguments in (["--list"], ["--verify"]):
        result = even("backup", full, *arguments)
        assert result.returncode == 1 and "there are no backups" in result.stderr


def test_where_the_store_cannot_be_brought_up_to_date_there_is_no_backup(make_cluster, tmp_path):
    directory = tmp_path / "cluster1" / "n1" / "data"
    directory.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", directory], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        node = make_cluster(nodes=1, options={"store.pass_bytes": "1GiB"})["n1"]
        with node.client() as client:
            client.set("k", random.randbytes(4 << 20))
            filler = directory / "filler"
            room = os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, room - (1 << 20))
            result = even("backup", tmp_path / "backups", "--port", node.port)
            assert result.returncode == 1
            assert "the store cannot be brought up to date" in result.stderr and "No space left" in result.stderr
            assert client.info("backup")["last_backup_status"] == "err"
            filler.unlink()
            back_up(node, tmp_path / "backups")
        node.kill9()
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk_of_backups_is_an_error_and_leaves_the_older_ones(make_cluster, tmp_path):
    backups = tmp_path / "backups"
    backups.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", backups], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        node = make_cluster(nodes=1)["n1"]
        with node.client() as client:
            client.set("k", "1")
            first, _ = back_up(node, backups)
            for number in range(10):
                client.set(f"large:{number}", random.randbytes(1 << 20))
            result = even("backup", backups, "--port", node.port)
            assert result.returncode == 1 and "No space left" in result.stderr
            assert numbers_of(backups) == [first]
            assert even("backup", backups, "--verify").returncode == 0
    finally:
        subprocess.run(["umount", "--lazy", backups], check=True)


def test_damage_is_found_and_not_restored(make_cluster, tmp_path):
    backups, data = tmp_path / "backups", tmp_path / "data"
    node = make_cluster(nodes=1)["n1"]
    with node.client() as client:
        client.set("k", random.randbytes(100_000))
    back_up(node, backups)
    path = max(backups.rglob("*.sst"), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for result in (even("backup", backups, "--verify"), even("backup", backups, "--verify", "--backup", 1)):
        assert result.returncode == 1 and path.name in result.stderr
    result = even("restore", backups, data)
    assert result.returncode == 1 and "checksum" in result.stderr
    assert list(data.iterdir()) == []
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = even("backup", backups, "--verify")
    assert result.returncode == 0 and result.stdout == "backup 1: sound\n"
    restore(backups, data)


def test_a_directory_with_anything_in_it_is_not_restored_into(make_cluster, tmp_path):
    backups = tmp_path / "backups"
    node = make_cluster(nodes=1)["n1"]
    back_up(node, backups)
    with node.client() as client:
        client.set("k", "1")
    result = even("restore", backups, node.data)
    assert result.returncode == 1 and "is not empty" in result.stderr
    with node.client() as client:
        assert client.get("k") == "1"
    result = even("restore", backups, node.config)
    assert result.returncode == 1 and "is not a directory" in result.stderr
    result = even("restore", backups, tmp_path / "data", "--backup", 7)
    assert result.returncode == 1 and "there is no backup 7" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_node_does_not_start_on_a_restore_that_was_interrupted(make_cluster, tmp_path):
    backups = tmp_path / "backups"
    node = make_cluster(nodes=1)["n1"]
    back_up(node, backups)
    node.stop()
    (node.data / "RESTORING").touch()
    result = subprocess.run([BIN / "evend", "--config", node.config], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "has not come to its end" in result.stderr
    assert even("restore", backups, node.data).returncode == 1
    lose_data(node)
    restore(backups, node.data)
    node.start()


def test_data_of_a_backup_belong_to_the_node_that_was_backed_up_unless_told_otherwise(make_cluster, tmp_path):
    backups = tmp_path / "backups"
    cluster = make_cluster(nodes=1)
    node = cluster["n1"]
    with node.client() as client:
        client.set("k", "1")
    back_up(node, backups)
    node.stop()
    lose_data(node)
    restore(backups, node.data)
    wrong = subprocess.run([BIN / "evend", "--config", node.config, "--set", "cluster.id=other"],
                           capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 1 and "other" in wrong.stderr
    lose_data(node)
    restore(backups, node.data, "--cluster-id", "other")
    node.start(arguments=["--set", "cluster.id=other"])
    with node.client() as client:
        assert client.get("k") == "1"


def test_a_restored_node_rejoins_its_cluster_and_counts_once(make_cluster, tmp_path):
    """Also where the others no longer have in their logs what it lacks, and give it whole partitions."""
    backups = tmp_path / "backups"
    options = {**SMALL_PASSES, "log.segment_bytes": "1MiB", "log.retain_bytes": "1MiB"}
    cluster = make_cluster(options=options)
    node = cluster["n1"]
    replicas = {node.status()["replica"]}
    with node.client() as client:
        for number in range(500):
            client.incr("visits")
            client.sadd("members", number)
        client.set("removed later", "1")
        for number in range(50):
            client.incr(f"removed:{number}")
    back_up(node, backups)
    with node.client() as client, cluster["n2"].client() as other:
        for number in range(500, 1000):
            client.incr("visits")
            client.sadd("members", number)
        other.delete("removed later", *(f"removed:{number}" for number in range(50)))
        for number in range(40):
            other.set(f"large:{number}", random.randbytes(1 << 17))
    cluster.wait_converged()

    for round_number in range(2):
        node.kill9()
        lose_data(node)
        restore(backups, node.data)
        load = Load(cluster["n2"], clients=1)
        node.start()
        assert node.status()["replica"] not in replicas
        replicas.add(node.status()["replica"])
        with node.client() as client:
            for _ in range(100):
                client.incr("visits")
        load.stop()
        cluster.wait_converged(60)
        for each in cluster:
            with each.client() as client:
                assert int(client.get("visits")) == 1000 + 100 * (round_number + 1)
                assert client.scard("members") == 1000
                assert client.exists("removed later", *(f"removed:{number}" for number in range(50))) == 0
                assert client.exists(*(f"large:{number}" for number in range(40))) == 40
    # No replica run has made two records of one number: else digests would differ at equal vectors, now or here.
    assert all("even_digest_mismatches_total 0\n" in each.http("/metrics")[1] for each in cluster)


def test_a_whole_cluster_comes_back_from_the_backups_of_its_nodes(make_cluster, tmp_path):
    """With fewer replicas than nodes, no node has everything; and the backups are of different moments."""
    cluster = make_cluster(nodes=3, replicas=2, options=SMALL_PASSES)
    until("links are up", lambda: all(peer["link"] == "up" for node in cluster for peer in node.status()["peers"]))
    for step, node in enumerate(cluster):
        with node.client() as client:
            for number in range(200):
                client.set(f"k:{step}:{number}", number)
                client.incr("count")
        cluster.wait_converged()
        back_up(node, tmp_path / f"backups-{node}")
    with cluster["n1"].client() as client:
        client.flushall()
    cluster.kill()
    for node in cluster:
        lose_data(node)
        restore(tmp_path / f"backups-{node}", node.data, "--cluster-id", "again")
        node.start(wait=False, arguments=["--set", "cluster.id=again"])
    for node in cluster:
        node.wait_ready()
    until("links are up", lambda: all(peer["link"] == "up" for node in cluster for peer in node.status()["peers"]))
    cluster.wait_converged()
    with cluster["n2"].client() as client:
        # What was written before the first backup is in all of them; of the rest, what any node has is there.
        assert [client.get(f"k:0:{number}") for number in range(200)] == [str(number) for number in range(200)]
        assert 200 <= int(client.get("count")) <= 600
        assert client.incr("count") == int(client.get("count"))


def test_the_password_and_the_address_come_from_the_configuration(make_cluster, tmp_path):
    node = make_cluster(nodes=1, options={"client.password": "secret"})["n1"]
    backups = tmp_path / "backups"
    result = even("backup", backups, "--port", node.port)
    assert result.returncode == 1 and "NOAUTH" in result.stderr
    assert even("backup", backups, "--config", node.config).returncode == 0
    assert even("backup", backups, "--port", node.port, "--password", "secret").returncode == 0
    assert even("backup", backups, "--port", node.port, env={**os.environ, "EVEN_PASSWORD": "secret"}).returncode == 0
    node.stop()
    result = even("backup", backups, "--config", node.config)
    assert result.returncode == 1 and f"{HOST}:{node.port}" in result.stderr
    assert numbers_of(backups) == [1, 2, 3]


def write_orders(cluster, first, last):
    """Acknowledged writes to a strong keyspace, by way of all nodes."""
    for number in range(first, last):
        with cluster.nodes[number % len(cluster.nodes)].client() as client:
            client.set(f"o:{number}", number)
            client.incr("o:count")


def orders_of(node):
    with node.client() as client:
        return int(client.get("o:count") or 0), sorted(int(client.get(f"o:{n}")) for n in range(60) if client.get(f"o:{n}"))


def test_strong_keyspaces_come_back_with_a_cluster_that_lost_all_disks(make_cluster, tmp_path):
    cluster = make_cluster(nodes=3, options={"node.shards": 2})
    with cluster["n1"].client() as client:
        client.execute_command("EVEN.KEYSPACE", "CREATE", "orders", "PREFIX", "o:", "MODE", "STRONG")
        client.execute_command("EVEN.KEYSPACE", "CREATE", "others", "PREFIX", "p:", "MODE", "STRONG", "PARTITIONS", 4)
    write_orders(cluster, 0, 20)
    for node in cluster.nodes[:2]:
        back_up(node, tmp_path / node.name)
    write_orders(cluster, 20, 40)
    back_up(cluster["n3"], tmp_path / "n3")
    with cluster["n2"].client() as client:
        client.execute_command("EVEN.KEYSPACE", "DROP", "others")
    back_up(cluster["n2"], tmp_path / "n2")
    write_orders(cluster, 40, 60)
    cluster.kill()
    for node in cluster:
        lose_data(node)
        restore(tmp_path / node.name, node.data)
    # While a node is missing that may have more, nothing is decided.
    cluster["n1"].start()
    cluster["n2"].start()
    with cluster["n1"].client() as client, pytest.raises(redis.ResponseError, match="UNAVAILABLE|no leader"):
        client.set("o:early", 1)
    cluster["n3"].start()
    until("the keyspace takes writes", lambda: takes_writes(cluster["n1"]), seconds=30)
    for node in cluster:
        assert orders_of(node) == (40, list(range(40)))
    with cluster["n3"].client() as client:
        assert client.execute_command("EVEN.KEYSPACE", "LIST") == ["default", "orders"]
    until("all vote again", lambda: voters_of(cluster["n1"]) == {"n1,n2,n3"}, seconds=30)
    cluster["n2"].kill9()
    until("the others go on", lambda: takes_writes(cluster["n1"]), seconds=30)
    assert orders_of(cluster["n3"]) == (40, list(range(40)))


def test_a_strong_keyspace_is_served_by_one_node_alone(make_cluster, tmp_path):
    cluster = make_cluster(nodes=3)
    with cluster["n1"].client() as client:
        client.execute_command("EVEN.KEYSPACE", "CREATE", "orders", "PREFIX", "o:", "MODE", "STRONG")
    write_orders(cluster, 0, 30)
    back_up(cluster["n2"], tmp_path / "backups")
    cluster.stop()
    restore(tmp_path / "backups", tmp_path / "data", "--alone")
    node = cluster["n2"]
    node.config.write_text(f"[http]\nport = {node.http_port}\n")
    arguments = ["--port", str(node.port), "--data", str(tmp_path / "data")]
    for _ in range(2):
        node.start(arguments=arguments)
        until("the keyspace takes writes", lambda: takes_writes(node))
        assert orders_of(node)[0] == 30 and len(orders_of(node)[1]) == 30
        node.kill9()


def takes_writes(node):
    try:
        with node.client() as client:
            return all(client.set(f"o:try:{number}", 1) for number in range(50))
    except redis.ResponseError:
        return False


def voters_of(node):
    with node.client() as client:
        groups = [dict(zip(reply[::2], reply[1::2])) for reply in client.execute_command("EVEN.GROUPS")]
    return {",".join(group["members"]) for group in groups if group["keyspace"] == "orders"}
