"""even log: what it shows of a node's log, and what it says of a damaged one."""

import re
import subprocess

import pytest

from even_cluster import BIN


def even_log(*arguments):
    return subprocess.run([BIN / "even", "log", *map(str, arguments)], capture_output=True, text=True, timeout=60)


@pytest.fixture
def data(make_cluster):
    """The data directory of a node that has run and ended, with records of every kind."""
    cluster = make_cluster(nodes=1, replicas=1)
    node = cluster["n1"]
    client = node.client(decode_responses=False)
    client.set("k", b"\x00v\n")
    client.incrby("n", 5)
    client.sadd("s", "a", "b")
    client.hset("h", "f", "1")
    client.hincrbyfloat("h", "f", 0.5)
    client.pexpireat("k", 4_000_000_000_000)
    client.srem("s", "a")
    client.delete("n")
    client.close()
    cluster.stop()
    return node.data


def segments(data):
    return sorted(data.glob("log-*.seg"))


def rows(output):
    return [list(map(int, line.split())) for line in output.splitlines() if re.match(r"^ *\d", line)]


def records(output):
    """The lines of a dump but those of groups: every node has the metadata group."""
    return [line for line in output.splitlines() if " partition " in line]


def test_verify_counts_what_the_log_holds(data):
    result = even_log("verify", data)
    assert result.returncode == 0, result.stderr
    table = rows(result.stdout)
    assert sum(row[1] for row in table) == len(segments(data))
    assert sum(row[3] for row in table) == len(even_log("dump", data).stdout.splitlines())
    assert sum(row[4] for row in table) == sum(path.stat().st_size - 40 for path in segments(data))
    assert all(row[5] == 0 for row in table)
    assert result.stderr == ""


def test_dump_prints_a_readable_line_for_each_record(data):
    result = even_log("dump", data)
    assert result.returncode == 0, result.stderr
    lines = records(result.stdout)
    assert len(lines) == 8
    for line in lines:
        assert re.match(r"log-\d{4}-[0-9a-f]{16}\.seg \d+ partition \d+ 1/[0-9a-f]{12}:\d+ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line)
        assert line.isprintable()
    for what in [r'"k" := "\x00v\n"', '"k" expires 2096-10-02T07:06:40.000Z', 'set["a"], set["b"]', 'set["a"] removed',
                 'hash["f"] = "1"', 'hash["f"] += 0.5 (1/', '"n" := += 5 (1/', '-= 5 (:']:
        assert any(what in line for line in lines), f"{what} is not in\n{result.stdout}"


def test_dump_stops_at_the_limit(data):
    full = even_log("dump", data).stdout.splitlines()
    result = even_log("dump", data, "--limit", 3)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == full[:3]
    assert even_log("dump", data, "--limit", 0).stdout == ""


def test_a_torn_tail_is_counted_and_left_alone(data):
    path = max(segments(data), key=lambda path: path.stat().st_size)
    with open(path, "ab") as file:
        file.write(b"vEFR torn")
    before = path.read_bytes()
    result = even_log("verify", data)
    assert result.returncode == 0, result.stderr
    assert sum(row[5] for row in rows(result.stdout)) == 9
    assert "the last 9 bytes are an unfinished write" in result.stdout
    assert path.read_bytes() == before


def test_damage_is_named_with_file_and_offset_and_exits_with_1(data):
    path = max(segments(data), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    for command in ("verify", "dump"):
        result = even_log(command, data)
        assert result.returncode == 1
        assert f"{path.name}: damaged at offset 0" in result.stderr
    assert path.read_bytes() == bytes(content)


def test_a_directory_without_logs_is_refused_and_not_made(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        for command in ("verify", "dump"):
            result = even_log(command, directory)
            assert result.returncode == 1
            assert str(directory) in result.stderr
    assert list(tmp_path.iterdir()) == []
