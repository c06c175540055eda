"""even import: from RDB files, append-only files and a live redis-server, into one node and three."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest
import redis

from even_cluster import BIN, HOST, PATIENCE, die_with_parent, free_port, until


class Server:
    """A redis-server. Debian's redis-tools holds it under another name."""
    def __init__(self, directory, *arguments):
        self.directory = directory
        self.port = free_port()
        program = shutil.which("redis-server")
        if program is None:
            program = directory / "redis-server"
            program.symlink_to(shutil.which("redis-check-rdb"))
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", HOST, "--save", "", "--repl-diskless-sync-delay", "0", *arguments],
            cwd=directory, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
        until("redis-server answers", self._answers)

    def _answers(self):
        try:
            return self.client().ping()
        except redis.ConnectionError:
            return None

    def client(self, **options):
        return redis.Redis(HOST, self.port, **options)

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def make_server(tmp_path):
    servers = []

    def make(*arguments):
        directory = tmp_path / f"redis{len(servers)}"
        directory.mkdir()
        servers.append(Server(directory, *arguments))
        return servers[-1]
    yield make
    for server in servers:
        server.stop()


def importing(tmp_path, source, node, *arguments):
    return [BIN / "even", "import", str(source), "--to", f"{HOST}:{node.port}", "--state", tmp_path / "state", *map(str, arguments)]


def run(command, code=0):
    result = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE)
    assert result.returncode == code, (result.stdout, result.stderr)
    return result.stdout + result.stderr


def fill(server, rounds=2000):
    draw = random.Random(5)
    pipeline = server.client().pipeline(transaction=False)
    for i in range(rounds):
        pipeline.set(f"s:{i}", draw.randbytes(draw.randrange(60)))
        if i % 3 == 0:
            pipeline.pexpire(f"s:{i}", 10_000_000 + i)
        if i % 10 == 0:
            some = draw.randrange(1, 40)
            pipeline.rpush(f"l:{i}", *[f"x{j}" for j in range(some)])
            pipeline.sadd(f"m:{i}", *[draw.choice([j, f"m{j}"]) for j in range(some)])
            pipeline.sadd(f"i:{i}", *range(some))
            pipeline.hset(f"h:{i}", mapping={f"f{j}": draw.randbytes(5) for j in range(some)})
            pipeline.zadd(f"z:{i}", {f"m{j}": draw.random() * 100 for j in range(some)})
        if i % 100 == 0:
            for j in range(draw.randrange(1, 250)):
                pipeline.xadd(f"x:{i}", {"a": j, "b": "y"} if j % 7 else {"c": j}, id=f"{i + 1}-{j + 1}")
            pipeline.xdel(f"x:{i}", f"{i + 1}-1")
            pipeline.xgroup_create(f"x:{i}", "g", "0")
            pipeline.xreadgroup("g", "c1", {f"x:{i}": ">"}, count=3)
            pipeline.xgroup_createconsumer(f"x:{i}", "g", "c2")
    pipeline.hset("large:h", mapping={f"f{j}": "v" * 100 for j in range(3000)})
    pipeline.zadd("large:z", {f"f{j}": j for j in range(3000)})
    pipeline.rpush("large:l", *["z" * 300 for _ in range(3000)], "y" * 20_000)
    pipeline.set("large:s", "a" * 100_000)
    pipeline.mset({"n1": 12345, "n2": -3, "n3": 70000, "n4": 2**40})
    pipeline.xadd("x:empty", {"a": 1}, id="7-1")
    pipeline.xdel("x:empty", "7-1")
    pipeline.execute()


def assert_streams_are_equal(one, other):
    for key in ("x:0", "x:100", "x:empty"):
        here, there = one.xinfo_stream(key), other.xinfo_stream(key)
        for field in ("length", "last-generated-id", "entries-added", "max-deleted-entry-id"):
            assert here[field] == there[field], (key, field)
    assert one.xinfo_groups("x:0") == other.xinfo_groups("x:0")
    pending = one.xpending_range("x:0", "g", "-", "+", 10)
    assert [(row["message_id"], row["consumer"], row["times_delivered"]) for row in pending] \
        == [(row["message_id"], row["consumer"], row["times_delivered"]) for row in other.xpending_range("x:0", "g", "-", "+", 10)]
    assert len(pending) == 3


def test_an_rdb_file(make_server, cluster, tmp_path):
    server = make_server()
    fill(server)
    server.client().set("gone", "soon", px=1)
    time.sleep(0.01)
    server.client().save()
    keys = server.client().dbsize()
    output = run(importing(tmp_path, server.directory / "dump.rdb", cluster["n1"]))
    assert "1 had expired" in output
    assert f"{keys} keys compared, 0 differ; the target has {keys - 1} keys" in output
    assert not (tmp_path / "state").exists()
    cluster.wait_converged()
    with cluster["n2"].client(decode_responses=False) as node:
        assert_streams_are_equal(node, server.client())
        assert node.get("n4") == b"1099511627776" and node.pttl("s:0") > 9_000_000
    # What differs is told.
    with cluster["n1"].client() as node:
        node.rpush("l:10", "more")
        node.delete("h:10")
    from_server = importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"])
    output = run(from_server)  # which it is here again afterwards
    assert f"{keys - 1} keys compared, 0 differ" in output


def test_streams_with_pending_entries_that_were_deleted_or_none_at_all(make_server, cluster, tmp_path):
    client = make_server().client()
    for number in (1, 2, 3):
        client.xadd("pending", {"f": number}, id=f"{number}-0")
    client.xgroup_create("pending", "g", "0")
    client.xreadgroup("g", "c", {"pending": ">"})
    client.xdel("pending", "2-0")
    client.xgroup_create("empty", "g", "0", mkstream=True)
    client.xgroup_create("bare", "g", "0", mkstream=True)
    client.xgroup_destroy("bare", "g")
    client.save()
    directory = tmp_path / "state"
    directory.mkdir()
    (directory / "mine").write_text("precious")
    run(importing(tmp_path, next(tmp_path.glob("redis*/dump.rdb")), cluster["n1"]))
    assert [file.name for file in directory.iterdir()] == ["mine"]
    with cluster["n1"].client(decode_responses=False) as node:
        for key in ("pending", "empty", "bare"):
            for field in ("length", "last-generated-id", "max-deleted-entry-id", "groups"):
                assert node.xinfo_stream(key)[field] == client.xinfo_stream(key)[field], (key, field)
        assert [row["message_id"] for row in node.xpending_range("pending", "g", "-", "+", 10)] == [b"1-0", b"2-0", b"3-0"]
        assert node.xadd("empty", {"a": "b"}, id="0-1") == b"0-1"


def test_commands_are_for_a_target_without_keys(make_server, cluster, tmp_path):
    file = tmp_path / "file.aof"
    file.write_bytes(b"*2\r\n$4\r\nINCR\r\n$1\r\nc\r\n")
    run(importing(tmp_path, file, cluster["n1"]))
    assert "the target has keys (1)" in run(importing(tmp_path, file, cluster["n1"]), 1)
    with cluster["n1"].client() as node:
        assert node.get("c") == "1"
        node.delete("c")
    file.write_bytes(b"")
    assert "it is empty" in run(importing(tmp_path, file, cluster["n1"]), 1)


def put_into_databases(server):
    for number in (0, 3, 15):
        client = server.client(db=number)
        client.set("k", f"of {number}", ex=5000)
        client.hset("h", mapping={f"f{i}": i for i in range(200 + number)})
        client.xadd("x", {"f": number}, id="5-1")


def assert_databases_are(node, expected):
    for number, keys in expected.items():
        with redis.Redis(HOST, node.port, db=number, decode_responses=True) as client:
            assert sorted(client.keys()) == sorted(keys), number
            if "k" in keys:
                assert client.get("k") == f"of {number}" and client.hlen("h") == 200 + number and client.xlen("x") == 1


def test_each_database_comes_into_the_one_of_its_number(make_server, cluster, tmp_path):
    server = make_server("--appendonly", "yes")
    put_into_databases(server)
    server.client().save()
    assert "9 keys compared, 0 differ" in run(importing(tmp_path, server.directory / "dump.rdb", cluster["n1"]))
    everything = {0: ["k", "h", "x"], 1: [], 3: ["k", "h", "x"], 15: ["k", "h", "x"]}
    assert_databases_are(cluster["n1"], everything)
    with cluster["n1"].client() as node:
        node.flushall()
    # Commands that select, in and out of transactions.
    pipeline = server.client(db=3).pipeline()
    pipeline.set("a", 1)
    pipeline.incr("a")
    pipeline.execute()
    server.client(db=3).move("a", 4)
    server.client(db=4).copy("a", "b", destination_db=5)
    server.client(db=2).set("gone", 1)
    server.client(db=2).flushdb()
    run(importing(tmp_path, server.directory / "appendonlydir", cluster["n1"]))
    assert_databases_are(cluster["n1"], {**everything, 2: [], 4: ["a"], 5: ["b"]})
    with redis.Redis(HOST, cluster["n1"].port, db=5) as client:
        assert client.get("b") == b"2"
    with cluster["n1"].client() as node:
        node.flushall()
    assert "11 keys compared, 0 differ" in run(importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"]))
    assert_databases_are(cluster["n1"], {**everything, 2: [], 4: ["a"], 5: ["b"]})


def test_what_cannot_be_imported_is_told(make_server, cluster, tmp_path):
    server = make_server("--databases", "20")
    server.client().set("k", "v")
    server.client(db=1).set("k", "other")
    server.client(db=17).set("k", "far")
    server.client().save()
    file = server.directory / "dump.rdb"
    output = run(importing(tmp_path, file, cluster["n1"]), 1)
    assert "LEFT OUT: 1 keys or commands of database 17 (--database)" in output
    assert "2 keys compared, 0 differ" in output
    with cluster["n1"].client() as node:
        assert node.get("k") == "v"
    run(importing(tmp_path, file, cluster["n1"], "--database", 1))
    with cluster["n1"].client() as node:
        assert node.get("k") == "other"
    whole = file.read_bytes()
    for bytes_, why in ((whole[:-9], "ends too early"), (whole[:-1], "ends before its checksum"),
                        (whole[:20] + b"\x00" + whole[21:], ""), (b"REDIS9999" + whole[9:], "version 9999"),
                        (b"*1\r\n$4\r\nWHAT\r\n", "the target refuses a command"), (b"*1\r\nxyz\r\n", "what should be a command is none")):
        with cluster["n1"].client() as node:
            node.flushall()
        damaged = tmp_path / "damaged"
        damaged.write_bytes(bytes_)
        assert why in run(importing(tmp_path, damaged, cluster["n1"]), 1)
        with cluster["n1"].client() as node:
            assert node.dbsize() == 0
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
    assert "there is no file" in run(importing(tmp_path, tmp_path / "missing", cluster["n1"]), 1)
    assert "cannot connect" in run(importing(tmp_path, f"{HOST}:1", cluster["n1"]), 1)
    assert "--follow and --finish are for a live source" in run(importing(tmp_path, file, cluster["n1"], "--follow"), 1)


def test_an_append_only_directory(make_server, cluster, tmp_path):
    server = make_server("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
    fill(server, 300)
    server.client().bgrewriteaof()
    until("it is rewritten", lambda: server.client().info("persistence")["aof_rewrite_in_progress"] == 0)
    with server.client().pipeline() as transaction:
        transaction.set("after", "v").rpush("l:0", "more").execute()
    keys = server.client().dbsize()
    server.client().config_set("appendfsync", "always")
    server.client().set("last", "v")
    directory = server.directory / "appendonlydir"
    output = run(importing(tmp_path, directory, cluster["n1"]))
    assert "Not compared" in output
    with cluster["n1"].client() as node:
        assert node.dbsize() == keys + 1 and node.get("after") == node.get("last") == "v"
        assert node.lrange("l:0", 0, -1) == [item.decode() for item in server.client().lrange("l:0", 0, -1)]


class Writer(threading.Thread):
    def __init__(self, server):
        super().__init__()
        self.client = server.client()
        self.stopping = threading.Event()

    def run(self):
        draw = random.Random(9)
        while not self.stopping.is_set():
            pipeline = self.client.pipeline(transaction=draw.random() < 0.3)
            for _ in range(10):
                i = draw.randrange(300)
                draw.choice([
                    lambda p=pipeline: p.incr("counter"), lambda p=pipeline, i=i: p.set(f"w:{i}", i),
                    lambda p=pipeline, i=i: p.delete(f"s:{i}"), lambda p=pipeline, i=i: p.rpush("list", i),
                    lambda p=pipeline, i=i: p.zincrby("scores", 1.5, i % 50), lambda p=pipeline, i=i: p.hincrby("hash", i % 50, 2),
                    lambda p=pipeline, i=i: p.spop(f"m:{i - i % 10}"), lambda p=pipeline, i=i: p.xadd("stream", {"a": i}),
                    lambda p=pipeline, i=i: p.setex(f"t:{i}", 1000, i), lambda p=pipeline, i=i: p.append(f"a:{i}", "x"),
                    lambda p=pipeline: p.eval("return redis.call('incrby', KEYS[1], 3)", 1, "script"),
                ])()
            pipeline.execute()
            time.sleep(0.005)

    def stop(self):
        self.stopping.set()
        self.join()


def test_a_live_server_under_writes_is_followed_and_gone_on_with(make_server, cluster, tmp_path):
    server = make_server("--repl-backlog-size", "64mb")
    fill(server, 1000)
    writer = Writer(server)
    writer.start()
    command = importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"], "--follow")

    def all_is_here():
        with cluster["n1"].client() as node:
            return node.get("counter") and int(node.get("counter")) > int(before)
    try:
        for end in (signal.SIGKILL, signal.SIGTERM):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            until("the stream begins", lambda: (tmp_path / "state" / "stream.aof").exists())
            before = server.client().get("counter") or 0
            until("what is written now comes", all_is_here, seconds=60)
            if end == signal.SIGTERM:
                writer.stop()
            process.send_signal(end)
            output = process.communicate(timeout=60 * PATIENCE)[0]
    finally:
        writer.stop()
    assert process.returncode == 0, output
    assert "going on with the import" in output and "begins anew" not in output
    keys = server.client().dbsize()
    assert f"{keys} keys compared, 0 differ; the target has {keys} keys" in output


def follow(tmp_path, server, node):
    """An import that follows, once it does."""
    process = subprocess.Popen(importing(tmp_path, f"{HOST}:{server.port}", node, "--follow"),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    mark = f"mark:{time.time_ns()}"
    server.client().set(mark, "v")
    with node.client() as client:
        until("what is written comes", lambda: client.exists(mark), seconds=60)
    return process


def end(process, code, how=signal.SIGTERM):
    process.send_signal(how)
    output = process.communicate(timeout=60 * PATIENCE)[0]
    assert process.returncode == code, output
    return output


def test_commands_are_carried_out_once_however_the_comparison_ends(make_server, cluster, tmp_path):
    server = make_server("--repl-backlog-size", "64mb")
    server.client().set("k", "v")
    process = follow(tmp_path, server, cluster["n1"])
    with cluster["n1"].client() as node:
        for i in range(100):
            server.client().incr("counter")
        until("all increments came", lambda: node.get("counter") == "100")
        node.set("k", "differs")
        assert "1 differ" in end(process, 1)
        assert node.get("counter") == "100"
        assert "1 differ" in run(importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"]), 1)
        assert node.get("counter") == "100"
        node.set("k", "v")
        keys = server.client().dbsize()
        output = run(importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"]))
        assert f"{keys} keys compared, 0 differ; the target has {keys} keys" in output
        assert node.get("counter") == "100" and node.keys("even-import:*") == []
    assert not (tmp_path / "state").exists()


def test_an_import_that_goes_on_ends_once_what_was_written_meanwhile_is_here(make_server, cluster, tmp_path):
    server = make_server("--repl-backlog-size", "64mb")
    end(follow(tmp_path, server, cluster["n1"]), -signal.SIGKILL, signal.SIGKILL)
    with server.client().pipeline(transaction=False) as pipeline:
        for i in range(20_000):
            pipeline.rpush("late", "x" * 100)
        pipeline.execute()
    output = run(importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"], "--no-compare"))
    assert "begins anew" not in output
    with cluster["n1"].client() as node:
        assert node.llen("late") == 20_000


def test_a_command_that_is_refused_among_others_is_never_passed_over(make_server, cluster, tmp_path):
    server = make_server("--repl-backlog-size", "64mb")
    process = follow(tmp_path, server, cluster["n1"])
    with cluster["n1"].client() as node:
        node.set("q", "in the way")
        server.client().set("expires", "v", px=9_000_000)
        with server.client().pipeline() as transaction:
            transaction.rpush("q", "job1", "job2").incr("n").execute()
        output = process.communicate(timeout=60 * PATIENCE)[0]
        assert process.returncode == 1 and "WRONGTYPE" in output and "begin anew" in output
        assert node.keys("even-import:*") == []
        assert node.pexpiretime("expires") == server.client().pexpiretime("expires")
        node.delete("q")
        server.client().rpush("q", "job3")
        command = importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"])
        assert "WRONGTYPE" in run(command, 1) and not node.exists("q")
        shutil.rmtree(tmp_path / "state")
        run(command)
        assert node.lrange("q", 0, -1) == ["job1", "job2", "job3"] and node.get("n") == "1"


def test_a_refusal_of_all_is_gone_on_with(make_server, cluster, tmp_path):
    file = tmp_path / "file.aof"
    file.write_bytes(b"*2\r\n$4\r\nINCR\r\n$1\r\nc\r\n*1\r\n$4\r\nWHAT\r\n")
    for _ in range(2):
        output = run(importing(tmp_path, file, cluster["n1"]), 1)
        assert "the target refuses a command" in output and "begin anew" not in output


def library(name, value):
    return f"#!lua name={name}\nredis.register_function('{name}_f', function() return {value} end)"


def test_libraries_of_functions(make_server, cluster, tmp_path):
    server = make_server("--appendonly", "yes", "--repl-backlog-size", "64mb")
    server.client().set("k", "v")
    server.client().function_load(library("one", 1))
    server.client().save()
    with cluster["n1"].client() as node:
        output = run(importing(tmp_path, server.directory / "dump.rdb", cluster["n1"]))
        assert "LEFT OUT" not in output and node.fcall("one_f", 0) == 1
        process = follow(tmp_path, server, cluster["n1"])
        server.client().function_load(library("one", 11), replace=True)
        server.client().function_load(library("two", 2))
        server.client().function_load(library("gone", 2))
        server.client().function_delete("gone")
        server.client().function_restore(server.client().function_dump(), "REPLACE")
        server.client().set("last", "v")
        until("the last write comes", lambda: node.exists("last"))
        end(process, 0)
        assert node.fcall("one_f", 0) == 11 and node.fcall("two_f", 0) == 2
        assert sorted(library[1] for library in node.function_list()) == ["one", "two"]
        # One that cannot be here is told of, in another run that goes on as well.
        node.function_delete("one")
        node.function_load("#!lua name=other\nredis.register_function('one_f', function() return 5 end)")
        output = run(importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"]), 1)
        assert "LEFT OUT: 1 libraries of functions" in output and "0 differ" in output
        for name in ("other", "two"):
            node.function_delete(name)
        node.flushall()
        run(importing(tmp_path, server.directory / "appendonlydir", cluster["n1"]))
        assert node.fcall("one_f", 0) == 11 and node.fcall("two_f", 0) == 2
        node.execute_command("FUNCTION", "FLUSH")


HELD = 2**60  # what a key that is to expire has instead, while commands may follow


def test_what_the_source_prolongs_meanwhile_does_not_expire(make_server, cluster, tmp_path):
    server = make_server("--repl-backlog-size", "64mb")
    source = server.client(decode_responses=True)
    brief = int(6000 * PATIENCE)
    source.set("of-dump", "v", px=brief)
    source.set("counter", 7, px=brief)
    source.rpush("list", "a")
    source.pexpire("list", brief)
    source.xadd("stream", {"a": 1})
    source.pexpire("stream", brief)
    source.set("stays", "v", px=8_000_000)
    source.set("goes", "v", px=brief)
    process = follow(tmp_path, server, cluster["n1"])
    with cluster["n1"].client() as node:
        source.set("of-stream", "v", px=brief)
        source.set("renamed", "v", px=brief)
        source.rename("renamed", "new")
        source.set("persisted", "v", ex=10)
        source.persist("persisted")
        source.set("last", "v")
        until("all that came", lambda: node.exists("last"))
        process.send_signal(signal.SIGSTOP)
        prolonged = ["of-dump", "counter", "list", "stream", "of-stream", "new"]
        for key in prolonged:
            assert source.pexpire(key, 9_000_000), key
        source.incr("counter")
        until("it has expired there", lambda: not source.exists("goes"))
        assert node.exists(*prolonged) == len(prolonged)
        assert all(node.pexpiretime(key) > HELD for key in [*prolonged, "stays", "goes"])
        process.send_signal(signal.SIGCONT)
        until("what was written meanwhile comes", lambda: node.get("counter") == "8")
        output = end(process, 0)
        keys = source.dbsize()
        assert f"{keys} keys compared, 0 differ; the target has {keys} keys" in output
        for key in [*prolonged, "stays", "persisted"]:
            assert node.pexpiretime(key) == source.pexpiretime(key), key
        assert node.pexpiretime("persisted") == -1
        # Without --follow, of a key that has just been written.
        source.set("brief", "v", px=600_000)
        run(importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"]))
        assert node.pexpiretime("brief") == source.pexpiretime("brief")


def test_expiries_are_set_by_a_later_run_whatever_becomes_of_the_source(make_server, cluster, tmp_path):
    server = make_server("--repl-backlog-size", "64mb")
    source = server.client(decode_responses=True)
    source.set("k", "v", px=9_000_000)
    source.set("soon", "v", px=1)
    command = importing(tmp_path, f"{HOST}:{server.port}", cluster["n1"])
    assert "nothing was received yet" in run([*command, "--finish"], 1)
    process = follow(tmp_path, server, cluster["n1"])
    with cluster["n1"].client() as node:
        end(process, -signal.SIGKILL, signal.SIGKILL)
        assert node.pexpiretime("k") > HELD
        # What differs is not the end.
        node.set("extra", "here")
        source.set("extra", "there", px=8_000_000)
        process = follow(tmp_path, server, cluster["n1"])
        source.set("of-stream", "v", px=7_000_000)
        source.set("expires", "v", px=1000)
        until("the last one comes", lambda: node.exists("expires"))
        node.set("extra", "other")
        output = end(process, 1)
        assert "1 differ" in output and "EXPIRIES ARE NOT SET" in output
        assert node.pexpiretime("of-stream") > HELD and node.get("extra") == "other"
        state = (tmp_path / "state" / "progress.json").read_text()
        expected = {key: source.pexpiretime(key) for key in ("k", "of-stream")}
        time.sleep(1)
        server.stop()
        output = run(command, 1)
        assert "EXPIRIES ARE NOT SET" in output and "--finish" in output and node.pexpiretime("k") > HELD
        # It was stopped while it set them.
        kept = shutil.copytree(tmp_path / "state", tmp_path / "kept")
        (tmp_path / "state" / "progress.json").write_text(state.replace('"settling": false', '"settling": true'))
        run(command)
        assert {key: node.pexpiretime(key) for key in expected} == expected
        assert not node.exists("expires") and node.keys("even-import:*") == [] and not (tmp_path / "state").exists()
        node.flushall()
        # The same from what was received.
        progress = json.loads((kept / "progress.json").read_text())
        progress["keys_done"], progress["offset"] = False, 0
        (kept / "progress.json").write_text(json.dumps(progress))
        kept.rename(tmp_path / "state")
        output = run([*command, "--finish"])
        assert "Not compared" in output and not node.exists("soon", "expires")
        assert {key: node.pexpiretime(key) for key in expected} == expected
        assert not (tmp_path / "state").exists()


def commands(*lines):
    out = b""
    for line in lines:
        words = [word if isinstance(word, bytes) else str(word).encode() for word in line]
        out += b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return out


def test_expiries_of_an_append_only_file_are_those_of_its_end(cluster, tmp_path):
    now = int(time.time() * 1000)
    past, later = now - 5000, now + 5_000_000
    with cluster["n1"].client(decode_responses=False) as node:
        node.hset("h", mapping={"keeps": 1, "prolonged": 2, "never": 3})
        node.execute_command("HPEXPIREAT", "h", later, "FIELDS", 2, "keeps", "prolonged")
        hash_, never = node.dump("h"), 2**46 - 1
        node.flushall()
    file = tmp_path / "file.aof"
    prolong = [("PEXPIREAT", key, later) for key in ("a", "b", "c", "d", "e", "h2")]
    file.write_bytes(b"REDIS0012" + hash_[:1] + b"\x02h1" + hash_[1:-10] + b"\xff" + bytes(8) + commands(
        ("SET", "a", "px", "PXAT", past), ("SET", "b", "1", "exat", past // 1000), ("INCR", "b"), ("SET", "c", "1"), ("PEXPIREAT", "c", past),
        ("EXPIREAT", "c", past // 1000), ("SET", "d", "1"), ("SET", "e", "v", "PXAT", past),
        ("RESTORE", "h2", past, hash_, "ABSTTL"), ("HPEXPIREAT", "h1", past, "FIELDS", 1, "prolonged"), ("HPEXPIREAT", "h1", later, "FIELDS", 1, "prolonged"),
        ("HPEXPIREAT", "h1", past, "FIELDS", 1, "keeps"), ("HPEXPIREAT", "h1", never, "FIELDS", 1, "never"),
        ("HPEXPIREAT", "h2", past, "NX", "FIELDS", 1, "never"), ("GETEX", "a", "PXAT", past),
        ("SET", "gone", "v", "PXAT", past), ("SETEX", "setex", 500, "v"), ("PSETEX", "psetex", 500_000, "v"), ("EXPIRE", "d", 500), ("PEXPIRE", "d", 1),
        *prolong, ("SET", "far", "v", "PXAT", 2**63 - 1), ("SET", "kept", "v", "PXAT", past), ("SET", "kept", "w", "KEEPTTL"), ("COPY", "a", "copy")))
    output = run(importing(tmp_path, file, cluster["n1"]))
    assert "Not compared" in output
    with cluster["n1"].client() as node:
        assert sorted(node.keys()) == sorted(["a", "b", "c", "d", "e", "h1", "h2", "setex", "psetex", "far", "copy"])
        assert {node.pexpiretime(key) for key in ("a", "b", "c", "d", "e", "h2", "copy")} == {later}
        assert node.get("a") == "px" and node.get("b") == "2"
        assert node.pexpiretime("far") == 2**63 - 1 and node.pexpiretime("h1") == -1
        assert 0 < node.ttl("setex") <= 500 and 0 < node.pttl("psetex") <= 500_000
        assert node.hgetall("h1") == {"prolonged": "2", "never": "3"} and node.hgetall("h2") == {"keeps": "1", "prolonged": "2"}
        assert node.execute_command("HPEXPIRETIME", "h1", "FIELDS", 2, "prolonged", "never") == [later, never]
        assert node.execute_command("HPEXPIRETIME", "h2", "FIELDS", 2, "keeps", "prolonged") == [later, later]


def test_a_transaction_without_an_end_takes_nothing_with_it(cluster, tmp_path):
    file = tmp_path / "file.aof"
    file.write_bytes(commands(("INCR", "a"), ("SELECT", 3), ("INCR", "b"), ("MULTI",), ("SELECT", 0), ("INCR", "a"), ("INCR", "c")))
    assert "its last transaction has no end" in run(importing(tmp_path, file, cluster["n1"]))
    with cluster["n1"].client() as node, redis.Redis(HOST, cluster["n1"].port, db=3) as third:
        assert node.get("a") == "1" and node.dbsize() == 1 and third.get("b") == b"1"
